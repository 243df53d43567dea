"""`allometry search`, from the question to the network that was found."""

from allometry.pipeline.search.asked import SearchSettings
from allometry.pipeline.search.verb import search

__all__ = ["SearchSettings", "search"]
