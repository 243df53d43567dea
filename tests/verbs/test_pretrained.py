"""Training and predicting with published weights, through the pipeline and the command line."""

import sys
import types
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from allometry.arch import Head, MBConv, Network, Stage, Stem, save
from allometry.base import InputError, WeightsError
from allometry.base.errors import Stopped
from allometry.cli import main
from allometry.nn import Conventions, build, save_pretrained
from allometry.training import Preprocessing
from allometry.training.pretrained import open_pretrained
from allometry.verbs.predict import predict
from allometry.verbs.train import train
from tests.images import CLASSES, write_photos

TINY = Network(
    name="tiny",
    stem=Stem(channels=8),
    stages=(Stage(block=MBConv(channels=16, stride=2, expand_ratio=2), repeats=2),),
    head=Head(channels=32, classes=5, dropout=0),
    resolution=24,
)
FAST = ("epochs=2", "batch_size=8")
COLORS = ("red", "green", "blue", "black", "white")
HALF = (0.5, 0.5, 0.5)


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos") / "shapes", per_class=10)


@pytest.fixture
def published(tmp_path) -> tuple[str, str]:
    """A network's file and weights for it, of five classes."""
    save(TINY, tmp_path / "tiny.json")
    weights = tmp_path / "weights.safetensors"
    save_pretrained(build(TINY, seed=7), weights, Conventions(mean=HALF, std=HALF, classes=COLORS))
    return str(tmp_path / "tiny.json"), str(weights)


def test_training_starts_from_the_weights_and_has_their_normalization(photos, published, tmp_path):
    network, weights = published
    # With no learning rate to speak of, what comes out is what went in.
    still = (*FAST, "learning_rate=1e-12", "weight_decay=0")
    train(network, data=str(photos), pretrained=weights, settings=still, out=tmp_path / "run")
    given = load_file(weights)
    final = load_file(tmp_path / "run" / "checkpoints" / "final.safetensors")
    assert final["classifier.weight"].shape == (len(CLASSES), 32)
    for name in ("stem.0.weight", "stages.0.0.project.0.weight", "head.0.weight"):
        torch.testing.assert_close(final[name], given[name])
    assert Preprocessing.load(tmp_path / "run" / "preprocessing.json").mean == HALF


def stop_after(calls: int):
    """Asked after each step, says stop once."""
    left = [calls]

    def should_stop() -> bool:
        left[0] -= 1
        return left[0] == 0

    return should_stop


def test_a_stopped_training_goes_on_without_the_file(photos, published, tmp_path):
    network, weights = published
    options = {"data": str(photos), "pretrained": weights, "settings": FAST}
    train(network, out=tmp_path / "whole", **options)
    with pytest.raises(Stopped):
        train(network, out=tmp_path / "cut", should_stop=stop_after(4), **options)
    Path(weights).unlink()
    train(network, out=tmp_path / "cut", **options)
    one, other = (tmp_path / run / "checkpoints" / "final.safetensors" for run in ("whole", "cut"))
    assert one.read_bytes() == other.read_bytes()


def test_other_weights_are_another_training(photos, published, tmp_path):
    network, weights = published
    options = {"data": str(photos), "settings": FAST, "out": tmp_path / "run"}
    with pytest.raises(Stopped):
        train(network, pretrained=weights, should_stop=stop_after(4), **options)
    with pytest.raises(InputError, match="another"):
        train(network, **options)


def test_a_run_folder_is_a_source_of_weights(photos, published, tmp_path):
    network, weights = published
    train(network, data=str(photos), pretrained=weights, settings=FAST, out=tmp_path / "first")
    train(
        network, data=str(photos), pretrained=str(tmp_path / "first"), settings=FAST, out=tmp_path / "second"
    )
    picture = next(photos.rglob("*.png"))
    by_run = predict(images=picture, network=network, pretrained=tmp_path / "first", top=3)
    assert {name for name, _ in by_run[0].classes} == set(CLASSES)


