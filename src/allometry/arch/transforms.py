"""Networks made from networks by rule: more layers, wider layers, larger images; and the Lite transform."""

from __future__ import annotations

from dataclasses import replace

from allometry.arch.convolutions import Activation
from allometry.arch.network import Network
from allometry.arch.rounding import CHANNEL_MULTIPLE, MIN_FRACTION, round_repeats, widen
from allometry.arch.stages import Stage
from allometry.base import NetworkError

_LITE: Activation = "relu6"


def apply_multipliers(
    network: Network,
    *,
    depth: float = 1.0,
    width: float = 1.0,
    resolution: float = 1.0,
    late_stage_bias: float = 0.0,
    channel_multiple: int = CHANNEL_MULTIPLE,
    min_fraction: float = MIN_FRACTION,
    name: str | None = None,
) -> Network:
    """Multiply the repeats of every stage, the channels of every layer, and the side of the input.

    Repeats are rounded up; channels of stem, stages and head to `channel_multiple`, never below 90 %; the
    resolution to the nearest pixel. A multiplier of exactly 1 leaves its dimension as it is; one above 1 never
    shrinks a layer, and one below never widens it. What is `fixed` stays, and so do cells that stand alone; a
    stage and those that continue it are counted together, and get or lose layers at their end.

    Args:
        network: what to grow or shrink.
        depth: multiplier of the repeats.
        width: multiplier of the channels.
        resolution: multiplier of the side of the input.
        late_stage_bias: from 0 to below 1, how unevenly depth grows: the exponent of its multiplier rises from 1 -
            late_stage_bias in the first stage to 1 + late_stage_bias in the last.
        channel_multiple: what channels are rounded to.
        min_fraction: of the multiplied channels, which rounding never goes below.
        name: label of the result; by default the network's own.

    Raises:
        NetworkError: a multiplier is not a positive number, `late_stage_bias` is not in its range, or the width of a
            cell shall change.

    Source: EfficientNet (Tan & Le 2019), equation 2, with the rounding of the released code; `late_stage_bias`:
    EfficientNetV2 (Tan & Le 2021), section 3.3, in words.

    Example:
        >>> from allometry.catalog import get
        >>> b3 = apply_multipliers(get("efficientnet-b0"), depth=1.4, width=1.2, resolution=300 / 224)
        >>> b3.depth, b3.stem.channels, b3.head.channels, b3.resolution
        (26, 40, 1536, 300)
    """
    if not 0 <= late_stage_bias < 1:
        raise NetworkError(f"late_stage_bias must be a number from 0 to below 1, not {late_stage_bias!r}.")
    for label, value in (("depth", depth), ("width", width), ("resolution", resolution)):
        if not 0 < value < float("inf"):
            raise NetworkError(f"The {label} multiplier must be a positive number, not {value!r}.")

    def wide(channels: int, fixed: bool) -> int:
        return channels if fixed else widen(channels, width, channel_multiple, min_fraction)

    stem, head = network.stem, network.head
    stages = tuple(
        stage
        if width == 1
        else replace(stage, block=stage.block.widened(width, channel_multiple, min_fraction))
        for group, exponent in zip(network.groups, depth_exponents(network, late_stage_bias), strict=True)
        for stage in _repeated(group, depth**exponent)
    )
    return replace(
        network,
        stem=replace(stem, channels=wide(stem.channels, stem.fixed)),
        stages=stages,
        head=replace(
            head,
            channels=head.channels and wide(head.channels, head.fixed),
            hidden=head.hidden and wide(head.hidden, head.fixed),
        ),
        resolution=max(1, round(network.resolution * resolution)),
        name=network.name if name is None else name,
    )


def depth_exponents(network: Network, late_stage_bias: float) -> tuple[float, ...]:
    """The exponent of the depth multiplier for each of the network's groups of stages; all 1 if `late_stage_bias` is 0.

    Example:
        >>> from allometry.catalog import get
        >>> [round(exponent, 2) for exponent in depth_exponents(get("efficientnetv2-s"), 0.15)]
        [0.85, 0.91, 0.97, 1.03, 1.09, 1.15]
    """
    last = len(network.groups) - 1
    return tuple(1 + late_stage_bias * (2 * place / last - 1) if last else 1.0 for place in range(last + 1))


def _repeated(group: tuple[Stage, ...], depth: float) -> list[Stage]:
    """The stages of a group with their layers multiplied; layers come and go at its end."""
    if not group[0].deepens:
        return list(group)
    missing = round_repeats(sum(stage.repeats for stage in group) * depth)
    kept: list[Stage] = []
    for stage in group:
        taken = missing if stage is group[-1] else min(missing, stage.repeats)
        if taken:
            kept.append(stage if taken == stage.repeats else replace(stage, repeats=taken))
        missing -= taken
    return kept


def lite(network: Network, *, name: str | None = None) -> Network:
    """The network for integer hardware: no squeeze-excite, ReLU6 everywhere, stem and head that growth leaves alone.

    The first and the last stage keep their number of layers, too. Grow after, not before: what a network has
    grown already stays.

    Args:
        network: any, of cells too.
        name: label of the result; by default the network's own with `-lite`.

    Source: EfficientNet-Lite's README and `efficientnet_lite_builder.py` in the released code.

    Example:
        >>> from allometry.arch import apply_multipliers
        >>> from allometry.cost import count
        >>> from allometry.catalog import get
        >>> lite0 = lite(get("efficientnet-b0"))
        >>> count(lite0).params
        4652008
        >>> count(apply_multipliers(lite0, depth=1.8, width=1.4)).params == count(get("efficientnet-lite4")).params
        True
    """
    last = len(network.groups) - 1
    stages = tuple(
        replace(
            stage,
            block=stage.block.adapted(activation=_LITE, squeeze_excite=False),
            fixed=stage.fixed or number in (0, last),
        )
        for number, group in enumerate(network.groups)
        for stage in group
    )
    activation = _LITE if network.stem.activation else None
    return replace(
        network,
        stem=replace(network.stem, activation=activation, fixed=True),
        stages=stages,
        head=replace(network.head, activation=_LITE, fixed=True),
        name=f"{network.name}-lite".removeprefix("-") if name is None else name,
    )
