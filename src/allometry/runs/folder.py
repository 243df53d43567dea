"""The run folder: who made it, with what, and what each phase cost."""

from __future__ import annotations

import fcntl
import os
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from allometry.base.errors import RunFolderError, StorageError
from allometry.base.files import read_json, storage_errors, sweep
from allometry.base.holding import hold, make_folder
from allometry.base.reading import exists, is_folder
from allometry.runs.files import COSTS, RUN, RunInfo
from allometry.runs.records import CostEntry

# Where one of these exists, something has been trained that is worth keeping.
_WORK = ("trials", "trials.jsonl", "trials.db", "trainings.jsonl", "gradient", "metrics.jsonl", "checkpoints")
FORMAT = 1
"""Of run folders, as `run.json` has it; a change that makes old folders unreadable makes it larger."""
_WEIGHTS = (".pt", ".pth", ".safetensors", ".npz", ".bin", ".ckpt")  # how a name of weights ends
_LIBRARIES = ("torch", "numpy", "onnx", "onnxruntime")


def now() -> datetime:
    """The time of day, with its zone: the clock that run folders are dated by."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A folder that one command works in, and finds again when it is called again.

    Attributes:
        path: of the folder.
        info: the contents of its `run.json`.
    """

    path: Path
    info: RunInfo

    @property
    def finished(self) -> bool:
        """Whether the command has come to its end here."""
        return self.info.finished is not None

    @property
    def begun(self) -> bool:
        """Whether anything has been trained here that is worth keeping."""
        return _begun(self.path)

    def kept(self, name: str) -> Path | None:
        """A file that work has from its beginning, to go on with it.

        None where no work was begun: what a call left that went wrong before it may be of other arguments.
        """
        path = self.path / name
        return path if self.begun and path.exists() else None

    def finish(self, clock: Callable[[], datetime] = now) -> None:
        """Write down that the command has come to its end."""
        RUN.write(self.path, replace(self.info, finished=clock().isoformat(timespec="seconds")))

    def record_cost(self, phase: str, name: str, *, seconds: float, images: int = 0) -> None:
        """Add to the cost log what something cost; the same thing is not added twice."""
        if any(entry.phase == phase and entry.name == name for entry in COSTS.read(self.path)):
            return
        entry = CostEntry(
            phase=phase, name=name, seconds=round(seconds, 3), images=images, device=self.info.device
        )
        COSTS.append(self.path, entry)


@contextmanager
def open_run(
    path: Path,
    *,
    command: str,
    arguments: Mapping[str, Any],
    device: str,
    seed: int,
    clock: Callable[[], datetime] = now,
) -> Iterator[RunFolder]:
    """Make a run folder, or take up the one that the same command made; nobody else may use it meanwhile.

    Args:
        path: of the folder.
        command: the verb.
        arguments: what decides the result; a folder made with others is refused.
        device: in words, for the cost log.
        seed: of everything random.
        clock: the time of day.

    Raises:
        RunFolderError: the folder is in use, was made by another command, or holds other things.
        StorageError: the folder cannot be written.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp()) / "run"
        >>> with open_run(folder, command="run", arguments={"budget": "10M"}, device="cpu", seed=0) as run:
        ...     (folder / "metrics.jsonl").touch()
        ...     run.finished
        False
        >>> with open_run(folder, command="run", arguments={"budget": "20M"}, device="cpu", seed=0) as run:
        ...     pass
        Traceback (most recent call last):
            ...
        allometry.base.errors.RunFolderError: ... was made with budget 10M, not 20M. ...
    """
    if exists(path) and not is_folder(path):
        raise RunFolderError(f"{path} is a file; give a folder for the run.")
    _refuse_odd_bytes(path)
    with storage_errors(path):
        make_folder(path)
        _refuse_foreign(path)  # before a lock is left in it
    with _locked(path):
        info = _take_up(path, command, arguments)
        if info is None:
            info = RunInfo(
                format=FORMAT,
                command=command,
                name=path.name,
                arguments=dict(arguments),
                versions=versions(),
                device=device,
                seed=seed,
                started=clock().isoformat(timespec="seconds"),
            )
            RUN.write(path, info)
        yield RunFolder(path, info)


