"""What every epoch of a training is like: its images, its batches, its learning rate."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from allometry.arch import Network
from allometry.arch.any_space import AnyMember
from allometry.data import Augmentation
from allometry.training.recipes.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """One epoch before it happens.

    Attributes:
        number: from 0; of the phase, where there are several.
        stage: of progressive learning, from 0.
        first_step: of the training, or of the phase, in this epoch.
        steps: optimizer steps in it.
        batch_size: images of a step, over all processes; there may be fewer of them in all.
        images_per_step: how many images a step really has.
        resolution: side of the images, in pixels.
        augmentation: what happens to each.
        dropout: before the classifier; None for the network's own.
        lr_scale: factor of the learning rate that the batch brings.
        head_only: whether only the classifier learns.
        before: epochs of the schedule before its phase.

    Example:
        >>> epoch = Epoch(
        ...     number=1,
        ...     stage=0,
        ...     first_step=10,
        ...     steps=10,
        ...     batch_size=8,
        ...     images_per_step=8,
        ...     resolution=32,
        ...     augmentation=Augmentation(),
        ...     dropout=None,
        ...     lr_scale=1.0,
        ...     head_only=False,
        ... )
        >>> epoch.last_step
        20
    """

    number: int
    stage: int
    first_step: int
    steps: int
    batch_size: int
    images_per_step: int
    resolution: int
    augmentation: Augmentation
    dropout: float | None
    lr_scale: float
    head_only: bool
    before: int = 0

    @property
    def last_step(self) -> int:
        """The first step that is not in it any more."""
        return self.first_step + self.steps


def plan_epochs(recipe: Recipe, network: AnyMember, images: int) -> tuple[Epoch, ...]:
    """Every epoch of a training of `network` on so many images.

    Example:
        >>> from allometry.training.recipes.recipe import Progressive
        >>> from allometry.catalog import get
        >>> recipe = Recipe(epochs=4, batch_size=50, progressive=Progressive(stages=4, resolution=0.5))
        >>> epochs = plan_epochs(recipe, get("efficientnet-b0"), images=100)
        >>> [(epoch.resolution, epoch.first_step) for epoch in epochs]
        [(112, 0), (149, 2), (187, 4), (224, 6)]
    """
    planned: list[Epoch] = []
    for number in range(recipe.epochs):
        first = planned[-1].last_step if planned else 0
        planned.append(_epoch(recipe, network, images, number, first))
    return tuple(planned)


def epoch_of(epochs: Iterable[Epoch], step: int) -> Epoch:
    """The epoch that a step belongs to.

    Raises:
        ValueError: the training has ended by then.

    Example:
        >>> from allometry.catalog import get
        >>> epochs = plan_epochs(Recipe(epochs=2, batch_size=10), get("efficientnet-b0"), images=100)
        >>> epoch_of(epochs, 9).number, epoch_of(epochs, 10).number
        (0, 1)
    """
    for epoch in epochs:
        if step < epoch.last_step:
            return epoch
    raise ValueError(f"Step {step} lies behind the last epoch.")


def images_until(epochs: Iterable[Epoch], step: int) -> int:
    """Images that all processes together have learned from before a step, counted from 0.

    Example:
        >>> from allometry.catalog import get
        >>> epochs = plan_epochs(Recipe(epochs=2, batch_size=10), get("efficientnet-b0"), images=100)
        >>> images_until(epochs, 13), images_until(epochs, 99)
        (130, 200)
    """
    return sum(
        max(0, min(step, epoch.last_step) - epoch.first_step) * epoch.images_per_step for epoch in epochs
    )


def learning_rate(recipe: Recipe, epoch: Epoch, step: int) -> float:
    """The learning rate of one step of the training, counted from 0.

    Example:
        >>> from allometry.catalog import get
        >>> recipe = Recipe(epochs=10, batch_size=10, learning_rate=1, warmup=0.1)
        >>> epochs = plan_epochs(recipe, get("efficientnet-b0"), images=100)
        >>> [round(learning_rate(recipe, epoch_of(epochs, step), step), 2) for step in (0, 9, 55, 99)]
        [0.1, 1.0, 0.5, 0.0]
    """
    highest = recipe.learning_rate * epoch.lr_scale
    if epoch.head_only:
        return highest
    length = recipe.epochs - recipe.head_epochs
    number = epoch.before + epoch.number
    done = number - recipe.head_epochs + (step - epoch.first_step) / epoch.steps
    warm = recipe.warmup * length
    if done < warm:
        return highest * min(1.0, (done + 1 / epoch.steps) / warm)
    if recipe.schedule == "cosine":
        return highest * 0.5 * (1 + math.cos(math.pi * (done - warm) / (length - warm)))
    if recipe.schedule == "exponential":
        return highest * recipe.decay ** math.floor(done / recipe.decay_epochs)
    return highest


def full_epochs(recipe: Recipe) -> float:
    """Epochs at the network's own resolution that would cost about as much as the recipe's.

    Example:
        >>> full_epochs(Recipe(epochs=7))
        7.0
    """
    return sum(_side(recipe, number) ** 2 for number in range(recipe.epochs))


def at_full_size(recipe: Recipe) -> Recipe:
    """The recipe with training images of the network's own resolution from the first epoch to the last.

    Example:
        >>> at_full_size(Recipe(epochs=7, train_resolution=0.8)).train_resolution
        1.0
    """
    progressive = replace(recipe.progressive, resolution=1.0, larger_batches=False)
    return replace(recipe, train_resolution=1.0, progressive=progressive)


def _epoch(recipe: Recipe, network: AnyMember, images: int, number: int, first_step: int) -> Epoch:
    progressive, augmentation = recipe.progressive, recipe.augmentation
    stage = progressive.stage_of(number, recipe.epochs)

    def at(first: float | None, last: float) -> float:
        return last if first is None else first + (last - first) * progressive.share(stage)

    batch_size, lr_scale = recipe.batch_size, 1.0
    if progressive.larger_batches:
        growth = (recipe.train_resolution / _side(recipe, number)) ** 2
        batch_size = max(1, min(images, round(recipe.batch_size * growth)))
        lr_scale = (batch_size / recipe.batch_size) ** progressive.rate
    # A torch module has dropout of its own, which stays.
    own = network.head.dropout if isinstance(network, Network) else 0.0
    dropout = own if recipe.dropout is None else recipe.dropout
    return Epoch(
        number=number,
        stage=stage,
        first_step=first_step,
        steps=max(1, images // batch_size),
        batch_size=batch_size,
        images_per_step=min(batch_size, images),
        resolution=max(1, round(network.resolution * _side(recipe, number))),
        augmentation=replace(
            augmentation,
            magnitude=at(progressive.magnitude, augmentation.magnitude),
            mixup=at(progressive.mixup, augmentation.mixup),
            cutmix=at(progressive.cutmix, augmentation.cutmix),
        ),
        dropout=at(progressive.dropout, dropout),
        lr_scale=lr_scale,
        head_only=number < recipe.head_epochs,
    )


def _side(recipe: Recipe, number: int) -> float:
    """Side of an epoch's images, as a fraction of the network's."""
    progressive = recipe.progressive
    share = progressive.share(progressive.stage_of(number, recipe.epochs))
    return progressive.resolution + (recipe.train_resolution - progressive.resolution) * share
