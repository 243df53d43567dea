"""Cells that were found by search: sums of two operations each, as NASNet, PNASNet and AmoebaNet share them.

Source: Zoph et al. 2018, *Learning transferable architectures for scalable image recognition*, section 3, and the
released code of the three families (tensorflow/models `research/slim/nets/nasnet`, tensorflow/tpu
`models/official/amoeba_net`), whose nodes have the same names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import Literal, NamedTuple

from allometry.arch import (
    Act,
    BatchNorm,
    Cell,
    Conv,
    Depthwise,
    DropPath,
    Head,
    Layer,
    Network,
    Node,
    Norm,
    Pool,
    RowColumn,
    Shift,
    Stage,
    Stem,
)

Operation = Literal[
    "identity",
    "1x1",
    "3x3",
    "1x7 7x1",
    "average 3x3",
    "max 2x2",
    "max 3x3",
    "separable 3x3",
    "separable 5x5",
    "separable 7x7",
]
Operand = tuple[Operation, int]
# How a cell comes by its second state, from the output of the cell two before it: by a 1x1 convolution; by a
# factorized reduction, where that output is twice as large; untouched, where it has the right shape already. The
# first cell has only its own input.
Previous = Literal["squeezed", "halved", "as it is", "own input"]

_RELU = Act(function="relu")


@dataclass(frozen=True, slots=True)
class Genotype:
    """What a search decides about a cell.

    Attributes:
        steps: two operands each, which are summed. An operand is an operation and the state that it is done to:
            0 is the cell's input, 1 the output of the block before, 2 the sum of the first step, and so on.
        outputs: the states that the cell's output is made of, side by side.
    """

    steps: tuple[tuple[Operand, Operand], ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Genotypes:
    """The two cells of a network: one keeps the size of the image, one halves it."""

    normal: Genotype
    reduction: Genotype


def grow(
    genotypes: Genotypes,
    *,
    repeats: tuple[int, int, int],
    channels: int,
    stem: int,
    resolution: int,
    stochastic_depth: float,
    name: str,
    after_reduction: Literal["input", "skip"] = "input",
) -> Network:
    """The ImageNet network of two cells: stem, two reduction cells, then normal cells with two more reductions.

    Args:
        genotypes: the two cells.
        repeats: normal cells before, between and after the last two reduction cells.
        channels: of every operation in the first normal cells; each later reduction doubles them.
        stem: channels of the first convolution.
        resolution: side of the input in pixels.
        stochastic_depth: drop rate that the operations of the last cell approach.
        name: of the network.
        after_reduction: what the cell after one of the last two reduction cells reads as the output of the cell
            two before it: that very cell's (`input`), or that of the cell before it (`skip`).
    """
    plan = [_Planned("stem cell", genotypes.reduction, channels // share, 2) for share in (4, 2)]
    for stack, count in enumerate(repeats):
        width = channels * 2**stack
        if stack:
            plan.append(_Planned("reduction cell", genotypes.reduction, width, 2, after_reduction))
        plan += count * [_Planned("normal cell", genotypes.normal, width, 1)]
    act = Cell(nodes=(Node(name="act", inputs=("input",), layers=(_RELU,)),), label="relu")
    cells = groupby([*_laid(plan), act])
    return Network(
        name=name,
        stem=Stem(channels=stem, activation=None, padding="valid"),
        stages=tuple(Stage(block=block, repeats=len(list(alike))) for block, alike in cells),
        head=Head(channels=None, dropout=0.5),
        resolution=resolution,
        batch_norm=BatchNorm(epsilon=1e-3, momentum=3e-4),
        padding="same",
        stochastic_depth=stochastic_depth,
    )


class _Planned(NamedTuple):
    label: str
    genotype: Genotype
    channels: int
    stride: int
    passes: Literal["input", "skip"] = "input"


def _laid(plan: list[_Planned]) -> Iterator[Cell]:
    """The cells, each made to fit the output of the cell two before it."""
    skipped: _Planned | None = None  # two before; the output of the stem fits none
    last: _Planned | None = None
    for planned in plan:
        previous: Previous = "squeezed"
        if last is None:
            previous = "own input"
        elif last.stride > 1:
            previous = "halved"
        elif skipped and len(skipped.genotype.outputs) * skipped.channels == planned.channels:
            previous = "as it is"
        fitted = cell(
            planned.genotype, planned.channels, stride=planned.stride, previous=previous, label=planned.label
        )
        yield replace(fitted, passes=planned.passes)
        skipped, last = last, planned


def cell(
    genotype: Genotype,
    channels: int,
    *,
    stride: int = 1,
    previous: Previous = "squeezed",
    label: str = "cell",
) -> Cell:
    """The cell of a genotype, with `channels` from every operation.

    Args:
        genotype: what is done to what.
        channels: of every state.
        stride: of the operations on the first two states.
        previous: how the second state comes about.
        label: of the cell.

    Example:
        >>> pooled = Genotype(steps=((("max 3x3", 0), ("identity", 1)),), outputs=(1, 2))
        >>> [node.name for node in cell(pooled, 8).nodes]
        ['conv_prev_1x1', 'conv_1x1', 'comb_iter_0_left', 'comb_iter_0', 'cell_output']
    """
    before = tuple(_previous(channels, previous))
    nodes = [*before, _node("conv_1x1", "input", _squeeze(channels))]
    other = before[-1].name if before else "input" if previous == "own input" else "skip"
    states = ["conv_1x1", other]
    for number, step in enumerate(genotype.steps):
        terms = []
        for side, (operation, state) in zip(("left", "right"), step, strict=True):
            narrow = states[state] != "input"
            layers = _operation(operation, channels, stride if state < 2 else 1, narrow=narrow)
            terms.append(f"comb_iter_{number}_{side}" if layers else states[state])
            nodes += [_node(terms[-1], states[state], layers)] if layers else []
        nodes.append(Node(name=f"comb_iter_{number}", inputs=tuple(terms)))
        states.append(nodes[-1].name)
    outputs = []
    for state in genotype.outputs:
        if stride > 1 and state < 2:  # a state that no operation has halved
            nodes += _halve(f"reduction_{state}_", states[state], channels)
            outputs.append(nodes[-1].name)
        else:
            outputs.append(states[state])
    nodes.append(Node(name="cell_output", inputs=tuple(outputs), join="concat"))
    return Cell(nodes=tuple(nodes), label=label)


def _previous(channels: int, previous: Previous) -> Iterator[Node]:
    if previous == "squeezed":
        yield _node("conv_prev_1x1", "skip", _squeeze(channels))
    elif previous == "halved":
        yield from _halve("", "skip", channels, before=(_RELU,))


def _halve(prefix: str, source: str, channels: int, *, before: tuple[Layer, ...] = ()) -> Iterator[Node]:
    """Factorized reduction: half of the channels from every second pixel, the others from the pixels between."""
    half = channels // 2
    first, second = (
        Conv(channels=half, stride=2, norm=False),
        Conv(channels=channels - half, stride=2, norm=False),
    )
    yield _node(f"{prefix}path_1", source, (*before, first))
    yield _node(f"{prefix}path_2", source, (*before, Shift(), second))
    from_paths = (f"{prefix}path_1", f"{prefix}path_2")
    yield Node(name=f"{prefix}final_path_bn", inputs=from_paths, join="concat", layers=(Norm(),))


def _squeeze(channels: int, stride: int = 1) -> tuple[Layer, ...]:
    return (_RELU, Conv(channels=channels, stride=stride))


def _separable(channels: int, stride: int, *, kernel: int) -> tuple[Layer, ...]:
    first = (_RELU, Depthwise(kernel=kernel, stride=stride), Conv(channels=channels))
    return (*first, _RELU, Depthwise(kernel=kernel), Conv(channels=channels))


def _bottleneck(
    channels: int, stride: int, *, spatial: Callable[[int, int], tuple[Layer, ...]]
) -> tuple[Layer, ...]:
    quarter = channels // 4
    return (*_squeeze(quarter), _RELU, *spatial(quarter, stride), *_squeeze(channels))


def _square(channels: int, stride: int) -> tuple[Layer, ...]:
    return (Conv(channels=channels, kernel=3, stride=stride),)


def _row_column(channels: int, stride: int) -> tuple[Layer, ...]:
    return (RowColumn(channels=channels, kernel=7, stride=stride, activation="relu"),)


# What gives a new number of channels by itself.
_CONVOLUTIONS: dict[Operation, Callable[[int, int], tuple[Layer, ...]]] = {
    "1x1": _squeeze,
    "3x3": partial(_bottleneck, spatial=_square),
    "1x7 7x1": partial(_bottleneck, spatial=_row_column),
    "separable 3x3": partial(_separable, kernel=3),
    "separable 5x5": partial(_separable, kernel=5),
    "separable 7x7": partial(_separable, kernel=7),
}
_POOLS: dict[Operation, Callable[[int], Pool]] = {
    "average 3x3": lambda stride: Pool(function="average", kernel=3, stride=stride),
    "max 2x2": lambda stride: Pool(function="max", kernel=2, stride=stride),
    "max 3x3": lambda stride: Pool(function="max", kernel=3, stride=stride),
}


def _operation(operation: Operation, channels: int, stride: int, *, narrow: bool) -> tuple[Layer, ...]:
    """The layers of an operation, none if it is the identity; `narrow` where it is given `channels` channels."""
    if operation == "identity":
        return () if stride == 1 and narrow else _squeeze(channels, stride)
    if operation in _POOLS:
        convolved = () if narrow else (Conv(channels=channels),)
        return (_POOLS[operation](stride), *convolved, DropPath())
    return (*_CONVOLUTIONS[operation](channels, stride), DropPath())


def _node(name: str, source: str, layers: tuple[Layer, ...]) -> Node:
    return Node(name=name, inputs=(source,), layers=layers)
