"""Small spaces of every kind, supernets whose weights are not those of a beginner, and members at random."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from allometry.arch import (
    Block,
    Bottleneck,
    Choice,
    FusedMBConv,
    Head,
    MBConv,
    Network,
    Option,
    Space,
    Stage,
    Stem,
    UniversalInvertedBottleneck,
    sample,
)
from allometry.nn.layers import DropPath
from allometry.supernets import LayerOptions, Supernet, build_supernet

HEAD = Head(channels=12, classes=3, activation="silu", dropout=0.0)


def choice(name: str, path: str | Sequence[str], *options: Option) -> Choice:
    return Choice(name=name, paths=(path,) if isinstance(path, str) else tuple(path), options=options)


def space_of(
    blocks: Sequence[Sequence[Block]],
    choices: Sequence[Choice],
    *,
    stem: int = 8,
    head: Head = HEAD,
    resolution: int = 16,
    name: str = "small",
) -> Space:
    """A space with a stage for each layer, those of a group together."""
    stages = tuple(
        Stage(block=block, continues=place > 0) for group in blocks for place, block in enumerate(group)
    )
    template = Network(
        stem=Stem(channels=stem, kernel=3, stride=1, activation="silu"),
        stages=stages,
        head=head,
        in_channels=1,
        resolution=resolution,
        stochastic_depth=0.0,
    )
    return Space(template=template, choices=tuple(choices), name=name)


def inverted_space(*, ratios: tuple[float, ...] = (2, 3, 4), channels: bool = True) -> Space:
    """Inverted bottlenecks with squeeze-excite; kernel, ratio, depth, channels and resolution open."""
    first = MBConv(channels=10, stride=2, expand_ratio=2, se_ratio=0.25)
    second = replace(first, channels=14)
    blocks = [[first, replace(first, stride=1)], [second, replace(second, stride=1)]]
    choices = [
        choice("resolution", "resolution", 12, 16),
        *[choice(f"depth {group}", f"groups.{group}.depth", 1, 2) for group in range(2)],
        *[choice(f"kernel {place}", f"stages.{place}.block.kernel", 3, 5, 7) for place in (1, 2)],
        *[choice(f"ratio {place}", f"stages.{place}.block.expand_ratio", *ratios) for place in range(4)],
    ]
    if channels:
        choices += [
            choice(
                f"channels {group}",
                [f"stages.{2 * group + place}.block.channels" for place in range(2)],
                *options,
            )
            for group, options in enumerate(((6, 10), (9, 14)))
        ]
    return space_of(blocks, choices, name="inverted")


def fused_space(*, ratios: tuple[float, ...] = (2, 3)) -> Space:
    """Fused inverted bottlenecks; everything open."""
    first = FusedMBConv(channels=10, stride=2, expand_ratio=3, se_ratio=0.25)
    blocks = [[first, replace(first, stride=1)], [replace(first, channels=12)]]
    choices = [
        choice("depth", "groups.0.depth", 1, 2),
        *[choice(f"kernel {place}", f"stages.{place}.block.kernel", 3, 5) for place in range(3)],
        *[choice(f"ratio {place}", f"stages.{place}.block.expand_ratio", *ratios) for place in range(3)],
        choice("channels", [f"stages.{place}.block.channels" for place in range(2)], 6, 10),
    ]
    return space_of(blocks, choices, name="fused")


def residual_space() -> Space:
    """Bottlenecks with squeeze-excite in the first group; depth, ratio, channels and kernel open."""
    first = Bottleneck(channels=16, stride=2, ratio=0.5, se_ratio=0.25, activation="silu")
    second = Bottleneck(channels=24, stride=2, ratio=0.5, activation="silu")
    blocks = [
        [first, replace(first, stride=1), replace(first, stride=1)],
        [second, replace(second, stride=1)],
    ]
    choices = [
        choice("depth 0", "groups.0.depth", 1, 2, 3),
        choice("depth 1", "groups.1.depth", 1, 2),
        *[choice(f"ratio {place}", f"stages.{place}.block.ratio", 0.25, 0.35, 0.5) for place in range(5)],
        *[choice(f"kernel {place}", f"stages.{place}.block.kernel", 3, 5) for place in range(5)],
        choice("channels 0", [f"stages.{place}.block.channels" for place in range(3)], 8, 12, 16),
        choice("channels 1", [f"stages.{place}.block.channels" for place in (3, 4)], 16, 24),
    ]
    return space_of(blocks, choices, name="residual")


def mixed_space() -> Space:
    """The kind of block open, also a layer's absence."""
    inverted, fused = (
        kind(channels=8, stride=2, expand_ratio=3, se_ratio=0) for kind in (MBConv, FusedMBConv)
    )
    layer = replace(inverted, stride=1)
    blocks = [[layer], [inverted, layer]]
    choices = [
        choice("depth 0", "groups.0.depth", 0, 1),
        choice("depth 1", "groups.1.depth", 1, 2),
        choice("operator 0", "stages.0.block", replace(layer, expand_ratio=2), replace(layer, kernel=5)),
        choice("operator 1", "stages.1.block", fused, inverted),
        choice("kernel 1", "stages.1.block.kernel", 1, 3, 5),
        choice("operator 2", "stages.2.block", replace(fused, stride=1), layer),
        choice("excite 2", "stages.2.block.se_ratio", 0, 0.25),
    ]
    return space_of(blocks, choices, name="mixed")


