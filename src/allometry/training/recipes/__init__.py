"""Recipes by name; each is a function that returns a full `Recipe`."""

from __future__ import annotations

from typing import Protocol

from allometry.arch import Network
from allometry.training.recipes.efficientnet import efficientnet
from allometry.training.recipes.efficientnetv2 import efficientnetv2, efficientnetv2_released
from allometry.training.recipes.grown import grown
from allometry.training.recipes.recipe import Distillation, Execution, Progressive, Recipe
from allometry.training.recipes.schedule import (
    Epoch,
    at_full_size,
    epoch_of,
    full_epochs,
    images_until,
    learning_rate,
    plan_epochs,
)
from allometry.training.recipes.settings import change
from allometry.training.recipes.small import small
from allometry.training.recipes.transfer import transfer


class RecipeMaker(Protocol):
    """A recipe as a function of the network and the data it is for.

    Example, with a small `network`:
        >>> maker: RecipeMaker = RECIPES["small"]
        >>> maker(network, images=1000).batch_size
        32
    """

    def __call__(self, network: Network, *, images: int, drawings: bool = False) -> Recipe:
        """The full recipe for a network and so many training images, drawings or photographs."""


RECIPES: dict[str, RecipeMaker] = {
    "small": small,
    "transfer": transfer,
    "grown": grown,
    "efficientnet": efficientnet,
    "efficientnetv2": efficientnetv2,
    "efficientnetv2-released": efficientnetv2_released,
}
"""What `allometry train --recipe` takes."""

__all__ = [
    "RECIPES",
    "Distillation",
    "Epoch",
    "Execution",
    "Progressive",
    "Recipe",
    "RecipeMaker",
    "at_full_size",
    "change",
    "efficientnet",
    "efficientnetv2",
    "efficientnetv2_released",
    "epoch_of",
    "full_epochs",
    "grown",
    "images_until",
    "learning_rate",
    "plan_epochs",
    "small",
    "transfer",
]
