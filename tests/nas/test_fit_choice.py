"""Which law a fit takes from its trainings, and how the report and the command line tell it."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from allometry.base import SearchError
from allometry.catalog import get
from allometry.cost import Cost, count
from allometry.nas import Point, write_correct
from allometry.nas.fit_result import choose_law
from allometry.nas.fit_setup import FitConfig
from allometry.nas.law_trials import GridTrainingResult
from allometry.reports.fit import fit_section
from allometry.runs import FitResult, SizeAccuracy, TrainedLaw
from allometry.scaling import COMPOUND, Shares, shares_of, spread_out

IMAGES = 500
B0 = get("efficientnet-b0")


class Val:
    def __init__(self, groups):
        self.groups = groups

    def __len__(self):
        return IMAGES


def make_setup(config=FitConfig(), groups=None):
    points = tuple(Point(law, replace(B0, name=str(law)), count(B0)) for law in config.laws)
    return SimpleNamespace(
        grown=SimpleNamespace(points=points),
        config=config,
        images=SimpleNamespace(dataset=SimpleNamespace(splits={"val": Val(groups)})),
    )


def result(accuracy, seed, *, diverged=False):
    correct = np.random.default_rng(seed).random(IMAGES) < accuracy
    return GridTrainingResult(
        accuracy=float(correct.mean()),
        loss=1.0,
        epochs=1,
        seconds=1.0,
        images=10,
        correct=write_correct(correct),
        diverged=diverged,
    )


def trained(setup, places, accuracy, **more):
    return {
        place: [
            result(accuracy(shares_of(setup.grown.points[place].law)), 100 * place + seed, **more)
            for seed in (0, 1)
        ]
        for place in places
    }


def dome(shares, top=(0.2, 0.3, 0.5), fall=0.6):
    return 0.8 - fall * sum((one - other) ** 2 for one, other in zip(shares, top, strict=True))


def test_the_middle_of_the_region_is_near_the_top_and_laws_far_away_are_told_from_it():
    setup = make_setup()
    places = spread_out([shares_of(point.law) for point in setup.grown.points], 16)
    choice = choose_law(setup, trained(setup, places, dome))
    assert len(choice.candidates) == len(setup.grown.points)
    assert choice.surface.degree == 2
    assert 1 <= len(choice.near_best) < 12
    assert sum((a - b) ** 2 for a, b in zip(shares_of(choice.law), (0.2, 0.3, 0.5), strict=True)) < 0.05
    assert choice.law.growth == pytest.approx(2)
    deepest = max(choice.candidates, key=lambda place: setup.grown.points[place].law.alpha)
    assert deepest not in choice.near_best


def test_laws_that_are_all_alike_are_not_told_apart():
    setup = make_setup()
    choice = choose_law(setup, trained(setup, range(22), lambda _shares: 0.6))
    assert len(choice.near_best) > 5


def test_a_law_that_diverged_is_left_out_and_all_of_them_are_an_error():
    setup = make_setup()
    results = trained(setup, range(10), dome)
    results[3] = [result(0.0, 1, diverged=True), result(0.9, 2)]
    assert choose_law(setup, results) == choose_law(
        setup, {place: some for place, some in results.items() if place != 3}
    )
    with pytest.raises(SearchError, match="trainings of all laws diverged"):
        choose_law(setup, trained(setup, range(4), dome, diverged=True))


def test_two_laws_are_compared_without_a_surface():
    setup = make_setup(FitConfig(alphas=(1.0, 2.0), gammas=(1.0,)))
    places = range(len(setup.grown.points))
    apart = choose_law(setup, trained(setup, places, lambda shares: 0.3 + 0.5 * shares.depth))
    assert apart.surface is None
    assert apart.law.alpha == 2
    alike = choose_law(setup, {place: [result(0.5, 1), result(0.55, 2)] for place in places})
    assert shares_of(alike.law) == pytest.approx((0.5, 0.5, 0), abs=0.01)


def test_groups_make_the_noise_larger():
    places, groups = range(22), tuple(str(image // 50) for image in range(IMAGES))

    def alike(place, seed):
        few = np.random.default_rng((place, seed)).random(10) < 0.6
        correct = np.repeat(few, 50)
        return replace(result(0.5, 0), accuracy=float(correct.mean()), correct=write_correct(correct))

    results = {place: [alike(place, 0), alike(place, 0)] for place in places}
    plain, grouped = (choose_law(make_setup(groups=given), results) for given in (None, groups))
    assert grouped.standard_error > 4 * plain.standard_error


def fit_result(**more):
    law = TrainedLaw(
        law=COMPOUND,
        macs=1_000_000,
        params=1000,
        resolution=32,
        seeds=2,
        accuracy=0.7,
        interval=(0.65, 0.75),
        behind=(0.0, 0.0, 0.0),
        expected=0.71,
        near_best=True,
    )
    fields = {
        "data": "pets",
        "network": "net",
        "cost": Cost(1, 2, 3, 4),
        "law": COMPOUND,
        "region": Shares((0.1, 0.4), (0.2, 0.5), (0.3, 0.6))._asdict(),
        "near_best": 4,
        "laws": 22,
        "degree": 2,
        "misfit": 1.2,
        "standard_error": 0.01,
        "epochs": 3,
        "trained": (law, replace(law, accuracy=0.6, near_best=False, expected=None)),
        "sizes": (SizeAccuracy(macs=1e6, accuracy=0.6), SizeAccuracy(macs=2e6, accuracy=0.7)),
        "forecast": (SizeAccuracy(macs=4e6, accuracy=0.8, interval=(0.7, 0.9)),),
        "training_seconds": 1.0,
        "training_images": 10,
        "fraction_of_full": 0.1,
    }
    return FitResult(**(fields | more))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "Of 22 laws 4 may be the best; this is their middle."),
        ({}, "depth 10"),
        ({"near_best": 22}, "These images do not tell laws apart: all 22 lie within the noise"),
        ({"near_best": 1}, "Of 22 laws it is the only one that may be the best."),
        ({"degree": 1}, "The surface is a plane over the shares"),
        ({"degree": 0}, "They are too few for a surface between them"),
    ],
)
def test_the_report_says_how_sure_the_law_is(changes, told):
    section = fit_section(SimpleNamespace(result=fit_result(**changes)), prefix="run")
    text = "".join(str(part) for part in section.content)
    assert told in text
    assert FitResult.from_dict(fit_result(**changes).to_dict()) == fit_result(**changes)
