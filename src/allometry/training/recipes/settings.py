"""Changing a recipe by text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import MISSING, asdict, fields, replace
from typing import Any, TypeAlias

from allometry.base import RecipeError, UnknownNameError
from allometry.base.reading import parse_integer, parse_number
from allometry.base.units import parse_quantity
from allometry.training.losses import LOSSES, Loss
from allometry.training.recipes.recipe import Recipe

_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


Setting: TypeAlias = str | Loss
"""A change to a recipe: `key=value`, or a loss."""


def change(recipe: Recipe, *settings: Setting) -> Recipe:
    """Change fields by their text, as `--set key=value` does, and the loss by its value.

    All of them change at once, so that two fields that must fit each other may be given in any order.

    Raises:
        UnknownNameError: no such field; the message gives the nearest ones.
        RecipeError: the value does not fit the field.

    Example:
        >>> change(Recipe(epochs=2), "epochs=5", "augmentation.flip=true").augmentation.flip
        True
        >>> change(Recipe(epochs=2), "execution.memory=4GB").execution.memory
        4000000000
        >>> str(change(Recipe(epochs=2), "loss=binary-cross-entropy", "loss.label_smoothing=0.2").loss)
        'binary-cross-entropy(label_smoothing=0.2, class_weights=none)'
        >>> change(Recipe(epochs=2), "learning_rat=1")
        Traceback (most recent call last):
            ...
        allometry.base.errors.UnknownNameError: No recipe field is named 'learning_rat'. Did you mean ...
    """
    pairs = [_pair(setting) for setting in settings if isinstance(setting, str)]
    losses = [setting for setting in settings if isinstance(setting, Loss)]
    # What the fields of the loss are follows from which one it is.
    for loss in (*losses, *(LOSSES.get(text) for key, text in pairs if key == "loss")):
        recipe = replace(recipe, loss=loss)
    plain, own = recipe.to_dict(), dict[str, Any]()
    parts: dict[str, dict[str, Any]] = {}
    for key, text in pairs:
        if key == "loss":
            continue
        if key not in plain:
            raise UnknownNameError("recipe field", key, plain)
        owner, _, inner = key.partition(".")
        value = _read(recipe, key, text)
        if inner:
            parts.setdefault(owner, {})[inner] = value
        else:
            own[key] = value
    return replace(
        recipe, **own, **{name: replace(getattr(recipe, name), **inner) for name, inner in parts.items()}
    )


def setting_texts(settings: Iterable[Setting]) -> list[str]:
    """Settings as text, by which run folders remember them, and which other processes are given.

    Example:
        >>> from allometry.training.losses import CrossEntropy
        >>> setting_texts(["epochs=5", CrossEntropy(label_smoothing=0)])
        ['epochs=5', 'loss=cross-entropy', 'loss.label_smoothing=0', 'loss.class_weights=none']
    """
    texts: list[str] = []
    for setting in settings:
        if isinstance(setting, str):
            texts.append(setting)
        else:
            own = asdict(setting).items()
            texts += [f"loss={setting.name}", *(f"loss.{name}={value_text(value)}" for name, value in own)]
    return texts


def value_text(value: object) -> str:
    """A value as `change` reads it back.

    Example:
        >>> value_text(None), value_text(True), value_text((1, 2))
        ('none', 'true', '1,2')
    """
    if value is None:
        return "none"
    if isinstance(value, tuple | list):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _pair(setting: str) -> tuple[str, str]:
    key, separator, text = setting.partition("=")
    if not separator:
        raise RecipeError(f"Cannot read the setting {setting!r}: write it as key=value.")
    return key.strip(), text.strip()


def _read(recipe: Recipe, key: str, text: str) -> Any:  # noqa: ANN401 - of the field's own type
    owner, _, inner = key.partition(".")
    holder = getattr(recipe, owner) if inner else recipe
    field = next(one for one in fields(holder) if one.name == (inner or owner))
    # The default tells a field's type better than its value, which may be None or a whole number.
    current = getattr(holder, field.name) if field.default is MISSING else field.default
    try:
        if current is None:
            return None if text.lower() == "none" else parse_number(text)
        if isinstance(current, bool):
            return _TRUTH[text.lower()]
        if key == "execution.memory":
            return parse_quantity(text, unit="B")
        if isinstance(current, int):
            return parse_integer(text)
        if isinstance(current, float):
            return parse_number(text)
    except (KeyError, ValueError) as error:
        raise RecipeError(f"{key} must be {_wanted(key, current)}, not {text!r}.") from error
    return text


def _wanted(key: str, current: object) -> str:
    if key == "execution.memory":
        return "a size such as 4GB"
    kinds = {bool: "true or false", int: "an integer", float: "a number"}
    return kinds.get(type(current), "a number or none")
