"""Searchers: what they propose is new, within the limits, better than chance, and the same for the same seed."""

import numpy as np
import pytest

from allometry.arch import members
from allometry.base import InputError, UnknownNameError
from allometry.catalog import find_space, get, mbconv_space
from allometry.nas import (
    ABSENT,
    SEARCHERS,
    Costs,
    EvolutionConfig,
    EvolutionSearcher,
    Halving,
    Proposals,
    Trial,
    TrialOutcome,
    cross_encodings,
    encodings_of,
    follow,
    front,
    make_searcher,
    mutate_encodings,
    network_of,
    sample_encodings,
)

FBNET, OFA = find_space("fbnet"), find_space("ofa-mobilenetv3-1.0")
TINY = mbconv_space(get("efficientnet-b0"), kernels=(3, 5), resolutions=(64, 96))


def everything(encodings):
    return np.ones(len(encodings), bool)


def worth_of(space, seed=0):
    """A value for each option of each choice; a network's worth is their sum."""
    random = np.random.default_rng(seed)
    weights = [random.normal(size=len(choice.options)) for choice in space.choices]
    return lambda encoding: (float(sum(w[n] for w, n in zip(weights, encoding, strict=True) if n != ABSENT)),)


@pytest.mark.parametrize("space", [FBNET, OFA, find_space("mnasnet")])
@pytest.mark.parametrize("rate", [None, 0.3])
def test_children_are_members(space, rate):
    random = np.random.default_rng(0)
    parents = sample_encodings(space, random, 60, by="choice")
    children = mutate_encodings(space, parents, random, rate=rate)
    crossed = cross_encodings(space, parents[:30], parents[30:], random)
    for encoding in (*children[:20], *crossed[:20]):
        assert (encodings_of(space, [network_of(space, encoding)])[0] == encoding).all()
    if rate is None:
        both = (children != ABSENT) & (parents != ABSENT)
        assert ((children != parents) & both).sum(1).max() == 1
        assert (children != parents).any(1).all()


def test_other_options_are_taken_evenly():
    parents = np.repeat(sample_encodings(OFA, np.random.default_rng(0), 1, by="choice"), 30_000, axis=0)
    children = mutate_encodings(OFA, parents, np.random.default_rng(1))
    side = children[children[:, 0] != parents[:, 0], 0]
    counts = np.bincount(side, minlength=25)
    assert counts[parents[0, 0]] == 0
    there = (parents[0] >= 0).sum()
    expected = len(parents) / there / 24
    assert np.abs(np.delete(counts, parents[0, 0]) - expected).max() < 5 * expected**0.5


def test_rates_by_choice():
    random = np.random.default_rng(0)
    parents = sample_encodings(OFA, random, 400)
    children = mutate_encodings(OFA, parents, random, rate=0.0, rates={"resolution": 1.0})
    assert (children[:, 0] != parents[:, 0]).all()
    assert (children[:, 1:] == parents[:, 1:]).all()
    with pytest.raises(UnknownNameError, match="resolution"):
        mutate_encodings(OFA, parents, random, rate=0.1, rates={"resolutoin": 0.5})
    with pytest.raises(InputError, match="from 0 to 1"):
        mutate_encodings(OFA, parents, random, rate=2.0)


@pytest.mark.parametrize("name", SEARCHERS.names())
def test_proposals_are_new_within_the_limit_and_the_same_for_the_same_seed(name):
    costs, objective_values = Costs(FBNET), worth_of(FBNET)
    found = [
        follow(
            Proposals(
                FBNET,
                make_searcher(name, FBNET, seed=seed),
                lambda encodings: costs(encodings)["macs"] <= 250e6,
                max_pending=3,
                seed=seed,
            ),
            objective_values,
            30,
        )
        for seed in (1, 1, 2)
    ]
    encodings = [[encoding.tobytes() for encoding, _ in each] for each in found]
    assert encodings[0] == encodings[1] != encodings[2]
    assert len(set(encodings[0])) == 30
    assert costs(np.stack([encoding for encoding, _ in found[0]]))["macs"].max() <= 250e6


