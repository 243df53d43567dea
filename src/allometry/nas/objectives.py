"""What a search maximizes: an expression over measures, read from text and worked out without executing any."""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from allometry.base import ObjectiveError, UnknownNameError
from allometry.base.reading import UnreadableError, parse_number
from allometry.base.text import shown
from allometry.base.units import BYTES, COUNT, SECONDS
from allometry.cost import MACS, MEASURES

Value = float | npt.NDArray[np.float64]

TRIAL_METRICS = ("accuracy", "loss", "step_time")
"""What a trial tells besides measures: fractions of 1 for accuracy, seconds of a training step for step_time."""


def metric_names() -> tuple[str, ...]:
    """Names that an expression may use: what a trial tells, and the measures that are registered.

    Example:
        >>> metric_names()[:5]
        ('accuracy', 'loss', 'step_time', 'params', 'macs')
    """
    return (*TRIAL_METRICS, *MEASURES.names())


def _possible() -> str:
    return (
        f"It is an expression over {', '.join(metric_names())}, such as 'accuracy * (macs / 400M) ** -0.07'; or one of "
        "the presets mnasnet, mnasnet-hard (each with a measure and a target: mnasnet:latency=75ms), efficientnet, "
        "training-aware."
    )


# Python knows more ways to write a number (0x10, 1_000, other scripts' digits) than people mean here.
_QUANTITY = re.compile(r"(?<![\w.])\.?\d[\w.]*(?:(?<=[eE])[+-]\d\w*)?")
_SIGNS = re.compile(r"[a-zA-Z0-9_ \t\n.,+*/()<>=µ-]*")
_OPERATIONS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "min": np.minimum,
    "max": np.maximum,
    "log": np.log,
    "exp": np.exp,
    "sqrt": np.sqrt,
}
_PLACES = {"min": 2, "max": 2, "log": 1, "exp": 1, "sqrt": 1}
_DEEPEST = 50
# From the least to the most that a network may have; of other measures nobody knows.
_USUAL = {
    "accuracy": (1e-3, 1.0),
    "loss": (1e-3, 10.0),
    "step_time": (1e-4, 100.0),
    "latency": (1e-6, 10.0),
    "params": (1e2, 1e10),
    "macs": (1e3, 1e12),
    "activations": (1e2, 1e10),
    "memory": (1e3, 1e12),
}
_ANY = (1e-9, 1e12)
_SAMPLES = 512


_HINT = "A measure of your own is registered by a module that --plugin or ALLOMETRY_PLUGINS names."
FUNCTIONS = frozenset(_FUNCTIONS)


def read(text: str) -> ast.expr:
    """The expression that a text is, checked.

    Raises:
        ObjectiveError: it is none.
    """
    if not _SIGNS.fullmatch(text):
        raise ObjectiveError(
            f"Cannot read the objective {shown(text)}: it has other signs than such an expression has. {_possible()}"
        )
    try:
        tree = ast.parse(_QUANTITY.sub(_plain, text.strip()), mode="eval").body
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ObjectiveError(f"Cannot read the objective {shown(text)}. {_possible()}") from error
    except ValueError as error:
        raise ObjectiveError(f"Cannot read the objective {shown(text)}: {error}. {_possible()}") from error
    _check(tree, text, 0)
    return tree


def _plain(match: re.Match[str]) -> str:
    """A quantity as a plain number."""
    text = match[0]
    try:
        return repr(parse_number(text))
    except UnreadableError as error:
        if text[-1].isdecimal():
            raise ValueError(str(error)) from error
    for unit in dict.fromkeys((SECONDS, COUNT, BYTES, *(measure.unit for measure in MEASURES))):
        try:
            return repr(float(unit.parse(text)))
        except ValueError:
            continue
    raise ValueError(f"{shown(text)} is no number with a known suffix")


def _check(node: ast.AST, text: str, depth: int) -> None:
    """Refuse whatever is not part of such an expression."""
    match node:
        case ast.Constant(value=float()):
            inner: list[ast.AST] = []
        case ast.Name(id=name) if name in FUNCTIONS:
            raise ObjectiveError(
                f"Cannot read the objective {shown(text)}: {name} is a function; write {name}(...) of "
                f"{'two values' if _PLACES[name] > 1 else 'a value'}."
            )
        case ast.Name():
            inner = []
        case ast.BinOp(left=left, op=operation, right=right) if type(operation) in _OPERATIONS:
            inner = [left, right]
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            inner = [operand]
        case ast.IfExp(
            test=ast.Compare(left=left, ops=[order], comparators=[right]), body=body, orelse=other
        ) if type(order) in _OPERATIONS:
            inner = [left, right, body, other]
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if _PLACES.get(name) == len(
            arguments
        ):
            inner = list(arguments)
        case _:
            raise ObjectiveError(
                f"Cannot read the objective {shown(text)}: {shown(ast.unparse(node))} is not possible. {_possible()}"
            )
    if depth > _DEEPEST:
        raise ObjectiveError(f"The objective is nested more than {_DEEPEST} deep.")
    for part in inner:
        _check(part, text, depth + 1)


