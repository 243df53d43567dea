"""A space: a network with choices, every member of which is a network."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

from allometry.arch.blocks import Block
from allometry.arch.choices import Choice, Decisions, Option, read, target, write
from allometry.arch.layout import Layout, layout_of
from allometry.arch.membership import agreed, aligned, difference, folded, option_in, possible
from allometry.arch.network import Network
from allometry.base import NetworkError, UnknownNameError

_SPELT = 10**6


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """All the networks that a template becomes when its choices are set.

    A choice counts only where it sets something: with a depth of 2, what layers 3 and 4 would be is not decided.
    So different decisions are different networks, and `size` is exact.

    Attributes:
        template: the network with every layer that a member can have; one stage for each layer where layers
            differ, of which the later `continue` the first.
        choices: what is open. No two set the same; one may set a whole block, and others fields of it.
        name: a label, also of the members; two spaces that differ in name only are equal.
        layout: what follows from these, for the library's own functions.

    Raises:
        NetworkError: a choice does not fit the template, or an option makes a network that cannot exist.

    Source: Once-for-All (Cai et al. 2020), section 3.2.

    Example:
        >>> from allometry.arch import MBConv, Stage
        >>> layer = MBConv(channels=16)
        >>> tiny = Space(
        ...     template=Network(stages=(Stage(block=layer), Stage(block=layer, continues=True)), resolution=32),
        ...     choices=(
        ...         Choice(name="depth", paths=("groups.0.depth",), options=(1, 2)),
        ...         Choice(name="kernel 0", paths=("stages.0.block.kernel",), options=(3, 5)),
        ...         Choice(name="kernel 1", paths=("stages.1.block.kernel",), options=(3, 5, 7)),
        ...     ),
        ... )
        >>> tiny
        Space(3 choices, 8 networks)
        >>> tiny.network({"depth": 1, "kernel 0": 5}).stages
        (1 x MBConv(16, k5, s1, e6, se0.25, silu),)
    """

    template: Network
    choices: tuple[Choice, ...]
    name: str = field(default="", compare=False)
    layout: Layout = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        given: tuple[Any, ...] = (self.template, *self.choices)
        object.__setattr__(self, "choices", given[1:])
        if not isinstance(given[0], Network) or not all(isinstance(choice, Choice) for choice in given[1:]):
            raise NetworkError("A Space is made of a Network as its template and of Choices.")
        names = [choice.name for choice in self.choices]
        twice = [name for place, name in enumerate(names) if name in names[:place]]
        if twice:
            raise NetworkError(f"Two choices are named {twice[0]!r}; give each its own name.")
        object.__setattr__(self, "layout", layout_of(self.template, self.choices))
        self._check_options()

    def _check_options(self) -> None:
        """Try every option once by itself, and once in a network with all layers."""
        for choice in self.choices:
            for option in choice.options:
                self._check_alone(choice, option)
        base = {choice.name: choice.options[0] for choice in self.choices}
        base |= {choice.name: max(choice.options, key=_number) for choice in self.layout.depth_choices}
        for choice in self.choices:
            for option in choice.options:
                try:
                    self.network({**base, choice.name: option})
                except NetworkError as error:
                    raise NetworkError(f"The choice {choice.name!r} cannot be {option!r}: {error}") from error
        self.smallest()
        self.largest()

    def _check_alone(self, choice: Choice, option: Option) -> None:
        """Refuse what a field of the template cannot be, so that the right choice is blamed."""
        for place in choice.targets:
            whole: Network | Block = self.template
            if place.what == "block":
                whole = self.template.stages[place.number].block
            within = [other for _, other in self.layout.of_stage[place.number] if place.what == "block"]
            if place.what == "depth" or any(not other.fields for other in within):
                continue
            try:
                write(whole, place.fields, option)
            except NetworkError as error:
                raise NetworkError(f"The choice {choice.name!r} cannot be {option!r}: {error}") from error

    @property
    def size(self) -> int:
        """The number of different networks, exactly.

        Example:
            >>> from allometry.catalog import find_space
            >>> find_space("ofa-mobilenetv3-1.0").size == 25 * (9**2 + 9**3 + 9**4) ** 5
            True
        """
        depths = prod(sum(count for _, count in cluster.counts) for cluster in self.layout.clusters)
        return depths * prod(len(choice.options) for choice in self.layout.always)

    def active_choices(self, decisions: Decisions) -> tuple[Choice, ...]:
        """The choices that set something once the depths are decided; choices of depths come first.

        Args:
            decisions: the depths, whatever else. A group whose depth is missing has all its layers.

        Example:
            >>> from allometry.catalog import find_space
            >>> space = find_space("ofa-mobilenetv3-1.0")
            >>> len(space.choices), len(space.active_choices({"stage 1 depth": 2}))
            (46, 42)
        """
        depths = self.layout.depths(decisions)
        others = (choice for choice in self.layout.other_choices if self.layout.is_active(choice, depths))
        return (*self.layout.depth_choices, *others)

    def network(self, decisions: Decisions) -> Network:
        """The network with these decisions; equal layers in succession make one stage.

        Args:
            decisions: an option for each choice that sets something. Those of absent layers may be left out.

        Raises:
            UnknownNameError: there is no choice of that name.
            NetworkError: a decision is missing or not possible.

        Example:
            >>> from allometry.catalog import find_space
            >>> space = find_space("proxylessnas")
            >>> space.network({choice.name: choice.options[0] for choice in space.choices}).depth
            7
        """
        known = {choice.name for choice in self.choices}
        for name in decisions:
            if name not in known:
                raise UnknownNameError("choice", name, known)
        chosen: dict[str, Option] = {
            choice.name: _taken(choice, decisions) for choice in self.layout.depth_choices
        }
        depths = self.layout.depths(chosen)
        chosen |= {choice.name: _taken(choice, decisions) for choice in self.active_choices(chosen)}
        stages = (
            replace(stage, block=self.layout.block(index, chosen), repeats=layers)
            for index, stage in enumerate(self.template.stages)
            if (layers := self.layout.layers(index, depths))
        )
        parts: dict[str, Any] = {}
        for choice, place in self.layout.of_network:
            first, *rest = place.fields
            part = parts.get(first, getattr(self.template, first))
            parts[first] = write(part, tuple(rest), chosen[choice.name])
        return replace(self.template, stages=folded(stages), name=self.name, **parts)

    def smallest(self) -> Network:
        """The network with the first option of every choice.

        Example:
            >>> from allometry.catalog import find_space
            >>> find_space("ofa-mobilenetv3-1.0").smallest().depth
            11
        """
        return self.network({choice.name: choice.options[0] for choice in self.choices})

    def largest(self) -> Network:
        """The network with the last option of every choice.

        Example:
            >>> from allometry.catalog import find_space
            >>> find_space("ofa-mobilenetv3-1.0").largest().depth
            21
        """
        return self.network({choice.name: choice.options[-1] for choice in self.choices})

    def contains(self, network: Network, *, ignore: Collection[str] = ()) -> bool:
        """Whether the network is a member, whatever its name and however its layers are written as stages.

        Args:
            network: any.
            ignore: paths of the whole network that do not count, such as `resolution` or `head.classes`.

        Raises:
            NetworkError: there is no such path.

        Example:
            >>> from allometry.catalog import find_space, get
            >>> space = find_space("ofa-mobilenetv3-1.2")
            >>> space.contains(get("ofa-482m")), space.contains(get("ofa-595m"))  # the second is for 236 px
            (True, False)
            >>> space.contains(get("ofa-595m"), ignore=("resolution",))
            True
        """
        self._ignored(ignore)
        try:
            self.decisions_of(network, ignore=ignore)
        except NetworkError:
            return False
        return True

    def decisions_of(self, network: Network, *, ignore: Collection[str] = ()) -> dict[str, Option]:
        """The decisions that make the network, without those of absent layers: the inverse of `network`.

        Args:
            network: a member.
            ignore: paths of the whole network that do not count; their choices take the first option.

        Raises:
            NetworkError: the network is no member; the message says what differs.

        Example:
            >>> from allometry.catalog import find_space, get
            >>> space = find_space("ofa-mobilenetv3-1.0")
            >>> decisions = space.decisions_of(get("ofa-lg-24"))
            >>> decisions["resolution"], decisions["stage 1 depth"], decisions["stage 2 layer 0 kernel"]
            (220, 2, 7)
            >>> space.decisions_of(get("ofa-595m"))
            Traceback (most recent call last):
                ...
            allometry.base.errors.NetworkError: Not of the space ofa-mobilenetv3-1.0: The choice 'resolution' cannot
            be 236. Possible: 128, 132, 136, ...
        """
        ignored = self._ignored(ignore)
        try:
            for way, own in ignored:
                network = write(network, way, own)
            groups = aligned(self.layout, network)
            chosen: dict[str, Option] = {}
            for choice in self.layout.depth_choices:
                chosen[choice.name] = option_in(self.layout, choice, network, groups)
            for choice in self.active_choices(chosen)[len(chosen) :]:
                chosen[choice.name] = option_in(self.layout, choice, network, groups)
            made = self.network(chosen)
        except NetworkError as error:
            raise NetworkError(f"Not of the space {self.name or 'without a name'}: {error}") from error
        if made != replace(network, stages=folded(network.stages)):
            raise NetworkError(
                f"Not of the space {self.name or 'without a name'}: {difference(made, network)}"
            )
        return chosen

    def _ignored(self, ignore: Collection[str]) -> list[tuple[tuple[str, ...], Option]]:
        """The fields that do not count, each with a value that the space has."""
        ignored = []
        for path in ignore:
            place = target(path)
            if place.what != "network":
                raise NetworkError(f"Only what the whole network has can be ignored, not {path!r}.")
            own = [choice.options[0] for choice, other in self.layout.of_network if other == place]
            ignored.append((place.fields, own[0] if own else read(self.template, place.fields)))
        return ignored

    def __repr__(self) -> str:
        size = self.size
        networks = f"{size} networks" if size < _SPELT else f"about 10^{len(str(size)) - 1} networks"
        return f"Space({f'{self.name}, ' if self.name else ''}{len(self.choices)} choices, {networks})"


def _number(option: Option) -> int:
    return option if isinstance(option, int) else 0


def _taken(choice: Choice, decisions: Decisions) -> Option:
    """The choice's option among the decisions."""
    if choice.name not in decisions:
        raise NetworkError(f"Nothing is decided for the choice {choice.name!r}. {possible(choice)}")
    return agreed(choice, [decisions[choice.name]])
