"""Counts of the parts of a network in closed form: stem, blocks, cells, head."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from allometry.arch import (
    INPUT,
    SKIP,
    Cell,
    Conv,
    Depthwise,
    FusedMBConv,
    Head,
    Layer,
    MBConv,
    Node,
    Norm,
    Padding,
    Pool,
    RowColumn,
    Shape,
    Shift,
    SqueezeExcite,
    Stem,
    conv_output_size,
)

_MAKES_NEW = (Conv, RowColumn, Depthwise, Pool, Shift)  # the other layers work in place


class PartCounts(NamedTuple):
    """Counts of one layer or block. `live` is the most feature-map elements alive while it runs."""

    params: int
    statistics: int
    macs: int
    activations: int
    live: int


def count_stem(stem: Stem, image: Shape, padding: Padding) -> PartCounts:
    """The first convolution and its pool."""
    size = stem.convolved(image.size, padding)
    weights = stem.kernel**2 * image.channels * stem.channels
    pixels, out = image.channels * image.size**2, stem.channels * size**2
    pooled = stem.channels * conv_output_size(size, stem.pool, 2, padding) ** 2 if stem.pool else 0
    return PartCounts(
        params=weights + 2 * stem.channels,
        statistics=2 * stem.channels,
        macs=weights * size**2,
        activations=out,
        live=max(pixels + out, out + pooled),
    )


def count_mbconv(block: MBConv, stride: int, source: Shape, out: Shape) -> PartCounts:
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
    return PartCounts(
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
            residual=stride == 1 and in_channels == out_channels and block.shortcut == "identity",
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


def count_fused(block: FusedMBConv, stride: int, source: Shape, out: Shape) -> PartCounts:
    """The inverted bottleneck with one dense convolution of this stride in the place of two."""
    in_channels, size = source
    out_channels, out_size = out
    inner = block.expanded(in_channels)
    squeezed = block.gate.squeezed(block.se_ratio, in_channels, inner) if block.se_ratio else 0
    projects = block.expand_ratio != 1
    wide = inner if projects else out_channels
    area, out_area = size * size, out_size * out_size

    expansion = block.kernel * block.kernel * in_channels * wide
    gate = 2 * inner * squeezed
    projection = inner * out_channels if projects else 0
    normed = wide + (out_channels if projects else 0)
    gate_biases = inner + squeezed if squeezed else 0
    image, deep = in_channels * area, wide * out_area
    kept = image if stride == 1 and in_channels == out_channels and block.shortcut == "identity" else 0
    projected = out_channels * out_area if projects else 0
    if squeezed and not projects:  # the excited image is another one, unless nothing reads the first any more
        live = max(kept + image + gate_biases, kept + image + deep)
    else:
        live = max(image + deep, kept + deep + gate_biases, kept + deep + projected)
    return PartCounts(
        expansion + gate + gate_biases + projection + 2 * normed,
        2 * normed,
        (expansion + projection) * out_area + gate,
        normed * out_area + gate_biases,
        live,
    )


def count_head(head: Head, source: Shape) -> PartCounts:
    """The last convolution, the pool, the hidden layer and the classifier, as far as they are there."""
    area = source.size**2
    pooled = head.channels or source.channels
    weights = source.channels * pooled if head.channels else 0
    normed = pooled if head.channels else 0
    hidden = pooled * head.hidden if head.hidden else 0
    hidden_bias = head.hidden if head.hidden and head.hidden_bias else 0
    hidden_norm = 2 * head.hidden if head.hidden and head.hidden_norm else 0
    features = head.features(source.channels)
    linear = features * head.classes
    convolution = (source.channels + pooled) * area if head.channels else 0
    return PartCounts(
        params=weights + 2 * normed + hidden + hidden_bias + hidden_norm + linear + head.classes,
        statistics=2 * normed + hidden_norm,
        macs=weights * area + hidden + linear,
        activations=normed * area,
        live=max(convolution, pooled * area + pooled, pooled + features, features + head.classes),
    )


@lru_cache(maxsize=4096)
def count_cell(
    cell: Cell,
    source: Shape,
    skip: Shape,
    padding: Padding,
    *,
    keeps_skip: bool,
    kept: frozenset[str] = frozenset(),
) -> PartCounts:
    """The counts of a cell in its place.

    Args:
        cell: what to count.
        source: shape of its input.
        skip: shape of the input of the block before.
        padding: the network's.
        keeps_skip: the next block reads what this one passes on, which so stays alive.
        kept: those of the cell's inputs that stay alive, because a backbone gives them.
    """
    shapes = cell.shapes(source, skip, padding)
    params = statistics = macs = activations = 0
    for node in cell.nodes:
        shape = node.joined([shapes[name] for name in node.inputs])
        for layer in node.layers:
            out = layer.after(shape, padding)
            part = _layer(layer, shape, out)
            params, statistics = params + part.params, statistics + part.statistics
            macs, activations = macs + part.macs, activations + part.activations
            shape = out
    kept |= {cell.passes} if keeps_skip else set()
    return PartCounts(params, statistics, macs, activations, _live(cell, shapes, padding, kept))


def _layer(layer: Layer, shape: Shape, out: Shape) -> PartCounts:
    area = out.size**2
    match layer:
        case Conv():
            height, width = layer.sides
            weights = height * width * shape.channels * out.channels // layer.groups
            norm = 2 * out.channels if layer.norm else 0
            bias = out.channels if layer.bias else 0
            return PartCounts(weights + norm + bias, norm, weights * area, out.elements, 0)
        case RowColumn():
            row, column = (layer.kernel * given * out.channels for given in (shape.channels, out.channels))
            norm = 4 * out.channels
            half = out.size * shape.size  # pixels between the two
            macs = row * half + column * area
            return PartCounts(row + column + norm, norm, macs, out.channels * half + out.elements, 0)
        case Depthwise():
            weights = layer.kernel**2 * out.channels
            norm = 2 * out.channels if layer.norm else 0
            return PartCounts(weights + norm, norm, weights * area, out.elements, 0)
        case Norm():
            return PartCounts(2 * shape.channels, 2 * shape.channels, 0, 0, 0)
        case SqueezeExcite():
            vectors = shape.channels + layer.squeezed(shape.channels)
            weights = 2 * shape.channels * layer.squeezed(shape.channels)
            return PartCounts(weights + vectors, 0, weights, vectors, 0)
        case _:
            return PartCounts(0, 0, 0, 0, 0)


def _live(cell: Cell, shapes: dict[str, Shape], padding: Padding, kept: frozenset[str]) -> int:
    """Most elements alive at once, where a tensor goes as soon as nobody reads it any more."""
    last = {name: place for place, node in enumerate(cell.nodes) for name in node.inputs}
    last[cell.nodes[-1].name] = len(cell.nodes)
    last |= dict.fromkeys(kept, len(cell.nodes))
    alive = {INPUT: shapes[INPUT].elements}
    if cell.reads_skip or SKIP in last:
        alive[SKIP] = shapes[SKIP].elements
    peak = sum(alive.values())
    for place, node in enumerate(cell.nodes):
        ending = {name for name in node.inputs if last[name] == place}
        peak = max(peak, _live_in_node(node, shapes, padding, alive, ending))
        alive = {name: elements for name, elements in alive.items() if name not in ending}
        alive[node.name] = shapes[node.name].elements
    return peak


def _live_in_node(
    node: Node, shapes: dict[str, Shape], padding: Padding, alive: dict[str, int], ending: set[str]
) -> int:
    live, operands = sum(alive.values()), sum(alive[name] for name in ending)
    shape = node.joined([shapes[name] for name in node.inputs])
    peak, own = live, 0  # elements of the tensor that the node works on, once it has one of its own
    if len(node.inputs) > 1:
        # A sum goes into an operand that is not read again; a concatenation needs a place of its own.
        in_place = node.join == "add" and bool(ending)
        peak = live + (0 if in_place else shape.elements)
        live, own = live - operands, shape.elements
    elif ending:
        live, own = live - operands, shape.elements
    for layer in node.layers:
        out = layer.after(shape, padding)
        extra = 0
        if isinstance(layer, SqueezeExcite):
            extra = shape.channels + layer.squeezed(shape.channels)
        elif isinstance(layer, RowColumn):  # its input is gone when the second convolution runs
            half = out.channels * out.size * shape.size
            extra = max(half - out.elements, half - shape.elements)
        if isinstance(layer, _MAKES_NEW) or not own:
            peak = max(peak, live + own + out.elements + extra)
            own = out.elements
        else:
            peak = max(peak, live + own + extra)
        shape = out
    return max(peak, live + own)
