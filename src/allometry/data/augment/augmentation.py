"""How strongly training images are varied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from allometry.base.checks import check_choice, check_flag, check_integer, check_numbers
from allometry.data.augment.geometry import Border

Policy = Literal["none", "randaugment", "autoaugment", "trivialaugment"]

_RANGES = {
    "crop": (0.01, 1),
    "rotation": (0, 180),
    "scale": (0, 0.9),
    "stretch": (0, 0.9),
    "shear": (0, 2),
    "translation": (0, 1),
    "brightness": (0, 1),
    "contrast": (0, 1),
    "saturation": (0, 1),
    "invert": (0, 1),
    "stroke": (0, 1),
    "erase": (0, 1),
    "magnitude": (0, 30),
    "mixup": (0, 10),
    "cutmix": (0, 10),
}
_MOST_OPERATIONS = 16
_CHOICES: dict[str, tuple[str, ...]] = {"border": get_args(Border), "policy": get_args(Policy)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """Strengths of the random changes to training images; everything is off by default.

    Attributes:
        crop: smallest fraction of the area that a random crop keeps, 0.01 to 1; 1 is off and gives the center
            square. The crop's aspect is 3/4 to 4/3, and it is resized to a square.
        rotation: up to this many degrees either way.
        scale: size, up to this fraction larger or smaller.
        stretch: width against height, up to this fraction either way.
        shear: up to this many pixels sideways per pixel down, either way.
        translation: up to this fraction of the side, in both directions.
        flip: mirror every other image, left to right.
        brightness: all levels, up to this fraction higher or lower.
        contrast: distance from the mean level, up to this fraction larger or smaller.
        saturation: distance from gray, up to this fraction larger or smaller; gray images stay as they are.
        invert: probability of a negative.
        stroke: probability of thickening or thinning strokes by a pixel, half each.
        erase: probability of filling a rectangle, of sides 15 % to 45 % of the image's, with one level.
        border: what a moved image uncovers: `reflect`, or `constant` for the median level of the image's
            edge.
        policy: what else happens to the view, after crop and flip: `none`; `randaugment`, `operations` random
            operations of one `magnitude`; `autoaugment`, one of 25 learnt pairs of operations; `trivialaugment`,
            one random operation of random strength.
        magnitude: of RandAugment's operations, 0 to 30; 10 is the nominal full strength of the released
            EfficientNet code. The other policies have strengths of their own.
        operations: how many RandAugment does one after the other, 1 to 16.
        mixup: alpha of the Beta distribution of the fractions in which two images of a batch are mixed, 0 to 10;
            0 is off.
        cutmix: alpha of the Beta distribution of the area that remains where a box of another image of the
            batch is pasted, 0 to 10; 0 is off. With both, half of the pairs are mixed either way.

    Raises:
        RecipeError: a field cannot have that value.

    Example:
        >>> Augmentation(rotation=10, scale=0.1, erase=0.25).rotation
        10
        >>> Augmentation(erase=25)
        Traceback (most recent call last):
            ...
        allometry.base.errors.RecipeError: Augmentation.erase must be a number from 0 to 1, not 25.
    """

    crop: float = 1.0
    rotation: float = 0.0
    scale: float = 0.0
    stretch: float = 0.0
    shear: float = 0.0
    translation: float = 0.0
    flip: bool = False
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    invert: float = 0.0
    stroke: float = 0.0
    erase: float = 0.0
    border: Border = "reflect"
    policy: Policy = "none"
    magnitude: float = 10.0
    operations: int = 2
    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        check_numbers(self, "Augmentation.", _RANGES)
        check_flag("Augmentation.flip", self.flip)
        check_integer("Augmentation.operations", self.operations, minimum=1, maximum=_MOST_OPERATIONS)
        for name, possible in _CHOICES.items():
            check_choice(f"Augmentation.{name}", getattr(self, name), possible)

    @property
    def mixes(self) -> bool:
        """Whether images of a batch are mixed with each other."""
        return self.mixup > 0 or self.cutmix > 0
