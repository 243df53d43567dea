"""A space around a network of inverted bottlenecks, as Once-for-All's are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from allometry.arch import Choice, Network, RegularBlock, Space, Stage, round_channels
from allometry.base import NetworkError


def mbconv_space(
    network: Network,
    *,
    kernels: Sequence[int] = (),
    expand_ratios: Sequence[float] = (),
    depths: Sequence[int] = (),
    widths: Sequence[float] = (),
    resolutions: Sequence[int] = (),
    name: str | None = None,
) -> Space:
    """The space around a network of inverted bottlenecks: kernels, expand ratios, depths, channels and resolution open.

    What is not given stays as it is. Stages whose blocks do not expand, and those of other blocks, stay as they
    are; single layers and `fixed` stages keep their depth. Stages and layers are counted from 0 in the choices'
    names; a stage and those that continue it are one.

    Args:
        network: any; where it has fewer layers than the greatest depth, its last layers are repeated.
        kernels: of each layer, odd.
        expand_ratios: of each layer.
        depths: layers of each stage.
        widths: of each stage's channels, as multiples of what they are, rounded as in EfficientNet.
        resolutions: sides of the input in pixels.
        name: label of the space and its members; by default the network's own.

    Raises:
        NetworkError: nothing is open, or an option cannot be.

    Source: Once-for-All (Cai et al. 2020), section 3.2; widths: MnasNet (Tan et al. 2019), section 4.1.

    Example:
        >>> from allometry.catalog import get
        >>> mine = mbconv_space(get("efficientnet-b0"), kernels=(3, 5), depths=(1, 2, 3))
        >>> mine
        Space(efficientnet-b0, 21 choices, about 10^6 networks)
        >>> mine.size == (2 + 4 + 8) ** 5 * 2
        True
        >>> [choice.name for choice in mine.choices][:3]
        ['stage 1 depth', 'stage 1 layer 0 kernel', 'stage 1 layer 1 kernel']
    """
    stages: list[Stage] = []
    choices: list[Choice] = []
    if resolutions:
        choices.append(Choice(name="resolution", paths=("resolution",), options=tuple(resolutions)))
    for number, group in enumerate(network.groups):
        if not _is_open(group):
            stages += group
            continue
        layers = [layer for stage in group for layer in apart(stage)]
        deepens = bool(depths) and len(layers) > 1 and not any(stage.fixed for stage in group)
        if deepens:
            _check_depths(depths)
            layers = laid_out(layers, max(depths))
            path = f"groups.{number}.depth"
            choices.append(Choice(name=f"stage {number} depth", paths=(path,), options=tuple(depths)))
        if widths:
            choices += _channel_choice(number, layers, len(stages), widths)
        choices += _field_choices(number, layers, len(stages), kernels, expand_ratios)
        stages += layers
    if not choices:
        raise NetworkError(
            f"Nothing is open in a space around {network.name or 'this network'}: it needs inverted bottlenecks "
            f"that expand, and kernels, expand_ratios, depths, widths or resolutions to choose from."
        )
    return Space(
        template=replace(network, stages=tuple(stages)),
        choices=tuple(choices),
        name=network.name if name is None else name,
    )


def _channel_choice(
    number: int, layers: Sequence[Stage], first: int, widths: Sequence[float]
) -> list[Choice]:
    """The channels of all layers of a stage, where rounding leaves more than one."""
    block = layers[0].block
    if not isinstance(block, RegularBlock):
        return []
    options = tuple(sorted({round_channels(block.channels * width) for width in widths}))
    paths = tuple(f"stages.{first + place}.block.channels" for place in range(len(layers)))
    choice = Choice(name=f"stage {number} channels", paths=paths, options=options)
    return [choice] if len(options) > 1 else []


def _field_choices(
    number: int, layers: Sequence[Stage], first: int, kernels: Sequence[int], ratios: Sequence[float]
) -> Iterator[Choice]:
    """What the blocks of a stage leave open, field by field and layer by layer."""
    opened = [dict(_options(stage, kernels, ratios)) for stage in layers]
    for field in dict.fromkeys(field for options in opened for field in options):
        for place, options in enumerate(opened):
            if field in options:
                yield Choice(
                    name=f"stage {number} layer {place} {field.replace('_', ' ')}",
                    paths=(f"stages.{first + place}.block.{field}",),
                    options=tuple(options[field]),
                )


def _options(
    stage: Stage, kernels: Sequence[int], ratios: Sequence[float]
) -> Mapping[str, Sequence[int | float | None]]:
    block = stage.block
    return block.elastic_options(kernels, ratios) if isinstance(block, RegularBlock) else {}


def _is_open(group: tuple[Stage, ...]) -> bool:
    """Whether all blocks of a stage have something to leave open, and one of them expands."""
    return all(_options(stage, (3,), (2,)) for stage in group) and any(
        getattr(stage.block, "expand_ratio", 1) > 1 for stage in group
    )


def _check_depths(depths: Iterable[object]) -> None:
    for depth in depths:
        if isinstance(depth, bool) or not isinstance(depth, int) or depth < 1:
            raise NetworkError(f"depths must be numbers of layers of at least 1, not {depth!r}.")


def apart(stage: Stage) -> Iterator[Stage]:
    """The layers of a stage, each a stage of its own.

    Example:
        >>> from allometry.catalog import get
        >>> list(apart(get("efficientnet-lite0").stages[1]))
        [1 x MBConv(24, k3, s2, e6, no se, relu6), 1 x MBConv(24, k3, s1, e6, no se, relu6), continues]
    """
    block = stage.block
    for number in range(stage.repeats):
        yield replace(stage, block=block, repeats=1, continues=stage.continues or number > 0)
        block = block.following()


def laid_out(layers: list[Stage], depth: int) -> list[Stage]:
    """The first layers of these, or these and the last one again and again."""
    last = replace(layers[-1], block=layers[-1].block.following(), continues=True)
    return [*layers, *[last] * (depth - len(layers))][:depth]
