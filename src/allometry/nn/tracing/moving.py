"""What becomes of labels where entries only move: the same operation is done with the labels themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from allometry.nn.tracing.labels import Spot, Value, compact, varies
from allometry.nn.tracing.traced_int import TracedInt

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
            viewed = _before_view(tracer, plane, source, results[0])
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
        _before_cut(tracer, name, plane, source, args, kwargs, results)
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


def _blocks(old: Sequence[int], new: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """The least groups of dimensions of a view with as many entries before as after.

    Example:
        >>> _blocks((2, 8, 3), (2, 4, 2, 3))
        [([0], [0]), ([1], [1, 2]), ([2], [3])]
    """
    blocks: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(old) or j < len(new):
        before, after = ([i] if i < len(old) else []), ([j] if j < len(new) else [])
        here = old[i] if before else 1
        there = new[j] if after else 1
        i, j = i + len(before), j + len(after)
        while here != there:
            if here < there:
                here *= old[i]
                before.append(i)
                i += 1
            else:
                there *= new[j]
                after.append(j)
                j += 1
        blocks.append((before, after))
    return blocks


def _before_view(tracer: Tracer, plane: Tensor, source: Tensor, result: Tensor) -> Tensor | None:
    """Where a view takes channels apart, one factor grows with them; what differs in the others comes in step."""
    if 0 in source.shape:
        return None
    sizes = _sizes_argument(tracer, result)
    for before, after in _blocks(source.shape, result.shape):
        labeled = varies(plane) & set(before)
        real = [dimension for dimension in after if result.shape[dimension] > 1]
        if not labeled:
            continue
        whole = plane.expand([size if d in before else plane.shape[d] for d, size in enumerate(source.shape)])
        if len(real) <= 1:
            if real and sizes is not None:
                _note_size(tracer, sizes[real[0]], whole, before)
            continue
        growing = _growing(sizes, real)
        # Dimensions of this block alone, after the view; the labels of its other factors are one.
        if varies(plane) - set(before):
            tracer.freeze(plane.numpy(), "channels along several dimensions are rearranged")
            return None
        flat = whole.permute(*before, *[d for d in range(source.ndim) if d not in before])
        block = flat.reshape([result.shape[d] for d in after])
        for place, dimension in enumerate(after):
            if dimension != growing:
                block = tracer.unite(block, place)
        if sizes is not None:
            _note_size(tracer, sizes[growing], block, list(range(block.ndim)))
        wide = block.expand([result.shape[d] for d in after]).reshape([source.shape[d] for d in before])
        shape = [source.shape[d] if d in before else 1 for d in range(source.ndim)]
        plane = compact(wide.reshape(shape))
    return plane


def _note_size(tracer: Tracer, size: Any, plane: Tensor, dims: Sequence[int]) -> None:  # noqa: ANN401
    """A size that a view was given: an attribute that counts channels follows them."""
    del dims
    if not isinstance(size, TracedInt):
        return
    if size.labels is not None:
        tracer.couple(plane, size.labels)
    if size.spot is not None and not size.from_shape:
        tracer.wrote(size, plane.flatten().numpy())


def _sizes_argument(tracer: Tracer, result: Tensor) -> list[Any] | None:
    """The sizes that the running function was given for each dimension of the result; None where it was given none."""
    if not tracer.functions:
        return None
    func, args, kwargs = tracer.functions[-1]
    name = getattr(func, "__name__", "")
    if name in ("view", "reshape", "_unsafe_view"):
        given = kwargs.get("shape", kwargs.get("size", args[1:]))
        if len(given) == 1 and isinstance(given[0], list | tuple):
            given = given[0]
        return list(given) if len(given) == result.ndim else None
    if name == "unflatten":
        dimension, sizes = args[1], list(args[2])
        dimension %= result.ndim - len(sizes) + 1
        after = result.ndim - dimension - len(sizes)
        return [None] * dimension + sizes + [None] * after
    return None


def _growing(sizes: list[Any] | None, dimensions: Sequence[int]) -> int:
    """Which of a view's dimensions grows with the channels."""
    if sizes is None:
        return dimensions[-1]

    def rank(dimension: int) -> int:
        size = sizes[dimension]
        if isinstance(size, TracedInt):
            if size.from_shape:
                return 0
            return 3 if size.spot is not None and size.spot.is_count else 2
        return 1 if isinstance(size, int) and size == -1 else 4 if isinstance(size, int) else 2

    best = min(rank(dimension) for dimension in dimensions)
    return [dimension for dimension in dimensions if rank(dimension) == best][-1]


