"""The surface over the shares of depth, width and resolution: what it finds, how sure it is, what it refuses."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allometry.base import LawError
from allometry.scaling import (
    COMPOUND,
    Expected,
    LawAccuracy,
    ScalingLaw,
    Shares,
    best_region,
    expected_accuracy,
    fit_surface,
    shares_of,
    spread_out,
)

GRID = [Shares(i / 6, j / 6, (6 - i - j) / 6) for i in range(7) for j in range(7 - i)]


BEST = Shares(0.25, 0.5, 0.25)


def truth(shares, fall=0.3):
    """A dome whose highest place is known."""
    return 0.8 - fall * math.dist(shares, BEST) ** 2


def measured(places, *, sigma=0.01, seed=0, of=truth):
    draw = random.Random(seed)
    return [
        LawAccuracy(
            shares=GRID[place],
            accuracy=of(GRID[place]) + draw.gauss(0, sigma),
            variance=max(sigma, 1e-4) ** 2,
        )
        for place in places
    ]


def test_a_known_best_is_found_and_between_laws_that_were_not_trained():
    surface = fit_surface(measured(spread_out(GRID, 9), sigma=0))
    assert surface.degree == 2
    assert surface.misfit < 1e-6
    for shares in GRID:
        assert expected_accuracy(surface, shares).accuracy == pytest.approx(truth(shares), abs=1e-9)
    region = best_region(GRID, [expected_accuracy(surface, shares) for shares in GRID])
    assert math.dist(GRID[region.best], BEST) < 0.13
    assert region.best in region.places


@pytest.mark.parametrize("number", [7, 9, 28])
def test_the_standard_error_covers_the_truth_as_often_as_it_says(number):
    places, inside, drawn = spread_out(GRID, number), 0, 0
    for seed in range(300):
        surface = fit_surface(measured(places, seed=seed))
        for place in (0, 3, 14, 20):
            expected = expected_accuracy(surface, GRID[place])
            inside += abs(expected.accuracy - truth(GRID[place])) < expected.standard_error
            drawn += 1
    # 68 % by the normal distribution; more where the misfit may only widen it
    assert 0.65 < inside / drawn < 0.82


def test_the_true_best_is_mostly_in_the_region_and_the_middle_is_nearer_than_the_best():
    """On a dome so flat that noise decides which law comes out best."""
    places, held, middle, best = spread_out(GRID, 9), 0, 0.0, 0.0
    top = max(range(len(GRID)), key=lambda place: truth(GRID[place]))
    for seed in range(200):
        surface = fit_surface(measured(places, seed=seed, sigma=0.03, of=lambda shares: truth(shares, 0.05)))
        region = best_region(GRID, [expected_accuracy(surface, shares) for shares in GRID])
        held += top in region.places
        middle += math.dist(region.middle, GRID[top])
        best += math.dist(GRID[region.best], GRID[top])
    assert held / 200 > 0.6
    assert middle < 0.8 * best


def test_laws_off_the_surface_widen_its_errors():
    def bumpy(shares):
        return truth(shares) + 0.05 * math.cos(6 * math.pi * shares.depth)

    plain, off = (fit_surface(measured(range(28), of=of)) for of in (truth, bumpy))
    assert off.misfit > 4 > plain.misfit
    assert (
        expected_accuracy(off, GRID[3]).standard_error
        > 1.9 * expected_accuracy(plain, GRID[3]).standard_error
    )


def test_few_laws_have_a_plane_and_those_on_a_line_none():
    corners = measured([0, 6, 27])
    assert fit_surface(corners).degree == 1
    line = [
        LawAccuracy(shares=Shares(share, 1 - share, 0), accuracy=0.7, variance=1e-4)
        for share in (0, 0.1, 0.2, 0.3, 0.5, 0.8, 1)
    ]
    for laws in (line, corners[:2], []):
        with pytest.raises(LawError, match="three trained laws or more that differ in two directions"):
            fit_surface(laws)
    # six laws that have a plane, but no quadratic: all of them on two lines
    assert fit_surface([*line, corners[0]]).degree == 1


@pytest.mark.parametrize("variance", [0, -1, math.nan, math.inf, "1"])
def test_a_variance_that_is_none_is_refused(variance):
    with pytest.raises(LawError, match="variance of a law's accuracy must be above 0"):
        LawAccuracy(shares=Shares(1, 0, 0), accuracy=0.5, variance=variance)


@given(st.lists(st.integers(0, 27), min_size=1, max_size=28, unique=True), st.integers(1, 30))
def test_spread_out_laws_are_distinct_and_in_order(kept, number):
    chosen = spread_out([GRID[place] for place in kept], number)
    assert list(chosen) == sorted(set(chosen))
    assert len(chosen) == min(number, len(kept))


def test_a_region_of_equals_has_them_all():
    region = best_region(GRID, [Expected(0.7, 0.01)] * len(GRID))
    assert region.places == tuple(range(len(GRID)))
    assert region.middle == pytest.approx((1 / 3, 1 / 3, 1 / 3))


@given(st.floats(0, 1), st.floats(0, 1), st.floats(1.1, 4))
def test_shares_and_laws_are_two_forms_of_one_thing(one, other, growth):
    depth, width = one * other, one * (1 - other)
    law = ScalingLaw.from_exponents(depth=depth, width=width, resolution=1 - one, growth=growth)
    assert law.growth == pytest.approx(growth)
    assert shares_of(law) == pytest.approx((depth, width, 1 - one), abs=1e-9)


def test_a_step_that_does_not_grow_is_refused():
    assert sum(shares_of(COMPOUND)) == pytest.approx(1)
    for growth in (1, 0.5, math.nan, "2"):
        with pytest.raises(LawError, match="growth of a step must be a number above 1"):
            ScalingLaw.from_exponents(depth=1, width=0, resolution=0, growth=growth)
