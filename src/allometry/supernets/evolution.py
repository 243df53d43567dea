"""Evolution in a space: limits, what was seen before, where it starts, and how children are made."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from allometry.arch.any_space import AnySpace
from allometry.base import BudgetError
from allometry.nas.encodings import Encodings, cleared, cross_encodings, mutate_encodings, sample_encodings
from allometry.nas.proposals import EncodingFilter
from allometry.supernets.features import check_encodings, of_whole_network

Transform = Callable[[Encodings], Encodings]
"""A projection of encodings onto those that are sought, such as `couple_encodings` with its space."""
_DRAWS = 20  # times that members to start from are drawn
_REDRAWS, _MORE = 5, 4  # times that children are drawn, and how many times as many at most
_LEAST_DRAWN = 10_000  # random members, before a space counts as one where hardly any is allowed
_ONE_CHOICE = 0.5  # of the children by mutation, the fraction that differs in one choice only


class SubnetEvolution:
    """Makes members that are allowed and were not looked at before.

    Args:
        space: of the members.
        allows: which encodings keep all limits.
        transform: a projection of encodings onto those that are sought, such as `couple_encodings`; None for all.
        rate: of mutation, for each choice.
        network_rate: of the choices of the whole network, such as the resolution.
        seed: of all chance.
    """

    def __init__(
        self,
        space: AnySpace,
        allows: EncodingFilter,
        transform: Transform | None,
        *,
        rate: float,
        network_rate: float,
        seed: int,
    ) -> None:
        self.space, self._allows, self._transform = space, allows, transform
        self.random = np.random.default_rng(seed)
        whole = of_whole_network(space)
        self._rate, self._rates = rate, dict.fromkeys(whole, network_rate)
        self._seen = SeenEncodings(len(space.choices))
        self._share = 1.0

    def first(self, number: int, start: Encodings | None) -> Encodings:
        """Members to start from, about so many: those given, the smallest, random ones, and such near these.

        Raises:
            BudgetError: nothing is allowed of all that was looked at.
            InputError: the start has encodings of another space.
        """
        smallest = np.zeros((1, len(self.space.choices)), np.int8)
        starts = smallest[:0] if start is None else start
        check_encodings(self.space, starts)
        members = self._new(np.concatenate([starts, cleared(self.space, smallest)]))
        at_once = max(number, _LEAST_DRAWN // _DRAWS)
        for _ in range(_DRAWS):
            if len(members) >= number:
                break
            drawn = sample_encodings(self.space, self.random, at_once, by="choice")
            members = np.concatenate([members, self._new(drawn)])
        if not len(members):
            raise BudgetError(
                f"Of {_DRAWS * at_once + 1 + len(starts):,} networks of {self.space.name or 'the space'}, its smallest "
                "among them, none is within the limits. Raise the limits, give a space of smaller networks, or start "
                "from a network that keeps them, such as the one that `least` finds."
            )
        for _ in range(_DRAWS):  # where hardly any member is allowed, walk from one that is to others nearby
            if len(members) >= number:
                break
            near = members[self.random.integers(len(members), size=number)]
            members = np.concatenate([members, self._new(mutate_encodings(self.space, near, self.random))])
        return members

    def children(self, parents: Encodings, others: Encodings, number: int, *, mutated: float) -> Encodings:
        """About so many new members that are allowed, by mutation and by crossing.

        What is not allowed, or was seen before, is drawn anew a few times, and so many more are made at once as were
        of no use the time before. Fewer come, or none, where little that is new is allowed.

        Args:
            parents: to mutate, and to cross.
            others: as many, whom these are crossed with.
            number: of children.
            mutated: the fraction by mutation.
        """
        allowed = parents[:0]
        for _ in range(_REDRAWS):
            lacking = number - len(allowed)
            if lacking <= number // 10:
                break
            made = self._made(parents, others, min(int(lacking / self._share) + 1, _MORE * number), mutated)
            new = self._new(made)
            self._share = max(len(new) / len(made), 1 / _MORE)
            allowed = np.concatenate([allowed, new])
        return allowed

    def _made(self, parents: Encodings, others: Encodings, number: int, mutated: float) -> Encodings:
        taken = self.random.integers(len(parents), size=number)
        by_one = round(number * mutated * _ONE_CHOICE)
        by_rate = round(number * mutated) - by_one
        one, rate, crossed = np.split(taken, (by_one, by_one + by_rate))
        return np.concatenate(
            [
                mutate_encodings(self.space, parents[one], self.random),
                mutate_encodings(self.space, parents[rate], self.random, rate=self._rate, rates=self._rates),
                cross_encodings(self.space, parents[crossed], others[crossed], self.random),
            ]
        )

    def _new(self, encodings: Encodings) -> Encodings:
        """Those that are allowed and were not seen before, each once."""
        if self._transform is not None:
            encodings = self._transform(encodings)
        encodings = encodings[self._seen.first(encodings)]
        kept: Encodings = (
            encodings[np.asarray(self._allows(encodings), bool)] if len(encodings) else encodings
        )
        return kept


Keys = npt.NDArray[np.uint64]
_SEED = 0x5EE4


class SeenEncodings:
    """Tells encodings that come for the first time from those that were met before.

    An encoding is kept as a number of 64 bits, the sum of its options times random numbers, one for each choice. So two
    of ten million different encodings have the same one with a probability of some millionths; the later of them is
    taken for met. The numbers stand in a few sorted arrays, each more than twice as long as the next, which are merged
    as they grow.

    Args:
        width: of the encodings.

    Example:
        >>> seen = SeenEncodings(2)
        >>> encodings = np.array([[0, 1], [2, -1], [0, 1]], np.int8)
        >>> seen.first(encodings).tolist(), seen.first(encodings[1:] + 1).tolist(), seen.first(encodings).tolist()
        ([0, 1], [0, 1], [])
    """

    def __init__(self, width: int) -> None:
        self._factors: Keys = np.random.default_rng(_SEED).integers(
            2**64, size=width, dtype=np.uint64, endpoint=False
        )
        self._parts: list[Keys] = []

    def first(self, encodings: Encodings) -> npt.NDArray[np.int64]:
        """The places, in order, of encodings that were not met, each once; from now on they are met."""
        keys, places = np.unique(self._keys(encodings), return_index=True)
        for part in self._parts:
            near = np.minimum(np.searchsorted(part, keys), len(part) - 1)
            fresh = part[near] != keys
            keys, places = keys[fresh], places[fresh]
        if len(keys):
            self._keep(keys)
        return np.sort(places)

    def _keys(self, encodings: Encodings) -> Keys:
        keys = np.zeros(len(encodings), np.uint64)
        for column, factor in zip(encodings.T, self._factors, strict=True):
            keys += column.astype(np.uint64) * factor
        return keys

    def _keep(self, keys: Keys) -> None:
        self._parts.append(keys)
        while len(self._parts) > 1 and len(self._parts[-2]) <= 2 * len(self._parts[-1]):
            last = self._parts.pop()
            self._parts[-1] = np.sort(np.concatenate([self._parts[-1], last]), kind="stable")
