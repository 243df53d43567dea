"""What becomes of channels where a view takes them apart or puts them together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from allometry.nn.tracing.labels import compact, varies
from allometry.nn.tracing.traced_int import TracedInt

if TYPE_CHECKING:
    from allometry.nn.tracing.tracer import Tracer


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


def before_view(tracer: Tracer, plane: Tensor, source: Tensor, result: Tensor) -> Tensor | None:
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
                _note_size(tracer, sizes[real[0]], whole)
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
            _note_size(tracer, sizes[growing], block)
        wide = block.expand([result.shape[d] for d in after]).reshape([source.shape[d] for d in before])
        shape = [source.shape[d] if d in before else 1 for d in range(source.ndim)]
        plane = compact(wide.reshape(shape))
    return plane


def _note_size(tracer: Tracer, size: Any, plane: Tensor) -> None:  # noqa: ANN401
    """A size that a view was given: an attribute that counts channels follows them."""
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
