"""`allometry report`: one self-contained page about a run, or several side by side."""

from __future__ import annotations

import os
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from allometry.base import RunFolderError
from allometry.base.files import sweep
from allometry.base.holding import hold
from allometry.runs import read_run
from allometry.runs.files import REPORT
from allometry.verbs.arguments import folder_of

if TYPE_CHECKING:  # it loads torch, which a page does without
    from allometry.verbs.arguments import RunLike

_COMPARISON = "comparison.html"


@dataclass(frozen=True, slots=True)
class Report:
    """A page about runs.

    Attributes:
        path: of the page.
        runs: their names, in order.
        damaged: what of the runs could not be read, in sentences.
    """

    path: Path
    runs: tuple[str, ...]
    damaged: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {"report": str(self.path)}

    def __repr__(self) -> str:
        return f"Report({', '.join(self.runs)}: {self.path})"

    def _repr_html_(self) -> str:
        """The page in a frame, and a link to it for viewers that show no frames."""
        # A page has megabytes of its own: a notebook points to it, from the folder that it lies in.
        place = quote(os.path.relpath(self.path).replace(os.sep, "/"))
        return (
            f'<a href="{place}" target="_blank">{escape(str(self.path))}</a>'
            f'<iframe src="{place}" title="report" style="width:100%;height:40em;border:1px solid gray"></iframe>'
        )


def report(*runs: RunLike, out: str | Path | None = None) -> Report:
    """Write one self-contained HTML page about a run, or several side by side.

    Args:
        runs: one or more, or their folders; they need not be finished.
        out: the file; by default, in the first run folder: `report.html`, or `comparison.html` for several.

    Raises:
        RunFolderError: none is given, or one is no run folder.
        StorageError: the page cannot be written.

    Example:
        >>> import tempfile
        >>> from allometry.runs.folder import open_run
        >>> folder = Path(tempfile.mkdtemp()) / "first"
        >>> with open_run(folder, command="train", arguments={}, device="cpu", seed=0):
        ...     pass
        >>> report(folder).path.name
        'report.html'
    """
    from allometry.reports import write_report

    folders = [folder_of(run) for run in runs]
    if not folders:
        raise RunFolderError("No run is given; give one run, or several to compare.")
    records = [read_run(folder) for folder in folders]
    default = folders[0] / (REPORT if len(folders) == 1 else _COMPARISON)
    path = Path(out) if out is not None else default
    with hold(path.parent, make=True):
        sweep(path.parent, name=path.name)
        write_report(records, out=path)
    damaged = tuple(sentence for record in records for sentence in record.damaged)
    return Report(path, tuple(record.name for record in records), damaged)