def _before_cut(
    tracer: Tracer,
    name: str,
    plane: Tensor,
    source: Tensor,
    args: Any,  # noqa: ANN401
    kwargs: Mapping[str, Any],
    results: list[Tensor],
) -> None:
    """Parts of channels: those that are half of them, or as many as an attribute says, follow."""
    position = 1 if name == "slice" else 2
    dimension = kwargs.get("dim", args[position] if len(args) > position else 0) % source.ndim
    if dimension not in varies(plane):
        return
    total = source.shape[dimension]
    lengths = [result.shape[dimension] for result in results]
    if name == "slice":
        start = args[2] if len(args) > 2 and args[2] is not None else 0
        step = args[4] if len(args) > 4 else 1
        start = max(0, start + total if start < 0 else start)
        if step == 1 and lengths[0] == total:
            return
        if step != 1:
            tracer.freeze(plane.numpy(), f"every {step}th channel is taken")
            return
        _cut_out(tracer, plane, dimension, start, lengths[0], total)
        return
    given = _cut_sizes(tracer, name, results)
    starts = np.cumsum([0, *lengths[:-1]]).tolist()
    parts = [plane.narrow(dimension, start, length) for start, length in zip(starts, lengths, strict=True)]
    if isinstance(given, list):
        known = [tracer.wrote(size, part.flatten().numpy()) for size, part in zip(given, parts, strict=False)]
        if all(known) and len(known) == len(parts):
            if all(isinstance(size, TracedInt) and size.spot is None for size in given):
                _in_step(tracer, plane, dimension, lengths, name)
            return
        tracer.freeze(plane.numpy(), f"the sizes of a {name} are written as constants")
        return
    follows = given is None or tracer.wrote(given, parts[0].flatten().numpy())
    if not follows:
        tracer.freeze(plane.numpy(), f"the size of a {name} is written as a constant")
        return
    _in_step(tracer, plane, dimension, lengths, name)


def _cut_sizes(tracer: Tracer, name: str, results: list[Tensor]) -> Any:  # noqa: ANN401
    """The sizes that the running function was given: one, several, or None where it was given how many parts."""
    if not tracer.functions:
        return None
    func, args, kwargs = tracer.functions[-1]
    called = getattr(func, "__name__", "")
    if called in ("split", "split_with_sizes", "unsafe_split"):
        given = kwargs.get(
            "split_size_or_sections", kwargs.get("split_size", args[1] if len(args) > 1 else None)
        )
        return list(given) if isinstance(given, list | tuple) else given
    del name, results
    return None


def _in_step(tracer: Tracer, plane: Tensor, dimension: int, lengths: list[int], name: str) -> None:
    """Equal parts stay equal: what is in the same place of each comes and goes together."""
    if len(set(lengths)) > 1:
        tracer.freeze(plane.numpy(), f"a {name} into parts of {', '.join(map(str, lengths))} channels")
        return
    row = plane.movedim(dimension, 0)
    tracer.unite(row.reshape(len(lengths), -1), 0)


def _cut_out(tracer: Tracer, plane: Tensor, dimension: int, start: int, length: int, total: int) -> None:
    """A slice of channels."""
    given = _slice_argument(tracer, dimension)
    edges = {start: None if given is None else given[0], start + length: None if given is None else given[1]}
    for edge, size in edges.items():
        if edge in (0, total):
            continue
        before = plane.narrow(dimension, 0, edge).flatten().numpy()
        if isinstance(size, TracedInt) and size.spot is not None and not size.from_shape and size > 0:
            tracer.wrote(size, before)
        elif isinstance(size, TracedInt) and size.from_shape and total % edge == 0:
            _in_step(tracer, plane, dimension, [edge] * (total // edge), "slice")
        elif isinstance(size, TracedInt) and size.from_shape and total % (total - edge) == 0:
            _in_step(tracer, plane, dimension, [total - edge] * (total // (total - edge)), "slice")
        else:
            tracer.freeze(plane.numpy(), "the bounds of a slice are written as constants")
            return


def _slice_argument(tracer: Tracer, dimension: int) -> tuple[Any, Any] | None:
    """The bounds that the running function was given for a dimension."""
    if not tracer.functions:
        return None
    func, args, _ = tracer.functions[-1]
    name = getattr(func, "__name__", "")
    if name == "narrow" and len(args) == 4:
        start = args[2]
        return start, start + args[3]
    if name != "__getitem__":
        return None
    index = args[1] if isinstance(args[1], tuple) else (args[1],)
    if Ellipsis in [item if item is Ellipsis else None for item in index]:
        place = [item is Ellipsis for item in index].index(True)
        after = index[place + 1 :]
        # Counted from the end; indices of None or integers are left out of account.
        ndim = args[0].ndim
        index = (*index[:place], *[slice(None)] * (ndim - place - len(after)), *after)
    if dimension < len(index) and isinstance(index[dimension], slice):
        chosen = index[dimension]
        return chosen.start, chosen.stop
    return None


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
