"""How far a module is left open, and of which runs of blocks the last ones can be left out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from allometry.arch.module_parts import ModuleChoice, ModuleRun
from allometry.arch.rounding import CHANNEL_MULTIPLE, round_repeats
from allometry.base import InputError
from allometry.nn.foreign.depth import Insertion, restructured
from allometry.nn.foreign.runs import BlockRun, find_runs, join_names, run_once


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleElasticity:
    """What of a module is left open, as fractions of what it has; the whole is always among the options.

    Attributes:
        widths: of the channels of each stage.
        depths: of the blocks of each stage that repeats, rounded up.
        resolutions: of the side of its images.
        channel_multiple: what channels are rounded to, where that leaves something to choose.

    Raises:
        InputError: a fraction is not above 0 and at most 1.

    Example:
        >>> ModuleElasticity(widths=(0.25,)).widths
        (0.25, 1.0)
        >>> ModuleElasticity(depths=(2,))
        Traceback (most recent call last):
            ...
        allometry.base.errors.InputError: depths are fractions above 0 and at most 1, not 2.
    """

    widths: tuple[float, ...] = (0.5, 0.75, 1.0)
    depths: tuple[float, ...] = (0.5, 0.75, 1.0)
    resolutions: tuple[float, ...] = (0.75, 0.875, 1.0)
    channel_multiple: int = CHANNEL_MULTIPLE

    def __post_init__(self) -> None:
        for name in ("widths", "depths", "resolutions"):
            given: Any = getattr(self, name)
            for value in given:
                number = isinstance(value, int | float) and not isinstance(value, bool)
                if not number or not (math.isfinite(value) and 0 < value <= 1):
                    raise InputError(f"{name} are fractions above 0 and at most 1, not {value!r}.")
            object.__setattr__(self, name, tuple(sorted({*map(float, given), 1.0})))
        if self.channel_multiple < 1:
            raise InputError(f"channel_multiple must be at least 1, not {self.channel_multiple!r}.")


@dataclass(frozen=True, slots=True)
class OpenBlocks:
    """The runs of which blocks can be left out, with their choices; and why others stay."""

    runs: tuple[ModuleRun, ...]
    choices: tuple[ModuleChoice, ...]
    kept: tuple[str, ...]


def open_blocks(module: nn.Module, inputs: tuple[Any, ...], elasticity: ModuleElasticity) -> OpenBlocks:
    """The runs of blocks of which the last ones can be left out, so that the module still runs."""
    runs: list[ModuleRun] = []
    choices: list[ModuleChoice] = []
    kept: list[str] = []
    shape = _output_shape(module, inputs)
    for run in find_runs(module, *inputs):
        least = max(run.before, 1)
        depths = sorted(
            {max(least, round_repeats(run.blocks * depth)) for depth in elasticity.depths} | {run.blocks}
        )
        if len(depths) < 2:
            continue
        where = run_name(run)
        try:
            shorter, _ = restructured(module, [Insertion(run.container, run.names, depths[0] - run.before)])
            fits = _output_shape(shorter, inputs) == shape
        except InputError as error:
            kept.append(f"{where}: {error}")
            continue
        if not fits:
            kept.append(f"{where}: with fewer blocks it gives something of another shape")
            continue
        choices.append(
            ModuleChoice(name=f"{where} depth", dimension="depth", options=tuple(map(float, depths)))
        )
        runs.append(
            ModuleRun(container=run.container, blocks=run.names, before=run.before, choice=choices[-1].name)
        )
    return OpenBlocks(tuple(runs), tuple(choices), tuple(kept))


def run_name(run: BlockRun) -> str:
    """What people call a run of blocks."""
    if run.container and not run.names[0].isdigit():
        return join_names(run.container, run.names[0])
    return f"{run.container or 'blocks'} {run.names[0]}-{run.names[-1]}"


def _output_shape(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[int, ...] | None:
    output = run_once(module, inputs)
    return tuple(output.shape) if isinstance(output, Tensor) else None
