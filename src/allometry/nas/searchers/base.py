"""What every searcher does: it is asked for networks and told what they are worth."""

from __future__ import annotations

from typing import Protocol

from allometry.nas.encodings import Encoding, Values


class Searcher(Protocol):
    """Proposes members of a space, and is told what they are worth.

    It is asked and told in an order that does not depend on which training ends first, so that the same seed gives the
    same search with one worker and with many.

    Attributes:
        tries: proposals that may be refused one after the other before chance takes its place.

    Example:
        >>> from allometry.nas import make_searcher
        >>> from allometry.catalog import find_space
        >>> searcher = make_searcher("evolution", find_space("mnasnet"), seed=0)
        >>> for values_of_all in (0.3, 0.7):
        ...     searcher.tell(searcher.ask(), (values_of_all,))
    """

    tries: int

    def ask(self) -> Encoding:
        """A member, as an encoding."""

    def tell(self, encoding: Encoding, values: Values) -> None:
        """What an encoding is worth: a number for each objective, the larger the better; minus infinity for nothing."""

    def refuse(self, encoding: Encoding) -> None:
        """An encoding that was asked for is not tried: it is over a limit, or was tried before."""


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
