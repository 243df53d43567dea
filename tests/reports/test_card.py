"""A run as a card for notebooks."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import pytest

from allometry.reports.card import run_card
from allometry.runs import read_run

from .supernets import write_extracted, write_supernet


def text_of(card: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", card).replace("\u00a0", " ").split())


def curve_of(card: str) -> str:
    """The learning curve, which is an image: notebooks take drawings apart that they do not trust yet."""
    images = re.findall(r'src="data:image/svg\+xml;base64,([^"]*)', card)
    return "".join(base64.b64decode(each).decode() for each in images)


def test_a_finished_run_shows_what_it_came_to(make_run):
    folder = make_run()
    (folder / "report.html").write_text("")
    card = run_card(read_run(folder))
    text = text_of(card)
    assert "test accuracy 88.7 % 87.4 to 89.9 %, 2,481 images" in text
    assert "allometry run, finished" in text
    assert re.search(r"[\d.]+M MACs", text)
    assert "time 3 min 20 s on some processor, 2 threads" in text
    assert "data icons 11,753 images, 6 classes" in text
    assert curve_of(card).count("<polyline") == 2
    assert card.count("<img") == 3  # the curve, one image that is drawn for all runs, and its map
    assert f'href="{folder.as_posix()}/report.html"' in card


def test_it_loads_and_runs_nothing(make_run):
    card = run_card(read_run(make_run()))
    assert "<script" not in card
    assert "<style" not in card
    assert re.search(r"\son\w+=", card) is None
    assert all(source.startswith("data:image/") for source in re.findall(r'src="([^"]*)', card))


def test_its_colors_are_those_of_the_page(make_run):
    card = run_card(read_run(make_run()))
    assert "background:none" in card
    assert "color:inherit" in card
    assert set(re.findall(r"(?<![-\w])color:([^;\"]+)", card)) == {"inherit"}


def test_a_run_that_has_just_begun_has_a_card(make_run):
    card = run_card(read_run(make_run(only=(), finished=None)))
    assert "not finished" in card
    assert "accuracy" not in card
    assert "<img" not in card
    assert "report.html" not in card


def test_an_unfinished_training_shows_how_far_it_is(make_run):
    card = run_card(read_run(make_run(only=["metrics.jsonl", "network.json"], finished=None)))
    assert "validation accuracy 87.1 % epoch 4 of 4" in text_of(card)
    assert "<polyline" in curve_of(card)


def test_one_epoch_is_a_point(make_run):
    folder = make_run(only=["metrics.jsonl"])
    first = (folder / "metrics.jsonl").read_text().splitlines()[0]
    (folder / "metrics.jsonl").write_text(first)
    card = run_card(read_run(folder))
    assert curve_of(card).count("<circle") == 2
    assert "<polyline" not in curve_of(card)


@pytest.mark.parametrize("evil", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "a & b"])
def test_names_are_escaped(make_run, evil):
    folder = make_run(classes=(evil, "star", "moon", "sun", "cloud", "car"))
    for file, change in (("run.json", {"name": evil, "device": evil}), ("data.json", {"name": evil})):
        fields = json.loads((folder / file).read_text())
        (folder / file).write_text(json.dumps(fields | change))
    card = run_card(read_run(folder))
    assert evil not in card
    assert "onerror=alert(1)>" not in card
    assert "&amp; b" in card if evil == "a & b" else "&lt;" in card


def test_a_broken_image_is_left_out(make_run):
    folder = make_run()
    fields = json.loads((folder / "explain.json").read_text())
    for each in fields["explanations"]:
        each["thumbnail"] = "PHN2Zz4="
    (folder / "explain.json").write_text(json.dumps(fields))
    assert "image/png" not in run_card(read_run(folder))


def test_a_supernet_and_a_subnet_of_it(tmp_path: Path):
    text = text_of(run_card(read_run(write_supernet(tmp_path / "net"))))
    assert re.search(
        r"validation accuracy [\d.]+ % to [\d.]+ % of the smallest and the largest network", text
    )
    assert "largest network" in text
    text = text_of(run_card(read_run(write_extracted(tmp_path / "own"))))
    assert "in the supernet 70.0 % of the validation images" in text
    assert "1.48 ms" in text
