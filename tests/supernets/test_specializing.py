"""Evolution over a predictor: the best within limits, never outside them, and an end even where there is none."""

import numpy as np
import pytest

from allometry.arch import members
from allometry.base import BudgetError, InputError
from allometry.catalog import find_space, get, mbconv_space
from allometry.nas import Costs, encodings_of, network_of, sample_encodings
from allometry.supernets.coupling import couple_encodings
from allometry.supernets.extremes import least_counted
from allometry.supernets.pareto import ParetoConfig, pareto
from allometry.supernets.specialize import SpecializeConfig, specialize

OFA = find_space("ofa-mobilenetv3-1.0")
COSTS = Costs(OFA)
TINY = mbconv_space(get("efficientnet-b0"), kernels=(3, 5), resolutions=(64, 96, 128), name="tiny")
QUICK = SpecializeConfig(population=100, generations=25)


def macs(encodings):
    return COSTS(encodings)["macs"]


def within(most):
    return lambda encodings: macs(encodings) <= most


def everything(encodings):
    return np.ones(len(encodings), bool)


def worth(space, seed=0):
    random = np.random.default_rng(seed)
    table = random.normal(
        0, 0.01, (len(space.choices), 1 + max(len(choice.options) for choice in space.choices))
    )
    return lambda encodings: (
        0.7 + table[np.arange(encodings.shape[1]), encodings].sum(1)
    )  # -1 is the last column


@pytest.mark.parametrize("limit", [1e9, 300e6, 120e6, 45e6])
def test_it_is_within_the_limit_and_better_than_chance(limit):
    asked = []

    def predictor(encodings):
        asked.append(encodings)
        return worth(OFA)(encodings)

    found = specialize(OFA, predictor, allows=within(limit), settings=QUICK)
    every = np.concatenate(asked)
    assert macs(every).max() <= limit
    assert len(np.unique(every, axis=0)) == len(every) == found.examined  # none is looked at twice
    assert len(np.unique(found.encodings, axis=0)) == len(found.encodings) == 10
    assert (np.diff(found.accuracies) <= 0).all()
    assert (found.accuracies == worth(OFA)(found.encodings)).all()
    assert found.history[-1] == found.accuracies[0]
    assert (np.diff(found.history) >= 0).all()
    encodings = sample_encodings(OFA, np.random.default_rng(1), 20_000, by="choice")
    assert found.accuracies[0] > worth(OFA)(encodings)[within(limit)(encodings)].max(initial=0)
    assert OFA.contains(network_of(OFA, found.encodings[0]))


def test_it_finds_the_best_of_a_space_that_can_be_gone_through():
    small = mbconv_space(get("efficientnet-b0"), depths=(1, 2), resolutions=(64, 96, 128), name="small")
    encodings = encodings_of(small, list(members(small)))
    for seed in range(3):
        found = specialize(small, worth(small, seed), allows=everything, settings=QUICK)
        assert found.accuracies[0] == worth(small, seed)(encodings).max()
        assert found.examined <= len(encodings)


def test_the_same_seed_gives_the_same_result():
    results = [
        specialize(OFA, worth(OFA), allows=within(200e6), settings=QUICK, seed=seed) for seed in (1, 1, 2)
    ]
    assert (results[0].encodings == results[1].encodings).all()
    assert results[0].history == results[1].history != results[2].history


def test_a_tight_budget_is_walked_to_from_the_smallest():
    smallest = macs(encodings_of(OFA, [OFA.smallest()]))[0]
    limit = smallest * 1.1
    drawn = sample_encodings(OFA, np.random.default_rng(0), 20_000, by="choice")
    assert not (macs(drawn) <= limit).any()
    found = specialize(OFA, worth(OFA), allows=within(limit), settings=QUICK)
    assert found.examined > 500
    assert found.history[-1] > found.history[0]
    alone = specialize(OFA, worth(OFA), allows=within(smallest), settings=QUICK)
    assert len(alone.encodings) == alone.examined == len(alone.accuracies) == 1


