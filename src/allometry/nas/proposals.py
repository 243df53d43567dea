"""Which network is tried as the n-th: the same with one worker and with many, before a kill and after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from allometry.arch import Space
from allometry.nas.encodings import Encoding, Encodings, Values, sample_encodings
from allometry.nas.searchers import EncodedSearcher, Searcher
from allometry.nas.trials import Trial, TrialOutcome

EncodingFilter = Callable[[Encodings], npt.NDArray[np.bool_]]
"""Which of these encodings, [N, choices], keep all limits."""
_AT_ONCE, _DRAWS = 10_000, 20


class Proposals:
    """What a searcher proposes, less what is over a limit or was proposed before.

    The n-th proposal follows from the results up to number n - `max_pending`, whatever else is known by then: so many
    trainings may be under way at once, and the search does not depend on which of them ends first.

    Args:
        space: of the searcher.
        searcher: that nobody else asks; any object with ask and tell.
        allowed: which encodings keep the limits.
        max_pending: results that may be open when a proposal is made, at least 1.
        seed: of the draws that take the searcher's place where it finds nothing new.

    Attributes:
        max_pending: as given.
        differ: the first of the trials that were there already which the searcher did not propose; None for none.

    Example:
        >>> from allometry.nas import make_searcher
        >>> from allometry.catalog import find_space
        >>> space = find_space("fbnet")
        >>> searcher = make_searcher("random", space)
        >>> proposals = Proposals(space, searcher, lambda encodings: encodings[:, 0] == 1, max_pending=2)
        >>> first, second = proposals.propose(0, {}), proposals.propose(1, {})
        >>> int(first[0]), bool((first == second).all())
        (1, False)
    """

    def __init__(
        self, space: Space, searcher: Searcher, allowed: EncodingFilter, *, max_pending: int, seed: int = 0
    ) -> None:
        self._space, self._searcher, self._allowed = space, EncodedSearcher(space, searcher), allowed
        self.max_pending, self._seed = max_pending, seed
        self.differ: int | None = None
        self._rows: list[Encoding | None] = []
        self._seen: set[bytes] = set()
        self._told = 0

    def ready(self, number: int, known: Mapping[int, Trial]) -> bool:
        """Whether all is known that this proposal follows from."""
        return all(earlier in known for earlier in range(number - self.max_pending + 1))

    def propose(self, number: int, known: Mapping[int, Trial]) -> Encoding | None:
        """The network of this number, or None where nothing new is left to try.

        Args:
            number: from 0.
            known: the results so far, by number.
        """
        while len(self._rows) <= number:
            self._rows.append(self._next(known))
        return self._rows[number]

    def _next(self, known: Mapping[int, Trial]) -> Encoding | None:
        number = len(self._rows)
        if self._rows and self._rows[-1] is None:
            return None
        while self._told <= number - self.max_pending:
            result = known[self._told]
            self._seen.add(result.encoding.tobytes())
            self._searcher.tell(result.encoding, result.values)
            self._told += 1
        encoding = self._new(number)
        if number in known:
            encoding = self._as_tried(encoding, known[number])
        if encoding is not None:
            self._seen.add(encoding.tobytes())
        return encoding

    def _new(self, number: int) -> Encoding | None:
        for _ in range(self._searcher.tries):
            encoding = self._searcher.ask()
            if encoding.tobytes() not in self._seen and self._allowed(encoding[None])[0]:
                return encoding
            self._searcher.refuse(encoding)
        return self._by_chance(number)

    def _as_tried(self, encoding: Encoding | None, trial: Trial) -> Encoding:
        """What was tried under this number, whatever a searcher that is asked anew says now."""
        if encoding is not None and np.array_equal(encoding, trial.encoding):
            return encoding
        self.differ = trial.number if self.differ is None else self.differ
        if encoding is not None:
            self._searcher.refuse(encoding)
        return trial.encoding

    def _by_chance(self, number: int) -> Encoding | None:
        """A new network within the limits from very many random ones."""
        random = np.random.default_rng((self._seed, number))
        for _ in range(_DRAWS):
            encodings = sample_encodings(self._space, random, _AT_ONCE)
            new = (
                encoding
                for encoding in encodings[self._allowed(encodings)]
                if encoding.tobytes() not in self._seen
            )
            first: Encoding | None = next(new, None)
            if first is not None:
                return first
        return None


def follow(
    proposals: Proposals, objective_values: Callable[[Encoding], Values], trials: int
) -> list[tuple[Encoding, Values]]:
    """A whole search in memory where what a network is worth is known at once, such as from a table of results.

    Args:
        proposals: with nothing outstanding but the next.
        objective_values: of an encoding.
        trials: at most.

    Returns:
        What was tried, in order; fewer where nothing new is left.

    Example:
        >>> from allometry.nas import make_searcher
        >>> from allometry.catalog import find_space
        >>> space = find_space("fbnet")
        >>> searcher = make_searcher("evolution", space)
        >>> proposals = Proposals(space, searcher, lambda encodings: encodings[:, 0] >= 0, max_pending=1)
        >>> trials = follow(proposals, lambda encoding: (float((encoding == 7).sum()),), 200)
        >>> trials[0][1] < max(values for _, values in trials)
        True
    """
    known: dict[int, Trial] = {}
    for number in range(trials):
        encoding = proposals.propose(number, known)
        if encoding is None:
            break
        known[number] = Trial(
            number=number, encoding=encoding, values=objective_values(encoding), outcome=TrialOutcome()
        )
    return [(trial.encoding, trial.values) for trial in known.values()]
