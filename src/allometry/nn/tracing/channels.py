"""Running a module once to find out which of its channels belong together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from allometry.base import InputError
from allometry.nn.tracing.graph import ChannelGraph
from allometry.nn.tracing.grouping import graph_of
from allometry.nn.tracing.labels import Value
from allometry.nn.tracing.tracer import Tracer, tensors_in

_FEW_DIMENSIONS = 2  # of logits


class TraceError(InputError):
    """A module cannot be followed, or not with so many channels; `tracer` and `group` say which.

    Example:
        >>> issubclass(TraceError, InputError)
        True
    """

    def __init__(
        self,
        message: str,
        tracer: Tracer | None = None,
        *,
        group: str | None = None,
        numbers: Iterable[int] = (),
    ) -> None:
        super().__init__(message)
        self.tracer = tracer
        self.group = group
        self.numbers = frozenset(numbers)


def trace_channels(module: nn.Module, *inputs: Any) -> ChannelGraph:  # noqa: ANN401 - whatever the module takes
    """Run a module once and find out which channels of which tensors belong together.

    The module's own code runs, in evaluation mode, and every operation of PyTorch in it is watched; nothing is
    compiled, and the module is left as it was.

    Args:
        module: any.
        inputs: that it takes.

    Raises:
        TraceError: it does not run on these inputs.

    Example:
        >>> import torch
        >>> graph = trace_channels(nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 1)), torch.zeros(1, 3, 8, 8))
        >>> [(group.name, group.size) for group in graph.growing]
        [('0.weight', 8)]
    """
    tracer, _ = run_traced(module, *inputs)
    return graph_of(tracer, module)


def run_traced(module: nn.Module, *inputs: Any) -> tuple[Tracer, Any]:  # noqa: ANN401 - whatever the module takes
    """Run a module while its channels are followed; what was found, and what the module gives.

    Raises:
        TraceError: it does not run on these inputs.
    """
    for name, part in module.named_modules():
        if isinstance(part, torch.jit.ScriptModule):
            raise TraceError(
                f"{name or type(module).__name__} is compiled by TorchScript: its sizes are fixed."
            )
    modes = {part: part.training for part in module.modules()}
    tracer = Tracer(module)
    for tensor in tensors_in(inputs):
        tracer.keep(tensor, Value(data=True))
    try:
        module.eval()
        with tracer.watching():
            output = module(*inputs)
        if any(id(parameter) not in tracer.read for parameter in module.parameters()):
            _trace_training(tracer, module, inputs)
    except Exception as error:  # whatever a user's code raises
        message = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise TraceError(f"{tracer.place} does not run: {message}", tracer) from error
    finally:
        for part, training in modes.items():
            part.training = training
    _check_all_ran(tracer, module)
    for tensor in tensors_in(output):
        if tensor.ndim <= _FEW_DIMENSIONS:
            for plane in tracer.value(tensor).planes:
                tracer.labels.freeze(plane.numpy(), "the module's output")
    return tracer, output


def _check_all_ran(tracer: Tracer, module: nn.Module) -> None:
    """Refuse a module of which the image decides what runs, if not all of it did.

    Raises:
        TraceError: what becomes of channels in what did not run cannot be seen.
    """
    unread = [name for name, tensor in module.named_parameters() if id(tensor) not in tracer.read]
    if unread and tracer.decided is not None:
        raise TraceError(
            f"{tracer.decided}: what runs depends on values of the image, and nothing read {unread[0]}, so what "
            "becomes of its channels cannot be seen."
        )


def _trace_training(tracer: Tracer, module: nn.Module, inputs: tuple[Any, ...]) -> None:
    """Follow what runs in training alone, such as a second classifier, as well.

    Raises:
        Exception: what the module's own code raises, where it works in training otherwise.
    """
    if not runs_in_training(module, inputs):
        return
    known = len(tracer.multiplications)
    with unchanged(module), tracer.watching():
        module.train()
        module(*inputs)
    # What runs in training alone is no part of what an image costs.
    ran = {cost.module for cost in tracer.multiplications[:known]}
    tracer.multiplications[known:] = [
        cost._replace(times=0) for cost in tracer.multiplications[known:] if cost.module not in ran
    ]


def runs_in_training(module: nn.Module, inputs: tuple[Any, ...]) -> bool:
    """Whether a module works in training mode on such inputs: batch norm of one value, for one, does not."""
    with unchanged(module), torch.no_grad():
        try:
            module.train()
            module(*inputs)
        except Exception:
            return False
    return True


@contextmanager
def unchanged(module: nn.Module) -> Iterator[None]:
    """Leave a module's buffers and modes, and PyTorch's generator, as they were before the block."""
    modes = {part: part.training for part in module.modules()}
    buffers = {name: tensor.clone() for name, tensor in module.named_buffers()}
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            yield
    finally:
        for part, training in modes.items():
            part.training = training
        with torch.no_grad():
            for name, tensor in module.named_buffers():
                tensor.copy_(buffers[name])
