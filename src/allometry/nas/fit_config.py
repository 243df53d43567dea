"""What a fit is: its grid, and how it goes about it."""

from __future__ import annotations

from dataclasses import dataclass

from allometry.base import InputError
from allometry.nas.law_grid import grid
from allometry.nas.workers import check_workers
from allometry.scaling import ScalingLaw

ALPHAS = (1.0, 1.1, 1.2, 1.3, 1.45, 1.6, 1.8, 2.0)
GAMMAS = (1.0, 1.07, 1.15, 1.22, 1.3, 1.41)


@dataclass(frozen=True, slots=True, kw_only=True)
class FitConfig:
    """How a fit goes about it.

    All proportions of the grid are trained for a quarter of the epochs, the best few for all of them, and the best of
    those again with another seed.

    Attributes:
        alphas: of the grid; beta follows from alpha * beta^2 * gamma^2 = ratio.
        gammas: of the grid.
        ratio: MACs of a step of the law.
        epochs: of a training that is not stopped; 0 for two fifths of a full training's, four at least.
        share: of the proportions, that are trained to the end.
        finalists: that are trained with all seeds.
        seeds: of each finalist.
        workers: `1` for this process, another number for so many beside it, `ray` or `ray://host:port`.
        threads: of each training's arithmetic; 0 for the cores divided by the workers.

    Raises:
        InputError: a number is out of its range.
        LawError: there is no law on the grid.
    """

    alphas: tuple[float, ...] = ALPHAS
    gammas: tuple[float, ...] = GAMMAS
    ratio: float = 2.0
    epochs: int = 0
    share: float = 0.125
    finalists: int = 2
    seeds: int = 2
    workers: str = "1"
    threads: int = 0

    def __post_init__(self) -> None:
        for name, least in (("epochs", 0), ("finalists", 1), ("seeds", 1), ("threads", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name} must be at least {least}, not {getattr(self, name)}.")
        check_workers(self.workers)
        if not 0 < self.share <= 1:
            raise InputError(f"share must be above 0 and at most 1, not {self.share:g}.")
        if not self.ratio > 1:
            raise InputError(
                f"ratio must be above 1, not {self.ratio:g}: a step of the law grows the network."
            )
        for name in ("alphas", "gammas"):
            if not getattr(self, name) or min(getattr(self, name)) < 1:
                raise InputError(f"{name} must be numbers of at least 1: a law does not shrink anything.")

    @property
    def laws(self) -> tuple[ScalingLaw, ...]:
        """The laws of the grid."""
        return grid(self.alphas, self.gammas, ratio=self.ratio)
