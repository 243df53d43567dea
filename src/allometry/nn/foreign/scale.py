"""Scaling any module: planned, built, given the weights that it had, and compared with what it was."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from allometry.base import InputError, UnknownNameError
from allometry.base.checks import check_integer, check_seed, is_number
from allometry.nn.foreign.depth import Insertion, deepened, inserted
from allometry.nn.foreign.forms import AttributeChange
from allometry.nn.foreign.frame import Frame, framed, inherited_from, with_kernels
from allometry.nn.foreign.judge import Judge, Widths, is_wider
from allometry.nn.foreign.oracle import same_outputs, shaken, varied_inputs
from allometry.nn.foreign.plan import GroupChange, Kept, ModulePlan
from allometry.nn.foreign.runs import run_once
from allometry.nn.foreign.stages import GrowingRuns, growing_runs, repeats_of, shrinking_runs
from allometry.nn.foreign.widen import Resized
from allometry.nn.foreign.widths import changed_sizes, macs_of, scaled_sizes
from allometry.nn.growing.filling import GROWTH_METHODS, GrowthMethod
from allometry.nn.growing.weight_map import WeightMap
from allometry.nn.tracing.channels import runs_in_training, trace_channels, unchanged
from allometry.nn.tracing.graph import ChannelGraph
from allometry.nn.tracing.tracer import tensors_in

READS_INPUT = "they read what has no channels"  # as the first weights do


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaledModule:
    """A module that was made larger or smaller.

    Attributes:
        module: of the same classes as the one that it comes from, with the weights that it had.
        plan: what was done.
        weight_map: what its tensors inherit.
        macs: multiply-accumulates of its weights for one image.
        params: trainable parameters.
        difference: of its outputs from the original's, relative to their largest; None where it is not larger.
        graph: its channels.
        method: what its new channels are.
        seed: of its new weights.
    """

    module: nn.Module
    plan: ModulePlan
    weight_map: WeightMap
    macs: int
    params: int
    difference: float | None
    graph: ChannelGraph = field(repr=False)
    method: GrowthMethod
    seed: int


def scale_module(
    module: nn.Module,
    *inputs: Any,  # noqa: ANN401 - whatever the module takes
    depth: float = 1.0,
    width: float = 1.0,
    kernel_size: int | None = None,
    channel_multiple: int | None = None,
    method: GrowthMethod = "new",
    seed: int = 0,
) -> ScaledModule:
    """Make any module deeper, wider, shallower or narrower, with the weights that it has.

    The module's own code runs once under observation: which channels belong together follows from what its operations
    do with them, whatever classes it is made of. What is larger computes what the original does until it is trained;
    that is compared, and a module for which it does not hold is refused. What is smaller is compared the other way
    around: grown again, it must compute what it did.

    Args:
        module: stays as it is.
        inputs: that it takes, such as a batch of one image.
        depth: multiplier of the blocks of each stage that repeats.
        width: multiplier of the channels.
        kernel_size: side of the kernels of all convolutions that look at fewer neighbors; None leaves them as they are.
        channel_multiple: what channels are rounded to; by default 8, and half of that as often as else nothing changes.
        method: what new channels are: `new` ones that nobody reads at first, `copies`, or `pairs` that cancel each
            other. Copies keep statistics over channels, such as layer norm's, where there are a whole number of times
            as many.
        seed: of new weights.

    Raises:
        InputError: nothing of it can be scaled, or it would compute something else; the message says what and where.

    Example:
        >>> import torch
        >>> net = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.Flatten(), nn.Linear(16, 2))
        >>> scaled = scale_module(net, torch.randn(1, 3, 5, 5), width=1.5)
        >>> scaled.module[2], scaled.difference < 1e-6
        (Conv2d(24, 24, kernel_size=(3, 3), stride=(1, 1)), True)
    """
    check_options(seed, channel_multiple)
    _check_multipliers(depth, width)
    if depth == width == 1 and kernel_size is None:
        raise InputError("Give a depth or a width other than 1, or a kernel_size.")
    return scaled_or_same(
        module,
        inputs,
        depth=depth,
        widths=None if width == 1 else _widths(width, channel_multiple),
        kernel_size=kernel_size,
        method=method,
        seed=seed,
        may_stay=False,
    )


def scaled_or_same(
    module: nn.Module,
    inputs: tuple[Any, ...],
    *,
    depth: float,
    widths: Widths | None,
    kernel_size: int | None,
    method: GrowthMethod,
    seed: int,
    may_stay: bool,
    runs: GrowingRuns | None = None,
) -> ScaledModule:
    """What `scale_module` does; with `may_stay` a copy where the multipliers are too near to 1 to change anything.

    `widths` says how many channels groups shall have; None where none change. `runs` are those that `growing_runs`
    found, where that is known.
    """
    if method not in GROWTH_METHODS:
        raise UnknownNameError("method of growth", method, GROWTH_METHODS)
    inputs = varied_inputs(inputs)
    check_output(module, inputs)
    # What is judged are random weights where the module has constants: zeros would hide what lies behind them.
    subject = shaken(module)
    insertions, stay = _insertions(subject, inputs, depth, runs)
    frame = with_kernels(Frame(insertions, (), stay), subject, inputs, kernel_size)
    kept = frame.kept
    planned, _ = framed(subject, frame, inputs)
    deep, names = framed(module, frame, inputs)
    judge = Judge((planned, deep), inputs, widths, method, seed)
    graph, resized = judge.widest(trace_channels(planned, *inputs))
    if not frame.changes and not resized.shapes and not (may_stay and graph.growing):
        raise InputError(_nothing(module, graph, kept, changes=widths is not None))
    if is_wider(graph, resized) and depth >= 1:
        difference = same_outputs(module, resized.module, inputs)
    else:
        difference = None
        _check_frame(module, deep, frame, inputs)
    _check_training(module, resized.module, inputs)
    return ScaledModule(
        module=resized.module.train(module.training),
        plan=_plan_of(graph, resized, frame, (*kept, *_stay(graph, changes=widths is not None))),
        weight_map=inherited_from(resized.weight_map, names, frame.kernels),
        macs=round(macs_of(resized.graph, {}, {}) / batch_size(inputs)),
        params=sum(tensor.numel() for tensor in resized.module.parameters() if tensor.requires_grad),
        difference=difference,
        graph=resized.graph,
        method=method,
        seed=seed,
    )


def _widths(width: float, channel_multiple: int | None) -> Widths:
    if channel_multiple is None:
        return partial(changed_sizes, width=width)
    return partial(scaled_sizes, width=width, channel_multiple=channel_multiple)


def check_output(module: nn.Module, inputs: tuple[Any, ...]) -> None:
    """Refuse a module that gives nothing that could be compared.

    Raises:
        InputError: it does, or does not run on these inputs.

    Example:
        >>> import torch
        >>> check_output(nn.Linear(2, 2), (torch.zeros(1, 2),))
    """
    output = run_once(module, inputs)
    if not tensors_in(output):
        raise InputError(
            f"{type(module).__name__} gives {type(output).__name__}, in which there is no tensor, so that nothing says "
            "whether it computes the same at another size."
        )


def check_options(seed: object, channel_multiple: object) -> None:
    """Refuse a seed, or what channels are rounded to, that is none.

    Raises:
        InputError: it is.

    Example:
        >>> check_options(0, None)
    """
    check_seed(seed)
    if channel_multiple is not None:
        check_integer("channel_multiple", channel_multiple, minimum=1)


def _check_multipliers(depth: float, width: float) -> None:
    for name, value in (("depth", depth), ("width", width)):
        if not is_number(value) or value <= 0:
            raise InputError(f"The {name} multiplier must be a positive number, not {value!r}.")


def _insertions(
    module: nn.Module, inputs: tuple[Any, ...], depth: float, known: GrowingRuns | None
) -> tuple[tuple[Insertion, ...], tuple[Kept, ...]]:
    """The runs whose blocks change in number, and those that cannot."""
    if depth == 1:
        return (), ()
    if known is None:
        known = growing_runs(module, inputs)
        known = shrinking_runs(module, inputs, known) if depth < 1 else known
    runs, refused = known
    if not runs and not refused:
        return (), (Kept(type(module).__name__, 0, "has no blocks that repeat."),)
    kept = tuple(Kept(run.container, len(run.names), reason) for run, reason in refused.items())
    insertions = (inserted(run, repeats_of(run, depth)) for run in runs)
    return tuple(insertion for insertion in insertions if insertion.extra), kept


def _stay(graph: ChannelGraph, *, changes: bool) -> tuple[Kept, ...]:
    """The channels that stay as many, with the reasons that have a place."""
    return tuple(
        Kept(group.name, group.size, group.frozen)
        for group in graph.groups
        if group.frozen is not None and ":" in group.frozen and changes
    )


def _nothing(module: nn.Module, graph: ChannelGraph, kept: Iterable[Kept], *, changes: bool) -> str:
    """Why nothing of a module changes."""
    reasons = [*kept, *(item for item in _stay(graph, changes=changes) if READS_INPUT not in item.reason)]
    if (graph.growing and changes) or not reasons:
        reasons = [Kept("", 0, "the multipliers are too near to 1 for its numbers of channels and blocks.")]
    told = f"{reasons[0].name} {reasons[0].reason}".strip()
    return f"{type(module).__name__} stays as it is: {told}"


def _check_frame(module: nn.Module, deep: nn.Module, frame: Frame, inputs: tuple[Any, ...]) -> None:
    """New blocks and larger kernels must change nothing; what has fewer blocks computes something else.

    Raises:
        ChangedError: they change what is computed.
    """
    shorter = tuple(insertion for insertion in frame.insertions if insertion.extra < 0)
    if len(shorter) < len(frame.insertions) or frame.kernels:
        same_outputs(deepened(module, shorter, inputs).module if shorter else module, deep, inputs)


def _check_training(module: nn.Module, result: nn.Module, inputs: tuple[Any, ...]) -> None:
    """What works in training, such as a second classifier there, must work with other sizes, too."""
    if not runs_in_training(module, inputs):
        return
    with unchanged(result), torch.no_grad():
        try:
            result.train()
            result(*inputs)
        except Exception as error:
            raise InputError(f"{type(module).__name__} would not run in training: {error}") from error


def _plan_of(graph: ChannelGraph, resized: Resized, frame: Frame, kept: Iterable[Kept]) -> ModulePlan:
    after = {group.key: group.size for group in resized.graph.groups}
    return ModulePlan(
        insertions=frame.insertions,
        kernels=frame.kernels,
        shapes=dict(resized.shapes),
        attributes=tuple(AttributeChange(*spot, value) for spot, value in resized.attributes.items()),
        groups=tuple(
            GroupChange(group.name, group.size, after[group.key], len(group.slots))
            for group in graph.groups
            if after[group.key] != group.size
        ),
        kept=tuple(kept),
    )


def batch_size(inputs: tuple[Any, ...]) -> int:
    """How many images inputs hold."""
    tensors: list[Tensor] = tensors_in(inputs)
    return tensors[0].shape[0] if tensors and tensors[0].ndim else 1
