"""What a predictor reads of a subnet: its options, one-hot, and the logarithms of its costs."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from allometry.arch import Choice, ModuleChoice, ModuleSpace, Space
from allometry.arch.any_space import AnySpace, space_text
from allometry.arch.module_space import RESOLUTION
from allometry.base import InputError
from allometry.cost import ACTIVATIONS, MACS, PARAMS
from allometry.nas.encodings import ABSENT, Encodings
from allometry.nas.lookup import Costs
from allometry.nas.module_costs import ModuleCosts, counts_of

Features = npt.NDArray[np.float32]
"""[N, features]: for each choice in order and each of its options, 1 where it is taken and 0 where it is not."""


def encode_options(space: AnySpace, encodings: Encodings) -> Features:
    """The encodings as one-hot features, as `arch.encode` gives them, many at once: all zeros for an absent choice.

    Args:
        space: of the encodings.
        encodings: members, int8 [N, choices].

    Returns:
        float32 [N, features], with a feature for each option of each choice.

    Raises:
        InputError: the encodings are not of this space.

    Source: Once-for-All (Cai et al. 2020), section 3.4 and Appendix A.

    Example:
        >>> from allometry.nas import encodings_of
        >>> from allometry.catalog import find_space, get
        >>> space = find_space("ofa-mobilenetv3-1.0")
        >>> features = encode_options(space, encodings_of(space, [get("ofa-lg-24")]))
        >>> features.shape, int(features.sum()) == 1 + 5 + 15 * 2
        ((1, 160), True)
    """
    check_encodings(space, encodings)
    sizes = np.array([len(choice.options) for choice in space.choices])
    starts = np.cumsum(sizes) - sizes
    features = np.zeros((len(encodings), int(sizes.sum())), np.float32)
    for start, column in zip(starts.tolist(), encodings.T, strict=True):
        there = np.flatnonzero(column != ABSENT)
        features[there, start + column[there].astype(np.int64)] = 1
    return features


def check_encodings(space: AnySpace, encodings: Encodings) -> None:
    """Refuse what are no encodings of this space.

    Raises:
        InputError: their shape is another, or an option does not exist.

    Example:
        >>> from allometry.catalog import find_space
        >>> check_encodings(find_space("fbnet"), np.zeros((2, 3), np.int8))
        Traceback (most recent call last):
            ...
        allometry.base.errors.InputError: Encodings of the space fbnet are [N, 28], not [2, 3]; take them from ...
    """
    name = space.name or "without a name"
    if encodings.ndim != 2 or encodings.shape[1] != len(space.choices):
        raise InputError(
            f"Encodings of the space {name} are [N, {len(space.choices)}], not {list(encodings.shape)}; take them from "
            "sample_encodings or encodings_of with this space."
        )
    sizes = np.array([len(choice.options) for choice in space.choices])
    wrong = ((encodings < ABSENT) | (encodings >= sizes)).any(0)
    if wrong.any():
        choice = space.choices[int(wrong.argmax())]
        raise InputError(
            f"Some rows have an option of the choice {choice.name!r} that the space {name} does not have: it has "
            f"{len(choice.options)}, counted from 0; take rows from draw_rows or encodings_of with this space."
        )


def space_digest(space: AnySpace) -> str:
    """A stable name for what encodings of the space mean: 64 hexadecimal digits, whatever the space is called.

    Example:
        >>> from dataclasses import replace
        >>> from allometry.catalog import find_space
        >>> space = find_space("fbnet")
        >>> space_digest(space) == space_digest(replace(space, name="mine")), len(space_digest(space))
        (True, 64)
    """
    plain: AnySpace = space
    if isinstance(space, Space):
        plain = replace(space, name="", template=replace(space.template, name=""))
    return hashlib.sha256(space_text(plain).encode()).hexdigest()


Floats = npt.NDArray[np.float64]


class Group(NamedTuple):
    """The features of a group of layers.

    Attributes:
        columns: of them among all features.
        choices: how many of them are 1 in a network with all layers.
    """

    columns: npt.NDArray[np.int64]
    choices: int


_MEASURES = (MACS, PARAMS, ACTIVATIONS)
_SAME = 1e-9  # logarithms that spread less do not differ


def of_whole_network(space: AnySpace) -> set[str]:
    """The names of the choices of what a whole network has, such as the resolution."""
    if isinstance(space, ModuleSpace):
        return {RESOLUTION}
    return {choice.name for choice, _ in space.layout.of_network}


def groups_of(space: AnySpace) -> tuple[Group, ...]:
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


def _group_of(space: AnySpace, choice: Choice | ModuleChoice) -> int | None:
    if isinstance(choice, ModuleChoice) or isinstance(space, ModuleSpace):  # a module's choices are few
        return None if choice.name == RESOLUTION else 0
    first = choice.targets[0]
    if first.what == "network":
        return None
    return first.number if first.what == "depth" else space.layout.places[first.number].group


def tabulated(space: AnySpace) -> Costs | ModuleCosts | None:
    """The counts of its networks, or None where the space is too large for tables, or its cells have none.

    Example:
        >>> from allometry.catalog import find_space
        >>> tabulated(find_space("fbnet")) is None
        False
    """
    try:
        return counts_of(space)
    except InputError:
        return None


def logarithms(costs: Costs | ModuleCosts | None, encodings: Encodings) -> Floats:
    """The logarithms of MACs, params and activations, [N, 3]; [N, 2] of a module's, [N, 0] without costs."""
    if costs is None:
        return np.empty((len(encodings), 0))
    values = costs(encodings)
    return np.log(
        np.stack([values[measure.name] for measure in _MEASURES if measure.name in values], 1).astype(
            np.float64
        )
    )


def scales_of(logs: Floats) -> Floats:
    """Mean, standard deviation, least and most of each cost, [4, costs]."""
    spread = logs.std(0)
    return np.stack([logs.mean(0), np.where(spread > _SAME, spread, 1.0), logs.min(0), logs.max(0)])


def terms_of(costs: int) -> int:
    """How many terms `cost_terms` makes of so many costs.

    Example:
        >>> terms_of(3), terms_of(0)
        (6, 0)
    """
    return costs + min(costs, 2) + 1 if costs else 0


def cost_terms(logs: Floats, scales: Floats) -> Floats:
    """The costs, standardized, and their powers: [N, 6] of three costs, or [N, 0] without costs.

    Powers are of costs that were seen: beyond these, nothing is known of how accuracy bends, and a power would say
    very much.
    """
    if not scales.size:
        return np.empty((len(logs), 0))
    mean, spread, least, most = scales
    plain = (logs - mean) / spread
    seen = (np.clip(logs, least, most) - mean) / spread
    return np.concatenate([plain, 0.5 * seen[:, :2] ** 2, 0.2 * seen[:, :1] ** 3], 1)
