"""Which layers a subnet has, and whose weights in the supernet each of them uses."""

from __future__ import annotations

from typing import NamedTuple

from allometry.arch import Decisions, Network, Space
from allometry.supernets.places import LayerCandidate, LayerPlace


class Part(NamedTuple):
    """One layer of a subnet: what computes, and whose weights it uses.

    Example, with a small `network`:
        >>> from allometry.catalog import mbconv_space
        >>> from allometry.supernets import Supernet
        >>> space = mbconv_space(network, depths=(1, 2))
        >>> [part.host for part in Supernet(space).subnet(space.smallest()).parts if isinstance(part, Part)]
        ['stem', 'stage_0_layer_0_mbconv', 'head']
    """

    host: str
    candidate: LayerCandidate


class Subnet(NamedTuple):
    """A member of a supernet's space, ready to compute.

    Attributes:
        network: that it is.
        parts: its layers, in order, from the stem to the head.

    Example, with a small `network`:
        >>> from allometry.catalog import mbconv_space
        >>> from allometry.supernets import Supernet
        >>> space = mbconv_space(network, depths=(1, 2))
        >>> supernet = Supernet(space)
        >>> smallest, largest = supernet.subnet(space.smallest()), supernet.subnet(network)
        >>> len(smallest.parts), len(largest.parts), largest.network == network  # stem and head count, too
        (3, 4, True)
    """

    network: Network
    parts: tuple[Part, ...]


def subnet_of(space: Space, member: Network | Decisions) -> Subnet:
    """A member of a space, by itself or by its decisions, as its layers.

    Raises:
        NetworkError: it is no member; the message says what differs.
    """
    layout = space.layout
    chosen = space.decisions_of(member) if isinstance(member, Network) else member
    network = space.network(chosen)
    depths = layout.depths(chosen)
    stem = LayerCandidate(network.stem, network.in_channels, network.padding)
    parts = [Part(host_name(LayerPlace(-1, 0), stem), stem)]
    source = network.shapes()[0]
    for stage in range(len(space.template.stages)):
        layers = layout.layers(stage, depths)
        block = layout.block(stage, chosen) if layers else space.template.stages[stage].block
        for layer in range(layers):
            candidate = LayerCandidate(block, source.channels, network.padding)
            parts.append(Part(host_name(LayerPlace(stage, layer), candidate), candidate))
            source = block.after(source, source, network.padding)
            block = block.following()
    head = LayerCandidate(network.head, source.channels, network.padding)
    parts.append(Part(host_name(LayerPlace(len(space.template.stages), 0), head), head))
    return Subnet(network, tuple(parts))


def host_name(place: LayerPlace, candidate: LayerCandidate) -> str:
    """What the supernet calls the holder of the weights of a candidate."""
    if candidate.kind in ("stem", "head"):
        return candidate.kind
    return f"stage_{place.stage}_layer_{place.layer}_{candidate.kind}"


def prefixes(network: Network) -> list[str]:
    """How the names of each layer's parameters begin in the ordinary module, from the stem to the head."""
    within: dict[int, int] = {}
    prefixes = [""]
    for placed in network.blocks():
        number = within.get(placed.stage, 0)
        within[placed.stage] = number + 1
        prefixes.append(f"stages.{placed.stage}.{number}.")
    return [*prefixes, ""]
