import base64
import io

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from allometry.base import RunFolderError
from allometry.train import (
    Predictions,
    Preprocessing,
    evaluate,
    predict,
    summarise,
    to_input,
    wilson_interval,
)

GREY = Preprocessing(
    channels=1, resolution=24, crop=1.0, mean=(0.25,), std=(0.5,), classes=("bar", "disc", "frame")
)


class Brightest(torch.nn.Module):
    """Scores that follow from the picture alone, so that the answers are known."""

    def forward(self, x):
        light = x.mean((1, 2, 3))
        return torch.stack([-light, light, light * 0], 1) * 50


def test_predictions_are_in_the_splits_order(dataset):
    split = dataset.splits["test"]
    said = predict(Brightest(), split, preprocessing=GREY, device=torch.device("cpu"))
    light = np.array([split.image(index).mean() / 255 for index in range(len(split))])
    assert np.array_equal(said.labels, split.labels)
    assert np.array_equal(said.probabilities.argmax(1) == 1, light > 0.25)
    assert said.probabilities.sum(1) == pytest.approx(np.ones(len(split)))
    score = evaluate(Brightest(), split, preprocessing=GREY, device=torch.device("cpu"))
    assert score.accuracy == (said.probabilities.argmax(1) == split.labels).mean()
    assert score.loss == pytest.approx(
        -np.log(said.probabilities[np.arange(len(split)), split.labels]).mean(), rel=1e-4
    )


def test_summary_of_known_answers(dataset):
    split = dataset.splits["test"]
    labels = np.asarray(split.labels)
    probabilities = np.full((24, 3), 0.1, np.float32)
    answers = labels.copy()
    answers[:2] = [1, 2]  # two bars taken for a disc and a frame
    probabilities[np.arange(24), answers] = 0.8
    probabilities[1, 2] = 0.9
    result = summarise(Predictions(labels, probabilities, 0.3), split, name="test", classes=dataset.classes)
    assert result.accuracy == 22 / 24
    assert result.confusion == ((6, 1, 1), (0, 8, 0), (0, 0, 8))
    assert result.top5 == 1
    assert [(mistake.truth, mistake.predicted) for mistake in result.mistakes] == [
        ("bar", "frame"),
        ("bar", "disc"),
    ]
    picture = Image.open(io.BytesIO(base64.b64decode(result.mistakes[0].thumbnail)))
    assert np.array_equal(np.asarray(picture), split.image(1)[:, :, 0])
    per_class = {each["name"]: each["accuracy"] for each in result.to_dict()["per_class"]}
    assert per_class == {"bar": 0.75, "disc": 1.0, "frame": 1.0}


@given(st.integers(1, 5000), st.data())
def test_intervals_hold_the_share(total, data):
    right = data.draw(st.integers(0, total))
    low, high = wilson_interval(right, total)
    assert 0 <= low <= right / total + 1e-12
    assert right / total - 1e-12 <= high <= 1
    assert high - low < 1


def test_inputs_are_normalised_and_channels_last():
    colour = Preprocessing(
        channels=3, resolution=4, crop=1.0, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6), classes=("a", "b")
    )
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), dtype=np.uint8)
    x = to_input(images, colour, torch.device("cpu"))
    assert x.is_contiguous(memory_format=torch.channels_last)
    expected = (images / 255 - [0.1, 0.2, 0.3]) / [0.4, 0.5, 0.6]
    assert x.permute(0, 2, 3, 1).numpy() == pytest.approx(expected, abs=1e-5)


def test_preprocessing_travels_as_a_file(tmp_path):
    GREY.save(tmp_path / "p.json")
    assert Preprocessing.load(tmp_path / "p.json") == GREY
    (tmp_path / "q.json").write_text('{"channels": 1}')
    with pytest.raises(RunFolderError, match="does not describe"):
        Preprocessing.load(tmp_path / "q.json")
    with pytest.raises(RunFolderError, match="is missing"):
        Preprocessing.load(tmp_path / "r.json")
