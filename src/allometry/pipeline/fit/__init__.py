"""`allometry fit`, from the grid to the law."""

from allometry.pipeline.fit.asked import FitSettings
from allometry.pipeline.fit.verb import fit

__all__ = ["FitSettings", "fit"]
