"""The one operation that every scaling law ends in: more layers, wider layers, a larger picture."""

from __future__ import annotations

from dataclasses import replace

from allometry.arch.network import Network
from allometry.arch.rounding import CHANNEL_MULTIPLE, round_channels, round_repeats
from allometry.base import NetworkError


def multiply(
    network: Network,
    *,
    depth: float = 1.0,
    width: float = 1.0,
    resolution: float = 1.0,
    channel_multiple: int = CHANNEL_MULTIPLE,
    name: str | None = None,
) -> Network:
    """Multiply the repeats of every stage, the channels of every layer, and the side of the input.

    Repeats are rounded up; channels of stem, stages and head to `channel_multiple`, never below 90 %; the
    resolution to the nearest pixel. A multiplier of exactly 1 leaves its dimension as it is; one above 1 never
    shrinks a layer, and one below never widens it.

    Args:
        network: what to grow or shrink.
        depth: multiplier of the repeats.
        width: multiplier of the channels.
        resolution: multiplier of the side of the input.
        channel_multiple: what channels are rounded to.
        name: label of the result; by default the network's own.

    Raises:
        NetworkError: a multiplier is not a positive number.

    Source: EfficientNet (Tan & Le 2019), equation 2, with the rounding of the released code.

    Example:
        >>> from allometry.zoo import get
        >>> b3 = multiply(get("efficientnet-b0"), depth=1.4, width=1.2, resolution=300 / 224)
        >>> b3.depth, b3.stem.channels, b3.head.channels, b3.resolution
        (26, 40, 1536, 300)
    """
    for label, value in (("depth", depth), ("width", width), ("resolution", resolution)):
        if not 0 < value < float("inf"):
            raise NetworkError(f"The {label} multiplier must be a positive number, not {value!r}.")

    def wide(channels: int) -> int:
        rounded = round_channels(channels * width, multiple=channel_multiple)
        # Rounding must not shrink what grows: only channels that are no multiple already would.
        return channels if width == 1 else max(channels, rounded) if width > 1 else min(channels, rounded)

    stages = tuple(
        replace(
            stage,
            block=replace(stage.block, channels=wide(stage.block.channels)),
            repeats=round_repeats(stage.repeats * depth),
        )
        for stage in network.stages
    )
    return replace(
        network,
        stem=replace(network.stem, channels=wide(network.stem.channels)),
        stages=stages,
        head=replace(network.head, channels=wide(network.head.channels)),
        resolution=max(1, round(network.resolution * resolution)),
        name=network.name if name is None else name,
    )
