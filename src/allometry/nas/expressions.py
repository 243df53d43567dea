"""Expressions over measures: read from text, checked, and worked out; nothing of them is executed."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from allometry.base import ObjectiveError
from allometry.base.units import parse_duration, parse_quantity

Value = float | npt.NDArray[np.float64]

MEASURED = ("accuracy", "loss", "params", "macs", "activations", "memory", "latency", "step_time")
"""Names that an expression may use: shares of 1 for accuracy, seconds for latency and step_time, bytes for memory."""

POSSIBLE = (
    f"It is an expression over {', '.join(MEASURED)}, such as 'accuracy * (macs / 400M) ** -0.07'; or one of the "
    "presets mnasnet, mnasnet-hard (each with a measure and a target: mnasnet:latency=75ms), efficientnet, "
    "training-aware."
)


_QUANTITY = re.compile(r"(?<![\w.])(?P<number>\d+(?:\.\d+)?)(?P<suffix>[a-zA-Zµ]+)\b")
_SCIENTIFIC = re.compile(r"[eE]\d*")
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


FUNCTIONS = frozenset(_FUNCTIONS)


def read(text: str) -> ast.expr:
    """The expression that a text is, checked.

    Raises:
        ObjectiveError: it is none.
    """
    try:
        tree = ast.parse(_QUANTITY.sub(_plain, text.strip()), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ObjectiveError(f"Cannot read the objective {text!r}. {POSSIBLE}") from error
    _check(tree, text, 0)
    return tree


def _plain(found: re.Match[str]) -> str:
    """A quantity as a plain number."""
    if _SCIENTIFIC.fullmatch(found["suffix"]):
        return found[0]
    for parse in (parse_duration, parse_quantity, lambda text: parse_quantity(text, unit="B")):
        try:
            return repr(float(parse(found[0])))
        except ValueError:
            continue
    raise ValueError(f"{found['suffix']!r} is not a known suffix")


def _check(node: ast.AST, text: str, depth: int) -> None:
    """Refuse whatever is not part of such an expression."""
    match node:
        case ast.Constant(value=int() | float()) if not isinstance(node.value, bool):
            inner: list[ast.AST] = []
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
                f"Cannot read the objective {text!r}: {ast.unparse(node)!r} is not possible. {POSSIBLE}"
            )
    if depth > _DEEPEST:
        raise ObjectiveError(f"The objective is nested more than {_DEEPEST} deep.")
    for each in inner:
        _check(each, text, depth + 1)


def value(node: ast.AST, figures: Mapping[str, Value]) -> Any:  # noqa: ANN401 - numbers or arrays
    """What a checked expression comes to, in 64-bit floating point.

    Example:
        >>> float(value(read("2 * accuracy"), {"accuracy": 0.25}))
        0.5
    """
    match node:
        case ast.Constant(value=number):
            return np.float64(number)  # type: ignore[arg-type]
        case ast.Name(id=name):
            return np.asarray(figures[name], np.float64)[()]
        case ast.BinOp(left=left, op=operation, right=right):
            return _OPERATIONS[type(operation)](value(left, figures), value(right, figures))
        case ast.UnaryOp(op=operation, operand=operand):
            return _OPERATIONS[type(operation)](value(operand, figures))
        case ast.IfExp(
            test=ast.Compare(left=left, ops=[order], comparators=[right]), body=body, orelse=other
        ):
            holds = _OPERATIONS[type(order)](value(left, figures), value(right, figures))
            return np.where(holds, value(body, figures), value(other, figures))[()]
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return _FUNCTIONS[name](*(value(each, figures) for each in arguments))
    raise AssertionError("checked before")
