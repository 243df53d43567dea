"""What very many networks of a space cost, looked up layer by layer in tables that are made once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from allometry.arch import Block, Padding, Piece, Space, StageOptions, WalkState, walk
from allometry.base import InputError
from allometry.cost import ACTIVATIONS, MACS, MEMORY, PARAMS, LatencyTable, count_piece
from allometry.cost.count import FLOAT_BYTES
from allometry.nas.encodings import Encodings

Floats = npt.NDArray[np.float64]
_MOST_ENTRIES = 50_000_000
_CHUNK = 65_536  # encodings at once: what they need stays in the processor's caches


class _Table(NamedTuple):
    """One site: for each state before it and each choice, what it costs and the state after it, as flat arrays."""

    choices: tuple[int, ...]
    sizes: tuple[int, ...]
    sums: Floats
    peaks: Floats
    after: npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Lookup:
    """Figures of the networks of a space that are sums, or maxima, over their layers.

    Made by `tabulate`. Called with encodings, it gives the sums [N, sums] and the maxima [N, peaks].

    Example:
        >>> from allometry.catalog import find_space
        >>> layers = tabulate(find_space("fbnet"), lambda piece, padding: ((1.0,), ()))
        >>> sums, peaks = layers(np.zeros((3, 28), np.int8))
        >>> sums.shape, peaks.shape
        ((3, 1), (3, 0))
    """

    space: Space
    tables: tuple[_Table, ...]

    def __call__(self, encodings: Encodings) -> tuple[Floats, Floats]:
        """The figures of these encodings."""
        parts = [
            self._some(encodings[first : first + _CHUNK])
            for first in range(0, max(1, len(encodings)), _CHUNK)
        ]
        sums, peaks = zip(*parts, strict=True)
        return np.concatenate(sums), np.concatenate(peaks)

    def _some(self, encodings: Encodings) -> tuple[Floats, Floats]:
        columns = np.maximum(encodings.T, 0).astype(
            np.int32
        )  # what is absent changes nothing, whatever it is taken for
        state = np.zeros(len(encodings), np.int32)
        sums = np.zeros((len(encodings), self.tables[0].sums.shape[1]))
        peaks = np.zeros((len(encodings), self.tables[0].peaks.shape[1]))
        for table in self.tables:
            index = state
            for choice, size in zip(table.choices, table.sizes, strict=True):
                index = index * size + columns[choice]
            sums += table.sums.take(index, axis=0)
            np.maximum(peaks, table.peaks.take(index, axis=0), out=peaks)
            state = table.after.take(index)
        return sums, peaks


PieceCostFn = Callable[[Piece, Padding], float]
"""What a stem, a block or a head costs, given the network's padding."""
PieceTermsFn = Callable[[Piece, Padding], tuple[tuple[float, ...], tuple[float, ...]]]
"""What a piece adds to the sums, and what it is for the maxima."""


def tabulate(space: Space, terms: PieceTermsFn) -> Lookup:
    """Make the tables for a space.

    Args:
        space: whose cells, if it has any, do not read the input of the cell before.
        terms: of each piece; asked once for each.

    Raises:
        InputError: the space is not of that kind, or too large for tables.

    Example:
        >>> from allometry.nas.encodings import encodings_of
        >>> from allometry.catalog import find_space, get
        >>> space = find_space("ofa-mobilenetv3-1.0")
        >>> layers = tabulate(space, lambda piece, padding: ((1.0,), ()))
        >>> sums, _ = layers(encodings_of(space, [get("ofa-lg-24")]))
        >>> sums.item() - 2 == get("ofa-lg-24").depth
        True
    """
    places = {choice.name: place for place, choice in enumerate(space.choices)}
    known: dict[tuple[Piece, Padding], tuple[tuple[float, ...], tuple[float, ...]]] = {}

    def known_terms(piece: Piece, padding: Padding) -> tuple[tuple[float, ...], tuple[float, ...]]:
        key = (piece, padding)
        if key not in known:
            if isinstance(piece.part, Block) and piece.part.reads_skip:
                raise InputError("A cell that reads the input of the one before has no cost of its own.")
            known[key] = terms(piece, padding)
        return known[key]

    tables = []
    states: dict[WalkState | None, int] = {None: 0}
    shape: tuple[int, int] | None = None
    for site in walk(space):
        if shape is None:  # the stem always stands there
            more, most = known_terms(site.steps[0].pieces[0], site.steps[0].after.padding)
            shape = len(more), len(most)
        table, states = _table(site, states, places, known_terms, shape)
        tables.append(table)
    return Lookup(space, tuple(tables))


