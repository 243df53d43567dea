"""A tiny supernet that is trained in a second; also what the processes of the tests import."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from allometry.arch import MBConv, Space
from allometry.data import Dataset
from allometry.runs import SupernetEpochMetrics
from allometry.supernets import SupernetJob, shrinking
from allometry.training import Preprocessing, Recipe
from tests.images import CLASSES, shapes_dataset

from .spaces import HEAD, choice, space_of

SIDE = 12
RECIPE = Recipe(epochs=1, batch_size=16, learning_rate=0.02, ema=0.9, weight_decay=0.01, precision="float32")


def tiny() -> Space:
    """Three layers in two groups; resolution, kernel, depth, ratio and channels open."""
    layer = MBConv(channels=8, stride=2, expand_ratio=3, se_ratio=0)
    return space_of(
        [[layer, replace(layer, stride=1)], [replace(layer, channels=12)]],
        [
            choice("resolution", "resolution", 8, SIDE),
            choice("depth", "groups.0.depth", 1, 2),
            choice("kernel", "stages.0.block.kernel", 3, 5),
            *[choice(f"ratio {place}", f"stages.{place}.block.expand_ratio", 2, 3) for place in (0, 2)],
            choice("channels", ["stages.0.block.channels", "stages.1.block.channels"], 6, 8),
        ],
        head=replace(HEAD, dropout=0.1),
        resolution=SIDE,
        name="tiny",
    )


SPACE = tiny()
PHASES = shrinking(SPACE, epochs=2)
NAMES = [phase.name for phase in PHASES]
STEPS = 3  # of an epoch


def images() -> Dataset:
    return shapes_dataset(per_class=STEPS * 16 // len(CLASSES), size=SIDE)


def job_in(folder: Path, **options: Any) -> SupernetJob:
    preprocessing = Preprocessing(
        channels=1, resolution=SIDE, crop=1.0, mean=(0.2,), std=(0.3,), classes=CLASSES
    )
    given: dict[str, Any] = {"dataset": images(), "recipe": RECIPE, "phases": PHASES, "space": SPACE}
    given |= {"preprocessing": preprocessing, "workers": 1, "clock": lambda: 0.0} | options
    return SupernetJob(folder=folder, **given)


def asks_until(phase: int) -> int:
    """How often a training has asked whether to stop when a phase begins: after each step, but once at the end."""
    return STEPS * sum(each.epochs for each in PHASES[:phase])


def without_time(history: Sequence[SupernetEpochMetrics]) -> list[SupernetEpochMetrics]:
    return [replace(record, seconds=0.0) for record in history]
