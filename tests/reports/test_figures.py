from __future__ import annotations

import json
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allometry.reports import write_report
from allometry.reports.figures import log_axis
from allometry.reports.words import shortened
from allometry.runs import read_run


@pytest.fixture
def figures(make_run):
    """Every figure of a report on two runs and of a full one, as Plotly's arguments."""
    folders = [make_run(), make_run("second", only=["network.json", "metrics.jsonl"])]
    found = {}
    for chosen in (folders[:1], folders):
        page = write_report([read_run(each) for each in chosen], out=folders[0] / "report.html").read_text()
        for body in re.findall(r"Plotly\.newPlot\((.*?)\)\s*};", page, flags=re.DOTALL):
            name, traces, layout, _ = _arguments(body)
            found[name.removesuffix("-figure")] = (traces, layout)
    return found


def _arguments(body: str) -> list:
    decoder, values, place = json.JSONDecoder(), [], 0
    while place < len(body):
        if body[place] in " \n,":
            place += 1
            continue
        value, place = decoder.raw_decode(body, place)
        values.append(value)
    return values


def test_plotly_accepts_every_figure(figures):
    from plotly.graph_objects import Figure

    assert {"run-trials", "run-law", "run-loss", "run-macs", "run-confusion", "all-macs"} <= figures.keys()
    for traces, layout in figures.values():
        Figure(data=traces, layout=layout)  # refuses unknown names and values


def test_the_final_network_has_a_mark_of_its_own(figures):
    traces, _ = figures["run-macs"]
    symbols = [trace["marker"]["symbol"] for trace in traces]
    assert len(symbols) == len(set(symbols)) == 3
    assert traces[-1]["y"] == [pytest.approx(87.12)]


def test_the_confusion_matrix_keeps_right_and_wrong_apart(figures):
    right, wrong = figures["run-confusion"][0]
    assert right["z"][0][0] == 0.8
    assert right["z"][0][1] is None
    assert wrong["z"][0][1] == pytest.approx(math.log1p(2), abs=1e-4)
    assert wrong["hovertext"][0][1].startswith("heart → <b>star</b><br>2 of 10")


def test_the_chosen_law_has_a_frame(figures):
    assert len(figures["run-law"][1]["shapes"]) == 1


@given(st.lists(st.floats(1.0, 1e13), min_size=1, max_size=5))
def test_a_logarithmic_axis_holds_its_values(values):
    axis = log_axis("MACs", values)
    low, high = axis["range"]
    assert all(low < math.log10(value) < high for value in values)
    assert len(axis["tickvals"]) == len(set(axis["ticktext"])) <= 15


@given(st.text(), st.integers(5, 40))
def test_shortened_names_fit(text, most):
    short = shortened(text, most)
    assert len(short) <= most
    assert short == text or "..." in short
