import json
from dataclasses import replace

import pytest

from allometry.arch import Head, MBConv, Network, Stage, Stem, pieces
from allometry.base import InputError
from allometry.cost import Correction, LatencyTable, RuntimeConfig
from allometry.cost.latency import key_of, label_of

NETWORK = Network(
    stem=Stem(channels=8),
    stages=(Stage(block=MBConv(channels=8), repeats=2), Stage(block=MBConv(channels=16, stride=2))),
    head=Head(channels=16, classes=3),
    resolution=32,
)


@pytest.fixture
def table():
    found = list(pieces(NETWORK))
    return LatencyTable(
        space="mine",
        runtime_config=RuntimeConfig(threads=2),
        machine_info={"processor": "abacus"},
        seconds={key_of(piece): 0.001 * (place + 1) for place, piece in enumerate(found)},
        labels={key_of(piece): label_of(piece) for piece in found},
        correction=Correction(base=0.1, scale=2.0, per_piece=0.01, per_element=1e-6),
    )


def test_a_latency_is_the_corrected_sum_of_its_lines(table):
    # Two blocks of a stage are one line here: the second one reads as many channels, with the same stride.
    total, number, elements = table.features(NETWORK)
    assert number == 5
    assert total == pytest.approx(0.001 * (1 + 3 + 3 + 4 + 5))
    assert elements == 3 * 32**2 + 3 * 8 * 16**2 + 16 * 8**2
    assert table.predict(NETWORK) == pytest.approx(0.1 + 2 * total + 0.05 + 1e-6 * elements)


def test_names_and_constants_that_cost_nothing_do_not_change_the_lines(table):
    other = replace(NETWORK, name="other", stochastic_depth=0.5)
    assert table.predict(other) == table.predict(NETWORK)


@pytest.mark.parametrize(
    "change",
    [
        {"resolution": 64},
        {"stem": Stem(channels=8, activation="relu")},
        {"stages": (Stage(block=MBConv(channels=8, kernel=5)), *NETWORK.stages[1:])},
        {"head": Head(channels=16, classes=4)},
    ],
)
def test_a_block_without_a_line_is_named(table, change):
    with pytest.raises(InputError, match=r"latency table of mine has no line for .* px"):
        table.predict(replace(NETWORK, **change))


def test_round_trip(table, tmp_path):
    path = tmp_path / "table.json"
    table.save(path)
    again = LatencyTable.load(path)
    assert again.predict(NETWORK) == table.predict(NETWORK)
    assert (again.runtime_config, again.correction, again.labels) == (
        table.runtime_config,
        table.correction,
        table.labels,
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "There is no latency table"),
        ("{", "is no latency table"),
        ("{}", "is no latency table"),
        ('{"format": "allometry.latency-table/9"}', "this version reads"),
        ("[1]", "is no latency table"),
    ],
)
def test_files_that_are_none(tmp_path, content, said):
    path = tmp_path / "table.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=said):
        LatencyTable.load(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda plain: plain["lines"][0].update(seconds="soon"),
            "'lines.0.seconds' must be a number, not 'soon'",
        ),
        (lambda plain: plain["lines"][0].update(seconds=0), "'lines.0.seconds' must be more than 0, not 0"),
        (lambda plain: plain["lines"][0].update(seconds=-1e-3), "must be more than 0"),
        (lambda plain: plain["lines"].append(plain["lines"][0]), "two lines for one block"),
        (lambda plain: plain["lines"][1].pop("key"), "'lines.1.key' is missing"),
        (lambda plain: plain.update(lines={}), "'lines' must be a list"),
        (lambda plain: plain.update(fitted=True), "'fitted' must be an integer, not True"),
        (lambda plain: plain.update(machine_info=None), "'machine_info' must be an object"),
        (lambda plain: plain["correction"].update(scale="1"), "'correction.scale' must be a number"),
        (lambda plain: plain["runtime_config"].update(threads=0), "threads must be at least 1, not 0"),
        (lambda plain: plain["runtime_config"].update(thread=1), "did you mean 'threads'"),
    ],
)
def test_a_table_with_a_value_that_cannot_be_is_none(table, tmp_path, change, said):
    path = tmp_path / "table.json"
    table.save(path)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="is no latency table") as refused:
        LatencyTable.load(path)
    assert said in str(refused.value)
