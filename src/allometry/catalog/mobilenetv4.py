"""MobileNetV4-Conv: universal inverted bottlenecks."""

from __future__ import annotations

from collections.abc import Iterator

from allometry.arch import (
    BatchNorm,
    Block,
    ConvBlock,
    FusedMBConv,
    Head,
    Network,
    Stage,
    Stem,
    UniversalInvertedBottleneck,
)
from allometry.catalog.entry import Entry, Published

_SOURCE = "MobileNetV4, arXiv:2404.10518, Table 5"


def entries() -> Iterator[Entry]:
    """The small and the medium one of the networks without attention."""
    yield Entry(
        name="mobilenetv4-conv-small",
        family="mobilenet",
        make=conv_small,
        about="MobileNetV4-Conv-S: universal inverted bottlenecks",
        published=Published(params=3.8, macs=0.2, top1=73.8, source=_SOURCE),
    )
    yield Entry(
        name="mobilenetv4-conv-medium",
        family="mobilenet",
        make=conv_medium,
        about="MobileNetV4-Conv-M: universal inverted bottlenecks",
        published=Published(
            params=9.2, macs=1.0, top1=79.9, source=_SOURCE, note="9.72M by count and in timm's definition"
        ),
    )


# Kernel, channels, stride of plain convolutions; or start kernel, middle kernel, expand ratio, channels, stride of
# universal inverted bottlenecks. Source: paper, Tables 11 and 12 (medium: as timm has it, to whose weights it fits).
_Rows = tuple[tuple[int, int, int] | tuple[int | None, int | None, float, int, int], ...]
_SMALL: tuple[_Rows, ...] = (
    ((3, 32, 2), (1, 32, 1)),
    ((3, 96, 2), (1, 64, 1)),
    ((5, 5, 3, 96, 2), *[(None, 3, 2, 96, 1)] * 4, (3, None, 4, 96, 1)),
    (
        (3, 3, 6, 128, 2),
        (5, 5, 4, 128, 1),
        (None, 5, 4, 128, 1),
        (None, 5, 3, 128, 1),
        (None, 3, 4, 128, 1),
        (None, 3, 4, 128, 1),
    ),
)
_MEDIUM: tuple[_Rows, ...] = (
    ((3, 5, 4, 80, 2), (3, 3, 2, 80, 1)),
    (
        (3, 5, 6, 160, 2),
        (3, 3, 4, 160, 1),
        (3, 3, 4, 160, 1),
        (3, 5, 4, 160, 1),
        (3, 3, 4, 160, 1),
        (3, None, 4, 160, 1),
        (None, None, 2, 160, 1),
        (3, None, 4, 160, 1),
    ),
    (
        (5, 5, 6, 256, 2),
        (5, 5, 4, 256, 1),
        (3, 5, 4, 256, 1),
        (3, 5, 4, 256, 1),
        (None, None, 4, 256, 1),
        (3, None, 4, 256, 1),
        (3, 5, 2, 256, 1),
        (5, 5, 4, 256, 1),
        (None, None, 4, 256, 1),
        (None, None, 4, 256, 1),
        (5, None, 2, 256, 1),
    ),
)


def conv_small() -> Network:
    """MobileNetV4-Conv-S (paper, Table 11)."""
    return _network("mobilenetv4-conv-small", tuple(_stages(_SMALL)), 224)


def conv_medium() -> Network:
    """MobileNetV4-Conv-M (paper, Table 12)."""
    first = FusedMBConv(channels=48, stride=2, expand_ratio=4, activation="relu")
    return _network("mobilenetv4-conv-medium", (Stage(block=first), *_stages(_MEDIUM)), 256)


def _stages(groups: tuple[_Rows, ...]) -> Iterator[Stage]:
    for rows in groups:
        last: Block | None = None
        channels = None
        for row in rows:
            block = _block(row)
            # Where channels change within a stage of the paper, ours begins another: a group has one width.
            yield Stage(block=block, continues=last is not None and block.channels == channels)
            last, channels = block, block.channels


def _block(
    row: tuple[int, int, int] | tuple[int | None, int | None, float, int, int],
) -> ConvBlock | UniversalInvertedBottleneck:
    if len(row) == 3:
        kernel, channels, stride = row
        return ConvBlock(channels=channels, kernel=kernel, stride=stride)
    start, middle, ratio, channels, stride = row
    return UniversalInvertedBottleneck(
        channels=channels, start_kernel=start, middle_kernel=middle, stride=stride, expand_ratio=ratio
    )


def _network(name: str, stages: tuple[Stage, ...], resolution: int) -> Network:
    return Network(
        name=name,
        stem=Stem(channels=32, activation="relu"),
        stages=stages,
        head=Head(
            channels=960,
            activation="relu",
            hidden=1280,
            hidden_bias=False,
            hidden_norm=True,
            dropout=0.2,
        ),
        resolution=resolution,
        batch_norm=BatchNorm(epsilon=1e-5, momentum=0.1),
        stochastic_depth=0.0,
    )
