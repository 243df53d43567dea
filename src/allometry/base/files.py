"""Files that survive a kill: written beside their place, flushed to the disk, then renamed."""

from __future__ import annotations

import errno
import hashlib
import json
import mmap
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any

from allometry.base.errors import RunFolderError, StorageError
from allometry.base.holding import make_folder, refuse_lost
from allometry.base.reading import UnreadableError, parse_json, read_bytes, read_text
from allometry.base.text import shown

_REASONS = {
    errno.ENOSPC: "the disk is full; free some space and run the same command again",
    errno.EDQUOT: "your disk quota is used up; free some space and run the same command again",
    errno.EFBIG: "the system allows no larger file there; raise the limit or give another folder",
    errno.EROFS: "the disk is read-only; give another folder",
    errno.EACCES: "you may not write there; give another folder or change its permissions",
    errno.EPERM: "you may not write there; give another folder or change its permissions",
    errno.ENOTDIR: "part of that path is a file; give another folder",
    errno.EEXIST: "a file of that name is in the way; give another folder",
    errno.ENOENT: "part of that path has gone; give the same command again, or another folder",
    errno.EIO: "the disk failed (Input/output error); see to the disk, then give the same command again",
    errno.ESTALE: "the network disk lost it (stale file handle); mount it again, then give the same command again",
    errno.EMFILE: "too many files are open here; raise the limit (ulimit -n) and give the same command again",
    errno.ENFILE: "too many files are open on this machine; close some and give the same command again",
    errno.ENAMETOOLONG: "the name is too long; give a shorter one",
    errno.ELOOP: "links on that path go round in circles; give another folder",
}


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn the system's refusal to write at `path` into a sentence, a `StorageError`; so too where its folder went."""
    if not _can_be(path):
        raise StorageError(f"Cannot write {shown(str(path))}: no file and no folder can be called that.")
    try:
        refuse_lost(path)
        yield
    except StorageError:
        raise
    except OSError as error:
        refuse_lost(path)
        reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
        raise StorageError(f"Cannot write {path}: {reason}.") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path beside `path` to write to; on success it takes `path`'s place in one step.

    A reader sees the old file or the new one, never half of one; after an error the old one stays.

    Raises:
        StorageError: the disk is full, read-only or forbidden.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "numbers.txt"
        >>> with replacing(target) as beside:
        ...     _ = beside.write_text("1 2 3")
        >>> target.read_text()
        '1 2 3'
    """
    with storage_errors(path):
        _refuse_special(path)
        make_folder(path.parent)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
        beside = Path(name)
        try:
            yield beside
            flush(beside)
            beside.chmod(0o666 & ~_umask())
            refuse_lost(path)
            beside.replace(path)
            flush(path.parent)
        finally:
            beside.unlink(missing_ok=True)


def _refuse_special(path: Path) -> None:
    """Never put a file in the place of a device or a pipe: with rights enough, `/dev/null` would be one no more."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise StorageError(f"Cannot write {path}: it is a device or a pipe, and no file; give another name.")


@contextmanager
def placing(folder: Path, *, name: str = "") -> Iterator[Path]:
    """Give a folder to write files into that belong together; on success each takes its place in `folder`, in one step.

    For writers that choose names of their own. After an error the old files stay.

    Args:
        folder: of the files.
        name: of the first of them, by which `sweep` knows what a kill has left.

    Raises:
        StorageError: the disk is full, read-only or forbidden.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp())
        >>> with placing(target) as beside:
        ...     _ = (beside / "model.bin").write_bytes(b"1")
        ...     _ = (beside / "model.xml").write_text("<net/>")
        >>> sorted(path.name for path in target.iterdir())
        ['model.bin', 'model.xml']
    """
    with storage_errors(folder):
        make_folder(folder)
        prefix = f".{name}." if name else "."
        with tempfile.TemporaryDirectory(prefix=prefix, suffix=".part", dir=folder) as temporary:
            beside = Path(temporary)
            yield beside
            written = sorted(beside.iterdir())
            for path in written:
                flush(path)
                path.chmod(0o666 & ~_umask())
            refuse_lost(folder)
            for path in written:
                _refuse_special(folder / path.name)
            for path in written:
                path.replace(folder / path.name)
        flush(folder)


