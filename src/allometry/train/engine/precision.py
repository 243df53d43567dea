"""The precision that a recipe's arithmetic has on a device."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch

from allometry.train.recipes import Recipe


def uses_bfloat16(recipe: Recipe, device: torch.device) -> bool:
    """Whether convolutions compute in bfloat16: where it is asked for, and by itself where a GPU is fast at it.

    Example:
        >>> uses_bfloat16(Recipe(epochs=1), torch.device("cpu"))
        False
    """
    fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return recipe.precision == "bfloat16" or (recipe.precision == "auto" and fast)


def autocast(recipe: Recipe, device: torch.device) -> AbstractContextManager[Any]:
    """The recipe's precision as a context."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=uses_bfloat16(recipe, device))
