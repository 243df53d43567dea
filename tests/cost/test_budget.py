import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allometry.base import BudgetError
from allometry.base.units import format_duration, format_quantity, parse_quantity
from allometry.catalog import get
from allometry.cost import Budget, Limit, RuntimeConfig, as_budget, count, parse_budget, runtime_config_for

B0 = count(get("efficientnet-b0"))


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("400M", [("macs", 400_000_000)]),
        ("macs<=400M", [("macs", 400_000_000)]),
        (" macs <= 0.39B , params<=5M", [("macs", 390_000_000), ("params", 5_000_000)]),
        ("memory<=512MB", [("memory", 512_000_000)]),
        ("memory<=512MiB", [("memory", 512 * 2**20)]),
        ("activations<=6e6", [("activations", 6_000_000)]),
        ("latency<=20ms", [("latency", 0.02)]),
        ("latency<=0.5 s, params<=5M", [("latency", 0.5), ("params", 5_000_000)]),
        ("latency<=250us", [("latency", 0.00025)]),
        ("4x", [("macs", 4 * B0.macs)]),
        ("params<=2x,macs<=0.5x", [("params", 2 * B0.params), ("macs", B0.macs // 2)]),
        ("1", [("macs", 1)]),
    ],
)
def test_budgets_as_people_write_them(text, limits):
    assert parse_budget(text, B0) == Budget(tuple(Limit(*limit) for limit in limits))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "Cannot read the budget"),
        ("fast", "not a quantity"),
        ("10Q", "'Q' is not a known suffix"),
        ("accuracy<=1", "cannot limit 'accuracy'; possible: params, macs, activations, memory, latency"),
        ("latency<=20", "'20' needs a unit: s, ms or us"),
        ("latency<=2x", "a multiple of a latency that nobody measured"),
        ("latency<=0ms", "allows nothing"),
        ("macs>=10M", "Cannot read the budget"),
        ("10M,20M", "limits macs twice"),
        ("0", "allows nothing"),
        ("-5M", "not a quantity"),
        ("nan", "not a quantity"),
        ("macs<=1_000", "'1_000' is not a quantity"),
        ("\uff14\uff10\uff10M", "not a quantity"),
        ("macs<=1e400", "1e400 is beyond all bounds"),
        ("macs<=1e27T", "1e27 is beyond all bounds"),
        ("macs<=" + 5000 * "9", "is beyond all bounds"),
        (5000 * "9" + "x", "is beyond all bounds"),
        (60 * "9" + "x", "times as much is beyond all bounds"),
        ("latency<=1e-26ms", "1e-26 is beyond all bounds"),
        ("params<=5,000,000", "commas stand between limits"),
        ("params<=1,500k", "commas stand between limits"),
        ("latency<=2,5ms", "commas stand between limits"),
        (5000 * "x", "not a quantity"),
    ],
)
def test_other_texts_get_a_sentence(text, says):
    with pytest.raises(BudgetError, match=says) as refused:
        parse_budget(text, B0)
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize("most", [0, -1, math.nan, math.inf, "400M", True, None])
def test_a_limit_is_a_positive_number(most):
    with pytest.raises(BudgetError, match="The limit of macs must be a positive number, in ones, not"):
        Limit("macs", most)


@pytest.mark.parametrize(
    "text", ["macs<=1e27", "latency<=1e-27s", "params<=0.123456789e27", "macs<=999999999999999T"]
)
def test_the_largest_and_the_smallest_read_back(text):
    budget = parse_budget(text)
    assert parse_budget(budget.exact()) == budget


def test_a_multiple_needs_a_reference():
    with pytest.raises(BudgetError, match="a multiple, but of what"):
        parse_budget("4x")


def test_a_budget_is_itself_or_its_text():
    budget = parse_budget("4x", B0)
    assert as_budget(budget) is budget
    assert as_budget("4x", B0) == budget
    with pytest.raises(BudgetError, match="expected, not a int"):
        as_budget(400)


def test_a_budget_is_exact_at_its_limit():
    assert Budget((Limit("macs", B0.macs),)).allows(B0)
    assert not Budget((Limit("macs", B0.macs - 1),)).allows(B0)
    assert Budget((Limit("macs", 2 * B0.macs), Limit("params", B0.params))).use(B0) == 1


@given(st.integers(1, 10**15))
def test_quantities_are_read_exactly(value):
    assert parse_quantity(str(value)) == value
    assert parse_quantity(f"{value}k") == 1000 * value


@given(st.floats(1, 1e14))
def test_written_quantities_are_near(value):
    assert parse_quantity(format_quantity(round(value))) == pytest.approx(value, rel=0.006, abs=0.5)


def test_durations():
    assert [format_duration(s) for s in (0, 9.99, 59.4, 59.6, 3600)] == [
        "0.0 s",
        "10.0 s",
        "59 s",
        "1 min 00 s",
        "1 h 00 min",
    ]


def test_a_latency_is_not_counted():
    with pytest.raises(BudgetError, match="not counted but measured"):
        parse_budget("latency<=20ms").allows(B0)
    assert parse_budget("latency<=20ms").use(B0.with_readings({"latency": 0.01})) == 0.5


@pytest.mark.parametrize("text", ["latency<=20ms,params<=5M", "latency<=123us", "memory<=512MB"])
def test_a_budget_reads_back_exactly(text):
    budget = parse_budget(text)
    assert parse_budget(budget.exact()) == budget


def test_a_quarter_of_a_latency_is_not_rounded():
    assert parse_budget("latency<=2ms").times(0.25).limits[0].most == 0.0005


def test_where_a_budget_is_measured():
    assert runtime_config_for(parse_budget("macs<=1G, memory<=1GB")) is None
    assert runtime_config_for(parse_budget("memory<=1GB"), runtime="torch", threads=2) == RuntimeConfig(
        runtime="torch", threads=2
    )
    with pytest.raises(BudgetError, match="limits none of them: leave the runtime out"):
        runtime_config_for(parse_budget("macs<=1G"), runtime="torch")
