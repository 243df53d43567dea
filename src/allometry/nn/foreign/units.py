"""Units of a convolution and an activation: what a plain network is made of, and other ones where no block repeats."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

from torch import Tensor, nn

from allometry.nn.foreign.forms import AttributeChange, BlockForm, ShapeChange
from allometry.nn.foreign.runs import BlockRun, run_once

_NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)


@dataclass(frozen=True, slots=True)
class _Call:
    """A layer that ran, what it was given and what it gave."""

    name: str
    layer: nn.Module
    given: Tensor
    output: Tensor


class _Unit(NamedTuple):
    """A convolution or linear layer, what stands behind it up to the activation, and the shape that comes out."""

    layer: _Call
    parts: tuple[str, ...]
    shape: tuple[int, ...]


def find_units(module: nn.Module, inputs: tuple[Any, ...]) -> list[BlockRun]:
    """The units of a module, two and two of images of one size as a run.

    A unit is a convolution, its norm and its activation, or a part that holds one convolution; where there are none, a
    linear layer and its activation. The first is left out: it reads the image.

    Example:
        >>> import torch
        >>> layers = [nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 8, 1), nn.ReLU(), nn.Conv2d(8, 8, 1), nn.ReLU()]
        >>> run = find_units(nn.Sequential(*layers), (torch.ones(1, 3, 1, 1),))[0]
        >>> run.names, run.blocks, run.form.parts
        (('5',), 2, ('4', '5'))
    """
    calls, given = _watch(module, inputs)
    order = {call.name: number for number, call in enumerate(calls)}
    for kind in (nn.modules.conv._ConvNd, nn.Linear):
        units = list(_in_layers(calls, kind))
        units += _in_parts(calls, given, kind, {unit.layer.name for unit in units})
        units = sorted(_of_images(units), key=lambda unit: order[unit.layer.name])
        if len(units) > 1:
            stages = (list(same) for _, same in groupby(units[1:], lambda unit: unit.shape[1:]))
            return [_run_of(pair) for stage in stages for pair in _pairs(stage)]
    return []


def _pairs(stage: Sequence[_Unit]) -> Iterator[Sequence[_Unit]]:
    """Two and two, so that half as many more are spread over a stage; the last three together."""
    starts = list(range(0, max(1, len(stage) - 1), 2))
    for start, end in zip(starts, [*starts[1:], len(stage)], strict=True):
        yield stage[start:end]


def _of_images(units: Sequence[_Unit]) -> list[_Unit]:
    """Units whose outputs have places, if there are some; not those of a gate, which have none."""
    placed = [unit for unit in units if math.prod(unit.shape[1:]) > 1]
    return placed or list(units)


def _watch(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[list[_Call], dict[str, Tensor]]:
    """The layers that ran once, in their order, and what the parts that ran once gave."""
    calls: list[_Call] = []
    names = {part: name for name, part in module.named_modules()}

    def hook(layer: nn.Module, given: Any, output: Any) -> None:  # noqa: ANN401
        if given and isinstance(given[0], Tensor) and isinstance(output, Tensor):
            calls.append(_Call(names[layer], layer, given[0], output))

    handles = [part.register_forward_hook(hook) for part in names]
    try:
        run_once(module, inputs)
    finally:
        for handle in handles:
            handle.remove()
    times = Counter(call.name for call in calls)
    once = [call for call in calls if times[call.name] == 1]
    layers = [call for call in once if next(call.layer.children(), None) is None]
    return layers, {call.name: call.output for call in once}


def _in_layers(calls: Sequence[_Call], kind: type[nn.Module]) -> Iterator[_Unit]:
    """Layers behind each other: of that kind, perhaps a norm, and an activation."""
    for number, call in enumerate(calls):
        if not isinstance(call.layer, kind):
            continue
        chain = [call]
        for behind in calls[number + 1 :]:
            if behind.given is not chain[-1].output or behind.output.shape != behind.given.shape:
                break
            chain.append(behind)
            if not isinstance(behind.layer, _NORMS):
                break
        last = chain[-1].layer
        if len(chain) > 1 and not isinstance(last, (*_NORMS, kind)) and not _is_linear(chain[-1]):
            yield _Unit(call, tuple(part.name for part in chain), tuple(chain[-1].output.shape[1:]))


def _is_linear(call: _Call) -> bool:
    """Whether a layer is no activation: what it gives is what it is given, or has weights that multiply it."""
    return isinstance(
        call.layer, nn.Identity | nn.modules.dropout._DropoutNd | nn.modules.conv._ConvNd | nn.Linear
    )


def _in_parts(
    calls: Sequence[_Call], outputs: Mapping[str, Tensor], kind: type[nn.Module], known: Collection[str]
) -> Iterator[_Unit]:
    """Parts that hold one layer of that kind, and what is below zero in it is cut off by a function."""
    layers = [call for call in calls if isinstance(call.layer, kind)]
    holders = Counter(call.name.rpartition(".")[0] for call in layers)
    for call in layers:
        holder = call.name.rpartition(".")[0]
        output = outputs.get(holder)
        inside = sum(other.name.startswith(f"{holder}.") for other in layers)
        if call.name in known or not holder or holders[holder] > 1 or inside > 1 or output is None:
            continue
        if output.shape == call.output.shape and bool((output >= 0).all()):
            yield _Unit(call, (holder,), tuple(output.shape[1:]))


def _run_of(units: Sequence[_Unit]) -> BlockRun:
    """Units as a run, of which there are more by copies of one that give what they take: of the cheapest one."""
    layer, parts, _ = min(reversed(units), key=lambda unit: math.prod(_wanted(unit.layer.layer)))
    single = len(parts) == 1
    name = layer.name.removeprefix(f"{parts[0]}.") if single else "0"
    container, _, key = parts[-1].rpartition(".")
    shape, attributes = _equal_width(layer.layer)
    return BlockRun(
        container=container,
        names=(key,),
        before=len(units) - 1,
        form=BlockForm(
            parts,
            () if shape is None else (ShapeChange(f"{name}.weight", shape),),
            tuple(AttributeChange(name, *change) for change in attributes),
        ),
        wrapped=True,
    )


def _wanted(layer: nn.Module) -> tuple[int, ...]:
    """The shape of weights with which a layer takes as many channels as it gives."""
    shape = tuple(layer.get_parameter("weight").shape)
    return (shape[0], shape[0] // getattr(layer, "groups", 1), *shape[2:])


def _equal_width(layer: nn.Module) -> tuple[tuple[int, ...] | None, list[tuple[str, int | None, int]]]:
    """The weight's shape and the strides with which a layer gives what it takes the shape of."""
    shape, wanted = tuple(layer.get_parameter("weight").shape), _wanted(layer)
    strides = getattr(layer, "stride", ())
    changes: list[tuple[str, int | None, int]] = [
        ("stride", number, 1) for number, step in enumerate(strides) if step != 1
    ]
    return None if shape == wanted else wanted, changes
