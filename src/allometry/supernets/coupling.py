"""Compound coupling: in each stage the width follows the depth, and a far smaller space is left to train and search."""

from __future__ import annotations

from math import prod

import numpy as np

from allometry.arch import Choice, Space
from allometry.nas.encodings import ABSENT, Encodings
from allometry.supernets.features import check_encodings

_ENDS = (("expand_ratio",), ("ratio",))


def couple_encodings(space: Space, encodings: Encodings) -> Encodings:
    """Project encodings so that every expand ratio follows its group's depth: the deeper, the wider, by rank.

    With depths of 2, 3 and 4 layers and expand ratios of 3, 4 and 6, all layers of a group of depth 2 get 3, those of
    depth 3 get 4, and those of depth 4 get 6. Where there are more or fewer ratios than depths, the nearest relative
    rank counts, the greater of two equally near. Whatever else is open stays as it is, as do the ratios of a group
    whose depth is not open, and a ratio that groups of different depths share.

    Args:
        space: of the encodings.
        encodings: members, [N, choices].

    Returns:
        Members, [N, choices]; coupled encodings come back unchanged.

    Raises:
        InputError: the encodings are not of this space.

    Source: CompOFA (Sahni et al., ICLR 2021), section 3.1.

    Example:
        >>> from allometry.nas import sample_encodings, network_of
        >>> from allometry.catalog import find_space
        >>> space = find_space("ofa-mobilenetv3-1.0")
        >>> encoding = couple_encodings(space, sample_encodings(space, np.random.default_rng(0), 1))[0]
        >>> decisions = space.decisions_of(network_of(space, encoding))
        >>> decisions["stage 1 depth"], decisions["stage 1 layer 0 expand ratio"]
        (4, 6)
    """
    check_encodings(space, encodings)
    places = {choice.name: place for place, choice in enumerate(space.choices)}
    coupled = encodings.copy()
    for ratio, depth in _followed(space).items():
        column = coupled[:, places[ratio]]
        followed = _by_depth(ratio=space.choices[places[ratio]], depth=depth)[
            encodings[:, places[depth.name]]
        ]
        column[:] = np.where(column == ABSENT, ABSENT, followed)
    return coupled


def coupled_size(space: Space) -> int:
    """How many different networks compound coupling leaves, exactly; kernels, resolution and the like stay open.

    Source: CompOFA (Sahni et al., ICLR 2021), section 3.1.

    Example:
        >>> from allometry.catalog import find_space
        >>> coupled_size(find_space("ofa-mobilenetv3-1.0")) == 25 * (3**2 + 3**3 + 3**4) ** 5
        True
    """
    layout, followed = space.layout, _followed(space)

    def ways(choices: tuple[Choice, ...]) -> int:
        return prod(len(choice.options) for choice in choices if choice.name not in followed)

    size = ways(layout.always)
    for cluster in layout.clusters:
        size *= sum(
            ways(
                tuple(
                    choice for choice in cluster.dependent if layout.is_active(choice, layout.depths(depths))
                )
            )
            for depths, _ in cluster.counts
        )
    return size


def _followed(space: Space) -> dict[str, Choice]:
    """The names of the expand ratios that follow a depth, with the choice of that depth."""
    layout, followed = space.layout, {}
    for choice in layout.other_choices:
        if not all(target.what == "block" and target.fields[-1:] in _ENDS for target in choice.targets):
            continue
        depths = {layout.of_group[layout.places[target.number].group] for target in choice.targets}
        depth = depths.pop()
        if not depths and depth is not None and len(depth.options) > 1:
            followed[choice.name] = depth
    return followed


def _by_depth(*, ratio: Choice, depth: Choice) -> Encodings:
    """For each option of the depth, the number of the ratio's option: int8 [depths]."""
    deep, wide = _order(depth), _order(ratio)
    share = (len(wide) - 1) / (len(deep) - 1)
    ranks = np.empty(len(deep), np.int64)
    ranks[deep] = np.arange(len(deep))
    options: Encodings = np.array(wide)[np.floor(ranks * share + 0.5).astype(np.int64)].astype(np.int8)
    return options


def _order(choice: Choice) -> list[int]:
    """The numbers of the options, the least option first; in the order given where they are no numbers."""
    values = [option for option in choice.options if isinstance(option, int | float)]
    numbers = list(range(len(choice.options)))
    return sorted(numbers, key=values.__getitem__) if len(values) == len(numbers) else numbers
