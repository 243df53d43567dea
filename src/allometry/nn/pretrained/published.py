"""What is known of published weights: which layout's authors used which conventions for which network."""

from __future__ import annotations

import re
from dataclasses import replace

from allometry.arch import Network
from allometry.catalog import recognize
from allometry.nn.pretrained.conventions import Conventions

HALF = (0.5, 0.5, 0.5)
# Pixels minus 127, through 128; and minus 128, through 128.
_LITE_MEAN, _LITE_STD = (127 / 255,) * 3, (128 / 255,) * 3
_V2_MEAN, _V2_STD = (128 / 255,) * 3, (128 / 255,) * 3
# The share of the image that timm's weights of these networks look at.
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
_FROM_TF = "tf_"  # in the names of timm: weights that were trained in TensorFlow
_ADVERSARIAL = re.compile(r"[._]ap[_-]")


def conventions_of(network: Network, layout: str, *, name: str = "") -> Conventions:
    """The conventions of a layout for a network; of one that is none of the zoo's, those of the layout in general.

    What counts is the network's form, not what it is called.

    Args:
        network: whose weights they are.
        layout: whose names the file has.
        name: of the file or of the model in a hub, where timm says that weights came from TensorFlow (`tf_`).

    Example:
        >>> from allometry.catalog import get
        >>> conventions_of(get("efficientnet-lite0"), "efficientnet_pytorch").padding
        'same'
        >>> conventions_of(get("efficientnet-b0"), "timm", name="tf_efficientnet_b0").epsilon
        0.001
    """
    known = recognize(network)
    if known is None:
        return _general(layout, name)
    network = known.make()
    if layout in ("efficientnet_pytorch", "TensorFlow"):
        return _tensorflow(network)
    if layout == "timm":
        return _timm(network, name)
    return _torchvision(network) if layout == "torchvision" else Conventions()


def _general(layout: str, name: str) -> Conventions:
    """What holds of a layout for networks that their authors never published."""
    if layout in ("efficientnet_pytorch", "TensorFlow") or (layout == "timm" and _FROM_TF in name):
        return Conventions(padding="same", epsilon=1e-3)
    return Conventions()


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
    if network.name.startswith("mobilenetv4"):
        return Conventions(padding="symmetric", epsilon=1e-5, crop=0.95)
    if _FROM_TF not in name:
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


def _cells(network: Network) -> Conventions:
    crop = next(fraction for name, fraction in _CELLS.items() if network.name.startswith(name))
    halved = Conventions(mean=HALF, std=HALF, crop=crop)
    if network.name.startswith("xception"):
        return replace(halved, padding="symmetric", epsilon=1e-5)
    # Its weights were trained where the zeros of the padding count.
    return replace(halved, counts_padding=True) if network.name.startswith("inception-v3") else halved


def _released_crop(network: Network) -> float:
    """The released evaluation leaves a margin of 32 pixels, whatever the size."""
    return network.resolution / (network.resolution + 32)


def _second_crop(network: Network) -> float:
    """Below 320 pixels V2's evaluation does the same, from there on it crops nothing."""
    return _released_crop(network) if network.resolution < 320 else 1.0
