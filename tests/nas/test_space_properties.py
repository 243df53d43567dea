"""Random spaces, many networks at once: encodings, costs, budgets, fronts and halving beside one network at a time."""

import itertools
import math
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allometry.arch import MBConv, Network, Space, Stage, members, sample
from allometry.base import InputError, ObjectiveError
from allometry.catalog import get, mbconv_space
from allometry.cost import Budget, Limit, count
from allometry.nas import (
    ABSENT,
    Halving,
    Objective,
    Trial,
    TrialOutcome,
    cross_encodings,
    encodings_of,
    front,
    mnasnet,
    mutate_encodings,
    network_of,
    parse_objectives,
    sample_encodings,
)
from allometry.nas.encodings import cleared
from allometry.nas.objectives import as_objectives
from allometry.nas.searchers.base import dominates
from allometry.nas.space_costs import SpaceCosts
from tests.arch.test_space import spaces

seeds = st.integers(0, 2**32 - 1)
values = st.tuples(st.integers(-3, 3), st.integers(-3, 3)).map(lambda pair: tuple(map(float, pair)))
COUNTED = ("macs", "params", "activations", "memory")


def few(space, seed: int, number: int = 6):
    random = Random(seed)
    return [sample(space, random) for _ in range(number)]


# Encodings


@settings(max_examples=40)
@given(spaces(), seeds)
def test_an_encoding_is_its_network(space, seed):
    networks = few(space, seed)
    encodings = encodings_of(space, networks)
    assert encodings.shape == (len(networks), len(space.choices))
    for encoding, network in zip(encodings, networks, strict=True):
        assert network_of(space, encoding) == network
        decisions = space.decisions_of(network)
        for choice, number in zip(space.choices, encoding.tolist(), strict=True):
            if number == ABSENT:
                assert choice.name not in decisions
            else:
                assert choice.options[number] == decisions[choice.name]
    assert (cleared(space, encodings) == encodings).all()


@settings(max_examples=40)
@given(spaces(), seeds, st.sampled_from(["network", "choice"]))
def test_what_is_drawn_varied_and_crossed_is_a_member(space, seed, by):
    random = np.random.default_rng(seed)
    one, other = (sample_encodings(space, random, 8, by=by) for _ in range(2))
    for encodings in (
        one,
        mutate_encodings(space, one, random),
        mutate_encodings(space, one, random, rate=1.0),
        cross_encodings(space, one, other, random),
    ):
        networks = [network_of(space, encoding) for encoding in encodings]
        assert all(space.contains(network) for network in networks)
        assert (encodings_of(space, networks) == encodings).all()
    assert (mutate_encodings(space, one, random, rate=0.0) == one).all()
    assert (cross_encodings(space, one, one, random) == one).all()
    again = sample_encodings(space, np.random.default_rng(seed), 8, by=by)
    assert (again == sample_encodings(space, np.random.default_rng(seed), 8, by=by)).all()


@settings(max_examples=30)
@given(spaces(), seeds)
def test_every_choice_of_a_child_comes_from_a_parent(space, seed):
    random = np.random.default_rng(seed)
    one, other = (sample_encodings(space, random, 8) for _ in range(2))
    child = cross_encodings(space, one, other, random)
    present = child != ABSENT
    assert ((child == one) | (child == other))[present].all()


@settings(max_examples=15)
@given(spaces())
def test_all_members_have_encodings_of_their_own(space):
    listed = list(members(space))
    encodings = encodings_of(space, listed)
    assert len(np.unique(encodings, axis=0)) == len(listed) == space.size


def test_encodings_hold_so_many_options_and_no_more():
    wide = mbconv_space(get("efficientnet-b0"), resolutions=range(32, 32 + 128))
    with pytest.raises(InputError, match="has 128 options; encodings hold at most 127"):
        sample_encodings(wide, np.random.default_rng(0), 1)
    small = mbconv_space(get("efficientnet-b0"), resolutions=(32, 64))
    with pytest.raises(InputError, match="by must be 'network' or 'choice', not 'depth'"):
        sample_encodings(small, np.random.default_rng(0), 1, by="depth")


# Costs and budgets


@settings(max_examples=30)
@given(spaces(), seeds)
def test_costs_of_many_are_those_of_each(space, seed):
    networks = few(space, seed)
    found = SpaceCosts(space, None)(encodings_of(space, networks))
    for measure in COUNTED:
        assert found[measure].tolist() == [getattr(count(network), measure) for network in networks]
    of_one = SpaceCosts(space, None).of(encodings_of(space, networks[:1])[0])
    assert {measure: of_one[measure] for measure in COUNTED} == {
        measure: getattr(count(networks[0]), measure) for measure in COUNTED
    }


@settings(max_examples=30)
@given(spaces(), seeds, st.sampled_from(COUNTED), st.floats(0.3, 1))
def test_a_filter_lets_through_what_its_budget_allows(space, seed, measure, share):
    networks = few(space, seed, 10)
    most = max(1, int(share * max(getattr(count(network), measure) for network in networks)))
    budget = Budget((Limit(measure, most),))
    allowed = SpaceCosts(space, None).within(budget)(encodings_of(space, networks))
    assert allowed.tolist() == [budget.allows(count(network)) for network in networks]
    assert SpaceCosts(space, None).within(None)(encodings_of(space, networks)).all()


# Fronts and halving


@given(values, values)
def test_one_dominates_where_it_is_nowhere_worse_and_somewhere_better(one, other):
    expected = all(a >= b for a, b in zip(one, other, strict=True)) and one != other
    assert dominates(one, other) == expected
    assert not (dominates(one, other) and dominates(other, one))