def test_predict_on_the_command_line(photos, published, capfd):
    network, weights = published
    image = str(next(photos.rglob("*.png")))
    assert main(["predict", image, "--network", network, "--pretrained", weights]) == 0
    said = capfd.readouterr().out
    assert all(color in said for color in COLORS)
    for arguments, words in (
        (["predict", image, "--network", network], "go together"),
        (["predict", image], "Give a run folder and image files"),
        (["predict", image, "x", "--crop", "0.5"], "crop goes with network"),
        (["predict", image, "--network", network, "--pretrained", weights, "--crop", "7"], "above 0"),
        (["predict", image, "--network", network, "--pretrained", image], "no file of weights"),
        (["predict", "none.png", "--network", network, "--pretrained", weights], "none.png"),
    ):
        assert main(arguments) == 2
        captured = capfd.readouterr()
        assert words in captured.err
        assert captured.err.count("\n") == 1
        assert captured.out == ""


def make_tiny() -> torch.nn.Module:
    return build(replace(TINY, head=replace(TINY.head, classes=4)), seed=1)


def test_any_torch_module_takes_its_own_weights(photos, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mynets", types.SimpleNamespace(make=make_tiny))
    file = tmp_path / "own.pth"
    torch.save(make_tiny().state_dict(), file)
    picture = next(photos.rglob("*.png"))
    answers = predict(images=[picture], network="mynets:make", pretrained=file)
    assert {name for name, _ in answers[0].classes} == {f"class {number}" for number in range(4)}
    torch.save({"other": torch.zeros(1)}, file)
    with pytest.raises(WeightsError, match="does not hold the weights of mynets:make"):
        predict(images=[picture], network="mynets:make", pretrained=file)


def test_a_backbone_is_no_classifier(photos, tmp_path, monkeypatch):
    backbone = build(TINY, features_only=True)
    monkeypatch.setitem(sys.modules, "mynets", types.SimpleNamespace(make=lambda: backbone))
    torch.save(backbone.state_dict(), tmp_path / "own.pth")
    with pytest.raises(InputError, match="mynets:make gives several tensors for an image"):
        predict(images=next(photos.rglob("*.png")), network="mynets:make", pretrained=tmp_path / "own.pth")


def test_a_run_folder_gives_its_padding_and_constants_too(photos, published, tmp_path):
    network, _ = published
    weights = tmp_path / "from_tensorflow.safetensors"
    save_pretrained(build(TINY, seed=7), weights, Conventions(padding="same", epsilon=0.01))
    train(network, data=str(photos), pretrained=str(weights), settings=FAST, out=tmp_path / "run")
    opened = open_pretrained(network, str(tmp_path / "run"))
    assert opened.module.network.padding == "same"
    assert opened.module.network.batch_norm.epsilon == 0.01
    assert opened.preprocessing.classes == CLASSES
    other = tmp_path / "other.json"
    save(replace(TINY, stem=replace(TINY.stem, activation="relu")), other)
    with pytest.raises(WeightsError, match="does not hold the weights of tiny"):
        open_pretrained(str(other), str(tmp_path / "run"))


class EndsWithNorm(torch.nn.Sequential):
    """The last entry of its state is a counter, which says nothing of its outputs."""

    def __init__(self) -> None:
        super().__init__(torch.nn.Conv2d(3, 6, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.BatchNorm2d(6))
        self.append(torch.nn.Flatten())


def test_the_classes_of_a_module_are_counted_by_its_outputs(photos, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mynets", types.SimpleNamespace(make=EndsWithNorm))
    torch.save(EndsWithNorm().state_dict(), tmp_path / "own.pth")
    answers = predict(
        images=next(photos.rglob("*.png")), network="mynets:make", pretrained=tmp_path / "own.pth", top=9
    )
    assert len(answers[0].classes) == 6
