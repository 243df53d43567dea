"""Budgets of every measure, written, read and compared; and what a few readings let one expect of other networks."""

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from allometry.base import BudgetError
from allometry.base.units import SECONDS, format_quantity, parse_quantity, plural
from allometry.catalog import get
from allometry.cost import (
    MEASURES,
    Budget,
    Cost,
    Expectation,
    Limit,
    RuntimeConfig,
    as_budget,
    count,
    parse_budget,
    runtime_config_for,
)
from tests.strategies import networks

B0 = get("efficientnet-b0")


@st.composite
def budgets(draw: st.DrawFn) -> Budget:
    measures = draw(st.lists(st.sampled_from(tuple(MEASURES)), min_size=1, unique=True))
    whole, real = st.integers(1, 10**12), st.floats(1e-6, 100)
    return Budget(tuple(Limit(measure, draw(whole if measure.unit.whole else real)) for measure in measures))


costs = st.builds(
    Cost,
    params=st.integers(1, 10**12),
    macs=st.integers(1, 10**12),
    activations=st.integers(1, 10**12),
    memory=st.integers(1, 10**12),
    readings=st.fixed_dictionaries({"latency": st.floats(1e-6, 100)}),
)


@given(budgets())
def test_a_budget_reads_back_as_itself(budget):
    assert parse_budget(budget.exact()) == budget
    assert as_budget(budget) is budget
    assert as_budget(budget.exact()) == budget
    assert budget.measures == tuple(limit.measure for limit in budget.limits)


@given(budgets(), costs)
def test_a_cost_is_allowed_where_no_limit_is_exceeded(budget, cost):
    values = {limit.measure: getattr(cost, limit.measure.name) for limit in budget.limits}
    within = all(values[limit.measure] <= limit.most for limit in budget.limits)
    assert budget.allows(cost) == within
    assert budget.use(cost) == max(values[limit.measure] / limit.most for limit in budget.limits)
    if abs(budget.use(cost) - 1) > 1e-9:
        assert within == (budget.use(cost) < 1)


@given(budgets(), costs, st.floats(1, 1000))
def test_more_of_a_budget_allows_more(budget, cost, factor):
    assume(budget.allows(cost))
    assert budget.times(factor).allows(cost) or factor < 1.0 + 1e-9
    assert budget.times(1) == budget
    smaller = budget.times(1 / factor)
    assert all(small.most <= limit.most for small, limit in zip(smaller.limits, budget.limits, strict=True))
    assert all(limit.most > 0 for limit in smaller.limits)


@given(budgets())
def test_a_budget_for_people_names_every_measure(budget):
    text = str(budget)
    assert [part.split(" <= ")[0] for part in text.split(", ")] == [
        limit.measure.name for limit in budget.limits
    ]
    assert ("ms" in text or " s" in text or "us" in text) or "latency" not in text


@given(st.sampled_from(["macs", "params", "activations", "memory"]), st.floats(0.1, 50))
def test_multiples_are_of_the_reference(measure, factor):
    reference = count(B0)
    text = f"{measure}<={factor:.3f}x"
    (limit,) = parse_budget(text, reference).limits
    assert limit == Limit(measure, int(float(f"{factor:.3f}") * getattr(reference, measure)))


@pytest.mark.parametrize("value", [3, None, 4e6, ["10M"], {"macs": 1}])
def test_other_values_are_no_budget(value):
    with pytest.raises(BudgetError, match=f"not a {type(value).__name__}"):
        as_budget(value)


def test_a_budget_needs_a_limit():
    with pytest.raises(BudgetError, match="at least one limit"):
        Budget(())
    with pytest.raises(BudgetError, match="limits macs, params twice"):
        Budget(tuple(Limit(measure, 1) for measure in ("params", "macs", "macs", "params")))


