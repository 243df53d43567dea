"""What becomes of the labels of channels in each operation of PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from allometry.nn.tracing.labels import LayerNormUse, Value, plane_of, varies, vector
from allometry.nn.tracing.moving import MOVES, follow_move
from allometry.nn.tracing.products import PRODUCTS
from allometry.nn.tracing.traced_int import TracedInt

if TYPE_CHECKING:
    from allometry.nn.tracing.tracer import Tracer

# Operations along the image: what is no channel may change its size.
_SPATIAL = (
    "pool", "upsample", "grid_sampler", "interpolate", "reflection_pad", "replication_pad", "fft", "affine_grid",
)  # fmt: skip
_STATISTICS = ("mean", "var", "std", "var_mean", "std_mean", "amax", "amin", "max", "min", "aminmax")
_SPREADS = ("var", "std", "var_mean", "std_mean")
_SUMS = ("sum", "linalg_vector_norm", "norm", "logsumexp", "prod", "any", "all", "nansum", "argmax", "argmin")
_NEW = (
    "empty", "zeros", "ones", "full", "arange", "rand", "randn", "empty_like", "zeros_like", "ones_like", "full_like",
    "rand_like", "randn_like", "new_empty", "new_zeros", "new_ones", "new_full", "scalar_tensor", "linspace", "eye",
    "bernoulli", "randperm", "randint", "empty_strided", "new_empty_strided", "_local_scalar_dense", "tril_indices",
    "is_same_size", "sym_size", "numel", "nonzero", "exponential", "uniform", "normal", "cauchy", "geometric", "histc",
    "_unique2", "one_hot", "is_nonzero", "equal",
)  # fmt: skip


_POINTWISE = (
    "hardswish", "log_sigmoid_forward", "rrelu_with_noise", "_prelu_kernel", "bucketize", "native_dropout", "dropout",
    "fake_quantize_per_tensor_affine_cachemask", "fill", "zero", "copy", "alpha_dropout", "feature_dropout",
)  # fmt: skip


# Of these the ones whose entries are all alike, whatever channels they stand for.
_ONE_VALUE = (
    "zeros", "ones", "full", "empty", "zeros_like", "ones_like", "full_like", "empty_like", "new_zeros", "new_ones",
    "new_full", "new_empty",
)  # fmt: skip


def follow(tracer: Tracer, func: Any, args: Any, kwargs: Mapping[str, Any], out: Any) -> None:  # noqa: ANN401 - any operation
    """Note what an operation ties, and the labels of what it gives."""
    name = func._schema.name.removeprefix("aten::")
    if name.endswith("_") and not name.startswith("__"):
        name = name.rstrip("_")
    if name == "_local_scalar_dense" and tracer.value(args[0]).data:
        tracer.decided = tracer.place
    if name in _NEW:
        _constant(tracer, name, args, out)
        return
    rule = PRODUCTS.get(name) or _RULES.get(name)
    if rule is not None:
        rule(tracer, name, args, kwargs, out)
    elif name in MOVES:
        follow_move(tracer, func, name, args, kwargs, out)
    elif torch.Tag.pointwise in func.tags or name in _POINTWISE:
        pointwise(tracer, name, args, kwargs, out)
    elif any(word in name for word in _SPATIAL):
        _spatial(tracer, name, args, kwargs, out)
    else:
        _unknown(tracer, name, args, kwargs, out)


def _constant(tracer: Tracer, name: str, args: Any, out: Any) -> None:  # noqa: ANN401
    """New tensors of one value with as many entries as there are channels stand for these channels."""
    if not isinstance(out, Tensor) or name not in _ONE_VALUE:
        return
    if name.endswith("_like"):
        tracer.keep(out, Value(list(tracer.value(args[0]).planes)))
        return
    planes = []
    for dimension, size in enumerate(_given_sizes(tracer, out)):
        labels = size.labels if isinstance(size, TracedInt) else None
        if labels is not None and labels.numel() == out.shape[dimension] > 1:
            row = labels.flatten().numpy().astype(np.int64)
            planes.append(plane_of(row, out.ndim, dimension))
    tracer.keep(out, Value(planes))


def _given_sizes(tracer: Tracer, out: Tensor) -> list[Any]:
    """The sizes that the running function, such as `torch.zeros`, was given; nothing where it was given none."""
    if not tracer.functions:
        return []
    _, args, kwargs = tracer.functions[-1]
    given = [item for item in args if not isinstance(item, Tensor)]
    given = list(kwargs.get("size", given))
    if given and isinstance(given[0], list | tuple):
        given = list(given[0])
    return given[: out.ndim] if len(given) >= out.ndim else []


def pointwise(tracer: Tracer, _name: str, args: Any, kwargs: Mapping[str, Any], out: Any) -> None:  # noqa: ANN401
    """Entries that meet stand for one channel."""
    from allometry.nn.tracing.tracer import tensors_in

    given = tensors_in((args, kwargs))
    # A single number meets all channels alike; of several, what comes out is one that depends on the image if they do.
    operands = [tensor for tensor in given if tensor.ndim or not isinstance(out, Tensor)] or given
    for result in tensors_in(out):
        tracer.keep(result, meeting(tracer, [tracer.value(tensor) for tensor in operands], result.ndim))


def meeting(tracer: Tracer, values: list[Value], ndim: int) -> Value:
    """What comes of tensors whose entries meet, broadcast to so many dimensions."""
    planes: list[Tensor] = []
    data = any(value.data for value in values)
    # The image's own channels come first: what meets none of them is no channel, such as places or heads.
    for value in sorted(values, key=lambda value: not value.data):
        for plane in value.planes:
            wide = plane.reshape((1,) * (ndim - plane.ndim) + tuple(plane.shape))
            for number, known in enumerate(planes):
                if varies(known) & varies(wide):
                    tracer.labels.tie(known.numpy(), wide.numpy())
                    if any(one < two for one, two in zip(known.shape, wide.shape, strict=True)):
                        planes[number] = known.expand(
                            [max(sizes) for sizes in zip(known.shape, wide.shape, strict=True)]
                        )
                    planes[number] = torch.where(planes[number] < 0, wide, planes[number])
                    break
            else:
                if data and not value.data and varies(wide):
                    tracer.freeze(wide.numpy(), "they meet what has no channels")
                else:
                    planes.append(wide)
    return Value(planes, data)


def _spatial(tracer: Tracer, name: str, args: Any, _kwargs: Any, out: Any) -> None:  # noqa: ANN401
    from allometry.nn.tracing.tracer import tensors_in

    source = args[0]
    value = tracer.value(source)
    for result in tensors_in(out):
        planes = []
        for plane in value.planes:
            changed = {d for d in varies(plane) if d >= result.ndim or result.shape[d] != source.shape[d]}
            along = varies(plane) & set(range(2, source.ndim)) if source.ndim > 2 else varies(plane)
            if changed or along:
                tracer.freeze(plane.numpy(), f"{name} works along channels")
            else:
                planes.append(plane)
        tracer.keep(result, Value(planes, value.data))


def _unknown(tracer: Tracer, name: str, args: Any, kwargs: Any, out: Any) -> None:  # noqa: ANN401
    from allometry.nn.tracing.tracer import tensors_in

    values = [tracer.value(tensor) for tensor in tensors_in((args, kwargs))]
    for value in values:
        for plane in value.planes:
            tracer.freeze(plane.numpy(), f"what {name} does with channels is not known")
    for result in tensors_in(out):
        tracer.keep(result, Value([], any(value.data for value in values)))


def _reduction(tracer: Tracer, name: str, args: Any, kwargs: Mapping[str, Any], out: Any) -> None:  # noqa: ANN401
    from allometry.nn.tracing.tracer import tensors_in

    source = args[0]
    value = tracer.value(source)
    if name in ("max", "min") and len(args) > 1 and isinstance(args[1], Tensor):
        pointwise(tracer, name, args, kwargs, out)
        return
    position = 2 if name in ("linalg_vector_norm", "norm") else 1
    given = kwargs.get("dim", args[position] if len(args) > position else None)
    given = None if isinstance(given, bool) else given
    chosen = (
        range(source.ndim) if given is None or given == [] else [given] if isinstance(given, int) else given
    )
    dims = {dimension % source.ndim for dimension in chosen} if source.ndim else set()
    for result in tensors_in(out)[:1]:
        planes = []
        for plane in value.planes:
            over = varies(plane) & dims
            if over and name in _STATISTICS:
                _statistic(tracer, name, plane, kwargs.get("correction"), data=value.data)
            elif over and value.data and not varies(plane) - dims:
                tracer.freeze(plane.numpy(), f"{name} is taken over channels")
            if not varies(plane) - dims:
                continue
            united = plane
            for dimension in sorted(over):
                united = tracer.unite(united, dimension)
            keeps = result.ndim == source.ndim
            planes.append(united if keeps else united.squeeze(tuple(dims)))
        for each in tensors_in(out):
            tracer.keep(each, Value(planes, value.data))


def _statistic(tracer: Tracer, name: str, plane: Tensor, correction: float | None, *, data: bool) -> None:
    """Remember a statistic over channels: of the image, or of weights."""
    tracer.labels.norm(plane.numpy())
    if data:
        tracer.statistics.setdefault(tracer.modules[-1], []).append(name)
    elif name in _SPREADS:
        tracer.standardizes(plane, correction=1 if correction is None else correction)


def _softmax(tracer: Tracer, name: str, args: Any, _kwargs: Any, out: Tensor) -> None:  # noqa: ANN401
    value = tracer.value(args[0])
    for plane in value.planes:
        if args[1] % args[0].ndim in varies(plane):
            tracer.freeze(plane.numpy(), f"{name} is taken over channels")
    tracer.keep(out, value)


def _along(tracer: Tracer, name: str, args: Any, kwargs: Mapping[str, Any], out: Any) -> None:  # noqa: ANN401
    """Order or running sums along a dimension: there channels cannot come and go."""
    from allometry.nn.tracing.tracer import tensors_in

    source = args[0]
    value = tracer.value(source)
    numbers = [kwargs.get("dim")] + [item for item in args[1:] if isinstance(item, int)]
    dims = {
        number % source.ndim
        for number in numbers
        if number is not None and -source.ndim <= number < source.ndim
    }
    for plane in value.planes:
        if varies(plane) & dims:
            tracer.freeze(plane.numpy(), f"{name} is taken along channels")
    for result in tensors_in(out):
        same = result.ndim == source.ndim
        tracer.keep(
            result, Value([p for p in value.planes if not varies(p) & dims] if same else [], value.data)
        )


def _batch_norm(tracer: Tracer, _name: str, args: Any, _kwargs: Any, out: Any) -> None:  # noqa: ANN401
    source, statistics = args[0], args[1:5]
    own = len(args) > 5 and (args[5] is True or args[3] is None)
    for plane in tracer.value(source).planes if own else ():
        if varies(plane) - {1}:  # as where weights are standardized
            tracer.labels.norm(plane.numpy())
            if not tracer.value(source).data:
                tracer.standardizes(plane, correction=0)
    _affine(tracer, source, statistics, out, 1)


def _affine(tracer: Tracer, source: Tensor, tensors: Any, out: Any, dimension: int) -> None:  # noqa: ANN401
    """Tie tensors of one number for each channel to the channels."""
    value = tracer.value(source)
    result = out[0] if isinstance(out, tuple | list) else out
    values = [value]
    if value.data and (scale := tracer.name_of(tensors[0])) is not None:
        tracer.scales.add(scale)
    for tensor in tensors:
        if isinstance(tensor, Tensor):
            own = tracer.value(tensor)
            planes = [
                plane.reshape(tuple(-1 if d == dimension else 1 for d in range(source.ndim)))
                for plane in own.planes
                if tensor.ndim == 1
            ]
            values.append(Value(planes, own.data))
    tracer.keep(result, meeting(tracer, values, source.ndim))


def _layer_norm(tracer: Tracer, _name: str, args: Any, _kwargs: Any, out: Any) -> None:  # noqa: ANN401
    source, shape, weight, bias = (*args, None, None)[:4]
    value = tracer.value(source)
    last = set(range(source.ndim - len(shape), source.ndim))
    for plane in value.planes:
        if varies(plane) & last:
            tracer.labels.norm(plane.numpy())
            given = _argument(tracer, "normalized_shape", 1)
            if (
                isinstance(given, list | tuple)
                and len(given) == 1
                and (row := vector(plane, source.ndim - 1)) is not None
            ):
                tracer.wrote(given[0], row)
    if (name := tracer.name_of(weight)) is not None and len(shape) == 1:
        held = tracer.module.get_submodule(tracer.modules[-1]).__dict__.get("eps")
        where = tracer.modules[-1] if held == args[4] else None
        for plane in value.planes:
            row = vector(plane, source.ndim - 1)
            if row is not None and varies(plane):
                use = LayerNormUse(name, tracer.name_of(bias), where, tuple(int(label) for label in row))
                tracer.norms[use] = None
    others = [tracer.value(tensor) for tensor in (weight, bias)]
    result = out[0] if isinstance(out, tuple | list) else out
    tracer.keep(result, meeting(tracer, [value, *others], source.ndim))


def _group_norm(tracer: Tracer, _name: str, args: Any, _kwargs: Any, out: Any) -> None:  # noqa: ANN401
    source, weight, bias, groups = args[0], args[1], args[2], args[6]
    value = tracer.value(source)
    for plane in value.planes:
        row = vector(plane, 1)
        if row is None:
            tracer.freeze(plane.numpy(), "group norm of channels that are not along one dimension")
            continue
        if groups == len(row):
            if not tracer.wrote(_argument(tracer, "num_groups", 1), row):
                tracer.freeze(row, "the groups of its group norm are written as a constant")
            continue
        parts = torch.from_numpy(row.reshape(groups, -1).astype(np.float64))
        given = _argument(tracer, "num_groups", 1)
        if groups > 1 and isinstance(given, TracedInt) and given.spot is not None and not given.from_shape:
            # Each group has a statistic of its own: with more of them those that are there stay as they are.
            tracer.unite(parts, 1)
            tracer.wrote(given, row)
        else:
            tracer.unite(parts, 0)
            tracer.labels.norm(row)
    _affine(tracer, source, (weight, bias), out, 1)


def _pixel_shuffle(tracer: Tracer, name: str, args: Any, kwargs: Mapping[str, Any], out: Tensor) -> None:  # noqa: ANN401
    """Channels that become pixels of one channel come and go together."""
    source = args[0]
    channels = out.shape[-3] if name == "pixel_shuffle" else out.shape[-out.ndim + 1]
    dimension = source.ndim - 3 if name == "pixel_shuffle" else source.ndim - 2
    planes = []
    for plane in tracer.value(source).planes:
        row = vector(plane, dimension)
        if row is None:
            tracer.freeze(plane.numpy(), f"{name} of channels that are not along one dimension")
            continue
        first = tracer.unite(torch.from_numpy(row.reshape(channels, -1).astype(np.float64)), 1)
        planes.append(plane_of(first.flatten().numpy().astype(np.int64), out.ndim, out.ndim - 3))
    tracer.keep(out, Value(planes, data=True))
    del kwargs


def _glu(tracer: Tracer, _name: str, args: Any, _kwargs: Any, out: Tensor) -> None:  # noqa: ANN401
    source, dimension = args[0], (args[1] if len(args) > 1 else -1) % args[0].ndim
    value = tracer.value(source)
    halves = [
        Value([plane.narrow(dimension, start, out.shape[dimension]) for plane in value.planes], value.data)
        for start in (0, out.shape[dimension])
        if all(dimension in varies(plane) for plane in value.planes)
    ]
    tracer.keep(out, meeting(tracer, halves or [value], out.ndim))


def _weight_norm(tracer: Tracer, _name: str, args: Any, _kwargs: Any, out: Any) -> None:  # noqa: ANN401
    direction, scale, dimension = args[0], args[1], args[2] if len(args) > 2 else 0
    value = tracer.value(direction)
    planes = list(value.planes)
    for plane in tracer.value(scale).planes:
        same = [known for known in planes if varies(known) == {dimension}]
        if same and plane.numel() == same[0].numel():
            tracer.labels.tie(same[0].flatten().numpy(), plane.flatten().numpy())
    tracer.keep(out[0], Value(planes, value.data))


def _gather(tracer: Tracer, name: str, args: Any, _kwargs: Any, out: Tensor) -> None:  # noqa: ANN401
    """Entries that are taken by number along what is no channel."""
    value, dimension = tracer.value(args[0]), args[1] % args[0].ndim
    for plane in value.planes:
        if dimension in varies(plane):
            tracer.freeze(plane.numpy(), f"{name} along channels")
    tracer.keep(out, Value([plane for plane in value.planes if dimension not in varies(plane)], data=True))


def _embedding(tracer: Tracer, _name: str, args: Any, _kwargs: Any, out: Tensor) -> None:  # noqa: ANN401
    row = next((vector(p, 1) for p in tracer.value(args[0]).planes if varies(p) == {1}), None)
    planes = [] if row is None else [plane_of(row, out.ndim, out.ndim - 1)]
    if row is not None:
        tracer.producers.update(row.tolist())
    tracer.keep(out, Value(planes, data=True))


def _argument(tracer: Tracer, name: str, position: int) -> Any:  # noqa: ANN401 - any argument
    """What the function that is running was called with, before it became a plain integer."""
    if not tracer.functions:
        return None
    _, args, kwargs = tracer.functions[-1]
    return kwargs.get(name, args[position] if len(args) > position else None)


Rule = Callable[["Tracer", str, Any, Mapping[str, Any], Any], None]

_RULES: dict[str, Rule] = {
    **dict.fromkeys((*_STATISTICS, *_SUMS), _reduction),
    **dict.fromkeys(("_softmax", "_log_softmax", "_safe_softmax"), _softmax),
    **dict.fromkeys(("cumsum", "cumprod", "sort", "topk", "kthvalue", "median", "mode", "logcumsumexp"), _along),
    **dict.fromkeys(
        (
            "native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training", "cudnn_batch_norm",
            "miopen_batch_norm", "batch_norm", "_batch_norm_no_update",
        ),
        _batch_norm,
    ),
    "native_layer_norm": _layer_norm,
    "native_group_norm": _group_norm,
    "embedding": _embedding,
    **dict.fromkeys(("pixel_shuffle", "col2im"), _pixel_shuffle),
    "glu": _glu,
    "_weight_norm_interface": _weight_norm,
    **dict.fromkeys(("gather", "scatter", "scatter_add", "index_add", "take_along_dim"), _gather),
}  # fmt: skip
