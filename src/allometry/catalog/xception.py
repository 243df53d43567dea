"""Xception."""

from __future__ import annotations

from collections.abc import Iterator

from allometry.arch import (
    Act,
    BatchNorm,
    Cell,
    Conv,
    Depthwise,
    Head,
    Layer,
    Network,
    Node,
    Pool,
    Stage,
    Stem,
)
from allometry.catalog.entry import Entry, Published
from allometry.catalog.inception import chain

_RELU = Act(function="relu")


def entries() -> Iterator[Entry]:
    """Xception."""
    yield Entry(
        name="xception",
        family="xception",
        make=xception,
        about="Xception as its author trained it",
        published=Published(
            params=23, macs=8.4, top1=79.0, source="EfficientNet, arXiv:1905.11946v5, Table 2"
        ),
    )


def xception() -> Network:
    """Xception for images of 299 pixels.

    Source: Chollet 2017, arXiv:1610.02357v3, figure 5 and Table 1 (79.0 % top-1); batch norm's constants and the
    padding of the author's Keras code.

    Example:
        >>> from allometry.cost import count
        >>> cost = count(xception())
        >>> cost.params, cost.macs
        (22855952, 8357403496)
    """
    entry = (
        _block(_separable(128)[1:] + _separable(128), shortcut=128),
        _block(_separable(256) + _separable(256), shortcut=256),
        _block(_separable(728) + _separable(728), shortcut=728),
    )
    return Network(
        name="xception",
        stem=Stem(channels=32, activation="relu", padding="valid"),
        stages=(
            Stage(
                block=chain("stem", conv2=(Conv(channels=64, kernel=3, padding="valid", activation="relu"),))
            ),
            *(Stage(block=block) for block in entry),
            Stage(block=_block(3 * _separable(728)), repeats=8),
            Stage(block=_block(_separable(728) + _separable(1024), shortcut=1024)),
            Stage(
                block=chain(
                    "exit",
                    conv3=(Depthwise(kernel=3), Conv(channels=1536, activation="relu")),
                    conv4=(Depthwise(kernel=3), Conv(channels=2048, activation="relu")),
                )
            ),
        ),
        head=Head(channels=None, dropout=0.5),
        resolution=299,
        batch_norm=BatchNorm(epsilon=1e-3, momentum=0.01),
        padding="same",
        stochastic_depth=0.0,
    )


def _separable(channels: int) -> tuple[Layer, ...]:
    return (_RELU, Depthwise(kernel=3), Conv(channels=channels))


def _block(layers: tuple[Layer, ...], *, shortcut: int | None = None) -> Cell:
    """Separable convolutions beside their input; with a shortcut of so many channels, the image is halved."""
    halved = () if shortcut is None else (Pool(function="max", kernel=3, stride=2),)
    rep = Node(name="rep", inputs=("input",), layers=(*layers, *halved))
    if shortcut is None:
        return Cell(nodes=(rep, Node(name="output", inputs=("rep", "input"))), label="separable block")
    beside = Node(name="shortcut", inputs=("input",), layers=(Conv(channels=shortcut, stride=2),))
    output = Node(name="output", inputs=("rep", "shortcut"))
    return Cell(nodes=(rep, beside, output), label="separable block /2")
