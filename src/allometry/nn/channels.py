"""Which dimensions of a block's tensors count the same channels, as its graph of layers says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor, nn

from allometry.arch import (
    INPUT,
    Conv,
    Depthwise,
    Layer,
    Node,
    Norm,
    RowColumn,
    Shuffle,
    SqueezeExcite,
)
from allometry.nn.blocks import GraphBlock, node_attribute


class ChannelSpot(NamedTuple):
    """A dimension of one of a module's tensors that counts channels.

    Example:
        >>> ChannelSpot("project.0.weight", 1).dimension
        1
    """

    name: str
    dimension: int


class ChannelAxis(NamedTuple):
    """The same channels, wherever a module's tensors count them: if they change places, then everywhere.

    Attributes:
        spots: all of them; none where the channels cannot change places, as in grouped convolutions.
        readers: those among them whose weights read the channels, and so say how much each of them matters.

    Example:
        >>> reader = ChannelSpot("project.0.weight", 1)
        >>> ChannelAxis(spots=(ChannelSpot("depthwise.0.weight", 0), reader), readers=(reader,)).readers[0].name
        'project.0.weight'
    """

    spots: tuple[ChannelSpot, ...]
    readers: tuple[ChannelSpot, ...]


class BlockChannels(NamedTuple):
    """The channels of a block.

    Attributes:
        inner: those that are inside alone.
        entering: those that it is given.
        leaving: those that it gives on; the same axis as `entering` where the input is added to the output.
        adds_input: whether that is so.

    Example:
        >>> from allometry.arch import MBConv, Network, Stage
        >>> from allometry.nn import build
        >>> module = build(Network(stages=(Stage(block=MBConv(channels=8)),), resolution=16), seed=0)
        >>> channels = block_channels(module.stages[0][0])
        >>> channels.adds_input, [axis.readers[0].name for axis in channels.inner]
        (False, ['squeeze_excite.expand.weight', 'project.0.weight'])
    """

    inner: tuple[ChannelAxis, ...]
    entering: ChannelAxis
    leaving: ChannelAxis
    adds_input: bool


def named_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers, by their names.

    Example:
        >>> [name for name, _ in named_tensors(nn.BatchNorm2d(8))]
        ['weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked']
    """
    yield from module.named_parameters()
    yield from module.named_buffers()


def written_by(module: nn.Module, prefix: str) -> tuple[ChannelSpot, ...]:
    """Where a layer without groups, and what follows in its module, count the channels that they give."""
    return tuple(ChannelSpot(f"{prefix}.{name}", 0) for name, value in named_tensors(module) if value.ndim)


def block_channels(block: GraphBlock) -> BlockChannels:
    """Follow the channels through a block's graph: which of its tensors' dimensions count the same ones."""
    walk = _Walk(block)
    outputs: dict[str, _Axis] = {INPUT: _Axis()}
    for node in block.cell.nodes:
        outputs[node.name] = walk.through(node, [outputs.setdefault(name, _Axis()) for name in node.inputs])
    entering, leaving = outputs[INPUT].root(), outputs[block.cell.nodes[-1].name].root()
    closed = (axis.root() for axis in walk.closed)
    inner = [axis for axis in dict.fromkeys(closed) if axis not in (entering, leaving) and not axis.fixed]
    return BlockChannels(
        tuple(axis.frozen() for axis in inner), entering.frozen(), leaving.frozen(), entering is leaving
    )


@dataclass(eq=False)
class _Axis:
    """An axis while the graph is walked through; one that was joined with another stands for that one."""

    spots: dict[ChannelSpot, None] = field(default_factory=dict)
    readers: dict[ChannelSpot, None] = field(default_factory=dict)
    fixed: bool = False
    joined: _Axis | None = None

    def root(self) -> _Axis:
        return self if self.joined is None else self.joined.root()

    def join(self, other: _Axis) -> None:
        one, two = self.root(), other.root()
        if one is not two:
            one.spots |= two.spots
            one.readers |= two.readers
            one.fixed |= two.fixed
            two.joined = one

    def frozen(self) -> ChannelAxis:
        return ChannelAxis((), ()) if self.fixed else ChannelAxis(tuple(self.spots), tuple(self.readers))


class _Walk:
    """The way through a block's nodes. `closed` are the axes that something reads, in the order of their readers."""

    def __init__(self, block: GraphBlock) -> None:
        self.block = block
        self.closed: list[_Axis] = []

    def through(self, node: Node, inputs: list[_Axis]) -> _Axis:
        axis = inputs[0].root()
        if len(inputs) > 1 and node.join == "concat":
            for source in inputs:
                source.root().fixed = True
            axis = _Axis(fixed=True)
        elif len(inputs) > 1:
            for source in inputs[1:]:
                axis.join(source)
        prefix = node_attribute(node.name)
        for index, layer in enumerate(node.layers):
            name = f"{prefix}.{index}" if len(node.layers) > 1 else prefix
            axis = self.layer(layer, self.block.get_submodule(name), name, axis.root())
        return axis

    def layer(self, layer: Layer, module: nn.Module, name: str, axis: _Axis) -> _Axis:
        match layer:
            case Conv():
                return self.convolution(module, name, axis, grouped=layer.groups > 1)
            case RowColumn():
                row, column = (module.get_submodule(f"{number}") for number in range(2))
                between = self.convolution(row, f"{name}.0", axis, grouped=False)
                return self.convolution(column, f"{name}.1", between, grouped=False)
            case Depthwise() | Norm():
                axis.spots |= dict.fromkeys(written_by(module, name))
            case SqueezeExcite():
                squeeze = _Axis()
                axis.spots |= dict.fromkeys(
                    (
                        ChannelSpot(f"{name}.reduce.weight", 1),
                        ChannelSpot(f"{name}.expand.weight", 0),
                        ChannelSpot(f"{name}.expand.bias", 0),
                    )
                )
                written = (ChannelSpot(f"{name}.reduce.weight", 0), ChannelSpot(f"{name}.reduce.bias", 0))
                squeeze.spots |= dict.fromkeys(written)
                self.read(squeeze, ChannelSpot(f"{name}.expand.weight", 1))
            case Shuffle():
                axis.fixed = True
            case _:
                pass  # the other layers have no tensors and leave every channel where it is
        return axis

    def convolution(self, module: nn.Module, name: str, axis: _Axis, *, grouped: bool) -> _Axis:
        if grouped:
            axis.fixed = True
            return _Axis(fixed=True)
        self.read(axis, ChannelSpot(f"{name}.0.weight", 1))
        return _Axis(spots=dict.fromkeys(written_by(module, name)))

    def read(self, axis: _Axis, spot: ChannelSpot) -> None:
        axis.spots[spot] = axis.readers[spot] = None
        self.closed.append(axis)
