"""Which channels of a supernet's tensors are the same ones, and which go first: those that matter most."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from allometry.arch import Space
from allometry.nn import GraphBlock
from allometry.nn.channels import BlockChannels, ChannelAxis, block_channels, named_tensors, written_by
from allometry.supernets.elastic import Supernet
from allometry.supernets.places import LayerPlace, candidates_of, shapes_of, skeleton
from allometry.supernets.subnet_parts import host_name


class Spot(NamedTuple):
    """A dimension of one of a supernet's tensors.

    Attributes:
        host: of the tensor.
        name: in the host.
        dimension: that counts channels.

    Example:
        >>> Spot("head", "conv.0.weight", 1).dimension
        1
    """

    host: str
    name: str
    dimension: int


class Axis(NamedTuple):
    """The same channels, wherever they are counted: if they change places, then everywhere.

    Attributes:
        spots: all of them.
        readers: those among them whose weights read the channels, and so say how much each of them matters.

    Example:
        >>> reader = Spot("stage_0_layer_0", "project.0.weight", 1)
        >>> axis = Axis(spots=(Spot("stage_0_layer_0", "depthwise.0.weight", 0), reader), readers=(reader,))
        >>> len(axis.spots), axis.readers[0].name
        (2, 'project.0.weight')
    """

    spots: tuple[Spot, ...]
    readers: tuple[Spot, ...]


def axes_of(supernet: Supernet) -> tuple[Axis, ...]:
    """The channels that may change places without changing what the greatest network computes.

    Those inside of blocks and of their squeezes, as the graph of each block says, unless convolutions are grouped; and,
    where a space leaves channels of stages open, what goes from layer to layer.

    Example:
        >>> from allometry.supernets import build_supernet
        >>> from allometry.catalog import get, mbconv_space
        >>> supernet = build_supernet(mbconv_space(get("efficientnet-lite0"), expand_ratios=(3, 6)), seed=0)
        >>> len(axes_of(supernet))  # one in each block but the first, which does not expand
        15
    """
    blocks = {host: module for host, module in supernet.hosts.items() if isinstance(module, GraphBlock)}
    channels = {host: block_channels(module) for host, module in blocks.items()}
    inner = [
        Axis(tuple(_spots(host, axis)), tuple(Spot(host, *spot) for spot in axis.readers))
        for host, known in channels.items()
        for axis in known.inner
    ]
    return (*inner, *_between(supernet, channels))


def _spots(host: str, axis: ChannelAxis) -> list[Spot]:
    return [Spot(host, *spot) for spot in axis.spots]


def _between(supernet: Supernet, channels: Mapping[str, BlockChannels]) -> Iterator[Axis]:
    """What goes from layer to layer, for each group of layers and for the stem."""
    space = supernet.space
    if not any(_changes_channels(target.fields) for choice in space.choices for target in choice.targets):
        return
    layout = space.layout
    if any(0 in choice.options for choice in layout.depth_choices):
        return  # the group that may be missing reads and writes the same channels as its neighbors
    places: dict[LayerPlace, list[str]] = {}
    for place, candidates in candidates_of(space).items():
        places[place] = list(dict.fromkeys(host_name(place, candidate) for candidate in candidates))
    groups: list[list[str]] = [["stem"]]
    for group in range(len(layout.full)):
        here = [place for place in places if 0 <= place.stage < len(layout.places)]
        here = sorted(place for place in here if layout.places[place.stage].group == group)
        groups.append([host for place in here for host in places[place]])
    firsts = [
        list(places[LayerPlace(layout.places.index((group, 0)), 0)]) for group in range(len(layout.full))
    ]
    added = [any(channels[host].adds_input for host in hosts) for hosts in firsts]
    for together in _runs(added):
        written: list[list[Spot]] = []
        read: list[tuple[list[Spot], list[Spot]]] = []
        for number in together:
            following = firsts[number] if number < len(firsts) else ["head"]
            inside = [host for host in groups[number] if number and host not in firsts[number - 1]]
            written += [_leaving(host, supernet.hosts[host], channels) for host in groups[number]]
            read += [_entering(host, supernet.hosts[host], channels) for host in (*inside, *following)]
        if all(written) and all(readers for _, readers in read):
            spots = [spot for layer in (*written, *(spots for spots, _ in read)) for spot in layer]
            yield Axis(tuple(dict.fromkeys(spots)), tuple(spot for _, readers in read for spot in readers))


def _runs(added: list[bool]) -> Iterator[list[int]]:
    """What the stem and each group give on, those together of which one is added to the next."""
    together = [0]
    for number, adds in enumerate(added, start=1):
        if not adds:
            yield together
            together = []
        together.append(number)
    yield together


def _changes_channels(fields: tuple[str, ...]) -> bool:
    return bool(fields) and fields[-1] == "channels" and fields[0] != "head"


def _leaving(host: str, module: nn.Module, channels: Mapping[str, BlockChannels]) -> list[Spot]:
    """Where a layer counts the channels that it gives on; nowhere if they cannot change places."""
    if host in channels:
        return _spots(host, channels[host].leaving)
    return [Spot(host, *spot) for spot in written_by(module.get_submodule("stem"), "stem")]


def _entering(
    host: str, module: nn.Module, channels: Mapping[str, BlockChannels]
) -> tuple[list[Spot], list[Spot]]:
    """Where a layer counts the channels that it is given, and which of that reads them; nothing if it groups them."""
    if host in channels:
        entering = channels[host].entering
        return _spots(host, entering), [Spot(host, *spot) for spot in entering.readers]
    first = next(name for name, value in module.named_parameters() if value.ndim > 1)
    return [Spot(host, first, 1)], [Spot(host, first, 1)]


def sort_channels(
    supernet: Supernet, *, narrower: Space, also: Iterable[Supernet] = (), axes: Sequence[Axis] | None = None
) -> None:
    """Put the most important channels first, in place; what the greatest network computes does not change.

    A channel matters by the sum of the absolute weights that read it. Channels that a space's narrower members use
    already stay in front of those that they do not use.

    Args:
        supernet: whose weights say what matters.
        narrower: the space that was trained so far, a part of the supernet's: between its widths nothing is exchanged.
        also: supernets of the same space whose channels change places likewise, such as an average of the weights.
        axes: of the supernet; None finds them.

    Source: Once-for-All (Cai et al. 2020), section 3.3; the order that is kept: released code.

    Example, with a small `network`:
        >>> from allometry.catalog import mbconv_space
        >>> from allometry.supernets import build_supernet
        >>> supernet = build_supernet(mbconv_space(network, expand_ratios=(2, 3)), seed=0).eval()
        >>> before = supernet(torch.ones(1, 3, 8, 8), network)
        >>> sort_channels(supernet, narrower=mbconv_space(network, expand_ratios=(3,)))
        >>> torch.allclose(supernet(torch.ones(1, 3, 8, 8), network), before, atol=1e-5)
        True
    """
    held = [
        {name: dict(named_tensors(host)) for name, host in model.hosts.items()} for model in (supernet, *also)
    ]
    widths = _widths(narrower)
    with torch.no_grad():
        for axis in axes_of(supernet) if axes is None else axes:
            importance = sum(
                _importance(held[0][spot.host][spot.name], spot.dimension) for spot in axis.readers
            )
            assert isinstance(importance, Tensor)  # noqa: S101
            cuts = {0, len(importance)}
            for spot in axis.readers:
                cuts |= {shape[spot.dimension] for shape in widths.get((spot.host, spot.name), ())}
            order = torch.cat(
                [
                    first + importance[first:last].argsort(descending=True, stable=True)
                    for first, last in pairwise(sorted(cuts))
                ]
            )
            for tensors in held:
                for spot in axis.spots:
                    value = tensors[spot.host][spot.name]
                    value.copy_(value.index_select(spot.dimension, order))


def _importance(weight: Tensor, dimension: int) -> Tensor:
    others = [other for other in range(weight.ndim) if other != dimension]
    return weight.abs().sum(others) if others else weight.abs()


def _widths(space: Space) -> dict[tuple[str, str], set[torch.Size]]:
    """Of each tensor the shapes that members of a part of the space use."""
    shapes: dict[tuple[str, str], set[torch.Size]] = {}
    for place, candidates in candidates_of(space).items():
        for candidate, source in candidates.items():
            host = host_name(place, candidate)
            for name, shape in shapes_of(skeleton(candidate, source, space.template)).items():
                shapes.setdefault((host, name), set()).add(shape)
    return shapes