COSTLY = {"controller", "tpe"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name in COSTLY))
        for name in sorted({*SEARCHERS.names()} - {"random"})
    ],
)
def test_searchers_beat_chance(name):
    objective_values, trials = worth_of(FBNET), 150

    def best(searcher, seed):
        proposals = Proposals(FBNET, make_searcher(searcher, FBNET, seed=seed), everything, max_pending=1)
        return max(values for _, values in follow(proposals, objective_values, trials))[0]

    ours = [best(name, seed) for seed in range(3)]
    chance = [best("random", seed) for seed in range(3)]
    assert np.mean(ours) > np.mean(chance)


def test_a_proposal_waits_for_what_it_follows_from():
    proposals = Proposals(TINY, make_searcher("evolution", TINY), everything, max_pending=2)
    assert proposals.ready(1, {})
    assert not proposals.ready(2, {})
    encoding = proposals.propose(0, {})
    assert proposals.ready(2, {0: Trial(number=0, encoding=encoding, values=(0.5,), outcome=TrialOutcome())})


def test_a_space_that_is_exhausted_ends():
    small = mbconv_space(get("efficientnet-b0"), resolutions=(64, 96, 128))
    for name in SEARCHERS.names():
        found = follow(
            Proposals(small, make_searcher(name, small), everything, max_pending=1), worth_of(small), 10
        )
        assert len(found) == len(list(members(small))) == 3
    nothing = Proposals(
        small, make_searcher("random", small), lambda encodings: encodings[:, 0] > 9, max_pending=1
    )
    assert follow(nothing, worth_of(small), 10) == []


def test_several_objectives():
    for name in ("random", "evolution", "nsga2", "tpe"):
        searcher = make_searcher(name, FBNET, objectives=2)
        proposals = Proposals(FBNET, searcher, everything, max_pending=1)
        found = follow(
            proposals, lambda encoding: (*worth_of(FBNET)(encoding), *worth_of(FBNET, 1)(encoding)), 40
        )
        assert len(found) == 40
    with pytest.raises(InputError, match="one reward, not from 2"):
        make_searcher("controller", FBNET, objectives=2)


def test_what_failed_is_worth_nothing_to_all():
    for name in SEARCHERS.names():
        proposals = Proposals(TINY, make_searcher(name, TINY), everything, max_pending=1)
        assert len(follow(proposals, lambda _row: (float("-inf"),), 25)) == 25


def test_the_front():
    assert front([(1.0, 1.0), (2.0, 0.0), (0.5, 0.5), (float("-inf"), 9.0), (1.0, 1.0)]) == [0, 1]


def test_settings_of_the_evolution_are_checked():
    with pytest.raises(InputError, match="from 1 to its population, 4, not 5"):
        EvolutionConfig(population=4, sample=5)


def test_the_population_grows_with_the_search_unless_it_is_given():
    class Watched(EvolutionSearcher):
        def living(self):
            return len(self._living)

    for settings, expected in ((EvolutionConfig(), [6, 6, 25]), (EvolutionConfig(population=9), [9, 9, 9])):
        searcher, sizes = Watched(FBNET, seed=0, settings=settings), []
        for number in range(1, 101):
            searcher.tell(searcher.ask(), (float(number),))
            sizes += [searcher.living()] if number in (10, 24, 100) else []
        assert sizes == expected


def test_a_short_evolution_has_children_of_good_networks():
    """Of 24 trials most are children: they are better than as many by chance."""
    values = {
        name: [
            max(
                value[0]
                for _, value in follow(
                    Proposals(FBNET, make_searcher(name, FBNET, seed=seed), everything, max_pending=1),
                    worth_of(FBNET),
                    24,
                )
            )
            for seed in range(12)
        ]
        for name in ("random", "evolution")
    }
    assert np.mean(values["evolution"]) > np.mean(values["random"]) + np.std(values["random"]) / 2


def test_halving_asks_those_that_came_as_far():
    halving = Halving(rungs=(1, 2))
    tried = [
        Trial(
            number=n,
            encoding=np.zeros(1, np.int8),
            values=(0.0,),
            outcome=TrialOutcome(rungs=((n / 10,), (n / 5,))[: 1 + n % 2]),
        )
        for n in range(6)
    ]
    rung_values = halving.rung_values(tried)
    assert [len(each) for each in rung_values] == [6, 3]
    assert halving.stops((0.15,), rung_values[0])
    assert not halving.stops((0.25,), rung_values[0])
    assert not halving.stops((0.0,), rung_values[1])  # three before it are too few
    # Of several objectives, only those that are better in all of them count against it.
    assert not halving.stops((0.1, 0.9), [(0.5, 0.1)] * 8)
