"""The published networks as data, with their published numbers."""

from allometry.zoo.catalog import (
    choose,
    entries,
    entry_of,
    families,
    find,
    get,
    has_own_resolution,
    names,
    names_module,
    recognize,
)
from allometry.zoo.elastic import mbconv_space
from allometry.zoo.entry import Entry, Growth, Published
from allometry.zoo.spaces import SpaceEntry, find_space, spaces

__all__ = [
    "Entry",
    "Growth",
    "Published",
    "SpaceEntry",
    "choose",
    "entries",
    "entry_of",
    "families",
    "find",
    "find_space",
    "get",
    "has_own_resolution",
    "mbconv_space",
    "names",
    "names_module",
    "recognize",
    "spaces",
]
