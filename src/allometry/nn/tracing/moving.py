"""What becomes of labels where entries only move: the same operation is done with the labels themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from allometry.nn.tracing.cuts import before_cut
from allometry.nn.tracing.labels import Spot, Value, compact, varies
from allometry.nn.tracing.views import before_view

if TYPE_CHECKING:
    from allometry.nn.tracing.tracer import Tracer

_VIEWS = ("view", "_unsafe_view", "reshape", "_reshape_alias", "_reshape_copy", "view_copy")
_CUTS = ("slice", "split", "split_with_sizes", "unsafe_split", "unsafe_split_with_sizes", "narrow", "chunk")
_JOINS = ("cat", "stack")
_PLAIN = (
    "permute", "transpose", "t", "expand", "squeeze", "unsqueeze", "clone", "detach", "alias", "contiguous",
    "lift_fresh", "lift_fresh_copy", "_to_copy", "flip", "repeat", "pixel_unshuffle", "diagonal",
    "channel_shuffle", "native_channel_shuffle", "as_strided", "unfold", "im2col", "movedim", "swapaxes", "roll",
    "select", "unbind", "constant_pad_nd", "index", "index_select", "to", "_conj", "expand_as", "ravel", "flatten",
    "_reshape_from_tensor", "squeeze_copy", "unsqueeze_copy", "permute_copy", "select_copy", "repeat_interleave",
)  # fmt: skip
_BY_NUMBER = ("index", "index_select", "roll", "flip", "unfold", "as_strided")
MOVES = frozenset((*_VIEWS, *_CUTS, *_JOINS, *_PLAIN))


def follow_move(tracer: Tracer, func: Any, name: str, args: Any, kwargs: Mapping[str, Any], out: Any) -> None:  # noqa: ANN401 - any operation
    """Move the labels as the entries are moved, and tie what must grow together for the move to stay possible."""
    from allometry.nn.tracing.tracer import tensors_in

    if name in _JOINS:
        _join(tracer, args[0], kwargs.get("dim", args[1] if len(args) > 1 else 0), out, new=name == "stack")
        return
    source = args[0]
    value = tracer.value(source)
    results = tensors_in(out)
    moved: list[list[Tensor]] = [[] for _ in results]
    for given in value.planes:
        plane = given
        if name in _VIEWS:
            viewed = before_view(tracer, plane, source, results[0])
            if viewed is None:
                continue
            planes = [_viewed(viewed, source, results[0])]
        else:
            plane = _before_move(tracer, name, plane, source, args, kwargs, results)
            planes = tensors_in(_done(func, name, plane, source, args, kwargs))
        for number, result in enumerate(planes):
            small = compact(result)
            if varies(small):
                moved[number].append(small)
    for result, planes in zip(results, moved, strict=True):
        tracer.keep(result, Value(planes, value.data))


def _before_move(
    tracer: Tracer,
    name: str,
    plane: Tensor,
    source: Tensor,
    args: Any,  # noqa: ANN401
    kwargs: Mapping[str, Any],
    results: list[Tensor],
) -> Tensor:
    """Note what the channels must be like for a move to stay possible; the labels that are moved."""
    if name in _CUTS:
        before_cut(tracer, name, plane, source, args, kwargs, results)
    elif name in _BY_NUMBER:
        _before_index(tracer, name, plane, source, args, kwargs)
    elif name == "constant_pad_nd":
        return _padded(tracer, plane, source, args[1])
    return plane


def _done(func: Any, name: str, plane: Tensor, source: Tensor, args: Any, kwargs: Mapping[str, Any]) -> Any:  # noqa: ANN401
    if name in (
        "clone",
        "detach",
        "alias",
        "contiguous",
        "lift_fresh",
        "lift_fresh_copy",
        "_to_copy",
        "to",
        "_conj",
    ):
        return plane
    if name == "constant_pad_nd":
        return plane
    full = plane.expand(source.shape)
    if name in ("as_strided", "channel_shuffle", "native_channel_shuffle"):
        full = full.contiguous()
    with torch.no_grad():
        return func(full, *args[1:], **kwargs)


def _viewed(plane: Tensor, source: Tensor, result: Tensor) -> Tensor:
    return plane.expand(source.shape).reshape(result.shape)


def _before_index(
    tracer: Tracer,
    name: str,
    plane: Tensor,
    source: Tensor,
    args: Any,  # noqa: ANN401
    kwargs: Mapping[str, Any],
) -> None:
    """What takes or repeats channels by number keeps them as many as they are."""
    if name == "index":
        dims = {number for number, index in enumerate(args[1]) if index is not None}
    elif name == "as_strided":
        dims = set(range(source.ndim)) if args[1] != list(source.shape) else set()
    elif name in ("roll", "flip"):
        given = args[2] if name == "roll" and len(args) > 2 else args[1] if name == "flip" else []
        dims = {number % source.ndim for number in given}
    else:
        given = kwargs.get("dim", args[1] if len(args) > 1 and isinstance(args[1], int) else 0)
        dims = {given % source.ndim} if isinstance(given, int) else set()
    if varies(plane) & dims:
        tracer.freeze(plane.numpy(), f"{name} along channels")


def _padded(tracer: Tracer, plane: Tensor, source: Tensor, padding: Sequence[int]) -> Tensor:
    """Padding of the image leaves channels alone; channels of zeros that are added stay as many."""
    for number in range(len(padding) // 2):
        dimension = source.ndim - 1 - number
        low, high = padding[2 * number], padding[2 * number + 1]
        if not (low or high) or dimension not in varies(plane):
            continue
        if low < 0 or high < 0:
            tracer.freeze(plane.numpy(), "channels are cut off")
        parts = [_zeros(tracer, plane, dimension, count) for count in (low, high) if count > 0]
        before, after = (parts[:1], parts[1:]) if low > 0 else ([], parts)
        keep = plane.narrow(dimension, max(0, -low), plane.shape[dimension] - max(0, -low) - max(0, -high))
        plane = torch.cat([*before, keep, *after], dimension)
    return plane


def _zeros(tracer: Tracer, like: Tensor, dimension: int, count: int) -> Tensor:
    """Labels of channels that no weights give; they stay as many as they are."""
    row = tracer.labels.add(Spot("", 0), count)
    tracer.freeze(row, "channels of a constant number are added")
    shape = [1] * like.ndim
    shape[dimension] = count
    wide = torch.from_numpy(row.astype(np.float64)).view(shape)
    return wide.expand([count if d == dimension else size for d, size in enumerate(like.shape)])


def _join(tracer: Tracer, tensors: Sequence[Tensor], dimension: int, out: Tensor, *, new: bool) -> None:
    """Channels behind each other, or entries that meet."""
    from allometry.nn.tracing.rules import meeting

    values = [tracer.value(tensor) for tensor in tensors]
    data = any(value.data for value in values)
    dimension %= out.ndim
    if new:
        values = [
            Value([plane.unsqueeze(dimension) for plane in value.planes], value.data) for value in values
        ]
    joined = [[plane for plane in value.planes if dimension in varies(plane)] for value in values]
    others = [
        Value([plane for plane in value.planes if dimension not in varies(plane)], value.data)
        for value in values
    ]
    if not any(joined):
        tracer.keep(out, Value(meeting(tracer, others, out.ndim).planes, data))
        return
    model = next(planes[0] for planes in joined if planes)
    parts = []
    for tensor, planes in zip(tensors, joined, strict=True):
        if not tensor.numel():
            continue
        if len(planes) > 1:
            for plane in planes:
                tracer.freeze(plane.numpy(), "several kinds of channels are concatenated")
        size = tensor.shape[dimension]
        parts.append(planes[0] if planes else _zeros(tracer, model.narrow(dimension, 0, 1), dimension, size))
    shape = [max(part.shape[d] for part in parts) for d in range(out.ndim)]
    wide = [
        part.expand([*shape[:dimension], part.shape[dimension], *shape[dimension + 1 :]]) for part in parts
    ]
    tracer.keep(
        out, Value([compact(torch.cat(wide, dimension)), *meeting(tracer, others, out.ndim).planes], data)
    )
