"""Networks of a space as rows of small numbers, very many at once: drawn, and turned into networks and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from allometry.arch import Knob, Network, Option, Space
from allometry.base import InputError

Rows = npt.NDArray[np.int8]
"""[N, knobs]: for each network and knob of its space, the number of the option, or -1 where the knob sets nothing."""
Row = npt.NDArray[np.int8]
"""[knobs]: one network of `Rows`."""
Values = tuple[float, ...]
"""What a network is worth: a number for each objective, the larger the better."""
ABSENT = -1
_MOST_OPTIONS = 127


def draw_rows(
    space: Space, random: np.random.Generator, number: int, *, by: Literal["network", "knob"] = "network"
) -> Rows:
    """Members at random, as `arch.sample` draws them, many at once.

    Args:
        space: to draw from.
        random: where chance comes from.
        number: of members; one may come twice.
        by: `network` draws every member with the same probability, `knob` every option of a knob.

    Raises:
        InputError: `by` is neither, or a knob has more than 127 options.

    Example:
        >>> from allometry.zoo import find_space
        >>> space = find_space("ofa-mobilenetv3-1.0")
        >>> rows = draw_rows(space, np.random.default_rng(0), 1000)
        >>> rows.shape, space.contains(network_of(space, rows[0]))
        ((1000, 46), True)
    """
    if by not in ("network", "knob"):
        raise InputError(f"by must be 'network' or 'knob', not {by!r}.")
    places = _places(space)
    rows = np.empty((number, len(space.knobs)), np.int8)
    for knob in space.knobs:
        rows[:, places[knob.name]] = random.integers(len(knob.options), size=number)
    if by == "network":
        for cluster in space.layout.clusters:
            weights = np.array([float(count) for _, count in cluster.counts])
            taken = random.choice(len(weights), size=number, p=weights / weights.sum())
            for knob in cluster.depths:
                numbers = np.array([knob.options.index(chosen[knob.name]) for chosen, _ in cluster.counts])
                rows[:, places[knob.name]] = numbers[taken]
    return cleared(space, rows)


def cleared(space: Space, rows: Rows) -> Rows:
    """The rows without the options of layers that their depths leave out."""
    places, layout = _places(space), space.layout
    depths = np.tile(np.array(layout.full, np.int64), (len(rows), 1))
    for group, knob in enumerate(layout.of_group):
        if knob is not None:
            depths[:, group] = np.array(knob.options, np.int64)[rows[:, places[knob.name]]]
    result = rows.copy()
    for knob in layout.others:
        there = np.zeros(len(rows), bool)
        for target in knob.targets:
            if target.what != "block":
                there[:] = True
                continue
            place = layout.places[target.number]
            there |= depths[:, place.group] > place.offset
        result[~there, places[knob.name]] = ABSENT
    return result


def network_of(space: Space, row: npt.NDArray[np.int8]) -> Network:
    """The network that a row stands for.

    Raises:
        NetworkError: an option is missing that the network needs.
    """
    chosen: dict[str, Option] = {
        knob.name: knob.options[number]
        for knob, number in zip(space.knobs, row.tolist(), strict=True)
        if number != ABSENT
    }
    return space.network(chosen)


def rows_of(space: Space, networks: Sequence[Network]) -> Rows:
    """The rows of members.

    Raises:
        NetworkError: one is no member.

    Example:
        >>> from allometry.zoo import find_space, get
        >>> space, network = find_space("ofa-mobilenetv3-1.0"), get("ofa-lg-24")
        >>> decisions = space.decisions_of(network)
        >>> space.decisions_of(network_of(space, rows_of(space, [network])[0])) == decisions
        True
    """
    _places(space)
    rows = np.full((len(networks), len(space.knobs)), ABSENT, np.int8)
    for row, network in zip(rows, networks, strict=True):
        chosen = space.decisions_of(network)
        for place, knob in enumerate(space.knobs):
            if knob.name in chosen:
                row[place] = knob.options.index(chosen[knob.name])
    return rows


def _places(space: Space) -> dict[str, int]:
    for knob in space.knobs:
        _check(knob)
    return {knob.name: place for place, knob in enumerate(space.knobs)}


def _check(knob: Knob) -> None:
    if len(knob.options) > _MOST_OPTIONS:
        raise InputError(
            f"The knob {knob.name!r} has {len(knob.options)} options; rows hold at most {_MOST_OPTIONS} of a knob."
        )
