"""Running a module once while watching what becomes of every channel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.hooks import RemovableHandle

from allometry.nn.tracing.labels import Labels, LayerNormUse, Spot, Value, plane_of
from allometry.nn.tracing.traced_int import (
    AttributeSpot,
    TracedInt,
    compared_sizes,
    traced_attributes,
    traced_shape,
)


class Multiplication(NamedTuple):
    """A product of weights with the image: how its cost follows from channels.

    Attributes:
        module: in which it is.
        times: how often each pair of an output and an input channel is multiplied for the whole batch.
        outputs: labels of the output channels; None where they are not channels of the module's tensors.
        inputs: those that each output reads.
    """

    module: str
    times: int
    outputs: tuple[int, ...]
    inputs: tuple[int, ...]


class Written(NamedTuple):
    """An attribute that says how many channels there are.

    Attributes:
        spot: the attribute.
        labels: the channels that `size` counts.
        size: what the attribute's value amounted to where it was used; the attribute itself may be a multiple.
    """

    spot: AttributeSpot
    labels: tuple[int, ...]
    size: int


class Coupled(NamedTuple):
    """Channels whose number a module computes from the number of others, so that both grow in proportion.

    Attributes:
        labels: the channels that a view takes apart or puts together.
        others: the channels of which a shape was read for that.
    """

    labels: tuple[int, ...]
    others: tuple[int, ...]


class Tracer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows the labels of channels through every operation that a module calls.

    Args:
        module: with its tensors' names.

    Attributes:
        labels: of all tensors' dimensions, and what is tied.
        readers: labels of weights that read a channel: with zeros there the channel is not seen.
        producers: labels of weights that give a channel.
        silent: labels of weights that must be zero for new channels, since what they give is multiplied with what other
            weights give, as in attention.
        written: attributes that count channels.
        coupled: channels whose number follows from that of others.
        decided: where the module read a value of the image, on which it may depend what runs; None if nowhere.
        multiplications: with their costs.
        norms: layer norms.
        statistics: for a part the statistics that it takes over channels of the image, in order.
        scales: names of what batch and group norms multiply each channel with.
        standardized: labels of weights over which a statistic is taken, as where they are standardized, with the
            correction of its variance.
        queries: labels of weights that give queries whose products with keys are divided by the root of their number.
        keys: the same of keys.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.module = module
        self.labels = Labels()
        self.readers: set[int] = set()
        self.producers: set[int] = set()
        self.silent: set[int] = set()
        self.aliases: dict[int, list[int]] = {}
        self.written: list[Written] = []
        self.coupled: list[Coupled] = []
        self.decided: str | None = None
        self.multiplications: list[Multiplication] = []
        self.queries: set[int] = set()
        self.keys: set[int] = set()
        self.norms: dict[LayerNormUse, None] = {}
        self.statistics: dict[str, list[str]] = {}
        self.scales: set[str] = set()
        self.standardized: dict[int, float] = {}
        self.functions: list[tuple[Any, Sequence[Any], Mapping[str, Any]]] = []
        self.modules: list[str] = [""]
        self.failed: npt.NDArray[np.int64] | None = None
        self.read: set[int] = set()
        self._values: dict[int, Value] = {}
        self._names: dict[int, str] = {}
        self._kept: list[Tensor] = []  # or a tensor's id would be given again
        self._label_tensors()

    def value(self, tensor: Any) -> Value:  # noqa: ANN401 - any argument of an operation
        """What is known of a tensor; nothing of one that is new."""
        return self._values.get(id(tensor), Value()) if isinstance(tensor, Tensor) else Value()

    def keep(self, tensor: Tensor, value: Value) -> None:
        """Remember what is known of a tensor."""
        self._values[id(tensor)] = value
        self._kept.append(tensor)

    def standardizes(self, plane: Tensor, *, correction: float) -> None:
        """Remember that a statistic is taken over weights with these labels."""
        known = np.unique(plane.numpy())
        self.standardized.update(dict.fromkeys(known[known >= 0].astype(np.int64).tolist(), correction))

    @property
    def place(self) -> str:
        """The name of the part that is running."""
        return self.modules[-1] or type(self.module).__name__

    def name_of(self, tensor: Any) -> str | None:  # noqa: ANN401 - any argument of an operation
        """What the module calls one of its tensors; None for any other."""
        return self._names.get(id(tensor))

    def freeze(self, labels: npt.ArrayLike, reason: str) -> None:
        """Say why channels must stay as they are, with the place."""
        self.labels.freeze(labels, f"{self.place}: {reason}")

    def unite(self, plane: Tensor, dimension: int) -> Tensor:
        """Let the labels along a dimension be one channel; the plane no longer differs along it."""
        if plane.shape[dimension] == 1:
            return plane
        first = plane.narrow(dimension, 0, 1)
        self.labels.tie(plane.numpy(), first.numpy())
        rest = plane.narrow(dimension, 1, plane.shape[dimension] - 1).movedim(dimension, -1)
        heads = first.movedim(dimension, -1).reshape(-1).tolist()
        for head, others in zip(heads, rest.reshape(len(heads), -1).tolist(), strict=True):
            self.aliases.setdefault(int(head), []).extend(int(other) for other in others)
        return first

    def spread(self, labels: npt.ArrayLike) -> set[int]:
        """Labels, and all that were united with them before this operation."""
        result: set[int] = set()
        waiting = [int(label) for label in np.asarray(labels).reshape(-1)]
        while waiting:
            label = waiting.pop()
            if label >= 0 and label not in result:
                result.add(label)
                waiting += self.aliases.get(label, [])
        return result

    def wrote(self, size: Any, labels: npt.ArrayLike) -> bool:  # noqa: ANN401 - any argument
        """Note an attribute that an argument was computed from; whether the argument follows the channels."""
        if not isinstance(size, TracedInt):
            return False
        if size.spot is not None and not (size.from_shape and size.spot.is_count):
            counted = tuple(int(label) for label in np.asarray(labels).reshape(-1))
            self.written.append(Written(size.spot, counted, int(size)))
        return size.from_shape or size.spot is not None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401 - PyTorch's own signature
        """Compute, and follow the labels."""
        from allometry.nn.tracing.rules import follow

        del types
        kwargs = kwargs or {}
        try:
            out = func(*args, **kwargs)
        except Exception:
            self.fail((args, kwargs))
            raise
        self.read.update(id(tensor) for tensor in tensors_in((args, kwargs)))
        follow(self, func, args, kwargs, out)
        return out

    def couple(self, plane: Tensor, others: Tensor) -> None:
        """Note channels whose number follows from that of others."""
        if plane is not others:
            rows = (tuple(int(label) for label in found.flatten().tolist()) for found in (plane, others))
            self.coupled.append(Coupled(*rows))

    def fail(self, arguments: Any) -> None:  # noqa: ANN401 - any arguments
        """Remember the channels that met in an operation that failed."""
        found = [self.value(tensor) for tensor in tensors_in(arguments)]
        planes = [plane.numpy().reshape(-1) for value in found for plane in value.planes]
        self.failed = np.concatenate(planes).astype(np.int64) if planes else np.zeros(0, np.int64)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch what the module does until the end of the block."""
        handles: list[RemovableHandle] = []
        for name, part in self.module.named_modules():
            handles.append(part.register_forward_pre_hook(self._enter(name)))
            handles.append(part.register_forward_hook(self._leave()))
        with ExitStack() as stack:
            for handle in handles:
                stack.callback(handle.remove)
            stack.enter_context(traced_attributes(self.module))
            compared = stack.enter_context(compared_sizes())
            stack.enter_context(without_fast_path())
            stack.enter_context(torch.no_grad())
            stack.enter_context(self)
            stack.enter_context(_Functions(self))
            yield
            for labels, held in compared:
                self.wrote(held, labels.flatten().numpy())

    def _enter(self, name: str) -> Any:  # noqa: ANN401 - a hook
        def hook(_part: nn.Module, _inputs: Any) -> None:  # noqa: ANN401
            self.modules.append(name)
            self.statistics.pop(name, None)  # what is called again takes the same ones

        return hook

    def _leave(self) -> Any:  # noqa: ANN401 - a hook
        def hook(_part: nn.Module, inputs: Any, output: Any) -> None:  # noqa: ANN401
            self.modules.pop()
            self._kept.extend((*tensors_in(inputs), *tensors_in(output)))

        return hook

    def _label_tensors(self) -> None:
        convolutions = {
            id(tensor)
            for part in self.module.modules()
            if isinstance(part, nn.modules.conv._ConvNd)
            for tensor in part.parameters(recurse=False)
        }
        named = (*self.module.named_parameters(), *self.module.named_buffers())
        for name, tensor in named:
            if id(tensor) in self._values:
                continue
            self._names[id(tensor)] = name
            dimensions = min(2, tensor.ndim) if id(tensor) in convolutions else tensor.ndim
            planes = [
                plane_of(
                    self.labels.add(Spot(name, dimension), tensor.shape[dimension]), tensor.ndim, dimension
                )
                for dimension in range(dimensions)
                if tensor.shape[dimension] > 1
            ]
            self.keep(tensor, Value(planes))


