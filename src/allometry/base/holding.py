"""Folders that are worked in: held while that lasts, so that nothing is written where they no longer are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from allometry.base.errors import StorageError


@dataclass(frozen=True, eq=False)
class _Held:
    """A folder by its place, and by a handle that stays with it wherever it goes."""

    place: Path
    handle: int

    def check(self) -> None:
        own = os.fstat(self.handle)
        try:
            there = self.place.stat()
        except OSError as error:
            happened = (
                "has gone"
                if isinstance(error, FileNotFoundError)
                else f"cannot be reached any more ({error.strerror})"
            )
        else:
            if (there.st_dev, there.st_ino) == (own.st_dev, own.st_ino):
                return
            happened = "is another one now"
        raise StorageError(
            f"The folder {self.place} {happened}: it was removed, moved or replaced while this command worked in it, "
            "and nothing was written there since. Bring it back and give the same command again, which goes on with "
            "what is in it; or give another folder."
        )


_HELD: list[_Held] = []


@contextmanager
def hold(folder: Path, *, make: bool = False) -> Iterator[int]:
    """Hold a folder while something is done in it, and give a handle of it.

    Whatever this process writes below it is refused from the moment on that it is no longer in its place; and so is
    the end of what is done, whatever that came to.

    Args:
        folder: that is held.
        make: it is made where there is none.

    Raises:
        StorageError: there is no such folder, or it has gone meanwhile.

    Example:
        >>> import shutil, tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with hold(folder):
        ...     shutil.rmtree(folder)
        Traceback (most recent call last):
            ...
        allometry.base.errors.StorageError: The folder ... has gone: it was removed, moved or replaced while ...
    """
    place = folder.absolute()
    try:
        if make:
            make_folder(folder)
        handle = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise StorageError(f"Cannot work in {folder}: {error.strerror}.") from error
    held = _Held(place, handle)
    _HELD.append(held)
    try:
        try:
            yield handle
        except Exception as error:
            # Whatever went wrong in a folder that has gone did so for that reason.
            _refuse_lost(held, error)
            raise
        held.check()
    finally:
        _HELD.remove(held)
        os.close(handle)


def refuse_lost(path: Path) -> None:
    """Refuse to write at a path below a folder that is held and no longer in its place.

    Raises:
        StorageError: it is not.
    """
    for held in _above(path):
        held.check()


def make_folder(path: Path) -> None:
    """Make a folder and those above it, but none that is held: that one is there, or has gone.

    Raises:
        StorageError: a folder above it is held and has gone.
        OSError: it cannot be made.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with hold(folder):
        ...     make_folder(folder / "a" / "b")
        >>> (folder / "a" / "b").is_dir()
        True
    """
    above = _above(path)
    if not above:
        path.mkdir(parents=True, exist_ok=True)
        return
    nearest = max(above, key=lambda held: len(held.place.parts))
    nearest.check()
    inside = path.absolute().relative_to(nearest.place)
    for made in [inside, *inside.parents][-2::-1]:
        try:
            # By its handle: in a folder that was removed this moment nothing can be made.
            os.mkdir(made, dir_fd=nearest.handle)
        except FileExistsError:
            if not (nearest.place / made).is_dir():
                raise


def _above(path: Path) -> list[_Held]:
    """The folders that are held which a path is in, or is."""
    if not _HELD:
        return []
    place = path.absolute()
    return [held for held in list(_HELD) if place.is_relative_to(held.place)]


def _refuse_lost(held: _Held, error: Exception) -> None:
    try:
        held.check()
    except StorageError as lost:
        raise lost from error
