"""Fitting a network to small images, which its strides would otherwise crush."""

from __future__ import annotations

from dataclasses import replace

from allometry.arch import Network, RegularBlock
from allometry.base import NetworkError

SMALLEST_FEATURE_MAP = 4


def fit_strides(network: Network, *, min_feature_map: int = SMALLEST_FEATURE_MAP) -> Network:
    """Take strides out of the last stages until the last feature map is at least `min_feature_map` pixels wide.

    The early strides stay, because they keep the cost down; the stem's pool and its stride go last. An image that is
    smaller than `min_feature_map` keeps its own size throughout. The strides inside cells stay.

    Args:
        network: at the resolution it shall work at.
        min_feature_map: side of the last feature map, in pixels.

    Raises:
        NetworkError: `min_feature_map` is not a positive integer.

    Example:
        >>> from dataclasses import replace
        >>> from allometry.catalog import get
        >>> small = fit_strides(replace(get("efficientnet-b0"), resolution=64))
        >>> [stage.block.stride for stage in small.stages], small.total_stride
        ([1, 2, 2, 2, 1, 1, 1], 16)
    """
    if min_feature_map < 1:
        raise NetworkError(f"The smallest feature map must be a positive integer, not {min_feature_map!r}.")
    stages = list(network.stages)
    fitted = network
    for index in reversed(range(len(stages))):
        if feature_size(fitted) >= min_feature_map:
            return fitted
        block = stages[index].block
        if block.stride > 1 and isinstance(block, RegularBlock):
            stages[index] = replace(stages[index], block=block.with_stride(1))
            fitted = replace(network, stages=tuple(stages))
    if feature_size(fitted) < min_feature_map:
        fitted = replace(fitted, stem=replace(fitted.stem, pool=0))
    if feature_size(fitted) < min_feature_map:
        fitted = replace(fitted, stem=replace(fitted.stem, stride=1))
    return fitted


def feature_size(network: Network) -> int:
    """Side of the last feature map, in pixels.

    Example:
        >>> from allometry.catalog import get
        >>> feature_size(get("efficientnet-b0"))
        7
    """
    return network.shapes()[-1].size


def adapt(network: Network, *, classes: int, channels: int, image_size: int) -> Network:
    """Fit a network to a data set: its classes, its channels, and strides that leave small images their pixels.

    Example:
        >>> from allometry.catalog import get
        >>> small = adapt(get("efficientnet-b0"), classes=10, channels=1, image_size=32)
        >>> small.head.classes, small.in_channels, small.total_stride
        (10, 1, 8)
    """
    fitted = fit_strides(replace(network, resolution=image_size))
    return replace(
        fitted,
        resolution=network.resolution,
        head=replace(network.head, classes=classes),
        in_channels=channels,
    )
