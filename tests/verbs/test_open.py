"""A run folder as a value: `allometry.open`."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import allometry
from allometry.arch import save
from allometry.base import InputError, RunFolderError
from allometry.data import as_dataset
from allometry.nn import build, save_weights
from allometry.runs.folder import open_run as work_in_run
from allometry.training import FINAL, Preprocessing
from allometry.training.pretrained import open_finished
from allometry.verbs.open import open_run
from tests.run_folders import make_run, small_network

__all__ = ["make_run"]
CLASSES = ("a", "b", "c")
NETWORK = replace(small_network(3, resolution=16), in_channels=3, name="tiny")


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A run with a network and weights, as a training leaves them."""
    folder = tmp_path / "tiny"
    with work_in_run(folder, command="train", arguments={"data": "icons"}, device="here", seed=1) as run:
        save(NETWORK, folder / "network.json")
        save_weights(folder / "checkpoints" / FINAL, build(NETWORK, seed=2), metadata={})
        Preprocessing(
            channels=3, resolution=16, crop=1.0, mean=(0.5,) * 3, std=(0.25,) * 3, classes=CLASSES
        ).save(folder / "preprocessing.json")
        run.record_cost("train", "tiny", seconds=2)
        run.finish()
    return folder


def test_a_run_is_its_folder_and_what_is_in_it(trained: Path):
    run = allometry.open(trained)
    assert run.folder == trained
    assert run.network == NETWORK
    assert run.cost == allometry.count(NETWORK)
    assert (run.evaluation, run.law, run.history, run.result) == (None, None, (), None)
    assert run.finished
    assert run == allometry.open(str(trained))


def test_its_module_has_its_weights(trained: Path):
    module = allometry.open(trained).module()
    assert not module.training
    image = torch.zeros(1, 3, 16, 16)
    expected = build(NETWORK, seed=2).eval()
    with torch.inference_mode():
        assert torch.equal(module(image), expected(image))


def test_its_seed_is_that_of_its_record(trained: Path):
    finished = open_finished(trained)
    assert "seed" not in finished.arguments
    assert finished.seed == 1


def test_its_backbone_has_its_weights_too(trained: Path):
    run = allometry.open(trained)
    backbone = run.module(features_only=True, out_indices=(-1,))
    assert not backbone.training
    image = torch.randn(1, 3, 16, 16)
    classifier = run.module()
    with torch.inference_mode():
        (features,) = backbone(image)
        assert torch.equal(classifier.head(features), classifier.forward_features(image))
    with pytest.raises(InputError, match="features_only=True"):
        run.module(out_indices=(1,))


def test_it_predicts(trained: Path):
    images = np.zeros((2, 16, 16, 3), np.uint8)
    predictions = allometry.open(trained).predict(images, top=2)
    assert len(predictions) == 2
    assert predictions.to_dict() == allometry.predict(trained, images, top=2).to_dict()
    assert {one.name for one in predictions[0].classes} < set(CLASSES)


def test_an_unfinished_training_has_no_module(make_run):
    run = allometry.open(make_run(finished=None))
    with pytest.raises(RunFolderError, match="not finished"):
        run.module()


def test_it_says_what_it_is(make_run):
    run = allometry.open(make_run())
    assert repr(run).startswith("Run(icons-10M: run, ")
    assert "test accuracy 88.74% (87.43% to 89.91%), finished)" in repr(run)
    assert "icons-10M" in run._repr_html_()
    assert run.to_dict()["export"]["agreement"] == 1


def test_the_data_set_it_was_made_with_is_no_part_of_what_it_is(trained: Path):
    images = np.random.default_rng(0).integers(0, 255, (30, 16, 16, 3), np.uint8)
    dataset = as_dataset((images, np.arange(30) % 3))
    run = open_run(trained, data=dataset)
    assert run.dataset is dataset
    assert run == allometry.open(trained)
    assert "dataset" not in repr(run)
    assert open_run(trained, data="icons").dataset is None


def test_looking_at_a_run_loads_no_torch(trained: Path):
    program = (
        "import sys, allometry; run = allometry.open(sys.argv[1]); repr(run); run._repr_html_(); run.to_dict(); "
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program, str(trained)], check=True, timeout=100)
