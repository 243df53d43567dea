"""Recipes by name and by value."""

import pytest

from allometry.base import RecipeError, UnknownNameError
from allometry.catalog import get
from allometry.data import Augmentation
from allometry.training import RECIPES, Recipe
from allometry.training.recipes import change, specs
from allometry.training.recipes.specs import RecipeSpec, as_recipe, recipe_arguments

B0 = get("efficientnet-b0")


@pytest.mark.parametrize("name", RECIPES)
def test_a_spec_is_the_recipe_of_its_name_with_changes(name):
    spec = getattr(specs, name.replace("-", "_"))(
        epochs=7, dropout=None, augmentation={"flip": False, "rotation": 1e-3}
    )
    plain = RECIPES[name](B0, images=500, drawings=True)
    settings = ["epochs=7", "dropout=none", "augmentation.flip=false", "augmentation.rotation=0.001"]
    assert spec.resolve(B0, images=500, drawings=True) == change(plain, *settings)
    assert spec == as_recipe(name, settings=settings) == RecipeSpec(name, tuple(settings))
    assert recipe_arguments(spec) == {"recipe": name, "settings": settings}


def test_a_whole_part_is_a_change_of_all_its_fields():
    mine = Augmentation(crop=0.5, flip=True, policy="randaugment", operations=3)
    assert specs.small(augmentation=mine).resolve(B0, images=500).augmentation == mine


def test_a_full_recipe_is_taken_too_and_remembered_by_its_digest():
    full = Recipe(epochs=9)
    assert as_recipe(full) == full
    changed = as_recipe(full, settings=["clip=1"])
    assert changed == Recipe(epochs=9, clip=1)
    assert recipe_arguments(changed) != recipe_arguments(full)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: specs.small(epoch=3), UnknownNameError, "'epochs'"),
        (lambda: specs.small(epochs="ten"), RecipeError, "epochs must be an integer"),
        (lambda: specs.small(epochs=0), RecipeError, "epochs"),
        (lambda: specs.small(augmentation={"flop": True}), UnknownNameError, "'augmentation.flip'"),
        (lambda: as_recipe("smal"), UnknownNameError, "'small'"),
        (lambda: as_recipe("small", settings=["epochs"]), RecipeError, "key=value"),
        (lambda: as_recipe(7), RecipeError, "not a int"),
    ],
)
def test_a_mistake_is_told_at_once(make, error, says):
    with pytest.raises(error, match=says):
        make()


def test_the_namespace_lists_recipes_alone():
    assert dir(specs) == ["RecipeSpec", *sorted(name.replace("-", "_") for name in RECIPES)]
