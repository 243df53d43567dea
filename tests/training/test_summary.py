"""Every figure of an evaluation against the same figure worked out plainly, image by image."""

import base64
import io
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from allometry.data import ArraySplit
from allometry.training import (
    Predictions,
    balanced_accuracy,
    bootstrap_interval,
    brier_score,
    calibration_error,
    chance_error,
    ranks,
    reliability,
    resamples,
    summarize,
    wilson_interval,
)


@st.composite
def predictions(draw):
    """Predictions of a few images, with ties, classes without images and classes that are never answered."""
    images, classes = draw(st.integers(1, 40)), draw(st.integers(2, 8))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scores = np.round(random.normal(0, draw(st.sampled_from([0.5, 3, 30])), (images, classes)), 1)
    probabilities = np.exp(scores - scores.max(1, keepdims=True))
    probabilities = (probabilities / probabilities.sum(1, keepdims=True)).astype(np.float32)
    labels = random.integers(0, draw(st.integers(1, classes)), images)
    losses = np.log(np.exp(scores).sum(1)) - scores[np.arange(images), labels]
    return Predictions(labels, probabilities, losses.astype(np.float32))


def split_of(said: Predictions) -> ArraySplit:
    number = len(said.labels)
    return ArraySplit(
        images=np.zeros((number, 4, 4, 1), np.uint8),
        labels=said.labels,
        names=tuple(map(str, range(number))),
    )


def answers_of(said):
    """The first of the most probable classes, by hand."""
    return [row.index(max(row)) for row in said.probabilities.tolist()]


@given(predictions())
@settings(max_examples=40, deadline=None)
def test_every_figure_is_that_of_a_plain_count(said):
    count = said.probabilities.shape[1]
    names = tuple(f"class {number}" for number in range(count))
    result = summarize(said, split_of(said), name="test", classes=names)
    labels, rows, answers = said.labels.tolist(), said.probabilities.tolist(), answers_of(said)
    images = len(labels)
    pairs = list(zip(labels, answers, strict=True))

    assert result.accuracy == pytest.approx(sum(truth == answer for truth, answer in pairs) / images)
    best = [sorted(range(count), key=lambda each, row=row: (-row[each], each))[:5] for row in rows]
    in_best = sum(truth in five for truth, five in zip(labels, best, strict=True))
    assert result.top5 == pytest.approx(in_best / images)
    assert result.top5_interval == wilson_interval(in_best, images)
    assert result.loss == pytest.approx(sum(said.losses.tolist()) / images)
    brier = sum(
        sum((share - (number == truth)) ** 2 for number, share in enumerate(row))
        for truth, row in zip(labels, rows, strict=True)
    )
    assert result.brier == pytest.approx(brier / images, abs=1e-6)

    recalls = []
    for number, each in enumerate(result.per_class):
        of = sum(truth == number for truth in labels)
        given_to = sum(answer == number for answer in answers)
        hits = pairs.count((number, number))
        assert (each.name, each.images, each.predictions) == (names[number], of, given_to)
        assert each.accuracy == (pytest.approx(hits / of) if of else None)
        assert each.precision == (pytest.approx(hits / given_to) if given_to else None)
        if of and given_to and hits:
            harmonic = 2 / (1 / each.accuracy + 1 / each.precision)
            assert each.f1 == pytest.approx(harmonic)
        elif of or given_to:
            assert each.f1 == 0
        else:
            assert each.f1 is None
        recalls += [hits / of] if of else []
        assert [pairs.count((number, other)) for other in range(count)] == list(result.confusion[number])
    assert result.balanced_accuracy == pytest.approx(sum(recalls) / len(recalls))

    error, seen = 0.0, 0
    for each in result.calibration:
        inside = [
            (row[answer], truth == answer)
            for row, (truth, answer) in zip(rows, pairs, strict=True)
            if each.low < row[answer] <= each.high
        ]
        assert each.images == len(inside)
        seen += len(inside)
        if inside:
            sure, right = (sum(values) / len(inside) for values in zip(*inside, strict=True))
            assert each.confidence == pytest.approx(sure)
            assert each.accuracy == pytest.approx(right)
            error += len(inside) / images * abs(sure - right)
    assert seen == images
    assert len(result.calibration) == 15
    assert result.calibration_error == pytest.approx(error)

    text = json.dumps(result.to_dict(), allow_nan=False)
    assert json.loads(text)["per_class"][0]["name"] == "class 0"
    for low, high in (result.balanced_interval, result.calibration_interval, result.loss_interval):
        assert 0 <= low <= high


