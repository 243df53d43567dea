"""What tau accuracies on few images allow, beside what a predictor that knows the truth gets; and who is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from allometry.base import InputError
from allometry.supernets import attainable_tau, evaluate_predictor, kendall_tau, refuse_unreliable


@pytest.mark.parametrize("images", [25, 100, 400, 4000])
@pytest.mark.parametrize("spread", [0.005, 0.02])
def test_it_is_what_one_who_knows_gets(images, spread):
    random = np.random.default_rng(images)
    good = random.normal(0.8, spread, (2000, 1))
    correct = random.binomial(images, good, (2000, 8))
    knows = kendall_tau(good[:, 0], correct.sum(1) / (8 * images))
    assert attainable_tau(correct) == pytest.approx(knows, abs=0.08)


def test_images_that_are_hard_for_all_take_nothing_from_it():
    random = np.random.default_rng(0)
    hard = random.uniform(0.3, 0.99, (1, 8, 200))
    good = random.normal(0, 0.05, (600, 1, 1))
    correct = (random.random((600, 8, 200)) < np.clip(hard + good, 0, 1)).sum(2)
    assert attainable_tau(correct) > 0.7


def test_where_all_are_equally_good_there_is_nothing_to_attain():
    random = np.random.default_rng(0)
    assert attainable_tau(random.binomial(100, 0.8, (1000, 8))) < 0.2
    assert attainable_tau(np.full((10, 2), 7)) == 0


@pytest.mark.parametrize("shape", [(2, 8), (10, 3), (10, 0), (10,)])
def test_what_cannot_be_halved_is_refused(shape):
    with pytest.raises(InputError, match="even number of parts"):
        attainable_tau(np.zeros(shape, np.int64))


def judged(tau: float, attainable: float | None):
    encodings = np.arange(10, dtype=np.int8)[:, None]
    return replace(
        evaluate_predictor(lambda encodings: encodings[:, 0] / 10, encodings, encodings[:, 0] / 10),
        tau=tau,
        attainable=attainable,
    )


@pytest.mark.parametrize(
    ("tau", "attainable", "trusted"),
    [
        (0.61, None, True),
        (0.59, None, False),
        (0.61, 0.99, True),
        (0.5, 0.54, True),
        (0.5, 0.6, False),
        (0.32, 0.3, True),
        (0.29, 0.1, False),
        (-0.1, 0.0, False),
    ],
)
def test_a_predictor_is_refused_unless_the_images_allow_little_more(tau, attainable, trusted):
    if trusted:
        refuse_unreliable(judged(tau, attainable))
        return
    with pytest.raises(InputError, match="too few networks in the right order") as refusal:
        refuse_unreliable(judged(tau, attainable))
    assert ("these images allow about" in str(refusal.value)) == (attainable is not None)
