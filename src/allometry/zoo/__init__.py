"""The published networks as data, with their published numbers."""

from allometry.zoo.catalogue import (
    choose,
    entries,
    entry_of,
    families,
    find,
    get,
    has_own_resolution,
    names,
    names_module,
    recognise,
)
from allometry.zoo.entry import Entry, Growth, Published

__all__ = [
    "Entry",
    "Growth",
    "Published",
    "choose",
    "entries",
    "entry_of",
    "families",
    "find",
    "get",
    "has_own_resolution",
    "names",
    "names_module",
    "recognise",
]
