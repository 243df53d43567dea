"""Where the choices of a space stand in its template, and how many networks there are because of that."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod
from typing import NamedTuple

from allometry.arch.blocks import Block
from allometry.arch.choices import Choice, ChoiceTarget, Decisions, Option, read, rewritten
from allometry.arch.network import Network
from allometry.base import NetworkError


class ChoicePlace(NamedTuple):
    """Where a stage of the template stands: its group, and how many layers of the group come before it."""

    group: int
    offset: int


class ChoiceCluster(NamedTuple):
    """Depths that have to be chosen together, because there are choices whose being there depends on all of them.

    Attributes:
        depths: the choices of the depths.
        dependent: the choices that are there with some of those depths only.
        counts: every choice of depths, with how many ways there are to set what then is there of `dependent`.
    """

    depths: tuple[Choice, ...]
    dependent: tuple[Choice, ...]
    counts: tuple[tuple[dict[str, Option], int], ...]


@dataclass(frozen=True)  # without slots, for the cached properties
class Layout:
    """What follows from a template and choices; `layout_of` makes it.

    Attributes:
        template: the network with every layer that a member can have.
        places: of the template's stages.
        full: layers of each group.
        depth_choices: the choices of depths.
        other_choices: all other choices.
        of_group: the choice of each group's depth, if it has one.
        of_stage: the choices of each stage's block, with their targets; whole blocks before their fields.
        of_network: the choices of what the whole network has, with their targets.
    """

    template: Network
    places: tuple[ChoicePlace, ...]
    full: tuple[int, ...]
    depth_choices: tuple[Choice, ...]
    other_choices: tuple[Choice, ...]
    of_group: tuple[Choice | None, ...]
    of_stage: tuple[tuple[tuple[Choice, ChoiceTarget], ...], ...]
    of_network: tuple[tuple[Choice, ChoiceTarget], ...]

    def depths(self, decisions: Decisions) -> tuple[int, ...]:
        """Layers of each group; all that there are where nothing is decided."""
        depths = []
        for choice, full in zip(self.of_group, self.full, strict=True):
            depth = full if choice is None else decisions.get(choice.name, full)
            assert isinstance(depth, int)  # noqa: S101 - `layout_of` has refused other options
            depths.append(depth)
        return tuple(depths)

    def layers(self, stage: int, depths: tuple[int, ...]) -> int:
        """How many layers of a stage are left with these depths."""
        place = self.places[stage]
        return max(0, min(self.template.stages[stage].repeats, depths[place.group] - place.offset))

    def is_active(self, choice: Choice, depths: tuple[int, ...]) -> bool:
        """Whether a choice sets anything with these depths."""
        return any(
            target.what != "block"
            or depths[self.places[target.number].group] > self.places[target.number].offset
            for target in choice.targets
        )

    def block(self, stage: int, decisions: Decisions) -> Block:
        """The block of a stage, as decided."""
        choices = self.of_stage[stage]
        changes = tuple((target.fields, decisions[choice.name]) for choice, target in choices)
        return rewritten(self.template.stages[stage].block, changes)

    @cached_property
    def always(self) -> tuple[Choice, ...]:
        """The choices, without those of depths, that every member has."""
        min_depths = tuple(
            full if choice is None else min(option for option in choice.options if isinstance(option, int))
            for choice, full in zip(self.of_group, self.full, strict=True)
        )
        return tuple(choice for choice in self.other_choices if self.is_active(choice, min_depths))

    @cached_property
    def clusters(self) -> tuple[ChoiceCluster, ...]:
        """The depths in independent clusters, with the numbers of networks."""
        joined = [([choice], list[Choice]()) for choice in self.depth_choices]
        for choice in self.other_choices:
            if choice in self.always:
                continue
            reached = [self.of_group[self.places[target.number].group] for target in choice.targets]
            merged = [cluster for cluster in joined if any(depth in reached for depth in cluster[0])]
            joined = [cluster for cluster in joined if cluster not in merged]
            depths = [depth for cluster in merged for depth in cluster[0]]
            joined.append((depths, [*(member for cluster in merged for member in cluster[1]), choice]))
        return tuple(self._counted(tuple(depths), tuple(choices)) for depths, choices in joined)

    def _counted(self, depths: tuple[Choice, ...], dependent: tuple[Choice, ...]) -> ChoiceCluster:
        counts = []
        for options in product(*(choice.options for choice in depths)):
            chosen = dict(zip((choice.name for choice in depths), options, strict=True))
            layers = self.depths(chosen)
            there = (choice for choice in dependent if self.is_active(choice, layers))
            counts.append((chosen, prod(len(choice.options) for choice in there)))
        return ChoiceCluster(depths, dependent, tuple(counts))


def layout_of(template: Network, choices: tuple[Choice, ...]) -> Layout:
    """Find the choices' places.

    Raises:
        NetworkError: a choice sets what the template does not have, or what another sets too.
    """
    places, full = [], []
    for group, stages in enumerate(template.groups):
        layers = 0
        for stage in stages:
            places.append(ChoicePlace(group, layers))
            layers += stage.repeats
        full.append(layers)
    choice_of = _by_target(choices)
    for target, choice in choice_of.items():
        _check_reach(target, choice, len(full) if target.what == "depth" else len(places))
    depth_choices = tuple(choice for choice in choices if choice.targets[0].what == "depth")
    for choice in depth_choices:
        _check_depths(choice, min(full[target.number] for target in choice.targets))
    droppable = [
        target.number for choice in depth_choices if 0 in choice.options for target in choice.targets
    ]
    if len(droppable) > 1:
        raise NetworkError(
            f"Only one group of layers may have a depth of 0, not {len(droppable)}: else a network would not say "
            f"which group it lacks."
        )
    return Layout(
        template=template,
        places=tuple(places),
        full=tuple(full),
        depth_choices=depth_choices,
        other_choices=tuple(choice for choice in choices if choice not in depth_choices),
        of_group=tuple(choice_of.get(ChoiceTarget("depth", group, ())) for group in range(len(full))),
        of_stage=tuple(_of_stage(stage, choice_of) for stage in range(len(places))),
        of_network=tuple(
            (choice, target) for target, choice in choice_of.items() if target.what == "network"
        ),
    )


def _by_target(choices: Iterable[Choice]) -> dict[ChoiceTarget, Choice]:
    choice_of: dict[ChoiceTarget, Choice] = {}
    for choice in choices:
        for path, target in zip(choice.paths, choice.targets, strict=True):
            if target in choice_of:
                raise NetworkError(
                    f"The choices {choice_of[target].name!r} and {choice.name!r} both set {path!r}."
                )
            choice_of[target] = choice
    return choice_of


def _check_reach(target: ChoiceTarget, choice: Choice, number: int) -> None:
    if target.what != "network" and target.number >= number:
        what = "groups" if target.what == "depth" else "stages"
        raise NetworkError(
            f"The choice {choice.name!r} sets something of {what}.{target.number}, but the template's {what} go from 0 "
            f"to {number - 1}."
        )


def _check_depths(choice: Choice, most: int) -> None:
    for option in choice.options:
        if isinstance(option, bool) or not isinstance(option, int) or not 0 <= option <= most:
            raise NetworkError(
                f"An option of the choice {choice.name!r} must be a number of layers from 0 to the template's {most}, "
                f"not {option!r}; lay out the greatest depth in the template."
            )


def _of_stage(stage: int, choice_of: dict[ChoiceTarget, Choice]) -> tuple[tuple[Choice, ChoiceTarget], ...]:
    """The choices of a stage's block; whole blocks first, since fields are set in the block that was chosen."""
    pairs = [(choice, target) for target, choice in choice_of.items() if target[:2] == ("block", stage)]
    pairs.sort(key=lambda pair: len(pair[1].fields))
    wholes = [choice for choice, target in pairs if not target.fields]
    inner = tuple((target.fields, choice.options[0]) for choice, target in pairs if target.fields)
    for choice in wholes:
        alike: dict[Block, Option] = {}
        for option in choice.options:
            if not isinstance(option, Block):
                raise NetworkError(
                    f"An option of the choice {choice.name!r} must be a block, not {option!r}."
                )
            _check_fields(choice, option, (fields for fields, _ in inner))
            known = alike.setdefault(rewritten(option, inner), option)
            if known is not option:
                raise NetworkError(
                    f"Two options of the choice {choice.name!r} differ only where other choices set the fields: "
                    f"{known!r} and {option!r}."
                )
    return tuple(pairs)


def _check_fields(choice: Choice, option: Block, inner: Iterable[tuple[str, ...]]) -> None:
    """Refuse a block without the fields that other choices set in it."""
    for fields in inner:
        try:
            read(option, fields)
        except NetworkError as error:
            raise NetworkError(
                f"The choice {choice.name!r} cannot be {option!r}, in which another sets {'.'.join(fields)}: {error}"
            ) from error
