"""The modules of blocks: each is built from the graph of layers that the block says it is."""

from __future__ import annotations

from functools import partial, reduce

import torch
from torch import Tensor, nn

from allometry.arch import (
    INPUT,
    SKIP,
    Act,
    BatchNorm,
    Cell,
    Conv,
    Depthwise,
    Layer,
    Norm,
    Padding,
    PlacedBlock,
    Pool,
    RowColumn,
    Scale,
    Shape,
    Shuffle,
    graph_of,
)
from allometry.arch import layers as arch_layers
from allometry.nn.layers import (
    ACTIVATIONS,
    ChannelShuffle,
    ConvNorm,
    DropPath,
    Scaled,
    Shifted,
    SqueezeExcite,
    make_norm,
    make_pool,
)


class GraphBlock(nn.Module):
    """The module of a block: the nodes of its graph, each under its own name, one after the other.

    A node of one layer is that layer's module, and one of several a sequence of them; one that only joins has none.

    Args:
        cell: the graph.
        source: shape of the input.
        skip: shape of the input of the block before.
        drop_rate: stochastic depth.
        batch_norm: constants of every batch norm.
        padding: of the network.

    Shape:
        [N, in_channels, H, W], and for cells that read it the input of the block before -> as `Cell.after` says

    Example:
        >>> from allometry.arch import BatchNorm, MBConv, Shape
        >>> block = GraphBlock(
        ...     MBConv(channels=24, stride=2).cell(16), Shape(16, 8), Shape(16, 8),
        ...     drop_rate=0.0, batch_norm=BatchNorm(), padding="symmetric",
        ... )
        >>> block(torch.zeros(1, 16, 8, 8)).shape, type(block.depthwise).__name__
        (torch.Size([1, 24, 4, 4]), 'ConvNorm')
    """

    def __init__(
        self,
        cell: Cell,
        source: Shape,
        skip: Shape,
        *,
        drop_rate: float,
        batch_norm: BatchNorm,
        padding: Padding,
    ) -> None:
        super().__init__()
        self.cell = cell
        self.reads_skip, self.passes_skip = cell.reads_skip, cell.passes_skip
        make = partial(_layer, drop_rate=drop_rate, batch_norm=batch_norm, padding=padding)
        shapes = cell.shapes(source, skip, padding)
        for node in cell.nodes:
            shape = node.joined([shapes[name] for name in node.inputs])
            layers: list[nn.Module] = []
            for layer in node.layers:
                layers.append(make(layer, shape.channels))
                shape = layer.after(shape, padding)
            if layers:
                module = layers[0] if len(layers) == 1 else nn.Sequential(*layers)
                self.add_module(node_attribute(node.name), module)
        last = {name: place for place, node in enumerate(cell.nodes) for name in node.inputs}
        # What each node reads, how that is joined, its module, and what nobody reads after it.
        self._steps = [
            (
                node.name,
                node.inputs,
                node.join,
                node_attribute(node.name) if node.layers else None,
                tuple(name for name in dict.fromkeys(node.inputs) if last[name] == place),
            )
            for place, node in enumerate(cell.nodes)
        ]

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        """Apply the nodes in their order."""
        outputs: dict[str, Tensor] = {INPUT: x}
        if skip is not None:
            outputs[SKIP] = skip
        for name, inputs, join, module, done in self._steps:
            tensors = [outputs[source] for source in inputs]
            for source in done:
                del outputs[
                    source
                ]  # or a network in use would hold every feature map of a block until its end
            x = (
                tensors[0]
                if len(tensors) == 1
                else reduce(torch.add, tensors)
                if join == "add"
                else torch.cat(tensors, 1)
            )
            del tensors
            if module is not None:
                x = getattr(self, module)(x)
            outputs[name] = x
        return x


