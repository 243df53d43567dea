"""Values of 16 bits: the scale that the training images give goes with the network, wherever it is used."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from allometry.base import RunFolderError, WeightsError
from allometry.data import ArraySplit, NamedImage, open_data
from allometry.nn import Conventions, build, save_pretrained
from allometry.nn.pretrained.conventions import to_metadata
from allometry.training import Preprocessing
from allometry.training import predict as predict_split
from allometry.training.images import open_images
from allometry.training.pretrained import Classifier, open_pretrained
from allometry.training.recipes import small
from allometry.verbs.predict import classify

from .conftest import NETWORK


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """The same images with 12 and with 10 bits, each in files of 16."""
    root = tmp_path_factory.mktemp("deep")
    for factor in (16, 4):
        for number in range(16):
            values = np.random.default_rng(number).integers(0, 256, (24, 24)).astype(np.uint16)
            path = root / str(factor) / "ab"[number % 2] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(values * factor).save(path)
    return {factor: root / str(factor) for factor in (16, 4)}


def preprocessing(folder: Path) -> Preprocessing:
    images = open_images(str(folder), seed=0)
    return images.preprocessing(NETWORK, small(NETWORK, images=16))


def test_the_scale_is_kept_with_the_network(folders: dict[int, Path], tmp_path: Path) -> None:
    known = preprocessing(folders[16])
    assert known.levels == (0, 4095)
    known.save(tmp_path / "preprocessing.json")
    assert json.loads((tmp_path / "preprocessing.json").read_text())["levels"] == [0, 4095]
    assert Preprocessing.load(tmp_path / "preprocessing.json") == known
    for levels in ((-1, 5), (9, 9), (0, 2**16), (0, 10**30)):
        replace(known, levels=levels).save(tmp_path / "preprocessing.json")
        with pytest.raises(RunFolderError, match="levels"):
            Preprocessing.load(tmp_path / "preprocessing.json")


def test_other_images_are_judged_by_the_scale_of_the_network(folders: dict[int, Path]) -> None:
    known = preprocessing(folders[16])
    other = open_data(folders[4]).splits["test"]
    assert open_data(folders[4]).levels == (0, 1023)
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(24 * 24, 2))
    device = torch.device("cpu")
    seen = predict_split(module, other, preprocessing=known, device=device)
    plain = ArraySplit(
        images=np.stack([np.asarray(Image.open(folders[4] / name)) >> 4 for name in other.names])[
            ..., np.newaxis
        ].astype(np.uint8),
        labels=other.labels,
        names=other.names,
    )
    expected = predict_split(module, plain, preprocessing=known, device=device)
    assert np.allclose(seen.probabilities, expected.probabilities, atol=1e-6)


def test_one_image_is_predicted_by_the_scale_of_the_network(folders: dict[int, Path]) -> None:
    known = preprocessing(folders[16])
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(24 * 24, 2)).eval()
    path = folders[4] / "a" / "0.png"
    classifier = Classifier(module, known)
    narrow = (np.asarray(Image.open(path)) >> 4).astype(np.uint8)[..., np.newaxis]
    (expected,) = classify(classifier, [NamedImage("narrow", narrow)])
    for source in (path, Image.open(path)):
        (one,) = classify(classifier, [NamedImage("deep", source)])
        assert one.classes == expected.classes


def test_weights_carry_the_scale(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    save_pretrained(build(NETWORK, seed=0), file, Conventions(mean=(0.5,), std=(0.2,), levels=(0, 4095)))
    assert open_pretrained(NETWORK, str(file)).preprocessing.levels == (0, 4095)
    assert "levels" not in to_metadata(Conventions())["allometry"]
    for levels in ((5, 5), (-1, 9), (0, 2**16)):
        with pytest.raises(WeightsError, match="16 bits"):
            Conventions(levels=levels)
