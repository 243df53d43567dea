"""Checkpoints: weights as safetensors, the state beside them, all or nothing; and when one is worth its time."""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from allometry.base import RunFolderError
from allometry.base.files import file_digest, flush, read_json, replacing, storage_errors, write_json
from allometry.base.holding import make_folder, refuse_lost
from allometry.nn import save_weights
from allometry.nn.pretrained.files import RawWeights, is_damaged

_MANIFEST = "checkpoint.json"
_FORMAT = "allometry.checkpoint/1"
_FILES = ("weights.safetensors", "average.safetensors", "state.pt")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything a training needs to go on exactly.

    Attributes:
        step: optimizer steps taken.
        weights: the module's state, by name.
        average: the averaged module's state, by name.
        state: the optimizer's state, the place in phases and data, the running sums of the epoch, the task's own.

    Example:
        >>> weights = {"weight": torch.ones(2)}
        >>> checkpoint = Checkpoint(step=7, weights=weights, average=weights, state={"phase": 0})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     checkpoint.write(Path(folder))
        ...     sorted(path.name for path in Path(folder).iterdir())
        ['step-00000007']
    """

    step: int
    weights: dict[str, Tensor]
    average: dict[str, Tensor]
    state: dict[str, Any]

    def write(self, folder: Path) -> None:
        """Write into `folder`, and remove all but this one and the one before, which is used if this one is damaged.

        A kill at any moment leaves the new checkpoint or the old one in force.

        Raises:
            StorageError: the disk is full, read-only or forbidden.
        """
        name = f"step-{self.step:08d}"
        target = folder / name
        with storage_errors(target):
            make_folder(folder)
            beside = Path(tempfile.mkdtemp(prefix=f".{name}.", suffix=".part", dir=folder))
            try:
                save_weights(beside / "weights.safetensors", self.weights)
                save_weights(beside / "average.safetensors", self.average)
                with replacing(beside / "state.pt") as file:
                    file.write_bytes(_to_bytes(self.state))
                digests = {file: file_digest(beside / file) for file in _FILES}
                write_json(beside / _MANIFEST, {"format": _FORMAT, "step": self.step, "files": digests})
                _replace(target, beside)
            finally:
                shutil.rmtree(beside, ignore_errors=True)
        _remove(folder, but=_steps(folder)[:2])


def _replace(target: Path, beside: Path) -> None:
    """Let a folder take its place; one that is there makes room at once, for half of one would be a damaged one."""
    refuse_lost(target)
    old = beside.with_name(f"{beside.stem}.old.part")
    if target.exists():
        target.replace(old)
    beside.replace(target)
    flush(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def latest_checkpoint(folder: Path, *, say: Callable[[str], None] | None = None) -> Checkpoint | None:
    """The checkpoint in force, or None where there is none yet: the last one that is whole.

    Nothing in the files is executed: tensors and plain values only.

    Args:
        folder: of the checkpoints.
        say: is told in a sentence if the last one is damaged and the one before is taken.

    Raises:
        RunFolderError: there are checkpoints, and all are damaged.

    Example:
        >>> weights = {"weight": torch.ones(2)}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     before = latest_checkpoint(Path(folder))
        ...     for step in (3, 7):
        ...         Checkpoint(step=step, weights=weights, average=weights, state={"phase": 0}).write(Path(folder))
        ...     after = latest_checkpoint(Path(folder))
        ...     _ = (Path(folder) / "step-00000007" / "weights.safetensors").write_bytes(b"")
        ...     damaged = latest_checkpoint(Path(folder), say=print)  # doctest: +ELLIPSIS
        The checkpoint .../step-00000007 is damaged (weights.safetensors is not what was written); going on from ...
        >>> before, after.step, after.state, damaged.step
        (None, 7, {'phase': 0}, 3)
    """
    damaged = ""
    for place in _steps(folder):
        checkpoint = _read(place)
        if isinstance(checkpoint, Checkpoint):
            if damaged and say is not None:
                say(f"{damaged}; going on from the one before, of step {checkpoint.step}.")
            return checkpoint
        damaged = damaged or f"The checkpoint {place} is damaged ({checkpoint})"
    if damaged:
        raise RunFolderError(f"{damaged}, and there is no other; remove {folder} to train from the start.")
    return None


def _read(place: Path) -> Checkpoint | str:
    """A checkpoint from its folder, or what is wrong with it."""
    try:
        manifest = read_json(place / _MANIFEST)
        written = manifest.get("files")
        if manifest.get("format") != _FORMAT or not isinstance(written, dict):
            return f"{_MANIFEST} is of another version"
        for name in _FILES:
            if file_digest(place / name) != written.get(name):
                return f"{name} is not what was written"
        return Checkpoint(
            step=int(place.name.removeprefix("step-")),
            weights=load_file(place / "weights.safetensors"),
            average=load_file(place / "average.safetensors"),
            state=torch.load(place / "state.pt", weights_only=True, map_location="cpu"),
        )
    except RunFolderError:
        return f"{_MANIFEST} is missing or damaged"
    except MemoryError:
        raise  # says nothing about the files
    except Exception as error:  # torch and safetensors raise many kinds
        return f"{type(error).__name__}"


def _steps(folder: Path) -> list[Path]:
    """The folders of checkpoints, the last one first."""
    return sorted((path for path in folder.glob("step-*") if path.is_dir()), reverse=True)


def remove_checkpoints(folder: Path) -> None:
    """Remove what only a training that goes on needs; finished weights stay.

    Example:
        >>> weights = {"weight": torch.ones(2)}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Checkpoint(step=7, weights=weights, average=weights, state={}).write(Path(folder))
        ...     remove_checkpoints(Path(folder))
        ...     list(Path(folder).iterdir())
        []
    """
    for path in folder.glob("best-*.safetensors"):
        path.unlink(missing_ok=True)
    _remove(folder, but=())


def best_file(folder: Path, phase: int) -> Path:
    """Where the weights of a phase's best epoch are: each has its own, as a kill may throw a training back."""
    return folder / f"best-{phase + 1}.safetensors"


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read weights from a safetensors file; nothing in it is executed.

    Raises:
        RunFolderError: the file is missing or damaged.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "final.safetensors"
        ...     save_weights(path, {"weight": torch.ones(2)})
        ...     load_weights(path)
        {'weight': tensor([1., 1.])}
        >>> load_weights(Path("runs/none/final.safetensors"))
        Traceback (most recent call last):
            ...
        allometry.base.errors.RunFolderError: The weights runs/none/final.safetensors are missing: ...
    """
    if not path.exists():
        raise RunFolderError(f"The weights {path} are missing: the training is not finished.")
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            raw = RawWeights({name: file.get_tensor(name) for name in names}, dict(file.metadata() or {}))
    except (SafetensorError, OSError, ValueError) as error:
        raise RunFolderError(f"The weights {path} are damaged: {error}.") from error
    if is_damaged(raw, ours=True):
        raise RunFolderError(
            f"The weights {path} are damaged: their values are not those that were written. Put a copy in their "
            "place, or remove the file and give the same command again."
        )
    return raw.tensors


def weights_metadata(path: Path) -> dict[str, str]:
    """What was written beside the weights.

    Raises:
        RunFolderError: the file is missing or damaged.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "final.safetensors"
        ...     save_weights(path, {"weight": torch.ones(2)}, metadata={"identity": "c0ffee"})
        ...     weights_metadata(path)["identity"]
        'c0ffee'
    """
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise RunFolderError(f"The weights {path} are missing or damaged: {error}.") from error


def _remove(folder: Path, *, but: Sequence[Path]) -> None:
    """Remove old checkpoints, and what a kill has left half-written."""
    for old in (*folder.glob("step-*"), *folder.glob(".*.part")):
        if old in but:
            continue
        if old.is_dir():
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.unlink(missing_ok=True)


def _to_bytes(state: dict[str, Any]) -> bytes:
    # PyTorch's own writer hides the system's error from us when a disk is full.
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


_WORTH = 20  # a checkpoint may take a twentieth of the time since the last one


class CheckpointTimer:
    """Watches how long ago a checkpoint was written, and how long that took.

    Args:
        clock: seconds.
        every: seconds between two checkpoints; more where writing one takes long.

    Example:
        >>> seconds = iter((0.0, 119.0, 120.0, 121.0, 200.0))
        >>> saving = CheckpointTimer(lambda: next(seconds), every=120.0)
        >>> saving.is_due(), saving.is_due()
        (False, True)
        >>> with saving.writing():
        ...     pass
    """

    def __init__(self, clock: Callable[[], float], *, every: float) -> None:
        self._clock, self._every = clock, every
        self._saved, self._took = clock(), 0.0

    def is_due(self) -> bool:
        """Whether the last checkpoint lies so far back that another one is worth its time."""
        return self._clock() - self._saved >= max(self._every, _WORTH * self._took)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Around the writing of a checkpoint."""
        began = self._clock()
        yield
        self._saved = self._clock()
        self._took = self._saved - began
