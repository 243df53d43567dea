"""Inception-v4 and Inception-ResNet-v2.

Source: Szegedy et al. 2017, *Inception-v4, Inception-ResNet and the impact of residual connections on learning*,
arXiv:1602.07261v2; released code, tensorflow/models `research/slim/nets`. Nodes are named as in timm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from allometry.arch import Act, Cell, Conv, Head, Layer, Network, Node, Scale, Stage
from allometry.catalog.entry import Entry, Published
from allometry.catalog.inception import AVERAGE, HALVE, chain, concatenated, conv, early_stem, network, node

_TABLE_2 = "EfficientNet, arXiv:1905.11946v5, Table 2"


def entries() -> Iterator[Entry]:
    """Inception-v4 and Inception-ResNet-v2."""
    yield Entry(
        name="inception-v4",
        family="inception",
        make=inception_v4,
        about="Inception-v4 without its auxiliary classifier",
        published=Published(params=48, macs=13, top1=80.0, source=_TABLE_2, note="42.7M by count"),
    )
    yield Entry(
        name="inception-resnet-v2",
        family="inception",
        make=inception_resnet_v2,
        about="Inception-ResNet-v2 without its auxiliary classifier",
        published=Published(params=56, macs=13, top1=80.1, source=_TABLE_2),
    )


def inception_v4() -> Network:
    """Inception-v4 for images of 299 pixels, without its auxiliary classifier.

    Source: section 3.1, figures 3 to 9; 80.0 % top-1 (Table 2 there).

    Example:
        >>> from allometry.cost import count
        >>> cost = count(inception_v4())
        >>> cost.params, cost.macs
        (42679816, 12253974624)
    """
    first = chain("stem", conv2d_2a=(conv(32, 3, padding="valid"),), conv2d_2b=(conv(64, 3),))
    return network(
        "inception-v4",
        (
            Stage(block=first),
            Stage(block=_branches("mixed 3a", maxpool=(HALVE,), conv=(conv(96, 3, 2),))),
            Stage(block=_mixed_4a()),
            Stage(block=_branches("mixed 5a", conv=(conv(192, 3, 2),), maxpool=(HALVE,))),
            Stage(block=_inception_a(), repeats=4),
            Stage(block=_halve_35(384, (192, 224, 256))),
            Stage(block=_inception_b(), repeats=7),
            Stage(block=_reduction_b()),
            Stage(block=_inception_c(), repeats=3),
        ),
    )


def inception_resnet_v2() -> Network:
    """Inception-ResNet-v2 for images of 299 pixels, without its auxiliary classifier.

    Source: section 3.2, figures 15 to 19, with the stem, the 1x1 convolution before the head and the numbers of
    blocks of the released code; 80.1 % top-1 (Table 2 there).

    Example:
        >>> from allometry.cost import count
        >>> cost = count(inception_resnet_v2())
        >>> cost.params, cost.macs
        (55843464, 13155794016)
    """
    return network(
        "inception-resnet-v2",
        (
            Stage(block=early_stem()),
            Stage(block=_mixed_5b()),
            Stage(block=_block_35(), repeats=10),
            Stage(block=_halve_35(384, (256, 256, 384))),
            Stage(block=_block_17(), repeats=20),
            Stage(block=_mixed_7a()),
            Stage(block=_block_8(), repeats=9),
            Stage(block=_block_8(last=True)),
        ),
        head=Head(channels=1536, activation="relu", dropout=0.2),
    )


def _mixed_4a() -> Cell:
    return _branches(
        "mixed 4a",
        branch0=(conv(64), conv(96, 3, padding="valid")),
        branch1=(conv(64), conv(64, (1, 7)), conv(64, (7, 1)), conv(96, 3, padding="valid")),
    )


def _inception_a() -> Cell:
    return _branches(
        "inception A",
        branch0=(conv(96),),
        branch1=(conv(64), conv(96, 3)),
        branch2=(conv(64), conv(96, 3), conv(96, 3)),
        branch3=(AVERAGE, conv(96)),
    )


def _halve_35(wide: int, narrow: tuple[int, int, int]) -> Cell:
    """The reduction from 35 to 17 pixels that both networks have."""
    first, second, third = narrow
    return _branches(
        "reduction A",
        branch0=(conv(wide, 3, 2),),
        branch1=(conv(first), conv(second, 3), conv(third, 3, 2)),
        branch2=(HALVE,),
    )


def _inception_b() -> Cell:
    across, down = (1, 7), (7, 1)
    return _branches(
        "inception B",
        branch0=(conv(384),),
        branch1=(conv(192), conv(224, across), conv(256, down)),
        branch2=(conv(192), conv(192, down), conv(224, across), conv(224, down), conv(256, across)),
        branch3=(AVERAGE, conv(128)),
    )


def _reduction_b() -> Cell:
    return _branches(
        "reduction B",
        branch0=(conv(192), conv(192, 3, 2)),
        branch1=(conv(256), conv(256, (1, 7)), conv(320, (7, 1)), conv(320, 3, 2)),
        branch2=(HALVE,),
    )


def _inception_c() -> Cell:
    nodes = (
        node("branch0", conv(256)),
        node("branch1_0", conv(384)),
        node("branch1_1a", conv(256, (1, 3)), source="branch1_0"),
        node("branch1_1b", conv(256, (3, 1)), source="branch1_0"),
        node("branch2_0", conv(384)),
        node("branch2_1", conv(448, (3, 1)), source="branch2_0"),
        node("branch2_2", conv(512, (1, 3)), source="branch2_1"),
        node("branch2_3a", conv(256, (1, 3)), source="branch2_2"),
        node("branch2_3b", conv(256, (3, 1)), source="branch2_2"),
        node("branch3", AVERAGE, conv(256)),
    )
    ends = ("branch0", "branch1_1a", "branch1_1b", "branch2_3a", "branch2_3b", "branch3")
    return concatenated("inception C", nodes, ends)


def _mixed_5b() -> Cell:
    return _branches(
        "mixed 5b",
        branch0=(conv(96),),
        branch1=(conv(48), conv(64, 5)),
        branch2=(conv(64), conv(96, 3), conv(96, 3)),
        branch3=(AVERAGE, conv(64)),
    )


def _block_35() -> Cell:
    branches = {
        "branch0": (conv(32),),
        "branch1": (conv(32), conv(32, 3)),
        "branch2": (conv(32), conv(48, 3), conv(64, 3)),
    }
    return _residual("block 35", branches, 320, scale=0.17)


def _block_17() -> Cell:
    branches = {"branch0": (conv(192),), "branch1": (conv(128), conv(160, (1, 7)), conv(192, (7, 1)))}
    return _residual("block 17", branches, 1088, scale=0.10)


def _mixed_7a() -> Cell:
    return _branches(
        "mixed 7a",
        branch0=(conv(256), conv(384, 3, 2)),
        branch1=(conv(256), conv(288, 3, 2)),
        branch2=(conv(256), conv(288, 3), conv(320, 3, 2)),
        branch3=(HALVE,),
    )


def _block_8(*, last: bool = False) -> Cell:
    """The last one adds its branches in full and has no activation after the sum."""
    branches = {"branch0": (conv(192),), "branch1": (conv(192), conv(224, (1, 3)), conv(256, (3, 1)))}
    return _residual("block 8", branches, 2080, scale=1.0 if last else 0.20, activated=not last)


def _residual(
    label: str,
    branches: Mapping[str, tuple[Layer, ...]],
    channels: int,
    *,
    scale: float,
    activated: bool = True,
) -> Cell:
    """The input, and added to it the branches, brought to its channels and scaled."""
    restore = (Conv(channels=channels, norm=False, bias=True), Scale(factor=scale))
    nodes = (
        *(node(name, *layers) for name, layers in branches.items()),
        Node(name="conv2d", inputs=tuple(branches), join="concat", layers=restore),
        Node(name="output", inputs=("conv2d", "input"), layers=(Act(function="relu"),) if activated else ()),
    )
    return Cell(nodes=nodes, label=label)


def _branches(label: str, **branches: tuple[Layer, ...]) -> Cell:
    """Branches side by side, each a node."""
    return concatenated(label, (node(name, *layers) for name, layers in branches.items()), branches)
