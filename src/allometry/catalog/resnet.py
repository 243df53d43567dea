"""ResNet-18 to 152 and ResNeXt."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from allometry.arch import BasicBlock, BatchNorm, Bottleneck, Head, Network, Stage, Stem
from allometry.catalog.entry import Entry, Published

_TABLE_2 = "EfficientNet, arXiv:1905.11946v5, Table 2"
_TORCHVISION = "torchvision's first weights"
_CHANNELS = (64, 128, 256, 512)
_STRIDES = (1, 2, 2, 2)
_REPEATS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
_PUBLISHED = {
    18: Published(params=11.7, macs=1.8, top1=69.758, source=_TORCHVISION),
    34: Published(params=21.8, macs=3.7, top1=73.314, source=_TORCHVISION),
    50: Published(params=26, macs=4.1, top1=76.0, source=_TABLE_2),
    101: Published(params=44.5, macs=7.8, top1=77.374, source=_TORCHVISION),
    152: Published(params=60, macs=11, top1=77.8, source=_TABLE_2, note="11.5B by count"),
}


def entries() -> Iterator[Entry]:
    """The ResNets, then ResNeXt-50 and 101."""
    for layers, published in _PUBLISHED.items():
        yield Entry(
            name=f"resnet-{layers}",
            family="resnet",
            make=partial(resnet, layers),
            about=f"ResNet-{layers}, with the stride of a bottleneck in its middle",
            published=published,
        )
    yield Entry(
        name="resnext-50-32x4d",
        family="resnet",
        make=partial(resnext, 50, groups=32, group_width=4),
        about="ResNeXt-50 with 32 groups of 4 channels",
        published=Published(
            params=25.0, macs=4.2, top1=77.8, source="ResNeXt, arXiv:1611.05431, Tables 1 and 3"
        ),
    )
    yield Entry(
        name="resnext-101-64x4d",
        family="resnet",
        make=partial(resnext, 101, groups=64, group_width=4, resolution=320),
        about="ResNeXt-101 with 64 groups of 4 channels, at the size EfficientNet compares with",
        published=Published(params=84, macs=32, top1=80.9, source=_TABLE_2),
    )


def resnet(layers: int) -> Network:
    """The ResNet with that many layers (He et al. 2016, Table 1)."""
    small = layers in (18, 34)
    stages = tuple(
        Stage(
            block=BasicBlock(channels=channels, stride=stride)
            if small
            else Bottleneck(channels=4 * channels, stride=stride),
            repeats=repeats,
        )
        for channels, stride, repeats in zip(_CHANNELS, _STRIDES, _REPEATS[layers], strict=True)
    )
    return _network(f"resnet-{layers}", stages, 224)


def resnext(layers: int, *, groups: int, group_width: int, resolution: int = 224) -> Network:
    """The ResNeXt with that many layers; groups are twice as wide from stage to stage (Xie et al. 2017, Table 1)."""
    ratio = groups * group_width / 256
    stages = tuple(
        Stage(
            block=Bottleneck(
                channels=4 * channels, stride=stride, ratio=ratio, group_width=group_width * channels // 64
            ),
            repeats=repeats,
        )
        for channels, stride, repeats in zip(_CHANNELS, _STRIDES, _REPEATS[layers], strict=True)
    )
    return _network(f"resnext-{layers}-{groups}x{group_width}d", stages, resolution)


def _network(name: str, stages: tuple[Stage, ...], resolution: int) -> Network:
    return Network(
        name=name,
        stem=Stem(channels=64, kernel=7, activation="relu", pool=3),
        stages=stages,
        head=Head(channels=None, dropout=0.0),
        resolution=resolution,
        batch_norm=BatchNorm(epsilon=1e-5, momentum=0.1),
        stochastic_depth=0.0,
    )
