import pytest

from allometry.arch import digest
from allometry.base import BudgetError, LawError
from allometry.catalog import get
from allometry.cost import Budget, Limit, count
from allometry.nas import grid, grid_points
from allometry.scaling import COMPOUND, Multipliers, ScalingLaw

B0 = get("efficientnet-b0")
IDENTITY = Multipliers(1, 1, 1)
TWICE = Budget((Limit("macs", 2 * count(B0).macs),))


def test_every_law_of_the_grid_doubles_the_cost():
    laws = grid()
    assert all(law.growth == pytest.approx(2) for law in laws)
    assert all(min(law.alpha, law.beta, law.gamma) >= 1 for law in laws)
    # The paper's law is on the grid, but for the rounding of its beta.
    assert any((law.alpha, law.gamma) == (1.2, 1.15) and abs(law.beta - 1.1) < 0.03 for law in laws)
    with pytest.raises(LawError, match="above 2"):
        grid((3.0,), (1.5,))


def test_points_cost_twice_the_baseline_and_differ():
    points = grid_points(B0, TWICE, start=IDENTITY)
    assert 4 <= len(points) <= len(grid())  # laws that round to one network count once
    assert all(point.cost.macs <= 2 * count(B0).macs for point in points)
    assert all(point.cost.macs > 1.98 * count(B0).macs for point in points)
    assert len({digest(point.network) for point in points}) == len(points)


def test_laws_that_round_to_one_network_are_tried_once():
    twins = [ScalingLaw(1.2, 1.1, 1.15), ScalingLaw(1.2000001, 1.1, 1.15)]
    points = grid_points(B0, TWICE, start=IDENTITY, laws=twins)
    assert [point.law for point in points] == [COMPOUND]


def test_laws_that_cannot_meet_the_budget_are_left_out_and_none_at_all_is_an_error():
    only_params = Budget((Limit("params", 2 * count(B0).params),))
    laws = [ScalingLaw(1, 1, 1.4), ScalingLaw(2, 1, 1)]
    assert [point.law for point in grid_points(B0, only_params, start=IDENTITY, laws=laws)] == [laws[1]]
    with pytest.raises(BudgetError):
        grid_points(B0, only_params, start=IDENTITY, laws=laws[:1])
