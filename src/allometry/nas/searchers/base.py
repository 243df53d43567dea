"""What a searcher is: any object that is asked for networks and told what they are worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from allometry.arch import Network, Option, Space
from allometry.base import InputError
from allometry.base.plugins import Registry
from allometry.nas.encodings import ABSENT, Encoding, Values, cleared, encodings_of, network_of

Proposal: TypeAlias = Mapping[str, Option] | Network | npt.NDArray[np.integer[Any]]
"""A member of a space: its decisions, by the name of the choice; or the network; or its encoding."""


@runtime_checkable
class Searcher(Protocol):
    """Proposes members of a space, and is told what they are worth; any object with these two methods is one.

    It is asked and told in an order that does not depend on which training ends first, so that the same seed gives the
    same search with one worker and with many. A search that goes on asks and tells a new one, or a new copy of one
    that was given as an object, all over again: what it remembers follows from that, and need not be saved.

    It may have more: `refuse(proposal)`, called for a proposal that is not tried since it is over a limit or was tried
    before; and `tries`, how many may be refused one after the other before chance takes its place.

    Example:
        >>> from allometry.catalog import find_space
        >>> class Shuffled:
        ...     def __init__(self, space, *, seed, objectives):
        ...         self.space, self.random = space, np.random.default_rng(seed)
        ...
        ...     def ask(self):
        ...         return {
        ...             choice.name: choice.options[self.random.integers(len(choice.options))]
        ...             for choice in self.space.choices
        ...         }
        ...
        ...     def tell(self, proposal, values):
        ...         print(proposal["stage 1 depth"], values)
        >>> searcher = Shuffled(find_space("mnasnet"), seed=0, objectives=1)
        >>> searcher.tell(searcher.ask(), (0.7,))
        3 (0.7,)
    """

    def ask(self) -> Proposal:
        """A member of the space: decisions, a network, or an encoding."""

    def tell(self, proposal: Any, values: Values) -> None:  # noqa: ANN401 - of the kind that it asks with
        """What a member is worth: a number for each objective, the larger the better; minus infinity for nothing.

        Args:
            proposal: the very object that `ask` gave. Of what it did not propose itself the like: decisions have the
                first option where a choice sets nothing.
            values: of the objectives, in their order.
        """


class MakeSearcher(Protocol):
    """Makes the searcher of a space that is not known before the images are read; a class does.

    Example:
        >>> from allometry.catalog import find_space
        >>> from allometry.nas.searchers import EvolutionSearcher
        >>> maker: MakeSearcher = EvolutionSearcher
        >>> space = find_space("fbnet")
        >>> space.contains(network_of(space, maker(space, seed=0, objectives=1).ask()))
        True
    """

    def __call__(self, space: Space, *, seed: int, objectives: int) -> Searcher:
        """A searcher.

        Args:
            space: to draw from.
            seed: of all its chance.
            objectives: how many values it will be told of a network.
        """


@dataclass(frozen=True, slots=True)
class NamedSearcher:
    """A searcher that a command can name.

    Attributes:
        name: by which it is chosen.
        make: a class or function that makes it of a space, a seed and the number of objectives.

    Example:
        >>> from allometry.nas import RandomSearcher
        >>> NamedSearcher("chance", RandomSearcher).name
        'chance'
    """

    name: str
    make: MakeSearcher


SEARCHERS: Registry[NamedSearcher] = Registry("searcher", package="allometry.nas.searchers")
"""The searchers that `allometry search --searcher` takes; each registers itself in its own file, and so do plugins'."""
_TRIES = 50
_KINDS = "decisions (options by the name of their choice), a network of the space, or its encoding"