@given(st.lists(values, max_size=12))
def test_a_front_is_what_nothing_dominates_each_point_once(points):
    found = front(points)
    assert found == sorted(found)
    chosen = [points[place] for place in found]
    assert len(set(chosen)) == len(chosen)
    for place, point in enumerate(points):
        better = any(dominates(other, point) for other in points)
        assert (point in chosen) == (not better)
        if place in found:
            assert points.index(point) == place


@given(values, st.lists(values, max_size=12), st.floats(0.1, 0.9), st.integers(1, 6))
def test_halving_stops_what_too_many_before_it_surpass(point, before, share, least):
    halving = Halving(rungs=(1,), share=share, least=least)
    better = sum(all(a > b for a, b in zip(other, point, strict=True)) for other in before)
    stops = halving.stops(point, before)
    if len(before) < least or better == 0:
        assert not stops
    elif better == len(before) >= share * (len(before) + 1):
        assert stops
    # The worse is never let go on where the better stops.
    lower = tuple(each - 1 for each in point)
    assert not stops or halving.stops(lower, before)


# Objectives

names = st.sampled_from(["accuracy", "loss", "macs", "params", "latency"])
numbers = st.integers(1, 9).map(str)


def expressions() -> st.SearchStrategy[str]:
    def larger(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        pairs = st.tuples(parts, st.sampled_from(["+", "-", "*", "/"]), parts).map(
            lambda each: f"({' '.join(each)})"
        )
        calls = st.tuples(st.sampled_from(["min", "max"]), parts, parts).map(
            lambda each: f"{each[0]}({each[1]}, {each[2]})"
        )
        choices = st.tuples(parts, parts, parts, parts).map(
            lambda each: f"({each[0]} if {each[1]} <= {each[2]} else {each[3]})"
        )
        return pairs | calls | choices | parts.map(lambda each: f"-{each}")

    return st.recursive(names | numbers, larger, max_leaves=6)


METRICS = {"accuracy": 0.75, "loss": 0.5, "macs": 4e8, "params": 5e6, "latency": 0.02}


@given(expressions())
def test_an_expression_means_what_it_means_in_python(text):
    objective, refusal = None, ""
    try:
        objective = Objective(text)
    except ObjectiveError as error:
        refusal = str(error)
    if objective is None:
        worthless = ("no network is better than another", "cannot be worked out")
        assert any(words in refusal for words in worthless) or not any(name in text for name in METRICS)
        return
    try:
        expected = eval(text, {"min": min, "max": max, **METRICS})  # noqa: S307
    except ZeroDivisionError:
        expected = -math.inf
    found = objective(METRICS)
    assert found == pytest.approx(expected) or not math.isfinite(expected)
    assert objective.measures == {name for name in METRICS if name in text}
    assert str(objective) == text


@given(expressions(), st.lists(st.floats(0.01, 1), min_size=1, max_size=5))
def test_many_at_once_are_worth_what_each_is(text, accuracies):
    try:
        objective = Objective(text)
    except ObjectiveError:
        return
    arrays = {name: np.full(len(accuracies), value) for name, value in METRICS.items()}
    arrays["accuracy"] = np.array(accuracies)
    found = np.broadcast_to(objective(arrays), len(accuracies))
    each = [objective({**METRICS, "accuracy": accuracy}) for accuracy in accuracies]
    assert found == pytest.approx(each)


@given(st.floats(0.1, 1), st.floats(1e-3, 1))
def test_mnasnets_objective_bends_at_its_target(accuracy, latency):
    """Source: MnasNet, equation 2."""
    for soft, below, above in ((True, -0.07, -0.07), (False, 0, -1)):
        power = below if latency <= 0.075 else above
        objective = mnasnet("latency", "75ms", soft=soft)
        expected = accuracy * (latency / 0.075) ** power
        assert objective({"accuracy": accuracy, "latency": latency}) == pytest.approx(expected)


def test_objectives_come_as_text_and_as_values():
    one, two = parse_objectives("accuracy; -latency")
    assert as_objectives("accuracy; -latency") == (one, two) == as_objectives([one, two])
    assert as_objectives(one) == (one,)
    assert str(one) == "accuracy"


@given(
    st.dictionaries(names, st.floats(0, 1), max_size=3),
    st.integers(0, 9),
    st.lists(values, max_size=3).map(tuple),
    st.booleans(),
    st.sampled_from(["", "diverged"]),
)
def test_outcomes_survive_as_plain_values(metrics, epochs, rungs, stopped, failed):
    outcome = TrialOutcome(metrics=metrics, epochs=epochs, rungs=rungs, stopped=stopped, failed=failed)
    assert TrialOutcome.from_dict(outcome.to_dict()) == outcome
    trial = Trial(number=0, encoding=np.zeros(2, np.int8), values=(0.5,), outcome=outcome)
    assert trial.outcome.failed == failed


def test_a_search_space_of_two_choices_is_four_networks():
    space = mbconv_space(get("efficientnet-b0"), resolutions=(64, 96), widths=(0.5, 1.0))
    encodings = np.array(
        list(itertools.product(*(range(len(choice.options)) for choice in space.choices))), np.int8
    )
    networks = {network_of(space, encoding) for encoding in encodings}
    assert len(networks) == space.size == len(encodings)
    assert all(isinstance(stage.block, MBConv) for network in networks for stage in network.stages)


def test_a_space_without_choices_has_one_member_that_nothing_changes():
    space = Space(template=Network(stages=(Stage(block=MBConv(channels=8)),), resolution=16), choices=())
    random = np.random.default_rng(0)
    parents = sample_encodings(space, random, 3)
    for rate in (None, 0.5):
        assert (mutate_encodings(space, parents, random, rate=rate) == parents).all()
