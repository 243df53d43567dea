"""What tau accuracies on few images allow, what is attained on fresh ones in a made world, and who is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from allometry.base import InputError
from allometry.catalog import get, mbconv_space
from allometry.data import ArraySplit
from allometry.nas import sample_encodings
from allometry.supernets import (
    attainable_tau,
    encode_options,
    evaluate_predictor,
    fit_predictor,
    kendall_tau,
    refuse_unreliable,
)
from allometry.supernets.accuracy_predictor import fit_and_judge
from allometry.supernets.validation_halves import (
    Half,
    PartSums,
    accuracies_by_loss,
    loss_is_better,
    validation_parts,
)


@pytest.mark.parametrize("images", [25, 100, 400, 4000])
@pytest.mark.parametrize("spread", [0.005, 0.02])
def test_it_is_what_one_who_knows_gets(images, spread):
    random = np.random.default_rng(images)
    good = random.normal(0.8, spread, (2000, 1))
    correct = random.binomial(images, good, (2000, 8))
    knows = kendall_tau(good[:, 0], correct[:, ::2].sum(1) / (4 * images))
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
        (0.45, 0.6, False),
        (0.4, 0.45, True),
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


@pytest.mark.parametrize(
    ("tau", "attainable", "true"),
    [(0.4, None, 0.4), (0.4, 1.0, 0.4), (0.4, 0.4, 1.0), (0.5, 0.4, 1.0), (-0.5, 0.4, -1.0), (0.3, 0.0, 0.0)],
)
def test_chance_is_taken_back_from_a_tau(tau, attainable, true):
    assert judged(tau, attainable).true_tau == pytest.approx(true)


# A world in which luck with an image depends on the network, as its options do

WORLD = mbconv_space(get("efficientnet-b0"), kernels=(3, 5), expand_ratios=(3, 6))
MEASURED, HELD, IMAGES = 450, 150, 100  # images of each of eight parts


class World:
    """Networks that are good by their options, and images that each favor some options and are hard for all."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.encodings = sample_encodings(WORLD, self.random, MEASURED, by="choice")
        features = encode_options(WORLD, self.encodings).astype(np.float64)
        self.features = features - features.mean(0)
        good = self.features @ self.random.normal(size=features.shape[1])
        self.good = 0.06 * good / good.std()

    def margins(self, images: int) -> np.ndarray:
        """How clearly each network has each image right, [MEASURED, images]."""
        luck = self.features @ self.random.normal(size=(self.features.shape[1], images))
        noise = self.random.normal(0, 0.2, (MEASURED, images))
        return self.good[:, None] + self.random.normal(0.8, 1, images) + 0.8 * luck / luck.std() + noise

    def accuracies(self, images: int) -> np.ndarray:
        """Of the networks held out, on fresh images."""
        return (self.margins(images) > 0).mean(1)[:HELD]

    def sums(self) -> PartSums:
        margins = self.margins(8 * IMAGES).reshape(MEASURED, 8, IMAGES)
        losses = np.logaddexp(0, -2 * margins).sum(2)
        return PartSums((margins > 0).sum(2).astype(np.float64), losses, np.full(8, IMAGES))


@pytest.fixture(scope="module")
def told():
    """Means over some worlds: what is told of a predictor, and what comes of it on images that nobody has seen."""
    rows = []
    for seed in range(4):
        world = World(seed)
        sums, held, known = world.sums(), world.encodings[:HELD], world.good[:HELD]
        _, quality = fit_and_judge(WORLD, world.encodings, sums, held_out=HELD, seed=0)
        first = Half(*(values[HELD:] for values in sums.half(0)))
        targets = accuracies_by_loss(first) if quality.target == "loss" else first.accuracies
        by_half = fit_predictor(WORLD, world.encodings[HELD:], targets)(held)
        by_all = fit_predictor(WORLD, world.encodings[HELD:], sums.half(None).accuracies[HELD:])(held)
        fresh, many = world.accuracies(4 * IMAGES), world.accuracies(8 * IMAGES)
        rows.append(
            {
                "told": quality.tau,
                "told to be attainable": quality.attainable,
                "told to be true": quality.true_tau,
                "fresh": kendall_tau(by_half, fresh),
                "attained by one who knows": kendall_tau(known, fresh),
                "true": kendall_tau(by_half, known),
                "the same images": kendall_tau(by_all, sums.half(None).accuracies[:HELD]),
                "as many fresh ones": kendall_tau(by_all, many),
                "one who knows, as many": kendall_tau(known, many),
            }
        )
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def test_on_the_same_images_a_predictor_looks_better_than_one_who_knows(told):
    assert told["the same images"] > told["as many fresh ones"] + 0.1
    assert told["the same images"] > told["one who knows, as many"] + 0.05


def test_what_is_told_comes_true_on_fresh_images(told):
    assert told["told"] == pytest.approx(told["fresh"], abs=0.06)
    assert told["told to be attainable"] == pytest.approx(told["attained by one who knows"], abs=0.04)
    assert told["fresh"] < told["told to be attainable"]
    assert told["told to be true"] == pytest.approx(told["true"], abs=0.08)


# Halves


def images(labels, groups=None) -> ArraySplit:
    number = len(labels)
    return ArraySplit(
        images=np.zeros((number, 8, 8, 1), np.uint8),
        labels=np.asarray(labels),
        names=tuple(map(str, range(number))),
        groups=groups,
    )


def test_halves_share_no_group_and_are_about_equal():
    random = np.random.default_rng(0)
    groups = tuple(f"author {place}" for place in random.integers(0, 30, 900) ** 2 // 40)
    split = images(random.integers(0, 5, 900), groups)
    parts = validation_parts(split, seed=1)
    assert len(set(zip(groups, parts.tolist(), strict=True))) == len(set(groups))
    assert (parts == validation_parts(split, seed=1)).all()
    assert (parts != validation_parts(split, seed=2)).any()
    assert 0.35 < (parts % 2).mean() < 0.65


def test_without_groups_each_class_is_dealt_out():
    parts = validation_parts(images(np.arange(96) % 6), seed=0)
    assert np.bincount(parts).tolist() == [12] * 8
    assert [(parts[place::6] % 2).sum() for place in range(6)] == [8] * 6


@pytest.mark.parametrize(
    ("groups", "parts"),
    [(("a",) * 9, 8), (tuple("abcabcabc"), 2), (tuple("ababababa"), 2), (tuple("abcdeabcd"), 4)],
)
def test_few_groups_make_few_parts_and_one_none(groups, parts):
    found = validation_parts(images(np.zeros(9, np.int64), groups), seed=0)
    assert len(set(found.tolist())) == parts == found.max() + 1


def test_a_few_images_make_few_parts_and_several_labels_are_no_matter():
    assert validation_parts(images([0, 1, 0]), seed=0).max() == 1
    several = np.eye(4, dtype=np.uint8)[np.arange(32) % 4]
    parts = validation_parts(images(several), seed=0)
    assert [(parts[place::4] % 2).sum() for place in range(4)] == [4] * 4
    with pytest.raises(InputError, match="one half of the validation images"):
        validation_parts(images([0]), seed=0)


def test_where_losses_mislead_accuracies_are_fitted_to():
    random = np.random.default_rng(0)
    good = random.normal(0.6, 0.05, 200)
    halves = tuple(
        Half(good + random.normal(0, 0.01, 200), good + random.normal(0, 1, 200)) for _ in range(2)
    )
    assert not loss_is_better(halves)
    assert accuracies_by_loss(Half(good, np.ones(200))) == pytest.approx(np.full(200, good.mean()))
