"""SENet-154, and SE-ResNet-50, -101 and -152, as their authors trained them in Caffe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal

from allometry.arch import Act, BatchNorm, Cell, Conv, Head, Network, Node, Pool, SqueezeExcite, Stage, Stem
from allometry.catalog.entry import Entry, Published

Depth = Literal[50, 101, 152]
_REPEATS: dict[Depth, tuple[int, ...]] = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
# Caffe pads no max pool and lets the last window reach over the edge, which for even sizes is `same`.
_POOL = Pool(function="max", kernel=3, stride=2, padding="same")


_RELEASED: dict[Depth, float] = {50: 77.63, 101: 78.25, 152: 78.66}


def entries() -> Iterator[Entry]:
    """SENet-154 at the size that EfficientNet is compared at, then the SE-ResNets."""
    yield Entry(
        name="senet-154",
        family="senet",
        make=partial(senet_154, 320),
        about="SENet-154, at the size EfficientNet compares with",
        published=Published(
            params=146,
            macs=42,
            top1=82.7,
            source="EfficientNet, arXiv:1905.11946v5, Table 2",
            note="the released network has 115.1M parameters",
        ),
    )
    for depth, top1 in _RELEASED.items():
        yield Entry(
            name=f"se-resnet-{depth}",
            family="senet",
            make=partial(se_resnet, depth),
            about=f"SE-ResNet-{depth}, with the stride of a bottleneck in its first convolution",
            published=Published(params=None, macs=None, top1=top1, source="released Caffe model, 224 pixels"),
        )


def senet_154(resolution: int = 224) -> Network:
    """SENet-154, with which its authors won ILSVRC 2017; they report it at 224 and at 320 pixels.

    Source: Hu et al. 2018, *Squeeze-and-excitation networks*, arXiv:1709.01507v4, appendix (82.7 %
    top-1 at 320 pixels); released Caffe model.

    Example:
        >>> from allometry.cost import count
        >>> cost = count(senet_154())
        >>> cost.params, cost.macs
        (115088984, 20688363520)
    """
    stem = (
        _conv("conv2", "input", 64, kernel=3),
        _conv("conv3", "conv2", 128, kernel=3),
        Node(name="pool0", inputs=("conv3",), layers=(_POOL,)),
    )
    return _network(
        name="senet-154",
        stem=Stem(channels=64, activation="relu"),
        first=Cell(nodes=stem, label="stem"),
        repeats=_REPEATS[152],
        make=_senet_block,
        dropout=0.2,
        resolution=resolution,
    )


def se_resnet(depth: Depth) -> Network:
    """SE-ResNet-`depth`, of 50, 101 or 152 layers.

    Source: Hu et al. 2018, Tables 1 and 2; released Caffe models, whose blocks have their stride in the first
    convolution.

    Example:
        >>> from allometry.cost import count
        >>> count(se_resnet(50)).params
        28088024
    """
    return _network(
        name=f"se-resnet-{depth}",
        stem=Stem(channels=64, kernel=7, activation="relu"),
        first=Cell(nodes=(Node(name="pool0", inputs=("input",), layers=(_POOL,)),), label="max pool"),
        repeats=_REPEATS[depth],
        make=_resnet_block,
        dropout=0.0,
        resolution=224,
    )


def _network(
    *,
    name: str,
    stem: Stem,
    first: Cell,
    repeats: tuple[int, ...],
    make: Callable[[int, int, bool], Cell],
    dropout: float,
    resolution: int,
) -> Network:
    stages = [Stage(block=first)]
    for number, count in enumerate(repeats):
        planes, stride = 64 * 2**number, 2 if number else 1
        stages.append(Stage(block=make(planes, stride, True)))
        stages.append(Stage(block=make(planes, 1, False), repeats=count - 1))
    return Network(
        name=name,
        stem=stem,
        stages=tuple(stages),
        head=Head(channels=None, dropout=dropout),
        resolution=resolution,
        batch_norm=BatchNorm(epsilon=1e-5, momentum=0.1),
        stochastic_depth=0.0,
    )


def _senet_block(planes: int, stride: int, projected: bool) -> Cell:
    """ResNeXt's 64 groups, the first 1x1 convolution half as wide, the shortcut 3x3 where it has a stride."""
    branch = (
        _conv("conv1", "input", 2 * planes),
        _conv("conv2", "conv1", 4 * planes, kernel=3, stride=stride, groups=64),
    )
    return _excited(
        "SENet block", branch, 4 * planes, stride, shortcut=(3 if stride > 1 else 1) if projected else 0
    )


def _resnet_block(planes: int, stride: int, projected: bool) -> Cell:
    branch = (_conv("conv1", "input", planes, stride=stride), _conv("conv2", "conv1", planes, kernel=3))
    return _excited("SE-ResNet block", branch, 4 * planes, stride, shortcut=1 if projected else 0)


def _excited(label: str, branch: tuple[Node, ...], channels: int, stride: int, *, shortcut: int) -> Cell:
    """The branch, restored to `channels` and excited, beside the input or a convolution with kernel `shortcut`."""
    projection = Conv(channels=channels, kernel=max(shortcut, 1), stride=stride)
    downsample = (Node(name="downsample", inputs=("input",), layers=(projection,)),) if shortcut else ()
    beside = "downsample" if shortcut else "input"
    return Cell(
        label=f"{label} /{stride}" if stride > 1 else label,
        nodes=(
            *branch,
            Node(name="conv3", inputs=("conv2",), layers=(Conv(channels=channels),)),
            Node(name="se_module", inputs=("conv3",), layers=(SqueezeExcite(ratio=1 / 16),)),
            *downsample,
            Node(name="output", inputs=("se_module", beside), layers=(Act(function="relu"),)),
        ),
    )


def _conv(
    name: str, source: str, channels: int, *, kernel: int = 1, stride: int = 1, groups: int = 1
) -> Node:
    layer = Conv(channels=channels, kernel=kernel, stride=stride, groups=groups, activation="relu")
    return Node(name=name, inputs=(source,), layers=(layer,))
