"""What becomes of labels where weights are multiplied with the image: convolutions and matrix products."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from allometry.nn.tracing.labels import Value, plane_of, varies, vector

if TYPE_CHECKING:
    from allometry.nn.tracing.tracer import Tracer

Row = npt.NDArray[np.int64]


def _convolution(tracer: Tracer, _name: str, args: Any, _kwargs: Any, out: Tensor) -> None:  # noqa: ANN401
    source, weight, bias = args[0], args[1], args[2]
    stride, transposed, groups = args[3], args[6], args[8]
    wide, channels = (0, 1) if transposed else (1, 0)
    value, weights = tracer.value(source), tracer.value(weight)
    row = _only_row(tracer, value, 1, "a convolution of channels that are not along one dimension")
    into, given = (_row_of(weights, dimension) for dimension in (wide, channels))
    size = source.shape[1] // groups
    if groups > 1 and size == 1:
        given, into = _depthwise(tracer, row, weight, weights, groups, transposed)
    else:
        if into is not None:
            _read(tracer, into, row, groups, transposed)
        if given is not None and groups > 1:
            given = np.tile(given, groups) if transposed else _united(tracer, given, groups)
    planes: list[Tensor] = []
    if given is not None:
        planes.append(plane_of(given, out.ndim, 1))
        tracer.producers.update(int(label) for label in given)
        if isinstance(bias, Tensor) and (offset := _row_of(tracer.value(bias), 0)) is not None:
            tracer.labels.tie(given, offset)
    for plane in value.planes:
        if varies(plane) - {1}:
            same = source.shape[2:] == out.shape[2:] and all(step == 1 for step in stride)
            tracer.freeze(plane.numpy(), "neighboring channels are convolved with each other")
            planes += [plane] if same and not varies(plane) & {0, 1} else []
    tracer.keep(out, Value(planes, data=True))
    # Each place that a transposed convolution is given is multiplied with the whole kernel.
    places, reads = (source, weight.shape[0] // groups) if transposed else (out, weight.shape[1])
    times = int(np.prod(weight.shape[2:])) * (places.numel() // max(places.shape[1], 1))
    # One input for each output where it is depthwise; otherwise those of its group.
    inputs = np.full(reads, -1) if into is None else into[:reads]
    _note(tracer, times, np.full(out.shape[1], -1) if given is None else given, inputs)


def _depthwise(
    tracer: Tracer, row: Row | None, weight: Tensor, weights: Value, groups: int, transposed: bool
) -> tuple[Row | None, Row | None]:
    """Each channel by itself, or several from each; the labels of what comes out, and none that is read."""
    per = weight.shape[1] if transposed else weight.shape[0] // groups
    own = _row_of(weights, 0)
    if row is None:
        if own is not None:
            tracer.freeze(own, "they read what has no channels")
        return own, None
    asked = _groups_argument(tracer)
    if not tracer.wrote(asked, row):
        tracer.freeze(row, "the groups of a convolution are written as a constant")
    repeated = np.repeat(row, per)
    if own is not None:
        tracer.labels.tie(own, row if transposed else repeated)
    if transposed and (multiple := _row_of(weights, 1)) is not None:
        tracer.freeze(multiple, "a transposed convolution of each channel")
    return (repeated if own is None or transposed else own), None


def _groups_argument(tracer: Tracer) -> Any:  # noqa: ANN401 - any argument
    if not tracer.functions:
        return None
    _, args, kwargs = tracer.functions[-1]
    position = 6  # of `conv2d` and its kin, and of the transposed ones
    return kwargs.get("groups", args[position] if len(args) > position else None)


def _read(tracer: Tracer, into: Row, row: Row | None, groups: int, transposed: bool) -> None:
    """Tie the inputs of weights to the channels that they read."""
    if row is None:
        tracer.freeze(into, "they read what has no channels")
        return
    if groups > 1:
        row = _united(tracer, row, groups)
        # A transposed convolution has weights of its own for the inputs of each group.
        row = row if transposed else row[: len(row) // groups]
    tracer.labels.tie(into, row)
    tracer.readers.update(int(label) for label in into)


def _united(tracer: Tracer, row: Row, groups: int) -> Row:
    """As many channels in each group: those in the same place of each group come and go together."""
    plane = torch.from_numpy(row.reshape(groups, -1).astype(np.float64))
    tracer.unite(plane, 0)
    return row


def _product(tracer: Tracer, name: str, args: Any, _kwargs: Any, out: Tensor) -> None:  # noqa: ANN401
    offset, one, two = (
        (args[0], *args[1:3]) if name in ("addmm", "baddbmm", "addmv", "addbmm") else (None, *args[:2])
    )
    left, right = tracer.value(one), tracer.value(two)
    deep = two.ndim - 2 if two.ndim > 1 else 0
    read_left, planes_left = _split(left, one.ndim - 1)
    read_right, planes_right = _split(right, deep)
    if name in ("mv", "dot", "addmv"):
        planes_left = [plane.squeeze(-1) for plane in planes_left]
        planes_right = []
    _contract(tracer, one, (left, read_left), (right, read_right), deep)
    planes = [plane for plane in (*planes_left, *planes_right) if plane.ndim == out.ndim]
    for value, given in ((left, planes_left), (right, planes_right)):
        if not value.data:
            for plane in given:
                tracer.producers.update(int(label) for label in plane.flatten().tolist())
    if name in ("bmm", "baddbmm"):
        _tie_batches(tracer, (one, two))
    result = Value(planes, left.data or right.data)
    if isinstance(offset, Tensor):
        from allometry.nn.tracing.rules import meeting

        result = meeting(tracer, [result, tracer.value(offset)], out.ndim)
    tracer.keep(out, result)
    weight = (left, read_left, planes_left) if not left.data else (right, read_right, planes_right)
    if left.data != right.data and weight[1] and weight[2]:
        given_row, into = weight[2][0].flatten().numpy(), weight[1][0].flatten().numpy()
        times = out.numel() // max(len(given_row), 1)
        _note(tracer, times, given_row, into)


def _split(value: Value, dimension: int) -> tuple[list[Tensor], list[Tensor]]:
    """The planes that differ along the dimension that is summed over, and the others."""
    over = [plane for plane in value.planes if dimension in varies(plane)]
    return over, [plane for plane in value.planes if dimension not in varies(plane)]


def _contract(
    tracer: Tracer,
    one: Tensor,
    left: tuple[Value, list[Tensor]],
    right: tuple[Value, list[Tensor]],
    deep: int,
) -> None:
    rows = []
    for (_, planes), dimension in ((left, one.ndim - 1), (right, deep)):
        kept = []
        for plane in planes:
            row = vector(plane, dimension)
            if row is None:
                tracer.freeze(plane.numpy(), "a product over channels that are not along one dimension")
            else:
                kept.append(row)
        rows.append(kept[0] if kept else None)
    first, second = rows
    if first is None or second is None:
        for row, other in ((first, second), (second, first)):
            if row is not None and other is None:
                tracer.freeze(row, "its channels meet a matrix that has none")
        return
    tracer.labels.tie(first, second)
    if left[0].data and right[0].data:
        tracer.silent.update(tracer.spread(second))
        return
    for value, row in ((left[0], first), (right[0], second)):
        if not value.data:
            tracer.readers.update(int(label) for label in row)


def _attention(tracer: Tracer, _name: str, args: Any, _kwargs: Any, out: Any) -> None:  # noqa: ANN401
    """Queries and keys are multiplied channel by channel; what comes out has the values' channels."""
    query, key, value = args[:3]
    rows = []
    for tensor in (query, key):
        found = [vector(plane, tensor.ndim - 1) for plane in tracer.value(tensor).planes]
        rows.append(next((row for row in found if row is not None), None))
    if rows[0] is not None and rows[1] is not None:
        tracer.labels.tie(rows[0], rows[1])
        tracer.silent.update(tracer.spread(rows[1]))
        if "scale" not in _kwargs or _kwargs["scale"] is None:
            tracer.labels.norm(rows[0])
            tracer.queries.update(tracer.spread(rows[0]))
            tracer.keys.update(tracer.spread(rows[1]))
    _tie_batches(tracer, (query, key, value))
    planes = [plane for plane in tracer.value(value).planes if not varies(plane) & {value.ndim - 2}]
    result = out[0] if isinstance(out, tuple | list) else out
    tracer.keep(result, Value(planes, data=True))