def universal_space() -> Space:
    """Universal inverted bottlenecks: each depthwise convolution there or not, and of several sides."""
    first = UniversalInvertedBottleneck(
        channels=12, start_kernel=5, middle_kernel=5, stride=2, expand_ratio=3
    )
    blocks = [[first, replace(first, stride=1)], [replace(first, stride=1, channels=16)]]
    choices = [
        choice("depth", "groups.0.depth", 1, 2),
        *[choice(f"start {place}", f"stages.{place}.block.start_kernel", None, 3, 5) for place in range(3)],
        choice("middle 0", "stages.0.block.middle_kernel", 3, 5),
        *[choice(f"middle {place}", f"stages.{place}.block.middle_kernel", None, 3, 5) for place in (1, 2)],
        *[choice(f"ratio {place}", f"stages.{place}.block.expand_ratio", 2, 3) for place in range(3)],
        choice("channels", ["stages.0.block.channels", "stages.1.block.channels"], 8, 12),
    ]
    return space_of(blocks, choices, name="universal")


SMALL = {
    "inverted": inverted_space(),
    "no expansion": inverted_space(ratios=(1, 2, 3)),
    "fused": fused_space(),
    "fused, no expansion": fused_space(ratios=(1, 2)),
    "residual": residual_space(),
    "mixed": mixed_space(),
    "universal": universal_space(),
}


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    """Random small spaces in which the last options are the largest."""
    kinds = st.sampled_from([MBConv, FusedMBConv, Bottleneck])
    blocks: list[list[Block]] = []
    choices: list[Choice] = []
    place = 0
    for group in range(draw(st.integers(1, 3))):
        kind, layers = draw(kinds), draw(st.integers(1, 3))
        widths = draw(st.sampled_from([(8,), (4, 8), (6, 12), (4, 8, 16)]))
        field = "ratio" if kind is Bottleneck else "expand_ratio"
        shares = (
            ((0.25, 0.5), (0.5, 1), (0.5,)) if kind is Bottleneck else ((2, 3), (1.5, 2, 4), (1, 2), (2,))
        )
        block = kind(
            channels=widths[-1],
            stride=draw(st.sampled_from([2, 2, 1])) if kind is MBConv else 2,
            se_ratio=draw(st.sampled_from([0, 0.25])),
            activation=draw(st.sampled_from(["silu", "hard_swish"])),
        )
        blocks.append([block, *[replace(block, stride=1)] * (layers - 1)])
        if layers > 1:
            least = draw(st.integers(1, layers - 1))
            choices.append(choice(f"depth {group}", f"groups.{group}.depth", *range(least, layers + 1)))
        paths = [f"stages.{place + layer}.block" for layer in range(layers)]
        if len(widths) > 1:
            choices.append(choice(f"channels {group}", [f"{path}.channels" for path in paths], *widths))
        for path in paths:
            for name, options in (
                ("kernel", draw(st.sampled_from([(3, 5), (3, 5, 7), (1, 3), (3, 7), (5,)]))),
                (field, draw(st.sampled_from(shares))),
            ):
                choices.append(choice(f"{path} {name}", f"{path}.{name}", *options))
        place += layers
    return space_of(blocks, choices, stem=draw(st.sampled_from([4, 8])), name="random")


def grown(space: Space, *, seed: int = 0) -> Supernet:
    """A supernet whose matrices are not the identity, and whose norms have seen something."""
    supernet = build_supernet(space, options=LayerOptions(dropout=0.0), seed=seed)
    stir(supernet, seed=seed)
    return supernet


def stir(module: nn.Module, *, seed: int = 0) -> None:
    """Change matrices, biases and all that batch norms hold, at random."""
    random = torch.Generator().manual_seed(seed)

    def noise(value: Tensor) -> Tensor:
        return torch.randn(value.shape, generator=random)

    with torch.no_grad():
        for norm in module.modules():
            if isinstance(norm, nn.BatchNorm2d):
                norm.weight.copy_(1 + 0.2 * noise(norm.weight))
                norm.bias.copy_(0.2 * noise(norm.bias))
                norm.running_mean.copy_(0.1 * noise(norm.running_mean))
                norm.running_var.copy_(0.5 + noise(norm.running_var).abs())
            elif isinstance(norm, nn.Conv2d | nn.Linear) and norm.bias is not None:
                norm.bias.copy_(0.1 * noise(norm.bias))
        for matrix in getattr(module, "matrices", {}).values():
            matrix.add_(0.1 * noise(matrix))


def steady(module: nn.Module) -> nn.Module:
    """The module without anything random."""
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
        elif isinstance(part, DropPath):
            part.rate = 0.0
    return module


def members(space: Space, number: int, *, seed: int = 0) -> Iterator[Network]:
    """The smallest, the largest, and others at random."""
    yield space.smallest()
    yield space.largest()
    random = Random(seed)
    for _ in range(number):
        yield sample(space, random, by="choice")


def random_images(number: int = 4, side: int = 16, *, channels: int = 1, seed: int = 0) -> Tensor:
    return torch.randn(number, channels, side, side, generator=torch.Generator().manual_seed(seed))
