"""Exact counts of a network's parameters, multiply-accumulates, activations and memory, in plain integers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from allometry.arch import (
    Head,
    ModuleMember,
    Network,
    Padding,
    Piece,
    RegularBlock,
    Stem,
    check_features_only,
    graph_of,
)
from allometry.arch.any_space import AnyMember
from allometry.cost.cost import Cost
from allometry.cost.part_counts import PartCounts, count_cell, count_head, count_stem
from allometry.cost.parts import PlacedPart, count_regular, feature_parts, placed_parts

FLOAT_BYTES = 4


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


def count(
    network: AnyMember, *, features_only: bool = False, out_indices: Sequence[int] | None = None
) -> Cost:
    """Count what `network` costs at its own resolution; exact, and without torch.

    Memory follows the usual inference schedule: batch norm is folded or in place, so are activations and the
    residual addition; a layer needs its input and its output, and a block with a residual connection keeps
    its input until the end. In a cell a tensor goes as soon as nobody reads it any more. The feature maps that a
    backbone gives stay alive until its end.

    Args:
        network: what to count; of a torch module there are parameters and MACs only.
        features_only: as a backbone, without its head, as `build(network, features_only=True)` makes it.
        out_indices: which feature maps the backbone gives, see `feature_maps`; what is behind the last is not there.

    Raises:
        InputError: there is no such feature map, or `out_indices` is given without `features_only`.

    Source: the counting rules of Radosavovic et al. 2020 (params, MACs, activations together).

    Example:
        >>> from allometry.catalog import get
        >>> cost = count(get("efficientnet-b7"))
        >>> cost.params, cost.macs
        (66347960, 37745884192)
        >>> count(get("efficientnet-b7"), features_only=True).params
        62143440
    """
    check_features_only(features_only, out_indices)
    if isinstance(network, ModuleMember):
        return Cost(network.params, network.macs, 0, 0)
    parts = feature_parts(network, out_indices) if features_only else placed_parts(network)
    params = statistics = macs = activations = live = 0
    for placed in parts:
        repeats, part = placed.repeats, placed.counts
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
        return count_regular(part, part.stride, source, out, padding)
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
    parts = list(placed_parts(network))
    stem, head = network.stem, network.head
    rows = [_row("stem", _stem_name(stem), network.resolution, stem.channels, 1, parts[:1])]
    for number, stage in enumerate(network.stages):
        pieces = [piece for piece in parts if piece.stage == number]
        size, channels = pieces[0].source.size, pieces[-1].out.channels
        rows.append(_row(f"stage {number + 1}", stage.block.label, size, channels, stage.repeats, pieces))
    last = parts[-1].source
    rows.append(_row("head", _head_name(head), last.size, head.channels or last.channels, 1, parts[-1:]))
    return tuple(rows)


def _row(
    name: str, layer: str, size: int, channels: int, repeats: int, pieces: list[PlacedPart]
) -> StageCost:
    sums = (sum(piece.repeats * piece.counts[place] for piece in pieces) for place in (0, 2, 3))
    return StageCost(name, layer, size, channels, repeats, *sums)


def _stem_name(stem: Stem) -> str:
    stride = f" /{stem.stride}" if stem.stride > 1 else ""
    pool = f", max pool {stem.pool}x{stem.pool} /2" if stem.pool else ""
    return f"conv {stem.kernel}x{stem.kernel}{stride}{pool}"


def _head_name(head: Head) -> str:
    conv = "conv 1x1, " if head.channels else ""
    hidden = f"linear {head.hidden}, " if head.hidden else ""
    return f"{conv}pool, {hidden}linear to {head.classes}"
