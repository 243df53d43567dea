"""Random networks for property tests."""

from __future__ import annotations

from hypothesis import strategies as st

from allometry.arch import (
    Act,
    BasicBlock,
    BatchNorm,
    Block,
    Bottleneck,
    Cell,
    Conv,
    Depthwise,
    DropPath,
    FusedMBConv,
    Head,
    Layer,
    MBConv,
    Network,
    Node,
    Norm,
    Pool,
    Scale,
    SeparableConv,
    Shift,
    SqueezeExcite,
    SqueezeExciteConfig,
    Stage,
    Stem,
)

activations = st.sampled_from(["silu", "relu", "relu6", "hard_swish"])
optional_activations = st.none() | activations
strides = st.sampled_from([1, 1, 2, 3])
gates = st.builds(
    SqueezeExciteConfig,
    of=st.sampled_from(["input", "expanded"]),
    multiple=st.sampled_from([1, 8]),
    activation=optional_activations,
    function=st.sampled_from(["sigmoid", "hard_sigmoid"]),
)


@st.composite
def mbconvs(draw: st.DrawFn) -> MBConv:
    """Inverted bottlenecks as EfficientNet, MobileNetV3 and FBNet have them; groups need even channels."""
    return MBConv(
        channels=draw(st.integers(1, 24)),
        kernel=draw(st.sampled_from([1, 3, 5, 7])),
        stride=draw(strides),
        expand_ratio=draw(st.sampled_from([1, 1.5, 2, 3, 6])),
        expand_multiple=draw(st.sampled_from([1, 1, 8])),
        se_ratio=draw(st.sampled_from([0, 0.05, 0.25, 1])),
        gate=draw(gates),
        activation=draw(activations),
    )


fused = st.builds(
    FusedMBConv,
    channels=st.integers(1, 24),
    kernel=st.sampled_from([1, 3, 5]),
    stride=strides,
    expand_ratio=st.sampled_from([1, 2, 4]),
    se_ratio=st.sampled_from([0, 0.25]),
    gate=gates,
    activation=activations,
)
plain = {"kernel": st.sampled_from([1, 3, 5]), "stride": strides, "activation": activations}
separable = st.builds(SeparableConv, channels=st.integers(1, 24), **plain)
basic = st.builds(BasicBlock, channels=st.integers(1, 24), **plain)
bottlenecks = st.builds(
    Bottleneck,
    channels=st.sampled_from([8, 16, 24]),
    ratio=st.sampled_from([0.25, 0.5, 1]),
    group_width=st.none() | st.sampled_from([1, 2]),
    se_ratio=st.sampled_from([0, 0.25]),
    **plain,
)
kept_size: st.SearchStrategy[Layer] = st.one_of(
    st.builds(
        Conv,
        channels=st.just(8),
        kernel=st.sampled_from([1, 3, (1, 5), (3, 1)]),
        groups=st.just(1),
        norm=st.booleans(),
        bias=st.booleans(),
        activation=optional_activations,
    ),
    st.builds(Depthwise, kernel=st.sampled_from([3, 5]), norm=st.booleans(), activation=optional_activations),
    st.builds(Norm, activation=optional_activations),
    st.builds(Act, function=activations),
    st.builds(Pool, function=st.sampled_from(["max", "average"]), kernel=st.just(3)),
    st.just(Shift()),
    st.builds(Scale, factor=st.floats(0.1, 2)),
    st.builds(SqueezeExcite, ratio=st.sampled_from([0.25, 1.0]), activation=activations),
    st.just(DropPath()),
)


@st.composite
def cells(draw: st.DrawFn) -> Cell:
    """Small graphs in which every node keeps the size of the image, and sums are of eight channels."""
    fit = Conv(channels=8, activation=None)
    nodes = [Node(name="first", inputs=("input",), layers=(fit,))]
    for index in range(draw(st.integers(0, 4))):
        known = [node.name for node in nodes]
        inputs = tuple(draw(st.lists(st.sampled_from(known), min_size=1, max_size=3)))
        join = draw(st.sampled_from(["add", "concat"]))
        layers = tuple(draw(st.lists(kept_size, max_size=3)))
        nodes.append(Node(name=f"node{index}", inputs=inputs, layers=(*layers, fit), join=join))
    names = tuple(node.name for node in nodes)
    reduce = draw(st.sampled_from([(), (Pool(function="max", kernel=3, stride=2, padding="same"),)]))
    nodes.append(
        Node(name="output", inputs=names, layers=reduce, join=draw(st.sampled_from(["add", "concat"])))
    )
    return Cell(nodes=tuple(nodes), label="random")


inverted = mbconvs() | fused
blocks: st.SearchStrategy[Block] = mbconvs() | fused | separable | basic | bottlenecks | cells()


@st.composite
def networks(draw: st.DrawFn, blocks: st.SearchStrategy[Block] = inverted) -> Network:
    """Small networks of these blocks; by default those that grow in every dimension."""
    stages = draw(st.lists(st.builds(Stage, block=blocks, repeats=st.integers(1, 3)), min_size=1, max_size=4))
    return Network(
        stem=Stem(
            channels=draw(st.integers(1, 16)),
            kernel=draw(st.sampled_from([1, 3, 5])),
            stride=draw(st.sampled_from([1, 2, 4])),
            activation=draw(optional_activations),
            pool=draw(st.sampled_from([0, 0, 3])),
        ),
        stages=tuple(stages),
        head=Head(
            channels=draw(st.none() | st.integers(1, 32)),
            hidden=draw(st.none() | st.integers(1, 32)),
            hidden_bias=draw(st.booleans()),
            dropout=draw(st.sampled_from([0, 0.5])),
            classes=draw(st.integers(1, 12)),
        ),
        resolution=draw(st.integers(1, 40)),
        in_channels=draw(st.integers(1, 4)),
        batch_norm=BatchNorm(momentum=draw(st.sampled_from([0.01, 0.1]))),
        padding=draw(st.sampled_from(["symmetric", "same"])),
        stochastic_depth=draw(st.sampled_from([0, 0.2])),
    )
