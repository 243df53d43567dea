from __future__ import annotations

import json
from pathlib import Path

import pytest

from allometry.base import RunFolderError
from allometry.reports import read_run


def test_reads_every_file(make_run):
    record = read_run(make_run())
    assert record.name == "icons-10M"
    assert record.network is not None
    assert record.baseline is not None
    assert record.data is not None
    assert record.data.splits["test"] == 2481
    assert record.plan is not None
    assert record.plan.budget[0].most == 10_000_000
    assert len(record.trials) == 5
    assert [epoch.epoch for epoch in record.epochs] == [1, 2, 3, 4]
    assert record.evaluation is not None
    assert record.evaluation.mistakes[0].predicted == "star"
    assert [look.group for look in record.looks] == ["drawn", "wrong"]
    assert record.export is not None
    assert record.export.bytes == 123456


def test_a_missing_folder_says_what_to_do(tmp_path: Path):
    with pytest.raises(RunFolderError, match=r"There is no run folder .*nothing\. Give the folder"):
        read_run(tmp_path / "nothing")


def test_a_folder_without_run_json_says_what_to_do(tmp_path: Path):
    with pytest.raises(RunFolderError, match=r"holds no run\.json\. Give the folder"):
        read_run(tmp_path)


def test_an_unreadable_run_json_says_so(tmp_path: Path):
    (tmp_path / "run.json").write_text('{"command": "ru')
    with pytest.raises(RunFolderError, match="is not readable"):
        read_run(tmp_path)


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
    assert getattr(record, part) is None or (file == "plan.json" and not record.plan.budget)


def test_torn_lines_are_left_out_wherever_they_are(make_run):
    folder = make_run()
    file = folder / "metrics.jsonl"
    first, second, third, fourth = file.read_text().splitlines()
    file.write_text("\n".join([first, second[:40], third, "", '"text"', fourth[:50]]))
    assert [epoch.epoch for epoch in read_run(folder).epochs] == [1, 3]


def test_an_epoch_that_was_done_twice_counts_once(make_run):
    folder = make_run()
    file = folder / "metrics.jsonl"
    file.write_text(file.read_text() + '{"epoch": 2, "val_accuracy": 0.25}\n')
    epochs = read_run(folder).epochs
    assert [epoch.epoch for epoch in epochs] == [1, 2, 3, 4]
    assert epochs[1].val_accuracy == 0.25


def test_a_field_that_cannot_be_read_is_left_out(make_run):
    folder = make_run()
    fields = json.loads((folder / "evaluation.json").read_text()) | {"top5": "many", "loss": float("nan")}
    (folder / "evaluation.json").write_text(json.dumps(fields | {"extra": [1, 2]}))
    evaluation = read_run(folder).evaluation
    assert evaluation is not None
    assert evaluation.accuracy == 0.8874
    assert evaluation.top5 is None
    assert evaluation.loss is None


def test_a_trial_without_accuracy_is_no_trial(make_run):
    folder = make_run()
    (folder / "trials.jsonl").write_text('{"name": "a", "accuracy": null}\n{"name": "b", "accuracy": 0.5}\n')
    assert [trial.name for trial in read_run(folder).trials] == ["b"]


def test_the_summary_of_a_data_set_is_understood_too(make_run):
    folder = make_run()
    summary = {
        "name": "icons",
        "classes": ["a", "b"],
        "images": {"train": 20, "test": 10},
        "per_class": {"train": {"least": 5, "median": 9, "most": 15}},
        "rejected": 3,
    }
    (folder / "data.json").write_text(json.dumps(summary))
    data = read_run(folder).data
    assert data is not None
    assert data.splits == {"train": 20, "test": 10}
    assert (data.smallest_class, data.largest_class, data.left_out) == (5, 15, 3)
