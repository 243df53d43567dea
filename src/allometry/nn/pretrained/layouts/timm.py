"""The names of timm, and of geffnet, its ancestor."""

from __future__ import annotations

from collections.abc import Iterator

from allometry.arch import (
    BasicBlock,
    Bottleneck,
    ConvBlock,
    FusedMBConv,
    MBConv,
    Network,
    SeparableConv,
    UniversalInvertedBottleneck,
)
from allometry.nn.pretrained.layouts.common import Place, pair, places, regnet, resnet


def timm(network: Network) -> dict[str, str] | None:
    """Our prefixes with timm's, or None where timm has no such network."""
    blocks = [placed.block for placed in network.blocks()]
    if all(isinstance(block, MBConv | FusedMBConv | SeparableConv) for block in blocks):
        return dict(_efficientnet(network))
    if any(isinstance(block, UniversalInvertedBottleneck) for block in blocks):
        return dict(_mobilenetv4(network))
    if all(isinstance(block, BasicBlock | Bottleneck) for block in blocks):
        return resnet(network) if network.stem.pool else _regnet(network)
    return None


def _efficientnet(network: Network) -> Iterator[tuple[str, str]]:
    yield from pair("stem", "conv_stem", "bn1").items()
    for place in places(network):
        yield from _block(place, f"blocks.{place.group}.{place.turn}").items()
    if network.head.hidden:
        # MobileNetV3: the 1x1 convolution before the pool is a stage, the one after it is called the head.
        last = f"blocks.{len(network.groups)}.0"
        yield from pair("head", f"{last}.conv", f"{last}.bn1").items()
        yield "hidden.0", "conv_head"
    elif network.head.channels:
        yield from pair("head", "conv_head", "bn2").items()
    yield "classifier", "classifier"


def _mobilenetv4(network: Network) -> Iterator[tuple[str, str]]:
    """Stages end where the image is halved; the 1x1 convolution before the pool is one more."""
    yield from pair("stem", "conv_stem", "bn1").items()
    stage, turn = -1, 0
    for place in places(network):
        stage, turn = (stage + 1, 0) if place.block.stride > 1 else (stage, turn + 1)
        yield from _block(place, f"blocks.{stage}.{turn}").items()
    yield from pair("head", f"blocks.{stage + 1}.0.conv", f"blocks.{stage + 1}.0.bn1").items()
    yield from (("hidden.0", "conv_head"), ("hidden.2", "norm_head"), ("classifier", "classifier"))


def _block(place: Place, theirs: str) -> dict[str, str]:
    ours, block = place.ours, place.block
    if isinstance(block, SeparableConv):
        return {
            **pair(f"{ours}.depthwise", f"{theirs}.conv_dw", f"{theirs}.bn1"),
            **pair(f"{ours}.project", f"{theirs}.conv_pw", f"{theirs}.bn2"),
        }
    if isinstance(block, ConvBlock):
        return pair(f"{ours}.conv", f"{theirs}.conv", f"{theirs}.bn1")
    if isinstance(block, UniversalInvertedBottleneck):
        nodes = {"start": "dw_start", "expand": "pw_exp", "middle": "dw_mid", "project": "pw_proj"}
        pairs = (
            pair(f"{ours}.{node}", f"{theirs}.{name}.conv", f"{theirs}.{name}.bn")
            for node, name in nodes.items()
        )
        return {prefix: name for names in pairs for prefix, name in names.items()}
    assert isinstance(block, MBConv | FusedMBConv)  # noqa: S101 - asked before
    gate = {}
    if block.se_ratio:
        gate = {
            f"{ours}.squeeze_excite.reduce": f"{theirs}.se.conv_reduce",
            f"{ours}.squeeze_excite.expand": f"{theirs}.se.conv_expand",
        }
    if isinstance(block, FusedMBConv):
        if block.expand_ratio == 1:
            return {**pair(f"{ours}.expand", f"{theirs}.conv", f"{theirs}.bn1"), **gate}
        return {
            **pair(f"{ours}.expand", f"{theirs}.conv_exp", f"{theirs}.bn1"),
            **gate,
            **pair(f"{ours}.project", f"{theirs}.conv_pwl", f"{theirs}.bn2"),
        }
    if block.expand_ratio == 1:
        return {
            **pair(f"{ours}.depthwise", f"{theirs}.conv_dw", f"{theirs}.bn1"),
            **gate,
            **pair(f"{ours}.project", f"{theirs}.conv_pw", f"{theirs}.bn2"),
        }
    return {
        **pair(f"{ours}.expand", f"{theirs}.conv_pw", f"{theirs}.bn1"),
        **pair(f"{ours}.depthwise", f"{theirs}.conv_dw", f"{theirs}.bn2"),
        **gate,
        **pair(f"{ours}.project", f"{theirs}.conv_pwl", f"{theirs}.bn3"),
    }


def _regnet(network: Network) -> dict[str, str]:
    return regnet(
        network,
        block=lambda place: f"s{place.group + 1}.b{place.turn + 1}",
        nodes={
            "reduce": "conv1",
            "spatial": "conv2",
            "restore": "conv3",
            "shortcut": "downsample",
            "gate": "se",
        },
        halves=("conv", "bn"),
        ends={"stem": "stem", "classifier": "head.fc"},
    )
