"""Weights within checkpoints of others' trainings: under which key they lie, and what stands before their names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from torch import Tensor

# Averaged weights first: they are what such trainings evaluate.
_AVERAGED = ("state_dict_ema", "model_ema", "ema_state_dict", "ema")
_PLAIN = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights")
_DEEPEST = 3
# Of DataParallel and AveragedModel, torch.compile, Lightning, and what people call their own attributes.
_PREFIX = re.compile(r"^(module|_orig_mod|model|net|network|backbone)\.")
_COUNTER = "n_averaged"
_MOST = 0.8  # of the names; what else a training keeps, such as its loss or a metric, is left out


class Unwrapped(NamedTuple):
    """The weights of a checkpoint.

    Attributes:
        tensors: by name, as they stand there.
        notes: sentences on what was taken, where there was a choice.
    """

    tensors: dict[str, Tensor]
    notes: tuple[str, ...] = ()


def unwrapped(held: Mapping[Any, Any]) -> Unwrapped:
    """The weights in a checkpoint, which may lie a few keys deep.

    Example:
        >>> import torch
        >>> weights = {"fc.weight": torch.zeros(2)}
        >>> unwrapped({"epoch": 3, "state_dict": weights, "state_dict_ema": weights}).notes
        ('Of the checkpoint, the averaged weights (state_dict_ema) are taken, and not state_dict.',)
        >>> sorted(unwrapped({"net": {"model": weights}}).tensors)
        ['fc.weight']
    """
    notes: list[str] = []
    for _ in range(_DEEPEST):
        known = [key for key in (*_AVERAGED, *_PLAIN) if _holds_tensors(held.get(key))]
        if not known:
            break
        first, *others = known
        if others:
            kind = "averaged weights" if first in _AVERAGED else "weights"
            notes.append(f"Of the checkpoint, the {kind} ({first}) are taken, and not {' or '.join(others)}.")
        held = held[first]
    tensors = {str(name): value for name, value in held.items() if isinstance(value, Tensor)}
    return Unwrapped(tensors, tuple(notes))


def without_prefixes(tensors: Mapping[str, Tensor]) -> Iterator[Unwrapped]:
    """The tensors as they are named, and then without what stands before all or nearly all names, one by one.

    Example:
        >>> import torch
        >>> names = ("module._orig_mod.fc.weight", "module._orig_mod.fc.bias", "n_averaged")
        >>> [sorted(one.tensors) for one in without_prefixes(dict.fromkeys(names, torch.zeros(1)))][2]
        ['fc.bias', 'fc.weight']
    """
    yield Unwrapped(dict(tensors))
    left_out: list[str] = []
    while True:
        names = [name for name in tensors if name != _COUNTER]
        found = [match[0] for name in names if (match := _PREFIX.match(name))]
        prefix = max(found, key=found.count, default="")
        if not prefix or found.count(prefix) < _MOST * len(names):
            return
        left_out += [name for name in names if not name.startswith(prefix)]
        tensors = {
            name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)
        }
        some = f"{', '.join(left_out[:3])}{' and more' if len(left_out) > 3 else ''}"
        yield Unwrapped(dict(tensors), (f"Left out of the file: {some}.",) if left_out else ())


def _holds_tensors(value: object, deep: int = _DEEPEST) -> bool:
    if not isinstance(value, Mapping):
        return False
    if any(isinstance(one, Tensor) for one in value.values()):
        return True
    return deep > 1 and any(_holds_tensors(value.get(key), deep - 1) for key in (*_AVERAGED, *_PLAIN))
