"""The names of torchvision."""

from __future__ import annotations

from collections.abc import Iterator

from allometry.arch import BasicBlock, Bottleneck, FusedMBConv, MBConv, Network
from allometry.nn.pretrained.layouts.common import Place, pair, places, regnet, resnet


def torchvision(network: Network) -> dict[str, str] | None:
    """Our prefixes with those of torchvision's EfficientNets and MobileNetV3s, ResNets and RegNets."""
    blocks = [placed.block for placed in network.blocks()]
    if all(isinstance(block, MBConv | FusedMBConv) for block in blocks):
        return dict(_mobilenet_v3(network) if network.head.hidden else _efficientnet(network))
    if all(isinstance(block, BasicBlock | Bottleneck) for block in blocks):
        return resnet(network) if network.stem.pool else _regnet(network)
    return None


def torchvision_mobilenet_v2(network: Network) -> dict[str, str] | None:
    """Our prefixes with those of torchvision's MobileNetV2, whose blocks are named otherwise."""
    if not _plain_mbconvs(network):
        return None
    names = pair("stem", "features.0.0", "features.0.1")
    for place in places(network):
        theirs = f"features.{place.number + 1}.conv"
        assert isinstance(place.block, MBConv)  # noqa: S101 - asked before
        depthwise = 0
        if place.block.expand_ratio != 1:
            names |= pair(f"{place.ours}.expand", f"{theirs}.0.0", f"{theirs}.0.1")
            depthwise = 1
        names |= pair(f"{place.ours}.depthwise", f"{theirs}.{depthwise}.0", f"{theirs}.{depthwise}.1")
        names |= pair(f"{place.ours}.project", f"{theirs}.{depthwise + 1}", f"{theirs}.{depthwise + 2}")
    last = f"features.{network.depth + 1}"
    return {**names, **pair("head", f"{last}.0", f"{last}.1"), "classifier": "classifier.1"}


def torchvision_mnasnet(network: Network) -> dict[str, str] | None:
    """Our prefixes with those of torchvision's MnasNet-B1: one list of layers, and lists of blocks in it."""
    if not _plain_mbconvs(network):
        return None
    names = pair("stem", "layers.0", "layers.1")
    for place in places(network):
        if place.group == 0:
            names |= pair(f"{place.ours}.depthwise", "layers.3", "layers.4")
            names |= pair(f"{place.ours}.project", "layers.6", "layers.7")
            continue
        theirs = f"layers.{7 + place.group}.{place.turn}.layers"
        for first, part in ((0, "expand"), (3, "depthwise"), (6, "project")):
            names |= pair(f"{place.ours}.{part}", f"{theirs}.{first}", f"{theirs}.{first + 1}")
    last = 7 + len(network.groups)
    return {**names, **pair("head", f"layers.{last}", f"layers.{last + 1}"), "classifier": "classifier.1"}


def torchvision_densenet(network: Network) -> dict[str, str] | None:
    """Our prefixes with those of torchvision's DenseNets, which timm kept."""
    if not any(getattr(stage.block, "label", "") == "dense layer" for stage in network.stages):
        return None
    names = pair("stem", "features.conv0", "features.norm0")
    block, layer = 1, 0
    for place in places(network):
        label = getattr(place.block, "label", "")
        if label == "dense layer":
            layer += 1
            theirs = f"features.denseblock{block}.denselayer{layer}"
            names |= dict(_dense_layer(place, theirs))
        elif label == "transition":
            theirs = f"features.transition{block}"
            names |= {
                f"{place.ours}.norm.0": f"{theirs}.norm",
                f"{place.ours}.conv.0": f"{theirs}.conv",
            }
            block, layer = block + 1, 0
        else:
            names[f"{place.ours}.norm5.0"] = "features.norm5"
    return {**names, "classifier": "classifier"}


def _dense_layer(place: Place, theirs: str) -> Iterator[tuple[str, str]]:
    for name in ("norm1", "conv1", "norm2", "conv2"):
        yield f"{place.ours}.{name}.0", f"{theirs}.{name}"


def _plain_mbconvs(network: Network) -> bool:
    blocks = [placed.block for placed in network.blocks()]
    return all(isinstance(block, MBConv) and not block.se_ratio for block in blocks)


def _efficientnet(network: Network) -> Iterator[tuple[str, str]]:
    yield from pair("stem", "features.0.0", "features.0.1").items()
    for place in places(network):
        yield from _block(place, f"features.{place.group + 1}.{place.turn}.block")
    last = f"features.{len(network.groups) + 1}"
    yield from pair("head", f"{last}.0", f"{last}.1").items()
    yield "classifier", "classifier.1"


def _mobilenet_v3(network: Network) -> Iterator[tuple[str, str]]:
    yield from pair("stem", "features.0.0", "features.0.1").items()
    for place in places(network):
        yield from _block(place, f"features.{place.number + 1}.block")
    last = f"features.{network.depth + 1}"
    yield from pair("head", f"{last}.0", f"{last}.1").items()
    yield "hidden.0", "classifier.0"
    yield "classifier", "classifier.3"


def _block(place: Place, theirs: str) -> Iterator[tuple[str, str]]:
    """The parts of a block are numbered in their order, as far as they are there."""
    block, number = place.block, 0
    assert isinstance(block, MBConv | FusedMBConv)  # noqa: S101 - asked before
    fused = isinstance(block, FusedMBConv)
    parts = ["expand"] if fused or block.expand_ratio != 1 else []
    parts += [] if fused else ["depthwise"]
    parts += ["squeeze_excite"] if block.se_ratio else []
    parts += ["project"] if not fused or block.expand_ratio != 1 else []
    for number, part in enumerate(parts):
        if part == "squeeze_excite":
            yield f"{place.ours}.{part}.reduce", f"{theirs}.{number}.fc1"
            yield f"{place.ours}.{part}.expand", f"{theirs}.{number}.fc2"
        else:
            yield from pair(f"{place.ours}.{part}", f"{theirs}.{number}.0", f"{theirs}.{number}.1").items()


def _regnet(network: Network) -> dict[str, str]:
    return regnet(
        network,
        block=lambda place: f"trunk_output.block{place.group + 1}.block{place.group + 1}-{place.turn}",
        nodes={"reduce": "f.a", "spatial": "f.b", "restore": "f.c", "shortcut": "proj", "gate": "f.se"},
        halves=("0", "1"),
        ends={"stem": "stem", "classifier": "fc"},
    )
