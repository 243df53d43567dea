"""What the largest network of a space inherits from one that somebody has trained."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from allometry.arch import Block, Network, RegularBlock, Stage
from allometry.base import InputError, NetworkError
from allometry.nn import ConvNet, build
from allometry.nn.growing import grow_module, shrink_module

_SIZES = ("channels", "kernel", "expand_ratio", "start_kernel", "middle_kernel")


def inherit_largest(module: ConvNet, largest: Network, *, seed: int) -> ConvNet:
    """A module of the largest network of a space, with the weights of a trained one.

    It shrinks where the largest one is narrower or shallower, by the magnitude of its channels, and grows where that is
    wider, deeper or of larger kernels. Its strides become those of the largest network.

    Args:
        module: a trained one, of the same stages.
        largest: of the space, with the module's classes and input channels.
        seed: of what is new.

    Raises:
        InputError: its stages are not those of the space.

    Example:
        >>> from allometry.catalog import get, mbconv_space
        >>> network = get("efficientnet-b0")
        >>> space = mbconv_space(network, kernels=(3, 5), expand_ratios=(3, 6), depths=(1, 2, 3))
        >>> module = inherit_largest(build(network, seed=0), space.largest(), seed=0)
        >>> module.network == space.largest()
        True
    """
    network = module.network
    try:
        common = _common(network, largest)
        same = build(_with_strides(network, largest), seed=seed)
        same.load_state_dict(module.state_dict())
        shrunk = shrink_module(same, common).module if common != same.network else same
        return grow_module(shrunk, largest, seed=seed).module if largest != common else shrunk
    except NetworkError as error:
        raise InputError(
            f"The largest network of the space does not inherit from {network.name or 'that of the weights'}: {error} "
            "Give the network of the weights as the space, or one of the same stages."
        ) from error


def _common(one: Network, other: Network) -> Network:
    """What two networks of the same stages have both: the smaller of every size, with the strides of the other one."""
    if len(one.stages) != len(other.stages) or one.stem.kernel != other.stem.kernel:
        raise NetworkError(f"it has {len(one.stages)} stages, not {len(other.stages)}, or another stem.")
    if (one.head.channels is None) != (other.head.channels is None):
        raise NetworkError("one has a convolution in its head.")
    head = replace(
        other.head,
        channels=other.head.channels and min(one.head.channels or 0, other.head.channels),
        hidden=other.head.hidden and min(one.head.hidden or 0, other.head.hidden),
    )
    stages = tuple(
        replace(
            theirs, block=_common_block(ours.block, theirs.block), repeats=min(ours.repeats, theirs.repeats)
        )
        for ours, theirs in zip(one.stages, other.stages, strict=True)
    )
    stem = replace(other.stem, channels=min(one.stem.channels, other.stem.channels))
    return replace(other, stem=stem, stages=stages, head=head)


def _common_block(one: Block, other: Block) -> Block:
    if type(one) is not type(other):
        raise NetworkError(f"a stage has {one!r}, not {other!r}.")
    changes: dict[str, Any] = {}
    for name in _SIZES:
        sizes = [getattr(block, name, None) for block in (one, other)]
        if all(isinstance(size, int | float) for size in sizes):
            changes[name] = min(sizes, key=float)  # type: ignore[arg-type]
    return replace(other, **changes) if changes else other  # type: ignore[type-var]


def _with_strides(network: Network, other: Network) -> Network:
    """The network with the strides, padding and constants of another one of the same stages."""

    def strided(stage: Stage, theirs: Stage) -> Stage:
        block = stage.block
        if isinstance(block, RegularBlock) and block.stride != theirs.block.stride:
            return replace(stage, block=block.with_stride(theirs.block.stride))
        return stage

    stages = tuple(strided(*pair) for pair in zip(network.stages, other.stages, strict=True))
    stem = replace(network.stem, stride=other.stem.stride, pool=other.stem.pool)
    return replace(
        network,
        stem=stem,
        stages=stages,
        padding=other.padding,
        batch_norm=other.batch_norm,
        resolution=other.resolution,
    )
