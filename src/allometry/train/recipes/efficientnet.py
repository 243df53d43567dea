"""The recipe of the EfficientNet paper."""

from __future__ import annotations

from allometry.data import Augmentation
from allometry.train.recipe import Recipe


def efficientnet(*, images: int, drawings: bool = False) -> Recipe:
    """Train as the paper does: RMSProp, rate 0.016 for 256 images, times 0.97 every 2.4 epochs, 350 epochs.

    Expected: 76.3 to 77.1 % top-1 for B0 on ImageNet (paper and released checkpoints; not run here).

    Args:
        images: number of training images; the recipe is the same for any.
        drawings: left and right differ, so images are not flipped.

    Source: EfficientNet (Tan & Le 2019), section 5, and the released code.

    Example:
        >>> efficientnet(images=1_281_167).optimiser
        'rmsprop'
    """
    del images
    batch_size = 256
    return Recipe(
        epochs=350,
        batch_size=batch_size,
        optimiser="rmsprop",
        learning_rate=0.016 * batch_size / 256,
        weight_decay=1e-5,
        warmup=5 / 350,
        schedule="exponential",
        decay=0.97,
        decay_epochs=2.4,
        label_smoothing=0.1,
        ema=0.9999,
        clip=0.0,
        stochastic_depth=0.2,
        batch_norm_momentum=0.01,
        crop=0.875,
        augmentation=Augmentation(crop=0.08, flip=not drawings),
    )
