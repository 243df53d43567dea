import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from allometry.base import RecipeError, UnknownNameError
from allometry.data import Augmentation
from allometry.train import RECIPES, Recipe, RMSPropTF, change, learning_rate, make_optimiser
from allometry.zoo import get


def test_settings_change_fields_of_every_kind():
    recipe = change(
        Recipe(epochs=2),
        "epochs=7",
        "learning_rate=0.5",
        "optimiser=rmsprop",
        "dropout=0.4",
        "augmentation.flip=yes",
        "augmentation.rotation=3",
        "augmentation.border=constant",
    )
    assert (recipe.epochs, recipe.learning_rate, recipe.optimiser, recipe.dropout) == (7, 0.5, "rmsprop", 0.4)
    assert recipe.augmentation == Augmentation(flip=True, rotation=3, border="constant")
    assert change(recipe, "dropout=none").dropout is None


@pytest.mark.parametrize(
    ("setting", "error", "says"),
    [
        ("learning_rat=1", UnknownNameError, "'learning_rate'"),
        ("augmentation.rotate=1", UnknownNameError, "'augmentation.rotation'"),
        ("epochs", RecipeError, "key=value"),
        ("epochs=many", RecipeError, "epochs must be an integer, not 'many'"),
        ("epochs=0", RecipeError, "at least 1"),
        ("learning_rate=fast", RecipeError, "must be a number"),
        ("learning_rate=nan", RecipeError, "learning_rate must be a number from"),
        ("dropout=maybe", RecipeError, "a number or none"),
        ("augmentation.flip=perhaps", RecipeError, "true or false"),
        ("optimiser=adam", RecipeError, "one of adamw, rmsprop"),
        ("crop=0", RecipeError, "crop must be a number from 0.05 to 1"),
    ],
)
def test_wrong_settings_get_a_sentence(setting, error, says):
    with pytest.raises(error, match=says):
        change(Recipe(epochs=2), setting)


@pytest.mark.parametrize("name", RECIPES)
@given(images=st.integers(1, 10**7), drawings=st.booleans())
def test_recipes_fit_any_number_of_images(name, images, drawings):
    recipe = RECIPES[name](images=images, drawings=drawings)
    # Left and right differ in drawings such as arrows.
    assert recipe.augmentation.flip is not drawings
    assert json.loads(json.dumps(recipe.to_dict())) == recipe.to_dict()
    assert recipe.batch_size <= max(8, images) or name == "efficientnet"


def test_the_papers_recipe():
    recipe = RECIPES["efficientnet"](images=1_281_167)
    assert recipe.learning_rate * 4096 / recipe.batch_size == pytest.approx(0.256)
    assert (recipe.weight_decay, recipe.decay, recipe.decay_epochs, recipe.ema) == (1e-5, 0.97, 2.4, 0.9999)
    steps_per_epoch = 5004
    rate = learning_rate(
        recipe, 24 * steps_per_epoch, steps=350 * steps_per_epoch, steps_per_epoch=steps_per_epoch
    )
    assert rate == pytest.approx(recipe.learning_rate * 0.97**10)


def test_a_recipe_applies_its_regularisation_to_the_network():
    network = get("efficientnet-b0")
    assert Recipe(epochs=1).applied_to(network) == network
    changed = Recipe(epochs=1, dropout=0, stochastic_depth=0.5, batch_norm_momentum=0.2).applied_to(network)
    assert (changed.head.dropout, changed.stochastic_depth, changed.batch_norm.momentum) == (0, 0.5, 0.2)


@given(st.integers(1, 300), st.floats(0, 1), st.sampled_from(["cosine", "exponential", "constant"]))
def test_schedules_rise_then_never_rise_again(steps, warmup, schedule):
    recipe = Recipe(epochs=3, learning_rate=1, warmup=warmup, schedule=schedule)
    rates = [learning_rate(recipe, step, steps=steps, steps_per_epoch=10) for step in range(steps)]
    warm = round(warmup * steps)
    assert rates[:warm] == sorted(rates[:warm])
    assert rates[warm:] == sorted(rates[warm:], reverse=True)
    assert all(0 <= rate <= 1 for rate in rates)


def test_rmsprop_follows_tensorflows_definition():
    random = np.random.default_rng(0)
    start, gradients = random.normal(size=5), random.normal(size=(12, 5))
    weight = torch.nn.Parameter(torch.tensor(start))
    optimiser = RMSPropTF([weight], lr=0.01, weight_decay=1e-2)
    expected, square, moment = start.copy(), np.ones(5), np.zeros(5)
    for step, gradient in enumerate(gradients):
        rate = 0.01 * 0.9**step
        optimiser.param_groups[0]["lr"] = rate
        weight.grad = torch.tensor(gradient)
        optimiser.step()
        full = gradient + 1e-2 * expected
        square = 0.9 * square + 0.1 * full**2
        moment = 0.9 * moment + rate * full / np.sqrt(square + 1e-3)
        expected = expected - moment
    assert weight.detach().numpy() == pytest.approx(expected, rel=1e-9)


def test_what_decays():
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.BatchNorm2d(2), torch.nn.Linear(2, 2))
    adamw = make_optimiser(module, Recipe(epochs=1, weight_decay=0.3))
    assert [(g["weight_decay"], len(g["params"])) for g in adamw.param_groups] == [(0.3, 2), (0.0, 4)]
    rmsprop = make_optimiser(module, Recipe(epochs=1, optimiser="rmsprop", weight_decay=0.3))
    assert [(g["weight_decay"], len(g["params"])) for g in rmsprop.param_groups] == [(0.3, 4), (0.0, 2)]


def test_early_epochs_see_smaller_images_and_cost_less():
    network = get("efficientnet-b0")
    recipe = Recipe(epochs=10, early_resolution=0.5, early_epochs=0.4)
    sizes = [recipe.training_resolution(network, epoch) for epoch in range(10)]
    assert sizes == [112] * 4 + [224] * 6
    assert recipe.full_epochs == pytest.approx(sum((size / 224) ** 2 for size in sizes))
    assert Recipe(epochs=7).full_epochs == 7
