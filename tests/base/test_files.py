import errno
import json
import os
import stat

import pytest

from allometry.base import RunFolderError, StorageError
from allometry.base.files import (
    append_line,
    read_json,
    read_lines,
    replacing,
    write_json,
    write_lines,
    write_text,
)


def test_a_file_is_replaced_in_one_step(tmp_path):
    path = tmp_path / "a" / "b.txt"
    write_text(path, "one")
    with replacing(path) as beside:
        beside.write_text("two")
        assert path.read_text() == "one"
        assert beside.parent == path.parent
    assert path.read_text() == "two"
    assert list(path.parent.iterdir()) == [path]


def test_an_error_keeps_the_old_file_and_leaves_nothing_beside(tmp_path):
    path = tmp_path / "b.txt"
    write_text(path, "one")

    def write_half():
        with replacing(path) as beside:
            beside.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        write_half()
    assert path.read_text() == "one"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.ENOSPC, "the disk is full; free some space"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "may not write"),
        (errno.EDQUOT, "quota"),
        (errno.EFBIG, "no larger file"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_the_systems_refusals_become_sentences(tmp_path, monkeypatch, number, says):
    def refuse(_handle):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    for write in (lambda: write_json(tmp_path / "x", {}), lambda: append_line(tmp_path / "y", {})):
        with pytest.raises(StorageError, match=says):
            write()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_forbidden_folder(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="may not write"):
        write_text(tmp_path / "x", "")


def test_new_files_have_the_usual_permissions(tmp_path):
    (tmp_path / "usual").write_text("")
    write_text(tmp_path / "ours", "")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("usual", "ours")}
    assert len(modes) == 1


def test_lines_survive_a_torn_end(tmp_path):
    path = tmp_path / "lines.jsonl"
    assert read_lines(path) == []
    append_line(path, {"a": 1})
    append_line(path, {"a": 2})
    with path.open("a") as file:
        file.write('{"a": 3, "b"')
    assert read_lines(path) == [{"a": 1}, {"a": 2}]
    append_line(path, {"a": 4})
    assert read_lines(path) == [{"a": 1}, {"a": 2}, {"a": 4}]
    write_lines(path, [{"a": 5}])
    assert [json.loads(line) for line in path.read_text().splitlines()] == [{"a": 5}]


def test_no_file_holds_what_json_cannot(tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "x.json", {"loss": float("nan")})
    assert not (tmp_path / "x.json").exists()


@pytest.mark.parametrize(
    ("content", "says"), [(None, "is missing"), ("{", "is damaged: it is not JSON"), ("[]", "JSON object")]
)
def test_damaged_json_is_named(tmp_path, content, says):
    path = tmp_path / "x.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(RunFolderError, match=says):
        read_json(path)


def test_no_file_takes_the_place_of_a_device_or_a_pipe(tmp_path):
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to("/dev/full")
    for path in (pipe, link):
        before = path.lstat()
        with pytest.raises(StorageError, match="it is a device or a pipe, and no file; give another name"):
            write_text(path, "text")
        assert (path.lstat().st_ino, path.lstat().st_mode) == (before.st_ino, before.st_mode)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "pipe"]


@pytest.mark.parametrize("name", ["a\x00b", "caf\ud800", "x" * 5000])
def test_what_no_file_can_be_called_is_refused_in_a_sentence(tmp_path, name):
    with pytest.raises(StorageError, match=r"^Cannot write [^\n]+$"):
        write_text(tmp_path / name, "text")
