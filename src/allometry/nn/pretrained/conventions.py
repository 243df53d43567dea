"""What must be right besides the numbers: padding, the constant of batch norm, and how pictures become inputs."""

from __future__ import annotations

import json
import math
import re
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
# Crop, and resolution where it is not the paper's, of torchvision's EfficientNets.
_TORCHVISION: dict[str, tuple[float, int | None]] = {
    "efficientnet-b1": (240 / 256, None),
    "efficientnet-b2": (1.0, 288),
    "efficientnet-b3": (300 / 320, None),
    "efficientnet-b4": (380 / 384, None),
    "efficientnet-b5": (1.0, None),
    "efficientnet-b6": (1.0, None),
    "efficientnet-b7": (1.0, None),
}
_ADVERSARIAL = re.compile(r"[._]ap[_-]")


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

    def __post_init__(self) -> None:
        if not all(_is_number(value) for value in (*self.mean, *self.std)):
            raise WeightsError(f"Mean and deviation must be numbers, not {self.mean} and {self.std}.")
        if not self.mean or len(self.mean) != len(self.std) or min(self.std) <= 0:
            raise WeightsError(
                f"There must be one mean and one deviation above 0 a channel, not {self.mean} and {self.std}."
            )
        if not _is_number(self.crop) or not 0 < self.crop <= 1:
            raise WeightsError(f"The crop must be a share above 0 and at most 1, not {self.crop!r}.")

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
    if layout in ("efficientnet_pytorch", "TensorFlow"):
        return _tensorflow(network)
    if layout == "timm":
        return _timm(network, name)
    return _torchvision(network) if layout == "torchvision" else Conventions()


def _tensorflow(network: Network) -> Conventions:
    same = Conventions(padding="same", epsilon=1e-3)
    if network.name.startswith("efficientnet-lite"):
        return replace(same, mean=_LITE_MEAN, std=_LITE_STD, crop=_released_crop(network))
    if network.name.startswith("efficientnetv2"):
        return replace(same, mean=_V2_MEAN, std=_V2_STD, crop=_second_crop(network))
    return replace(same, crop=_released_crop(network))


def _timm(network: Network, name: str) -> Conventions:
    if network.name.startswith(tuple(_CELLS)):
        return _cells(network)
    if not network.name.startswith(("efficientnet", "mnasnet", "mobilenet")):
        return Conventions()
    if "tf_" not in name:
        return Conventions(padding="symmetric", epsilon=1e-5)
    from_tf = Conventions(padding="same", epsilon=1e-3)
    second = network.name.startswith("efficientnetv2")
    large = second and not network.name.startswith("efficientnetv2-b")
    if large:
        from_tf = replace(from_tf, crop=1.0)
    elif network.name.startswith("efficientnet"):
        from_tf = replace(from_tf, crop=_released_crop(network))
    halved = large or network.name.startswith(("efficientnet-lite", "mobilenetv3"))
    # AdvProp's weights (`tf_efficientnet_b0.ap_in1k`, `tf_efficientnet_b0_ap-...`) take pixels from -1 to 1.
    return replace(from_tf, mean=HALF, std=HALF) if halved or _ADVERSARIAL.search(name) else from_tf


def _torchvision(network: Network) -> Conventions:
    if network.name.startswith("efficientnet-b"):
        small = network.name.removeprefix("efficientnet-") in ("b0", "b1", "b2", "b3", "b4")
        crop, size = _TORCHVISION.get(network.name, (0.875, None))
        return Conventions(padding="symmetric", epsilon=1e-5 if small else 1e-3, crop=crop, resolution=size)
    if network.name.startswith("efficientnetv2"):
        whole = Conventions(padding="symmetric", crop=1.0)
        return replace(whole, mean=HALF, std=HALF) if network.name == "efficientnetv2-l" else whole
    if network.name.startswith("mnasnet"):
        return Conventions(padding="symmetric", epsilon=1e-5)
    return Conventions(padding=None if network.padding == "same" else "symmetric")


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
    except (ValueError, KeyError, TypeError, RecursionError) as error:
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

    Raises:
        WeightsError: a field is there and cannot be read.

    Example:
        >>> from_hub({"pretrained_cfg": {"input_size": [3, 240, 240], "crop_pct": 1.0}})
        {'resolution': 240, 'crop': 1.0}
    """
    asked = config.get("pretrained_cfg", config)
    asked = asked if isinstance(asked, Mapping) else {}
    try:
        return _said(config, asked)
    except (ValueError, TypeError, LookupError) as error:
        raise WeightsError(
            f"The hub's config.json does not say how pictures become inputs: {error}."
        ) from error


def _said(config: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
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


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _released_crop(network: Network) -> float:
    """The released evaluation leaves a margin of 32 pixels, whatever the size."""
    return network.resolution / (network.resolution + 32)


def _second_crop(network: Network) -> float:
    # Below 320 pixels V2's evaluation crops s / (s + 32), from there on nothing.
    return network.resolution / (network.resolution + 32) if network.resolution < 320 else 1.0
