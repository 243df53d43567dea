"""The names that timm, and Cadene's collection before it, gave the networks of cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from allometry.arch import Cell, Conv, Depthwise, Network, Norm, SqueezeExcite
from allometry.nn.blocks import node_attribute
from allometry.nn.pretrained.layouts.common import Place, pair, places

_INCEPTION_V3 = ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c")
_INCEPTION_V3_STEM = {
    "conv2d_2a": "Conv2d_2a_3x3",
    "conv2d_2b": "Conv2d_2b_3x3",
    "conv2d_3b": "Conv2d_3b_1x1",
    "conv2d_4a": "Conv2d_4a_3x3",
}


class Part(NamedTuple):
    """Something with parameters in a cell.

    Attributes:
        ours: its prefix in our module.
        node: name of its node.
        layer: index of its layer in the node.
        layers: how many layers the node has.
        kind: what it is.
    """

    ours: str
    node: str
    layer: int
    layers: int
    kind: Literal["conv", "depthwise", "norm", "reduce", "expand"]


def cells(network: Network) -> dict[str, str] | None:
    """Our prefixes with theirs, or None where they have no such network."""
    labels = {getattr(stage.block, "label", "") for stage in network.stages}
    for label, names in _FAMILIES.items():
        if label in labels:
            return dict(names(network))
    return None


def pnasnet(network: Network) -> dict[str, str] | None:
    """Our prefixes with those of PNASNet, whose cells have the labels of NASNet's."""
    labels = {getattr(stage.block, "label", "") for stage in network.stages}
    return (
        dict(_searched(network, stem="conv_0", halving="conv_prev_1x1.")) if "normal cell" in labels else None
    )


def _parts(place: Place) -> Iterator[Part]:
    cell = place.block
    nodes = cell.nodes if isinstance(cell, Cell) else ()
    for node in nodes:
        for index, layer in enumerate(node.layers):
            count = len(node.layers)
            ours = f"{place.ours}.{node_attribute(node.name)}{f'.{index}' if count > 1 else ''}"
            if isinstance(layer, Conv | Depthwise):
                yield Part(
                    f"{ours}.0", node.name, index, count, "conv" if isinstance(layer, Conv) else "depthwise"
                )
                if layer.norm:
                    yield Part(f"{ours}.1", node.name, index, count, "norm")
            elif isinstance(layer, Norm):
                yield Part(f"{ours}.0" if layer.activation else ours, node.name, index, count, "norm")
            elif isinstance(layer, SqueezeExcite):
                yield Part(f"{ours}.reduce", node.name, index, count, "reduce")
                yield Part(f"{ours}.expand", node.name, index, count, "expand")


def _basic(theirs: str, part: Part) -> str:
    """A convolution with batch norm as Inception's authors wrap it; numbered where a branch has several layers."""
    inner = f"{theirs}.{part.layer}" if part.layers > 1 else theirs
    return f"{inner}.{'bn' if part.kind == 'norm' else 'conv'}"


def _inception_v3(network: Network) -> Iterator[tuple[str, str]]:
    yield from pair("stem", "Conv2d_1a_3x3.conv", "Conv2d_1a_3x3.bn").items()
    for place in places(network):
        for part in _parts(place):
            if place.number == 0:
                theirs = _INCEPTION_V3_STEM.get(part.node, part.node)
            else:
                theirs = f"Mixed_{_INCEPTION_V3[place.number - 1]}.{part.node}"
            yield part.ours, f"{theirs}.{'bn' if part.kind == 'norm' else 'conv'}"
    yield "classifier", "fc"


def _inception_v4(network: Network) -> Iterator[tuple[str, str]]:
    yield from pair("stem", "features.0.conv", "features.0.bn").items()
    stem = {"conv2d_2a": "features.1", "conv2d_2b": "features.2"}
    for place in places(network):
        for part in _parts(place):
            theirs = stem.get(part.node, f"features.{place.number + 2}.{part.node}")
            yield part.ours, _basic(theirs, part)
    yield "classifier", "last_linear"


