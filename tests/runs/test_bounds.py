"""What a record's fields may be: whatever no run writes is refused wherever a record is needed."""

from __future__ import annotations

import json

import pytest

from allometry.base import RunFolderError
from allometry.base.files import read_json
from allometry.runs.files import DATA, EVALUATION, EXPORT, METRICS, RUN
from allometry.training import Preprocessing

PREPROCESSING = {
    "channels": 1,
    "resolution": 32,
    "crop": 0.9,
    "mean": [0.5],
    "std": [0.25],
    "classes": ["a", "b"],
    "thresholds": [0.5, 0.4],
    "levels": [0, 4095],
}


@pytest.mark.parametrize(
    ("file", "change"),
    [
        (EVALUATION, {"images": -1}),
        (EVALUATION, {"images": 1.5}),
        (EVALUATION, {"accuracy": 1.5}),
        (EVALUATION, {"accuracy": -0.5}),
        (EVALUATION, {"loss": "small"}),
        (EVALUATION, {"confusion": [[-1]]}),
        (EVALUATION, {"calibration_error": 7}),
        (DATA, {"images": {"train": -3}}),
        (DATA, {"channels": True}),
        (EXPORT, {"agreement": 2}),
        (EXPORT, {"load_seconds": -1}),
        (RUN, {"seed": -1}),
        (RUN, {"arguments": []}),
    ],
    ids=str,
)
def test_a_field_out_of_its_bounds_is_refused(make_run, file, change):
    folder = make_run()
    fields = read_json(folder / file.name)
    file.load(folder)
    (folder / file.name).write_text(json.dumps(fields | change))
    with pytest.raises(RunFolderError, match=next(iter(change))):
        file.load(folder)


@pytest.mark.parametrize(
    "change",
    [{"epoch": 0}, {"val_accuracy": 2}, {"seconds": -1}, {"images": -5}, {"learning_rate": "0.1"}],
    ids=str,
)
def test_a_line_out_of_its_bounds_is_no_epoch(make_run, change):
    folder = make_run()
    path = folder / METRICS.name
    first, *rest = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps(json.loads(first) | change), *rest, ""]))
    assert [epoch.epoch for epoch in METRICS.read(folder)] == [2, 3, 4]


@pytest.mark.parametrize(
    "change",
    [
        {"std": [0.0]},
        {"std": [-0.1]},
        {"std": [0.1, 0.2]},
        {"std": []},
        {"std": None},
        {"mean": [0.1, 0.2, 0.3]},
        {"mean": ["half"]},
        {"resolution": 0},
        {"crop": 0.0},
        {"crop": 1.5},
        {"channels": 0},
        {"channels": 3},
        {"classes": []},
        {"classes": ["a", 1]},
        {"thresholds": [0.5]},
        {"levels": [5, 5]},
        {"levels": [5]},
        {"size": 3},
    ],
    ids=str,
)
def test_a_preprocessing_that_no_network_has_is_refused(tmp_path, change):
    path = tmp_path / "preprocessing.json"
    path.write_text(json.dumps(PREPROCESSING))
    known = Preprocessing.load(path)
    known.save(path)
    assert Preprocessing.load(path) == known
    path.write_text(json.dumps(PREPROCESSING | change))
    with pytest.raises(RunFolderError, match=r"does not describe a preprocessing \(field .*put a copy"):
        Preprocessing.load(path)


def test_a_preprocessing_with_a_number_that_is_none_is_refused(tmp_path):
    path = tmp_path / "preprocessing.json"
    path.write_text(json.dumps(PREPROCESSING | {"std": [float("nan")]}))
    with pytest.raises(RunFolderError, match=r"preprocessing\.json is damaged"):
        Preprocessing.load(path)


def test_arguments_of_a_run_are_what_they_should_be(make_run):
    info = RUN.load(make_run())
    assert info.argument("data", str) == "icons"
    for name, kind in (("data", int), ("none", str)):
        with pytest.raises(RunFolderError, match=f"argument '{name}' is"):
            info.argument(name, kind)
