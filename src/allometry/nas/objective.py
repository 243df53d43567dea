"""What a search maximizes: an expression over measures, read from text and worked out without executing any."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from allometry.base import ObjectiveError, UnknownNameError
from allometry.nas.expressions import FUNCTIONS, MEASURED, POSSIBLE, Value, read, value


@dataclass(frozen=True, slots=True)
class Objective:
    """An expression over measures, the larger the better.

    It has numbers, also as `400M`, `20ms` and `5MB`; the names of `MEASURED`; `+ - * / **`, brackets, comparisons in
    `a if b else c`, and `min`, `max`, `log`, `exp`, `sqrt`.

    Attributes:
        text: as it was written.
        measures: that it needs, by name.

    Raises:
        ObjectiveError: the text is no such expression.

    Source: MnasNet (Tan et al. 2019), section 3; EfficientNetV2 (Tan & Le 2021), section 3.3.

    Example:
        >>> objective = Objective("accuracy * (macs / 400M) ** -0.07")
        >>> sorted(objective.measures)
        ['accuracy', 'macs']
        >>> objective({"accuracy": 0.8, "macs": 400e6}), objective({"accuracy": 0.8, "macs": 800e6}) < 0.8
        (0.8, True)
    """

    text: str
    measures: frozenset[str] = field(init=False, compare=False)
    _tree: ast.expr = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        tree = read(self.text)
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} - FUNCTIONS
        for name in names:
            if name not in MEASURED:
                raise UnknownNameError("measure", name, MEASURED)
        if not names:
            raise ObjectiveError(f"The objective {self.text!r} names no measure. {POSSIBLE}")
        object.__setattr__(self, "measures", frozenset(names))
        object.__setattr__(self, "_tree", tree)

    def __call__(self, figures: Mapping[str, Value]) -> Any:  # noqa: ANN401 - a number for numbers, an array for arrays
        """Its value for these figures; arrays give an array. What cannot be worked out is minus infinity.

        Raises:
            ObjectiveError: a measure is missing.
        """
        missing = sorted(self.measures - figures.keys())
        if missing:
            raise ObjectiveError(
                f"The objective {self.text!r} needs {', '.join(missing)}, which is not known."
            )
        with np.errstate(all="ignore"):
            found = value(self._tree, figures)
        if isinstance(found, np.ndarray):
            return np.where(np.isfinite(found), found, -np.inf)
        return float(found) if math.isfinite(found) else -math.inf

    def __str__(self) -> str:
        return self.text


def mnasnet(measure: str, target: str, *, soft: bool = True) -> Objective:
    """MnasNet's: accuracy * (measure / target)^w, where w is -0.07, or, hard, 0 below the target and -1 above.

    Args:
        measure: such as `latency`.
        target: such as `75ms`.
        soft: whether a network just over the target is a little worse only.

    Raises:
        ObjectiveError: the measure or the target is none.

    Source: MnasNet (Tan et al. 2019), equation 2, with alpha = beta = -0.07, or alpha = 0 and beta = -1.

    Example:
        >>> hard = mnasnet("latency", "75ms", soft=False)
        >>> hard({"accuracy": 0.7, "latency": 0.05}), hard({"accuracy": 0.7, "latency": 0.15})
        (0.7, 0.35)
    """
    below, above = (-0.07, -0.07) if soft else (0, -1)
    power = f"{below}" if soft else f"({below} if {measure} <= {target} else {above})"
    return Objective(f"accuracy * ({measure} / {target}) ** {power}")


def efficientnet(target: str = "400M") -> Objective:
    """EfficientNet's for its baseline: MnasNet's with MACs instead of a latency.

    Source: EfficientNet (Tan & Le 2019), section 4.

    Example:
        >>> str(efficientnet())
        'accuracy * (macs / 400M) ** -0.07'
    """
    return mnasnet("macs", target)


TRAINING_AWARE = Objective("accuracy * step_time ** -0.07 * params ** -0.05")
"""EfficientNetV2's: accuracy, the time of a training step, and parameters (section 3.3)."""


def parse_objectives(text: str) -> tuple[Objective, ...]:
    """Read one objective, a preset, or several joined by semicolons, for a front of the best compromises.

    Raises:
        ObjectiveError: the text is none.

    Example:
        >>> [str(each) for each in parse_objectives("accuracy; -latency")]
        ['accuracy', '-latency']
        >>> str(parse_objectives("mnasnet:latency=75ms")[0])
        'accuracy * (latency / 75ms) ** -0.07'
    """
    return tuple(_parse(part.strip()) for part in text.split(";"))


def _parse(text: str) -> Objective:
    name, _, rest = text.partition(":")
    if text == "training-aware":
        return TRAINING_AWARE
    if name == "efficientnet" and (rest or name == text):
        return efficientnet(rest) if rest else efficientnet()
    if name in ("mnasnet", "mnasnet-hard"):
        measure, equals, target = rest.partition("=")
        if not equals:
            raise ObjectiveError(
                f"The objective {text!r} needs a measure and its target, such as {name}:latency=75ms."
            )
        return mnasnet(measure.strip(), target.strip(), soft=name == "mnasnet")
    return Objective(text)
