"""Sentences about wrong values, names that are alike, optional libraries, and processes that answer."""

import sys
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allometry.base import (
    AllometryError,
    BudgetError,
    DataError,
    InputError,
    LawError,
    MissingExtraError,
    NetworkError,
    RecipeError,
    RunFolderError,
    Stopped,
    StorageError,
    UnknownNameError,
)
from allometry.base.checks import check_choice, check_flag, check_integer, check_numbers, check_seed
from allometry.base.errors import MeasurementError, ObjectiveError, WeightsError
from allometry.base.extras import load_extra
from allometry.base.html import html_table
from allometry.base.machine import cores, half_the_cores, memory, processor
from allometry.base.processes import JsonProcess
from allometry.base.units import (
    SECONDS,
    format_duration,
    format_milliseconds,
    format_quantity,
    parse_quantity,
)
from allometry.cost import RuntimeConfig
from allometry.data import open_data
from allometry.nas.fit_setup import FitConfig
from allometry.nas.search_config import SearchConfig
from allometry.nas.searchers.controller import ControllerConfig
from allometry.nas.searchers.evolution import EvolutionConfig
from allometry.profiling.sampling import MeasureConfig
from allometry.profiling.tables import TableConfig
from allometry.supernets.accuracy_predictor import PredictorConfig
from allometry.supernets.pareto import ParetoConfig
from allometry.supernets.specialize import SpecializeConfig
from allometry.verbs.train import train


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: check_integer("epochs", 0, minimum=1), "epochs must be an integer of at least 1, not 0."),
        (lambda: check_integer("epochs", 2.0, minimum=1), "not 2.0"),
        (lambda: check_integer("epochs", True, minimum=1), "not True"),
        (lambda: check_integer("a.b", 9, minimum=1, maximum=8), "a.b must be an integer from 1 to 8, not 9."),
        (lambda: check_flag("flip", 1), "flip must be true or false, not 1."),
        (
            lambda: check_choice("keep", "first", ("last", "best")),
            "keep must be one of last, best, not 'first'.",
        ),
    ],
)
def test_a_recipes_field_is_named_with_what_it_may_be(check, message):
    with pytest.raises(RecipeError) as refused:
        check()
    assert message in str(refused.value)


@given(st.integers(), st.integers(), st.integers())
def test_integers_in_their_range_pass(value, one, other):
    least, most = sorted((one, other))
    try:
        check_integer("n", value, minimum=least, maximum=most)
    except RecipeError:
        assert not least <= value <= most
    else:
        assert least <= value <= most


@dataclass
class Settings:
    rate: float = 0.1
    limit: float | None = None


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan"), float("inf"), "0.5", True, None])
def test_numbers_out_of_their_range_are_refused(value):
    with pytest.raises(RecipeError, match=r"^aug\.rate must be a number from 0 to 1, not "):
        check_numbers(Settings(rate=value), "aug.", {"rate": (0, 1)})


def test_none_passes_where_it_is_the_default():
    check_numbers(Settings(), "", {"rate": (0, 1), "limit": (0, 1)})
    check_numbers(Settings(rate=1, limit=0), "", {"rate": (0, 1), "limit": (0, 1)})


INPUT_ERRORS = [
    BudgetError,
    DataError,
    LawError,
    MissingExtraError,
    NetworkError,
    ObjectiveError,
    RecipeError,
    RunFolderError,
    UnknownNameError,
    WeightsError,
]


@pytest.mark.parametrize("kind", INPUT_ERRORS)
def test_what_a_user_can_mistake_is_an_input_error(kind):
    assert issubclass(kind, InputError)
    assert issubclass(kind, ValueError)


@pytest.mark.parametrize("kind", [StorageError, Stopped, MeasurementError])
def test_what_nobody_mistook_is_none(kind):
    assert issubclass(kind, AllometryError)
    assert not issubclass(kind, InputError)


@given(
    st.lists(st.text("abc-0", min_size=1), min_size=1, max_size=40, unique=True), st.text("abc-0", min_size=1)
)
def test_an_unknown_name_is_told_with_names_that_there_are(known, given_name):
    message = str(UnknownNameError("thing", given_name, known))
    assert message.startswith(f"No thing is named {given_name!r}. ")
    if "Possible: " in message:
        listed = message.partition("Possible: ")[2].removesuffix(".")
        names, _, more = listed.partition(" and ")
        assert set(names.split(", ")) <= set(known)
        assert bool(more) == (len(known) > 20)
    else:
        assert any(repr(name) in message for name in known)


def test_the_most_alike_name_comes_first():
    message = str(UnknownNameError("space", "fbnett", ["fbnet", "fbnets", "mnasnet", "proxylessnas"]))
    assert "Did you mean 'fbnet' or 'fbnets'?" in message
    assert "proxylessnas" not in message


def test_an_extra_is_loaded_or_named():
    assert load_extra("json", extra="x", asker="y").loads("1") == 1
    with pytest.raises(
        MissingExtraError, match=r"photos\.parquet needs pyarroww.*pip install 'allometry\[parquet\]'"
    ):
        load_extra("pyarroww.parquet", extra="parquet", asker="photos.parquet")


