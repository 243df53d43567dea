"""The networks beside the tables that their authors printed: what each layer is and in which order, which no sum of
counts shows. The tables are written down here a second time, in the papers' own notation.
"""

from dataclasses import dataclass

import pytest

from allometry.arch import BasicBlock, Bottleneck, FusedMBConv, MBConv, Network, SeparableConv
from allometry.catalog import get

LETTERS = {"relu": "RE", "relu6": "R6", "hard_swish": "HS", "silu": "SW"}


@dataclass(frozen=True)
class Row:
    """A line of a table of inverted bottlenecks."""

    size: int
    channels: int
    kernel: int
    inner: int
    out: int
    squeezed: int
    activation: str
    stride: int


def rows_of(network: Network) -> list[Row]:
    found = []
    for placed in network.blocks():
        block, source = placed.block, placed.source
        assert isinstance(block, MBConv | FusedMBConv)
        inner = block.expanded(source.channels)
        squeezed = block.gate.squeezed(block.se_ratio, source.channels, inner)
        letters = LETTERS[block.activation]
        row = (source.size, source.channels, block.kernel, inner, placed.out.channels, squeezed, letters)
        found.append(Row(*row, block.stride))
    return found


def around(network: Network) -> str:
    """Stem and head in a word each."""
    stem, head = network.stem, network.head
    hidden = f" {head.hidden}" if head.hidden else ""
    return f"{stem.channels} k{stem.kernel} s{stem.stride}, {head.channels}{hidden} {head.classes}"


# Input, kernel, expanded channels, output channels, squeeze-excite (a quarter of the expanded, to eights), activation,
# stride. Source: MobileNetV3, arXiv:1905.02244, Tables 1 and 2.
MOBILENET_V3 = {
    "mobilenetv3-large": """
        112 16 3 16 16 - RE 1
        112 16 3 64 24 - RE 2
        56 24 3 72 24 - RE 1
        56 24 5 72 40 SE RE 2
        28 40 5 120 40 SE RE 1
        28 40 5 120 40 SE RE 1
        28 40 3 240 80 - HS 2
        14 80 3 200 80 - HS 1
        14 80 3 184 80 - HS 1
        14 80 3 184 80 - HS 1
        14 80 3 480 112 SE HS 1
        14 112 3 672 112 SE HS 1
        14 112 5 672 160 SE HS 2
        7 160 5 960 160 SE HS 1
        7 160 5 960 160 SE HS 1
    """,
    "mobilenetv3-small": """
        112 16 3 16 16 SE RE 2
        56 16 3 72 24 - RE 2
        28 24 3 88 24 - RE 1
        28 24 5 96 40 SE HS 2
        14 40 5 240 40 SE HS 1
        14 40 5 240 40 SE HS 1
        14 40 5 120 48 SE HS 1
        14 48 5 144 48 SE HS 1
        14 48 5 288 96 SE HS 2
        7 96 5 576 96 SE HS 1
        7 96 5 576 96 SE HS 1
    """,
}


