"""Average precision: that of scikit-learn, also where scores are equal; thresholds; what each image adds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_recall_curve

from allometry.training.metrics.labels import (
    Ranking,
    average_precision,
    best_thresholds,
    image_parts,
    mean_average_precision,
    precision_interval,
)

SCORES = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.floats(0, 1, width=32))


@st.composite
def judged(draw):
    """Labels of one class, with a positive at least, and scores, of which many are equal."""
    truth = draw(st.lists(st.booleans(), min_size=1, max_size=40).filter(any))
    scores = draw(st.lists(SCORES, min_size=len(truth), max_size=len(truth)))
    return np.array(truth, np.uint8), np.array(scores)


@given(judged())
def test_it_is_that_of_scikit_learn(case):
    truth, scores = case
    assert average_precision(truth, scores) == pytest.approx(average_precision_score(truth, scores))


@given(judged(), st.data())
def test_images_that_count_several_times_are_so_many_images(case, data):
    truth, scores = case
    counts = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(truth), max_size=len(truth))))
    ours = Ranking(truth, scores).average_precision(counts)
    repeated = np.repeat(truth, counts)
    if not repeated.any():
        assert np.isnan(ours)
        return
    assert ours == pytest.approx(average_precision_score(repeated, np.repeat(scores, counts)))


@given(judged())
def test_the_threshold_has_the_best_f1(case):
    truth, scores = case
    (threshold,) = best_thresholds(truth[:, None], scores[:, None])
    precision, recall, _ = precision_recall_curve(truth, scores)
    best = np.max(2 * precision * recall / np.maximum(precision + recall, 1e-12))
    given = scores >= threshold
    hits = (given & (truth > 0)).sum()
    assert 2 * hits / (given.sum() + truth.sum()) == pytest.approx(best)


def several(images=300, classes=5, seed=0):
    random = np.random.default_rng(seed)
    labels = (random.random((images, classes)) < 0.3).astype(np.uint8)
    return labels, np.round(random.random((images, classes)) * 0.7 + 0.3 * labels, 2)


def test_the_mean_is_over_the_labels_that_occur():
    labels, scores = several()
    assert mean_average_precision(labels, scores) == pytest.approx(average_precision_score(labels, scores))
    labels[:, 2] = 0
    kept = [0, 1, 3, 4]
    expected = average_precision_score(labels[:, kept], scores[:, kept])
    assert mean_average_precision(labels, scores) == pytest.approx(expected)
    assert mean_average_precision(labels * 0, scores) == 0.0
    assert best_thresholds(labels, scores)[2] == 1.0


def test_what_the_images_add_is_the_mean():
    labels, scores = several()
    labels[:, 2] = 0
    parts = image_parts(labels, scores)
    assert parts.mean() == pytest.approx(mean_average_precision(labels, scores))
    assert (parts[labels.sum(1) == 0] == 0).all()


@pytest.mark.slow
def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    """Of scores with a known precision, that of very many images."""
    truth = mean_average_precision(*several(images=100_000, seed=99))
    inside = 0
    for seed in range(20):
        low, high = precision_interval(*several(images=200, seed=seed))
        assert low < high
        inside += low <= truth <= high
    assert inside >= 16
