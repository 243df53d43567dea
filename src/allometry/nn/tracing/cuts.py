"""What becomes of channels where only a part of them goes on: slices and splits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from allometry.nn.tracing.labels import varies
from allometry.nn.tracing.traced_int import TracedInt

if TYPE_CHECKING:
    from allometry.nn.tracing.tracer import Tracer


def before_cut(
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
    given = _cut_sizes(tracer)
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


def _cut_sizes(tracer: Tracer) -> Any:  # noqa: ANN401
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