def _table(
    site: StageOptions,
    states: dict[WalkState | None, int],
    places: dict[str, int],
    terms: PieceTermsFn,
    shape: tuple[int, int],
) -> tuple[_Table, dict[WalkState | None, int]]:
    sizes = tuple(len(choice.options) for choice in site.choices)
    entries = len(states) * int(np.prod(sizes, dtype=np.int64))
    if entries > _MOST_ENTRIES:
        raise InputError(f"The space is too large for tables: one layer has {entries:,} cases.")
    options = [{option: number for number, option in enumerate(choice.options)} for choice in site.choices]
    ends: dict[WalkState | None, int] = {}
    sums = np.zeros((len(states), *sizes, shape[0]))
    peaks = np.zeros((len(states), *sizes, shape[1]))
    after = np.zeros((len(states), *sizes), np.int32)
    for step in site.steps:
        padding = step.after.padding
        piece_terms = [terms(piece, padding) for piece in step.pieces]
        where = (
            states[step.before],
            *(
                known[step.chosen[choice.name]] if choice.name in step.chosen else slice(None)
                for choice, known in zip(site.choices, options, strict=True)
            ),
        )
        for more, most in piece_terms:
            sums[where] += more
            peaks[where] = np.maximum(peaks[where], most)
        after[where] = ends.setdefault(step.after, len(ends))
    flat = (sums.reshape(entries, -1), peaks.reshape(entries, -1), after.reshape(entries))
    return _Table(tuple(places[choice.name] for choice in site.choices), sizes, *flat), ends


class Costs:
    """Exact counts of very many networks of a space.

    Args:
        space: of the networks.

    Raises:
        InputError: it is too large for tables, or has cells that read the input of the one before.

    Example:
        >>> from allometry.cost import count
        >>> from allometry.nas.encodings import encodings_of
        >>> from allometry.catalog import find_space, get
        >>> space, network = find_space("ofa-mobilenetv3-1.0"), get("ofa-lg-24")
        >>> costs = Costs(space)(encodings_of(space, [network]))
        >>> int(costs["macs"][0]) == count(network).macs, int(costs["memory"][0]) == count(network).memory
        (True, True)
    """

    def __init__(self, space: Space) -> None:
        self._lookup = tabulate(space, _counted)

    def __call__(self, encodings: Encodings) -> dict[str, npt.NDArray[np.int64]]:
        """Params, macs, activations and memory [N] of these encodings."""
        sums, peaks = self._lookup(encodings)
        params, statistics, macs, activations = np.rint(sums).astype(np.int64).T
        memory = FLOAT_BYTES * (params + statistics + np.rint(peaks[:, 0]).astype(np.int64))
        return {PARAMS.name: params, MACS.name: macs, ACTIVATIONS.name: activations, MEMORY.name: memory}


def _counted(piece: Piece, padding: Padding) -> tuple[tuple[float, ...], tuple[float, ...]]:
    part = count_piece(piece, padding)
    return (part.params, part.statistics, part.macs, part.activations), (part.live,)


class Latencies:
    """The latency that a table predicts, of very many networks of a space.

    Args:
        space: of the networks.
        table: with a line for each of its blocks.

    Raises:
        InputError: the table lacks a line.

    Example:
        >>> from allometry.arch import Network, distinct_blocks
        >>> from allometry.catalog import get, mbconv_space
        >>> from allometry.cost import RuntimeConfig
        >>> from allometry.cost.latency import key_of
        >>> network = Network(stages=get("efficientnet-b0").stages[:2], resolution=32)
        >>> space = mbconv_space(network, kernels=(3, 5))
        >>> table = LatencyTable(
        ...     space="tiny",
        ...     runtime_config=RuntimeConfig(),
        ...     machine_info={},
        ...     seconds={key_of(piece): 0.001 for piece in distinct_blocks(space)},
        ...     labels={},
        ... )
        >>> seconds = Latencies(space, table)(np.zeros((2, len(space.choices)), np.int8))
        >>> seconds.round(6).tolist()  # a stem, three blocks and a head
        [0.005, 0.005]
    """

    def __init__(self, space: Space, table: LatencyTable) -> None:
        def line(piece: Piece, _padding: Padding) -> tuple[tuple[float, ...], tuple[float, ...]]:
            total, number, elements = table.features_of((piece,))
            return (total, number, elements), ()

        self._lookup, self._correction = tabulate(space, line), table.correction

    def __call__(self, encodings: Encodings) -> Floats:
        """Seconds [N] of these encodings."""
        sums, _ = self._lookup(encodings)
        total, number, elements = sums.T
        own = self._correction
        seconds: Floats = own.base + own.scale * total + own.per_piece * number + own.per_element * elements
        return seconds
