"""A data set with what was found out about its pixels, once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from allometry.arch import Network
from allometry.arch.any_space import AnyMember
from allometry.base import Progress, SilentProgress
from allometry.data import Dataset, Normalization, as_dataset, is_line_art, normalization
from allometry.data.summary import images_per_class
from allometry.training.losses import BinaryCrossEntropy, Loss
from allometry.training.preprocessing import Preprocessing
from allometry.training.recipes import RecipeMaker
from allometry.training.recipes.recipe import Recipe
from allometry.training.recipes.settings import Setting, change
from allometry.training.recipes.specs import RecipeSpec


@dataclass(frozen=True, slots=True)
class Images:
    """A data set with what was found out about its pixels, once.

    Attributes:
        dataset: the images.
        normal: mean and deviation of their channels.
        drawn: whether they are one-color drawings.
    """

    dataset: Dataset
    normal: Normalization
    drawn: bool

    def preprocessing(self, network: AnyMember, recipe: Recipe) -> Preprocessing:
        """How these images become the network's input."""
        return Preprocessing(
            channels=self.dataset.channels,
            resolution=network.resolution,
            crop=recipe.crop,
            mean=self.normal.mean,
            std=self.normal.std,
            classes=self.dataset.classes,
            thresholds=(0.5,) * len(self.dataset.classes) if self.dataset.multi_label else None,
            levels=self.dataset.levels,
        )

    def recipe(self, make: RecipeMaker, network: Network, settings: Sequence[Setting]) -> Recipe:
        """A recipe made for a network and these images, with the user's changes."""
        plain = make(network, images=len(self.dataset.splits["train"]), drawings=self.drawn)
        return self.changed(plain, settings)

    def changed(self, plain: Recipe, settings: Sequence[Setting]) -> Recipe:
        """A recipe for these images, with the user's changes."""
        return self._with_class_weights(change(replace(plain, loss=self._loss or plain.loss), *settings))

    def resolve(self, recipe: Recipe | RecipeSpec, network: Network) -> Recipe:
        """A recipe in full, for a network and these images."""
        if isinstance(recipe, RecipeSpec):
            images = len(self.dataset.splits["train"])
            recipe = recipe.resolve(network, images=images, drawings=self.drawn, loss=self._loss)
        return self._with_class_weights(recipe)

    @property
    def _loss(self) -> Loss | None:
        """What these images are trained by, unless the user says otherwise; None for the recipe's own."""
        return BinaryCrossEntropy() if self.dataset.multi_label else None

    def _with_class_weights(self, recipe: Recipe) -> Recipe:
        """The recipe with what its loss takes from the training images."""
        labels = self.dataset.splits["train"].labels
        counts = images_per_class(labels, len(self.dataset.classes))
        return replace(recipe, loss=recipe.loss.fitted(counts, images=len(labels)))


def open_images(data: Dataset | str, *, seed: int, progress: Progress = SilentProgress()) -> Images:
    """The images, by their name or as a value, with what is found out about their pixels."""
    dataset = as_dataset(data, seed=seed, progress=progress)
    return Images(dataset, normalization(dataset), is_line_art(dataset))
