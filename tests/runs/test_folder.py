import json
import os
from datetime import UTC, datetime

import pytest

from allometry.base import RunFolderError, StorageError
from allometry.base.files import read_lines
from allometry.runs.folder import find_run, open_run, versions

HOW = {"command": "run", "arguments": {"data": "icons", "budget": "10M"}, "device": "here", "seed": 0}


def clock():
    return datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_a_run_is_written_found_again_and_finished(tmp_path):
    folder = tmp_path / "run"
    with open_run(folder, **HOW, clock=clock) as run:
        (folder / "metrics.jsonl").write_text("")
        info = json.loads((folder / "run.json").read_text())
        assert info["started"] == "2026-01-02T03:04:05+00:00"
        assert info["finished"] is None
        assert info["versions"]["allometry"] == versions()["allometry"]
        run.finish(clock)
    with open_run(folder, **HOW) as run:
        assert run.finished
    assert find_run(folder).finished


def test_two_processes_do_not_share_a_folder(tmp_path):
    with (
        open_run(tmp_path / "run", **HOW),
        pytest.raises(RunFolderError, match="Another process"),
        open_run(tmp_path / "run", **HOW),
    ):
        pass


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"command": "train"}, "was made by `allometry run`, not `train`"),
        ({"arguments": {"data": "icons", "budget": "20M"}}, "was made with budget 10M, not 20M"),
    ],
)
def test_a_folder_of_another_command_is_refused(tmp_path, change, says):
    with open_run(tmp_path / "run", **HOW):
        (tmp_path / "run" / "metrics.jsonl").write_text("")
    with pytest.raises(RunFolderError, match=says), open_run(tmp_path / "run", **(HOW | change)):
        pass


def test_other_folders_are_left_alone(tmp_path):
    (tmp_path / "photo.jpg").write_text("mine")
    with pytest.raises(RunFolderError, match="not empty and is no run folder"), open_run(tmp_path, **HOW):
        pass
    with pytest.raises(RunFolderError, match="is a file"), open_run(tmp_path / "photo.jpg", **HOW):
        pass
    with pytest.raises(StorageError), open_run(tmp_path / "photo.jpg" / "run", **HOW):
        pass
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == ["photo.jpg"]
    assert not (tmp_path / ".lock").exists()


def test_a_cost_is_recorded_once(tmp_path):
    with open_run(tmp_path / "run", **HOW) as run:
        run.record_cost("fit", "one", seconds=2.00049, images=10)
        run.record_cost("fit", "one", seconds=9, images=10)
        run.record_cost("train", "one", seconds=3)
    entries = read_lines(tmp_path / "run" / "costs.jsonl")
    assert entries == [
        {"phase": "fit", "name": "one", "seconds": 2.0, "images": 10, "device": "here"},
        {"phase": "train", "name": "one", "seconds": 3, "images": 0, "device": "here"},
    ]


def test_what_is_no_run_is_told_with_the_runs_beside_it(tmp_path):
    with open_run(tmp_path / "good", **HOW):
        pass
    with pytest.raises(RunFolderError, match=r"There is no run folder .*bad\. Runs beside it: good"):
        find_run(tmp_path / "bad")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunFolderError, match=r"has no run\.json\. Runs beside it: good"):
        find_run(tmp_path / "empty")


def test_a_folder_of_another_version_is_refused_with_that_version(tmp_path):
    folder = tmp_path / "run"
    with open_run(folder, **HOW):
        (folder / "metrics.jsonl").write_text("")
    info = json.loads((folder / "run.json").read_text())
    old = {name: value for name, value in info.items() if name != "format"}
    says = rf"made by another version of allometry \({versions()['allometry']}\), .* another --out\."
    for other in (old, info | {"format": 99}):
        (folder / "run.json").write_text(json.dumps(other))
        with pytest.raises(RunFolderError, match=says):
            find_run(folder)
        with pytest.raises(RunFolderError, match=says), open_run(folder, **HOW):
            pass


@pytest.mark.parametrize("text", ["", '{"command": "ru', "[]"])
def test_a_damaged_run_json_is_refused(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(RunFolderError, match=r"run\.json"):
        find_run(tmp_path)


def test_what_a_kill_left_half_written_is_swept(tmp_path):
    with open_run(tmp_path / "run", **HOW):
        pass
    (tmp_path / "run" / ".plan.json.abc.part").write_text("{")
    below = tmp_path / "run" / "subnets" / "one" / ".step-7.abc.part"
    below.mkdir(parents=True)
    (below / "weights").write_text("")
    with open_run(tmp_path / "run", **HOW):
        pass
    assert not list((tmp_path / "run").rglob(".*.part"))


def test_a_mistaken_call_does_not_stand_in_the_way_of_the_corrected_one(tmp_path):
    with open_run(tmp_path / "run", **HOW):
        (tmp_path / "run" / "index.json").write_text("{}")
    other = HOW | {"arguments": {"data": "icons", "budget": "20M"}}
    with open_run(tmp_path / "run", **other) as run:
        assert run.info.arguments["budget"] == "20M"
        (tmp_path / "run" / "trials.jsonl").write_text("")
    # From now on there is work in it, and nobody else's call may take it.
    with pytest.raises(RunFolderError, match="was made with budget 20M"), open_run(tmp_path / "run", **HOW):
        pass
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        ".lock",
        "run.json",
        "index.json",
        "trials.jsonl",
    }


def test_hidden_files_of_the_user_stay(tmp_path):
    (tmp_path / "run" / ".git").mkdir(parents=True)
    (tmp_path / "run" / ".mine.part").write_text("precious")
    with open_run(tmp_path / "run", **HOW):
        pass
    assert (tmp_path / "run" / ".mine.part").read_text() == "precious"
    assert (tmp_path / "run" / ".git").is_dir()


def test_a_name_that_is_no_text_is_refused_before_the_work(tmp_path):
    folder = tmp_path / os.fsdecode(b"run\xff")
    with (
        pytest.raises(RunFolderError, match="is no text in UTF-8, and files of weights cannot lie there"),
        open_run(folder, **HOW),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
