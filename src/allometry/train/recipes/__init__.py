"""Recipes by name; each is a function that returns a full `Recipe`."""

from __future__ import annotations

from allometry.train.recipes.efficientnet import efficientnet
from allometry.train.recipes.small import small

RECIPES = {"small": small, "efficientnet": efficientnet}
"""What `allometry train --recipe` takes."""

__all__ = ["RECIPES", "efficientnet", "small"]
