"""Growth in steps during a training: how it is written, and what networks it comes to."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from allometry.arch import MBConv, Stage, apply_multipliers
from allometry.base import BudgetError, InputError
from allometry.catalog import get
from allometry.cost import count, parse_budget
from allometry.scaling import DEPTH, grows_into, growth_networks, parse_growth, resized_network, shrinks_into

B0 = get("efficientnet-b0")
TINY = replace(apply_multipliers(B0, width=0.25), resolution=32)


def test_budgets_with_commas_of_their_own_end_with_their_epoch() -> None:
    steps = parse_growth(" macs<=2x , params<=1M@ 3,4x@10", count(B0))
    assert [step.epoch for step in steps] == [3, 10]
    assert [limit.measure.name for limit in steps[0].budget.limits] == ["macs", "params"]
    assert steps[1].budget.limits[0].most == 4 * count(B0).macs


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("5M", "'5M' has no epoch"),
        ("5M@2, 10M", "'10M' has no epoch"),
        ("", "'' has no epoch"),
        ("5M@two", "the epoch 'two' is no whole number"),
        ("5M@2.5", r"the epoch '2\.5' is no whole number"),
        ("5M@1", "the first network has epoch 1"),
        ("5M@0", "the first network has epoch 1"),
        ("5M@4,10M@4", "the step before begins at epoch 4"),
        ("latency<=2ms@3", "limits what is measured on a device"),
    ],
)
def test_what_is_no_growth_is_one_sentence(text: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        parse_growth(text)


def test_a_multiple_of_nothing_and_other_types_are_refused() -> None:
    with pytest.raises(BudgetError, match="is a multiple, but of what"):
        parse_growth("2x@3")
    with pytest.raises(InputError, match="A growth is a text, not a int"):
        parse_growth(3)  # type: ignore[arg-type]


def test_each_network_grows_into_the_next_one_even_where_budgets_are_near() -> None:
    text = "1.2x@2, 1.4x@3, 1.7x@4, 2x@5, 3x@6"
    steps = parse_growth(text, count(TINY))
    networks = (TINY, *growth_networks(TINY, steps))
    assert all(grows_into(old, new) for old, new in pairwise(networks))
    assert all(step.budget.allows(count(network)) for step, network in zip(steps, networks[1:], strict=True))


def test_the_law_and_the_largest_image_are_kept() -> None:
    steps = parse_growth("2x@2", count(TINY))
    (deep,) = growth_networks(TINY, steps, law=DEPTH)
    assert (deep.resolution, deep.stem) == (TINY.resolution, TINY.stem)
    assert deep.depth > TINY.depth
    (grown,) = growth_networks(TINY, steps, largest_resolution=32)
    assert grown.resolution == 32


def test_a_training_does_not_shrink() -> None:
    with pytest.raises(InputError, match=r"at epoch 4 has .* grows from small to large; raise the budget"):
        growth_networks(TINY, parse_growth("2x@2, 1.5x@4", count(TINY)))


def test_a_residual_that_comes_or_goes_is_no_growth() -> None:
    plain = replace(TINY, stages=(Stage(block=MBConv(channels=8)), Stage(block=MBConv(channels=16))))
    same = replace(TINY, stages=(Stage(block=MBConv(channels=16)), Stage(block=MBConv(channels=16))))
    assert grows_into(plain, replace(plain, resolution=40))
    assert not grows_into(plain, same)
    assert not grows_into(plain, plain)


@pytest.mark.parametrize("budget", ["0.25x", "0.5x", "1.3x", "2x", "4x"])
def test_a_trained_network_is_resized_in_one_direction(budget: str) -> None:
    limit = parse_budget(budget, count(TINY))
    network = resized_network(TINY, limit)
    assert limit.allows(count(network))
    assert limit.use(count(network)) > 0.8
    assert grows_into(TINY, network) == (limit.allows(count(TINY)))
    assert shrinks_into(TINY, network) == (not limit.allows(count(TINY)))


def test_a_network_of_the_budgets_size_stays() -> None:
    found = resized_network(TINY, parse_budget("1x", count(TINY)))
    assert found == TINY
