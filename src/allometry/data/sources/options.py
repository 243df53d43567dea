"""What every kind of source is opened with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from allometry.base import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a source is opened, whatever its kind.

    Attributes:
        cache_folder: where indexes and downloaded shards are kept.
        seed: of the splits that are cut.
        progress: told of each image that is checked.
        cache_bytes: memory for pictures that are kept between epochs.
    """

    cache_folder: Path
    seed: int
    progress: Progress
    cache_bytes: int