def node_attribute(name: str) -> str:
    """Under which name a block's module has a node: its own, unless modules of torch have that already.

    Example:
        >>> node_attribute("expand"), node_attribute("half")
        ('expand', 'half_')
    """
    return f"{name}_" if hasattr(nn.Module, name) or name in ("training", "cell") else name


def make_block(placed: PlacedBlock, *, batch_norm: BatchNorm, padding: Padding) -> GraphBlock:
    """The module of a block in its place."""
    return GraphBlock(
        graph_of(placed.block, placed.source.channels),
        placed.source,
        placed.skip,
        drop_rate=placed.drop_rate,
        batch_norm=batch_norm,
        padding=padding,
    )


def last_norm(block: nn.Module) -> nn.BatchNorm2d | None:
    """The batch norm at the end of a block's residual branch; None where there is no such branch.

    That is the one right before the only `DropPath` of the block.
    """
    if not isinstance(block, GraphBlock):
        return None
    nodes = {node.name: node for node in block.cell.nodes}
    drops = [node for node in nodes.values() if any(isinstance(x, arch_layers.DropPath) for x in node.layers)]
    if len(drops) != 1 or len(drops[0].layers) != 1 or len(drops[0].inputs) != 1:
        return None
    before = nodes.get(drops[0].inputs[0])
    while before is not None and not (before.layers and isinstance(before.layers[-1], Conv)):
        excites = bool(before.layers) and isinstance(before.layers[-1], arch_layers.SqueezeExcite)
        before = nodes.get(before.inputs[0]) if excites and len(before.inputs) == 1 else None
    if before is None:
        return None
    end = getattr(block, node_attribute(before.name))
    conv = end[-1] if len(before.layers) > 1 else end
    norm = conv[1] if len(conv) > 1 else None
    return norm if isinstance(norm, nn.BatchNorm2d) else None


def _layer(
    layer: Layer, channels: int, *, drop_rate: float, batch_norm: BatchNorm, padding: Padding
) -> nn.Module:
    match layer:
        case Conv() | RowColumn() | Depthwise():
            return _convolution(layer, channels, batch_norm=batch_norm, padding=padding)
        case Norm(activation=None):
            return make_norm(channels, batch_norm)
        case Norm(activation=str(function)):
            return nn.Sequential(make_norm(channels, batch_norm), ACTIVATIONS[function](inplace=True))
        case Act():
            return ACTIVATIONS[layer.function]()
        case Pool():
            return make_pool(
                layer.function,
                layer.kernel,
                stride=layer.stride,
                padding=layer.padding or padding,
                counts_padding=layer.counts_padding,
            )
        case arch_layers.SqueezeExcite():
            return SqueezeExcite(
                channels, layer.squeezed(channels), activation=layer.activation, function=layer.function
            )
        case Scale():
            return Scaled(layer.factor)
        case Shuffle():
            return ChannelShuffle(layer.groups)
        case arch_layers.DropPath():
            return DropPath(drop_rate)
        case _:
            return Shifted()


def _convolution(
    layer: Conv | RowColumn | Depthwise, channels: int, *, batch_norm: BatchNorm, padding: Padding
) -> nn.Module:
    if isinstance(layer, RowColumn):
        conv = partial(ConvNorm, batch_norm=batch_norm, padding=padding)
        kernel, stride, out, activation = layer.kernel, layer.stride, layer.channels, layer.activation
        return nn.Sequential(
            conv(channels, out, kernel=(1, kernel), stride=(1, stride), activation=activation),
            conv(out, out, kernel=(kernel, 1), stride=(stride, 1), activation=None),
        )
    if isinstance(layer, Depthwise):
        out, groups, bias = channels, channels, False
    else:
        out, groups, bias = layer.channels, layer.groups, layer.bias
    return ConvNorm(
        channels,
        out,
        kernel=layer.kernel,
        stride=layer.stride,
        groups=groups,
        bias=bias,
        activation=layer.activation,
        batch_norm=batch_norm if layer.norm else None,
        padding=layer.padding or padding,
    )
