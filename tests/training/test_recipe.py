import itertools
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from allometry.base import RecipeError, UnknownNameError
from allometry.catalog import get
from allometry.data import Augmentation
from allometry.training import (
    RECIPES,
    Progressive,
    Recipe,
    RMSPropTF,
    change,
    epoch_of,
    full_epochs,
    learning_rate,
    make_optimizer,
    plan_epochs,
)

B0 = get("efficientnet-b0")


def test_settings_change_fields_of_every_kind():
    recipe = change(
        Recipe(epochs=2),
        "epochs=7",
        "learning_rate=0.5",
        "optimizer=rmsprop",
        "dropout=0.4",
        "augmentation.flip=yes",
        "augmentation.rotation=3",
        "augmentation.border=constant",
    )
    assert (recipe.epochs, recipe.learning_rate, recipe.optimizer, recipe.dropout) == (7, 0.5, "rmsprop", 0.4)
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
        ("learning_rate=nan", RecipeError, "learning_rate must be a number, not 'nan'"),
        ("dropout=maybe", RecipeError, "a number or none"),
        ("augmentation.flip=perhaps", RecipeError, "true or false"),
        ("optimizer=adam", RecipeError, "one of adamw, rmsprop"),
        ("crop=0", RecipeError, "crop must be a number from 0.05 to 1"),
    ],
)
def test_wrong_settings_get_a_sentence(setting, error, says):
    with pytest.raises(error, match=says):
        change(Recipe(epochs=2), setting)


@pytest.mark.parametrize("name", RECIPES)
@given(images=st.integers(1, 10**7), drawings=st.booleans())
def test_recipes_fit_any_number_of_images(name, images, drawings):
    recipe = RECIPES[name](B0, images=images, drawings=drawings)
    # Left and right differ in drawings such as arrows.
    assert recipe.augmentation.flip is not drawings
    assert json.loads(json.dumps(recipe.to_dict())) == recipe.to_dict()
    assert recipe.batch_size <= max(8, images) or name.startswith("efficientnet")


