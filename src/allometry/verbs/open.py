"""`allometry.open`: a run folder as the value that its verb gave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING

from allometry.reports.card import run_card
from allometry.runs import RunRecord, read_run

if TYPE_CHECKING:  # torch is loaded by what needs it: most of a run is known without
    from torch import nn

    from allometry.data import Dataset
    from allometry.verbs.predict import Predictions


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Run(RunRecord):
    """A run: its folder, everything that is in it, and its trained network.

    Attributes:
        dataset: that it was made with, where that was a value: arrays, say, which no name leads back to.

    Example:
        >>> Run(folder=Path("runs/photos"), name="photos", command="train")
        Run(photos: train, not finished)
    """

    dataset: Dataset | None = field(default=None, compare=False)

    def module(self) -> nn.Module:
        """The trained network, in evaluation mode, on the CPU; read from the folder at each call.

        Raises:
            RunFolderError: the training is not finished, or a file is damaged.
        """
        from allometry.training.pretrained import open_finished

        return open_finished(self.folder).module

    def predict(self, images: object, *, top: int = 5) -> Predictions:
        """The most probable classes of one image or of many.

        Args:
            images: as in `allometry.predict`: image files, PIL images, arrays or tensors, one or many.
            top: how many classes for each image.

        Raises:
            RunFolderError: the training is not finished.
            DataError: an image is missing, unreadable, or of another kind.
        """
        from allometry.verbs.predict import predict

        return predict(self, images, top=top)

    def _repr_html_(self) -> str:
        return run_card(self)


def open(run: str | Path) -> Run:  # noqa: A001 - as `allometry.open`
    """The run in a folder: what the verb gave that made it, finished or not.

    Args:
        run: its folder.

    Raises:
        RunFolderError: there is no run, or another version of this package made it.

    Example:
        >>> import tempfile
        >>> import allometry
        >>> from allometry.runs.folder import open_run as work_in_run
        >>> folder = Path(tempfile.mkdtemp()) / "photos"
        >>> with work_in_run(folder, command="train", arguments={}, device="cpu", seed=0):
        ...     pass
        >>> allometry.open(folder)
        Run(photos: train, not finished)
    """
    return open_run(run)


def open_run(folder: str | Path, *, data: Dataset | object = None) -> Run:
    """The run that a verb gives, with the data set it was made with where that was a value.

    Raises:
        RunFolderError: there is no run, or another version of this package made it.
    """
    from allometry.data import Dataset

    record = read_run(folder)
    known: Mapping[str, object] = {each.name: getattr(record, each.name) for each in fields(record)}
    return Run(**known, dataset=data if isinstance(data, Dataset) else None)  # type: ignore[arg-type]
