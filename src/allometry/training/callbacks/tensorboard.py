"""A training's records for TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from allometry.base.extras import load_extra
from allometry.training.callbacks.base import Callback, EpochEnd, TrainEnd, TrainStart, register_callback
from allometry.training.callbacks.values import logged_values

_FLUSH_SECONDS = 30


class TensorBoard(Callback):
    """Writes each epoch's record into TensorBoard's files, by its optimizer step.

    A training that goes on writes after what is there; what lies behind its checkpoint is taken back. Epochs that ended
    before anybody wrote them down are added.

    Args:
        folder: of the files; by default `tensorboard` in the run folder.

    Raises:
        MissingExtraError: the training begins, and the extra `tensorboard` is not installed.

    Example:
        >>> TensorBoard("logs").name
        'tensorboard'
    """

    name = "tensorboard"

    def __init__(self, folder: str | Path | None = None) -> None:
        self._folder = folder
        self._writer: Any = None

    def on_train_start(self, start: TrainStart) -> None:
        """Open the files."""
        load_extra("tensorboard", extra=self.name, asker=f"callback {self.name}")
        tensorboard = load_extra("torch.utils.tensorboard", extra=self.name, asker=f"callback {self.name}")
        folder = start.folder / self.name if self._folder is None else Path(self._folder)
        goes_on = any(folder.glob("events.*"))
        purge = start.history[-1].step + 1 if start.history and goes_on else None
        self._writer = tensorboard.SummaryWriter(str(folder), purge_step=purge, flush_secs=_FLUSH_SECONDS)
        for epoch in () if goes_on else start.history:
            self.on_epoch_end(epoch)

    def on_epoch_end(self, epoch: EpochEnd) -> None:
        """Write its values."""
        for name, value in logged_values(epoch.record).items():
            kind, _, rest = name.partition("_")
            tag = f"{rest}/{kind}" if kind in ("train", "val") else f"training/{name}"
            self._writer.add_scalar(tag, value, epoch.step)
        self._writer.flush()

    def on_train_end(self, end: TrainEnd) -> None:
        """Close the files."""
        del end
        if self._writer is not None:
            self._writer.close()
            self._writer = None


register_callback(TensorBoard())
