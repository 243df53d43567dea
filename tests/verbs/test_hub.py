"""A run goes to the hub and comes back: a stand-in server on loopback, with the hub's own client."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import allometry as al
from allometry.base import DataError, HubError, InputError, MissingExtraError, RunFolderError
from allometry.base.files import write_json
from allometry.cli import main
from allometry.nn import load_pretrained
from allometry.reports.model_card import model_card
from allometry.runs.sharing import SHARED_FILES, write_shared
from tests.hub_server import serving


@pytest.fixture
def hub(monkeypatch, tmp_path):
    pytest.importorskip("huggingface_hub")
    monkeypatch.setenv("HF_TOKEN", "stand-in")
    constants = pytest.importorskip("huggingface_hub.constants")
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_XET_CACHE"):
        if hasattr(constants, name):
            monkeypatch.setattr(constants, name, str(tmp_path / "hub-cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with serving() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.address)
        template = server.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield server


def test_a_run_goes_to_the_hub_and_comes_back(hub, trained, arrays, tmp_path):
    upload = trained.push_to_hub("me/shapes", license="mit", private=True, endpoint=hub.address)
    assert upload.url == f"{hub.address}/me/shapes"
    assert upload.commit == hub.sha("me/shapes")
    held = hub.repositories["me/shapes"]
    assert set(held) == set(upload.files)
    assert all(name.endswith((".safetensors", ".json", ".jsonl", ".md")) for name in held)
    assert "private" in json.dumps(hub.created[0])
    assert "Bearer stand-in" in hub.tokens
    assert hub.commits[0]["summary"] == "A run of allometry"

    back = al.from_hub("me/shapes", endpoint=hub.address)
    assert back.network == trained.network
    assert back.history == trained.history
    assert back.evaluation == replace(trained.evaluation, mistakes=())
    assert back.result == trained.result
    images = arrays[0]
    ours, theirs = trained.predict(images[:5]), back.predict(images[:5])
    assert [one.classes for one in ours] == [one.classes for one in theirs]
    weights, expected = back.module().state_dict(), trained.module().state_dict()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    with pytest.raises(DataError, match="give them again with data="):
        al.evaluate(back, progress=False)
    assert al.evaluate(back, data=arrays, progress=False).accuracy == trained.evaluation.accuracy

    own = al.from_hub("hf://me/shapes@main", out=tmp_path / "mine", endpoint=hub.address)
    assert own.folder == tmp_path / "mine"
    with pytest.raises(InputError, match="is there already"):
        al.from_hub("me/shapes", out=tmp_path / "mine")


def test_open_and_every_verb_take_its_name_there_and_fetch_a_commit_once(hub, trained, arrays, tmp_path):
    trained.push_to_hub("me/shapes", license="apache-2.0")
    opened = al.open("hf://me/shapes")
    before = len(hub.requests)
    assert al.open("hf://me/shapes").folder == opened.folder
    assert not any("resolve" in request and "GET" in request for request in hub.requests[before:])
    images, _ = arrays
    assert len(al.predict("hf://me/shapes", images[:2])) == 2
    exported = al.export("hf://me/shapes", data=arrays, out=tmp_path / "model.onnx", progress=False)
    assert exported.verification.agreement == 1
    loaded = load_pretrained(trained.network, "hf://me/shapes")
    assert loaded.conventions.classes == trained.data.classes
    weights, expected = loaded.module.state_dict(), trained.module().state_dict()
    assert all(torch.equal(weights[name], expected[name]) for name in expected if "tracked" not in name)


@pytest.mark.slow
def test_the_command_line_takes_its_name_there(hub, trained, arrays, tmp_path, monkeypatch, capsys):
    trained.push_to_hub("me/shapes", license="mit")
    monkeypatch.chdir(tmp_path)
    np.savez("shapes.npz", images=arrays[0], labels=arrays[1])
    Image.fromarray(arrays[0][0, :, :, 0]).save("one.png")
    assert main(["predict", "hf://me/shapes", "one.png"]) == 0
    assert main(["evaluate", "hf://me/shapes", "--data", "shapes.npz"]) == 0
    assert main(["report", "hf://me/shapes", "--out", "page.html"]) == 0
    assert main(["export", "hf://me/shapes", "--data", "shapes.npz", "--out", "model.onnx"]) == 0
    assert "one.png" in capsys.readouterr().out
    assert main(["predict", "hf://shapes", "one.png"]) == 2
    assert "Write hf://owner/name" in capsys.readouterr().err


def test_what_the_hub_refuses_or_does_not_have_is_one_sentence(hub, trained):
    with pytest.raises(HubError, match=r"The hub did not take forbidden/shapes: .*403"):
        trained.push_to_hub("forbidden/shapes", license="mit")
    with pytest.raises(HubError, match="The hub did not give me/nothing"):
        al.from_hub("me/nothing")
    hub.repositories["me/other"] = {"model.safetensors": b"weights", "evil.py": b"1 / 0"}
    with pytest.raises(HubError, match="me/other holds no run of allometry"):
        al.open("hf://me/other")
    assert not any("evil" in request for request in hub.requests)


def test_what_is_damaged_there_is_refused_when_it_is_read(hub, trained):
    trained.push_to_hub("me/shapes", license="mit")
    hub.repositories["me/shapes"]["model.safetensors"] = b"no weights"
    damaged = al.from_hub("me/shapes")
    with pytest.raises(RunFolderError):
        damaged.module()


@pytest.mark.parametrize("license", ["", "MIT License", "all rights\nreserved"])
def test_a_license_is_asked_for(trained, license):  # noqa: A002
    with pytest.raises(InputError, match="Name the license"):
        trained.push_to_hub("me/shapes", license=license)


def test_names_extras_and_unfinished_runs(trained, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="Write hf://owner/name"):
        trained.push_to_hub("shapes", license="mit")
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    for call in (lambda: al.from_hub("me/shapes"), lambda: trained.push_to_hub("me/shapes", license="mit")):
        with pytest.raises(MissingExtraError, match=r"allometry\[hub\]"):
            call()
    write_json(tmp_path / "run.json", json.loads((trained.folder / "run.json").read_text()))
    with pytest.raises(RunFolderError, match="is not finished"):
        al.open(tmp_path).push_to_hub("me/shapes", license="mit")


def test_no_image_and_no_path_is_given_away(trained, tmp_path):
    assert trained.evaluation.mistakes  # it has learned little
    write_shared(trained.folder, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} <= set(SHARED_FILES)
    text = "".join(path.read_text() for path in tmp_path.iterdir())
    assert "thumbnail" not in text
    assert str(trained.folder.parent) not in text
    assert not any(len(word) > 200 for word in text.split('"'))  # nothing in base64


def test_the_card_says_how_good_it_is_and_how_to_use_it(trained):
    card = model_card(trained, repo="me/shapes", license="cc-by-4.0")
    _, front, body = card.split("---\n", 2)
    held = yaml.safe_load(front)
    assert (held["license"], held["library_name"]) == ("cc-by-4.0", "allometry")
    (result,) = held["model-index"][0]["results"]
    accuracy = next(metric for metric in result["metrics"] if metric["type"] == "accuracy")
    assert accuracy["value"] == trained.evaluation.accuracy
    assert "95% interval" in accuracy["name"]
    assert 'allometry.from_hub("me/shapes")' in body
    assert f"{trained.evaluation.accuracy:.1%}" in body
    for name in trained.data.classes:
        assert f"`{name}`" in body


def test_a_card_of_many_classes_and_odd_names_stays_readable(trained):
    names = tuple(f'class "{number}": é\n' for number in range(60))
    data = replace(trained.data, classes=names, name='a: "b"\n- c')
    card = model_card(replace(trained, data=data), repo="me/shapes", license="mit")
    held = yaml.safe_load(card.split("---\n", 2)[1])
    assert held["model-index"][0]["results"][0]["dataset"]["name"] == 'a: "b"\n- c'
    assert "and 10 more" in card
    assert np.isfinite(held["model-index"][0]["results"][0]["metrics"][1]["value"])
