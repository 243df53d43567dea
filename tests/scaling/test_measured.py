"""Solving where a device judges: networks that fit it, few readings, and an end in every case."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allometry.arch import digest
from allometry.base import BudgetError, InputError, MeasurementError
from allometry.catalog import get
from allometry.cost import Expectation, count, parse_budget
from allometry.scaling import COMPOUND, LAWS, smallest, solve

B0 = get("efficientnet-b0")


class Device:
    """Takes so long for MACs, elements and layers, and a little more or less for each network."""

    def __init__(self, *, moody: float = 0.0, slow: float = 1.0) -> None:
        self.moody, self.slow = moody, slow
        self.measured: list[str] = []

    def __call__(self, network) -> dict[str, float]:
        key, cost = digest(network), count(network)
        if key not in self.measured:
            self.measured.append(key)
        mood = 1 + self.moody * (2 * int(key[:8], 16) / 0xFFFFFFFF - 1)
        seconds = 2.2e-11 * cost.macs + 3e-10 * cost.activations + 5e-5 * network.depth
        return {"latency": self.slow * seconds * mood, "memory": 15_000_000 + 3 * cost.memory}


@pytest.mark.slow
@settings(max_examples=6)
@given(
    budget=st.floats(math.log(8e-4), math.log(0.3)).map(math.exp),
    law=st.sampled_from(["compound", "v2", "fast"]),
    moody=st.sampled_from([0.0, 0.03, 0.08]),
)
def test_what_is_found_fits_and_uses_most_of_the_budget(budget, law, moody):
    device = Device(moody=moody)
    solution = solve(B0, f"latency<={budget!r}s", law=LAWS[law], measure=device)
    reading = device(solution.network)
    assert solution.cost.latency == reading["latency"] <= budget
    assert solution.use == reading["latency"] / budget > 0.93
    assert len(device.measured) <= 12
    assert solution.network.name.startswith("efficientnet-b0 within latency <= ")


def test_few_readings_are_enough_where_the_device_is_even():
    for budget in ("2ms", "20ms", "100ms"):
        device = Device()
        solve(B0, f"latency<={budget}", measure=device)
        assert len(device.measured) <= 6


def test_counted_and_measured_limits_hold_together():
    solution = solve(B0, "latency<=40ms, params<=6M", measure=Device())
    assert solution.cost.params <= 6_000_000
    assert solution.cost.latency <= 0.04


def test_memory_is_what_the_device_says():
    device = Device()
    solution = solve(B0, "memory<=100MB", measure=device)
    assert 0.95e8 < solution.cost.memory == device(solution.network)["memory"] <= 1e8


def test_a_budget_of_counts_measures_nothing():
    device = Device()
    solve(B0, "macs<=1G", measure=device)
    assert not device.measured


def test_a_backbone_is_not_measured():
    device = Device()
    with pytest.raises(InputError, match="of a backbone is counted, but only whole"):
        solve(B0, "latency<=20ms", measure=device, features_only=True)
    solution = solve(B0, "macs<=1G", measure=device, features_only=True)
    assert not device.measured
    assert solution.cost == count(solution.network, features_only=True)


def test_an_impossible_latency_is_refused_with_the_smallest_one():
    device = Device()
    least = device(smallest(B0))["latency"]
    with pytest.raises(BudgetError, match=rf"the smallest took {1000 * least:.3g} ms here"):
        solve(B0, "latency<=10us", measure=device)
    assert len(device.measured) <= 2


def test_an_impossible_count_is_refused_before_anything_is_measured():
    device = Device()
    with pytest.raises(BudgetError, match="No network of this law meets macs"):
        solve(B0, "latency<=20ms, macs<=1k", measure=device)
    assert not device.measured


def test_readings_without_sense_end_in_a_sentence():
    numbers = iter(range(1, 10_000))

    def mad(network) -> dict[str, float]:
        return {"latency": 0.1 * next(numbers), "memory": 1_000_000}

    with pytest.raises(BudgetError, match="the smallest took"):
        solve(B0, "latency<=20ms", measure=mad)


def test_without_a_device_a_latency_cannot_be_solved_for():
    with pytest.raises(BudgetError, match="not counted but measured on a device"):
        solve(B0, "latency<=20ms")


def test_at_a_network_that_was_read_one_expects_the_reading():
    device = Device(moody=0.1)
    networks = [solve(B0, text, law=COMPOUND).network for text in ("100M", "400M", "1G")]
    expect = Expectation({network: device(network) for network in networks})
    for network in networks:
        assert expect(network).latency == pytest.approx(device(network)["latency"], rel=1e-6)
        assert replace(expect(network), memory=0, readings={}) == replace(count(network), memory=0)
    assert parse_budget("latency<=1s").allows(expect(B0))


def test_the_smallest_network_is_given_where_it_just_fits():
    device = Device()
    least = device(smallest(B0))["latency"]
    solution = solve(B0, f"latency<={1.005 * least!r}s", measure=device)
    assert solution.cost.latency <= 1.005 * least


@pytest.mark.parametrize("given", [0.011, {"seconds": 0.011}, (0.011, 5)])
def test_what_a_meter_must_give_is_told(given):
    with pytest.raises(MeasurementError, match=r"such as {'latency': 0.011}; it gave"):
        solve(B0, "latency<=20ms", measure=lambda _network: given)


def test_a_law_that_does_not_reach_the_budget_says_so():
    with pytest.raises(BudgetError, match="is not reached by growing"):
        solve(
            B0,
            "memory<=1TB",
            law=LAWS["depth"],
            measure=lambda _network: {"latency": 0.01, "memory": 1_000_000},
        )