def test_where_nothing_is_allowed_the_search_ends():
    least = least_counted(OFA, "macs")
    with pytest.raises(BudgetError, match=r"none is within the limits\. Raise the limits"):
        specialize(OFA, worth(OFA), allows=within(least.value - 1), settings=QUICK)
    with pytest.raises(BudgetError, match="its smallest among them"):
        pareto(OFA, worth(OFA), cost=macs, allows=within(least.value - 1))
    found = specialize(
        OFA, worth(OFA), allows=within(least.value), settings=QUICK, start=least.encoding[None], seed=1
    )
    assert (found.encodings == least.encoding).all()


def test_what_is_given_to_start_from_is_looked_at():
    best = specialize(OFA, worth(OFA), allows=everything, settings=QUICK)
    again = specialize(
        OFA,
        worth(OFA),
        allows=everything,
        settings=SpecializeConfig(population=10, generations=0),
        start=best.encodings[:1],
        seed=5,
    )
    assert again.accuracies[0] == best.accuracies[0]
    with pytest.raises(InputError, match=r"Encodings of the space"):
        specialize(OFA, worth(OFA), allows=everything, start=best.encodings[:, :-1])


def test_a_projection_holds_for_all_that_is_looked_at():
    found = specialize(
        OFA,
        worth(OFA),
        allows=within(300e6),
        settings=QUICK,
        transform=lambda encodings: couple_encodings(OFA, encodings),
    )
    assert (couple_encodings(OFA, found.encodings) == found.encodings).all()
    front = pareto(
        OFA,
        worth(OFA),
        cost=macs,
        settings=ParetoConfig(population=100, generations=5),
        transform=lambda encodings: couple_encodings(OFA, encodings),
    )
    assert (couple_encodings(OFA, front.encodings) == front.encodings).all()


def test_the_front_of_a_space_that_can_be_gone_through():
    small = mbconv_space(get("efficientnet-b0"), depths=(1, 2), resolutions=(64, 96, 128), name="small")
    costs, encodings = Costs(small), encodings_of(small, list(members(small)))
    price, value = costs(encodings)["macs"], worth(small)(encodings)
    best = {
        (float(one), float(other))
        for one, other in zip(price, value, strict=True)
        if not ((price <= one) & (value >= other) & ((price < one) | (value > other))).any()
    }
    front = pareto(small, worth(small), cost=lambda encodings: costs(encodings)["macs"])
    assert set(zip(front.costs.tolist(), front.accuracies.tolist(), strict=True)) == best


def test_a_front_is_as_good_as_one_search_after_the_other():
    settings = ParetoConfig(population=300, generations=60)
    front = pareto(OFA, worth(OFA), cost=macs, allows=within(400e6), settings=settings)
    assert (np.diff(front.costs) > 0).all()
    assert (np.diff(front.accuracies) > 0).all()
    assert front.costs.max() <= 400e6
    assert (front.costs == macs(front.encodings)).all()
    for limit in (60e6, 150e6, 350e6):
        alone = specialize(OFA, worth(OFA), allows=within(limit), settings=QUICK)
        reached = front.accuracies[front.costs <= limit].max()
        assert reached > alone.accuracies[0] - 0.02


def test_wrong_settings_are_refused():
    for wrong in ({"population": 1}, {"generations": -1}, {"best": 0}, {"rate": 1.5}, {"parents": -0.1}):
        with pytest.raises(InputError, match=f"{next(iter(wrong))} must be"):
            SpecializeConfig(**wrong)
    for wrong in ({"living": 1}, {"population": 1}, {"generations": -1}, {"mutated": 2.0}):
        with pytest.raises(InputError, match=f"{next(iter(wrong))} must be"):
            ParetoConfig(**wrong)
    with pytest.raises(InputError, match="cost something above 0"):
        pareto(TINY, worth(TINY), cost=lambda encodings: np.zeros(len(encodings)))
