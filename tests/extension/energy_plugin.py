"""Measures as a user's own module would register them: one that is counted, one with a function of its own."""

from allometry.base.units import Unit
from allometry.cost import Measure, count, register_measure

JOULE, COULOMB = Unit("J"), Unit("C")

ENERGY = register_measure(
    Measure(
        name="energy",
        label="energy an image",
        unit=JOULE,
        count=lambda counts: 4.6e-12 * counts.macs + 2.5e-10 * counts.activations,
        additive=True,
    )
)

asked = []


def read_ammeter(network):
    """Stands for an instrument that somebody has wired up."""
    asked.append(network)
    cost = count(network)
    return 3e-11 * cost.macs**0.9 + 1e-7 * network.depth


CHARGE = register_measure(Measure(name="charge", unit=COULOMB, measure=read_ammeter))
