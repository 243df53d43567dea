import pytest
import torch

import allometry as al
from allometry.arch import save
from allometry.base import BudgetError, InputError
from allometry.verbs.scale import scale_in_full

B0 = al.get("efficientnet-b0")


def test_by_steps_of_a_law():
    assert al.count(al.scale(B0, 3)) == al.count(al.get("efficientnet-b3-formula"))
    assert al.scale("efficientnet-b0", phi=3) == al.scale(B0, 3)
    assert al.count(al.scale(B0, -2.5)).macs < al.count(B0).macs / 3
    law = al.ScalingLaw(alpha=1.1, beta=1.2, gamma=1.0)
    assert al.scale(B0, 1, law=law) == al.scale(B0, 1, law="1.1,1.2,1.0")
    assert al.scale(B0, 1, law=law).resolution == B0.resolution


def test_to_a_budget_as_solve_does_it():
    budget = al.parse_budget("macs<=100M, params<=5M")
    assert al.scale(B0, budget=budget) == al.solve(B0, budget).network == al.scale(B0, budget=budget.exact())
    assert 3.9 < al.count(al.scale(B0, budget="4x")).macs / al.count(B0).macs <= 4


def test_by_hand_and_with_another_multiple_of_channels():
    assert al.count(al.scale(B0, depth=1.4, width=1.2, resolution=300 / 224)) == al.count(
        al.get("efficientnet-b3")
    )
    wide = al.scale(B0, width=1.2, channel_multiple=32)
    assert {stage.block.channels % 32 for stage in wide.stages} == {0}


def test_the_form_for_integer_hardware(tmp_path):
    assert al.count(al.scale(B0, lite=True)).params == 4652008
    save(B0, tmp_path / "mine.json")
    assert al.scale(tmp_path / "mine.json", lite=True, phi=1) == al.scale(B0, 1, lite=True)


def test_a_backbone_is_counted_without_its_head():
    whole = scale_in_full(B0, budget="200M, params<=3M", features_only=True)
    assert whole.cost == al.count(whole.network, features_only=True)
    assert max(whole.cost.macs / 200e6, whole.cost.params / 3e6) > 0.97
    assert whole.cost.macs <= 200e6
    assert whole.cost.params <= 3e6 < al.count(whole.network).params
    assert whole.network == al.solve(B0, "200M, params<=3M", features_only=True).network
    grown = scale_in_full(B0, budget="4x", features_only=True)
    assert 3.9 < grown.cost.macs / al.count(B0, features_only=True).macs <= 4
    for by in ({"phi": 1}, {"depth": 1.2}):
        grown = scale_in_full(B0, features_only=True, **by)
        assert grown.cost == al.count(grown.network, features_only=True)


@pytest.mark.parametrize("argument", [{"method": "pairs"}, {"example_input": 3}])
def test_what_modules_take_is_refused_for_networks_that_are_data(argument):
    with pytest.raises(InputError, match=f"{next(iter(argument))} is for torch modules"):
        al.scale(B0, 1, **argument)


def test_in_full_it_says_how():
    whole = scale_in_full(B0, budget="100M")
    assert whole.network == al.scale(B0, budget="100M")
    assert whole.origin == B0
    assert whole.phi < 0
    assert whole.to_dict()["macs"] == whole.cost.macs == al.count(whole.network).macs
    assert whole.to_dict()["depth"] == whole.multipliers.depth


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({}, InputError, "Give one of phi, budget, or multipliers"),
        ({"phi": 1, "budget": "4x"}, InputError, "Give one of"),
        ({"width": 2, "law": "fast"}, InputError, "one or the other"),
        ({"phi": 1, "runtime": "torch"}, InputError, "give a budget, such as latency"),
        (
            {"budget": "latency<=9ms", "features_only": True},
            InputError,
            "of a backbone is counted, but only whole",
        ),
        ({"budget": "1k", "features_only": True}, BudgetError, "the smallest has macs"),
        ({"budget": "1k"}, BudgetError, "the smallest has macs"),
        ({"budget": 10**9}, BudgetError, "not a int"),
        ({"width": -1}, InputError, "must be a positive number"),
        ({"phi": 1, "law": "compond"}, InputError, "'compound'"),
    ],
)
def test_mistakes(arguments, error, says):
    with pytest.raises(error, match=says):
        al.scale(B0, **arguments)


@pytest.mark.parametrize(
    "wrong", [{"width": "a"}, {"seed": "a"}, {"channel_multiple": 0}, {"depth": float("inf")}]
)
def test_numbers_of_modules_that_are_none_are_refused(wrong):
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.Flatten())
    with pytest.raises(al.AllometryError, match=next(iter(wrong))):
        al.scale(module, example_input=torch.zeros(1, 3, 8, 8), **{"width": 2, **wrong})
