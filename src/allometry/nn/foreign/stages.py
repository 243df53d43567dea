"""Which parts of a module there can be more of: blocks that repeat, and where none does, layers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

from torch import nn

from allometry.arch.rounding import round_repeats
from allometry.base import InputError
from allometry.nn.foreign.depth import deepened, inserted, refusals, restructured
from allometry.nn.foreign.lone import lone_blocks
from allometry.nn.foreign.oracle import ChangedError, outputs_gap, same_outputs
from allometry.nn.foreign.runs import BlockRun, Seen, join_names, run_once, runs_among, watch_blocks
from allometry.nn.foreign.units import find_units

GrowingRuns: TypeAlias = tuple[tuple[BlockRun, ...], dict[BlockRun, str]]
"""Runs to which blocks can be added, and why not to others."""


def growing_runs(module: nn.Module, inputs: tuple[Any, ...]) -> GrowingRuns:
    """The runs to which blocks can be added without changing what the module computes, and why not to others.

    Blocks that repeat come first, and those that stand alone in their stage. Where there are none, units of a
    convolution and an activation are added behind those that are there.
    """
    seen = watch_blocks(module, inputs)
    repeating = runs_among(module, seen)
    refused = _why_not(module, repeating, inputs, seen)
    growing = [run for run in repeating if run not in refused]
    # Sequences of layers may repeat within a block that stands alone.
    kinds = {type(module.get_submodule(run.where)) for run in growing} - {nn.Sequential}
    alone = _bearing(module, lone_blocks(module, growing if kinds else (), inputs, seen), inputs, seen)
    whole = tuple(f"{run.where}." for run in alone)
    growing = [run for run in growing if not f"{run.container}.".startswith(whole)]
    if growing or alone:
        return (*growing, *alone), refused
    units = find_units(module, inputs)
    reasons = _why_not(module, units, inputs, watch_blocks(module, inputs, {run.where for run in units}))
    units = [run for run in units if run not in reasons]
    return tuple(units), refused if units else {**refused, **reasons}


def shrinking_runs(module: nn.Module, inputs: tuple[Any, ...], known: GrowingRuns) -> GrowingRuns:
    """The runs from which blocks can be left out: those that can grow, and those of which more would change something.

    What has fewer blocks computes something else in any case; it must run, and give outputs of the same shapes.
    """
    growing, refused = known
    taken = [f"{join_names(run.container, name)}." for run in growing for name in run.names]
    output = run_once(module, inputs)
    shorter = []
    for run in refused:
        names = [f"{join_names(run.container, name)}." for name in run.names]
        within = any(name.startswith(other) or other.startswith(name) for name in names for other in taken)
        fewer = inserted(run, repeats_of(run, 0))
        if within or not fewer.extra:
            continue
        try:
            less = run_once(restructured(module, [fewer])[0], inputs)
        except InputError:
            continue
        if math.isfinite(outputs_gap(output, less)):
            shorter.append(run)
    return (*growing, *shorter), {run: why for run, why in refused.items() if run not in shorter}


def repeats_of(run: BlockRun, depth: float) -> int:
    """How many blocks a run has when its stage has so many times as many, rounded up as the papers do."""
    # What has a form of its own is no copy of what stands there, which cannot be left out.
    least = len(run.names) if run.form is not None or run.wrapped else 0 if run.before else 1
    return max(round_repeats(run.blocks * depth) - run.before, least)


def _bearing(
    module: nn.Module, runs: Sequence[BlockRun], inputs: tuple[Any, ...], seen: Mapping[str, Seen]
) -> list[BlockRun]:
    """The runs to which blocks can be added."""
    refused = _why_not(module, runs, inputs, seen)
    return [run for run in runs if run not in refused]


def _why_not(
    module: nn.Module, runs: Sequence[BlockRun], inputs: tuple[Any, ...], seen: Mapping[str, Seen]
) -> dict[BlockRun, str]:
    """Why no block can be added to some runs."""
    reasons = refusals(module, runs, seen)
    return reasons | _failing(module, [run for run in runs if run not in reasons], inputs, seen)


def _failing(
    module: nn.Module, runs: Sequence[BlockRun], inputs: tuple[Any, ...], seen: Mapping[str, Seen]
) -> dict[BlockRun, str]:
    """Which of some runs do not bear a block more, by halves, since most do."""
    reason = _with_one_more(module, runs, inputs, seen) if runs else None
    if reason is None:
        return {}
    if len(runs) == 1:
        return {runs[0]: reason}
    half = len(runs) // 2
    result = _failing(module, runs[:half], inputs, seen) | _failing(module, runs[half:], inputs, seen)
    return result or dict.fromkeys(runs, reason)  # each bears it alone, and all together do not


def _with_one_more(
    module: nn.Module, runs: Sequence[BlockRun], inputs: tuple[Any, ...], seen: Mapping[str, Seen]
) -> str | None:
    """What is wrong when each of these runs has one block more; None if nothing is."""
    try:
        more = [inserted(run, len(run.names) + 1) for run in runs]
        deeper = deepened(module, more, inputs, seen=seen)
        unused = {blocks[-1] for blocks in deeper.blocks}
        with _struck_out(unused):
            same_outputs(module, deeper.module, inputs)
    except ChangedError:
        return "with one block more it computes something else"
    except InputError as error:
        return f"with one block more: {error}"
    return "its code would not run one block more" if unused else None


@contextmanager
def _struck_out(parts: set[nn.Module]) -> Iterator[None]:
    """While this lasts, parts that are called leave the set."""
    handles = [part.register_forward_hook(lambda called, *_: parts.discard(called)) for part in parts]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
