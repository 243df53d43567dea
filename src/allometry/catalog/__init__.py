"""The published networks as data, with their published numbers."""

from allometry.catalog.elastic import mbconv_space
from allometry.catalog.entry import Entry, Growth, Published
from allometry.catalog.registry import (
    as_network,
    choose,
    entries,
    entry_of,
    families,
    get,
    has_own_resolution,
    names,
    names_module,
    recognize,
)
from allometry.catalog.spaces import SpaceEntry, find_space, spaces

__all__ = [
    "Entry",
    "Growth",
    "Published",
    "SpaceEntry",
    "as_network",
    "choose",
    "entries",
    "entry_of",
    "families",
    "find_space",
    "get",
    "has_own_resolution",
    "mbconv_space",
    "names",
    "names_module",
    "recognize",
    "spaces",
]
