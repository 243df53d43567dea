"""The layouts: under which names, and by which conventions, others published weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from allometry.arch import Network
from allometry.nn.pretrained.layouts.cells import cells, pnasnet
from allometry.nn.pretrained.layouts.others import (
    efficientnet_pytorch,
    from_once_for_all,
    from_tensorflow,
    once_for_all,
    tensorflow,
)
from allometry.nn.pretrained.layouts.timm import timm
from allometry.nn.pretrained.layouts.torchvision import (
    torchvision,
    torchvision_densenet,
    torchvision_mnasnet,
    torchvision_mobilenet_v2,
)

Names = Callable[[Network], Mapping[str, str] | None]
Tidy = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]


@dataclass(frozen=True, slots=True)
class Layout:
    """One way to name the parameters of networks.

    Attributes:
        name: of whoever published weights so.
        names: our module prefixes with theirs, or None where they have no such network.
        tidy: brings a file's tensors to those names and to PyTorch's axes.
    """

    name: str
    names: Names
    tidy: Tidy = dict


def _own(network: Network) -> dict[str, str]:
    """Our own names: every prefix is itself."""
    del network
    return {}


OWN = Layout("allometry", _own)
LAYOUTS = (
    OWN,
    Layout("timm", timm),
    Layout("timm", cells),
    Layout("timm", pnasnet),
    Layout("torchvision", torchvision),
    Layout("torchvision", torchvision_mobilenet_v2),
    Layout("torchvision", torchvision_mnasnet),
    Layout("torchvision", torchvision_densenet),
    Layout("efficientnet_pytorch", efficientnet_pytorch),
    Layout("TensorFlow", tensorflow, from_tensorflow),
    Layout("Once-for-All", once_for_all, from_once_for_all),
)

__all__ = ["LAYOUTS", "OWN", "Layout"]
