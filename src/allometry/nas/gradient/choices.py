"""What a search by gradient decides: independent decisions, and the blocks of each layer that they choose among."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from allometry.arch import Block, Network, Shape, Space
from allometry.nas.encodings import ABSENT, Encodings, cleared

Options = npt.NDArray[np.int64]
"""[N, decisions]: for each member and decision, the number of the option."""


class Decision(NamedTuple):
    """Choices that are decided together, since they set the same layers: one softmax, as in both papers.

    Attributes:
        choices: their places among the space's choices.
        options: every combination of their options, each as the numbers of the options.
    """

    choices: tuple[int, ...]
    options: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of the greatest network, and what can stand there.

    Attributes:
        stage: of the template.
        source: shape of its input, the same whatever is decided.
        out: shape of its output.
        candidates: the different blocks that can stand there.
        decisions: the numbers of those that choose among them.
        chosen: the number of the candidate for every combination of their options, the last decision's fastest.
    """

    stage: int
    source: Shape
    out: Shape
    candidates: tuple[Block, ...]
    decisions: tuple[int, ...]
    chosen: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Layers of which the first few are there.

    Attributes:
        layers: all that a member can have.
        depth: the number of the decision that says how many are there; None where all always are.
        depths: layers for each of its options.
    """

    layers: tuple[Layer, ...]
    depth: int | None
    depths: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Choices:
    """What a search by gradient decides, and about which layers; `choices_of` makes it.

    Attributes:
        space: of the networks.
        decisions: independent of each other.
        groups: of layers, in order.
        frame: a member with every layer; its stem, head and resolution are those of all.
    """

    space: Space
    decisions: tuple[Decision, ...]
    groups: tuple[Group, ...]
    frame: Network

    def rows(self, options: Options) -> Encodings:
        """The members as rows, from the numbers of the decisions' options, [N, decisions]."""
        rows = np.zeros((len(options), len(self.space.choices)), np.int8)
        for place, decision in enumerate(self.decisions):
            rows[:, decision.choices] = np.array(decision.options, np.int8)[options[:, place]]
        return cleared(self.space, rows)

    def options(self, row: npt.NDArray[np.int8]) -> tuple[int, ...]:
        """The numbers of the decisions' options for a row; 0 where it decides nothing.

        Example:
            >>> from allometry.nas import sample_encodings
            >>> from allometry.nas.gradient import choices_of
            >>> from allometry.catalog import find_space
            >>> choices = choices_of(find_space("fbnet"))
            >>> row = sample_encodings(choices.space, np.random.default_rng(0), 1)[0]
            >>> bool((choices.rows(np.array([choices.options(row)])) == row).all())
            True
        """
        found = []
        for decision in self.decisions:
            numbers = tuple(int(row[choice]) for choice in decision.choices)
            found.append(0 if ABSENT in numbers else decision.options.index(numbers))
        return tuple(found)

    def candidate(self, layer: Layer, options: Sequence[int]) -> int:
        """The number of the candidate that stands in a layer with these options of all decisions."""
        place = 0
        for number in layer.decisions:
            place = place * len(self.decisions[number].options) + options[number]
        return layer.chosen[place]
