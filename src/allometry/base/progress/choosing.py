"""The display that fits where the work was started."""

from __future__ import annotations

import os
import sys

from allometry.base.progress.lines import LineProgress
from allometry.base.progress.protocol import Progress, SilentProgress


def as_progress(progress: Progress | bool) -> Progress:
    """What a verb's `progress` stands for.

    Args:
        progress: True for a bar in a notebook, a bar on a terminal, and lines on the error stream elsewhere; False
            for silence; or an object of your own with the methods of `Progress`.

    Example:
        >>> type(as_progress(False)).__name__
        'SilentProgress'
        >>> mine = SilentProgress()
        >>> as_progress(mine) is mine
        True
    """
    if not isinstance(progress, bool):
        return progress
    if not progress:
        return SilentProgress()
    if _in_notebook():
        from allometry.base.progress.notebook import NotebookProgress

        return NotebookProgress()
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        from allometry.base.progress.terminal import TerminalProgress

        return TerminalProgress()
    return LineProgress()


def _in_notebook() -> bool:
    """Whether a Jupyter kernel runs this; IPython is asked only if it is there already."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    # Colab's shell, among others, derives from the one that every Jupyter kernel has.
    return any(base.__name__ == "ZMQInteractiveShell" for base in type(shell).__mro__)
