"""Counts of a cell: of each layer of each node, and of the tensors that are alive together."""

from __future__ import annotations

from functools import lru_cache

from allometry.arch import (
    INPUT,
    SKIP,
    Cell,
    Conv,
    Depthwise,
    Layer,
    Node,
    Norm,
    Padding,
    Pool,
    RowColumn,
    Shape,
    Shift,
    SqueezeExcite,
)
from allometry.cost.parts import Part

_MAKES_NEW = (Conv, RowColumn, Depthwise, Pool, Shift)  # the other layers work in place


@lru_cache(maxsize=4096)
def count_cell(cell: Cell, source: Shape, skip: Shape, padding: Padding, *, keeps_skip: bool) -> Part:
    """The counts of a cell in its place.

    Args:
        cell: what to count.
        source: shape of its input.
        skip: shape of the input of the block before.
        padding: the network's.
        keeps_skip: the next block reads what this one passes on, which so stays alive.
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
    return Part(params, statistics, macs, activations, _live(cell, shapes, padding, keeps_skip))


def _layer(layer: Layer, shape: Shape, out: Shape) -> Part:
    area = out.size**2
    match layer:
        case Conv():
            height, width = layer.sides
            weights = height * width * shape.channels * out.channels // layer.groups
            norm = 2 * out.channels if layer.norm else 0
            bias = out.channels if layer.bias else 0
            return Part(weights + norm + bias, norm, weights * area, out.elements, 0)
        case RowColumn():
            row, column = (layer.kernel * given * out.channels for given in (shape.channels, out.channels))
            norm = 4 * out.channels
            half = out.size * shape.size  # pixels between the two
            macs = row * half + column * area
            return Part(row + column + norm, norm, macs, out.channels * half + out.elements, 0)
        case Depthwise():
            weights = layer.kernel**2 * out.channels
            norm = 2 * out.channels if layer.norm else 0
            return Part(weights + norm, norm, weights * area, out.elements, 0)
        case Norm():
            return Part(2 * shape.channels, 2 * shape.channels, 0, 0, 0)
        case SqueezeExcite():
            vectors = shape.channels + layer.squeezed(shape.channels)
            weights = 2 * shape.channels * layer.squeezed(shape.channels)
            return Part(weights + vectors, 0, weights, vectors, 0)
        case _:
            return Part(0, 0, 0, 0, 0)


def _live(cell: Cell, shapes: dict[str, Shape], padding: Padding, keeps_skip: bool) -> int:
    """Most elements alive at once, where a tensor goes as soon as nobody reads it any more."""
    last = {name: place for place, node in enumerate(cell.nodes) for name in node.inputs}
    last[cell.nodes[-1].name] = len(cell.nodes)
    if keeps_skip:
        last[cell.passes] = len(cell.nodes)
    alive = {INPUT: shapes[INPUT].elements}
    if cell.reads_skip or SKIP in last:
        alive[SKIP] = shapes[SKIP].elements
    most = sum(alive.values())
    for place, node in enumerate(cell.nodes):
        ending = {name for name in node.inputs if last[name] == place}
        most = max(most, _live_in_node(node, shapes, padding, alive, ending))
        alive = {name: elements for name, elements in alive.items() if name not in ending}
        alive[node.name] = shapes[node.name].elements
    return most


def _live_in_node(
    node: Node, shapes: dict[str, Shape], padding: Padding, alive: dict[str, int], ending: set[str]
) -> int:
    around, operands = sum(alive.values()), sum(alive[name] for name in ending)
    shape = node.joined([shapes[name] for name in node.inputs])
    most, owned = around, 0  # elements of the tensor that the node works on, once it has one of its own
    if len(node.inputs) > 1:
        # A sum goes into an operand that is not read again; a concatenation needs a place of its own.
        in_place = node.join == "add" and bool(ending)
        most = around + (0 if in_place else shape.elements)
        around, owned = around - operands, shape.elements
    elif ending:
        around, owned = around - operands, shape.elements
    for layer in node.layers:
        out = layer.after(shape, padding)
        extra = 0
        if isinstance(layer, SqueezeExcite):
            extra = shape.channels + layer.squeezed(shape.channels)
        elif isinstance(layer, RowColumn):  # its input is gone when the second convolution runs
            half = out.channels * out.size * shape.size
            extra = max(half - out.elements, half - shape.elements)
        if isinstance(layer, _MAKES_NEW) or not owned:
            most = max(most, around + owned + out.elements + extra)
            owned = out.elements
        else:
            most = max(most, around + owned + extra)
        shape = out
    return max(most, around + owned)
