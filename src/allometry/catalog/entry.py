"""What the zoo knows about a network besides the network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from allometry.arch import Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What the authors printed about a network (ImageNet, single crop, single model); None where they did not.

    Attributes:
        params: millions of parameters, as printed.
        macs: billions of multiply-accumulates ("FLOPs" in the papers), as printed.
        top1: top-1 accuracy in percent.
        source: where it is printed.
        note: what to know where our count and the printed figure disagree.

    Example:
        >>> from allometry.catalog import entry_of
        >>> entry_of("efficientnet-b3").published.top1
        81.6
    """

    params: float | None
    macs: float | None
    top1: float | None
    source: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """How a network came from its family's baseline.

    Attributes:
        baseline: its name.
        depth: multiplier of the layers.
        width: multiplier of the channels.
        resolution: multiplier of the side of the input, where it is not given in pixels.
        phi: steps of the law; None where the authors took other multipliers than a law's.

    Example:
        >>> from allometry.catalog import entry_of
        >>> entry_of("efficientnet-b3").growth.depth
        1.4
    """

    baseline: str
    depth: float
    width: float
    phi: float | None
    resolution: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One network of the zoo.

    Attributes:
        name: what `get` takes.
        family: for filters.
        make: gives the network.
        about: one line for people.
        growth: how it came from its family's baseline, if it was grown from one.
        published: the authors' figures, if they published this very network.

    Example:
        >>> from allometry.catalog import entry_of
        >>> entry_of("resnet-50").family
        'resnet'
    """

    name: str
    family: str
    make: Callable[[], Network]
    about: str
    growth: Growth | None = None
    published: Published | None = None
