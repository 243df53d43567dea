"""AutoAugment's policy for ImageNet, as the released EfficientNet code has it under the name v0."""

from __future__ import annotations

from typing import Literal, NamedTuple

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
