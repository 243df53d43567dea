"""Exact counts of a network's parameters, multiply-accumulates, activations and memory, in plain integers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from allometry.arch import (
    Block,
    FusedMBConv,
    Head,
    MBConv,
    Network,
    Padding,
    Piece,
    RegularBlock,
    Shape,
    Stem,
    graph_of,
    strided,
)
from allometry.cost.part_counts import (
    PartCounts,
    count_cell,
    count_fused,
    count_head,
    count_mbconv,
    count_stem,
)

# The blocks of which searches count millions, as formulas; tests hold them against the graphs of the same blocks.
_CLOSED_FORMS: dict[type[Block], Callable[[Any, int, Shape, Shape], PartCounts]] = {
    MBConv: count_mbconv,
    FusedMBConv: count_fused,
}
FLOAT_BYTES = 4


class Cost(NamedTuple):
    """What a network, or part of one, costs for one image.

    Attributes:
        params: trainable parameters (batch norm's moving statistics are not among them).
        macs: multiply-accumulates of convolutions and linear layers; `flops = 2 * macs`.
        activations: elements of all convolution outputs.
        memory: bytes that inference needs in float32 for one image: parameters, batch norm's statistics, and
            the most feature-map elements alive at one time. Where a device was asked, what its runtime took.
        latency: seconds of a run on a device, where one was asked.

    Example:
        >>> from allometry.catalog import get
        >>> count(get("efficientnet-b0"))
        Cost(params=5288548, macs=385814752, activations=6747036, memory=27343376)
    """

    params: int
    macs: int
    activations: int
    memory: int
    latency: float | None = None

    def __repr__(self) -> str:
        return f"Cost({', '.join(f'{name}={value!r}' for name, value in self.to_dict().items())})"

    def to_dict(self) -> dict[str, Any]:
        """What is known, as JSON-ready values."""
        return {name: value for name, value in self._asdict().items() if value is not None}


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

    Example:
        >>> from allometry.catalog import get
        >>> count_stages(get("efficientnet-b0"))[0]
        StageCost(name='stem', layer='conv 3x3 /2', in_size=224, channels=32, repeats=1, params=928, ...)
    """

    name: str
    layer: str
    in_size: int
    channels: int
    repeats: int
    params: int
    macs: int
    activations: int


def count(network: Network) -> Cost:
    """Count what `network` costs at its own resolution; exact, and without torch.

    Memory follows the usual inference schedule: batch norm is folded or in place, so are activations and the
    residual addition; a layer needs its input and its output, and a block with a residual connection keeps
    its input until the end. In a cell a tensor goes as soon as nobody reads it any more.

    Source: the counting rules of Radosavovic et al. 2020 (params, MACs, activations together).

    Example:
        >>> from allometry.catalog import get
        >>> cost = count(get("efficientnet-b7"))
        >>> cost.params, cost.macs
        (66347960, 37745884192)
    """
    params = statistics = macs = activations = live = 0
    for _, repeats, part, _, _ in _parts(network):
        params += repeats * part.params
        statistics += repeats * part.statistics
        macs += repeats * part.macs
        activations += repeats * part.activations
        live = max(live, part.live)
    return Cost(params, macs, activations, FLOAT_BYTES * (params + statistics + live))


def count_piece(piece: Piece, padding: Padding) -> PartCounts:
    """Exact counts of one stem, block or head in its place; their sums, and the largest `live`, are a network's.

    A cell counts as if the one after it did not read what it read itself; such cells have no `live` of their own.

    Example:
        >>> from allometry.arch import pieces
        >>> from allometry.catalog import get
        >>> b0 = get("efficientnet-b0")
        >>> sum(count_piece(piece, b0.padding).macs for piece in pieces(b0)) == count(b0).macs
        True
    """
    part, source = piece.part, piece.source
    if isinstance(part, Stem):
        return count_stem(part, source, padding)
    if isinstance(part, Head):
        return count_head(part, source)
    skip = piece.skip or source
    out = part.after(source, skip, padding)
    if isinstance(part, RegularBlock):
        return _block(part, part.stride, source, out, padding)
    return count_cell(graph_of(part, source.channels), source, skip, padding, keeps_skip=False)


def count_stages(network: Network) -> tuple[StageCost, ...]:
    """The same counts line by line: stem, stages, head. Their sums are `count`'s figures.

    Example:
        >>> from allometry.catalog import get
        >>> lines = count_stages(get("efficientnet-b0"))
        >>> lines[2].name, lines[2].layer, lines[2].repeats
        ('stage 2', 'MBConv6 3x3 /2, SE', 2)
        >>> sum(line.params for line in lines)
        5288548
    """
    parts = list(_parts(network))
    stem, head = network.stem, network.head
    rows = [_row("stem", _stem_name(stem), network.resolution, stem.channels, 1, parts[:1])]
    for number, stage in enumerate(network.stages):
        pieces = [piece for piece in parts if piece.stage == number]
        size, channels = pieces[0].source.size, pieces[-1].out.channels
        rows.append(_row(f"stage {number + 1}", stage.block.label, size, channels, stage.repeats, pieces))
    last = parts[-1].source
    rows.append(_row("head", _head_name(head), last.size, head.channels or last.channels, 1, parts[-1:]))
    return tuple(rows)


class _Piece(NamedTuple):
    """A part of the network in its place, with the number of parts that are alike."""

    stage: int
    repeats: int
    part: PartCounts
    source: Shape
    out: Shape


def _row(name: str, layer: str, size: int, channels: int, repeats: int, pieces: list[_Piece]) -> StageCost:
    sums = (sum(piece.repeats * piece.part[place] for piece in pieces) for place in (0, 2, 3))
    return StageCost(name, layer, size, channels, repeats, *sums)


def _parts(network: Network) -> Iterator[_Piece]:
    """Stem, blocks and head; repetitions that are alike are one piece."""
    stem, padding = network.stem, network.padding
    source = Shape(stem.channels, stem.out_size(network.resolution, padding))
    skip = source
    yield _Piece(
        -1, 1, count_stem(stem, Shape(network.in_channels, network.resolution), padding), source, source
    )
    stages = network.stages
    for number, stage in enumerate(stages):
        block, left = stage.block, stage.repeats
        if not isinstance(block, RegularBlock):
            following = stages[number + 1].block if number + 1 < len(stages) else None
            for repeat in range(left):
                after = block if repeat + 1 < left else following
                keeps = after is not None and after.reads_skip
                out = block.after(source, skip, padding)
                cell = graph_of(block, source.channels)
                part = count_cell(cell, source, skip, padding, keeps_skip=keeps)
                yield _Piece(number, 1, part, source, out)
                source, skip = out, skip if block.passes_skip else source
            continue
        stride = block.stride
        while left:
            # Not `block.following()`: the search counts millions of networks, and this is its inner loop.
            out = Shape(block.channels, strided(source.size, stride))
            # From the second repetition on all are alike, and from the first where it changes no shape.
            alike = left if stride == 1 and out == source else 1
            yield _Piece(number, alike, _block(block, stride, source, out, padding), source, out)
            source, skip, left, stride = out, source, left - alike, 1
    yield _Piece(len(stages), 1, count_head(network.head, source), source, source)


def _block(block: RegularBlock, stride: int, source: Shape, out: Shape, padding: Padding) -> PartCounts:
    closed_form = _CLOSED_FORMS.get(type(block))
    if closed_form is not None:
        return closed_form(block, stride, source, out)
    cell = graph_of(block if stride == block.stride else block.following(), source.channels)
    return count_cell(cell, source, source, padding, keeps_skip=False)


def _stem_name(stem: Stem) -> str:
    stride = f" /{stem.stride}" if stem.stride > 1 else ""
    pool = f", max pool {stem.pool}x{stem.pool} /2" if stem.pool else ""
    return f"conv {stem.kernel}x{stem.kernel}{stride}{pool}"


def _head_name(head: Head) -> str:
    conv = "conv 1x1, " if head.channels else ""
    hidden = f"linear {head.hidden}, " if head.hidden else ""
    return f"{conv}pool, {hidden}linear to {head.classes}"
