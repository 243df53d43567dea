"""What a predictor reads besides options: the counts of a network; and which options stand in the same stage."""

from __future__ import annotations

import numpy as np

from allometry.arch import Choice, Space
from allometry.base import InputError
from allometry.nas.encodings import Encodings
from allometry.nas.lookup import Costs
from allometry.supernets.regression import Floats, Group

_MEASURES = ("macs", "params", "activations")
_SAME = 1e-9  # logarithms that spread less do not differ
TERMS = 6


def groups_of(space: Space) -> tuple[Group, ...]:
    """The features of each group of layers: of its depth, and of what is open in its layers.

    A choice of several groups counts to the first. Groups with fewer than two choices have no pairs.

    Example:
        >>> from allometry.catalog import find_space
        >>> [(len(group.columns), group.choices) for group in groups_of(find_space("ofa-mobilenetv3-1.0"))]
        [(27, 9), (27, 9), (27, 9), (27, 9), (27, 9)]
    """
    columns: dict[int, list[int]] = {}
    choices: dict[int, int] = {}
    start = 0
    for choice in space.choices:
        group = _group_of(space, choice)
        if group is not None:
            columns.setdefault(group, []).extend(range(start, start + len(choice.options)))
            choices[group] = choices.get(group, 0) + 1
        start += len(choice.options)
    return tuple(Group(np.array(columns[group]), choices[group]) for group in columns if choices[group] > 1)


def _group_of(space: Space, choice: Choice) -> int | None:
    first = choice.targets[0]
    if first.what == "network":
        return None
    return first.number if first.what == "depth" else space.layout.places[first.number].group


def tabulated(space: Space) -> Costs | None:
    """The counts of its networks, or None where the space is too large for tables, or its cells have none.

    Example:
        >>> from allometry.catalog import find_space
        >>> tabulated(find_space("fbnet")) is None
        False
    """
    try:
        return Costs(space)
    except InputError:
        return None


def logarithms(costs: Costs | None, rows: Encodings) -> Floats:
    """The logarithms of MACs, params and activations, [N, 3]; [N, 0] without costs."""
    if costs is None:
        return np.empty((len(rows), 0))
    found = costs(rows)
    return np.log(np.stack([found[measure] for measure in _MEASURES], 1).astype(np.float64))


def scales_of(logs: Floats) -> Floats:
    """Mean, standard deviation, least and most of each cost, [4, costs]."""
    spread = logs.std(0)
    return np.stack([logs.mean(0), np.where(spread > _SAME, spread, 1.0), logs.min(0), logs.max(0)])


def cost_terms(logs: Floats, scales: Floats) -> Floats:
    """The costs, standardized, and their powers: [N, 6], or [N, 0] without costs.

    Powers are of costs that were seen: beyond these, nothing is known of how accuracy bends, and a power would say
    very much.
    """
    if not scales.size:
        return np.empty((len(logs), 0))
    mean, spread, least, most = scales
    plain = (logs - mean) / spread
    seen = (np.clip(logs, least, most) - mean) / spread
    return np.concatenate([plain, 0.5 * seen[:, :2] ** 2, 0.2 * seen[:, :1] ** 3], 1)
