"""What is done to a module before its channels: other numbers of blocks, and larger kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from torch import nn

from allometry.nn.foreign.depth import Insertion, deepened
from allometry.nn.foreign.kernels import (
    KernelChange,
    check_kernel_size,
    enlarged,
    kernel_rows,
    larger_kernels,
)
from allometry.nn.foreign.plan import Kept
from allometry.nn.growing.weight_map import TensorSource, WeightMap


class Frame(NamedTuple):
    """What is done to a module before its channels.

    Attributes:
        insertions: other numbers of blocks.
        kernels: that become larger, after that.
        kept: blocks and kernels that stay, and why.

    Example:
        >>> Frame((), (), ()).changes
        False
    """

    insertions: tuple[Insertion, ...]
    kernels: tuple[KernelChange, ...]
    kept: tuple[Kept, ...]

    @property
    def changes(self) -> bool:
        """Whether anything is done."""
        return bool(self.insertions or self.kernels)


def with_kernels(frame: Frame, module: nn.Module, inputs: tuple[Any, ...], kernel_size: int | None) -> Frame:
    """The frame with kernels as large as is asked for, where that changes nothing, and why the others stay.

    Args:
        frame: without larger kernels.
        module: that it is for.
        inputs: that the module takes.
        kernel_size: side of the kernels; None leaves them as they are.

    Raises:
        InputError: the size is none.
    """
    if kernel_size is None:
        return frame
    check_kernel_size(kernel_size)
    deep = deepened(module, frame.insertions, inputs).module
    kernels, reasons = larger_kernels(deep, kernel_size, inputs)
    parts = {name: deep.get_submodule(name) for name in reasons}
    stay = [
        Kept(name, max(part.kernel_size), f"{name}: {reasons[name]}")
        for name, part in parts.items()
        if isinstance(part, nn.modules.conv._ConvNd)
    ]
    if not kernels and not stay:
        stay = [
            Kept(type(module).__name__, kernel_size, "has no convolution with a kernel between 1 and that.")
        ]
    return Frame(frame.insertions, kernels, (*frame.kept, *stay))


def framed(
    module: nn.Module, frame: Frame, inputs: tuple[Any, ...]
) -> tuple[nn.Module, dict[str, str | None]]:
    """A copy of a module with other numbers of blocks and larger kernels, and the names of what its tensors inherit."""
    deep, names, *_ = deepened(module, frame.insertions, inputs)
    return (enlarged(deep, frame.kernels) if frame.kernels else deep), names


def inherited_from(
    weight_map: WeightMap, names: Mapping[str, str | None], kernels: Sequence[KernelChange]
) -> dict[str, TensorSource]:
    """What tensors inherit of the module that was given, from what they inherit of it with its new frame."""
    rows = {f"{change.module}.weight": kernel_rows(change) for change in kernels}
    result = {}
    for name, (framed, indices) in weight_map.items():
        origin = names[framed]
        if origin is not None:
            sides = rows.get(framed, indices[2:])
            result[name] = TensorSource(origin, (*indices[:2], *sides))
    return result
