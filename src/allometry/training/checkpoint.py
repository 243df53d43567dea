"""Checkpoints: weights as safetensors, the state beside them, all or nothing; and when one is worth its time."""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from allometry.base import RunFolderError
from allometry.base.files import read_json, replacing, storage_errors, write_json
from allometry.nn import save_weights

_LATEST = "latest.json"


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
        ['latest.json', 'step-00000007']
    """

    step: int
    weights: dict[str, Tensor]
    average: dict[str, Tensor]
    state: dict[str, Any]

    def write(self, folder: Path) -> None:
        """Write into `folder`, make it the latest, and remove the one before.

        A kill at any moment leaves the old checkpoint or the new one in force.

        Raises:
            StorageError: the disk is full, read-only or forbidden.
        """
        name = f"step-{self.step:08d}"
        target = folder / name
        with storage_errors(target):
            folder.mkdir(parents=True, exist_ok=True)
            beside = Path(tempfile.mkdtemp(prefix=f".{name}.", suffix=".part", dir=folder))
            try:
                save_weights(beside / "weights.safetensors", self.weights)
                save_weights(beside / "average.safetensors", self.average)
                with replacing(beside / "state.pt") as file:
                    file.write_bytes(_to_bytes(self.state))
                shutil.rmtree(target, ignore_errors=True)
                beside.replace(target)
            finally:
                shutil.rmtree(beside, ignore_errors=True)
            write_json(folder / _LATEST, {"step": self.step, "folder": name})
        _remove(folder, but=target)


def latest_checkpoint(folder: Path) -> Checkpoint | None:
    """The checkpoint in force, or None where there is none yet.

    Nothing in the files is executed: tensors and plain values only.

    Raises:
        RunFolderError: the checkpoint is damaged.

    Example:
        >>> weights = {"weight": torch.ones(2)}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     before = latest_checkpoint(Path(folder))
        ...     Checkpoint(step=7, weights=weights, average=weights, state={"phase": 0}).write(Path(folder))
        ...     after = latest_checkpoint(Path(folder))
        >>> before, after.step, after.state
        (None, 7, {'phase': 0})
    """
    if not (folder / _LATEST).exists():
        return None
    latest = read_json(folder / _LATEST)
    place = folder / Path(str(latest.get("folder"))).name
    try:
        state = torch.load(place / "state.pt", weights_only=True, map_location="cpu")
    except Exception as error:  # torch raises many kinds for a damaged file
        raise RunFolderError(
            f"The checkpoint {place} is damaged ({type(error).__name__}); remove {folder} to train from the start."
        ) from error
    return Checkpoint(
        step=int(latest["step"]),
        weights=load_weights(place / "weights.safetensors"),
        average=load_weights(place / "average.safetensors"),
        state=state,
    )


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
    for path in (folder / _LATEST, *folder.glob("best-*.safetensors")):
        path.unlink(missing_ok=True)
    _remove(folder, but=None)


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
    try:
        return load_file(path)
    except FileNotFoundError as error:
        raise RunFolderError(f"The weights {path} are missing: the training is not finished.") from error
    except (SafetensorError, OSError) as error:
        raise RunFolderError(f"The weights {path} are damaged: {error}.") from error


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


def _remove(folder: Path, *, but: Path | None) -> None:
    """Remove old checkpoints, and what a kill has left half-written."""
    for old in (*folder.glob("step-*"), *folder.glob(".*.part")):
        if old.is_dir() and old != but:
            shutil.rmtree(old, ignore_errors=True)
        elif old != but:
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
