"""A folder that goes while something is done in it: nothing is written elsewhere, and it is told."""

import shutil

import pytest

from allometry.base import StorageError
from allometry.base.files import append_line, placing, replacing, write_json
from allometry.base.holding import hold, make_folder, refuse_lost


def remove(folder):
    shutil.rmtree(folder)


def move(folder):
    folder.rename(folder.with_name("elsewhere"))


def replace(folder):
    move(folder)
    folder.mkdir()


def replace_by_file(folder):
    shutil.rmtree(folder)
    folder.write_text("")


def place(folder):
    with placing(folder) as beside:
        (beside / "file").write_text("")


WRITES = {
    "json": lambda folder: write_json(folder / "a.json", {}),
    "line": lambda folder: append_line(folder / "a.jsonl", {}),
    "below": lambda folder: write_json(folder / "a" / "b" / "c.json", {}),
    "files": place,
    "folder": lambda folder: make_folder(folder / "a"),
}


@pytest.mark.parametrize("go", [remove, move, replace, replace_by_file])
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_nothing_is_written_where_a_folder_was(go, write, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()

    def work():
        with hold(folder):
            write(folder)
            go(folder)
            left = sorted(tmp_path.rglob("*"))
            with pytest.raises(StorageError, match="removed, moved or replaced"):
                write(folder)
            assert sorted(tmp_path.rglob("*")) == left

    with pytest.raises(StorageError, match=r"The folder .*run .* removed, moved or replaced"):
        work()
    write_json(tmp_path / "run.json", {})  # nothing is held any more


def go_and_fail(go, folder, fault):
    with hold(folder):
        go(folder)
        if fault is not None:
            raise fault


@pytest.mark.parametrize("go", [remove, move, replace])
def test_the_end_is_refused_too_and_so_is_any_fault(go, tmp_path):
    for number, fault in enumerate((None, KeyError("a"), IndexError())):
        folder = tmp_path / str(number) / "run"
        folder.mkdir(parents=True)
        with pytest.raises(StorageError, match="removed, moved or replaced"):
            go_and_fail(go, folder, fault)


def test_a_folder_that_goes_while_a_file_is_written(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()

    def work():
        with hold(folder), replacing(folder / "a") as beside:
            beside.write_text("")
            replace(folder)

    with pytest.raises(StorageError, match="removed, moved or replaced"):
        work()
    assert list(folder.iterdir()) == []


def test_a_folder_that_is_there_may_be_held_twice_and_by_a_link(tmp_path):
    folder, link = tmp_path / "run", tmp_path / "link"
    folder.mkdir()
    link.symlink_to(folder)
    with hold(folder), hold(link), hold(folder / "new", make=True):
        write_json(link / "new" / "a.json", {})
        refuse_lost(folder / "new")
    assert (folder / "new" / "a.json").exists()


def test_a_file_in_the_way_is_told(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(StorageError, match="in the way"), hold(tmp_path):
        write_json(tmp_path / "a" / "b.json", {})
    with pytest.raises(StorageError, match="Cannot work in"), hold(tmp_path / "none"):
        pass


def test_a_folder_beside_one_that_has_gone_is_free(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()

    def work():
        with hold(folder):
            remove(folder)
            write_json(tmp_path / "runner" / "a.json", {})

    with pytest.raises(StorageError, match="has gone"):
        work()
    assert (tmp_path / "runner" / "a.json").exists()
