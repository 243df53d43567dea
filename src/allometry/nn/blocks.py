"""The modules of blocks."""

from __future__ import annotations

from functools import partial, reduce
from typing import cast

import torch
from torch import Tensor, nn

from allometry.arch import (
    INPUT,
    SKIP,
    Act,
    BatchNorm,
    Block,
    Cell,
    Conv,
    Depthwise,
    FusedMBConv,
    Layer,
    MBConv,
    Norm,
    Padding,
    PlacedBlock,
    Pool,
    RowColumn,
    Scale,
    Shape,
    passes_skip,
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

_BRANCHES = {"basic": "second", "bottleneck": "restore"}


class MBConvBlock(nn.Module):
    """The module of an `arch.MBConv`: expand, depthwise, squeeze-excite, project, add.

    Shape:
        [N, in_channels, H, W] -> [N, channels, ceil(H / stride), ceil(W / stride)]

    Source: EfficientNet (Tan & Le 2019), section 4 and released code.

    Example:
        >>> from allometry.arch import BatchNorm, MBConv
        >>> block = MBConvBlock(
        ...     MBConv(channels=24, stride=2), 16, drop_rate=0.0, batch_norm=BatchNorm(), padding="symmetric"
        ... )
        >>> block(torch.zeros(1, 16, 8, 8)).shape
        torch.Size([1, 24, 4, 4])
    """

    def __init__(
        self, block: MBConv, in_channels: int, *, drop_rate: float, batch_norm: BatchNorm, padding: Padding
    ) -> None:
        super().__init__()
        conv = partial(ConvNorm, batch_norm=batch_norm, padding=padding)
        inner = block.expanded(in_channels)
        self.residual = block.has_residual(in_channels)
        self.expand = (
            conv(in_channels, inner, groups=block.groups, activation=block.activation)
            if block.expand_ratio != 1
            else nn.Identity()
        )
        self.shuffle = ChannelShuffle(block.groups) if block.groups > 1 else nn.Identity()
        self.depthwise = conv(
            inner, inner, kernel=block.kernel, stride=block.stride, groups=inner, activation=block.activation
        )
        self.squeeze_excite = _gate(block, in_channels)
        self.project = conv(inner, block.channels, groups=block.groups, activation=None)
        self.drop_path = DropPath(drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        out = self.depthwise(self.shuffle(self.expand(x)))
        out = self.project(self.squeeze_excite(out))
        return self.drop_path(out) + x if self.residual else cast(Tensor, out)


class FusedMBConvBlock(nn.Module):
    """The module of an `arch.FusedMBConv`: expand k x k, squeeze-excite, project, add.

    Shape:
        [N, in_channels, H, W] -> [N, channels, ceil(H / stride), ceil(W / stride)]

    Source: EfficientNetV2 (Tan & Le 2021), section 3.2, and released code.

    Example:
        >>> from allometry.arch import BatchNorm, FusedMBConv
        >>> block = FusedMBConvBlock(
        ...     FusedMBConv(channels=24, stride=2), 16, drop_rate=0.0, batch_norm=BatchNorm(), padding="symmetric"
        ... )
        >>> block(torch.zeros(1, 16, 8, 8)).shape
        torch.Size([1, 24, 4, 4])
    """

    def __init__(
        self,
        block: FusedMBConv,
        in_channels: int,
        *,
        drop_rate: float,
        batch_norm: BatchNorm,
        padding: Padding,
    ) -> None:
        super().__init__()
        conv = partial(ConvNorm, batch_norm=batch_norm, padding=padding)
        inner = block.expanded(in_channels)
        self.residual = block.has_residual(in_channels)
        self.expand = conv(
            in_channels, inner, kernel=block.kernel, stride=block.stride, activation=block.activation
        )
        self.squeeze_excite = _gate(block, in_channels)
        self.project = (
            conv(inner, block.channels, activation=None) if block.expand_ratio != 1 else nn.Identity()
        )
        self.drop_path = DropPath(drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        out = self.project(self.squeeze_excite(self.expand(x)))
        return self.drop_path(out) + x if self.residual else cast(Tensor, out)


class CellBlock(nn.Module):
    """The module of an `arch.Cell`: its nodes, one after the other.

    Shape:
        [N, in_channels, H, W], and for cells that read it the input of the block before -> as `Cell.after` says

    Example:
        >>> from allometry.arch import BatchNorm, Bottleneck, Shape
        >>> cell = Bottleneck(channels=64, stride=2).cell(16)
        >>> block = CellBlock(
        ...     cell, Shape(16, 8), Shape(16, 8), drop_rate=0.0, batch_norm=BatchNorm(), padding="symmetric"
        ... )
        >>> block(torch.zeros(1, 16, 8, 8)).shape
        torch.Size([1, 64, 4, 4])
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
        self.reads_skip, self.passes_skip = cell.reads_skip, passes_skip(cell)
        self.branch = _BRANCHES.get(cell.label, "")  # where a residual branch ends; unknown of other graphs
        self.wiring = [(node.name, node.inputs, node.join) for node in cell.nodes]
        self.nodes = nn.ModuleDict()
        make = partial(_layer, drop_rate=drop_rate, batch_norm=batch_norm, padding=padding)
        shapes = cell.shapes(source, skip, padding)
        for node in cell.nodes:
            shape = node.joined([shapes[name] for name in node.inputs])
            layers: list[nn.Module] = []
            for layer in node.layers:
                layers.append(make(layer, shape.channels))
                shape = layer.after(shape, padding)
            self.nodes[node.name] = nn.Sequential(*layers)

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        """Apply the nodes in their order."""
        outputs: dict[str, Tensor] = {INPUT: x}
        if skip is not None:
            outputs[SKIP] = skip
        for name, inputs, join in self.wiring:
            given = [outputs[source] for source in inputs]
            joined = reduce(torch.add, given) if join == "add" else torch.cat(given, 1)
            x = outputs[name] = self.nodes[name](joined)
        return x


def make_block(placed: PlacedBlock, *, batch_norm: BatchNorm, padding: Padding) -> nn.Module:
    """The module of a block in its place."""
    block: Block = placed.block
    in_channels = placed.source.channels
    if isinstance(block, MBConv):
        return MBConvBlock(
            block, in_channels, drop_rate=placed.drop_rate, batch_norm=batch_norm, padding=padding
        )
    if isinstance(block, FusedMBConv):
        return FusedMBConvBlock(
            block, in_channels, drop_rate=placed.drop_rate, batch_norm=batch_norm, padding=padding
        )
    cell = block if isinstance(block, Cell) else block.cell(in_channels)
    return CellBlock(
        cell,
        placed.source,
        placed.skip,
        drop_rate=placed.drop_rate,
        batch_norm=batch_norm,
        padding=padding,
    )


def last_norm(block: nn.Module) -> nn.BatchNorm2d | None:
    """The batch norm at the end of a block's residual branch; None where there is no such branch."""
    end: nn.Module | None = None
    if isinstance(block, MBConvBlock) and block.residual:
        end = block.project
    elif isinstance(block, FusedMBConvBlock) and block.residual:
        end = block.expand if isinstance(block.project, nn.Identity) else block.project
    elif isinstance(block, CellBlock) and block.branch in block.nodes:
        end = cast(nn.Sequential, block.nodes[block.branch])[0]
    if end is None:
        return None
    norm = cast(nn.Sequential, end)[1]
    assert isinstance(norm, nn.BatchNorm2d)  # noqa: S101
    return norm


def _gate(block: MBConv | FusedMBConv, in_channels: int) -> nn.Module:
    squeezed = block.squeezed(in_channels)
    if not squeezed:
        return nn.Identity()
    activation = block.gate.activation or block.activation
    return SqueezeExcite(
        block.expanded(in_channels), squeezed, activation=activation, function=block.gate.function
    )


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
