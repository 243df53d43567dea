"""What a recipe's fields may be: they are set by people, and each mistake is told in one sentence."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

from allometry.base.errors import InputError, RecipeError
from allometry.base.text import shown

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Config = TypeVar("Config", bound=DataclassInstance)


def is_number(value: object) -> bool:
    """Whether it is a finite number; true and false are none.

    Example:
        >>> is_number(1), is_number(True), is_number(float("nan")), is_number("1")
        (True, False, False, False)
    """
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer that no float holds
        return False


_TYPES: dict[str, tuple[Callable[[object], bool], str]] = {
    "int": (lambda value: isinstance(value, int) and not isinstance(value, bool), "an integer"),
    "float": (is_number, "a finite number"),
    "bool": (lambda value: isinstance(value, bool), "true or false"),
    "str": (lambda value: isinstance(value, str), "a text"),
}


_LARGEST_SEED = 2**53


def check_fields(config: DataclassInstance, **least: int) -> None:
    """Refuse a config whose plain fields are not what they are declared to be, or too small; None stands for a default.

    Raises:
        InputError: one of them is.

    Example:
        >>> from allometry.cost import RuntimeConfig
        >>> RuntimeConfig(threads="many")
        Traceback (most recent call last):
            ...
        allometry.base.errors.InputError: threads must be an integer, not 'many'.
    """
    for field in fields(config):
        first, _, rest = str(field.type).partition(" | ")
        value = getattr(config, field.name)
        if first not in _TYPES or rest not in ("", "None") or (value is None and rest):
            continue
        fits, name = _TYPES[first]
        if not fits(value):
            raise InputError(f"{field.name} must be {name}, not {shown(value)}.")
    for name, low in least.items():
        value = getattr(config, name)
        if value is not None and value < low:
            raise InputError(f"{name} must be at least {low}, not {shown(value)}.")


def replace_given(config: Config, **fields: object) -> Config:
    """A config with the fields that are given, which are those that are not None.

    Example:
        >>> from allometry.cost import RuntimeConfig
        >>> replace_given(RuntimeConfig(), threads=4, batch=None)
        RuntimeConfig(runtime='onnxruntime', threads=4, batch=1, precision='float32', device='cpu')
    """
    return replace(config, **{name: value for name, value in fields.items() if value is not None})


def check_integer(name: str, value: object, *, minimum: int, maximum: int | None = None) -> None:
    """Refuse what is no integer or out of its range.

    Raises:
        RecipeError: it is.

    Example:
        >>> check_integer("epochs", 0, minimum=1)
        Traceback (most recent call last):
            ...
        allometry.base.errors.RecipeError: epochs must be an integer of at least 1, not 0.
    """
    if _TYPES["int"][0](value) and minimum <= value and (maximum is None or value <= maximum):  # type: ignore[operator]
        return
    allowed = f"of at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
    raise RecipeError(f"{name} must be an integer {allowed}, not {shown(value)}.")


def check_seed(seed: object) -> None:
    """Refuse what is no seed: run folders remember it as JSON does, exactly up to 2^53.

    Raises:
        InputError: it is none.

    Example:
        >>> check_seed(-1)
        Traceback (most recent call last):
            ...
        allometry.base.errors.InputError: The seed must be an integer from 0 to 9,007,199,254,740,992, not -1.
    """
    if not _TYPES["int"][0](seed) or not 0 <= seed <= _LARGEST_SEED:  # type: ignore[operator]
        raise InputError(f"The seed must be an integer from 0 to {_LARGEST_SEED:,}, not {shown(seed)}.")


def check_flag(name: str, value: object) -> None:
    """Refuse what is neither true nor false.

    Raises:
        RecipeError: it is neither.
    """
    if not isinstance(value, bool):
        raise RecipeError(f"{name} must be true or false, not {shown(value)}.")


def check_choice(name: str, value: object, possible: Collection[str]) -> None:
    """Refuse what is none of the possible words.

    Raises:
        RecipeError: it is none.
    """
    if value not in possible:
        raise RecipeError(f"{name} must be one of {', '.join(possible)}, not {shown(value)}.")


def check_numbers(owner: object, prefix: str, ranges: Mapping[str, tuple[float, float]]) -> None:
    """Refuse fields that are no number or out of their range; None passes where it is the field's default.

    Args:
        owner: a dataclass.
        prefix: of the fields' names, as people write them.
        ranges: the least and the most of each field.

    Raises:
        RecipeError: a field cannot have its value.
    """
    defaults: Mapping[str, Any] = type(owner).__dataclass_fields__  # type: ignore[attr-defined]
    for name, (low, high) in ranges.items():
        value = getattr(owner, name)
        if value is None and defaults[name].default is None:
            continue
        if not is_number(value) or not low <= value <= high:
            raise RecipeError(
                f"{prefix}{name} must be a number from {low:g} to {high:g}, not {shown(value)}."
            )
