"""The files of a run folder: written in one step, read with patience."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from allometry.base import RunFolderError, StorageError
from allometry.catalog import get
from allometry.cost import Cost, count
from allometry.runs import CostEntry, SearchPlan, Subnet, SubnetFront, TrainResult
from allometry.runs.files import (
    COSTS,
    FRONT,
    SEARCH,
    SUBNET,
    SUBNETS,
    known_subnets,
    read_fronts,
    read_result,
    read_subnets,
    write_result,
)

PLAN = SearchPlan(objectives=("accuracy",), searcher="evolution", space="mine", size=10**20)
ENTRY = CostEntry(phase="train", name="a", seconds=1.5, images=10, device="here")
RESULT = TrainResult(
    data="photos",
    network="b0",
    resolution=32,
    cost=Cost(1, 2, 3, 4),
    validation_accuracy=0.9,
    test_accuracy=0.8,
    test_interval=(0.7, 0.9),
    test_images=18,
)


def subnet(name: str) -> Subnet:
    network = replace(get("efficientnet-b0"), name=name)
    return Subnet(
        name=name, network=network, cost=count(network), predicted_accuracy=0.8, validation_accuracy=0.75
    )


def test_a_record_is_written_and_read(tmp_path: Path) -> None:
    SEARCH.write(tmp_path, PLAN)
    assert SEARCH.read(tmp_path) == SEARCH.load(tmp_path) == PLAN
    assert [path.name for path in tmp_path.iterdir()] == ["search.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"objectives": 3}', "[" * 10_000, "\x00"])
def test_a_damaged_file_is_none_or_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / SEARCH.name).write_text(text)
    assert SEARCH.read(tmp_path) is None
    with pytest.raises(RunFolderError):
        SEARCH.load(tmp_path)


def test_a_missing_file_is_none_or_refused(tmp_path: Path) -> None:
    assert SEARCH.read(tmp_path) is None
    assert COSTS.read(tmp_path) == ()
    with pytest.raises(RunFolderError, match=r"search\.json is missing"):
        SEARCH.load(tmp_path)


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        SEARCH.write(tmp_path / "file", PLAN)


def test_lines_are_added_replaced_and_read(tmp_path: Path) -> None:
    COSTS.append(tmp_path, ENTRY)
    COSTS.append(tmp_path, replace(ENTRY, name="b"))
    assert [each.name for each in COSTS.read(tmp_path)] == ["a", "b"]
    COSTS.write(tmp_path, [ENTRY])
    assert COSTS.read(tmp_path) == (ENTRY,)


def test_a_line_that_a_kill_has_torn_is_left_out_and_then_cut_off(tmp_path: Path) -> None:
    COSTS.append(tmp_path, ENTRY)
    file = tmp_path / COSTS.name
    file.write_text(file.read_text() + '{"phase": "tr')
    assert COSTS.read(tmp_path) == (ENTRY,)
    COSTS.append(tmp_path, ENTRY)
    assert COSTS.read(tmp_path) == (ENTRY, ENTRY)


def test_a_result_is_read_as_that_of_its_verb(tmp_path: Path) -> None:
    write_result(tmp_path, RESULT)
    assert read_result(tmp_path, "train") == RESULT
    assert read_result(tmp_path, "fit") is None
    assert read_result(tmp_path, "no verb") is None


def test_every_subnet_has_a_name_those_of_fronts_too(tmp_path: Path) -> None:
    one, two, three = map(subnet, ("macs-2M", "front-macs-1", "front-macs-2"))
    front = SubnetFront(
        name="front-macs",
        measure="macs",
        subnets=(two, three),
        size=9,
        examined=100,
        search_seconds=1.0,
        tau=0.9,
    )
    SUBNET.write(tmp_path / SUBNETS / one.name, one)
    FRONT.write(tmp_path / SUBNETS / front.name, front)
    (tmp_path / SUBNETS / "torn").mkdir()
    (tmp_path / SUBNETS / "torn" / SUBNET.name).write_text("{")
    assert read_subnets(tmp_path) == (one,)
    assert read_fronts(tmp_path) == (front,)
    assert known_subnets(tmp_path) == {each.name: each for each in (one, two, three)}
    assert repr(front) == "SubnetFront(macs, 2 of 9 subnets)"


def test_subnets_are_tables_in_a_notebook() -> None:
    one = replace(subnet("<b>"), budget="macs <= 2M", predicted_latency=0.0042, test_accuracy=0.5)
    table = one._repr_html_()
    assert "&lt;b&gt;" in table
    assert "macs &lt;= 2M" in table
    assert all(text in table for text in ("385,814,752", "4.2 ms", "80.00%", "75.00%", "50.00%"))