def value(node: ast.AST, measures: Mapping[str, Value]) -> Any:  # noqa: ANN401 - numbers or arrays
    """What a checked expression comes to, in 64-bit floating point.

    Example:
        >>> float(value(read("2 * accuracy"), {"accuracy": 0.25}))
        0.5
    """
    match node:
        case ast.Constant(value=number):
            return np.float64(number)  # type: ignore[arg-type]
        case ast.Name(id=name):
            return np.asarray(measures[name], np.float64)[()]
        case ast.BinOp(left=left, op=operation, right=right):
            return _OPERATIONS[type(operation)](value(left, measures), value(right, measures))
        case ast.UnaryOp(op=operation, operand=operand):
            return _OPERATIONS[type(operation)](value(operand, measures))
        case ast.IfExp(
            test=ast.Compare(left=left, ops=[order], comparators=[right]), body=body, orelse=other
        ):
            holds = _OPERATIONS[type(order)](value(left, measures), value(right, measures))
            return np.where(holds, value(body, measures), value(other, measures))[()]
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return _FUNCTIONS[name](*(value(argument, measures) for argument in arguments))
    raise AssertionError("checked before")


@dataclass(frozen=True, slots=True)
class Objective:
    """An expression over measures, the larger the better.

    It has numbers, also as `400M`, `20ms` and `5MB`; the names of measures that are registered, accuracy, loss and
    step_time; `+ - * / **`, brackets, comparisons in `a if b else c`, and `min`, `max`, `log`, `exp`, `sqrt`.

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
            if name not in metric_names():
                raise UnknownNameError("measure", name, metric_names(), _HINT)
        if not names:
            raise ObjectiveError(f"The objective {shown(self.text)} names no measure. {_possible()}")
        object.__setattr__(self, "measures", frozenset(names))
        object.__setattr__(self, "_tree", tree)
        self._check_samples()

    def _check_samples(self) -> None:
        """Refuse what no figures, or all alike, would be worth: before anything is trained for it."""
        worth = self(_samples(self.measures))
        known = worth[np.isfinite(worth)]
        if not len(known):
            raise ObjectiveError(
                f"The objective {shown(self.text)} cannot be worked out, whatever {_all_of(self.measures)} may be: it "
                "divides by zero, leaves the numbers or has no real value."
            )
        if len(known) == len(worth) and (known == known[0]).all():
            raise ObjectiveError(
                f"The objective {shown(self.text)} is {known[0]:g} whatever {_all_of(self.measures)} may be: no "
                "network is better than another."
            )

    def __call__(self, measures: Mapping[str, Value]) -> Any:  # noqa: ANN401 - a number for numbers, an array for arrays
        """Its value for these figures; arrays give an array. What cannot be worked out is minus infinity.

        Raises:
            ObjectiveError: a measure is missing.
        """
        missing = sorted(self.measures - measures.keys())
        if missing:
            raise ObjectiveError(
                f"The objective {shown(self.text)} needs {', '.join(missing)}, which is not known."
            )
        with np.errstate(all="ignore"):
            worth = value(self._tree, measures)
        if isinstance(worth, np.ndarray):
            return np.where(np.isfinite(worth), worth, -np.inf)
        return float(worth) if math.isfinite(worth) else -math.inf

    def __str__(self) -> str:
        return self.text


def _samples(measures: Iterable[str]) -> dict[str, npt.NDArray[np.float64]]:
    """Figures as networks may have them: each measure by itself, over all that is plausible."""
    random = np.random.default_rng(0)
    samples = {}
    for name in sorted(measures):
        least, most = _USUAL.get(name, _ANY)
        between = np.exp(random.uniform(math.log(least), math.log(most), _SAMPLES))
        samples[name] = np.array([least, most, *between])
    return samples


def _all_of(names: Iterable[str]) -> str:
    return " and ".join(sorted(names))


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
        >>> hard = mnasnet("macs", "400M", soft=False)
        >>> hard({"accuracy": 0.7, "macs": 300e6}), hard({"accuracy": 0.7, "macs": 800e6})
        (0.7, 0.35)
    """
    given = f"mnasnet:{measure}={target}"
    if measure not in MEASURES:
        raise UnknownNameError("measure", measure, MEASURES.names(), _HINT)
    try:
        positive = MEASURES.get(measure).parse(target) > 0
    except ValueError as error:
        raise ObjectiveError(f"Cannot read the objective {shown(given)}: {error}.") from error
    if not positive:
        raise ObjectiveError(f"Cannot read the objective {shown(given)}: the target must be above 0.")
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
    return mnasnet(MACS.name, target)


TRAINING_AWARE = Objective("accuracy * step_time ** -0.07 * params ** -0.05")
"""EfficientNetV2's: accuracy, the time of a training step, and parameters (section 3.3)."""


def parse_objectives(text: str) -> tuple[Objective, ...]:
    """Read one objective, a preset, or several joined by semicolons, for a front of the best compromises.

    Raises:
        ObjectiveError: the text is none.

    Example:
        >>> [str(objective) for objective in parse_objectives("accuracy; -latency")]
        ['accuracy', '-latency']
        >>> str(parse_objectives("mnasnet:latency=75ms")[0])
        'accuracy * (latency / 75ms) ** -0.07'
    """
    return tuple(_parse(part.strip()) for part in text.split(";"))


def as_objectives(value: Objective | Sequence[Objective] | str) -> tuple[Objective, ...]:
    """The objectives that a user means: one, several for a front, or their text.

    Raises:
        ObjectiveError: the text is none, or there is none.

    Example:
        >>> as_objectives("accuracy; -macs") == as_objectives([Objective("accuracy"), Objective("-macs")])
        True
    """
    if isinstance(value, str):
        return parse_objectives(value)
    objectives = (value,) if isinstance(value, Objective) else tuple(value)
    if not objectives or not all(isinstance(objective, Objective) for objective in objectives):
        raise ObjectiveError(
            f"An objective, several or their text is expected, not {shown(value)}. {_possible()}"
        )
    return objectives


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
                f"The objective {shown(text)} needs a measure and its target, such as {name}:latency=75ms."
            )
        return mnasnet(measure.strip(), target.strip(), soft=name == "mnasnet")
    return Objective(text)
