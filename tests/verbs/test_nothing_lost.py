"""A folder that goes while a verb works in it, prices that a kill left out, trials that were changed."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

import allometry as al
from allometry.base import RunFolderError, StorageError
from allometry.runs.files import COSTS, RUN, SEARCH_TRIALS

from .conftest import FAST


@pytest.mark.parametrize("again", [False, True])
def test_a_run_folder_that_goes_ends_the_training_and_is_not_made_again(tiny, arrays, tmp_path, again):
    folder = tmp_path / "run"

    def go() -> bool:
        if folder.exists():
            shutil.rmtree(folder)
            if again:
                folder.mkdir()
        return False

    with pytest.raises(StorageError, match="removed, moved or replaced while this command worked in it"):
        al.train(tiny, data=arrays, recipe=FAST, out=folder, progress=False, should_stop=go)
    assert not folder.exists() or not list(folder.iterdir())


def test_a_price_that_a_kill_left_out_is_charged_when_its_work_is_there(trained, tiny, arrays, tmp_path):
    folder = shutil.copytree(trained.folder, tmp_path / "run")
    before = COSTS.read(folder)
    COSTS.write(folder, [entry for entry in before if entry.phase != "evaluate"])
    run = json.loads((folder / RUN.name).read_text())
    (folder / RUN.name).write_text(json.dumps(run | {"finished": None}))
    for _ in range(2):
        al.train(tiny, data=arrays, recipe=FAST, out=folder, progress=False)
    charged, expected = (
        sorted((entry.phase, entry.images) for entry in costs) for costs in (COSTS.read(folder), before)
    )
    assert charged == expected


@pytest.fixture(scope="module")
def searched(tiny, arrays, tmp_path_factory):
    out = tmp_path_factory.mktemp("searched") / "search"
    al.search(tiny, data=arrays, budget="200k", trials=2, epochs=1, out=out, progress=False)
    return out


def on(tiny, arrays, folder):
    al.search(
        tiny,
        data=arrays,
        budget="200k",
        trials=2,
        epochs=1,
        out=folder,
        progress=False,
        compare_with="random",
    )


def add_seventh(folder):
    SEARCH_TRIALS.append(folder, replace(SEARCH_TRIALS.read(folder)[0], number=7))


def change_first(folder):
    first, *rest = SEARCH_TRIALS.read(folder)
    SEARCH_TRIALS.write(folder, [replace(first, values=(0.99,)), *rest])


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda folder: (folder / "trials.db").unlink(), "lacks trial 0"),
        (lambda folder: (folder / "trials.db").write_bytes(b""), "lacks trial 0"),
        (add_seventh, "lacks trial 7"),
        (change_first, "has other figures of trial 0"),
    ],
    ids=["no database", "an empty one", "a trial more", "another figure"],
)
def test_a_database_that_is_not_that_of_its_lines_is_refused(searched, tiny, arrays, tmp_path, damage, says):
    folder = shutil.copytree(searched, tmp_path / "search")
    damage(folder)
    with pytest.raises(RunFolderError, match=says):
        on(tiny, arrays, folder)
