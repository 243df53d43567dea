"""Objectives: read from text, worked out for one network or many, and nothing executed."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allometry.base import ObjectiveError, UnknownNameError
from allometry.nas import TRAINING_AWARE, Objective, efficientnet, mnasnet, parse_objectives


@pytest.mark.parametrize(
    ("text", "figures", "value"),
    [
        ("accuracy", {"accuracy": 0.8}, 0.8),
        ("-latency", {"latency": 0.02}, -0.02),
        ("accuracy * (macs / 400M) ** -0.07", {"accuracy": 0.8, "macs": 800e6}, 0.8 * 2**-0.07),
        ("accuracy - max(0, params - 5M) / 1e6", {"accuracy": 0.9, "params": 5.5e6}, 0.4),
        ("accuracy if latency <= 20ms else 0", {"accuracy": 0.9, "latency": 0.021}, 0.0),
        ("accuracy if memory < 5MB else 0", {"accuracy": 0.9, "memory": 4.9e6}, 0.9),
        ("1 - loss + 2.5e-1", {"loss": 0.5}, 0.75),
        ("sqrt(accuracy) + log(exp(loss))", {"accuracy": 0.25, "loss": 2.0}, 2.5),
        ("accuracy / activations", {"accuracy": 1.0, "activations": 0.0}, -math.inf),
        ("log(loss)", {"loss": -1.0}, -math.inf),
    ],
)
def test_expressions(text, figures, value):
    assert Objective(text)(figures) == pytest.approx(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "accuracy *",
        "__import__('os').system('true')",
        "accuracy.__class__",
        "accuracy[0]",
        "[accuracy for accuracy in (1,)]",
        "lambda: accuracy",
        "accuracy and loss",
        "min(accuracy)",
        "log(accuracy, base=2)",
        "accuracy < loss < 1 if accuracy < loss < 1 else 0",
        "'accuracy'",
        "True * accuracy",
        "400Q * accuracy",
        "400M",
        "-" * 60 + "accuracy",
        "(" * 300 + "accuracy" + ")" * 300,
    ],
)
def test_whatever_else_is_refused(text):
    with pytest.raises(ObjectiveError):
        Objective(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("accuracy * log", "log is a function; write log(...) of a value"),
        ("max * accuracy", "max is a function; write max(...) of two values"),
        ("accuracy * " + 400 * "9", "is beyond all bounds"),
        ("accuracy * " + 5000 * "9", "is beyond all bounds"),
        ("accuracy * 1e400", "the number 1e400 is beyond all bounds"),
        ("accuracy * 0x10", "'0x10' is no number"),
        ("accuracy * 1_000", "'1_000' is no number"),
        ("accuracy * 1j", "'1j' is no number with a known suffix"),
        ("macs / 4\uff10M", "other signs"),
        ("accuracy # what counts", "other signs"),
        ("'a' * accuracy", "other signs"),
        ("accuracy" + 5000 * " + accuracy", "Cannot read the objective"),
        ("accuracy / 0", "cannot be worked out, whatever accuracy may be"),
        ("accuracy / (macs - macs)", "cannot be worked out, whatever accuracy and macs may be"),
        ("(accuracy - 2) ** 0.5", "cannot be worked out"),
        ("(-accuracy) ** 0.5", "cannot be worked out"),
        ("log(accuracy - 1.5)", "cannot be worked out"),
        ("9 ** 9 ** 9 ** accuracy ** 0", "cannot be worked out"),
        ("accuracy * 0", "is 0 whatever accuracy may be: no network is better"),
        ("exp(-macs) + 0.5", "is 0.5 whatever macs may be"),
        ("mnasnet:latency=0ms", "the target must be above 0"),
        ("mnasnet:latency=20", "'20' needs a unit"),
        ("mnasnet:latency=", "'' is not a quantity"),
        ("mnasnet:macs=log", "'log' is not a quantity"),
        ("efficientnet:-4M", "'-4M' is not a quantity"),
    ],
)
def test_what_cannot_be_worked_out_is_told_before_anything_is_trained(text, says):
    with pytest.raises(ObjectiveError) as refused:
        parse_objectives(text)
    assert says in str(refused.value)
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize(
    "text",
    [
        "accuracy if macs < 1M else -1 / 0",
        "log(accuracy - 0.9)",
        "1 if accuracy > 0.9 else 0",
        "accuracy / (accuracy - 0.5)",
    ],
)
def test_what_some_figures_are_worth_is_taken(text):
    assert isinstance(Objective(text)({"accuracy": 0.95, "macs": 1e5}), float)


def test_a_measure_that_is_none_gets_the_nearest():
    with pytest.raises(UnknownNameError, match=r"No measure is named 'acuracy'. Did you mean 'accuracy'"):
        Objective("acuracy")


def test_a_missing_figure_is_named():
    with pytest.raises(ObjectiveError, match="needs latency, which is not known"):
        Objective("accuracy / latency")({"accuracy": 0.5})


@given(st.lists(st.tuples(st.floats(0.01, 1), st.floats(1e6, 1e9)), min_size=1, max_size=20))
def test_arrays_give_what_numbers_give(pairs):
    accuracy, macs = np.array(pairs).T
    for objective in (efficientnet(), mnasnet("macs", "100M", soft=False), Objective("min(accuracy, macs)")):
        found = objective({"accuracy": accuracy, "macs": macs})
        one_by_one = [objective({"accuracy": a, "macs": m}) for a, m in pairs]
        assert found.tolist() == pytest.approx(one_by_one)


def test_mnasnets_exponents():
    # Section 3: doubling the latency costs about 5 % of the accuracy.
    soft = mnasnet("latency", "75ms")
    assert soft({"accuracy": 1.0, "latency": 0.15}) == pytest.approx(0.953, abs=1e-3)
    hard = mnasnet("latency", "75ms", soft=False)
    assert hard({"accuracy": 0.7, "latency": 0.075}) == 0.7
    assert hard({"accuracy": 0.7, "latency": 0.0749}) == 0.7


def test_presets_by_name():
    assert parse_objectives("mnasnet:latency=75ms") == (mnasnet("latency", "75ms"),)
    assert parse_objectives("mnasnet-hard:macs=1G") == (mnasnet("macs", "1G", soft=False),)
    assert parse_objectives("efficientnet; training-aware") == (efficientnet(), TRAINING_AWARE)
    assert parse_objectives("efficientnet:20M") == (efficientnet("20M"),)
    assert TRAINING_AWARE.measures == {"accuracy", "step_time", "params"}
    with pytest.raises(ObjectiveError, match="needs a measure and its target, such as mnasnet:latency=75ms"):
        parse_objectives("mnasnet")