@settings(max_examples=30)
@given(
    st.lists(st.text(max_size=5), min_size=1, max_size=3),
    st.lists(st.lists(st.none() | st.integers() | st.text(max_size=5), max_size=3), max_size=3),
)
def test_tables_escape_what_they_hold(columns, rows):
    html = html_table(columns, rows, caption="<b>")
    assert html.count("<tr>") == 1 + len(rows)
    assert html.count("<td ") == sum(map(len, rows))
    assert "&lt;b&gt;" in html
    assert html_table(["a"], [[1234567]]).count("1,234,567") == 1
    assert "None" not in html_table(["a"], [[None]])


def test_this_machine_has_cores_and_memory():
    assert cores() >= half_the_cores() >= 1
    assert memory() > 10**8
    assert processor().rsplit(", ", 1)[1].split()[0] == str(cores())


@given(st.floats(1e-6, 1e4))
def test_short_times_are_written_to_three_digits(seconds):
    text = format_milliseconds(seconds)
    assert text.endswith(" ms")
    assert SECONDS.parse(text.replace(",", "")) == pytest.approx(seconds, rel=0.006)


@given(st.integers(0, 10**6))
def test_long_times_are_written_in_their_two_largest_units(seconds):
    text = format_duration(seconds)
    words = text.split()
    units = {"s": 1, "min": 60, "h": 3600}
    total = sum(float(number) * units[unit] for number, unit in zip(words[::2], words[1::2], strict=True))
    assert abs(total - seconds) < (1 if seconds < 3600 else 60)


@given(st.integers(0, 10**15))
def test_quantities_are_written_to_three_digits(value):
    text = format_quantity(value)
    assert len(text.rstrip("kMGT").replace(".", "")) <= 4
    assert parse_quantity(text) == pytest.approx(value, rel=0.006, abs=0.5)


ECHO = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    if asked.get("die"):
        print("too tired.", file=sys.stderr)
        sys.exit(3)
    if asked.get("silent"):
        sys.exit(4)
    print(json.dumps(asked), flush=True)
"""


def test_a_process_answers_refuses_and_dies():
    def echo():
        return JsonProcess([sys.executable, "-c", ECHO], name="the echo", failure=MeasurementError)

    with echo() as process:
        assert process.ask({"runs": 3}) == {"runs": 3}
        with pytest.raises(InputError, match=r"^wrong$"):
            process.ask({"error": "wrong", "input": True})
        with pytest.raises(MeasurementError, match=r"^broken$"):
            process.ask({"error": "broken"})
        with pytest.raises(MeasurementError, match=r"the echo did not come through: too tired\.$"):
            process.ask({"die": True})
        with pytest.raises(MeasurementError, match="too tired"):  # it stays dead
            process.ask({"runs": 1})
    with echo() as process, pytest.raises(MeasurementError, match="ended with status 4"):
        process.ask({"silent": True})


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: RuntimeConfig(threads="many"), "threads must be an integer, not 'many'"),
        (lambda: RuntimeConfig(batch=0), "batch must be at least 1, not 0"),
        (lambda: RuntimeConfig(runtime=3), "runtime must be a text, not 3"),
        (lambda: MeasureConfig(seconds=float("inf")), "seconds must be a finite number, not inf"),
        (lambda: MeasureConfig(rounds=True), "rounds must be an integer, not True"),
        (lambda: TableConfig(networks=1.5), "networks must be an integer, not 1.5"),
        (lambda: FitConfig(ratio=float("inf")), "ratio must be a finite number, not inf"),
        (lambda: FitConfig(ratio=None), "ratio must be a finite number, not None"),
        (lambda: FitConfig(alphas=(1.2, float("nan"))), "alphas must be numbers of at least 1"),
        (lambda: FitConfig(epochs="5"), "epochs must be an integer, not '5'"),
        (lambda: SearchConfig(halving="no"), "halving must be true or false, not 'no'"),
        (lambda: SearchConfig(trials=10.0), "trials must be an integer, not 10.0"),
        (lambda: PredictorConfig(least_tau=float("nan")), "least_tau must be a finite number, not nan"),
        (lambda: SpecializeConfig(population="all"), "population must be an integer, not 'all'"),
        (lambda: ParetoConfig(rate=[]), r"rate must be a finite number, not \[\]"),
        (lambda: ControllerConfig(clip="x"), "clip must be a finite number, not 'x'"),
        (lambda: EvolutionConfig(sample=None), "sample must be an integer, not None"),
    ],
)
def test_a_config_takes_what_its_fields_are_declared_to_be(make, says):
    with pytest.raises(InputError, match=says):
        make()


@pytest.mark.parametrize("seed", [-1, 2**53 + 1, 10**20, 1.0, "0", True, None])
def test_a_seed_is_an_integer_that_run_folders_remember_exactly(seed):
    for use in (
        check_seed,
        lambda seed: open_data("icons", seed=seed),
        lambda seed: train("resnet-18", data="icons", seed=seed),
    ):
        with pytest.raises(
            InputError, match="The seed must be an integer from 0 to 9,007,199,254,740,992, not"
        ):
            use(seed)
    check_seed(2**53)