def _tie_batches(tracer: Tracer, tensors: Sequence[Tensor]) -> None:
    """Heads of queries, keys and values: as many matrices are multiplied with each other."""
    known: dict[int, Tensor] = {}
    for tensor in tensors:
        for plane in tracer.value(tensor).planes:
            along = varies(plane)
            if len(along) == 1 and max(along) < tensor.ndim - 2:
                first = known.setdefault(max(along), plane)
                if first.numel() == plane.numel():
                    tracer.labels.tie(first.flatten().numpy(), plane.flatten().numpy())


def _only_row(tracer: Tracer, value: Value, dimension: int, reason: str) -> Row | None:
    rows = []
    for plane in value.planes:
        if dimension in varies(plane):
            row = vector(plane, dimension)
            if row is None:
                tracer.freeze(plane.numpy(), reason)
            else:
                rows.append(row)
    return rows[0] if rows else None


def _row_of(value: Value, dimension: int) -> Row | None:
    return next((vector(plane, dimension) for plane in value.planes if varies(plane) == {dimension}), None)


def _note(tracer: Tracer, times: int, outputs: npt.ArrayLike, inputs: npt.ArrayLike) -> None:
    from allometry.nn.tracing.tracer import Multiplication

    rows = [tuple(int(label) for label in np.asarray(row).reshape(-1)) for row in (outputs, inputs)]
    tracer.multiplications.append(Multiplication(tracer.modules[-1], times, rows[0], rows[1]))


Rule = Callable[["Tracer", str, Any, Mapping[str, Any], Any], None]
PRODUCTS: dict[str, Rule] = {
    **dict.fromkeys(("convolution", "_convolution", "convolution_overrideable", "mkldnn_convolution"), _convolution),
    **dict.fromkeys(("mm", "addmm", "bmm", "baddbmm", "mv", "addmv", "dot", "addbmm"), _product),
    **dict.fromkeys(
        (
            "_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_flash_attention",
            "_scaled_dot_product_efficient_attention", "_scaled_dot_product_cudnn_attention",
        ),
        _attention,
    ),
}  # fmt: skip