def _inception_resnet_v2(network: Network) -> Iterator[tuple[str, str]]:
    yield from pair("stem", "conv2d_1a.conv", "conv2d_1a.bn").items()
    repeated = {"block 35": "repeat", "block 17": "repeat_1", "block 8": "repeat_2"}
    single = {"mixed 5b": "mixed_5b.", "reduction A": "mixed_6a.", "mixed 7a": "mixed_7a.", "stem": ""}
    for place in places(network):
        label = getattr(place.block, "label", "")
        prefix = single.get(label, f"{repeated.get(label, '')}.{place.turn}.")
        if place.number == network.depth - 1:
            prefix = "block8."
        for part in _parts(place):
            theirs = f"{prefix}{part.node}"
            yield part.ours, theirs if part.node == "conv2d" else _basic(theirs, part)
    yield from pair("head", "conv2d_7b.conv", "conv2d_7b.bn").items()
    yield "classifier", "classif"


def _xception(network: Network) -> Iterator[tuple[str, str]]:
    yield from pair("stem", "conv1", "bn1").items()
    for place in places(network):
        for part in _parts(place):
            if part.node == "rep":
                # A separable convolution is one of their layers and two of ours.
                kinds = {
                    "depthwise": f"rep.{part.layer}.conv1",
                    "conv": f"rep.{part.layer - 1}.pointwise",
                    "norm": f"rep.{part.layer}",
                }
                yield part.ours, f"block{place.number}.{kinds[part.kind]}"
            elif part.node == "shortcut":
                yield part.ours, f"block{place.number}.{'skipbn' if part.kind == 'norm' else 'skip'}"
            else:
                number, separable = part.node.removeprefix("conv"), part.layers > 1
                inner = {"depthwise": ".conv1", "conv": ".pointwise"}.get(part.kind, "") if separable else ""
                yield part.ours, f"bn{number}" if part.kind == "norm" else f"conv{number}{inner}"
    yield "classifier", "fc"


def _senet(network: Network) -> Iterator[tuple[str, str]]:
    yield from pair("stem", "layer0.conv1", "layer0.bn1").items()
    stage, turn = 0, 0
    for place in places(network):
        label = getattr(place.block, "label", "")
        projects = any(part.node == "downsample" for part in _parts(place))
        stage, turn = (stage + 1, 0) if projects else (stage, turn + 1)
        theirs = f"layer{stage}.{turn}" if "block" in label else "layer0"
        for part in _parts(place):
            if part.node == "downsample":
                name = f"downsample.{int(part.kind == 'norm')}"
            elif part.node == "se_module":
                name = f"se_module.{'fc1' if part.kind == 'reduce' else 'fc2'}"
            else:
                name = part.node.replace("conv", "bn") if part.kind == "norm" else part.node
            yield part.ours, f"{theirs}.{name}"
    yield "classifier", "last_linear"


def _nasnet(network: Network) -> Iterator[tuple[str, str]]:
    return _searched(network, stem="conv0", halving="")


def _searched(network: Network, *, stem: str, halving: str) -> Iterator[tuple[str, str]]:
    """NASNet and PNASNet; PNASNet counts its reduction cells among the others."""
    yield from pair("stem", f"{stem}.conv", f"{stem}.bn").items()
    seen = {"stem cell": 0, "normal cell": 0, "reduction cell": 0}
    for place in places(network):
        label = getattr(place.block, "label", "")
        if label not in seen:
            continue
        kind = "normal cell" if halving and label == "reduction cell" else label
        prefix = {"stem cell": "cell_stem_", "normal cell": "cell_", "reduction cell": "reduction_cell_"}[
            kind
        ]
        theirs = f"{prefix}{seen[kind]}"
        seen[kind] += 1
        for part in _parts(place):
            yield part.ours, f"{theirs}.{_searched_part(part, halving)}"
    yield "classifier", "last_linear"


def _searched_part(part: Part, halving: str) -> str:
    if part.node == "final_path_bn":
        return f"{halving}final_path_bn"
    if part.node in ("path_1", "path_2"):
        return f"{halving}{part.node}.conv"
    if part.layers >= 6:  # separable twice: activation, depthwise, pointwise with norm, and again
        second = 1 if part.layer < 3 else 2
        names = {"depthwise": "depthwise_conv2d", "conv": "pointwise_conv2d"}
        return (
            f"{part.node}.bn_sep_{second}"
            if part.kind == "norm"
            else (f"{part.node}.separable_{second}.{names[part.kind]}")
        )
    return f"{part.node}.{'bn' if part.kind == 'norm' else 'conv'}"


_FAMILIES: dict[str, Callable[[Network], Iterator[tuple[str, str]]]] = {
    "inception 35": _inception_v3,
    "inception A": _inception_v4,
    "block 35": _inception_resnet_v2,
    "separable block": _xception,
    "SENet block": _senet,
    "SE-ResNet block": _senet,
    "normal cell": _nasnet,
}
