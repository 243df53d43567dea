"""Which law a run goes by: the paper's, unless another is better by more than the noise."""

import json
from dataclasses import replace

import numpy as np
import pytest

from allometry.base import RunFolderError
from allometry.base.files import read_lines
from allometry.catalog import get
from allometry.cost import count
from allometry.nas import LawTrial, Point, grid, try_laws, write_correct
from allometry.nas.law_choice import SURE

B0 = get("efficientnet-b0")
IMAGES = 800


def make_points(number=5):
    networks = [replace(B0, resolution=32 * (place + 1)) for place in range(number)]
    return [Point(law, network, count(network)) for law, network in zip(grid(), networks, strict=False)]


PRIOR = 4  # of the grid: the last one is nearest to the paper's


class Trainings:
    """Trainings whose accuracy is known, by place and seed; all but it is drawn."""

    def __init__(self, points, accuracy, *, halt_at=99):
        self.points, self.accuracy, self.halt_at, self.ran = points, accuracy, halt_at, []

    def __call__(self, point, seed, _folder):
        if len(self.ran) == self.halt_at:
            raise KeyboardInterrupt
        place = self.points.index(point)
        self.ran.append((place, seed))
        correct = np.random.default_rng((place, seed)).random(IMAGES) < self.accuracy(place, seed)
        return LawTrial(point, seed, float(correct.mean()), 1.0, 2, 1.5, 100, write_correct(correct))


def choose(folder, accuracy, *, points=None, **more):
    points = points or make_points()
    trained = Trainings(points, accuracy)
    return try_laws(points, trained, folder=folder, seeds=(3, 4), images=IMAGES, **more), trained.ran


def test_where_no_law_is_ahead_the_papers_is_kept_after_one_seed(tmp_path):
    choice, ran = choose(tmp_path, lambda place, _seed: 0.5 if place == PRIOR else 0.45)
    assert ran == [(place, 3) for place in range(5)]
    assert not choice.switched
    assert (choice.point.law.alpha, choice.point.law.gamma) == (1.2, 1.15)
    assert choice.rival is not None
    assert choice.difference.ahead < 0
    assert [line["chosen"] for line in read_lines(tmp_path / "trials.jsonl")] == [False] * 4 + [True]


def test_a_law_that_is_much_better_with_both_seeds_is_taken(tmp_path):
    choice, ran = choose(tmp_path, lambda place, _seed: 0.6 if place == 1 else 0.45)
    assert ran[5:] == [(1, 4), (PRIOR, 4)]
    assert choice.switched
    assert choice.seeds == 2
    assert choice.difference.ahead == pytest.approx(0.15, abs=0.05)
    chosen = [line["seed"] for line in read_lines(tmp_path / "trials.jsonl") if line["chosen"]]
    assert chosen == [3, 4]


def test_one_lucky_seed_does_not_switch(tmp_path):
    choice, ran = choose(tmp_path, lambda place, seed: 0.6 if (place, seed) == (1, 3) else 0.45)
    assert len(ran) == 7
    assert not choice.switched
    assert choice.seeds == 2


def test_images_that_come_in_groups_tell_less(tmp_path):
    """A law that has all of one author's drawings right, and is no better on the others."""
    points, groups = make_points(), np.arange(IMAGES) // 80

    def run(point, seed, _folder):
        correct = np.random.default_rng(seed).random(IMAGES) < 0.3
        if points.index(point) == 0:
            correct = correct | (groups == 0)
        return LawTrial(point, seed, float(correct.mean()), 1.0, 2, 1.5, 100, write_correct(correct))

    arguments = {"seeds": (0, 1), "images": IMAGES}
    by_image = try_laws(points, run, folder=tmp_path, **arguments)
    (tmp_path / "trials.jsonl").unlink()
    by_group = try_laws(points, run, folder=tmp_path, groups=groups, **arguments)
    assert by_image.switched
    assert not by_group.switched
    assert by_group.difference.noise > 2 * by_image.difference.noise


def test_a_stopped_choice_goes_on_and_ends_with_the_same(tmp_path):
    def accuracy(place, _seed):
        return 0.6 if place == 1 else 0.45

    whole, ran = choose(tmp_path / "whole", accuracy)
    points = make_points()
    for halt_at in (2, 4, 6):
        folder = tmp_path / str(halt_at)
        arguments = {"folder": folder, "seeds": (3, 4), "images": IMAGES}
        with pytest.raises(KeyboardInterrupt):
            try_laws(points, Trainings(points, accuracy, halt_at=halt_at), **arguments)
        rest = Trainings(points, accuracy)
        again = try_laws(points, rest, **arguments)
        assert rest.ran == ran[halt_at:]
        assert (again.point.law, again.difference) == (whole.point.law, whole.difference)
        assert read_lines(folder / "trials.jsonl") == read_lines(tmp_path / "whole" / "trials.jsonl")


def test_a_trial_that_does_not_say_what_it_had_right_is_told(tmp_path):
    choose(tmp_path, lambda _place, _seed: 0.5)
    lines = read_lines(tmp_path / "trials.jsonl")
    text = "".join(json.dumps(line | {"correct": "ff"}) + "\n" for line in lines)
    (tmp_path / "trials.jsonl").write_text(text)
    with pytest.raises(RunFolderError, match=r"trials\.jsonl is damaged: it does not say which of 800"):
        choose(tmp_path, lambda _place, _seed: 0.5)


def test_a_single_law_is_taken_without_a_rival(tmp_path):
    choice, ran = choose(tmp_path, lambda _place, _seed: 0.5, points=make_points(1))
    assert (choice.rival, choice.switched, len(ran)) == (None, False, 1)


def test_laws_that_are_no_better_are_seldom_taken(tmp_path):
    """By chance alone: the best of four equals is mostly tried once more, and then mostly left."""
    points, choices = make_points(), []
    for number in range(60):

        def run(point, seed, _folder, number=number):
            correct = np.random.default_rng((points.index(point), seed, number)).random(200) < 0.5
            return LawTrial(point, seed, float(correct.mean()), 1.0, 2, 1.5, 100, write_correct(correct))

        folder = tmp_path / str(number)
        folder.mkdir()
        choices.append(try_laws(points, run, folder=folder, seeds=(0, 1), images=200))
    assert sum(choice.seeds == 2 for choice in choices) > 20
    assert sum(choice.switched for choice in choices) < 10
    assert all(
        choice.difference.ahead > SURE * choice.difference.noise for choice in choices if choice.switched
    )
