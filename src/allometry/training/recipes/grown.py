"""The recipe for a network that was just grown, or shrunk, from a trained one."""

from __future__ import annotations

from dataclasses import replace

from allometry.arch import Network
from allometry.training.recipes.recipe import Recipe
from allometry.training.recipes.sizes import epochs_to_see
from allometry.training.recipes.small import small

_IMAGES = 35_000
_FEWEST, _MOST = 4, 26


def grown(network: Network, *, images: int, drawings: bool = False) -> Recipe:
    """Go on from the weights of a smaller or larger network, on the images that it knows.

    It is `small`, with its highest rate, whose cosine falls in 0.43 of the epochs: about 35,000 images are seen, in 4
    epochs at least and 26 at most. The rate rises in a twentieth of the epochs, for the optimizer knows nothing yet of
    the size of the gradients.

    Expected: measured by the benchmarks of growth in `docs/results.md`, where there are such; the recipe's numbers are
    those of the papers, none is tuned here.

    Args:
        network: what will be trained; the recipe is the same for any.
        images: number of training images.
        drawings: one-color drawings, in which left and right differ and strokes may be thick or thin.

    Source: the highest rate kept and a faster decay: LEMON (Wang et al. 2023, arXiv:2310.07999), whose grown vision
    transformers need 0.433 of the epochs (56.7 % less computation). LipGrow (Dong et al. 2020) in its released code:
    after each growth the rate is the highest again, and a cosine falls over the epochs that are left. Ours are the
    short warm-up, and that all else is `small`'s.

    Example:
        >>> from allometry.catalog import get
        >>> recipe, first = (make(get("efficientnet-b0"), images=5000) for make in (grown, small))
        >>> recipe.epochs, first.epochs, recipe.learning_rate == first.learning_rate
        (7, 16, True)
    """
    plain = small(network, images=images, drawings=drawings)
    return replace(
        plain,
        epochs=epochs_to_see(_IMAGES, images, fewest=_FEWEST, most=_MOST),
        warmup=0.05,
        residual_scale=1.0,
    )
