"""DenseNet-BC with growth rate 32: DenseNet-121, -169, -201 and -264."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Literal

from allometry.arch import BatchNorm, Cell, Conv, Head, Network, Node, Norm, Pool, Stage, Stem
from allometry.catalog.entry import Entry, Published

GROWTH = 32
Depth = Literal[121, 169, 201, 264]
# Layers of the four dense blocks. Source: Huang et al. 2017, arXiv:1608.06993v5, Table 1.
LAYERS: dict[Depth, tuple[int, ...]] = {
    121: (6, 12, 24, 16),
    169: (6, 12, 32, 32),
    201: (6, 12, 48, 32),
    264: (6, 12, 64, 48),
}


_TABLE_2 = "EfficientNet, arXiv:1905.11946v5, Table 2"
_TABLE_3 = "DenseNet, arXiv:1608.06993v5, Table 3"
_PUBLISHED: dict[Depth, Published] = {
    121: Published(params=None, macs=None, top1=74.98, source=_TABLE_3),
    169: Published(params=14, macs=3.5, top1=76.2, source=_TABLE_2, note="3.36B by count"),
    201: Published(params=None, macs=None, top1=77.42, source=_TABLE_3),
    264: Published(params=34, macs=6.0, top1=77.9, source=_TABLE_2, note="33.3M and 5.75B by count"),
}


def entries() -> Iterator[Entry]:
    """The DenseNets of growth rate 32."""
    for depth, published in _PUBLISHED.items():
        yield Entry(
            name=f"densenet-{depth}",
            family="densenet",
            make=partial(densenet, depth),
            about=f"DenseNet-{depth}, growth rate 32",
            published=published,
        )


def densenet(depth: Depth) -> Network:
    """DenseNet-`depth`: dense blocks, and between them transitions that halve channels and image.

    Source: Huang et al. 2017, Tables 1 and 3 (75.0, 76.2, 77.4 and 77.9 % top-1); constants of batch norm as in
    torchvision.

    Example:
        >>> from allometry.cost import count
        >>> cost = count(densenet(121))
        >>> cost.params, cost.macs
        (7978856, 2834161664)
    """
    dense, channels = dense_layer(), 2 * GROWTH
    stages = []
    for number, layers in enumerate(LAYERS[depth]):
        if number:
            channels //= 2
            stages.append(Stage(block=transition(channels)))
        stages.append(Stage(block=dense, repeats=layers))
        channels += layers * GROWTH
    norm = Node(name="norm5", inputs=("input",), layers=(Norm(activation="relu"),))
    return Network(
        name=f"densenet-{depth}",
        stem=Stem(channels=2 * GROWTH, kernel=7, activation="relu", pool=3),
        stages=(*stages, Stage(block=Cell(nodes=(norm,), label="norm"))),
        head=Head(channels=None, dropout=0.0),
        resolution=224,
        batch_norm=BatchNorm(epsilon=1e-5, momentum=0.1),
        stochastic_depth=0.0,
    )


def dense_layer() -> Cell:
    """One layer of a dense block: its input, and beside it 32 new channels by way of 128."""
    return Cell(
        label="dense layer",
        nodes=(
            Node(name="norm1", inputs=("input",), layers=(Norm(activation="relu"),)),
            Node(name="conv1", inputs=("norm1",), layers=(Conv(channels=4 * GROWTH, norm=False),)),
            Node(name="norm2", inputs=("conv1",), layers=(Norm(activation="relu"),)),
            Node(name="conv2", inputs=("norm2",), layers=(Conv(channels=GROWTH, kernel=3, norm=False),)),
            Node(name="output", inputs=("input", "conv2"), join="concat"),
        ),
    )


def transition(channels: int) -> Cell:
    """What stands between two dense blocks, with its output channels."""
    pool = Pool(function="average", kernel=2, stride=2, padding="valid")
    return Cell(
        label="transition",
        nodes=(
            Node(name="norm", inputs=("input",), layers=(Norm(activation="relu"),)),
            Node(name="conv", inputs=("norm",), layers=(Conv(channels=channels, norm=False),)),
            Node(name="pool", inputs=("conv",), layers=(pool,)),
        ),
    )
