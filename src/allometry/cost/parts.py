"""The parts of a network in their places, each with its counts; of a backbone, with the feature maps that it keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from allometry.arch import (
    INPUT,
    SKIP,
    Block,
    FusedMBConv,
    MBConv,
    Network,
    Padding,
    RegularBlock,
    Shape,
    feature_maps,
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


class PlacedPart(NamedTuple):
    """A part of the network in its place.

    Attributes:
        stage: index of its stage; -1 for the stem, the number of stages for the head.
        repeats: parts that are alike, one after the other.
        counts: of one of them.
        source: shape of its input; of the stem, of its output.
        out: shape of its output.
        block: the block, with the stride that it has there; None for stem and head.
        skip: shape of the input of the block before.
        keeps_skip: the next block reads what this one passes on.
    """

    stage: int
    repeats: int
    counts: PartCounts
    source: Shape
    out: Shape
    block: Block | None = None
    skip: Shape | None = None
    keeps_skip: bool = False


def placed_parts(network: Network) -> Iterator[PlacedPart]:
    """Stem, blocks and head; repetitions that are alike are one part."""
    stem, padding = network.stem, network.padding
    source = Shape(stem.channels, stem.out_size(network.resolution, padding))
    skip = source
    image = Shape(network.in_channels, network.resolution)
    yield PlacedPart(-1, 1, count_stem(stem, image, padding), source, source)
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
                counts = count_cell(cell, source, skip, padding, keeps_skip=keeps)
                yield PlacedPart(number, 1, counts, source, out, block, skip, keeps)
                source, skip = out, skip if block.passes_skip else source
            continue
        stride = block.stride
        while left:
            # Not `block.following()`: the search counts millions of networks, and this is its inner loop.
            out = Shape(block.channels, strided(source.size, stride))
            # From the second repetition on all are alike, and from the first where it changes no shape.
            alike = left if stride == 1 and out == source else 1
            counts = count_regular(block, stride, source, out, padding)
            yield PlacedPart(number, alike, counts, source, out, block, skip)
            source, skip, left, stride = out, source, left - alike, 1
    yield PlacedPart(len(stages), 1, count_head(network.head, source), source, source)


def count_regular(
    block: RegularBlock, stride: int, source: Shape, out: Shape, padding: Padding
) -> PartCounts:
    """The counts of a block with this stride in its place."""
    closed_form = _CLOSED_FORMS.get(type(block))
    if closed_form is not None and getattr(block, "shortcut", "identity") != "pool":  # which is in no formula
        return closed_form(block, stride, source, out)
    cell = graph_of(block if stride == block.stride else block.following(), source.channels)
    return count_cell(cell, source, source, padding, keeps_skip=False)


def feature_parts(network: Network, out_indices: Sequence[int] | None = None) -> Iterator[PlacedPart]:
    """The parts of a backbone up to its last feature map; the maps that it gives are alive in all parts after them.

    Raises:
        InputError: the network has no such feature map.
    """
    maps = feature_maps(network, out_indices)
    given, end = (
        {(feature_map.stage, feature_map.block) for feature_map in maps},
        (maps[-1].stage, maps[-1].block),
    )
    parts = placed_parts(network)
    yield _stem_of(network, next(parts), pools=end != (-1, 0))
    kept = sum(feature_map.channels * feature_map.size**2 for feature_map in maps if feature_map.stage < 0)
    stage, block = -1, 1 if network.stem.pool else 0  # of the last block so far, or of the stem's end
    # Whether what a part reads is among what the backbone gives.
    keeps_source, keeps_skip = (stage, block) in given, False
    for part in parts:
        if part.block is None or end <= (stage, block):
            return
        block = part.repeats - 1 if part.stage > stage else block + part.repeats
        stage = part.stage
        reads = {INPUT} if keeps_source else set[str]()
        reads |= {SKIP} if keeps_skip and part.block.reads_skip else set()
        yield _kept(part, network.padding, reads, kept, is_last=(stage, block) == end)
        keeps_skip = keeps_skip if part.block.passes_skip else keeps_source and part.repeats == 1
        keeps_source = (stage, block) in given
        kept += part.out.elements if keeps_source else 0


def _stem_of(network: Network, part: PlacedPart, *, pools: bool) -> PlacedPart:
    """The stem of a backbone, which has no pool where it ends before that."""
    if pools or not network.stem.pool:
        return part
    image = Shape(network.in_channels, network.resolution)
    return part._replace(counts=count_stem(replace(network.stem, pool=0), image, network.padding))


def _kept(part: PlacedPart, padding: Padding, reads: set[str], kept: int, *, is_last: bool) -> PlacedPart:
    """A block's part with the elements that are alive while it runs, since the backbone gives them.

    Args:
        part: the part.
        padding: the network's.
        reads: which of its inputs are among them.
        kept: elements of all of them.
        is_last: nothing comes after it.
    """
    counts, source, skip = part.counts, part.source, part.skip or part.source
    if part.block is not None and (reads or (is_last and part.keeps_skip)):
        # Such a block is the first of its stage: it changes the resolution.
        counts = count_cell(
            graph_of(part.block, source.channels),
            source,
            skip,
            padding,
            keeps_skip=part.keeps_skip and not is_last,
            kept=frozenset(reads),
        )
        kept -= sum(shape.elements for name, shape in ((INPUT, source), (SKIP, skip)) if name in reads)
    return part._replace(counts=counts._replace(live=counts.live + kept))
