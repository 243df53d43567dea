"""A recipe: everything about a training that is neither the network nor the data."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

from allometry.arch import Network
from allometry.base import RecipeError
from allometry.base.errors import UnknownNameError
from allometry.data import Augmentation

Optimiser = Literal["adamw", "rmsprop"]
Schedule = Literal["cosine", "exponential", "constant"]
Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to train, as frozen data.

    Attributes:
        epochs: passes over the training images.
        batch_size: images per step.
        optimiser: `adamw`, or the paper's `rmsprop`.
        learning_rate: the highest of the schedule.
        weight_decay: decoupled for `adamw`, an L2 term for `rmsprop`.
        warmup: share of the steps in which the learning rate rises from 0, linearly.
        schedule: what follows: `cosine` to 0, `exponential` (times `decay` every `decay_epochs`), `constant`.
        decay: factor of the exponential schedule.
        decay_epochs: epochs between two such factors.
        label_smoothing: share of the target spread over all classes.
        ema: decay of the exponential moving average of the weights, which is what is evaluated and kept;
            0 keeps the weights themselves.
        clip: largest norm of the gradient; 0 for no clipping.
        precision: of the arithmetic; `auto` is bfloat16 on GPUs that have it, float32 elsewhere.
        dropout: before the classifier; None keeps the network's own.
        stochastic_depth: None keeps the network's own.
        batch_norm_momentum: weight of the new batch; None keeps the network's own.
        early_resolution: side of the training images in the early epochs, as a share of the network's; smaller
            images cost less, and what they teach carries over (EfficientNetV2, section 4).
        early_epochs: share of the epochs that are early.
        crop: share of the shorter side that the evaluation view shows.
        augmentation: what happens to each training image.

    Raises:
        RecipeError: a field cannot have that value.

    Example:
        >>> Recipe(epochs=10, learning_rate=0.01).batch_size
        64
    """

    epochs: int
    batch_size: int = 64
    optimiser: Optimiser = "adamw"
    learning_rate: float = 0.004
    weight_decay: float = 0.05
    warmup: float = 0.1
    schedule: Schedule = "cosine"
    decay: float = 0.97
    decay_epochs: float = 2.4
    label_smoothing: float = 0.1
    ema: float = 0.995
    clip: float = 5.0
    precision: Precision = "auto"
    dropout: float | None = None
    stochastic_depth: float | None = None
    batch_norm_momentum: float | None = None
    early_resolution: float = 1.0
    early_epochs: float = 0.6
    crop: float = 1.0
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch_size", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise RecipeError(f"{name} must be an integer of at least {least}, not {value!r}.")
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if value is None and name in _OPTIONAL:
                continue
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not low <= value <= high:
                raise RecipeError(f"{name} must be a number from {low:g} to {high:g}, not {value!r}.")
        for name, possible in _CHOICES.items():
            if getattr(self, name) not in possible:
                raise RecipeError(
                    f"{name} must be one of {', '.join(possible)}, not {getattr(self, name)!r}."
                )

    def training_resolution(self, network: Network, epoch: int) -> int:
        """Side of the training images in an epoch, counted from 0.

        Example:
            >>> from allometry.zoo import get
            >>> recipe = Recipe(epochs=10, early_resolution=0.5, early_epochs=0.6)
            >>> [recipe.training_resolution(get("efficientnet-b0"), epoch) for epoch in (0, 5, 6)]
            [112, 112, 224]
        """
        early = epoch < round(self.early_epochs * self.epochs)
        return max(1, round(network.resolution * self.early_resolution)) if early else network.resolution

    @property
    def full_epochs(self) -> float:
        """Epochs at the network's own resolution that would cost about as much."""
        early = round(self.early_epochs * self.epochs)
        return self.epochs - early * (1 - self.early_resolution**2)

    def applied_to(self, network: Network) -> Network:
        """The network as this recipe trains it: with the recipe's dropout, stochastic depth and momentum.

        Example:
            >>> from allometry.zoo import get
            >>> Recipe(epochs=1, dropout=0.5).applied_to(get("efficientnet-b0")).head.dropout
            0.5
        """
        if self.dropout is not None:
            network = replace(network, head=replace(network.head, dropout=self.dropout))
        if self.stochastic_depth is not None:
            network = replace(network, stochastic_depth=self.stochastic_depth)
        if self.batch_norm_momentum is not None:
            norm = replace(network.batch_norm, momentum=self.batch_norm_momentum)
            network = replace(network, batch_norm=norm)
        return network

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values; the augmentation's are named `augmentation.rotation` and so on.

        Example:
            >>> Recipe(epochs=2).to_dict()["augmentation.flip"]
            False
        """
        plain = asdict(self)
        augmentation = plain.pop("augmentation")
        return plain | {f"augmentation.{name}": value for name, value in augmentation.items()}


_RANGES: tuple[tuple[str, float, float], ...] = (
    ("learning_rate", 0, 1e3),
    ("weight_decay", 0, 1e3),
    ("warmup", 0, 1),
    ("decay", 0, 1),
    ("decay_epochs", 1e-6, 1e6),
    ("label_smoothing", 0, 1),
    ("ema", 0, 1),
    ("clip", 0, 1e6),
    ("early_resolution", 0.1, 1),
    ("early_epochs", 0, 1),
    ("crop", 0.05, 1),
    ("dropout", 0, 0.99),
    ("stochastic_depth", 0, 0.99),
    ("batch_norm_momentum", 0, 1),
)
_OPTIONAL = ("dropout", "stochastic_depth", "batch_norm_momentum")
_CHOICES: dict[str, tuple[str, ...]] = {
    "optimiser": get_args(Optimiser),
    "schedule": get_args(Schedule),
    "precision": get_args(Precision),
}


def change(recipe: Recipe, *settings: str) -> Recipe:
    """Change fields by their text, as `--set key=value` does.

    Raises:
        UnknownNameError: no such field; the message gives the nearest ones.
        RecipeError: the value does not fit the field.

    Example:
        >>> change(Recipe(epochs=2), "epochs=5", "augmentation.flip=true").augmentation.flip
        True
        >>> change(Recipe(epochs=2), "learning_rat=1")
        Traceback (most recent call last):
            ...
        allometry.base.errors.UnknownNameError: No recipe field is named 'learning_rat'. Did you mean ...
    """
    for setting in settings:
        key, separator, text = setting.partition("=")
        key, plain = key.strip(), recipe.to_dict()
        if not separator:
            raise RecipeError(f"Cannot read the setting {setting!r}: write it as key=value.")
        if key not in plain:
            raise UnknownNameError("recipe field", key, plain)
        value = _read(key, text.strip(), plain[key])
        owner, _, inner = key.partition(".")
        if inner:
            recipe = replace(recipe, augmentation=replace(recipe.augmentation, **{inner: value}))
        else:
            recipe = replace(recipe, **{owner: value})
    return recipe


def learning_rate(recipe: Recipe, step: int, *, steps: int, steps_per_epoch: int) -> float:
    """The learning rate of one step, counted from 0.

    Example:
        >>> recipe = Recipe(epochs=10, learning_rate=1, warmup=0.1)
        >>> [round(learning_rate(recipe, s, steps=100, steps_per_epoch=10), 2) for s in (0, 9, 55, 99)]
        [0.1, 1.0, 0.5, 0.0]
    """
    warm = round(recipe.warmup * steps)
    if step < warm:
        return recipe.learning_rate * (step + 1) / warm
    if recipe.schedule == "cosine":
        progress = (step - warm) / max(1, steps - warm)
        return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
    if recipe.schedule == "exponential":
        times = math.floor(step / (recipe.decay_epochs * steps_per_epoch))
        return recipe.learning_rate * recipe.decay**times
    return recipe.learning_rate


def _read(key: str, text: str, current: object) -> Any:  # noqa: ANN401 - of the field's own type
    try:
        if key in _OPTIONAL:
            return None if text.lower() == "none" else float(text)
        if isinstance(current, bool):
            return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[
                text.lower()
            ]
        if isinstance(current, int):
            return int(text)
        if isinstance(current, float):
            return float(text)
    except (KeyError, ValueError) as error:
        wanted = {bool: "true or false", int: "an integer", float: "a number"}.get(
            type(current), "a number or none"
        )
        raise RecipeError(f"{key} must be {wanted}, not {text!r}.") from error
    return text