class EncodedSearcher:
    """A searcher as the search uses it: in encodings, with what it may leave out, and each proposal given back to it.

    Args:
        space: of the searcher.
        searcher: anybody's.

    Raises:
        InputError: it proposes what is no member of the space.

    Example:
        >>> from allometry.catalog import find_space
        >>> class First:
        ...     def __init__(self, space):
        ...         self.space = space
        ...
        ...     def ask(self):
        ...         return self.space.smallest()
        ...
        ...     def tell(self, network, values):
        ...         print(network.depth, values)
        >>> space = find_space("ofa-mobilenetv3-1.0")
        >>> encoded = EncodedSearcher(space, First(space))
        >>> encoded.tell(encoded.ask(), (0.5,))
        11 (0.5,)
    """

    def __init__(self, space: Space, searcher: Searcher) -> None:
        self._space, self._searcher, self._name = space, searcher, type(searcher).__name__
        self._open: dict[bytes, list[Proposal]] = {}  # one may be proposed again before it is told
        self._kind: type[Proposal] = np.ndarray
        self.tries: int = getattr(searcher, "tries", _TRIES)

    def ask(self) -> Encoding:
        """The encoding of what it proposes."""
        proposal = self._searcher.ask()
        encoding = self._encoding(proposal)
        self._open.setdefault(encoding.tobytes(), []).append(proposal)
        self._kind = type(proposal)
        return encoding

    def tell(self, encoding: Encoding, values: Values) -> None:
        """What an encoding is worth, whoever proposed it."""
        proposals = self._open.pop(encoding.tobytes(), None)
        self._searcher.tell(proposals[0] if proposals else self._like_others(encoding), values)

    def refuse(self, encoding: Encoding) -> None:
        """An encoding that it proposed is not tried."""
        proposals = self._open.get(encoding.tobytes())
        refuse = getattr(self._searcher, "refuse", None)
        if not proposals:
            return  # chance had taken its place
        proposal = proposals.pop()
        if refuse is not None:
            refuse(proposal)

    def _encoding(self, proposal: Proposal) -> Encoding:
        space, network = self._space, proposal
        if isinstance(proposal, Mapping):
            network = space.network(proposal)
        if isinstance(network, Network):
            encoding: Encoding = encodings_of(space, [network])[0]
            return encoding
        if not isinstance(proposal, np.ndarray):
            raise InputError(f"{self._name}.ask must give {_KINDS}, not a {type(proposal).__name__}.")
        sizes = np.array([len(choice.options) for choice in space.choices])
        if proposal.shape != sizes.shape or np.any(proposal < ABSENT) or np.any(proposal >= sizes):
            raise InputError(
                f"{self._name}.ask gave an encoding that is none of this space: it has a number for each of "
                f"{len(sizes)} choices, from 0 to below the number of its options, or {ABSENT} where it sets nothing."
            )
        encodings = cleared(space, proposal[None].astype(np.int8))
        return np.asarray(encodings[0], np.int8)

    def _like_others(self, encoding: Encoding) -> Proposal:
        """The member of an encoding as this searcher writes members."""
        if issubclass(self._kind, np.ndarray):
            return encoding
        network = network_of(self._space, encoding)
        if issubclass(self._kind, Network):
            return network
        first = {choice.name: choice.options[0] for choice in self._space.choices}
        return {**first, **self._space.decisions_of(network)}


def dominates(one: Values, other: Values) -> bool:
    """Whether `one` is nowhere worse than `other`, and somewhere better.

    Example:
        >>> dominates((0.9, -1.0), (0.8, -1.0)), dominates((0.9, -2.0), (0.8, -1.0))
        (True, False)
    """
    pairs = list(zip(one, other, strict=True))
    return all(mine >= theirs for mine, theirs in pairs) and any(mine > theirs for mine, theirs in pairs)


def front(values_of_all: list[Values]) -> list[int]:
    """Which of these are dominated by none, in their order; of equal ones the first, and none that is worth nothing.

    Example:
        >>> front([(0.7, -1.0), (0.9, -3.0), (0.8, -3.0), (0.9, -3.0)])
        [0, 1]
    """
    return [
        place
        for place, values in enumerate(values_of_all)
        if min(values) > float("-inf")
        and not any(dominates(other, values) for other in values_of_all)
        and values not in values_of_all[:place]
    ]
