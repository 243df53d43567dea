"""A training's records for TensorBoard."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from allometry.base.extras import load_extra
from allometry.base.files import read_lines
from allometry.runs import EpochRecord

_LEFT_OUT = ("epoch", "epochs", "step")


@contextmanager
def open_tensorboard(folder: Path, *, wanted: bool) -> Iterator[Callable[[EpochRecord], None]]:
    """Write each epoch's record into TensorBoard's files, by its optimizer step; nothing where it is not wanted.

    A training that goes on writes after what is there; what lies behind its checkpoint is taken back.

    Raises:
        MissingExtraError: it is wanted and the extra `tensorboard` is not installed.
    """
    if not wanted:
        yield lambda _record: None
        return
    load_extra("tensorboard", extra="tensorboard", asker="--tensorboard")
    tensorboard = load_extra("torch.utils.tensorboard", extra="tensorboard", asker="--tensorboard")
    records = read_lines(folder.parent / "metrics.jsonl")
    writer = tensorboard.SummaryWriter(
        str(folder), purge_step=records[-1]["step"] + 1 if records else None, flush_secs=30
    )

    def write(record: EpochRecord) -> None:
        for name, value in record.to_dict().items():
            if name not in _LEFT_OUT:
                kind, _, rest = name.partition("_")
                tag = f"{rest}/{kind}" if kind in ("train", "val") else f"training/{name}"
                writer.add_scalar(tag, value, record.step)
        writer.flush()

    try:
        yield write
    finally:
        writer.close()
