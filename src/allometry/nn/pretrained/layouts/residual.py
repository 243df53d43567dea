"""The names of ResNets, which torchvision gave and everybody kept."""

from __future__ import annotations

from allometry.arch import BasicBlock, Network
from allometry.nn.pretrained.places import pair, places

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
