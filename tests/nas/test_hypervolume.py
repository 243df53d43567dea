"""The hypervolume: against counting, and what must hold of any."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allometry.base import InputError
from allometry.nas import NOTHING, hypervolume, hypervolumes, reference_point


def points(objectives: int):
    return st.lists(st.tuples(*[st.integers(-2, 5).map(float)] * objectives), max_size=8)


def counted(values: list[tuple[float, ...]], objectives: int) -> float:
    """How many cells of side 1 between 0 and 5 some point is above."""
    return sum(
        any(all(value >= corner + 1 for value, corner in zip(point, cell, strict=True)) for point in values)
        for cell in itertools.product(range(5), repeat=objectives)
    )


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_it_is_the_cells_that_are_counted_one_by_one(objectives):
    @settings(max_examples=40, deadline=None)
    @given(points(objectives))
    def check(values):
        assert hypervolume(values, (0.0,) * objectives) == pytest.approx(counted(values, objectives))

    check()


@settings(max_examples=40, deadline=None)
@given(points(3), st.permutations(range(8)), st.permutations(range(3)))
def test_it_depends_neither_on_the_order_of_points_nor_of_objectives(values, order, objectives):
    volume = hypervolume(values, (0.0, -1.0, -2.0))
    shuffled = [values[place] for place in order if place < len(values)]
    turned = [tuple(point[place] for place in objectives) for point in shuffled]
    reference = tuple((0.0, -1.0, -2.0)[place] for place in objectives)
    assert hypervolume(turned, reference) == pytest.approx(volume)


@settings(max_examples=40, deadline=None)
@given(points(2), points(2))
def test_more_points_and_better_ones_make_it_no_smaller(values, more):
    reference = (0.0, 0.0)
    volumes = hypervolumes(values + more, reference)
    assert volumes == sorted(volumes)
    assert volumes == [hypervolume((values + more)[: n + 1], reference) for n in range(len(volumes))]
    better = [(first + 1, second) for first, second in values]
    assert hypervolume(better, reference) >= hypervolume(values, reference)


def test_scaling_an_objective_scales_it_and_a_dominated_point_adds_nothing():
    values = [(0.8, -2e6), (0.6, -1e6), (0.5, -1.5e6)]
    volume = hypervolume(values, (0.4, -4e6))
    assert volume == pytest.approx(0.4 * 2e6 + 0.2 * 1e6)
    assert hypervolume(values[:2], (0.4, -4e6)) == volume
    assert hypervolume([(100 * one, two) for one, two in values], (40.0, -4e6)) == pytest.approx(100 * volume)


def test_what_is_worth_nothing_adds_nothing_and_there_may_be_no_point():
    assert hypervolume([], (0.0, 0.0)) == 0
    assert hypervolumes([(NOTHING, NOTHING), (1.0, 1.0)], (0.0, 0.0)) == [0.0, 1.0]
    assert reference_point([(NOTHING, NOTHING)]) is None
    assert reference_point([(1.0, 2.0), (NOTHING, NOTHING)]) == (0.9, 1.8)
    assert reference_point([(0.0, -1.0)]) == (-0.1, -1.1)


def test_the_ends_of_a_front_count_by_its_own_reference():
    values = [(0.5, -1.0), (0.75, -2.0), (0.875, -4.0)]
    point = reference_point(values)
    assert all(
        hypervolume([one for one in values if one != left], point) < hypervolume(values, point)
        for left in values
    )


def test_references_that_cannot_be_are_refused():
    with pytest.raises(InputError, match="must be finite numbers"):
        hypervolume([(1.0, 1.0)], (0.0, -math.inf))
    with pytest.raises(InputError, match="has 1 numbers"):
        hypervolume([(1.0, 1.0)], (0.0,))
