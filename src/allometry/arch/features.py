"""The feature maps that a network gives as a backbone: the last one of each resolution."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from allometry.arch.network import Network
from allometry.arch.shapes import Shape
from allometry.base import InputError


class FeatureMap(NamedTuple):
    """A feature map that a backbone gives.

    Attributes:
        channels: of the map.
        reduction: input pixels per pixel of the map, along one side.
        size: side of the map in pixels, at the network's own resolution.
        module: the name of the module that gives it.
        stage: the index of its stage; -1 for the stem.
        block: the index in that stage of the block that gives it; in the stem 0 for the convolution, 1 for the pool.

    Example:
        >>> from allometry.catalog import get
        >>> feature_maps(get("resnet-50"))[0]
        FeatureMap(channels=64, reduction=2, size=112, module='stem', stage=-1, block=0)
    """

    channels: int
    reduction: int
    size: int
    module: str
    stage: int
    block: int


def feature_maps(network: Network, out_indices: Sequence[int] | None = None) -> tuple[FeatureMap, ...]:
    """The feature maps of a network as a backbone, from fine to coarse: of each resolution the last one.

    The head has no part in them: the last map is what the last block gives.

    Args:
        network: the network; its head does not matter.
        out_indices: which of all maps, in rising order; negative ones count from the end. None for all of them.

    Raises:
        InputError: there is no such map, or the order is another.

    Source: `features_only` of PyTorch Image Models (timm).

    Example:
        >>> from allometry.catalog import get
        >>> b0 = get("efficientnet-b0")
        >>> [(map.channels, map.reduction) for map in feature_maps(b0)]
        [(16, 2), (24, 4), (40, 8), (112, 16), (320, 32)]
        >>> [map.module for map in feature_maps(b0, out_indices=(1, -1))]
        ['stages.1.1', 'stages.6.0']
    """
    last: dict[int, FeatureMap] = {}
    for feature_map in _maps(network):
        last[feature_map.reduction] = feature_map
    maps = tuple(last.values())
    if out_indices is None:
        return maps
    return tuple(maps[index] for index in feature_indices(len(maps), out_indices))


def check_features_only(features_only: bool, out_indices: Sequence[int] | None) -> None:
    """Refuse a choice of feature maps where none are given.

    Raises:
        InputError: there is such a choice.

    Example:
        >>> check_features_only(True, (1, 2))
        >>> check_features_only(False, (1, 2))
        Traceback (most recent call last):
            ...
        allometry.base.errors.InputError: out_indices chooses feature maps, which a classifier does not give: ...
    """
    if out_indices is not None and not features_only:
        raise InputError(
            "out_indices chooses feature maps, which a classifier does not give: say features_only=True, too."
        )


def feature_indices(number: int, out_indices: Sequence[int] | None) -> tuple[int, ...]:
    """Which of so many feature maps are meant, counted from 0.

    Raises:
        InputError: there is no such map, or the order is another.

    Example:
        >>> feature_indices(5, (1, -1)), feature_indices(3, None)
        ((1, 4), (0, 1, 2))
    """
    if out_indices is None:
        return tuple(range(number))
    indices = tuple(out_indices)
    wrong = [index for index in indices if not -number <= index < number]
    if wrong or not indices:
        what = f"There is no feature map {wrong[0]}" if wrong else "out_indices is empty"
        raise InputError(
            f"{what}: the network has {number}, one for each resolution, from 0 to {number - 1}."
        )
    places = tuple(index % number for index in indices)
    if list(places) != sorted(set(places)):
        raise InputError(f"out_indices must rise, since maps come from fine to coarse, not {indices}.")
    return places


def _maps(network: Network) -> Iterator[FeatureMap]:
    """What stem, pool and stages give, in order; of blocks that change no resolution only the last of a stage."""
    stem, padding = network.stem, network.padding
    reduction, size = stem.stride, stem.convolved(network.resolution, padding)
    yield FeatureMap(stem.channels, reduction, size, "stem", -1, 0)
    source = skip = Shape(stem.channels, stem.out_size(network.resolution, padding))
    if stem.pool:
        reduction *= 2
        yield FeatureMap(source.channels, reduction, source.size, "pool", -1, 1)
    for number, stage in enumerate(network.stages):
        block, last = stage.block, stage.repeats - 1
        if block.regular:  # only the first block has a stride
            out = block.after(source, skip, padding)
            reduction *= block.stride
            yield _map_of(out, reduction, number, last)
            source, skip = out, out if last else source
            continue
        for repeat in range(stage.repeats):
            out = block.after(source, skip, padding)
            reduction *= block.stride
            yield _map_of(out, reduction, number, repeat)
            source, skip = out, skip if block.passes_skip else source


def _map_of(out: Shape, reduction: int, stage: int, block: int) -> FeatureMap:
    return FeatureMap(out.channels, reduction, out.size, f"stages.{stage}.{block}", stage, block)
