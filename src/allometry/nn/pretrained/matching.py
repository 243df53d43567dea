"""Which layout a file has, and its tensors by our names: all of them, of the right shapes, or an error."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from allometry.arch import Network
from allometry.base import WeightsError
from allometry.base.text import first_few
from allometry.nn.build import ConvNet
from allometry.nn.pretrained.checkpoints import without_prefixes
from allometry.nn.pretrained.files import refuse_not_finite
from allometry.nn.pretrained.layouts import LAYOUTS, OWN, Layout

# What a file may hold besides: counters of batch norm, and heads that only training used.
_BESIDES = re.compile(r"(^|\.)num_batches_tracked$|^(AuxLogits|aux\w*)\.")
_COUNTER = "num_batches_tracked"


class Matched(NamedTuple):
    """A file's weights by our names.

    Attributes:
        state: every parameter and statistic of the network that the file has; of the classifier, the file's own.
        layout: whose names the file has.
        missing: our names of what the file has not, all of them of the head.
        notes: sentences on what was left out.
    """

    state: dict[str, Tensor]
    layout: str
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class _Fit(NamedTuple):
    layout: Layout
    names: dict[str, str]
    tensors: dict[str, Tensor]
    missing: list[str]
    left: list[str]

    @property
    def fraction(self) -> float:
        return 1 - len(self.missing) / max(1, len(self.names))


def match(network: Network, tensors: Mapping[str, Tensor], *, where: object) -> Matched:
    """Bring the tensors of a file to our names.

    The classifier may be of another number of classes and the stem of another number of input channels; any
    other shape must be the network's. The whole head may be missing, as in the file of a backbone. What a training puts
    before all names, such as `module.`, is no part of them.

    Args:
        network: whose weights they shall be.
        tensors: by their authors' names.
        where: they come from, for the message.

    Raises:
        WeightsError: tensors are missing or left over, or have other shapes; the message names some.
    """
    shapes = _shapes(network)
    best, notes = _best_fit(network, shapes, tensors)
    label = network.name or "this network"
    if best.fraction < 0.5:
        held = first_few(sorted(tensors))
        raise WeightsError(
            f"{where} does not hold the weights of {label} in any known layout: it has {held}."
        )
    head = tuple(ours for ours, theirs in best.names.items() if theirs in best.missing)
    if _is_whole_head(head, best.names):
        best = best._replace(missing=[])
    problems = [
        f"{len(names)} tensors {verb} ({first_few(names)})"
        for names, verb in ((best.missing, "are missing"), (best.left, "are left over"))
        if names
    ]
    if problems:
        raise WeightsError(
            f"{where} does not hold the weights of {label}: read by the names of {best.layout.name}, "
            f"{' and '.join(problems)}."
        )
    return Matched(_shaped(best, shapes, where, label), best.layout.name, head, notes)


def _is_whole_head(missing: Sequence[str], names: Iterable[str]) -> bool:
    """Whether a classifier is missing, with or without the layers before it, and nothing else."""
    classifier = {name for name in names if name.startswith("classifier.")}
    layers = {name for name in names if name.startswith("head.")}
    return set(missing) in (classifier, classifier | layers)


def _best_fit(
    network: Network, shapes: Mapping[str, torch.Size], tensors: Mapping[str, Tensor]
) -> tuple[_Fit, tuple[str, ...]]:
    """The layout that has most of the names, and sentences on what was left out for it."""
    fits = [
        (fit, candidate.notes)
        for candidate in without_prefixes(tensors)
        for layout in LAYOUTS
        if (fit := _fit(layout, network, shapes, candidate.tensors)) is not None
    ]
    return max(fits, key=lambda pair: (pair[0].fraction, -len(pair[0].left)))


def names_in(layout: Layout, network: Network, shapes: Iterable[str]) -> dict[str, str] | None:
    """Our names of parameters and statistics with a layout's, or None where it has no such network.

    Args:
        layout: whose names are asked for.
        network: whose parameters they are.
        shapes: our names; counters of batch norm are left out.
    """
    prefixes = layout.names(network)
    if prefixes is None:
        return None
    names: dict[str, str] = {}
    for ours in shapes:
        prefix, _, suffix = ours.rpartition(".")
        theirs = prefixes.get(prefix, prefix if layout is OWN else None)
        if theirs is None:
            return None  # the layout does not know such a part
        if suffix != _COUNTER:
            names[ours] = f"{theirs}.{suffix}"
    return names


def _fit(
    layout: Layout, network: Network, shapes: Mapping[str, torch.Size], tensors: Mapping[str, Tensor]
) -> _Fit | None:
    names = names_in(layout, network, shapes)
    if names is None:
        return None
    tidied = layout.tidy(tensors)
    wanted = set(names.values())
    missing = [name for name in names.values() if name not in tidied]
    left = [name for name in tidied if name not in wanted and not _BESIDES.search(name)]
    return _Fit(layout, names, tidied, missing, left)


def _shapes(network: Network) -> dict[str, torch.Size]:
    with torch.device("meta"):
        return {name: tensor.shape for name, tensor in ConvNet(network).state_dict().items()}


def _shaped(fit: _Fit, shapes: Mapping[str, torch.Size], where: object, label: str) -> dict[str, Tensor]:
    state = {}
    for ours, theirs in fit.names.items():
        if theirs not in fit.tensors:
            continue  # of a head that is missing
        tensor, shape = fit.tensors[theirs], shapes[ours]
        if tensor.numel() == shape.numel() and _without_ones(tensor.shape) == _without_ones(shape):
            tensor = tensor.reshape(shape)  # a linear layer may be published as a 1x1 convolution
        elif not _may_differ(ours, tensor.shape, shape):
            raise WeightsError(
                f"{where} does not hold the weights of {label}: {theirs} is {_times(tensor.shape)} "
                f"in the file and {_times(shape)} in the network."
            )
        state[ours] = _number(tensor, ours, theirs, where)
    refuse_not_finite(state, where)  # double precision may not fit into single
    rows, biases = (len(state.get(f"classifier.{kind}", ())) for kind in ("weight", "bias"))
    if rows != biases:
        raise WeightsError(
            f"{where} is damaged: its classifier has {rows} rows of weights and {biases} biases."
        )
    return state


def _number(tensor: Tensor, ours: str, theirs: str, where: object) -> Tensor:
    """The tensor in single precision, if it can be what its name says."""
    if not tensor.is_floating_point():
        kind = str(tensor.dtype).removeprefix("torch.")
        raise WeightsError(f"{where} holds {theirs} as {kind}; weights are floating-point numbers.")
    if ours.endswith("running_var") and bool((tensor < 0).any()):
        raise WeightsError(f"{where} is damaged: the variances {theirs} have values below zero.")
    return tensor.to(torch.float32).contiguous()


def _without_ones(shape: torch.Size) -> list[int]:
    return [side for side in shape if side != 1]


def _may_differ(ours: str, shape: torch.Size, needed: torch.Size) -> bool:
    """Whether the shape may be another: the number of classes, and of input channels, is handled later."""
    if len(shape) != len(needed):
        return False
    if ours in ("classifier.weight", "classifier.bias"):
        return shape[1:] == needed[1:]
    return ours == "stem.0.weight" and (shape[0], *shape[2:]) == (needed[0], *needed[2:])


def _times(shape: torch.Size) -> str:
    return " x ".join(map(str, shape)) or "a single number"
