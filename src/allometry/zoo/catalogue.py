"""Names and published numbers of the networks that the library knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from allometry.arch import Network, load
from allometry.base import UnknownNameError
from allometry.zoo import efficientnet


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What the authors printed about a network (ImageNet, single crop, single model).

    Attributes:
        params: millions of parameters, as printed.
        macs: billions of multiply-accumulates ("FLOPs" in the papers), as printed.
        top1: top-1 accuracy in percent.
        source: where it is printed.
    """

    params: float
    macs: float
    top1: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """How a network came from its family's baseline.

    Attributes:
        depth: multiplier of the layers.
        width: multiplier of the channels.
        phi: steps of the law; None where the authors took other multipliers than a law's.
    """

    depth: float
    width: float
    phi: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One network of the zoo.

    Attributes:
        name: what `get` takes.
        make: gives the network.
        about: one line for people.
        growth: how it came from its family's baseline.
        published: the authors' figures, if they published this very network.
    """

    name: str
    make: Callable[[], Network]
    about: str
    growth: Growth
    published: Published | None = None


_TABLE_2 = "EfficientNet, arXiv:1905.11946v5, Table 2"
_PUBLISHED = {
    0: (5.3, 0.39, 77.1),
    1: (7.8, 0.70, 79.1),
    2: (9.2, 1.0, 80.1),
    3: (12, 1.8, 81.6),
    4: (19, 4.2, 82.9),
    5: (30, 9.9, 83.6),
    6: (43, 19, 84.0),
    7: (66, 37, 84.3),
}


def entries() -> tuple[Entry, ...]:
    """Every network of the zoo, families together and small before large.

    Example:
        >>> [entry.name for entry in entries()][:3]
        ['efficientnet-b0', 'efficientnet-b1', 'efficientnet-b2']
    """
    released = (
        Entry(
            name=f"efficientnet-b{number}",
            make=partial(efficientnet.released, number),
            about=f"EfficientNet-B{number} as released",
            growth=_released_growth(number),
            published=Published(params=params, macs=macs, top1=top1, source=_TABLE_2),
        )
        for number, (params, macs, top1) in _PUBLISHED.items()
    )
    formula = (
        Entry(
            name=f"efficientnet-b{phi}-formula",
            make=partial(efficientnet.formula, phi),
            about=f"EfficientNet-B0 grown by the paper's formula with phi = {phi}",
            growth=Growth(depth=efficientnet.ALPHA**phi, width=efficientnet.BETA**phi, phi=phi),
        )
        for phi in _PUBLISHED
    )
    return (*released, *formula)


def _released_growth(number: int) -> Growth:
    coefficients = efficientnet.RELEASED[number]
    phi = 0.0 if number == 0 else None
    return Growth(depth=coefficients.depth, width=coefficients.width, phi=phi)


def names() -> tuple[str, ...]:
    """The names that `get` takes.

    Example:
        >>> "efficientnet-b7" in names()
        True
    """
    return tuple(entry.name for entry in entries())


def get(name: str) -> Network:
    """The network of that name; `_` and capitals are forgiven.

    Raises:
        UnknownNameError: no such network; the message gives the nearest names.

    Example:
        >>> get("EfficientNet_B3").resolution
        300
        >>> get("efficientnet-b9")
        Traceback (most recent call last):
            ...
        allometry.base.errors.UnknownNameError: No network is named 'efficientnet-b9'. Did you mean ...
    """
    return entry_of(name).make()


def entry_of(name: str) -> Entry:
    """The entry of that name, with its published numbers; names are as forgiving as `get`'s.

    Raises:
        UnknownNameError: no such network; the message gives the nearest names.

    Example:
        >>> entry_of("efficientnet-b3").growth
        Growth(depth=1.4, width=1.2, phi=None)
    """
    asked = name.strip().lower().replace("_", "-")
    for entry in entries():
        if entry.name == asked:
            return entry
    raise UnknownNameError("network", name, names(), "`allometry zoo` lists them all; a JSON file works too.")


def find(text: str) -> Network:
    """The network that a user means: a name of the zoo, or a network's JSON file.

    Raises:
        UnknownNameError: neither; the message gives the nearest names.
        NetworkError: the file is missing or does not describe a network.

    Example:
        >>> find("efficientnet-b0").resolution
        224
    """
    path = Path(text)
    return load(path) if path.suffix == ".json" or path.is_file() else get(text)
