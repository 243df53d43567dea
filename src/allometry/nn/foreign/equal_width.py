"""Forms of a block that give what they take the shape of, where the block itself does not."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

from torch import Tensor, nn

from allometry.base import InputError
from allometry.nn.foreign.forms import AttributeChange, BlockForm, ShapeChange
from allometry.nn.foreign.resize import copied
from allometry.nn.foreign.runs import Seen
from allometry.nn.foreign.widen import with_sizes
from allometry.nn.tracing.channels import trace_channels
from allometry.nn.tracing.graph import ChannelGraph
from allometry.nn.tracing.labels import Spot

_STRIDES = ("stride", "strides")
_MOST_FLAGS = 6


def own_forms(module: nn.Module, where: str, seen: Seen) -> Iterator[BlockForm]:
    """A block with as many channels coming in as go out, and without strides.

    Whether a block has a shortcut is often an attribute that says so: each that is false is tried as true, too.

    Args:
        module: that has the block.
        where: its name.
        seen: what it is given and gives.
    """
    block = module.get_submodule(where)
    given, output = seen.inputs[0], seen.output
    before, after = channels_of(given), channels_of(output)
    base = (
        _with_channels(block, where, given, after, _hidden_of_own) if before != after else BlockForm((where,))
    )
    if base is None:
        return
    strides = _without_strides(block) if given.shape[2:] != output.shape[2:] else ()
    widths = _input_widths(block, before, after) if before != after else ()
    flags = [AttributeChange(*place, value=True) for place in _flags(block)][:_MOST_FLAGS]
    for changes in ((), widths, *((*widths, flag) for flag in flags), (*widths, *flags)):
        yield BlockForm(base.parts, base.shapes, _last_of_each((*base.attributes, *strides, *changes)))


def sibling_form(module: nn.Module, where: str, given: Tensor, channels: int) -> BlockForm | None:
    """A block that gives what it takes the shape of, at another number of channels; None where it cannot have that.

    Args:
        module: that has the block.
        where: its name.
        given: what it is given.
        channels: that it shall take and give.
    """
    if channels_of(given) == channels:
        return BlockForm((where,))
    return _with_channels(module.get_submodule(where), where, given, channels, _hidden_of_sibling)


def channels_of(tensor: Tensor) -> int:
    """Of an image or of tokens.

    Example:
        >>> import torch
        >>> channels_of(torch.zeros(1, 8, 4, 4)), channels_of(torch.zeros(1, 16, 8))
        (8, 8)
    """
    return tensor.shape[-1] if tensor.ndim == 3 else tensor.shape[1]


def _with_channels(
    block: nn.Module,
    where: str,
    given: Tensor,
    channels: int,
    hidden: Any,  # noqa: ANN401 - a function
) -> BlockForm | None:
    """A block that takes so many channels."""
    before = channels_of(given)
    stem = nn.Linear(before, before) if given.ndim == 3 else nn.Conv2d(before, before, 1)
    if given.ndim not in (3, 4):
        return None
    net = nn.Sequential(stem, copied(block)).to(given).eval()
    try:
        graph = trace_channels(net, given)
        entering = {
            number: group
            for number, group in enumerate(graph.groups)
            if any(slot.spot == Spot("0.weight", 0) for slot in group.slots)
        }
        if any(group.frozen or group.size * channels % before for group in entering.values()):
            return None
        sizes = {number: group.size * channels // before for number, group in entering.items()}
        sizes |= hidden(graph, set(entering), before, channels)
        resized = with_sizes(net, graph, sizes, (given,))
    except InputError:
        return None
    return BlockForm(
        (where,),
        tuple(
            ShapeChange(name.removeprefix("1."), shape)
            for name, shape in resized.shapes.items()
            if name.startswith("1.")
        ),
        tuple(
            AttributeChange(
                spot.module.removeprefix("1").removeprefix("."), spot.attribute, spot.index, value
            )
            for spot, value in resized.attributes.items()
            if spot.module == "1" or spot.module.startswith("1.")
        ),
    )


def _hidden_of_own(graph: ChannelGraph, entering: set[int], before: int, after: int) -> dict[int, int]:
    """Channels inside a block when it takes as many as it gives.

    Wide ones keep their ratio to what it takes, as in inverted residuals; narrow ones that to what it gives, as in
    bottlenecks.
    """
    sizes: dict[int, int] = {}
    hidden = [
        number for number, group in enumerate(graph.groups) if group.frozen is None and number not in entering
    ]
    reads = {number: {k for c in graph.costs if number in c.outputs for k in c.inputs} for number in hidden}
    gives = {number: {k for c in graph.costs if number in c.inputs for k in c.outputs} for number in hidden}
    for number in hidden:
        group = graph.groups[number]
        width = group.size * group.times
        above = next((other for other in sorted(reads[number]) if other in sizes), None)
        if reads[number] & entering or above is None:
            wide = width > after or (width == after and before > after)
            grows = wide or bool(gives[number] & entering)
            times, over = (after, before) if grows else (1, 1)
        else:
            times, over = sizes[above], graph.groups[above].size
        sizes[number] = max(1, group.size * times // over)
    return {number: size for number, size in sizes.items() if size != graph.groups[number].size}


def _hidden_of_sibling(graph: ChannelGraph, entering: set[int], before: int, after: int) -> dict[int, int]:
    """All channels in proportion."""
    return {
        number: max(1, group.size * after // before)
        for number, group in enumerate(graph.groups)
        if group.frozen is None and number not in entering
    }


def _without_strides(block: nn.Module) -> tuple[AttributeChange, ...]:
    """All strides of a block as 1; a pool of as large a kernel as its stride then looks at one place."""
    changes = []
    for name, part in block.named_modules():
        for key in _STRIDES:
            held = part.__dict__.get(key)
            changes += [AttributeChange(name, key, index, 1) for index in _steps(held)]
            if isinstance(part, nn.AvgPool2d | nn.MaxPool2d) and part.kernel_size == held:
                changes += [AttributeChange(name, "kernel_size", index, 1) for index in _steps(held)]
    return tuple(changes)


def _steps(held: Any) -> list[int | None]:  # noqa: ANN401 - any attribute
    """Where an attribute holds an integer above 1."""
    if type(held) is int:
        return [None] if held > 1 else []
    if type(held) in (list, tuple) and all(type(item) is int for item in held):
        return [index for index, item in enumerate(held) if item > 1]
    return []


def _input_widths(block: nn.Module, before: int, after: int) -> tuple[AttributeChange, ...]:
    """Attributes that say how many channels come in, with which a block may decide on its shortcut."""
    return tuple(
        AttributeChange(name, key, None, after)
        for name, part in block.named_modules()
        if not _is_of_torch(part)
        for key, value in part.__dict__.items()
        if key.startswith("in") and type(value) is int and value == before
    )


def _flags(block: nn.Module) -> list[tuple[str, str, None]]:
    """Attributes that are false."""
    return [
        (name, key, None)
        for name, part in block.named_modules()
        if not _is_of_torch(part)
        for key, value in part.__dict__.items()
        if value is False and key != "training" and not key.startswith("_")
    ]


def _is_of_torch(part: nn.Module) -> bool:
    return type(part).__module__.startswith("torch.nn.")


def _last_of_each(changes: tuple[AttributeChange, ...]) -> tuple[AttributeChange, ...]:
    """Of several changes of one attribute the last."""
    return tuple(
        {(change.module, change.attribute, change.index): change for change in chain(changes)}.values()
    )