def test_summary_of_known_answers(dataset):
    split = dataset.splits["test"]
    labels = np.asarray(split.labels)
    probabilities = np.full((24, 3), 0.1, np.float32)
    answers = labels.copy()
    answers[:2] = [1, 2]  # two bars taken for a disc and a frame
    probabilities[np.arange(24), answers] = 0.8
    probabilities[1, 2] = 0.9
    said = Predictions(labels, probabilities, np.full(24, 0.3, np.float32))
    result = summarize(said, split, name="test", classes=dataset.classes)
    assert result.accuracy == 22 / 24
    assert result.interval == wilson_interval(22, 24)
    assert result.confusion == ((6, 1, 1), (0, 8, 0), (0, 0, 8))
    assert result.top5 == 1
    assert result.balanced_accuracy == pytest.approx((6 / 8 + 1 + 1) / 3)
    assert result.loss == pytest.approx(0.3)
    assert result.loss_interval == pytest.approx((0.3, 0.3))
    bar = result.per_class[0]
    assert (bar.accuracy, bar.precision, bar.f1) == (0.75, 1.0, pytest.approx(6 / 7))
    assert bar.interval == wilson_interval(6, 8)
    assert bar.precision_interval == wilson_interval(6, 6)
    assert [(mistake.truth, mistake.predicted) for mistake in result.mistakes] == [
        ("bar", "frame"),
        ("bar", "disc"),
    ]
    picture = Image.open(io.BytesIO(base64.b64decode(result.mistakes[0].thumbnail)))
    assert np.array_equal(np.asarray(picture), split.image(1)[:, :, 0])


@given(st.integers(1, 5000), st.data())
def test_intervals_hold_the_share(total, data):
    right = data.draw(st.integers(0, total))
    low, high = wilson_interval(right, total)
    assert 0 <= low <= right / total + 1e-12
    assert right / total - 1e-12 <= high <= 1
    assert high - low < 1


def test_probabilities_on_an_edge_belong_to_the_lower_bin():
    table = reliability(np.array([0.0, 0.2, 0.4, 1.0]), np.array([True, True, False, False]), bins=5)
    assert [each.images for each in table] == [2, 1, 0, 0, 1]
    assert table[0].accuracy == 1
    assert table[0].interval == wilson_interval(2, 2)
    assert table[2].accuracy is table[2].confidence is table[2].interval is None


def test_ties_are_broken_by_the_order_of_the_classes():
    even = np.full((3, 4), 0.25)
    assert ranks(even, np.array([0, 2, 3])).tolist() == [0, 2, 3]


def test_brier_of_the_surest():
    sure = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert brier_score(sure, np.array([0, 0])) == 0
    assert brier_score(sure, np.array([1, 1])) == 2


def test_resamples_come_from_the_seed():
    first, second = (np.stack(list(resamples(20, seed=3, times=50))) for _ in range(2))
    assert np.array_equal(first, second)
    assert (first.sum(1) == 20).all()
    assert not np.array_equal(first, np.stack(list(resamples(20, seed=4, times=50))))


def test_a_class_that_no_resample_drew_does_not_count():
    labels, right = np.array([0, 0, 1]), np.array([True, False, True])
    assert balanced_accuracy(labels, right, counts=np.array([2, 1, 0])) == pytest.approx(2 / 3)


def test_the_bootstrap_of_a_mean_is_as_wide_as_theory_says():
    values = np.random.default_rng(0).normal(3, 2, 4000)
    means = [counts @ values / 4000 for counts in resamples(4000, seed=1)]
    low, high = bootstrap_interval(float(values.mean()), means)
    spread = 1.96 * values.std() / math.sqrt(4000)
    assert low == pytest.approx(values.mean() - spread, abs=0.1 * spread)
    assert high == pytest.approx(values.mean() + spread, abs=0.1 * spread)


def test_the_calibration_interval_covers_the_true_error():
    """A network that says p and is right in p^2 of the cases: its true error is known, its measured one too high."""
    random = np.random.default_rng(0)
    many = random.beta(5, 1, 1_000_000)
    true = calibration_error(many, many**2, bins=15)
    covered, trials = 0, 60
    for _ in range(trials):
        sure = random.beta(5, 1, 1000)
        right = random.random(1000) < sure**2
        drawn = [
            calibration_error(np.repeat(sure, counts), np.repeat(right, counts))
            for counts in resamples(1000, seed=0, times=200)
        ]
        low, high = bootstrap_interval(calibration_error(sure, right), drawn)
        covered += low <= true <= high
    assert covered >= 0.85 * trials


def test_chance_alone_explains_the_error_of_a_calibrated_network():
    random = np.random.default_rng(0)
    sure = random.beta(5, 1, 500)
    errors = [calibration_error(sure, random.random(500) < sure) for _ in range(200)]
    assert chance_error(sure, seed=1) == pytest.approx(np.mean(errors), rel=0.1)
    assert chance_error(np.ones(10), seed=0) == 0
