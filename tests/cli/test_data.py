"""Training on every kind of data, end to end."""

import io
import json
import os
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file

from allometry.base import RunFolderError, Stopped
from allometry.verbs.train import train
from tests.images import CLASSES, shapes, write_photos

QUICK = ("--set", "epochs=2", "--set", "batch_size=8")


def same_weights(one: Path, other: Path) -> bool:
    """Bit for bit; the files themselves also tell the names of the images."""
    mine, theirs = (load_file(folder / "checkpoints" / "final.safetensors") for folder in (one, other))
    return mine.keys() == theirs.keys() and all(mine[name].equal(theirs[name]) for name in mine)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The same photographs as a folder, a manifest beside them, and shards; drawings as arrays."""
    root = tmp_path_factory.mktemp("data")
    photos = write_photos(root / "photos", per_class=8)
    paths = sorted(path.relative_to(photos) for path in photos.rglob("*.*"))
    rows = [f"{path},{path.parent}" for path in paths]
    (photos / "manifest.csv").write_text("\n".join(["path,label", *rows]))
    (root / "shards").mkdir()
    for number, some in enumerate((paths[:13], paths[13:])):
        with tarfile.open(root / "shards" / f"{number}.tar", "w") as tar:
            for path in some:
                tar.add(photos / path, str(path))
                info = tarfile.TarInfo(str(path.with_suffix(".cls")))
                info.size = len(path.parent.name)
                tar.addfile(info, io.BytesIO(path.parent.name.encode()))
    images, labels = shapes(8, size=24, seed=0)
    np.savez(root / "drawings.npz", images=images, labels=labels, classes=np.array(CLASSES))
    return root


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    from allometry.cli import main

    path = tmp_path_factory.mktemp("network") / "tiny.json"
    assert main(["scale", "efficientnet-b0", "--budget", "400k", "--save", str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def trained(data, tiny, tmp_path_factory):
    """The training on the folder that the others are compared with."""
    out = tmp_path_factory.mktemp("trained") / "run"
    train(str(tiny), data=str(data / "photos"), settings=["epochs=2", "batch_size=8"], out=out)
    return out


@pytest.mark.parametrize("where", ["photos/manifest.csv", "shards", "shards/{0..1}.tar", "drawings.npz"])
def test_train_evaluate_and_export(call, data, tiny, trained, tmp_path, monkeypatch, where):
    monkeypatch.chdir(data)
    out = tmp_path / "run"
    result = call("train", tiny, "--data", where, "--out", out, *QUICK, "--json")
    assert result.status == 0, result.err
    assert result.json["test_images"] == 3
    monkeypatch.chdir(tmp_path)  # the run finds its data from anywhere
    assert call("evaluate", out, "--json").json["accuracy"] == result.json["test_accuracy"]
    if where != "drawings.npz":
        assert same_weights(out, trained)
    assert call("train", tiny, "--data", data / where, "--out", out, *QUICK).status == 0


@pytest.mark.parametrize("where", ["photos/manifest.csv", "shards"])
def test_a_training_that_was_stopped_ends_with_the_same_weights(data, tiny, trained, tmp_path, where):
    asked = {"data": str(data / where), "settings": ["epochs=2", "batch_size=8"], "out": tmp_path / "run"}
    calls = iter(range(100))
    with pytest.raises(Stopped):
        train(str(tiny), should_stop=lambda: next(calls) >= 3, **asked)
    train(str(tiny), **asked)
    assert same_weights(tmp_path / "run", trained)


def test_run_folders_are_called_by_network_and_data(call, data, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wrong = ("--memory", "1kB")  # which is told once the images are read
    for where in ("photos/manifest.csv", "shards/{0..1}.tar", "drawings.npz"):
        call("train", tiny, "--data", data / where, *wrong)
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {
        "tiny-manifest",
        "tiny-shards",
        "tiny-drawings",
    }


@pytest.mark.parametrize("change", ["added", "changed"])
def test_images_that_changed_under_a_training_are_told(data, tiny, tmp_path, change):
    photos = shutil.copytree(data / "photos", tmp_path / "photos")
    asked = {"data": str(photos), "settings": ["epochs=2", "batch_size=8"], "out": tmp_path / "run"}
    calls = iter(range(100))
    with pytest.raises(Stopped):
        train(str(tiny), should_stop=lambda: next(calls) >= 3, **asked)
    name = "bar/new.png" if change == "added" else "bar/0.png"
    kept = photos / "bar/0.png"
    before = kept.read_bytes()
    Image.new("RGB", (50, 50), (9, 9, 9)).save(photos / name)
    told = (
        r"changed since .*run was begun: (18|\d+) are now \d+ in |changed since .* begun: as many as before"
    )
    with pytest.raises(RunFolderError, match=told):
        train(str(tiny), **asked)
    if change == "added":
        (photos / name).unlink()
    else:
        kept.write_bytes(before)
        os.utime(kept, (1, 1))
    train(str(tiny), **asked)
    assert json.loads((tmp_path / "run/data.json").read_text())["fingerprint"]


def test_a_mistake_is_one_sentence(call, data, tiny, tmp_path):
    (data / "bad.csv").write_text("name,label\na,b\n")
    result = call("train", tiny, "--data", data / "bad.csv", "--out", tmp_path / "run")
    assert result.status == 2
    assert "has no column for the image" in result.err
    assert "Traceback" not in result.err
