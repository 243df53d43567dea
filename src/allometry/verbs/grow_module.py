"""`allometry grow --module`: weights of a torch module, whoever wrote it, brought to a budget."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from allometry.base import BudgetError, InputError, Progress
from allometry.base.progress import as_progress
from allometry.base.units import format_milliseconds, format_quantity, plural
from allometry.cost import Budget, RuntimeConfig, as_budget, runtime_config_for
from allometry.cost.budget import Limit
from allometry.data import Data, Dataset, Group, as_dataset
from allometry.nn import Conventions, ScaledModule, cost_of_module, open_module, save_weights, solve_module
from allometry.nn.growing import GrowthMethod
from allometry.scaling import ScalingLaw, as_law
from allometry.training import Preprocessing, settle_new_statistics
from allometry.training.pretrained import RESOLUTION, load_module_weights, module_conventions
from allometry.training.validation import training_views
from allometry.verbs.measure import measure

PLAN = "plan.json"
WEIGHTS = "weights.safetensors"
_READINGS = 6  # of the device, at most
_ENOUGH = 0.95  # of the time


@dataclass(frozen=True, slots=True, kw_only=True)
class GrownModule:
    """A torch module that was brought to a budget.

    Attributes:
        scaled: the module with its weights, its plan and its costs.
        factory: `package.module:factory` of the original.
        budget: that it keeps.
        macs: of the original.
        params: of the original.
        seconds: of one run on this device, where the budget limits a latency; None where it does not.
        folder: with `plan.json` and `weights.safetensors`; None where nothing was written.
    """

    scaled: ScaledModule
    factory: str
    budget: Budget
    macs: int
    params: int
    seconds: float | None = None
    folder: Path | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {
            "module": self.factory,
            "budget": str(self.budget),
            "before": {"macs": self.macs, "params": self.params},
            "after": {"macs": self.scaled.macs, "params": self.scaled.params, "latency": self.seconds},
            "difference": self.scaled.difference,
            "folder": None if self.folder is None else str(self.folder),
            "plan": self.scaled.plan.to_dict(),
        }


def grow_module_file(
    weights: str | Path,
    *,
    module: str,
    budget: Budget | str,
    resolution: int | None = None,
    law: ScalingLaw | str | Path = "compound",
    runtime: str | None = None,
    threads: int = 1,
    method: GrowthMethod = "new",
    kernel_size: int | None = None,
    data: Data | None = None,
    group: Group | None = None,
    out: str | Path | None = None,
    seed: int = 0,
    progress: Progress | bool = True,
) -> GrownModule:
    """Bring the weights of a torch module to a budget: larger or smaller, whichever the budget asks for.

    The folder holds the plan, which makes the new module of the same factory without looking at it again, and its
    weights: `apply_plan(make(), ModulePlan.load("plan.json"))`, then `load_state_dict`.

    Args:
        weights: a file, or `hf://owner/name`, with the factory's own names.
        module: `package.module:factory`, which takes no arguments. The package is imported, and so run.
        budget: of the new module: `macs<=300M`, `params<=5M`, `latency<=8ms`, `2x`.
        resolution: side of the images, in pixels; by default what the module says of itself, or 224.
        law: in what proportion depth and width change.
        runtime: where a latency is measured.
        threads: of that runtime.
        method: what new channels are: `new` ones that nobody reads at first, `copies`, or `pairs`.
        kernel_size: side of the kernels of all convolutions that look at fewer neighbors; None leaves them as they are.
        data: images whose statistics batch norms get: new channels, and all where the module shrinks or `resolution` is
            another one than it says of itself.
        group: what the images of a group have in common that stay in one split (see `open_data`).
        out: the folder; None writes nothing.
        seed: of new weights.
        progress: True for a bar or lines, False for silence, or whatever is to be told.

    Raises:
        InputError: module or weights are wrong, or nothing of it can be scaled without changing what it computes.
        BudgetError: nothing of the module is within the budget.
        StorageError: the folder cannot be written.
    """
    shown = as_progress(progress)
    if data is None and group is not None:
        raise InputError("Without data there is nothing to group: give data, or leave group out.")
    origin = load_module_weights(open_module(module), module, str(weights)).eval()
    known = module_conventions(origin, resolution=resolution)
    own = known.resolution or RESOLUTION
    channels, side = len(known.mean), own if resolution is None else resolution
    dataset = None if data is None else as_dataset(data, group=group, seed=seed, progress=shown)
    if dataset is not None and dataset.channels != channels:
        raise InputError(
            f"The module takes images of {plural(channels, 'channel')}, and those of {dataset.name} have "
            f"{dataset.channels}; give others, or leave data out."
        )
    image = torch.randn(1, channels, side, side, generator=torch.Generator().manual_seed(seed))
    before = cost_of_module(origin, image)
    limits = as_budget(budget, before)
    where = runtime_config_for(limits, runtime=runtime, threads=threads)
    chosen = as_law(law)
    seconds = None
    solved = partial(
        solve_module, origin, image, law=chosen, kernel_size=kernel_size, method=method, seed=seed
    )
    if where is None:
        scaled = solved(budget=limits)
    else:
        scaled, seconds = _on_device(origin, image, limits, where, solved, shown)
    if dataset is not None:
        _settle(
            scaled,
            dataset,
            replace(known, resolution=side),
            other_size=known.resolution not in (None, side),
            seed=seed,
        )
    folder = None if out is None else Path(out)
    if folder is not None:
        save_weights(folder / WEIGHTS, scaled.module)
        scaled.plan.save(folder / PLAN)
    return GrownModule(
        scaled=scaled,
        factory=module,
        budget=limits,
        macs=before.macs,
        params=before.params,
        seconds=seconds,
        folder=folder,
    )


def _settle(
    scaled: ScaledModule, dataset: Dataset, seen_as: Conventions, *, other_size: bool, seed: int
) -> None:
    """Give batch norms the statistics of training images: new channels, and all where they see something else now."""
    preprocessing = Preprocessing(
        channels=len(seen_as.mean),
        resolution=seen_as.resolution or RESOLUTION,
        crop=seen_as.crop,
        mean=seen_as.mean,
        std=seen_as.std,
        classes=dataset.classes,
        levels=dataset.levels,
    )
    views = training_views(dataset, preprocessing, seed=(seed,), device=torch.device("cpu"))
    everywhere = scaled.difference is None or other_size
    settle_new_statistics(scaled.module, scaled.weight_map, views, everywhere=everywhere)


def _on_device(
    origin: nn.Module,
    image: torch.Tensor,
    limits: Budget,
    where: RuntimeConfig,
    solved: Callable[..., ScaledModule],
    progress: Progress,
) -> tuple[ScaledModule, float]:
    """The largest module that this device runs in the time, within a few readings."""
    counted = tuple(limit for limit in limits.limits if limit.measure.name in ("macs", "params"))
    times = [limit for limit in limits.limits if limit.measure.name == "latency"]
    if len(counted) + len(times) < len(limits.limits) or not times:
        raise BudgetError(f"A module is limited by macs, params and latency, not by {limits}.")
    most = times[0].most
    macs = cost_of_module(origin, image).macs
    low, high = (0.0, 0.0), (math.inf, math.inf)
    best: tuple[ScaledModule, float] | None = None
    seconds = _seconds(origin, image, where)
    target = macs * most / seconds
    for _ in range(_READINGS):
        budget = Budget(
            (Limit("macs", max(1, int(target))), *(x for x in counted if x.measure.name != "macs"))
        )
        scaled = solved(budget=budget)
        seconds = _seconds(scaled.module, image, where)
        progress.say(f"{format_quantity(scaled.macs)} MACs take {format_milliseconds(seconds)}")
        if seconds <= most:
            low = max(low, (seconds, target))
            if best is None or scaled.macs > best[0].macs:
                best = scaled, seconds
            if seconds >= _ENOUGH * most or _is_full(scaled, image, counted):
                break
        else:
            high = min(high, (seconds, target))
        target = _next(low, high, most, target * 0.98 * most / seconds)
    if best is None:
        raise BudgetError(
            f"Nothing of the module was found that takes at most {format_milliseconds(most)} here."
        )
    return best


def _is_full(scaled: ScaledModule, image: torch.Tensor, limits: tuple[Limit, ...]) -> bool:
    """Whether what is counted leaves no room, so that more time would not help."""
    cost = cost_of_module(scaled.module, image)
    return any(limit.use(limit.value(cost)) > _ENOUGH for limit in limits)


def _next(low: tuple[float, float], high: tuple[float, float], most: float, alone: float) -> float:
    """Where the line between the nearest readings on both sides meets the time; `alone` where there is one side."""
    if low[1] and math.isfinite(high[1]) and high[0] > low[0] and high[1] > low[1]:
        share = (0.98 * most - low[0]) / (high[0] - low[0])
        return low[1] + min(0.95, max(0.05, share)) * (high[1] - low[1])
    return alone


def _seconds(module: nn.Module, image: torch.Tensor, where: RuntimeConfig) -> float:
    measured = measure(
        module,
        runtime=where.runtime,
        resolution=image.shape[-1],
        threads=where.threads,
        precision=where.precision,
        progress=False,
    )
    return measured.measured[0].latency.median
