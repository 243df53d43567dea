"""What must be right besides the numbers: padding, the constant of batch norm, and how pictures become inputs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from allometry.arch import Cell, Network, Padding, Pool, Stage
from allometry.base import WeightsError

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)
# Pixels minus 127, through 128; and minus 128, through 128.
_LITE_MEAN, _LITE_STD = (127 / 255,) * 3, (128 / 255,) * 3
_V2_MEAN, _V2_STD = (128 / 255,) * 3, (128 / 255,) * 3
_OWN = "allometry"
# The share of the picture that timm's weights of these networks look at.
_CELLS = {
    "inception-resnet": 0.8975,
    "inception": 0.875,
    "xception": 0.8975,
    "nasnet": 0.911,
    "pnasnet": 0.911,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Conventions:
    """What published weights expect of the network and of its input.

    Attributes:
        padding: of convolutions; None for the network's.
        epsilon: of batch norm; None for the network's.
        counts_padding: whether mean pools count the zeros of their padding; None for the network's.
        resolution: side of the input in pixels; None for the network's.
        mean: per channel, on the scale 0 to 1.
        std: per channel, on the scale 0 to 1.
        crop: share of the shorter side that the view shows.
        classes: names of the outputs, in order; empty where the file does not tell.

    Source: the released code of each layout's authors.

    Example:
        >>> Conventions(padding="same").mean
        (0.485, 0.456, 0.406)
    """

    padding: Padding | None = None
    epsilon: float | None = None
    counts_padding: bool | None = None
    resolution: int | None = None
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    crop: float = 0.875
    classes: tuple[str, ...] = ()

    def applied_to(self, network: Network) -> Network:
        """The network with these conventions."""
        epsilon = network.batch_norm.epsilon if self.epsilon is None else self.epsilon
        stages = network.stages
        if self.counts_padding is not None:
            stages = tuple(_counting(stage, self.counts_padding) for stage in stages)
        return replace(
            network,
            stages=stages,
            padding=self.padding or network.padding,
            batch_norm=replace(network.batch_norm, epsilon=epsilon),
            resolution=self.resolution or network.resolution,
        )


def conventions_of(network: Network, layout: str, *, name: str = "") -> Conventions:
    """The conventions of a layout for a network.

    Args:
        network: as the zoo has it.
        layout: whose names the file has.
        name: of the file or of the model in a hub, where timm says that weights came from TensorFlow (`tf_`).

    Example:
        >>> from allometry.zoo import get
        >>> conventions_of(get("efficientnet-lite0"), "efficientnet_pytorch").padding
        'same'
        >>> conventions_of(get("efficientnet-b0"), "timm", name="tf_efficientnet_b0").epsilon
        0.001
    """
    lite = network.name.startswith("efficientnet-lite")
    second = network.name.startswith("efficientnetv2")
    if layout in ("efficientnet_pytorch", "TensorFlow"):
        same = Conventions(padding="same", epsilon=1e-3)
        if lite:
            return replace(same, mean=_LITE_MEAN, std=_LITE_STD)
        return replace(same, mean=_V2_MEAN, std=_V2_STD, crop=_second_crop(network)) if second else same
    if layout == "timm" and network.name.startswith(("efficientnet", "mnasnet", "mobilenet")):
        if "tf_" not in name:
            return Conventions(padding="symmetric", epsilon=1e-5)
        from_tf = Conventions(padding="same", epsilon=1e-3)
        large = second and not network.name.startswith("efficientnetv2-b")
        halved = lite or large or network.name.startswith("mobilenetv3")
        return replace(from_tf, mean=HALF, std=HALF) if halved else from_tf
    if layout == "timm" and network.name.startswith(tuple(_CELLS)):
        return _cells(network)
    if layout == "torchvision" and network.name.startswith("efficientnet-b"):
        small = network.name.removeprefix("efficientnet-") in ("b0", "b1", "b2", "b3", "b4")
        return Conventions(padding="symmetric", epsilon=1e-5 if small else 1e-3)
    if layout == "torchvision" and network.name == "efficientnetv2-l":
        return Conventions(padding="symmetric", mean=HALF, std=HALF)
    if layout == "torchvision":
        return Conventions(padding=None if network.padding == "same" else "symmetric")
    return Conventions()


def from_metadata(metadata: Mapping[str, str], where: object) -> Conventions | None:
    """The conventions that one of our own files carries, or None where it carries none.

    Raises:
        WeightsError: they are there and cannot be read.
    """
    if _OWN not in metadata:
        return None
    try:
        plain: dict[str, Any] = json.loads(metadata[_OWN])
        lists = {field: tuple(plain[field]) for field in ("mean", "std", "classes")}
        return Conventions(**{**plain, **lists})
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{where} does not say how pictures become its input: {error}.") from error


def to_metadata(conventions: Conventions) -> dict[str, str]:
    """The conventions as a file of weights carries them.

    Example:
        >>> from_metadata(to_metadata(Conventions(crop=1.0)), "x").crop
        1.0
    """
    return {_OWN: json.dumps(asdict(conventions))}


def from_hub(config: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that a hub's `config.json` of timm says, by the names of `Conventions`.

    Example:
        >>> from_hub({"pretrained_cfg": {"input_size": [3, 240, 240], "crop_pct": 1.0}})
        {'resolution': 240, 'crop': 1.0}
    """
    asked = config.get("pretrained_cfg", config)
    asked = asked if isinstance(asked, Mapping) else {}
    found: dict[str, Any] = {}
    if asked.get("input_size"):
        found["resolution"] = int(asked["input_size"][-1])
    if asked.get("crop_pct"):
        found["crop"] = float(asked["crop_pct"])
    for field in ("mean", "std"):
        if asked.get(field):
            found[field] = tuple(float(value) for value in asked[field])
    names = config.get("label_names") or asked.get("label_names")
    if names:
        found["classes"] = tuple(str(each) for each in names)
    return found


def _cells(network: Network) -> Conventions:
    crop = next(share for name, share in _CELLS.items() if network.name.startswith(name))
    halved = Conventions(mean=HALF, std=HALF, crop=crop)
    if network.name.startswith("xception"):
        return replace(halved, padding="symmetric", epsilon=1e-5)
    # Its weights were trained where the zeros of the padding count.
    return replace(halved, counts_padding=True) if network.name.startswith("inception-v3") else halved


def _counting(stage: Stage, counts: bool) -> Stage:
    block = stage.block
    if not isinstance(block, Cell):
        return stage
    nodes = tuple(
        replace(
            node,
            layers=tuple(
                replace(layer, counts_padding=counts)
                if isinstance(layer, Pool) and layer.function == "average"
                else layer
                for layer in node.layers
            ),
        )
        for node in block.nodes
    )
    return replace(stage, block=replace(block, nodes=nodes))


def _second_crop(network: Network) -> float:
    # Below 320 pixels V2's evaluation crops s / (s + 32), from there on nothing.
    return network.resolution / (network.resolution + 32) if network.resolution < 320 else 1.0
