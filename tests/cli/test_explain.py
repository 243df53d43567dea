"""`allometry explain` and `allometry evaluate`, end to end."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from allometry.arch import Head, MBConv, Network, Stage, Stem, save
from allometry.nn import Conventions, build, save_pretrained
from tests.images import CLASSES

SIDE, LINE = 320, 14 + 2 * 21 + 4


@pytest.fixture(scope="session")
def second(finished, tmp_path_factory):
    """The same run under another name."""
    return shutil.copytree(finished, tmp_path_factory.mktemp("other") / "twin")


@pytest.fixture
def pictures(photos):
    return [photos / "bar" / "0.png", photos / "disc" / "1.jpg"]


@pytest.mark.slow
def test_one_run(call, finished, pictures, tmp_path):
    result = call("explain", finished, *pictures, "--out", tmp_path / "maps", "--json")
    assert result.status == 0
    said = {
        row["image"]: row["classes"][0]
        for row in call("predict", finished, *pictures, "--json").json["predictions"]
    }
    for each in result.json["explanations"]:
        assert each["class"] == each["answer"] == said[each["image"]]["name"]
        assert each["probability"] == pytest.approx(said[each["image"]]["probability"])
        assert np.asarray(Image.open(each["overlay"])).shape == (SIDE, SIDE, 3)
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == [
        "0-photos.png",
        "1-photos.png",
        "explain.png",
    ]


def test_several_runs_side_by_side(call, finished, second, pictures):
    result = call("explain", finished, second, *pictures)
    assert result.status == 0
    assert result.out.splitlines()[-1] == str(finished / "explain" / "explain.png")
    assert result.out.count("twin") == 2
    picture = np.asarray(Image.open(finished / "explain" / "explain.png"))
    left, top = 22, 22 + 2 * 21 + 6
    tiles = [
        [
            picture[top + row * (SIDE + LINE) :, left + column * (SIDE + 14) :][:SIDE, :SIDE]
            for column in range(3)
        ]
        for row in range(2)
    ]
    for plain, first, other in tiles:
        # The same weights look at the same places, and somewhere they do look.
        assert np.array_equal(first, other)
        assert not np.array_equal(plain, first)


def test_a_class_that_is_asked_for(call, finished, pictures, tmp_path):
    result = call("explain", finished, pictures[0], "--class", "frame", "--out", tmp_path / "maps", "--json")
    (one,) = result.json["explanations"]
    assert one["class"] == "frame"
    assert one["answer"] in CLASSES
    assert one["confidence"] >= one["probability"]


def test_images_of_the_same_name_keep_their_own_images(call, finished, photos, tmp_path):
    images = [photos / "bar" / "0.png", photos / "disc" / "0.png"]
    result = call("explain", finished, *images, "--out", tmp_path / "maps", "--json")
    overlays = [each["overlay"] for each in result.json["explanations"]]
    assert len(set(overlays)) == 2


def test_published_weights(call, pictures, tmp_path):
    network = Network(
        name="tiny",
        stem=Stem(channels=8),
        stages=(Stage(block=MBConv(channels=8, stride=2)),),
        head=Head(channels=16, classes=4),
        resolution=24,
    )
    save(network, tmp_path / "tiny.json")
    weights = tmp_path / "w.safetensors"
    save_pretrained(build(network, seed=1), weights, Conventions(classes=("a", "b", "c", "d")))
    options = ("--network", tmp_path / "tiny.json", "--pretrained", weights, "--out", tmp_path / "maps")
    result = call("explain", *pictures, *options, "--class", "c", "--json")
    assert result.status == 0
    assert [each["class"] for each in result.json["explanations"]] == ["c", "c"]
    assert result.json["explanations"][0]["map"] == [6, 6]
    assert "above 0" in call("explain", *pictures, *options, "--crop", 2).err


def test_mistakes_are_one_sentence(call, finished, pictures, tmp_path):
    unfinished = shutil.copytree(finished, tmp_path / "unfinished")
    shutil.rmtree(unfinished / "checkpoints")
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "empty").mkdir()
    image = pictures[0]
    for arguments, words in (
        ((finished,), "No image is given"),
        ((image,), "is a file, not a run folder. Give run folders first"),
        ((finished.parent / "photo", image), "Runs beside it: photos"),
        ((tmp_path / "empty", image), "it has no run.json"),
        ((unfinished, image), "is not finished"),
        ((finished, image, unfinished), "is a folder but comes after an image"),
        ((finished, tmp_path / "none", image), "no file and no run folder"),
        ((finished, tmp_path / "notes.txt"), "not an image"),
        ((finished, image, "--class", "disk"), "Did you mean 'disc'? These are the classes of photos."),
        ((finished, image, "--crop", "0.5"), "crop goes with network"),
        ((image, "--network", "efficientnet-b0"), "go together"),
    ):
        result = call("explain", *arguments)
        assert result.status == 2
        assert words in result.err
        assert result.err.count("\n") == 1
        assert result.out == ""


def test_evaluate_says_the_essentials_and_all_of_it(call, finished):
    text = call("evaluate", finished).out
    for name in ("accuracy", "balanced accuracy", "calibration error", "log loss", "Brier score"):
        assert name in text
    assert "top-5" not in text  # of three classes
    result = call("evaluate", finished, "--json").json
    kept = json.loads((finished / "evaluation.json").read_text())
    for name in ("interval", "balanced_interval", "loss_interval", "calibration_interval", "brier"):
        assert result[name] == pytest.approx(kept[name], abs=1e-5)
    assert {"accuracy", "precision", "f1", "interval"} <= result["per_class"][0].keys()
    assert len(result["calibration"]) == 15
    assert all(mistake["thumbnail"] == "" for mistake in result["mistakes"])


def test_a_run_keeps_what_it_looks_at(finished):
    looks = json.loads((finished / "explain.json").read_text())["explanations"]
    assert {look["truth"] for look in looks if look["group"] == "drawn"} == set(CLASSES)
    for look in looks:
        assert (look["truth_map"] != "") == (look["truth"] != look["predicted"])
        assert look["group"] == "drawn" or (look["group"] == "correct") == (
            look["truth"] == look["predicted"]
        )
    html = (finished / "report.html").read_text()
    assert "What it looks at" in html
    assert "How sure it is" in html