@pytest.mark.parametrize("name", MOBILENET_V3)
def test_mobilenetv3_is_its_table_layer_by_layer(name):
    network = get(name)
    expected = []
    for line in MOBILENET_V3[name].strip().splitlines():
        size, channels, kernel, inner, out, excites, activation, stride = line.split()
        # Source of the rounding: the released code's `_make_divisible`.
        quarter = int(inner) / 4
        eights = max(8, int(quarter + 4) // 8 * 8)
        eights += 8 if eights < 0.9 * quarter else 0
        squeezed = eights if excites == "SE" else 0
        sizes = (int(each) for each in (size, channels, kernel, inner, out))
        expected.append(Row(*sizes, squeezed, activation, int(stride)))
    assert rows_of(network) == expected
    heads = {"mobilenetv3-large": "16 k3 s2, 960 1280 1000", "mobilenetv3-small": "16 k3 s2, 576 1024 1000"}
    assert around(network) == heads[name]
    assert network.stem.activation == network.head.activation == "hard_swish"
    gates = {block.gate.function for block, *_ in network.blocks() if block.se_ratio}
    assert gates == {"hard_sigmoid"}


@dataclass(frozen=True)
class Table:
    """Stages of inverted bottlenecks: expand ratio, channels, layers, stride, kernel and whether they squeeze."""

    name: str
    around: str
    activation: str
    rows: str
    squeezes_of: float = 0.0


# Expand ratio, channels, layers, stride, kernel, SE; f before what is fused.
TABLES = [
    # Source: MobileNetV2, arXiv:1801.04381, Table 2.
    Table(
        "mobilenetv2",
        "32 k3 s2, 1280 1000",
        "R6",
        """
        1 16 1 1 3 -
        6 24 2 2 3 -
        6 32 3 2 3 -
        6 64 4 2 3 -
        6 96 3 1 3 -
        6 160 3 2 3 -
        6 320 1 1 3 -
        """,
    ),
    # Source: EfficientNet, arXiv:1905.11946, Table 1.
    Table(
        "efficientnet-b0",
        "32 k3 s2, 1280 1000",
        "SW",
        """
        1 16 1 1 3 SE
        6 24 2 2 3 SE
        6 40 2 2 5 SE
        6 80 3 2 3 SE
        6 112 3 1 5 SE
        6 192 4 2 5 SE
        6 320 1 1 3 SE
        """,
        squeezes_of=0.25,
    ),
    # Source: README of EfficientNet-Lite: no squeeze-excite, ReLU6.
    Table(
        "efficientnet-lite0",
        "32 k3 s2, 1280 1000",
        "R6",
        """
        1 16 1 1 3 -
        6 24 2 2 3 -
        6 40 2 2 5 -
        6 80 3 2 3 -
        6 112 3 1 5 -
        6 192 4 2 5 -
        6 320 1 1 3 -
        """,
    ),
    # Source: EfficientNetV2, arXiv:2104.00298, Table 4, with the channels of the released code.
    Table(
        "efficientnetv2-s",
        "24 k3 s2, 1280 1000",
        "SW",
        """
        f1 24 2 1 3 -
        f4 48 4 2 3 -
        f4 64 4 2 3 -
        4 128 6 2 3 SE
        6 160 9 1 3 SE
        6 256 15 2 3 SE
        """,
        squeezes_of=0.25,
    ),
    # Source: released EfficientNetV2 code, `effnetv2_configs.py`.
    Table(
        "efficientnetv2-m",
        "24 k3 s2, 1280 1000",
        "SW",
        """
        f1 24 3 1 3 -
        f4 48 5 2 3 -
        f4 80 5 2 3 -
        4 160 7 2 3 SE
        6 176 14 1 3 SE
        6 304 18 2 3 SE
        6 512 5 1 3 SE
        """,
        squeezes_of=0.25,
    ),
    Table(
        "efficientnetv2-b0",
        "32 k3 s2, 1280 1000",
        "SW",
        """
        f1 16 1 1 3 -
        f4 32 2 2 3 -
        f4 48 2 2 3 -
        4 96 3 2 3 SE
        6 112 5 1 3 SE
        6 192 8 2 3 SE
        """,
        squeezes_of=0.25,
    ),
    # Source: MnasNet, arXiv:1807.11626, Figure 7.
    Table(
        "mnasnet-a1",
        "32 k3 s2, 1280 1000",
        "RE",
        """
        1 16 1 1 3 -
        6 24 2 2 3 -
        3 40 3 2 5 SE
        6 80 4 2 3 -
        6 112 2 1 3 SE
        6 160 3 2 5 SE
        6 320 1 1 3 -
        """,
        squeezes_of=0.25,
    ),
    Table(
        "mnasnet-b1",
        "32 k3 s2, 1280 1000",
        "RE",
        """
        1 16 1 1 3 -
        3 24 3 2 3 -
        3 40 3 2 5 -
        6 80 3 2 5 -
        6 96 2 1 3 -
        6 192 4 2 5 -
        6 320 1 1 3 -
        """,
    ),
    Table(
        "mnasnet-small",
        "8 k3 s2, 1280 1000",
        "RE",
        """
        1 8 1 1 3 -
        3 16 1 2 3 -
        6 16 2 2 3 -
        6 32 4 2 5 SE
        6 32 3 1 3 SE
        6 88 3 2 5 SE
        6 144 1 1 3 -
        """,
        squeezes_of=0.25,
    ),
    # Source: ProxylessNAS, arXiv:1812.00332, Figure 5b, layer by layer.
    Table(
        "proxylessnas-cpu",
        "40 k3 s2, 1432 1000",
        "R6",
        """
        1 24 1 1 3 -
        6 32 1 2 3 -
        3 32 3 1 3 -
        6 48 1 2 3 -
        3 48 2 1 3 -
        3 48 1 1 5 -
        6 88 1 2 3 -
        3 88 1 1 3 -
        6 104 1 1 5 -
        3 104 3 1 3 -
        6 216 1 2 5 -
        3 216 2 1 5 -
        3 216 1 1 3 -
        6 360 1 1 5 -
        """,
    ),
    # Figure 5a: few layers, large kernels.
    Table(
        "proxylessnas-gpu",
        "40 k3 s2, 1728 1000",
        "R6",
        """
        1 24 1 1 3 -
        3 32 1 2 5 -
        3 56 1 2 7 -
        3 56 1 1 3 -
        6 112 1 2 7 -
        3 112 1 1 5 -
        6 128 1 1 5 -
        3 128 1 1 3 -
        3 128 1 1 5 -
        6 256 1 2 7 -
        6 256 2 1 7 -
        6 256 1 1 5 -
        6 432 1 1 7 -
        """,
    ),
    # Figure 5c.
    Table(
        "proxylessnas-mobile",
        "32 k3 s2, 1280 1000",
        "R6",
        """
        1 16 1 1 3 -
        3 32 1 2 5 -
        3 32 1 1 3 -
        3 40 1 2 7 -
        3 40 1 1 3 -
        3 40 2 1 5 -
        6 80 1 2 7 -
        3 80 3 1 5 -
        6 96 1 1 5 -
        3 96 3 1 5 -
        6 192 1 2 7 -
        6 192 1 1 7 -
        3 192 2 1 7 -
        6 320 1 1 7 -
        """,
    ),
    # Source: FBNet, arXiv:1812.03443, Figure 4, with the authors' `fbnet_modeldef_cls_fbnet.py`.
    Table(
        "fbnet-c",
        "16 k3 s2, 1984 1000",
        "RE",
        """
        1 16 1 1 3 -
        6 24 1 2 3 -
        1 24 2 1 3 -
        6 32 1 2 5 -
        3 32 1 1 5 -
        6 32 1 1 5 -
        6 32 1 1 3 -
        6 64 1 2 5 -
        3 64 1 1 5 -
        6 64 2 1 5 -
        6 112 3 1 5 -
        3 112 1 1 5 -
        6 184 1 2 5 -
        6 184 3 1 5 -
        6 352 1 1 3 -
        """,
    ),
    Table(
        "fbnet-b",
        "16 k3 s2, 1984 1000",
        "RE",
        """
        1 16 1 1 3 -
        6 24 1 2 3 -
        1 24 1 1 5 -
        1 24 2 1 3 -
        6 32 1 2 5 -
        3 32 1 1 5 -
        6 32 1 1 3 -
        6 32 1 1 5 -
        6 64 1 2 5 -
        6 64 1 1 5 -
        3 64 1 1 5 -
        6 112 1 1 5 -
        1 112 1 1 3 -
        1 112 1 1 5 -
        3 112 1 1 5 -
        6 184 1 2 5 -
        1 184 1 1 5 -
        6 184 2 1 5 -
        6 352 1 1 3 -
        """,
    ),
]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_stages_of_inverted_bottlenecks_are_those_that_are_printed(table):
    network = get(table.name)
    size, channels = network.shapes()[0].size, network.stem.channels
    expected, fused = [], []
    for line in table.rows.strip().splitlines():
        expand, out, layers, stride, kernel, excites = line.split()
        for place in range(int(layers)):
            inner = channels * int(expand.removeprefix("f"))
            squeezed = max(1, int(channels * table.squeezes_of)) if excites == "SE" else 0
            step = int(stride) if place == 0 else 1
            fused.append(expand.startswith("f"))
            expected.append(
                Row(size, channels, int(kernel), inner, int(out), squeezed, table.activation, step)
            )
            size, channels = -(-size // step), int(out)
    assert rows_of(network) == expected
    assert [isinstance(placed.block, FusedMBConv) for placed in network.blocks()] == fused
    assert around(network) == table.around
    assert LETTERS[network.stem.activation] == LETTERS[network.head.activation] == table.activation


def test_fbnet_a_shuffles_channels_where_it_has_groups():
    """Source: the authors' `fbnet_modeldef_cls_fbnet.py`; a first layer that is skipped is left out."""
    blocks = [placed.block for placed in get("fbnet-a").blocks()]
    assert [block.groups for block in blocks] == [1, 1, 1, 1, 1, 1, 1, 1, 2, 1, 1, 2, 1, 2, 1, 1, 1, 1, 1]
    assert [block.channels for block in blocks] == [24] * 2 + [32] * 4 + [64] * 4 + [112] * 4 + [184] * 4 + [
        352
    ]
    assert {block.groups for name in ("fbnet-b", "fbnet-c") for block, *_ in get(name).blocks()} == {1}


# Stem, head, layers, resolution and dropout. Source: `efficientnet_builder.py`; the layers are
# those of Table 1, every number multiplied and rounded up by hand.
RELEASED = {
    "efficientnet-b0": (32, 1280, 16, 224, 0.2),
    "efficientnet-b1": (32, 1280, 23, 240, 0.2),
    "efficientnet-b2": (32, 1408, 23, 260, 0.3),
    "efficientnet-b3": (40, 1536, 26, 300, 0.3),
    "efficientnet-b4": (48, 1792, 32, 380, 0.4),
    "efficientnet-b5": (48, 2048, 39, 456, 0.4),
    "efficientnet-b6": (56, 2304, 45, 528, 0.5),
    "efficientnet-b7": (64, 2560, 55, 600, 0.5),
    "efficientnet-b8": (72, 2816, 61, 672, 0.5),
    "efficientnet-l2": (136, 5504, 88, 800, 0.5),
}


@pytest.mark.parametrize("name", RELEASED)
def test_the_efficientnets_have_the_released_stems_heads_depths_and_dropout(name):
    network = get(name)
    found = (
        network.stem.channels,
        network.head.channels,
        network.depth,
        network.resolution,
        network.head.dropout,
    )
    assert found == RELEASED[name]
    assert network.stochastic_depth == 0.2
    assert (network.batch_norm.epsilon, network.batch_norm.momentum) == (1e-3, 0.01)


@pytest.mark.parametrize(
    ("name", "depth", "resolution"),
    [("lite0", 16, 224), ("lite1", 21, 240), ("lite2", 21, 260), ("lite3", 24, 280), ("lite4", 30, 300)],
)
def test_the_lites_grow_only_between_their_ends(name, depth, resolution):
    network = get(f"efficientnet-{name}")
    assert (network.depth, network.resolution) == (depth, resolution)
    assert around(network) == "32 k3 s2, 1280 1000"
    assert (network.stages[0].repeats, network.stages[-1].repeats) == (1, 1)
    assert {placed.block.activation for placed in network.blocks()} == {"relu6"}


def test_mobilenetv1_is_thirteen_separable_convolutions():
    """Source: MobileNets, arXiv:1704.04861, Table 1."""
    network = get("mobilenetv1")
    rows = [(placed.source.size, placed.source.channels, placed.block.stride) for placed in network.blocks()]
    assert all(isinstance(placed.block, SeparableConv) for placed in network.blocks())
    assert rows == [
        (112, 32, 1),
        (112, 64, 2),
        (56, 128, 1),
        (56, 128, 2),
        (28, 256, 1),
        (28, 256, 2),
        *[(14, 512, 1)] * 5,
        (14, 512, 2),
        (7, 1024, 1),
    ]
    assert network.shapes()[-1] == (1024, 7)
    assert network.head.channels is None


# Source: He et al. 2016, arXiv:1512.03385, Table 1: blocks of each stage.
RESNETS = {
    "resnet-18": (BasicBlock, (2, 2, 2, 2)),
    "resnet-34": (BasicBlock, (3, 4, 6, 3)),
    "resnet-50": (Bottleneck, (3, 4, 6, 3)),
    "resnet-101": (Bottleneck, (3, 4, 23, 3)),
    "resnet-152": (Bottleneck, (3, 8, 36, 3)),
    "resnext-50-32x4d": (Bottleneck, (3, 4, 6, 3)),
    "resnext-101-64x4d": (Bottleneck, (3, 4, 23, 3)),
}


@pytest.mark.parametrize("name", RESNETS)
def test_resnets_and_resnexts_have_the_printed_stages(name):
    kind, repeats = RESNETS[name]
    network = get(name)
    assert [stage.repeats for stage in network.stages] == list(repeats)
    assert {type(stage.block) for stage in network.stages} == {kind}
    assert [stage.block.stride for stage in network.stages] == [1, 2, 2, 2]
    width = 64 if kind is BasicBlock else 256
    assert [stage.block.channels for stage in network.stages] == [width, 2 * width, 4 * width, 8 * width]
    stem = network.stem
    assert (stem.kernel, stem.stride, stem.pool, stem.channels, stem.activation) == (7, 2, 3, 64, "relu")
    if kind is Bottleneck:
        groups, middle = {"resnext-50-32x4d": (32, 128), "resnext-101-64x4d": (64, 256)}.get(name, (1, 64))
        found = [(stage.block.groups, stage.block.middle) for stage in network.stages]
        assert found == [(groups, middle * 2**number) for number in range(4)]
    layers = 2 + sum(repeats) * (2 if kind is BasicBlock else 3)
    assert layers == int(name.split("-")[1])


# Source: the authors' model zoo, `pycls`: depths, widths and group width of the four stages.
REGNETS = """
    x 200mf | 1 1 4 7   | 24 56 152 368    | 8
    x 400mf | 1 2 7 12  | 32 64 160 384    | 16
    x 600mf | 1 3 5 7   | 48 96 240 528    | 24
    x 800mf | 1 3 7 5   | 64 128 288 672   | 16
    x 1.6gf | 2 4 10 2  | 72 168 408 912   | 24
    x 3.2gf | 2 6 15 2  | 96 192 432 1008  | 48
    x 4.0gf | 2 5 14 2  | 80 240 560 1360  | 40
    x 6.4gf | 2 4 10 1  | 168 392 784 1624 | 56
    x 8.0gf | 2 5 15 1  | 80 240 720 1920  | 120
    x 12gf  | 2 5 11 1  | 224 448 896 2240 | 112
    x 16gf  | 2 6 13 1  | 256 512 896 2048 | 128
    x 32gf  | 2 7 13 1  | 336 672 1344 2520 | 168
    y 200mf | 1 1 4 7   | 24 56 152 368    | 8
    y 400mf | 1 3 6 6   | 48 104 208 440   | 8
    y 600mf | 1 3 7 4   | 48 112 256 608   | 16
    y 800mf | 1 3 8 2   | 64 128 320 768   | 16
    y 1.6gf | 2 6 17 2  | 48 120 336 888   | 24
    y 3.2gf | 2 5 13 1  | 72 216 576 1512  | 24
    y 4.0gf | 2 6 12 2  | 128 192 512 1088 | 64
    y 6.4gf | 2 7 14 2  | 144 288 576 1296 | 72
    y 8.0gf | 2 4 10 1  | 168 448 896 2016 | 56
    y 12gf  | 2 5 11 1  | 224 448 896 2240 | 112
    y 16gf  | 2 4 11 1  | 224 448 1232 3024 | 112
    y 32gf  | 2 5 12 1  | 232 696 1392 3712 | 232
""".strip().splitlines()


@pytest.mark.parametrize("line", REGNETS, ids=lambda line: "".join(line.split("|")[0].split()))
def test_regnets_have_the_depths_widths_and_groups_of_the_authors(line):
    name, depths, widths, group = line.split("|")
    letter, regime = name.split()
    network = get(f"regnet{letter}-{regime}")
    assert [stage.repeats for stage in network.stages] == list(map(int, depths.split()))
    assert [stage.block.channels for stage in network.stages] == list(map(int, widths.split()))
    narrow = [min(int(group), int(width)) for width in widths.split()]
    assert [stage.block.group_width for stage in network.stages] == narrow
    assert {(s.block.stride, s.block.ratio, s.block.se_ratio) for s in network.stages} == {
        (2, 1.0, 0.25 if letter == "y" else 0.0)
    }


# Feature maps that the papers print: channels and side after the parts that matter.
FEATURE_MAPS = {
    # Source: Huang et al. 2017, Table 1: each layer adds 32 channels, a transition halves them.
    "densenet-121": [(64, 56), (256, 56), (128, 28), (512, 28), (256, 14), (1024, 14), (512, 7), (1024, 7)],
    "densenet-169": [(64, 56), (256, 56), (128, 28), (512, 28), (256, 14), (1280, 14), (640, 7), (1664, 7)],
    "densenet-201": [(64, 56), (256, 56), (128, 28), (512, 28), (256, 14), (1792, 14), (896, 7), (1920, 7)],
    "densenet-264": [(64, 56), (256, 56), (128, 28), (512, 28), (256, 14), (2304, 14), (1152, 7), (2688, 7)],
    # Source: Szegedy et al. 2016, Table 1; 149 px after the first convolution.
    "inception-v3": [(32, 149), (192, 35), (256, 35), (288, 35), (768, 17), (1280, 8), (2048, 8)],
    # Source: Szegedy et al. 2017, figures 3, 7, 8 and 9.
    "inception-v4": [(32, 149), (64, 147), (160, 73), (192, 71), (384, 35), (1024, 17), (1536, 8)],
    # Source: released code; the paper's figures have 256, 896 and 1792 channels for its first version.
    "inception-resnet-v2": [(32, 149), (192, 35), (320, 35), (1088, 17), (2080, 8)],
    # Source: Chollet 2017, figure 5.
    "xception": [(32, 149), (64, 147), (128, 74), (256, 37), (728, 19), (1024, 10), (2048, 10)],
    # Source: Zoph et al. 2018, Table 2 and 3: the last number of the name is that of the channels at the end.
    "nasnet-a-mobile": [(32, 111), (44, 56), (88, 28), (264, 28), (352, 14), (528, 14), (704, 7), (1056, 7)],
    "senet-154": [(64, 160), (128, 80), (256, 80), (512, 40), (1024, 20), (2048, 10)],
    "se-resnet-50": [(64, 112), (64, 56), (256, 56), (512, 28), (1024, 14), (2048, 7)],
}


@pytest.mark.parametrize("name", FEATURE_MAPS)
def test_feature_maps_have_the_printed_shapes(name):
    network = get(name)
    shapes = [tuple(shape) for shape in network.shapes()]
    if name.startswith("densenet"):  # within a dense block every layer adds its own
        last = {placed.stage: tuple(placed.out) for placed in network.blocks()}
        shapes = [shapes[0], *last.values()]
    distinct = [shape for place, shape in enumerate(shapes) if place == 0 or shapes[place - 1] != shape]
    assert distinct == FEATURE_MAPS[name]


@pytest.mark.parametrize(
    ("name", "channels", "size", "cells"),
    [
        ("nasnet-a-mobile", 1056, 7, 16),
        ("nasnet-a-large", 4032, 11, 22),
        ("pnasnet-5-large", 4320, 11, 14),
    ],
)
def test_searched_cells_end_in_the_printed_channels(name, channels, size, cells):
    network = get(name)
    assert network.shapes()[-1] == (channels, size)
    labels = [placed.block.label for placed in network.blocks()]
    assert len(labels) - labels.count("relu") == cells
    assert labels.count("stem cell") == labels.count("reduction cell") == 2
    assert network.padding == "same"
    assert network.stem.activation is None
