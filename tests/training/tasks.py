"""One tiny training of each task, for what the loop promises of all; also what killed and joint processes run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from allometry.nas.gradient import CostLoss, GradientTask, counted, fbnet, proxylessnas
from allometry.runs.phases import ALL, Phase
from allometry.supernets import SupernetTask
from allometry.training import ClassificationTask, Recipe, Task, load_weights, run_task
from tests.nas import textures
from tests.supernets import training as supernets
from tests.training import conftest as networks

TASKS = ("classification", "supernet", "paths", "gumbel")
"""The gradient search twice: with one path in a step, and with all of them mixed."""
EACH_TASK = [*TASKS[:-1], pytest.param(TASKS[-1], marks=pytest.mark.slow)]
"""The same for `parametrize`: one search by gradient is enough for the quick suite."""
TWO_TASKS = [*TASKS[:2], *(pytest.param(name, marks=pytest.mark.slow) for name in TASKS[2:])]
"""The same where the quick suite sees of a search by gradient that it goes on, and the rest is the loop's."""
STEPS = {"classification": 8, "supernet": 9, "paths": 8, "gumbel": 8}
"""Steps of each training in all."""
EPOCH = {"classification": 4, "supernet": 3, "paths": 4, "gumbel": 4}
"""Steps of an epoch."""
_PHASES = (
    Phase(name="largest", epochs=2, elastic={"resolution": ALL}),
    Phase(
        name="all",
        epochs=1,
        elastic={"resolution": ALL, "kernel": ALL, "depth": ALL, "width": ALL, "channels": ALL},
        subnets=3,
        sampling="sandwich",
        teacher="largest",
        distillation_weight=1.0,
        regularized="largest",
        image_size="subnet",
    ),
)
_WAYS = {"paths": proxylessnas, "gumbel": fbnet}


def task_in(
    folder: Path, name: str, *, recipe: Mapping[str, object] | None = None, **options: Any
) -> Task[Any, Any]:
    """The task of that name, with changes to its recipe and to its job."""
    changes: dict[str, Any] = dict(recipe or {})
    options = {"workers": 1, "clock": lambda: 0.0, **options}
    if name == "classification":
        plain = replace(networks.RECIPE, epochs=2)
        return ClassificationTask(networks.job_in(folder, recipe=replace(plain, **changes), **options))
    if name == "supernet":
        options = {"phases": _PHASES, **options}
        return SupernetTask(supernets.job_in(folder, recipe=replace(supernets.RECIPE, **changes), **options))
    settings = _WAYS[name](cost_loss=CostLoss(form="sum", weight=0.1, target=1e4))
    plain = Recipe(epochs=2, batch_size=16, learning_rate=0.01, batch_norm_momentum=0.1)
    return GradientTask(
        textures.job_in(
            folder,
            recipe=replace(plain, **changes),
            settings=replace(settings, every=2, warmup=0.0),
            cost=counted("params"),
            **options,
        )
    )


def train(folder: Path, name: str, **options: Any) -> Any:
    """Train, and give the task's result."""
    return run_task(task_in(folder, name, **options))


def weights(folder: Path, name: str) -> dict[str, Tensor]:
    """What a finished training has left."""
    return load_weights(task_in(folder, name).final)


def without_time(history: Any) -> list[Any]:
    """Records without what the clock decides."""
    plain = [replace(record, seconds=0.0) for record in history]
    rate = {"images_per_second": 0.0}
    return [replace(each, **rate) if hasattr(each, "images_per_second") else each for each in plain]


class StopAfter:
    """Says yes once, when it is asked for that time."""

    def __init__(self, number: int) -> None:
        self.left = number

    def __call__(self) -> bool:
        self.left -= 1
        return self.left == 0


def is_same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    """Whether both are the same tensors, bit for bit."""
    return one.keys() == other.keys() and all(bool((one[name] == other[name]).all()) for name in one)
