"""The epochs of a training: kept in its checkpoints, which are checked; `metrics.jsonl` shows them to people."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from allometry.base import RunFolderError
from allometry.base.files import lines_text, read_lines, write_lines
from allometry.base.reading import UnreadableError, parse_json, read_bytes
from allometry.runs.epochs import EpochRecord
from allometry.runs.files import RecordLines
from allometry.training.checkpoint import latest_checkpoint, weights_metadata

METRICS = "metrics.jsonl"
"""A line for each epoch that has ended, in the training's folder."""
HISTORY = "history"
"""Where the epochs are in a checkpoint's state and in the metadata of final weights."""
_TIMES = ("seconds", "images_per_second")

Epochs = TypeVar("Epochs", bound=EpochRecord)


def to_state(history: Sequence[EpochRecord]) -> list[dict[str, Any]]:
    """Epochs as plain values, for a checkpoint."""
    plain: list[dict[str, Any]] = json.loads(
        json.dumps([record.to_dict() for record in history], allow_nan=False)
    )
    return plain


def from_state(kind: type[Epochs], plain: object) -> tuple[Epochs, ...]:
    """Read what `to_state` gave.

    Raises:
        RunFolderError: it is something else.
    """
    if not isinstance(plain, list) or not all(isinstance(line, dict) for line in plain):
        raise RunFolderError("Its epochs are no list of records.")
    return tuple(kind.from_dict(line) for line in plain)


def to_metadata(history: Sequence[EpochRecord]) -> str:
    """Epochs for the metadata of final weights: without the times, so that equal weights are equal files."""
    return json.dumps([_timeless(record) for record in history], separators=(",", ":"), allow_nan=False)


def show_history(
    folder: Path, history: Sequence[EpochRecord], *, label: str, say: Callable[[str], None]
) -> None:
    """Let `metrics.jsonl` hold these epochs; lines behind them, which a kill has left, are taken back.

    Args:
        folder: of the training.
        history: as its checkpoint has it.
        label: of the training.
        say: is told where lines were damaged or missing.

    Raises:
        StorageError: the file cannot be written.
    """
    path, lines = folder / METRICS, to_state(history)
    whole = lines_text(lines).encode()
    try:
        there = read_bytes(path)
    except OSError:
        there = b""
    if there == whole and path.exists():
        return
    if not there.startswith(whole):
        say(f"The {METRICS} of {label} was damaged; it has the epochs of the checkpoint again.")
    write_lines(path, lines)


def finished_history(
    final: Path, folder: Path, kind: type[Epochs], *, label: str, say: Callable[[str], None]
) -> tuple[Epochs, ...]:
    """The epochs of a finished training; the times are those of `metrics.jsonl`.

    Args:
        final: its final weights.
        folder: of the training.
        kind: of its records.
        label: of the training.
        say: is told where lines were damaged or missing.

    Raises:
        RunFolderError: the weights are damaged, or `metrics.jsonl` is missing.
        StorageError: the file cannot be written.
    """
    try:
        lines = parse_json(weights_metadata(final).get(HISTORY, ""))
        plain = [dict.fromkeys(_TIMES, 0.0) | line for line in lines]
        known = from_state(kind, plain)
    except (UnreadableError, TypeError, RunFolderError) as error:
        raise RunFolderError(f"The weights {final} do not say how they were trained: {error}") from error
    if not known or not (folder / METRICS).exists():
        raise RunFolderError(
            f"The {METRICS} of {label} is missing or damaged; remove its folder to train anew."
        )
    shown = {str(_timeless(record)): record for record in RecordLines(METRICS, kind).read(folder)}
    history = tuple(shown.get(str(_timeless(record)), record) for record in known)
    show_history(folder, history, label=label, say=say)
    return history


def recorded_history(
    folder: Path, kind: type[Epochs], *, final: Path, label: str, say: Callable[[str], None]
) -> tuple[Epochs, ...]:
    """The epochs of a training that is finished, was stopped or killed and may go on, or has left nothing but them.

    Args:
        folder: of the training.
        kind: of its records.
        final: where its final weights are, once there are any.
        label: of the training.
        say: is told where lines were damaged or missing.

    Raises:
        RunFolderError: its files are damaged.
    """
    if final.exists():
        return finished_history(final, folder, kind, label=label, say=say)
    checkpoint = latest_checkpoint(folder / "checkpoints")
    plain = read_lines(folder / METRICS) if checkpoint is None else checkpoint.state.get(HISTORY)
    return from_state(kind, plain)


def _timeless(record: EpochRecord) -> dict[str, Any]:
    """The record without what the clock decides."""
    return {name: value for name, value in record.to_dict().items() if name not in _TIMES}