@pytest.mark.parametrize(
    ("text", "runtime", "threads", "precision", "expected"),
    [
        ("latency<=1ms", None, 1, "float32", RuntimeConfig()),
        ("latency<=1ms, macs<=1G", None, 4, "float32", RuntimeConfig(threads=4)),
        ("latency<=1ms", "openvino", 1, "bfloat16", RuntimeConfig(runtime="openvino", precision="bfloat16")),
        ("memory<=1MB", "torch", 1, "float32", RuntimeConfig(runtime="torch")),
        ("memory<=1MB", None, 1, "float32", None),
        ("macs<=1M, params<=1M", None, 1, "float32", None),
    ],
)
def test_what_is_measured_follows_from_the_limits_and_from_a_runtime_that_is_named(
    text, runtime, threads, precision, expected
):
    found = runtime_config_for(parse_budget(text), runtime=runtime, threads=threads, precision=precision)
    assert found == expected


@pytest.mark.parametrize("options", [{"threads": 2}, {"precision": "bfloat16"}])
def test_settings_of_a_runtime_mean_nothing_where_all_is_counted(options):
    with pytest.raises(BudgetError, match="threads and precision mean nothing"):
        runtime_config_for(parse_budget("memory<=1MB"), **options)


@given(networks(), st.floats(1e-4, 10), st.integers(10**4, 10**9))
def test_an_expectation_is_the_reading_where_there_is_one(network, latency, memory):
    expect = Expectation({network: {"latency": latency, "memory": memory}})
    cost = expect(network)
    assert cost.latency == pytest.approx(latency)
    assert cost.memory == pytest.approx(memory, abs=1)
    assert replace(cost, memory=0, readings={}) == replace(count(network), memory=0)


@given(st.lists(st.integers(32, 320), min_size=1, max_size=4, unique=True), st.integers(32, 320))
def test_a_device_twice_as_slow_is_expected_to_take_twice_as_long(sizes, size):
    readings = {
        replace(B0, resolution=side): {"latency": 1e-6 * side**2, "memory": 1000 * side} for side in sizes
    }
    slow = {
        network: {name: 2 * value for name, value in reading.items()} for network, reading in readings.items()
    }
    network = replace(B0, resolution=size)
    one, two = Expectation(readings)(network), Expectation(slow)(network)
    assert two.latency == pytest.approx(2 * one.latency)
    assert two.memory == pytest.approx(2 * one.memory, abs=2)


@given(st.integers(33, 319))
def test_between_two_readings_an_expectation_is_between_them(size):
    ends = {
        replace(B0, resolution=32): {"latency": 0.001, "memory": 10**6},
        replace(B0, resolution=320): {"latency": 0.1, "memory": 10**8},
    }
    cost = Expectation(ends)(replace(B0, resolution=size))
    assert 0.001 <= cost.latency <= 0.1
    assert 10**6 <= cost.memory <= 10**8


@pytest.mark.parametrize(
    ("text", "unit", "expected"),
    [
        ("1k", "", 1000),
        ("2.5M", "", 2_500_000),
        ("1G", "", 10**9),
        ("0.39B", "", 390_000_000),
        ("1T", "", 10**12),
        ("1e3", "", 1000),
        ("64KiB", "B", 65536),
        ("1 GB", "B", 10**9),
        ("7", "B", 7),
    ],
)
def test_quantities_have_suffixes(text, unit, expected):
    assert parse_quantity(text, unit=unit) == expected


@pytest.mark.parametrize("text", ["", "M", "1.2.3", "-1", "1 2", "nan", "1MM", "one"])
def test_other_texts_are_no_quantity(text):
    with pytest.raises(ValueError, match=r"quantity|suffix"):
        parse_quantity(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("20ms", 0.02), ("1.5 s", 1.5), ("250us", 0.00025), ("1e1ms", 0.01)]
)
def test_durations_have_units(text, seconds):
    assert SECONDS.parse(text) == pytest.approx(seconds)


def test_words_of_a_count():
    assert format_quantity(0) == "0"
    assert plural(0, "image") == "0 images"
    assert plural(1, "class", "classes") == "1 class"
    assert plural(1234567, "image") == "1,234,567 images"
