"""Inception-v3, and what the Inception networks share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from allometry.arch import BatchNorm, Cell, Conv, Head, Layer, Network, Node, Padding, Pool, Stage, Stem
from allometry.catalog.entry import Entry, Published

AVERAGE = Pool(function="average", kernel=3)
HALVE = Pool(function="max", kernel=3, stride=2, padding="valid")


def entries() -> Iterator[Entry]:
    """Inception-v3.

    Example:
        >>> [(entry.name, entry.family) for entry in entries()]
        [('inception-v3', 'inception')]
    """
    yield Entry(
        name="inception-v3",
        family="inception",
        make=inception_v3,
        about="Inception-v3 without its auxiliary classifier",
        published=Published(
            params=24, macs=5.7, top1=78.8, source="EfficientNet, arXiv:1905.11946v5, Table 2"
        ),
    )


def inception_v3() -> Network:
    """Inception-v3 for images of 299 pixels, without its auxiliary classifier.

    The average pools do not count padding, as in the authors' TensorFlow code and unlike torchvision.

    Source: Szegedy et al. 2016, arXiv:1512.00567v3, Table 1 and figures 5 to 7 (78.8 % top-1 as in Table 3);
    released code, tensorflow/models `research/slim/nets/inception_v3.py`; nodes are named as in torchvision.

    Example:
        >>> from allometry.cost import count
        >>> cost = count(inception_v3())
        >>> cost.params, cost.macs
        (23834568, 5713216096)
    """
    wide = [Stage(block=_mixed_35(pooled)) for pooled in (32, 64, 64)]
    middle = [Stage(block=_mixed_17(inner)) for inner in (128, 160, 160, 192)]
    return network(
        "inception-v3",
        (
            Stage(block=early_stem()),
            *wide,
            Stage(block=_halve_35()),
            *middle,
            Stage(block=_halve_17()),
            Stage(block=_mixed_8(), repeats=2),
        ),
    )


def network(name: str, stages: tuple[Stage, ...], head: Head | None = None) -> Network:
    """An Inception network: the first convolution, the constants, and the stages between it and the head."""
    return Network(
        name=name,
        stem=Stem(channels=32, activation="relu", padding="valid"),
        stages=stages,
        head=head or Head(channels=None, dropout=0.2),
        resolution=299,
        batch_norm=BatchNorm(epsilon=1e-3, momentum=3e-4),
        padding="same",
        stochastic_depth=0.0,
    )


def early_stem() -> Cell:
    """From 149 to 35 pixels and 192 channels, as in Inception-v3 and Inception-ResNet-v2."""
    return chain(
        "stem",
        conv2d_2a=(conv(32, 3, padding="valid"),),
        conv2d_2b=(conv(64, 3),),
        maxpool_3a=(HALVE,),
        conv2d_3b=(conv(80),),
        conv2d_4a=(conv(192, 3, padding="valid"),),
        maxpool_5a=(HALVE,),
    )


def conv(
    channels: int, kernel: int | tuple[int, int] = 1, stride: int = 1, padding: Padding | None = None
) -> Conv:
    """A convolution with batch norm and ReLU; no padding where it has a stride."""
    return Conv(
        channels=channels,
        kernel=kernel,
        stride=stride,
        padding="valid" if stride > 1 else padding,
        activation="relu",
    )


def node(name: str, *layers: Layer, source: str = "input") -> Node:
    """A node with one input."""
    return Node(name=name, inputs=(source,), layers=layers)


def chain(label: str, **layers: tuple[Layer, ...]) -> Cell:
    """One node after the other."""
    sources = ("input", *layers)
    nodes = (
        node(name, *layer, source=source)
        for source, (name, layer) in zip(sources, layers.items(), strict=False)
    )
    return Cell(nodes=tuple(nodes), label=label)


def concatenated(label: str, nodes: Iterable[Node], ends: Iterable[str]) -> Cell:
    """The nodes, and the outputs of some of them side by side."""
    return Cell(nodes=(*nodes, Node(name="output", inputs=tuple(ends), join="concat")), label=label)


def _branches(label: str, **branches: tuple[Layer, ...]) -> Cell:
    """Branches side by side. Of several convolutions each is a node with a number; a pool has none of its own."""
    nodes: list[Node] = []
    ends: list[str] = []
    for name, layers in branches.items():
        if len(layers) == 1 or isinstance(layers[0], Pool):
            numbered = [node(name, *layers)]
        else:
            names = [f"{name}_{number}" for number, _ in enumerate(layers, start=1)]
            sources = ["input", *names[:-1]]
            numbered = [
                node(own, layer, source=source)
                for own, layer, source in zip(names, layers, sources, strict=True)
            ]
        nodes += numbered
        ends.append(numbered[-1].name)
    return concatenated(label, nodes, ends)


def _mixed_35(pooled: int) -> Cell:
    return _branches(
        "inception 35",
        branch1x1=(conv(64),),
        branch5x5=(conv(48), conv(64, 5)),
        branch3x3dbl=(conv(64), conv(96, 3), conv(96, 3)),
        branch_pool=(AVERAGE, conv(pooled)),
    )


def _halve_35() -> Cell:
    return _branches(
        "inception 35 /2",
        branch3x3=(conv(384, 3, 2),),
        branch3x3dbl=(conv(64), conv(96, 3), conv(96, 3, 2)),
        branch_pool=(HALVE,),
    )


def _mixed_17(inner: int) -> Cell:
    across, down = (1, 7), (7, 1)
    return _branches(
        "inception 17",
        branch1x1=(conv(192),),
        branch7x7=(conv(inner), conv(inner, across), conv(192, down)),
        branch7x7dbl=(
            conv(inner),
            conv(inner, down),
            conv(inner, across),
            conv(inner, down),
            conv(192, across),
        ),
        branch_pool=(AVERAGE, conv(192)),
    )


def _halve_17() -> Cell:
    return _branches(
        "inception 17 /2",
        branch3x3=(conv(192), conv(320, 3, 2)),
        branch7x7x3=(conv(192), conv(192, (1, 7)), conv(192, (7, 1)), conv(192, 3, 2)),
        branch_pool=(HALVE,),
    )


def _mixed_8() -> Cell:
    nodes = (
        node("branch1x1", conv(320)),
        node("branch3x3_1", conv(384)),
        node("branch3x3_2a", conv(384, (1, 3)), source="branch3x3_1"),
        node("branch3x3_2b", conv(384, (3, 1)), source="branch3x3_1"),
        node("branch3x3dbl_1", conv(448)),
        node("branch3x3dbl_2", conv(384, 3), source="branch3x3dbl_1"),
        node("branch3x3dbl_3a", conv(384, (1, 3)), source="branch3x3dbl_2"),
        node("branch3x3dbl_3b", conv(384, (3, 1)), source="branch3x3dbl_2"),
        node("branch_pool", AVERAGE, conv(192)),
    )
    ends = ("branch1x1", "branch3x3_2a", "branch3x3_2b", "branch3x3dbl_3a", "branch3x3dbl_3b", "branch_pool")
    return concatenated("inception 8", nodes, ends)
