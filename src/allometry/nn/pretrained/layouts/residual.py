"""The names of ResNets, which torchvision gave and everybody kept, and the common shape of RegNets'."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from allometry.arch import BasicBlock, Network
from allometry.nn.pretrained.places import Place, pair, places

_BASIC = {"first": 1, "second": 2}
_BOTTLENECK = {"reduce": 1, "spatial": 2, "restore": 3}


def resnet(network: Network) -> dict[str, str]:
    """Our prefixes with theirs, of a ResNet or ResNeXt."""
    names = pair("stem", "conv1", "bn1")
    for place in places(network):
        theirs = f"layer{place.group + 1}.{place.turn}"
        nodes = _BASIC if isinstance(place.block, BasicBlock) else _BOTTLENECK
        for node, number in nodes.items():
            names |= pair(f"{place.ours}.nodes.{node}.0", f"{theirs}.conv{number}", f"{theirs}.bn{number}")
        shortcut = f"{place.ours}.nodes.shortcut.0"
        names |= pair(shortcut, f"{theirs}.downsample.0", f"{theirs}.downsample.1")
    return {**names, "classifier": "fc"}


def regnet(
    network: Network,
    *,
    block: Callable[[Place], str],
    nodes: Mapping[str, str],
    halves: tuple[str, str],
    others: Mapping[str, str],
) -> dict[str, str]:
    """Our prefixes with theirs, of a RegNet.

    Args:
        network: the RegNet.
        block: what they call the block in a place.
        nodes: what they call our nodes, and `gate` the layers of squeeze-excite, within a block.
        halves: what they call a convolution and its batch norm, within a node.
        others: what they call the stem and the classifier.
    """
    names = pair("stem", *(f"{others['stem']}.{half}" for half in halves))
    for place in places(network):
        theirs = block(place)
        for node in ("reduce", "spatial", "restore", "shortcut"):
            names |= pair(
                f"{place.ours}.nodes.{node}.0", *(f"{theirs}.{nodes[node]}.{half}" for half in halves)
            )
        for ours, number in (("reduce", 1), ("expand", 2)):
            names[f"{place.ours}.nodes.spatial.1.{ours}"] = f"{theirs}.{nodes['gate']}.fc{number}"
    return {**names, "classifier": others["classifier"]}