def test_the_papers_recipe():
    recipe = RECIPES["efficientnet"](B0, images=1_281_167)
    assert recipe.learning_rate * 4096 / recipe.batch_size == pytest.approx(0.256)
    assert (recipe.weight_decay, recipe.decay, recipe.decay_epochs, recipe.ema) == (1e-5, 0.97, 2.4, 0.9999)
    epochs = plan_epochs(recipe, B0, 1_281_167)
    assert epochs[0].steps == 5004
    step = 24 * 5004
    assert learning_rate(recipe, epoch_of(epochs, step), step) == pytest.approx(0.016 * 0.97**10)
    assert learning_rate(recipe, epochs[0], 5 * 5004 // 2) == pytest.approx(0.008, rel=1e-3)
    assert recipe.augmentation.policy == "autoaugment"
    dropouts = [RECIPES["efficientnet"](get(f"efficientnet-b{n}"), images=1).dropout for n in range(8)]
    assert dropouts == [0.2, 0.2, 0.3, 0.3, 0.4, 0.4, 0.5, 0.5]


def test_a_recipe_applies_its_regularization_to_the_network():
    network = get("efficientnet-b0")
    assert Recipe(epochs=1).applied_to(network) == network
    changed = Recipe(epochs=1, dropout=0, stochastic_depth=0.5, batch_norm_momentum=0.2).applied_to(network)
    assert (changed.head.dropout, changed.stochastic_depth, changed.batch_norm.momentum) == (0, 0.5, 0.2)


@given(
    st.integers(1, 30),
    st.integers(1, 12),
    st.floats(0, 1),
    st.sampled_from(["cosine", "exponential", "constant"]),
    st.integers(0, 29),
)
def test_schedules_rise_then_never_rise_again(epochs, steps, warmup, schedule, head_epochs):
    recipe = Recipe(
        epochs=epochs,
        batch_size=10,
        learning_rate=1,
        warmup=warmup,
        schedule=schedule,
        head_epochs=min(head_epochs, epochs - 1),
    )
    planned = plan_epochs(recipe, B0, 10 * steps)
    rates = [learning_rate(recipe, epoch_of(planned, step), step) for step in range(epochs * steps)]
    head = recipe.head_epochs * steps
    assert rates[:head] == [1] * head
    rates = rates[head:]
    warm = math.ceil(warmup * len(rates) - 1e-9)
    assert rates[:warm] == sorted(rates[:warm])
    assert rates[warm:] == sorted(rates[warm:], reverse=True)
    assert all(0 <= rate <= 1 for rate in rates)


@given(st.integers(1, 9), st.integers(1, 60), st.floats(0, 1), st.integers(1, 500), st.booleans())
def test_progressive_stages_only_go_forward(stages, epochs, early, images, larger_batches):
    recipe = Recipe(
        epochs=epochs,
        batch_size=16,
        dropout=0.4,
        augmentation=Augmentation(policy="randaugment", magnitude=15, mixup=0.2),
        progressive=Progressive(
            stages=stages,
            early=early,
            resolution=0.4,
            magnitude=5,
            mixup=0.0,
            dropout=0.1,
            larger_batches=larger_batches,
        ),
    )
    planned = plan_epochs(recipe, B0, images)
    for before, after in itertools.pairwise(planned):
        assert after.first_step == before.last_step
        assert before.resolution <= after.resolution
        assert before.augmentation.magnitude <= after.augmentation.magnitude
        assert before.dropout <= after.dropout
        assert before.batch_size >= after.batch_size or before.batch_size == images
        assert after.lr_scale <= before.lr_scale or not larger_batches
    if planned[-1].stage == stages - 1:
        last = planned[-1]
        assert (last.resolution, last.augmentation.magnitude, last.dropout) == (224, 15, 0.4)
        assert (last.batch_size, last.lr_scale) in [(16, 1), (images, (images / 16) ** 0.5)]


def test_version_two_of_the_papers_recipe_follows_its_table():
    for name, sizes, magnitudes, mixups, dropouts in (
        ("s", (128, 300), (5, 15), (0, 0), (0.1, 0.3)),
        ("m", (128, 380), (5, 20), (0, 0.2), (0.1, 0.4)),
        ("l", (128, 380), (5, 25), (0, 0.5), (0.1, 0.5)),
    ):
        network = get(f"efficientnetv2-{name}")
        epochs = plan_epochs(RECIPES["efficientnetv2"](network, images=1000), network, 1000)
        assert (epochs[0].resolution, epochs[-1].resolution) == sizes
        assert (epochs[0].augmentation.magnitude, epochs[-1].augmentation.magnitude) == magnitudes
        assert (epochs[0].augmentation.mixup, epochs[-1].augmentation.mixup) == mixups
        assert (epochs[0].dropout, epochs[-1].dropout) == dropouts
        lengths = [sum(epoch.stage == stage for epoch in epochs) for stage in range(4)]
        assert sum(lengths) == 350
        assert set(lengths) <= {87, 88}


@pytest.mark.parametrize(
    ("name", "sizes", "magnitude", "mix", "dropout"),
    [
        ("s", [171, 214, 257, 300], 10, 0, 0.2),
        ("m", [192, 256, 320, 384], 15, 0.2, 0.3),
        ("l", [192, 256, 320, 384], 20, 0.5, 0.4),
        ("xl", [192, 256, 320, 384], 20, 0.5, 0.4),
    ],
)
def test_the_released_recipe_of_version_two_follows_the_code(name, sizes, magnitude, mix, dropout):
    network = get(f"efficientnetv2-{name}")
    recipe = RECIPES["efficientnetv2-released"](network, images=1000)
    epochs = plan_epochs(recipe, network, 1000)
    stages = [next(epoch for epoch in epochs if epoch.stage == stage) for stage in range(4)]
    assert [stage.resolution for stage in stages] == sizes
    assert [stage.augmentation.magnitude for stage in stages] == pytest.approx(np.linspace(5, magnitude, 4))
    for field in ("mixup", "cutmix"):
        mixed = [getattr(stage.augmentation, field) for stage in stages]
        assert mixed == pytest.approx(np.linspace(0, mix, 4))
    assert {stage.dropout for stage in stages} == {dropout}
    assert (recipe.decayed, recipe.weight_decay, recipe.augmentation.crop) == ("kernels", 1e-5, 0.05)


@pytest.mark.parametrize("name", ["efficientnet-b0", "efficientnetv2-b0", "resnet-50", "regnety-16gf"])
def test_the_released_recipe_of_version_two_is_for_any_network(name):
    network = get(name)
    recipe = RECIPES["efficientnetv2-released"](network, images=1000)
    assert 5 <= recipe.augmentation.magnitude <= 20
    assert 0.1 <= recipe.dropout <= 0.4
    first, last = (plan_epochs(recipe, network, 1000)[place].resolution for place in (0, -1))
    assert network.resolution / 3 < first < last <= network.resolution


def test_rmsprop_follows_tensorflows_definition():
    random = np.random.default_rng(0)
    start, gradients = random.normal(size=5), random.normal(size=(12, 5))
    weight = torch.nn.Parameter(torch.tensor(start))
    optimizer = RMSPropTF([weight], lr=0.01, weight_decay=1e-2)
    expected, square, moment = start.copy(), np.ones(5), np.zeros(5)
    for step, gradient in enumerate(gradients):
        rate = 0.01 * 0.9**step
        optimizer.param_groups[0]["lr"] = rate
        weight.grad = torch.tensor(gradient)
        optimizer.step()
        full = gradient + 1e-2 * expected
        square = 0.9 * square + 0.1 * full**2
        moment = 0.9 * moment + rate * full / np.sqrt(square + 1e-3)
        expected = expected - moment
    assert weight.detach().numpy() == pytest.approx(expected, rel=1e-9)


def test_what_decays():
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.BatchNorm2d(2), torch.nn.Linear(2, 2))
    adamw = make_optimizer(module, Recipe(epochs=1, weight_decay=0.3))
    assert [(g["weight_decay"], len(g["params"])) for g in adamw.param_groups] == [(0.3, 2), (0.0, 4)]
    biases = Recipe(epochs=1, optimizer="rmsprop", weight_decay=0.3, decayed="kernels-and-biases")
    rmsprop = make_optimizer(module, biases)
    assert [(g["weight_decay"], len(g["params"])) for g in rmsprop.param_groups] == [(0.3, 4), (0.0, 2)]


def test_early_epochs_see_smaller_images_and_cost_less():
    network = get("efficientnet-b0")
    recipe = Recipe(epochs=10, progressive=Progressive(stages=2, resolution=0.5, early=0.4))
    sizes = [epoch.resolution for epoch in plan_epochs(recipe, network, 100)]
    assert sizes == [112] * 4 + [224] * 6
    assert full_epochs(recipe) == pytest.approx(sum((size / 224) ** 2 for size in sizes))
    assert full_epochs(Recipe(epochs=7)) == 7
