"""Counts of one part of a network in closed form: stem, inverted bottlenecks, head."""

from __future__ import annotations

from typing import NamedTuple

from allometry.arch import FusedMBConv, Head, MBConv, Network, Shape, slid


class Part(NamedTuple):
    """Counts of one layer or block. `live` is the most feature-map elements alive while it runs."""

    params: int
    statistics: int
    macs: int
    activations: int
    live: int


def count_stem(network: Network) -> Part:
    """The first convolution and its pool."""
    stem = network.stem
    size = stem.convolved(network.resolution, network.padding)
    weights = stem.kernel**2 * network.in_channels * stem.channels
    image, out = network.in_channels * network.resolution**2, stem.channels * size**2
    pooled = stem.channels * slid(size, stem.pool, 2, network.padding) ** 2 if stem.pool else 0
    return Part(
        params=weights + 2 * stem.channels,
        statistics=2 * stem.channels,
        macs=weights * size**2,
        activations=out,
        live=max(image + out, out + pooled),
    )


def count_mbconv(block: MBConv, source: Shape, out: Shape) -> Part:
    """The inverted bottleneck with a depthwise convolution."""
    inner, squeezed = block.expanded(source.channels), block.squeezed(source.channels)
    expands = block.expand_ratio != 1
    area, out_area = source.size**2, out.size**2

    expansion = source.channels * inner // block.groups if expands else 0
    depthwise = block.kernel * block.kernel * inner
    gate = 2 * inner * squeezed
    projection = inner * out.channels // block.groups
    normed = (2 if expands else 1) * inner + out.channels
    gate_biases = inner + squeezed if squeezed else 0
    return Part(
        params=expansion + depthwise + gate + gate_biases + projection + 2 * normed,
        statistics=2 * normed,
        macs=expansion * area + (depthwise + projection) * out_area + gate,
        activations=(inner * area if expands else 0) + (inner + out.channels) * out_area + gate_biases,
        live=_live_in_mbconv(
            image=source.elements,
            wide=inner * area if expands else 0,
            deep=inner * out_area,
            gates=gate_biases,
            out=out.elements,
            residual=block.has_residual(source.channels),
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


def count_fused(block: FusedMBConv, source: Shape, out: Shape) -> Part:
    """The inverted bottleneck with one dense convolution in the place of two."""
    inner, squeezed = block.expanded(source.channels), block.squeezed(source.channels)
    projects = block.expand_ratio != 1
    out_area = out.size**2

    expansion = block.kernel * block.kernel * source.channels * inner
    gate = 2 * inner * squeezed
    projection = inner * out.channels if projects else 0
    normed = inner + (out.channels if projects else 0)
    gate_biases = inner + squeezed if squeezed else 0
    deep = inner * out_area
    kept = source.elements if block.has_residual(source.channels) else 0
    return Part(
        params=expansion + gate + gate_biases + projection + 2 * normed,
        statistics=2 * normed,
        macs=(expansion + projection) * out_area + gate,
        activations=normed * out_area + gate_biases,
        live=max(
            source.elements + deep,
            kept + deep + gate_biases,
            kept + deep + (out.elements if projects else 0),
        ),
    )


def count_head(head: Head, source: Shape) -> Part:
    """The last convolution, the pool, the hidden layer and the classifier, as far as they are there."""
    area = source.size**2
    pooled = head.channels or source.channels
    weights = source.channels * pooled if head.channels else 0
    normed = pooled if head.channels else 0
    hidden = pooled * head.hidden if head.hidden else 0
    hidden_bias = head.hidden if head.hidden and head.hidden_bias else 0
    features = head.features(source.channels)
    linear = features * head.classes
    convolution = (source.channels + pooled) * area if head.channels else 0
    return Part(
        params=weights + 2 * normed + hidden + hidden_bias + linear + head.classes,
        statistics=2 * normed,
        macs=weights * area + hidden + linear,
        activations=normed * area,
        live=max(convolution, pooled * area + pooled, pooled + features, features + head.classes),
    )