class _Functions(TorchFunctionMode):
    """Keeps what each function was called with, before PyTorch makes plain integers of it."""

    def __init__(self, tracer: Tracer) -> None:
        super().__init__()
        self.tracer = tracer

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401 - PyTorch's own signature
        del types
        kwargs = kwargs or {}
        self.tracer.functions.append((func, args, kwargs))
        try:
            out = func(*args, **kwargs)
        except Exception:
            if self.tracer.failed is None:  # a view of a wrong size fails before it is dispatched
                self.tracer.fail((args, kwargs))
            raise
        finally:
            self.tracer.functions.pop()
        if isinstance(out, torch.Size):
            return traced_shape(out, self.tracer.value(args[0]).planes)
        name = getattr(func, "__name__", "")
        if name == "size" and type(out) is int:
            dimension = kwargs.get("dim", args[1] if len(args) > 1 else 0)
            return traced_shape(args[0].shape, self.tracer.value(args[0]).planes)[dimension]
        if name == "numel" and type(out) is int:
            return TracedInt(out).of(from_shape=True)
        return out


@contextmanager
def without_fast_path() -> Iterator[None]:
    """Switch off PyTorch's fast path for attention: one operation, in which nothing can be followed or counted."""
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)


def tensors_in(held: Any) -> list[Tensor]:  # noqa: ANN401 - whatever modules take and give
    """All tensors in tuples, lists and dictionaries.

    Example:
        >>> len(tensors_in((torch.zeros(1), {"x": [torch.zeros(2)]}, 3)))
        2
    """
    if isinstance(held, Tensor):
        return [held]
    if isinstance(held, Mapping):
        held = list(held.values())
    if isinstance(held, list | tuple):
        return [tensor for item in held for tensor in tensors_in(item)]
    if hasattr(held, "__dataclass_fields__"):
        return tensors_in(list(vars(held).values()))
    return []
