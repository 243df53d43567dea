"""Recipes as people name them: `allometry.recipes.small(epochs=20)`, made full once network and data are known."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace

from allometry.arch import Network
from allometry.base import RecipeError, UnknownNameError
from allometry.training.losses import Loss
from allometry.training.recipes import RECIPES
from allometry.training.recipes.recipe import Recipe
from allometry.training.recipes.settings import Setting, change, setting_texts, value_text

_LONG = 10**6  # epochs of a recipe that stands in for the one to come: long enough for any setting


@dataclass(frozen=True, slots=True)
class RecipeSpec:
    """A recipe by its name, with changes; what it says in full depends on the network and the images.

    Attributes:
        name: of `RECIPES`.
        settings: changes to it: `key=value`, or a loss.

    Raises:
        UnknownNameError: no such recipe or field.
        RecipeError: a value does not fit its field.

    Example:
        >>> RecipeSpec("small", ("epochs=20",))
        recipes.small('epochs=20')
    """

    name: str
    settings: tuple[Setting, ...] = ()

    def __post_init__(self) -> None:
        if self.name not in RECIPES:
            raise UnknownNameError("recipe", self.name, RECIPES)
        check_settings(self.settings)

    def resolve(
        self, network: Network, *, images: int, drawings: bool = False, loss: Loss | None = None
    ) -> Recipe:
        """The full recipe for a network and so many training images, drawings or photographs.

        Args:
            network: what will be trained.
            images: number of training images.
            drawings: whether they are one-color drawings.
            loss: instead of the recipe's own, before the changes.

        Example:
            >>> from allometry.catalog import get
            >>> small(batch_size=32).resolve(get("efficientnet-b0"), images=7901).epochs
            10
        """
        recipe = RECIPES[self.name](network, images=images, drawings=drawings)
        return change(replace(recipe, loss=loss or recipe.loss), *self.settings)

    def __repr__(self) -> str:
        return f"recipes.{self.name}({', '.join(map(repr, self.settings))})"


def small(**changes: object) -> RecipeSpec:
    """Minutes rather than days, from fresh weights: AdamW, one cosine, an average of the weights.

    Args:
        changes: fields of `Recipe` and their values; a part, such as `augmentation`, as a dict of its fields or as
            a whole value; a loss as a value, too, or by its name.

    Raises:
        UnknownNameError: no such field.
        RecipeError: a value does not fit its field.

    Example:
        >>> small(epochs=20, augmentation={"flip": True})
        recipes.small('epochs=20', 'augmentation.flip=true')
        >>> from allometry.training.losses import CrossEntropy
        >>> small(loss=CrossEntropy(label_smoothing=0.2))
        recipes.small(CrossEntropy(label_smoothing=0.2, class_weights='none'))
        >>> small(epoch=20)
        Traceback (most recent call last):
            ...
        allometry.base.errors.UnknownNameError: No recipe field is named 'epoch'. Did you mean 'epochs'...
    """
    return _spec("small", changes)


def transfer(**changes: object) -> RecipeSpec:
    """From weights that are there already, to images of one's own; `changes` and errors as for `small`.

    Example:
        >>> transfer(head_epochs=1).name
        'transfer'
    """
    return _spec("transfer", changes)


def grown(**changes: object) -> RecipeSpec:
    """From the weights of a smaller or larger network, on the images it knows; `changes` and errors as for `small`.

    Example:
        >>> grown(epochs=5)
        recipes.grown('epochs=5')
    """
    return _spec("grown", changes)


def efficientnet(**changes: object) -> RecipeSpec:
    """The EfficientNet paper's, for ImageNet and its time; `changes` and errors as for `small`.

    Example:
        >>> efficientnet().name
        'efficientnet'
    """
    return _spec("efficientnet", changes)


def efficientnetv2(**changes: object) -> RecipeSpec:
    """The EfficientNetV2 paper's, with images that grow; `changes` and errors as for `small`.

    Example:
        >>> efficientnetv2(progressive={"stages": 2}).settings
        ('progressive.stages=2',)
    """
    return _spec("efficientnetv2", changes)


def efficientnetv2_released(**changes: object) -> RecipeSpec:
    """That of EfficientNetV2's released code, which differs from the paper's; `changes` and errors as for `small`.

    Example:
        >>> efficientnetv2_released(epochs=90).name
        'efficientnetv2-released'
    """
    return _spec("efficientnetv2-released", changes)


def as_recipe(value: Recipe | RecipeSpec | str, *, settings: Sequence[Setting] = ()) -> Recipe | RecipeSpec:
    """The recipe that somebody means, by its name or by its value, with changes.

    Args:
        value: a full recipe, one of `allometry.recipes`, or the name of one.
        settings: changes: `key=value`, or a loss.

    Raises:
        UnknownNameError: no such recipe or field.
        RecipeError: a value does not fit its field, or it is no recipe.

    Example:
        >>> as_recipe("small", settings=["epochs=2"]) == small(epochs=2)
        True
        >>> as_recipe(Recipe(epochs=9), settings=["epochs=2"]).epochs
        2
    """
    if isinstance(value, str):
        return RecipeSpec(value, tuple(settings))
    if isinstance(value, RecipeSpec):
        return replace(value, settings=(*value.settings, *settings))
    if isinstance(value, Recipe):
        return change(value, *settings)
    raise RecipeError(
        f"A recipe is one of allometry.recipes, its name, or a full Recipe, not a {type(value).__name__}."
    )


def recipe_arguments(recipe: Recipe | RecipeSpec) -> dict[str, str | list[str]]:
    """How a run folder remembers a recipe: its name and settings, or a full one's digest.

    Example:
        >>> recipe_arguments(small(epochs=2))
        {'recipe': 'small', 'settings': ['epochs=2']}
        >>> recipe_arguments(Recipe(epochs=2))["recipe"].startswith("recipe@")
        True
    """
    if isinstance(recipe, RecipeSpec):
        return {"recipe": recipe.name, "settings": setting_texts(recipe.settings)}
    content = json.dumps(recipe.to_dict(), sort_keys=True).encode()
    return {"recipe": f"recipe@{hashlib.sha256(content).hexdigest()[:32]}", "settings": []}


def check_settings(settings: Sequence[Setting]) -> None:
    """Refuse settings that fit no recipe, before the images are read; some fit one recipe and not another.

    Args:
        settings: changes: `key=value`, or a loss.

    Raises:
        UnknownNameError: no such field.
        RecipeError: a value does not fit its field.

    Example:
        >>> check_settings(["epochs=ten"])
        Traceback (most recent call last):
            ...
        allometry.base.errors.RecipeError: epochs must be an integer, not 'ten'.
    """
    change(Recipe(epochs=_LONG), *settings)


def _spec(name: str, changes: Mapping[str, object]) -> RecipeSpec:
    return RecipeSpec(name, tuple(_settings(changes)))


def _settings(changes: Mapping[str, object]) -> Iterator[Setting]:
    for key, value in changes.items():
        if isinstance(value, Loss):
            yield value
            continue
        if is_dataclass(value) and not isinstance(value, type):
            parts: Mapping[str, object] = {field.name: getattr(value, field.name) for field in fields(value)}
        elif isinstance(value, Mapping):
            parts = value
        else:
            yield f"{key}={value_text(value)}"
            continue
        yield from _settings({f"{key}.{inner}": held for inner, held in parts.items()})


__all__ = [
    "RecipeSpec",
    "as_recipe",
    "check_settings",
    "efficientnet",
    "efficientnetv2",
    "efficientnetv2_released",
    "grown",
    "recipe_arguments",
    "small",
    "transfer",
]


def __dir__() -> list[str]:
    """What `allometry.recipes` offers."""
    return [
        "RecipeSpec",
        "efficientnet",
        "efficientnetv2",
        "efficientnetv2_released",
        "grown",
        "small",
        "transfer",
    ]
