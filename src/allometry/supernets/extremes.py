"""The least that any network of a space costs, exactly: an impossible budget is refused before anything is sought."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from allometry.arch import Decisions, Option, Padding, Piece, Space, WalkState, walk
from allometry.base import InputError
from allometry.cost import MEASURES, LatencyTable, Measure, as_measure, count_piece
from allometry.nas.encodings import Encoding, cleared
from allometry.nas.lookup import PieceCostFn


class Extreme(NamedTuple):
    """The least value, and a network that has it.

    Attributes:
        value: of the sum over its layers.
        encoding: of the network, [choices].

    Example:
        >>> Extreme(value=2.5e6, encoding=np.array([0, 1], np.int8)).encoding.tolist()
        [0, 1]
    """

    value: float
    encoding: Encoding


class _Way(NamedTuple):
    """The cheapest way to a state: its price, its last decisions, and the way before."""

    value: float
    chosen: Decisions
    before: _Way | None


def least(space: Space, price: PieceCostFn) -> Extreme:
    """The smallest sum over the layers that any member has, exactly, without going through the members.

    From site to site, what is the cheapest way to each state that can be left behind: later sites depend on the
    state alone. Prices may be negative, so that the same finds the largest sum.

    Args:
        space: any.
        price: of each piece; asked once for each that is different.

    Source: dynamic programming (Bellman 1957) over the sum of Once-for-All (Cai et al. 2020), section 3.4.

    Example:
        >>> from allometry.nas import network_of
        >>> from allometry.catalog import find_space
        >>> space = find_space("ofa-mobilenetv3-1.0")
        >>> deepest = least(space, lambda piece, padding: 1.0)
        >>> deepest.value - 2 == network_of(space, deepest.encoding).depth == 11  # the stem and the head count too
        True
    """
    known: dict[tuple[Piece, Padding], float] = {}

    def priced(piece: Piece, padding: Padding) -> float:
        key = (piece, padding)
        if key not in known:
            known[key] = price(piece, padding)
        return known[key]

    ways: dict[WalkState | None, _Way] = {None: _Way(0.0, {}, None)}
    for site in walk(space):
        ends: dict[WalkState | None, _Way] = {}
        for step in site.steps:
            before = ways[step.before]
            value = before.value + sum(priced(piece, step.after.padding) for piece in step.pieces)
            if step.after not in ends or value < ends[step.after].value:
                ends[step.after] = _Way(value, step.chosen, before)
        ways = ends
    best = min(ways.values(), key=lambda way: way.value)
    return Extreme(best.value, _row(space, best))


def least_counted(space: Space, measure: Measure | str) -> Extreme:
    """The least that any member has of a measure that is a sum over layers, such as MACs, exactly as it is counted.

    Memory is no sum over layers: a greatest layer is part of it, too.

    Raises:
        InputError: the measure is none of these.

    Example:
        >>> from allometry.cost import count
        >>> from allometry.nas import network_of
        >>> from allometry.catalog import find_space
        >>> space = find_space("ofa-mobilenetv3-1.0")
        >>> smallest = least_counted(space, "macs")
        >>> int(smallest.value) == count(network_of(space, smallest.encoding)).macs
        True
    """
    measure = as_measure(measure)
    of_counts = measure.count
    if of_counts is None or not measure.additive:
        possible = ", ".join(known.name for known in MEASURES if known.additive)
        raise InputError(
            f"The least of {measure.name!r} is not known exactly; possible: {possible}, which are sums over layers."
        )
    return least(space, lambda piece, padding: float(of_counts(count_piece(piece, padding))))


def least_latency(space: Space, table: LatencyTable) -> Extreme:
    """The least latency in seconds that a table predicts for any member.

    Raises:
        InputError: the table lacks a line.

    Example:
        >>> from allometry.arch import distinct_blocks
        >>> from allometry.cost import RuntimeConfig, key_of
        >>> from allometry.catalog import find_space
        >>> space = find_space("fbnet")
        >>> table = LatencyTable(
        ...     space="fbnet",
        ...     runtime_config=RuntimeConfig(),
        ...     machine_info={},
        ...     seconds={key_of(piece): 0.001 for piece in distinct_blocks(space)},
        ...     labels={},
        ... )
        >>> round(least_latency(space, table).value, 6)  # stem, head, a layer of each of six groups
        0.008
    """
    correction = table.correction

    def seconds(piece: Piece, _padding: Padding) -> float:
        total, number, elements = table.features_of((piece,))
        return correction.scale * total + correction.per_piece * number + correction.per_element * elements

    fastest = least(space, seconds)
    return Extreme(correction.base + fastest.value, fastest.encoding)


def _row(space: Space, way: _Way) -> Encoding:
    """The encoding of the decisions on a way; choices that no layer depends on take their first option."""
    chosen: dict[str, Option] = {}
    last: _Way | None = way
    while last is not None:
        chosen |= last.chosen
        last = last.before
    options = [choice.options.index(chosen.get(choice.name, choice.options[0])) for choice in space.choices]
    encoding: Encoding = cleared(space, np.array([options], np.int8))[0]
    return encoding
