"""What solving for a budget comes to."""

from __future__ import annotations

from dataclasses import dataclass

from allometry.arch import Network
from allometry.cost import Budget, Cost
from allometry.scaling.laws import Multipliers, ScalingLaw


@dataclass(frozen=True, slots=True)
class Solution:
    """The largest network found within a budget.

    Attributes:
        network: the network; its cost is within the budget.
        cost: `count(network)`; where a device was asked, with the latency and the memory that it said.
        budget: what was asked.
        law: how it was grown.
        phi: the largest phi whose network fits; the solution lies in its neighborhood.
        multipliers: depth, width and resolution against the network that was grown; of all depths that
            round to these layers, the largest.
        use: the largest fraction of a limit that is taken, at most 1.
    """

    network: Network
    cost: Cost
    budget: Budget
    law: ScalingLaw
    phi: float
    multipliers: Multipliers
    use: float
