import numpy as np
import pytest
import torch

from allometry.base import RunFolderError
from allometry.training import Preprocessing, evaluate, predict, to_input

GRAY = Preprocessing(
    channels=1, resolution=24, crop=1.0, mean=(0.25,), std=(0.5,), classes=("bar", "disc", "frame")
)


class Brightest(torch.nn.Module):
    """Scores that follow from the image alone, so that the answers are known."""

    def forward(self, x):
        light = x.mean((1, 2, 3))
        return torch.stack([-light, light, light * 0], 1) * 50


def test_predictions_are_in_the_splits_order(dataset):
    split = dataset.splits["test"]
    said = predict(Brightest(), split, preprocessing=GRAY, device=torch.device("cpu"))
    light = np.array([split.image(index).mean() / 255 for index in range(len(split))])
    assert np.array_equal(said.labels, split.labels)
    assert np.array_equal(said.probabilities.argmax(1) == 1, light > 0.25)
    assert said.probabilities.sum(1) == pytest.approx(np.ones(len(split)))
    score = evaluate(Brightest(), split, preprocessing=GRAY, device=torch.device("cpu"))
    assert score.accuracy == (said.probabilities.argmax(1) == split.labels).mean()
    assert score.loss == pytest.approx(
        -np.log(said.probabilities[np.arange(len(split)), split.labels]).mean(), rel=1e-4
    )


def test_inputs_are_normalized_and_channels_last():
    color = Preprocessing(
        channels=3, resolution=4, crop=1.0, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6), classes=("a", "b")
    )
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), dtype=np.uint8)
    x = to_input(images, color, torch.device("cpu"))
    assert x.is_contiguous(memory_format=torch.channels_last)
    expected = (images / 255 - [0.1, 0.2, 0.3]) / [0.4, 0.5, 0.6]
    assert x.permute(0, 2, 3, 1).numpy() == pytest.approx(expected, abs=1e-5)


def test_preprocessing_travels_as_a_file(tmp_path):
    GRAY.save(tmp_path / "p.json")
    assert Preprocessing.load(tmp_path / "p.json") == GRAY
    (tmp_path / "q.json").write_text('{"channels": 1}')
    with pytest.raises(RunFolderError, match="does not describe"):
        Preprocessing.load(tmp_path / "q.json")
    with pytest.raises(RunFolderError, match="is missing"):
        Preprocessing.load(tmp_path / "r.json")
