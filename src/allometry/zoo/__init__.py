"""The published networks as data, with their published numbers."""

from allometry.zoo.catalogue import Entry, Growth, Published, entries, entry_of, find, get, names

__all__ = ["Entry", "Growth", "Published", "entries", "entry_of", "find", "get", "names"]
