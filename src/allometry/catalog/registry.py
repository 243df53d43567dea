"""The names of the networks that the library knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from allometry.arch import Network, load, weight_signature
from allometry.base import NetworkError, UnknownNameError
from allometry.base.reading import is_file
from allometry.catalog import (
    amoebanet,
    densenet,
    efficientnet,
    efficientnet_lite,
    efficientnetv2,
    fbnet,
    inception,
    inception_v4,
    mnasnet,
    mobilenet,
    mobilenetv4,
    nasnet,
    once_for_all,
    pnasnet,
    proxylessnas,
    regnet,
    resnet,
    scaled,
    senet,
    xception,
)
from allometry.catalog.entry import Entry

_FAMILIES: tuple[Callable[[], Iterator[Entry]], ...] = (
    efficientnet.entries,
    efficientnet_lite.entries,
    efficientnetv2.entries,
    mobilenet.entries,
    mobilenetv4.entries,
    mnasnet.entries,
    proxylessnas.entries,
    fbnet.entries,
    once_for_all.entries,
    resnet.entries,
    regnet.entries,
    densenet.entries,
    inception.entries,
    inception_v4.entries,
    xception.entries,
    senet.entries,
    nasnet.entries,
    pnasnet.entries,
    amoebanet.entries,
    scaled.entries,
)


@cache
def entries() -> tuple[Entry, ...]:
    """Every network of the zoo, families together.

    Example:
        >>> [entry.name for entry in entries()][:3]
        ['efficientnet-b0', 'efficientnet-b1', 'efficientnet-b2']
    """
    return tuple(entry for family in _FAMILIES for entry in family())


@cache
def _by_name() -> dict[str, Entry]:
    return {entry.name: entry for entry in entries()}


def families() -> tuple[str, ...]:
    """The families, in the order of `entries`.

    Example:
        >>> families()[:2]
        ('efficientnet', 'efficientnet-formula')
    """
    return tuple(dict.fromkeys(entry.family for entry in entries()))


def choose(text: str = "", *, family: str | None = None) -> tuple[Entry, ...]:
    """The entries with `text` in their name, of one family if it is given.

    Raises:
        UnknownNameError: no such family, or no such name in it.

    Example:
        >>> [entry.name for entry in choose("v3", family="mobilenet")]
        ['mobilenetv3-large', 'mobilenetv3-large-0.75', 'mobilenetv3-small']
    """
    if family is not None and family not in families():
        raise UnknownNameError("family", family, families())
    part = text.strip().lower().replace("_", "-")
    matching = [entry for entry in entries() if family in (None, entry.family) and part in entry.name]
    if not matching:
        possible = [entry.name for entry in entries() if family in (None, entry.family)]
        raise UnknownNameError("network", text, possible, "`allometry zoo` lists them all.")
    return tuple(matching)


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
        Growth(baseline='efficientnet-b0', depth=1.4, width=1.2, phi=None, resolution=None)
    """
    entry = _by_name().get(name.strip().lower().replace("_", "-"))
    if entry is not None:
        return entry
    raise UnknownNameError("network", name, names(), "`allometry zoo` lists them all; a JSON file works too.")


@cache
def _by_form() -> dict[str, Entry]:
    known: dict[str, Entry] = {}
    for entry in entries():
        known.setdefault(weight_signature(entry.make()), entry)
    return known


def recognize(network: Network) -> Entry | None:
    """The entry whose weights the network can have, whatever it is called; None if it is none of the zoo's.

    Where several have one form, such as a network at two resolutions, it is the first.

    Example:
        >>> from dataclasses import replace
        >>> mine = replace(get("efficientnet-lite0"), name="mine", resolution=64)
        >>> recognize(mine).name
        'efficientnet-lite0'
        >>> from allometry.arch import apply_multipliers
        >>> recognize(apply_multipliers(mine, width=3)) is None
        True
    """
    return _by_form().get(weight_signature(network))


def has_own_resolution(network: Network) -> bool:
    """Whether somebody gave the network another resolution than the zoo's, which then is to be kept.

    Example:
        >>> from dataclasses import replace
        >>> has_own_resolution(get("resnet-18")), has_own_resolution(replace(get("resnet-18"), resolution=64))
        (False, True)
    """
    known = recognize(network)
    return known is None or known.make().resolution != network.resolution


def names_module(text: str) -> bool:
    """Whether a user means a torch module, `timm:NAME` or `package.module:factory`, and no network of ours.

    Example:
        >>> names_module("timm:resnet50"), names_module("mypackage.nets:make"), names_module("efficientnet-b0")
        (True, True, False)
    """
    package, _, name = text.partition(":")
    identifiers = all(part.isidentifier() for part in package.split("."))
    return identifiers and bool(name) and not is_file(text)


def as_network(value: Network | str | Path) -> Network:
    """The network that a user means: a network, a name of the catalog, or a network's JSON file.

    Args:
        value: the network itself, its name or its file.

    Returns:
        The network; the same object where it was given as a value.

    Raises:
        UnknownNameError: neither a name nor a file; the message gives the nearest names.
        NetworkError: the file is missing or does not describe a network, or the value is of another type.

    Example:
        >>> as_network("efficientnet-b0").resolution
        224
        >>> as_network(get("resnet-18")) == as_network("resnet-18")
        True
    """
    if isinstance(value, Network):
        return value
    if not isinstance(value, str | Path):
        raise NetworkError(f"A network, its name or its JSON file is expected, not a {type(value).__name__}.")
    path = Path(value)
    return load(path) if path.suffix == ".json" or is_file(path) else get(str(value))