@contextmanager
def work_in(path: Path) -> Iterator[RunFolder]:
    """Take up the run folder of a finished command, to work on with its result; nobody else may use it meanwhile.

    Raises:
        RunFolderError: there is none, its command has not come to its end, or the folder is in use.
        StorageError: the folder cannot be written.
    """
    run = find_run(path)
    if not run.finished:
        raise RunFolderError(
            f"{path} is not finished; run `allometry {run.info.command}` with the same arguments to go on, then this."
        )
    with _locked(path):
        sweep(path)
        yield run


def find_run(path: Path) -> RunFolder:
    """Look into a run folder without working in it.

    Raises:
        RunFolderError: there is none, or another version of this package made it.
    """
    if not is_folder(path):
        if path.suffix in _WEIGHTS and not path.exists():
            raise RunFolderError(f"There is no file {path}, and no run folder of that name.")
        raise RunFolderError(f"There is no run folder {path}.{_hint(path)}")
    if not (path / RUN.name).exists():
        raise RunFolderError(f"{path} is no run folder: it has no {RUN.name}.{_hint(path)}")
    _refuse_odd_bytes(path)
    return RunFolder(path, _info(path))


def _refuse_odd_bytes(path: Path) -> None:
    """Refuse a name that files of weights cannot have: that is better told before the training than after it."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise RunFolderError(
            f"The name of the folder {path} is no text in UTF-8, and files of weights cannot lie there. "
            "Call it otherwise."
        ) from None


def _hint(path: Path) -> str:
    near = (
        [entry.parent.name for entry in path.parent.glob(f"*/{RUN.name}")] if is_folder(path.parent) else []
    )
    if near:
        return f" Runs beside it: {', '.join(sorted(near)[:5])}."
    return " Give a folder that a command such as `allometry run` or `allometry train` made."


def _info(path: Path) -> RunInfo:
    """What `run.json` says.

    Raises:
        RunFolderError: it is damaged, or of another version of this package.
    """
    plain = read_json(path / RUN.name)
    if plain.get("format") != FORMAT:
        known = plain.get("versions")
        maker = f" ({known['allometry']})" if isinstance(known, dict) and "allometry" in known else ""
        raise RunFolderError(
            f"{path} was made by another version of allometry{maker}, whose run folders this one does not read; "
            "run its command again with another --out."
        )
    try:
        return RunInfo.from_dict(plain)
    except RunFolderError as error:
        raise RunFolderError(f"{path / RUN.name} is damaged: {error}") from error


def versions() -> dict[str, str]:
    """Versions of this package, Python and the libraries that decide a result."""
    installed = {"python": platform.python_version()}
    for library in ("allometry", *_LIBRARIES):
        try:
            installed[library] = version(library)
        except PackageNotFoundError:
            continue
    return installed


def _take_up(path: Path, command: str, arguments: Mapping[str, Any]) -> RunInfo | None:
    """What the folder's `run.json` says, or None where the command may begin anew."""
    if not (path / RUN.name).exists():
        _refuse_foreign(path)
        return None
    sweep(path)
    if not _begun(path):
        return None  # an earlier call went wrong before any work; the corrected one may take its place
    info = _info(path)
    _refuse_other(path, info, command, arguments)
    return info


def _refuse_foreign(path: Path) -> None:
    if not (path / RUN.name).exists() and any(not entry.name.startswith(".") for entry in path.iterdir()):
        raise RunFolderError(f"{path} is not empty and is no run folder; give another one.")


def _refuse_other(path: Path, info: RunInfo, command: str, arguments: Mapping[str, Any]) -> None:
    advice = "Give another folder with --out, or the same arguments as before."
    if info.command != command:
        raise RunFolderError(f"{path} was made by `allometry {info.command}`, not `{command}`. {advice}")
    # An argument that was left out then or now counts, too: a teacher, say.
    for name in {**arguments, **info.arguments}:
        old, new = info.arguments.get(name), arguments.get(name)
        if old != new:
            raise RunFolderError(f"{path} was made with {name} {_none(old)}, not {_none(new)}. {advice}")


def _begun(path: Path) -> bool:
    return any((path / name).exists() for name in _WORK)


def _none(value: object) -> object:
    return "none" if value is None or value == [] else value


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a folder, and keep others out of it."""
    with hold(path) as folder:
        with storage_errors(path):
            handle = os.open(".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666, dir_fd=folder)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise RunFolderError(
                    f"Another process is working in {path}; wait for it or give --out."
                ) from error
            except OSError as error:
                raise StorageError(
                    f"{path} cannot be locked ({error.strerror}), so that two commands might work in it at once; give "
                    "a folder on another disk with --out."
                ) from error
            yield
        finally:
            os.close(handle)
