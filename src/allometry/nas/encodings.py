"""Networks of a space as encodings of small numbers, very many at once: drawn, varied, crossed, and made networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias, overload

import numpy as np
import numpy.typing as npt

from allometry.arch import Choice, ModuleChoice, ModuleMember, ModuleSpace, Network, Option, Space
from allometry.arch.any_space import AnyMember, AnySpace
from allometry.arch.sampling import mutation_rates
from allometry.base import InputError

Encodings = npt.NDArray[np.int8]
"""[N, choices]: for each network and choice of its space, the number of the option, or -1 where it sets nothing."""
Encoding = npt.NDArray[np.int8]
"""[choices]: one network of `Encodings`."""
Values = tuple[float, ...]
"""What a network is worth: a number for each objective, the larger the better."""
ABSENT = -1
AnyChoice: TypeAlias = Choice | ModuleChoice
_MOST_OPTIONS = 127


def sample_encodings(
    space: AnySpace, random: np.random.Generator, number: int, *, by: Literal["network", "choice"] = "network"
) -> Encodings:
    """Members at random, as `arch.sample` draws them, many at once.

    Args:
        space: to draw from.
        random: where chance comes from.
        number: of members; one may come twice.
        by: `network` draws every member with the same probability, `choice` every option of a choice.

    Raises:
        InputError: `by` is neither, or a choice has more than 127 options.

    Example:
        >>> from allometry.catalog import find_space
        >>> space = find_space("ofa-mobilenetv3-1.0")
        >>> encodings = sample_encodings(space, np.random.default_rng(0), 1000)
        >>> encodings.shape, space.contains(network_of(space, encodings[0]))
        ((1000, 46), True)
    """
    if by not in ("network", "choice"):
        raise InputError(f"by must be 'network' or 'choice', not {by!r}.")
    places = _places(space)
    encodings = np.empty((number, len(space.choices)), np.int8)
    for choice in space.choices:
        encodings[:, places[choice.name]] = random.integers(len(choice.options), size=number)
    if by == "network" and isinstance(space, Space):
        for cluster in space.layout.clusters:
            weights = np.array([float(count) for _, count in cluster.counts])
            taken = random.choice(len(weights), size=number, p=weights / weights.sum())
            for choice in cluster.depths:
                numbers = np.array(
                    [choice.options.index(chosen[choice.name]) for chosen, _ in cluster.counts]
                )
                encodings[:, places[choice.name]] = numbers[taken]
    return cleared(space, encodings)


def cleared(space: AnySpace, encodings: Encodings) -> Encodings:
    """The encodings without the options of layers that their depths leave out."""
    if isinstance(space, ModuleSpace):  # its choices are independent of each other
        return encodings.copy()
    places, layout = _places(space), space.layout
    depths = np.tile(np.array(layout.full, np.int64), (len(encodings), 1))
    for group, choice in enumerate(layout.of_group):
        if choice is not None:
            depths[:, group] = np.array(choice.options, np.int64)[encodings[:, places[choice.name]]]
    result = encodings.copy()
    for choice in layout.other_choices:
        there = np.zeros(len(encodings), bool)
        for target in choice.targets:
            if target.what != "block":
                there[:] = True
                continue
            place = layout.places[target.number]
            there |= depths[:, place.group] > place.offset
        result[~there, places[choice.name]] = ABSENT
    return result


@overload
def network_of(space: Space, encoding: npt.NDArray[np.int8]) -> Network: ...
@overload
def network_of(space: ModuleSpace, encoding: npt.NDArray[np.int8]) -> ModuleMember: ...
@overload
def network_of(space: AnySpace, encoding: npt.NDArray[np.int8]) -> AnyMember: ...
def network_of(space: AnySpace, encoding: npt.NDArray[np.int8]) -> AnyMember:
    """The network that an encoding stands for.

    Raises:
        NetworkError: an option is missing that the network needs.

    Example:
        >>> from allometry.catalog import find_space
        >>> space = find_space("fbnet")
        >>> encoding = sample_encodings(space, np.random.default_rng(0), 1)[0]
        >>> space.contains(network_of(space, encoding))
        True
    """
    choices: Sequence[AnyChoice] = space.choices
    chosen: dict[str, Option] = {
        choice.name: choice.options[number]
        for choice, number in zip(choices, encoding.tolist(), strict=True)
        if number != ABSENT
    }
    return space.network(chosen)


def encodings_of(space: AnySpace, networks: Sequence[AnyMember]) -> Encodings:
    """The encodings of members.

    Raises:
        NetworkError: one is no member.

    Example:
        >>> from allometry.catalog import find_space, get
        >>> space, network = find_space("ofa-mobilenetv3-1.0"), get("ofa-lg-24")
        >>> decisions = space.decisions_of(network)
        >>> space.decisions_of(network_of(space, encodings_of(space, [network])[0])) == decisions
        True
    """
    _places(space)
    encodings = np.full((len(networks), len(space.choices)), ABSENT, np.int8)
    decisions_of: Any = space.decisions_of
    choices: Sequence[AnyChoice] = space.choices
    for encoding, network in zip(encodings, networks, strict=True):
        chosen = decisions_of(network)
        for place, choice in enumerate(choices):
            if choice.name in chosen:
                encoding[place] = choice.options.index(chosen[choice.name])
    return encodings


def _places(space: AnySpace) -> dict[str, int]:
    for choice in space.choices:
        _check(choice)
    choices: Sequence[AnyChoice] = space.choices
    return {choice.name: place for place, choice in enumerate(choices)}


def _check(choice: AnyChoice) -> None:
    if len(choice.options) > _MOST_OPTIONS:
        raise InputError(
            f"The choice {choice.name!r} has {len(choice.options)} options; encodings hold at most "
            f"{_MOST_OPTIONS}."
        )


def mutate_encodings(
    space: AnySpace,
    encodings: Encodings,
    random: np.random.Generator,
    *,
    rate: float | None = None,
    rates: Mapping[str, float] | None = None,
) -> Encodings:
    """Members near others, as `arch.mutate` gives them, many at once.

    Layers that appear take options at random.

    Args:
        space: of all.
        encodings: members, [N, choices].
        random: where chance comes from.
        rate: with which each choice takes one of its other options; None for exactly one choice that sets something and
            has others.
        rates: other rates, by the name of the choice.

    Raises:
        InputError: a rate is out of its range, or rates are given without a rate.
        UnknownNameError: there is a rate of a choice that does not exist.

    Source: None: Real et al. 2019, section 3, one change for each child. A rate: released Once-for-All code.

    Example:
        >>> from allometry.nas.encodings import sample_encodings
        >>> from allometry.catalog import find_space
        >>> space, random = find_space("ofa-mobilenetv3-1.0"), np.random.default_rng(0)
        >>> parents = sample_encodings(space, random, 100)
        >>> children = mutate_encodings(space, parents, random, rate=0.1, rates={"resolution": 0.5})
        >>> bool((mutate_encodings(space, parents, random, rate=0.0) == parents).all())
        True
    """
    sizes = np.array([len(choice.options) for choice in space.choices], np.float32)
    there = encodings != ABSENT
    if rate is None:
        if rates:
            raise InputError("Rates by choice go with a rate for the others; give rate too.")
        changes = _one_each(there & (sizes > 1), random)
    else:
        probabilities = np.array(list(mutation_rates(space, rate, rates or {}).values()))
        changes = (random.random(encodings.shape, np.float32) < probabilities) & there & (sizes > 1)
    children = np.where(there, encodings, _below(sizes, encodings.shape, random))
    _, choices = places = np.nonzero(changes)
    steps = 1 + _below(sizes[choices] - 1, choices.shape, random).astype(np.int16)
    children[places] = (children[places] + steps) % sizes[choices].astype(np.int16)
    return cleared(space, children)


def _one_each(possible: npt.NDArray[np.bool_], random: np.random.Generator) -> npt.NDArray[np.bool_]:
    """One of the possible places in each encoding, at random; none where none is possible."""
    score = random.random(possible.shape, np.float32)
    score[~possible] = -1
    chosen = np.zeros(possible.shape, bool)
    if chosen.size:  # a space may have no choices at all
        chosen[np.arange(len(possible)), score.argmax(1)] = possible.any(1)
    return chosen


def _below(
    sizes: npt.NDArray[np.float32], shape: tuple[int, ...], random: np.random.Generator
) -> npt.NDArray[np.int8]:
    """Integers from 0 to below these sizes, of at most 127, so evenly as floats of 24 bits allow, and quickly."""
    options: npt.NDArray[np.int8] = (random.random(shape, np.float32) * sizes).astype(np.int8)
    return options


def cross_encodings(
    space: AnySpace, ones: Encodings, others: Encodings, random: np.random.Generator
) -> Encodings:
    """Members between two each, as `arch.cross` gives them, many at once.

    Args:
        space: of all.
        ones: members, [N, choices].
        others: as many.
        random: where chance comes from.

    Example:
        >>> from allometry.nas.encodings import sample_encodings
        >>> from allometry.catalog import find_space
        >>> space, random = find_space("ofa-mobilenetv3-1.0"), np.random.default_rng(0)
        >>> mothers, fathers = sample_encodings(space, random, 100), sample_encodings(space, random, 100)
        >>> children = cross_encodings(space, mothers, fathers, random)
        >>> bool(((children == mothers) | (children == fathers) | (children == -1)).all())
        True
    """
    taken = np.where(random.random(ones.shape, np.float32) < 0.5, ones, others)
    # A layer that only one of them has comes from it, should the depth make it be there.
    taken = np.where(ones == ABSENT, others, np.where(others == ABSENT, ones, taken))
    return cleared(space, taken)
