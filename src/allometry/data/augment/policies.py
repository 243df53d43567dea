"""Policies: RandAugment, AutoAugment and TrivialAugment, each as a few steps that are drawn and then taken.

A level becomes a strength as in the released EfficientNet code, where 10 is the nominal full level. Two of its habits
stay: the higher the level, the weaker posterize and solarize, and a factor of color, contrast, brightness and
sharpness is 1, which changes nothing, at level 5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import cv2
import numpy as np

from allometry.data.augment import operations
from allometry.data.augment.augmentation import Augmentation
from allometry.data.images.pixels import Pixels

Operation = Literal[
    "identity",
    "autocontrast",
    "equalize",
    "invert",
    "posterize",
    "solarize",
    "solarize_add",
    "color",
    "contrast",
    "brightness",
    "sharpness",
    "rotate",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
    "cutout",
]
# The released code moves by a number of pixels, whatever the image's size. As a fraction of the side they are taken at
# 380, the largest images that it trains with RandAugment, where the magnitude is highest, 25: two thirds of the side
# at most. At 224 pixels AutoAugment's 250 would leave nothing of the image.
_TRANSLATION = 100 / 380
_LONG_TRANSLATION = 250 / 380
_CUTOUT = 40 / 380
_MOST_ADDED = 128  # more would make all dark levels, and a white drawing on black, the same white
_WIDE_TRANSLATION = 32 / 224  # TrivialAugment's
_EITHER_WAY = frozenset({"rotate", "shear_x", "shear_y", "translate_x", "translate_y"})
_RANDAUGMENT: tuple[Operation, ...] = (
    "autocontrast",
    "equalize",
    "invert",
    "rotate",
    "posterize",
    "solarize",
    "color",
    "contrast",
    "brightness",
    "sharpness",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
    "cutout",
    "solarize_add",
)
_TRIVIALAUGMENT: tuple[Operation, ...] = (
    "identity",
    "autocontrast",
    "equalize",
    "rotate",
    "solarize",
    "color",
    "posterize",
    "contrast",
    "brightness",
    "sharpness",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
)
_WIDE_LEVELS = 31  # TrivialAugment's strengths, from none to full


class Chance(NamedTuple):
    """One step of a sub-policy.

    Attributes:
        operation: what happens.
        probability: of its happening.
        level: how strongly, 0 to 10.
    """

    operation: Operation
    probability: float
    level: float


# Cubuk et al. 2019, "AutoAugment: Learning Augmentation Policies from Data": the search is the paper's, the table is
# that of the released code (policy v0), which trained EfficientNet-B0 to B7 and differs from the paper's appendix.
IMAGENET_POLICY: tuple[tuple[Chance, Chance], ...] = (
    (Chance("equalize", 0.8, 1), Chance("shear_y", 0.8, 4)),
    (Chance("color", 0.4, 9), Chance("equalize", 0.6, 3)),
    (Chance("color", 0.4, 1), Chance("rotate", 0.6, 8)),
    (Chance("solarize", 0.8, 3), Chance("equalize", 0.4, 7)),
    (Chance("solarize", 0.4, 2), Chance("solarize", 0.6, 2)),
    (Chance("color", 0.2, 0), Chance("equalize", 0.8, 8)),
    (Chance("equalize", 0.4, 8), Chance("solarize_add", 0.8, 3)),
    (Chance("shear_x", 0.2, 9), Chance("rotate", 0.6, 8)),
    (Chance("color", 0.6, 1), Chance("equalize", 1.0, 2)),
    (Chance("invert", 0.4, 9), Chance("rotate", 0.6, 0)),
    (Chance("equalize", 1.0, 9), Chance("shear_y", 0.6, 3)),
    (Chance("color", 0.4, 7), Chance("equalize", 0.6, 0)),
    (Chance("posterize", 0.4, 6), Chance("autocontrast", 0.4, 7)),
    (Chance("solarize", 0.6, 8), Chance("color", 0.6, 9)),
    (Chance("solarize", 0.2, 4), Chance("rotate", 0.8, 9)),
    (Chance("rotate", 1.0, 7), Chance("translate_y", 0.8, 9)),
    (Chance("shear_x", 0.0, 0), Chance("solarize", 0.8, 4)),
    (Chance("shear_y", 0.8, 0), Chance("color", 0.6, 4)),
    (Chance("color", 1.0, 0), Chance("rotate", 0.6, 2)),
    (Chance("equalize", 0.8, 4), Chance("equalize", 0.0, 8)),
    (Chance("equalize", 1.0, 4), Chance("autocontrast", 0.6, 2)),
    (Chance("shear_y", 0.4, 7), Chance("solarize_add", 0.6, 7)),
    (Chance("posterize", 0.8, 2), Chance("solarize", 0.6, 10)),
    (Chance("solarize", 0.6, 8), Chance("equalize", 0.6, 1)),
    (Chance("color", 0.8, 6), Chance("rotate", 0.4, 5)),
)


class Step(NamedTuple):
    """One operation on a view.

    Attributes:
        operation: what happens.
        strength: in the operation's own unit: degrees, bits, a level, a factor, a slope or a fraction of the side.
        x: where, for cutout, as a fraction of the width.
        y: where, for cutout, as a fraction of the height.
    """

    operation: Operation
    strength: float
    x: float = 0.5
    y: float = 0.5


def draw_steps(augmentation: Augmentation, random: np.random.Generator) -> tuple[Step, ...]:
    """The steps of one image by the augmentation's policy.

    Sources: RandAugment (Cubuk et al. 2020), AutoAugment (Cubuk et al. 2019), both with the operations and the
    levels of the released EfficientNet code; TrivialAugment, wide (Müller & Hutter 2021).

    Example:
        >>> strong = Augmentation(policy="randaugment", magnitude=9)
        >>> [step.operation for step in draw_steps(strong, np.random.default_rng(0))]
        ['shear_x', 'translate_y']
    """
    if augmentation.policy == "randaugment":
        draws = random.random((augmentation.operations, 4)).tolist()
        return tuple(_randaugment_step(augmentation.magnitude, *draw) for draw in draws)
    if augmentation.policy == "autoaugment":
        return _autoaugment_steps(random)
    if augmentation.policy == "trivialaugment":
        return (_trivialaugment_step(*random.random(3).tolist()),)
    return ()


def take_steps(view: Pixels, steps: tuple[Step, ...]) -> Pixels:
    """The view, uint8 [height, width, channels], after the steps, one after the other.

    A step that would leave nothing to see, each pixel like the next, is not taken.

    Example:
        >>> take_steps(np.array([[[0], [55]]], np.uint8), (Step("invert", 0),)).ravel().tolist()
        [255, 200]
    """
    for step in steps:
        changed = _CHANGES[step.operation](view, step)
        view = view if _blank(changed) else changed
    return view


def _blank(view: Pixels) -> bool:
    return all(darkest == brightest for darkest, brightest, *_ in map(cv2.minMaxLoc, cv2.split(view)))


def released_strength(operation: Operation, level: float, *, translation: float = _TRANSLATION) -> float:
    """The strength of an operation at a level, where 10 is the nominal full one.

    Source: the released EfficientNet code, with lengths as fractions of the side. Its posterize leaves no bit at all
    below level 2.5; one bit stays here.

    Example:
        >>> [released_strength(operation, 9) for operation in ("rotate", "posterize", "solarize")]
        [27.0, 3, 230]
    """
    fraction = level / 10
    if operation == "rotate":
        return fraction * 30
    if operation == "posterize":
        return min(8, max(1, int(fraction * 4)))
    if operation == "solarize":
        return min(256, int(fraction * 256))
    if operation == "solarize_add":
        return min(_MOST_ADDED, int(fraction * 110))
    if operation in ("color", "contrast", "brightness", "sharpness"):
        return fraction * 1.8 + 0.1
    if operation in ("shear_x", "shear_y"):
        return fraction * 0.3
    if operation in ("translate_x", "translate_y"):
        return fraction * translation
    return fraction * _CUTOUT if operation == "cutout" else 0.0


def wide_strength(operation: Operation, level: int) -> float:
    """The strength of an operation at a level from 0 to 30.

    Source: TrivialAugment (Müller & Hutter 2021), the wide space, with lengths as fractions of the side.

    Example:
        >>> [wide_strength(operation, 30) for operation in ("rotate", "posterize", "solarize", "color")]
        [135.0, 2, 0, 2.0]
    """
    fraction = level / (_WIDE_LEVELS - 1)
    if operation == "rotate":
        return fraction * 135
    if operation == "posterize":
        return 8 - int(fraction * 6)
    if operation == "solarize":
        return 256 - int(fraction * 256)
    if operation in ("color", "contrast", "brightness", "sharpness"):
        return fraction * 1.99 + 0.01
    if operation in ("shear_x", "shear_y"):
        return fraction * 0.99
    return fraction * _WIDE_TRANSLATION if operation in ("translate_x", "translate_y") else 0.0


def _randaugment_step(level: float, which: float, sign: float, x: float, y: float) -> Step:
    operation = _RANDAUGMENT[int(which * len(_RANDAUGMENT))]
    return Step(operation, _signed(operation, released_strength(operation, level), sign), x, y)


def _trivialaugment_step(which: float, level: float, sign: float) -> Step:
    operation = _TRIVIALAUGMENT[int(which * len(_TRIVIALAUGMENT))]
    return Step(operation, _signed(operation, wide_strength(operation, int(level * _WIDE_LEVELS)), sign))


def _autoaugment_steps(random: np.random.Generator) -> tuple[Step, ...]:
    which, *draws = random.random(5).tolist()
    steps = []
    for chance, happens, sign in zip(
        IMAGENET_POLICY[int(which * len(IMAGENET_POLICY))], draws[:2], draws[2:], strict=True
    ):
        if happens < chance.probability:
            strength = released_strength(chance.operation, chance.level, translation=_LONG_TRANSLATION)
            steps.append(Step(chance.operation, _signed(chance.operation, strength, sign)))
    return tuple(steps)


def _signed(operation: Operation, strength: float, sign: float) -> float:
    return -strength if operation in _EITHER_WAY and sign < 0.5 else strength


_CHANGES: Mapping[Operation, Callable[[Pixels, Step], Pixels]] = {
    "identity": lambda view, _: view,
    "autocontrast": lambda view, _: operations.autocontrast(view),
    "equalize": lambda view, _: operations.equalize(view),
    "invert": lambda view, _: operations.invert(view),
    "posterize": lambda view, step: operations.posterize(view, int(step.strength)),
    "solarize": lambda view, step: operations.solarize(view, int(step.strength)),
    "solarize_add": lambda view, step: operations.solarize_add(view, int(step.strength)),
    "color": lambda view, step: operations.color(view, step.strength),
    "contrast": lambda view, step: operations.contrast(view, step.strength),
    "brightness": lambda view, step: operations.brightness(view, step.strength),
    "sharpness": lambda view, step: operations.sharpness(view, step.strength),
    "rotate": lambda view, step: operations.rotate(view, step.strength),
    "shear_x": lambda view, step: operations.shear_x(view, step.strength),
    "shear_y": lambda view, step: operations.shear_y(view, step.strength),
    "translate_x": lambda view, step: operations.translate_x(view, step.strength),
    "translate_y": lambda view, step: operations.translate_y(view, step.strength),
    "cutout": lambda view, step: operations.cutout(view, step.strength, x=step.x, y=step.y),
}
