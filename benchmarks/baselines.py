"""What the benchmarks grow from: EfficientNet-B0 for the icons within a budget, and the networks on a law's line."""

from __future__ import annotations

from typing import NamedTuple

from allometry.arch import Network
from allometry.catalog import get
from allometry.cost import MACS, Budget, Limit
from allometry.data import open_data
from allometry.scaling import Multipliers, ScalingLaw, solve
from allometry.scaling.strides import adapt


class Baseline(NamedTuple):
    """B0 within a budget, and what it grew from: a law multiplies that, not what was rounded already.

    Of 8 layers that were 7.3 before rounding, 1.25 times as many are 9, and not 10.
    """

    origin: Network
    network: Network
    multipliers: Multipliers

    def grown(self, macs: int, law: ScalingLaw) -> Network:
        """The network of at most so many MACs on a law's line through the baseline; its images may be enlarged."""
        budget = Budget((Limit(MACS, macs),))
        return solve(self.origin, budget, law=law, start=self.multipliers).network


def icons_baseline(budget: str) -> Baseline:
    """EfficientNet-B0 for the icons, shrunk to a budget by the paper's law, as `run` and `fit` do it."""
    data = open_data("icons")
    origin = adapt(
        get("efficientnet-b0"), classes=len(data.classes), channels=data.channels, image_size=data.image_size
    )
    solution = solve(origin, budget, largest_resolution=data.image_size)
    return Baseline(origin, solution.network, solution.multipliers)
