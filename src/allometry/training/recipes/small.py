"""The default recipe: small images, short times."""

from __future__ import annotations

import math

from allometry.arch import Network
from allometry.data import Augmentation
from allometry.training.losses import CrossEntropy
from allometry.training.recipes.recipe import Recipe
from allometry.training.recipes.sizes import LARGEST_BATCH, batch_for, epochs_to_see

_IMAGES = 80_000
_FEWEST, _MOST = 9, 60


def small(network: Network, *, images: int, drawings: bool = False) -> Recipe:
    """Train in minutes rather than days: AdamW, one cosine, an average of the weights.

    About 80,000 images are seen, in 9 epochs at least and 60 at most, so that the time is much the same for data sets
    of 1,400 to 9,000 images. They have their full size throughout; `docs/results.md` says why, under "Images that
    grow".

    Expected: see `docs/results.md`, which `benchmarks/run_icons.py` writes.

    Every residual branch begins with 0, since in so few steps a deep network would hardly learn otherwise
    (`docs/results.md`, "Deep networks, short trainings").

    A batch has 64 images, fewer where an epoch would have less than 16 steps; the learning rate follows the root
    of the batch.

    Args:
        network: what will be trained; the recipe is the same for any.
        images: number of training images.
        drawings: one-color drawings, in which left and right differ and strokes may be thick or thin; photos
            otherwise.

    Example:
        >>> from allometry.catalog import get
        >>> recipes = [small(get("efficientnet-b0"), images=images) for images in (7901, 300)]
        >>> [(recipe.epochs, recipe.batch_size) for recipe in recipes]
        [(10, 64), (60, 16)]
    """
    del network
    return small_for(images, drawings=drawings)


def small_for(images: int, *, drawings: bool = False) -> Recipe:
    """What `small` is for any network."""
    batch_size = batch_for(images)
    return Recipe(
        epochs=epochs_to_see(_IMAGES, images, fewest=_FEWEST, most=_MOST),
        batch_size=batch_size,
        optimizer="adamw",
        learning_rate=0.008 * math.sqrt(batch_size / LARGEST_BATCH),
        weight_decay=0.05,
        warmup=0.1,
        schedule="cosine",
        loss=CrossEntropy(label_smoothing=0.1),
        ema=0.995,
        clip=5.0,
        dropout=0.1,
        stochastic_depth=0.0,
        batch_norm_momentum=0.1,
        residual_scale=0.0,
        augmentation=_DRAWINGS if drawings else _PHOTOS,
    )


_DRAWINGS = Augmentation(
    rotation=12,
    scale=0.2,
    stretch=0.2,
    shear=0.15,
    translation=0.1,
    stroke=0.6,
    invert=0.15,
    border="constant",
)
_PHOTOS = Augmentation(
    crop=0.35, flip=True, rotation=8, brightness=0.3, contrast=0.3, saturation=0.3, erase=0.2
)
