"""The recipe of the EfficientNet paper."""

from __future__ import annotations

import math

from allometry.arch import Network
from allometry.catalog import get, recognize
from allometry.cost import count
from allometry.data import Augmentation
from allometry.training.losses import CrossEntropy
from allometry.training.recipes.recipe import Recipe

_RATE_OF_4096 = 0.256
_BATCH = 256
_DROPOUT = (0.2, 0.5)  # of B0 and of B7


def efficientnet(network: Network, *, images: int, drawings: bool = False) -> Recipe:
    """Train as the paper does: RMSProp, rate 0.256 for 4096 images, times 0.97 every 2.4 epochs, AutoAugment.

    Expected, on ImageNet in 350 epochs (paper and released checkpoints; not run here): B0 77.1 %, B1 79.1 %, B3
    81.6 %, B7 84.3 %; the repetitions that the paper's successor reports differ by 0.1 to 0.2 points. Cost: for B0
    about 4.5 * 10**8 training images.

    The paper states neither batch nor epochs: 350 epochs are the released code's, and the batch is 256, for which
    the rate is 0.016. The validation images are the minival: the best epoch's weights are kept. Dropout is 0.2 for
    B0 and rises linearly with phi to 0.5 for B7; for other networks it rises with the logarithm of the MACs.

    Args:
        network: what will be trained; its dropout depends on it.
        images: number of training images; the recipe is the same for any.
        drawings: left and right differ, so images are not flipped.

    Source: EfficientNet (Tan & Le 2019), section 5.2, and the released code: epsilon 1e-3 under the root, warm-up
    of 5 epochs, label smoothing 0.1, average of the weights 0.9999.

    Example:
        >>> from allometry.catalog import get
        >>> recipe = efficientnet(get("efficientnet-b0"), images=1_281_167)
        >>> recipe.optimizer, recipe.learning_rate, recipe.dropout
        ('rmsprop', 0.016, 0.2)
    """
    del images
    return Recipe(
        epochs=350,
        batch_size=_BATCH,
        optimizer="rmsprop",
        learning_rate=_RATE_OF_4096 * _BATCH / 4096,
        weight_decay=1e-5,
        decayed="kernels-and-biases",
        warmup=5 / 350,
        schedule="exponential",
        decay=0.97,
        decay_epochs=2.4,
        loss=CrossEntropy(label_smoothing=0.1),
        ema=0.9999,
        clip=0.0,
        dropout=dropout_of(network),
        stochastic_depth=0.2,
        batch_norm_momentum=0.01,
        keep="best",
        crop=0.875,
        augmentation=Augmentation(crop=0.08, flip=not drawings, policy="autoaugment"),
    )


def dropout_of(network: Network) -> float:
    """The paper's dropout for a network: its own where it is one of the family, else between B0's and B7's.

    Example:
        >>> from allometry.catalog import get
        >>> [dropout_of(get(f"efficientnet-b{number}")) for number in (0, 3, 7)]
        [0.2, 0.3, 0.5]
        >>> dropout_of(get("resnet-50"))
        0.35
    """
    entry = recognize(network)
    if entry is not None and entry.family == "efficientnet":
        return network.head.dropout
    small, large = (count(get(name)).macs for name in ("efficientnet-b0", "efficientnet-b7"))
    share = math.log(count(network).macs / small) / math.log(large / small)
    low, high = _DROPOUT
    return round(low + (high - low) * min(1.0, max(0.0, share)), 2)
