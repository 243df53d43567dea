"""Members of a space: at random, changed at random, crossed, all of them, and as numbers for a predictor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from random import Random
from typing import Literal

from allometry.arch.any_space import AnySpace
from allometry.arch.choices import Option
from allometry.arch.network import Network
from allometry.arch.space import Space
from allometry.base import InputError, UnknownNameError


def sample(space: Space, random: Random, *, by: Literal["network", "choice"] = "network") -> Network:
    """A member at random.

    Args:
        space: to draw from.
        random: where chance comes from; the same state gives the same network.
        by: `network` draws every member with the same probability, so mostly deep ones; `choice` draws every
            option of a choice with the same probability, so all depths equally often.

    Raises:
        InputError: `by` is neither.

    Source: `choice`: released Once-for-All code, `sample_active_subnet`.

    Example:
        >>> from random import Random
        >>> from allometry.catalog import find_space
        >>> space = find_space("ofa-mobilenetv3-1.0")
        >>> space.contains(sample(space, Random(0)))
        True
    """
    if by not in ("network", "choice"):
        raise InputError(f"by must be 'network' or 'choice', not {by!r}.")
    chosen: dict[str, Option] = {}
    if by == "choice":
        chosen |= {choice.name: random.choice(choice.options) for choice in space.layout.depth_choices}
    else:
        for cluster in space.layout.clusters:
            left = random.randrange(sum(count for _, count in cluster.counts))
            for depths, count in cluster.counts:
                if left < count:
                    chosen |= depths
                    break
                left -= count
    for choice in space.active_choices(chosen)[len(chosen) :]:
        chosen[choice.name] = random.choice(choice.options)
    return space.network(chosen)


def mutate(
    space: Space,
    network: Network,
    rate: float,
    random: Random,
    *,
    rates: Mapping[str, float] | None = None,
) -> Network:
    """A member near another: each choice takes one of its other options with probability `rate`.

    Layers that appear take options at random.

    Args:
        space: of both.
        network: a member.
        rate: from 0 to 1.
        random: where chance comes from.
        rates: other rates, by the name of the choice.

    Raises:
        NetworkError: the network is no member.
        UnknownNameError: there is a rate of a choice that does not exist.
        InputError: a rate is out of its range.

    Source: released Once-for-All code, `evolution.py`: 0.1 for each choice and 0.5 for the resolution; there the
    option that a choice has may be drawn again.

    Example:
        >>> from random import Random
        >>> from allometry.catalog import find_space, get
        >>> space, parent = find_space("ofa-mobilenetv3-1.0"), get("ofa-lg-24")
        >>> child = mutate(space, parent, 0.1, Random(0), rates={"resolution": 0.5})
        >>> space.contains(child), mutate(space, parent, 0, Random(0)) == parent
        (True, True)
    """
    rate_of = mutation_rates(space, rate, rates or {})
    parent = space.decisions_of(network)
    chosen: dict[str, Option] = {}

    def decide(name: str, options: tuple[Option, ...]) -> None:
        if name in parent and random.random() >= rate_of[name]:
            chosen[name] = parent[name]
        else:
            others = [option for option in options if name not in parent or option != parent[name]]
            chosen[name] = random.choice(others or list(options))

    for choice in space.layout.depth_choices:
        decide(choice.name, choice.options)
    for choice in space.active_choices(chosen)[len(chosen) :]:
        decide(choice.name, choice.options)
    return space.network(chosen)


def mutation_rates(space: AnySpace, rate: float, rates: Mapping[str, float]) -> dict[str, float]:
    """With which probability each choice changes: `rate`, where `rates` does not name it.

    Raises:
        UnknownNameError: there is a rate of a choice that does not exist.
        InputError: a rate is out of its range.
    """
    names = [choice.name for choice in space.choices]
    for name in rates:
        if name not in names:
            raise UnknownNameError("choice", name, names)
    for probability in (rate, *rates.values()):
        if not 0 <= probability <= 1:
            raise InputError(f"A rate of mutation must be a number from 0 to 1, not {probability!r}.")
    return {name: rates.get(name, rate) for name in names}


def cross(space: Space, one: Network, other: Network, random: Random) -> Network:
    """A member between two: each choice is set as in one of them, at random; what only one has comes from it.

    Args:
        space: of all three.
        one: a member.
        other: a member.
        random: where chance comes from.

    Raises:
        NetworkError: a network is no member.

    Source: released Once-for-All code, `evolution.py`.

    Example:
        >>> from random import Random
        >>> from allometry.catalog import find_space, get
        >>> space = find_space("ofa-mobilenetv3-1.0")
        >>> child = cross(space, get("ofa-lg-24"), get("ofa-lg-11"), Random(0))
        >>> child.resolution in (220, 156)
        True
    """
    parents = [space.decisions_of(one), space.decisions_of(other)]
    chosen = {choice.name: random.choice(parents)[choice.name] for choice in space.layout.depth_choices}
    for choice in space.active_choices(chosen)[len(chosen) :]:
        # A layer that is there has its depth from a parent that has the layer too.
        chosen[choice.name] = random.choice([parent for parent in parents if choice.name in parent])[
            choice.name
        ]
    return space.network(chosen)


def members(space: Space) -> Iterator[Network]:
    """Every network of the space, each once, made when it is asked for.

    Example:
        >>> from allometry.catalog import find_space, get, mbconv_space
        >>> space = mbconv_space(get("efficientnet-b0"), resolutions=(192, 224))
        >>> [member.resolution for member in members(space)]
        [192, 224]
    """
    depth_choices = space.layout.depth_choices
    for depths in product(*(choice.options for choice in depth_choices)):
        chosen = dict(zip((choice.name for choice in depth_choices), depths, strict=True))
        others = space.active_choices(chosen)[len(depth_choices) :]
        for options in product(*(choice.options for choice in others)):
            yield space.network(chosen | dict(zip((choice.name for choice in others), options, strict=True)))


def encode(space: Space, network: Network) -> tuple[float, ...]:
    """The network as numbers of a fixed length, all 0 or 1: for each choice in order, which option it has.

    Where a choice sets nothing, because its layer is absent, all its numbers are 0. Different members have
    different numbers.

    Raises:
        NetworkError: the network is no member.

    Source: Once-for-All (Cai et al. 2020), section 3.4 and Appendix A, the input of the accuracy predictor.

    Example:
        >>> from allometry.catalog import find_space, get
        >>> numbers = encode(find_space("ofa-mobilenetv3-1.0"), get("ofa-lg-24"))
        >>> len(numbers) == 25 + 5 * 3 + 20 * (3 + 3), sum(numbers) == 1 + 5 + 15 * 2
        (True, True)
    """
    chosen = space.decisions_of(network)
    return tuple(
        float(choice.name in chosen and option == chosen[choice.name])
        for choice in space.choices
        for option in choice.options
    )
