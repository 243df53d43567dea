"""The recipe for weights that already know something."""

from __future__ import annotations

import math

from allometry.arch import Network
from allometry.data import Augmentation
from allometry.training.losses import CrossEntropy
from allometry.training.recipes.recipe import Recipe
from allometry.training.recipes.sizes import LARGEST_BATCH, batch_for, epochs_to_see

_IMAGES = 24_000
_FEWEST, _MOST = 6, 40


def transfer(network: Network, *, images: int, drawings: bool = False) -> Recipe:
    """From published or own weights to new classes: the classifier first, then everything, gently.

    About 24,000 images are seen, in 6 epochs at least and 40 at most. In the first epoch only the new classifier
    learns; then every stage at 0.8 of the rate of the one after it, so that the early layers, which fit any image,
    change least. The rate falls along a cosine.

    Expected: EfficientNet-Lite0 with ImageNet weights learns to tell 2,624 solar cells, defective or not, at 96 px with
    84.0 % of the test images right (83.7 to 84.7 over three seeds), where the same number of epochs from scratch gives
    75.8 % (73.3 to 76.3); 11 minutes of one core (`benchmarks/transfer.py`).

    Args:
        network: what will be trained; the recipe is the same for any.
        images: number of training images.
        drawings: left and right differ, so images are not flipped.

    Source: fine-tuning by cosine from a tenth of the usual rate and by simple augmentation: EfficientNetV2 (Tan &
    Le 2021), section 5.3; rates by layer: Howard & Ruder 2018, *Universal language model fine-tuning*.

    Example:
        >>> from allometry.catalog import get
        >>> recipe = transfer(get("efficientnet-lite0"), images=2000)
        >>> recipe.epochs, recipe.head_epochs, recipe.layer_decay
        (12, 1, 0.8)
    """
    del network
    batch_size = batch_for(images)
    return Recipe(
        epochs=epochs_to_see(_IMAGES, images, fewest=_FEWEST, most=_MOST),
        batch_size=batch_size,
        optimizer="adamw",
        learning_rate=0.002 * math.sqrt(batch_size / LARGEST_BATCH),
        layer_decay=0.8,
        weight_decay=0.02,
        head_epochs=1,
        warmup=0.1,
        schedule="cosine",
        loss=CrossEntropy(label_smoothing=0.1),
        ema=0.98,
        clip=5.0,
        stochastic_depth=0.1,
        batch_norm="train",
        batch_norm_momentum=0.1,
        augmentation=Augmentation(
            crop=0.5, flip=not drawings, rotation=8, brightness=0.2, contrast=0.2, saturation=0.2
        ),
    )
