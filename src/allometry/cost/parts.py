"""Counts of one part of a network in closed form: stem, inverted bottlenecks, head."""

from __future__ import annotations

from typing import NamedTuple

from allometry.arch import FusedMBConv, Head, MBConv, Padding, Shape, Stem, conv_output_size


class Part(NamedTuple):
    """Counts of one layer or block. `live` is the most feature-map elements alive while it runs."""

    params: int
    statistics: int
    macs: int
    activations: int
    live: int


def count_stem(stem: Stem, image: Shape, padding: Padding) -> Part:
    """The first convolution and its pool."""
    size = stem.convolved(image.size, padding)
    weights = stem.kernel**2 * image.channels * stem.channels
    pixels, out = image.channels * image.size**2, stem.channels * size**2
    pooled = stem.channels * conv_output_size(size, stem.pool, 2, padding) ** 2 if stem.pool else 0
    return Part(
        params=weights + 2 * stem.channels,
        statistics=2 * stem.channels,
        macs=weights * size**2,
        activations=out,
        live=max(pixels + out, out + pooled),
    )


def count_mbconv(block: MBConv, stride: int, source: Shape, out: Shape) -> Part:
    """The inverted bottleneck with a depthwise convolution of this stride."""
    in_channels, size = source
    out_channels, out_size = out
    inner = block.expanded(in_channels)
    squeezed = block.gate.squeezed(block.se_ratio, in_channels, inner) if block.se_ratio else 0
    expands, groups = block.expand_ratio != 1, block.groups
    area, out_area = size * size, out_size * out_size

    expansion = in_channels * inner // groups if expands else 0
    depthwise = block.kernel * block.kernel * inner
    gate = 2 * inner * squeezed
    projection = inner * out_channels // groups
    normed = (2 if expands else 1) * inner + out_channels
    gate_biases = inner + squeezed if squeezed else 0
    return Part(
        expansion + depthwise + gate + gate_biases + projection + 2 * normed,
        2 * normed,
        expansion * area + (depthwise + projection) * out_area + gate,
        (inner * area if expands else 0) + (inner + out_channels) * out_area + gate_biases,
        _live_in_mbconv(
            image=in_channels * area,
            wide=inner * area if expands else 0,
            deep=inner * out_area,
            gates=gate_biases,
            out=out_channels * out_area,
            residual=stride == 1 and in_channels == out_channels,
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


def count_fused(block: FusedMBConv, stride: int, source: Shape, out: Shape) -> Part:
    """The inverted bottleneck with one dense convolution of this stride in the place of two."""
    in_channels, size = source
    out_channels, out_size = out
    inner = block.expanded(in_channels)
    squeezed = block.gate.squeezed(block.se_ratio, in_channels, inner) if block.se_ratio else 0
    projects = block.expand_ratio != 1
    area, out_area = size * size, out_size * out_size

    expansion = block.kernel * block.kernel * in_channels * inner
    gate = 2 * inner * squeezed
    projection = inner * out_channels if projects else 0
    normed = inner + (out_channels if projects else 0)
    gate_biases = inner + squeezed if squeezed else 0
    image, deep = in_channels * area, inner * out_area
    kept = image if stride == 1 and in_channels == out_channels else 0
    projected = out_channels * out_area if projects else 0
    return Part(
        expansion + gate + gate_biases + projection + 2 * normed,
        2 * normed,
        (expansion + projection) * out_area + gate,
        normed * out_area + gate_biases,
        max(image + deep, kept + deep + gate_biases, kept + deep + projected),
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
