"""Exact counts of a network's parameters, multiply-accumulates, activations and memory, in plain integers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from allometry.arch import MBConv, Network, strided

FLOAT_BYTES = 4


class Cost(NamedTuple):
    """What a network, or part of one, costs for one image.

    Attributes:
        params: trainable parameters (batch norm's moving statistics are not among them).
        macs: multiply-accumulates of convolutions and linear layers; `flops = 2 * macs`.
        activations: elements of all convolution outputs.
        memory: bytes that inference needs in float32 for one image: parameters, batch norm's statistics, and
            the most feature-map elements alive at one time.

    Example:
        >>> from allometry.zoo import get
        >>> count(get("efficientnet-b0"))
        Cost(params=5288548, macs=385814752, activations=6747036, memory=27343376)
    """

    params: int
    macs: int
    activations: int
    memory: int


class StageCost(NamedTuple):
    """The cost of one line of the stage table: stem, a stage, or head.

    Attributes:
        name: `stem`, `stage 1`, ..., `head`.
        layer: the layer or repeated block, readable.
        in_size: side of its input in pixels.
        channels: output channels.
        repeats: number of blocks; 1 for stem and head.
        params: as in `Cost`.
        macs: as in `Cost`.
        activations: as in `Cost`.
    """

    name: str
    layer: str
    in_size: int
    channels: int
    repeats: int
    params: int
    macs: int
    activations: int


class _Part(NamedTuple):
    """Counts of one layer or block. `live` is the most feature-map elements alive while it runs."""

    params: int
    statistics: int
    macs: int
    activations: int
    live: int


def count(network: Network) -> Cost:
    """Count what `network` costs at its own resolution; exact, and without torch.

    Memory follows the usual inference schedule: batch norm is folded or in place, so are activations and the
    residual addition; a layer needs its input and its output, and a block with a residual connection keeps
    its input until the end.

    Source: the counting rules of Radosavovic et al. 2020 (params, MACs, activations together).

    Example:
        >>> from allometry.zoo import get
        >>> cost = count(get("efficientnet-b7"))
        >>> cost.params, cost.macs
        (66347960, 37745884192)
    """
    params = statistics = macs = activations = live = 0
    for repeats, part in _parts(network):
        params += repeats * part.params
        statistics += repeats * part.statistics
        macs += repeats * part.macs
        activations += repeats * part.activations
        live = max(live, part.live)
    return Cost(params, macs, activations, FLOAT_BYTES * (params + statistics + live))


def count_stages(network: Network) -> tuple[StageCost, ...]:
    """The same counts line by line: stem, stages, head. Their sums are `count`'s figures.

    Example:
        >>> from allometry.zoo import get
        >>> lines = count_stages(get("efficientnet-b0"))
        >>> lines[2].name, lines[2].layer, lines[2].repeats
        ('stage 2', 'MBConv6 3x3 /2, SE', 2)
        >>> sum(line.params for line in lines)
        5288548
    """
    rows: list[StageCost] = []
    parts = list(_parts(network))
    stem, head = parts[0][1], parts[-1][1]
    kernel, stride = network.stem.kernel, network.stem.stride
    rows.append(
        StageCost(
            "stem",
            f"conv {kernel}x{kernel} /{stride}" if stride > 1 else f"conv {kernel}x{kernel}",
            network.resolution,
            network.stem.channels,
            1,
            stem.params,
            stem.macs,
            stem.activations,
        )
    )
    size, index = strided(network.resolution, stride), 1
    for number, stage in enumerate(network.stages, start=1):
        pieces = parts[index : index + (1 if stage.repeats == 1 else 2)]
        index += len(pieces)
        rows.append(
            StageCost(
                f"stage {number}",
                _layer_name(stage.block),
                size,
                stage.block.channels,
                stage.repeats,
                sum(repeats * part.params for repeats, part in pieces),
                sum(repeats * part.macs for repeats, part in pieces),
                sum(repeats * part.activations for repeats, part in pieces),
            )
        )
        size = strided(size, stage.block.stride)
    name = f"conv 1x1, pool, linear to {network.head.classes}"
    rows.append(
        StageCost("head", name, size, network.head.channels, 1, head.params, head.macs, head.activations)
    )
    return tuple(rows)


def _parts(network: Network) -> Iterator[tuple[int, _Part]]:
    """Stem, first block of each stage, its other blocks (alike, so counted once), head; each with its number."""
    stem = network.stem
    size = strided(network.resolution, stem.stride)
    weights = stem.kernel**2 * network.in_channels * stem.channels
    out = stem.channels * size**2
    image = network.in_channels * network.resolution**2
    yield (
        1,
        _Part(weights + 2 * stem.channels, 2 * stem.channels, weights * size**2, out, image + out),
    )
    channels = stem.channels
    for stage in network.stages:
        block = stage.block
        yield 1, _mbconv(block, channels, size, block.stride)
        size, channels = strided(size, block.stride), block.channels
        if stage.repeats > 1:
            yield stage.repeats - 1, _mbconv(block, channels, size, 1)
    yield 1, _head(network, channels, size)


def _mbconv(block: MBConv, in_channels: int, size: int, stride: int) -> _Part:
    out_channels, kernel, inner = block.channels, block.kernel, block.expanded(in_channels)
    squeezed, expands = block.squeezed(in_channels), block.expand_ratio != 1
    out_size = strided(size, stride)
    area, out_area = size * size, out_size * out_size
    residual = stride == 1 and in_channels == out_channels

    expansion = in_channels * inner if expands else 0
    depthwise = kernel * kernel * inner
    gate = 2 * inner * squeezed
    projection = inner * out_channels
    normed = (2 if expands else 1) * inner + out_channels
    gate_biases = inner + squeezed if squeezed else 0
    return _Part(
        params=expansion + depthwise + gate + gate_biases + projection + 2 * normed,
        statistics=2 * normed,
        macs=expansion * area + (depthwise + projection) * out_area + gate,
        activations=(inner * area if expands else 0) + (inner + out_channels) * out_area + gate_biases,
        live=_live_in_mbconv(
            image=in_channels * area,
            wide=inner * area if expands else 0,
            deep=inner * out_area,
            gates=gate_biases,
            out=out_channels * out_area,
            residual=residual,
        ),
    )


def _live_in_mbconv(*, image: int, wide: int, deep: int, gates: int, out: int, residual: bool) -> int:
    """Most elements alive at once, from the sizes of the block's tensors in the order of their making."""
    kept = image if residual else 0
    expansion = image + wide
    depthwise = kept + wide + deep if wide else image + deep
    # Pooled and squeezed vector, then squeezed vector and gate: as many as the gate has biases.
    excitation = kept + deep + gates
    projection = kept + deep + out
    return max(expansion, depthwise, excitation, projection)


def _head(network: Network, in_channels: int, size: int) -> _Part:
    channels, classes = network.head.channels, network.head.classes
    area = size * size
    weights = in_channels * channels
    linear = channels * classes
    return _Part(
        params=weights + 2 * channels + linear + classes,
        statistics=2 * channels,
        macs=weights * area + linear,
        activations=channels * area,
        live=max((in_channels + channels) * area, channels * area + channels, channels + classes),
    )


def _layer_name(block: MBConv) -> str:
    stride = f" /{block.stride}" if block.stride > 1 else ""
    se = ", SE" if block.se_ratio else ""
    return f"MBConv{block.expand_ratio:g} {block.kernel}x{block.kernel}{stride}{se}"
