"""How long work tells what it is doing: a bar on a terminal or in a notebook, lines elsewhere, or silence."""

from allometry.base.progress.choosing import as_progress
from allometry.base.progress.lines import LineProgress
from allometry.base.progress.protocol import Progress, SilentProgress, tracked

__all__ = ["LineProgress", "Progress", "SilentProgress", "as_progress", "tracked"]