def sweep(folder: Path, *, name: str | None = None) -> None:
    """Remove what a kill has left half-written in a folder; nobody may be writing there.

    Args:
        folder: that is swept.
        name: of the file that was to be written; None for all, those in folders below, too.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> (folder / ".report.html.x7.part").touch()
        >>> sweep(folder)
        >>> list(folder.iterdir())
        []
    """
    left = folder.rglob(".*.part") if name is None else folder.glob(f".{escape(name)}.*.part")
    for torn in list(left):
        if torn.is_dir() and not torn.is_symlink():
            shutil.rmtree(torn, ignore_errors=True)
        else:
            torn.unlink(missing_ok=True)


def names_us(path: Path) -> bool:
    """Whether a file has the name of this library in it, as those that it writes for others have.

    Example:
        >>> import tempfile
        >>> page = Path(tempfile.mkdtemp()) / "page.html"
        >>> _ = page.write_text("somebody's")
        >>> names_us(page)
        False
    """
    if not path.is_file() or not path.stat().st_size:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(b"allometry") >= 0


def size_with_weights(path: Path) -> int:
    """Bytes of a network's file, with those of the weights beside it: `.bin` of an `.xml`, `.data` of an ONNX file.

    Example:
        >>> import tempfile
        >>> model = Path(tempfile.mkdtemp()) / "model.xml"
        >>> _ = model.write_bytes(b"12"), model.with_suffix(".bin").write_bytes(b"345")
        >>> size_with_weights(model)
        5
    """
    beside = path.with_suffix(".bin") if path.suffix == ".xml" else path.with_name(f"{path.name}.data")
    return sum(file.stat().st_size for file in (path, beside) if file.exists())


def file_digest(path: Path) -> str:
    """The SHA-256 of a file, 64 hexadecimal digits.

    Raises:
        OSError: it cannot be read.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "empty"
        >>> path.touch()
        >>> file_digest(path)[:8]
        'e3b0c442'
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` in one step."""
    with replacing(path) as beside:
        # Names of files need not be text: whatever they hold is written so that it can be seen.
        beside.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: Path, value: object) -> None:
    """Write `value` as readable JSON to `path` in one step; NaN and infinity are refused."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file of a run folder.

    Raises:
        RunFolderError: the file is missing or damaged.
    """
    try:
        value = parse_json(read_text(path), surrogates=True)
    except FileNotFoundError as error:
        raise RunFolderError(
            f"{path} is missing: the run is not finished, or this is no run folder."
        ) from error
    except OSError as error:
        raise RunFolderError(f"{path} cannot be read: {error.strerror}.") from error
    except UnreadableError as error:
        raise RunFolderError(f"{path} is damaged: {error}.") from error
    if not isinstance(value, dict):
        raise RunFolderError(f"{path} should hold a JSON object, not a {type(value).__name__}.")
    return value


def append_line(path: Path, record: Mapping[str, Any]) -> None:
    """Add one JSON line to `path` and flush it to the disk; a last line that a kill has torn is cut off first."""
    line = lines_text([record])
    with storage_errors(path):
        _refuse_special(path)
        make_folder(path.parent)
        with path.open("ab+") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            whole = file.read().rfind(b"\n") + 1
            if whole < size:
                file.truncate(whole)
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The records of a JSON-lines file; a last line that a kill has torn is left out.

    Raises:
        RunFolderError: another line is damaged, or the file cannot be read.
    """
    if not path.exists():
        return []
    try:
        raw = read_bytes(path)
    except OSError as error:
        raise RunFolderError(f"{path} cannot be read: {error.strerror}.") from error
    records = []
    for number, line in enumerate(raw.split(b"\n")[:-1], start=1):  # what follows the last line end was torn
        try:
            record = parse_json(line.decode(), surrogates=True)
        except ValueError as error:
            raise RunFolderError(f"{path} is damaged in line {number}: {error}.") from error
        if not isinstance(record, dict):
            raise RunFolderError(f"{path} is damaged in line {number}: it should be a JSON object.")
        records.append(record)
    return records


def write_lines(path: Path, records: list[dict[str, Any]]) -> None:
    """Replace a JSON-lines file by these records in one step."""
    write_text(path, lines_text(records))


def lines_text(records: Iterable[Mapping[str, Any]]) -> str:
    """Records as the text of a JSON-lines file.

    Example:
        >>> lines_text([{"epoch": 1}, {"epoch": 2}]).splitlines()
        ['{"epoch": 1}', '{"epoch": 2}']
    """
    return "".join(json.dumps(record, allow_nan=False) + "\n" for record in records)


def flush(path: Path) -> None:
    """Wait until a file, or a folder's list of files, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _can_be(path: Path) -> bool:
    """Whether the system takes such a name."""
    try:
        return b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
