"""The names of efficientnet_pytorch, of TensorFlow's checkpoints, and of Once-for-All."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from allometry.arch import Block, FusedMBConv, MBConv, Network
from allometry.nn.pretrained.layouts.common import pair, places

_AVERAGED = "/ExponentialMovingAverage"
_SUFFIXES = {
    "kernel": "weight",
    "depthwise_kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def efficientnet_pytorch(network: Network) -> dict[str, str] | None:
    """Our prefixes with those of the package efficientnet_pytorch; blocks are numbered through."""
    if not all(isinstance(placed.block, MBConv) for placed in network.blocks()) or network.head.hidden:
        return None
    names = pair("stem", "_conv_stem", "_bn0")
    for place in places(network):
        theirs = f"_blocks.{place.number}"
        names |= {
            **pair(f"{place.ours}.expand", f"{theirs}._expand_conv", f"{theirs}._bn0"),
            **pair(f"{place.ours}.depthwise", f"{theirs}._depthwise_conv", f"{theirs}._bn1"),
            f"{place.ours}.squeeze_excite.reduce": f"{theirs}._se_reduce",
            f"{place.ours}.squeeze_excite.expand": f"{theirs}._se_expand",
            **pair(f"{place.ours}.project", f"{theirs}._project_conv", f"{theirs}._bn2"),
        }
    return {**names, **pair("head", "_conv_head", "_bn1"), "classifier": "_fc"}


def tensorflow(network: Network) -> dict[str, str] | None:
    """Our prefixes with those of the released checkpoints of EfficientNet, V2 and MnasNet, after `from_tensorflow`.

    Inside each block convolutions and batch norms are counted anew: `conv2d`, `conv2d_1`.
    """
    blocks = [placed.block for placed in network.blocks()]
    if not all(isinstance(block, MBConv | FusedMBConv) for block in blocks) or network.head.hidden:
        return None
    names = pair("stem", "stem.conv2d", "stem.batch_normalization")
    for place in places(network):
        theirs, parts = f"blocks_{place.number}", _parts(place.block)
        full = [part for part in parts if part != "depthwise"]
        for number, part in enumerate(parts):
            conv = "depthwise_conv2d" if part == "depthwise" else _counted("conv2d", full.index(part))
            norm = _counted("batch_normalization", number)
            names |= pair(f"{place.ours}.{part}", f"{theirs}.{conv}", f"{theirs}.{norm}")
        names[f"{place.ours}.squeeze_excite.reduce"] = f"{theirs}.se.conv2d"
        names[f"{place.ours}.squeeze_excite.expand"] = f"{theirs}.se.conv2d_1"
    head = pair("head", "head.conv2d", "head.batch_normalization")
    return {**names, **head, "classifier": "head.dense"}


def from_tensorflow(arrays: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A checkpoint's arrays with PyTorch's axes and suffixes; averaged values where there are any.

    Kernels are [height, width, in, out] there, [height, width, channels, 1] of depthwise convolutions, and
    [in, out] of dense layers.

    Example:
        >>> made = from_tensorflow({"efficientnet-b0/stem/conv2d/kernel": torch.zeros(3, 3, 3, 32)})
        >>> [(name, tuple(tensor.shape)) for name, tensor in made.items()]
        [('stem.conv2d.weight', (32, 3, 3, 3))]
    """
    made: dict[str, Tensor] = {}
    for name, array in arrays.items():
        plain = name.removesuffix(_AVERAGED)
        if plain == name and f"{name}{_AVERAGED}" in arrays:
            continue
        *path, suffix = plain.removesuffix(":0").split("/")
        if suffix not in _SUFFIXES:
            continue  # the optimiser's slots and the step
        made[".".join([*_tidied(path), _SUFFIXES[suffix]])] = _turned(array, suffix)
    return made


def once_for_all(network: Network) -> dict[str, str] | None:
    """Our prefixes with those of Once-for-All's and ProxylessNAS's released networks, after `from_once_for_all`."""
    if not all(isinstance(placed.block, MBConv) for placed in network.blocks()):
        return None
    names = pair("stem", "first_conv.conv", "first_conv.bn")
    for place in places(network):
        theirs = f"blocks.{place.number}.conv"
        for part, name in (
            ("expand", "inverted_bottleneck"),
            ("depthwise", "depth_conv"),
            ("project", "point_linear"),
        ):
            names |= pair(f"{place.ours}.{part}", f"{theirs}.{name}.conv", f"{theirs}.{name}.bn")
        gate = f"{theirs}.depth_conv.se.fc"
        names[f"{place.ours}.squeeze_excite.reduce"] = f"{gate}.reduce"
        names[f"{place.ours}.squeeze_excite.expand"] = f"{gate}.expand"
    head = "feature_mix_layer"
    if network.head.hidden:
        head = "final_expand_layer"
        names["hidden.0"] = "feature_mix_layer.conv"
    return {**names, **pair("head", f"{head}.conv", f"{head}.bn"), "classifier": "classifier.linear"}


def from_once_for_all(arrays: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The arrays by the newer of the two names that Once-for-All's code has given its blocks, numbered without gaps.

    ProxylessNAS's released networks count the places where the search chose no block, too.

    Example:
        >>> list(from_once_for_all({"blocks.1.mobile_inverted_conv.point_linear.bn.bias": torch.zeros(8)}))
        ['blocks.0.conv.point_linear.bn.bias']
    """
    block = re.compile(r"^blocks\.(\d+)\.(?:mobile_inverted_conv\.|conv\.)")
    there = sorted({int(matched[1]) for name in arrays if (matched := block.match(name))})
    place = {number: index for index, number in enumerate(there)}
    return {
        block.sub(lambda matched: f"blocks.{place[int(matched[1])]}.conv.", name): array
        for name, array in arrays.items()
    }


def _parts(block: Block) -> list[str]:
    """The convolutions of an inverted bottleneck, in their order."""
    if isinstance(block, FusedMBConv):
        return ["expand"] if block.expand_ratio == 1 else ["expand", "project"]
    whole = ["expand", "depthwise", "project"]
    return whole[1:] if isinstance(block, MBConv) and block.expand_ratio == 1 else whole


def _counted(name: str, number: int) -> str:
    return f"{name}_{number}" if number else name


def _tidied(path: list[str]) -> list[str]:
    """The scopes of a variable without the network's name and without what differs between code bases."""
    parts = [
        part.removeprefix("mnas_").replace("tpu_batch_normalization", "batch_normalization") for part in path
    ]
    known = re.compile(r"stem|head|blocks_\d+")
    start = next((place for place, part in enumerate(parts) if known.fullmatch(part)), 0)
    return parts[start:]


def _turned(array: Tensor, suffix: str) -> Tensor:
    if suffix == "depthwise_kernel":
        return array.permute(2, 3, 0, 1)
    if suffix == "kernel":
        return array.permute(3, 2, 0, 1) if array.ndim == 4 else torch.t(array)
    return array
