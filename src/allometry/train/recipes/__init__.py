"""Recipes by name; each is a function that returns a full `Recipe`."""

from __future__ import annotations

from typing import Protocol

from allometry.train.recipe import Recipe
from allometry.train.recipes.efficientnet import efficientnet
from allometry.train.recipes.small import small


class RecipeMaker(Protocol):
    """A recipe as a function of the data it is for."""

    def __call__(self, *, images: int, drawings: bool = False) -> Recipe:
        """The full recipe for so many training images, drawings or photographs."""


RECIPES: dict[str, RecipeMaker] = {"small": small, "efficientnet": efficientnet}
"""What `allometry train --recipe` takes."""

__all__ = ["RECIPES", "RecipeMaker", "efficientnet", "small"]
