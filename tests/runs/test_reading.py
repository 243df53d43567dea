from __future__ import annotations

import json
from pathlib import Path

import pytest

from allometry.base import RunFolderError
from allometry.cost import count
from allometry.runs import read_run


def test_reads_every_file(make_run):
    record = read_run(make_run())
    assert record.name == "icons-10M"
    assert record.network is not None
    assert record.baseline is not None
    assert record.data is not None
    assert record.data.images["test"] == 2481
    assert record.plan is not None
    assert record.plan.budget[0].most == 10_000_000
    assert len(record.law_trials) == 5
    assert [epoch.epoch for epoch in record.history] == [1, 2, 3, 4]
    assert record.evaluation is not None
    assert record.evaluation.mistakes[0].predicted == "star"
    assert [each.group for each in record.explanations] == ["drawn", "wrong"]
    assert record.export is not None
    assert record.export.verification.bytes == 123456


def test_a_missing_folder_says_what_to_do(tmp_path: Path):
    with pytest.raises(RunFolderError, match=r"There is no run folder .*nothing\. Give a folder"):
        read_run(tmp_path / "nothing")


def test_a_run_that_has_just_begun_is_read(make_run):
    record = read_run(make_run(only=(), finished=None))
    assert (record.finished, record.network, record.evaluation, record.result, record.cost) == (None,) * 5
    assert (record.history, record.costs, record.explanations, record.seconds) == ((), (), (), 0)
    plain = record.to_dict()
    assert plain["finished"] is None
    assert plain["command"] == "run"


@pytest.mark.parametrize(
    ("file", "part"),
    [
        ("data.json", "data"),
        ("network.json", "network"),
        ("baseline.json", "baseline"),
        ("plan.json", "plan"),
        ("evaluation.json", "evaluation"),
        ("export.json", "export"),
    ],
)
@pytest.mark.parametrize("text", ['{"torn": ', "[]", "\x00\xff"])
def test_a_torn_file_is_absent(make_run, file, part, text):
    folder = make_run()
    (folder / file).write_bytes(text.encode("latin-1"))
    record = read_run(folder)
    assert getattr(record, part) is None


def test_torn_lines_are_left_out_wherever_they_are(make_run):
    folder = make_run()
    file = folder / "metrics.jsonl"
    first, second, third, fourth = file.read_text().splitlines()
    file.write_text("\n".join([first, second[:40], third, "", '"text"', fourth[:50]]))
    assert [epoch.epoch for epoch in read_run(folder).history] == [1, 3]


def test_an_epoch_that_was_done_twice_counts_once(make_run):
    folder = make_run()
    file = folder / "metrics.jsonl"
    again = json.loads(file.read_text().splitlines()[1]) | {"val_accuracy": 0.25}
    file.write_text(file.read_text() + json.dumps(again) + "\n")
    epochs = read_run(folder).history
    assert [epoch.epoch for epoch in epochs] == [1, 2, 3, 4]
    assert epochs[1].val_accuracy == 0.25


@pytest.mark.parametrize("change", [{"top5": "many"}, {"interval": [0.1]}, {"loss": None}])
def test_a_file_with_a_field_that_cannot_be_is_absent(make_run, change):
    folder = make_run()
    fields = json.loads((folder / "evaluation.json").read_text())
    (folder / "evaluation.json").write_text(json.dumps(fields | change))
    assert read_run(folder).evaluation is None


def test_a_trial_without_accuracy_is_no_trial(make_run):
    folder = make_run()
    first, second, *_ = map(json.loads, (folder / "trials.jsonl").read_text().splitlines())
    lines = (json.dumps(each) + "\n" for each in (first | {"accuracy": None}, second))
    (folder / "trials.jsonl").write_text("".join(lines))
    assert [trial.name for trial in read_run(folder).law_trials] == [second["name"]]


def test_a_mean_of_trials_has_no_seed(make_run):
    folder = make_run()
    first = json.loads((folder / "trials.jsonl").read_text().splitlines()[0])
    (folder / "trials.jsonl").write_text(json.dumps(first | {"seed": None}))
    assert read_run(folder).law_trials[0].seed is None


def test_what_a_run_cost_is_what_was_measured_for_its_plan(make_run):
    folder = make_run()
    plan = json.loads((folder / "plan.json").read_text())
    plan["cost"]["latency"] = 0.0173
    (folder / "plan.json").write_text(json.dumps(plan))
    record = read_run(folder)
    assert record.cost is not None
    assert record.cost.latency == 0.0173
    (folder / "plan.json").unlink()
    record = read_run(folder)
    assert record.network is not None
    assert record.cost == count(record.network)
    assert record.seconds == 200


def test_what_is_damaged_is_told(make_run):
    folder = make_run()
    assert read_run(folder).damaged == ()
    (folder / "evaluation.json").write_text("{")
    (folder / "costs.jsonl").write_text(
        "\x00\x00\n" + (folder / "costs.jsonl").read_text() + '{"phase": "tor'
    )
    first, second = read_run(folder).damaged
    assert "evaluation.json cannot be read, and is left out" in first
    assert (
        "costs.jsonl has 1 line that cannot be read" in second
    )  # what a kill has torn at the end is no damage


@pytest.mark.parametrize("name", ["network.json", "law.json", "recipe.json", "result.json"])
def test_each_file_that_is_left_out_is_told(make_run, name):
    folder = make_run()
    (folder / name).write_text("{")
    (told,) = read_run(folder).damaged
    assert f"{name} cannot be read, and is left out" in told


def test_a_page_tells_what_is_damaged(make_run, capsys):
    from allometry.cli import main

    folder = make_run()
    (folder / "data.json").write_text('{"name": 3}')
    assert main(["report", str(folder)]) == 0
    assert "warning: " in (said := capsys.readouterr().err)
    assert "data.json cannot be read" in said
    assert "Files of this run are damaged." in (folder / "report.html").read_text()
