"""The published networks as data, with their published numbers."""

from allometry.zoo.catalogue import Entry, Published, entries, find, get, names

__all__ = ["Entry", "Published", "entries", "find", "get", "names"]
