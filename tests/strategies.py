"""Random networks for property tests."""

from __future__ import annotations

from dataclasses import fields

from hypothesis import reject
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
    RegularBlock,
    Scale,
    SeparableConv,
    Shift,
    SqueezeExcite,
    SqueezeExciteConfig,
    Stage,
    Stem,
    block_kinds,
)
from allometry.base import NetworkError

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


shortcuts = st.sampled_from(["identity", "identity", "pool", "none"])


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
        shortcut=draw(shortcuts),
    )


# What fields may be, by their types, and by their names where a type says too little. Groups divide few channels.
BY_TYPE = {"int": st.integers(1, 4), "float": st.sampled_from([0.5, 1.0, 2.0]), "bool": st.booleans()}
BY_NAME = {
    "channels": st.integers(1, 24),
    "stride": strides,
    "kernel": st.sampled_from([1, 3, 5]),
    "start_kernel": st.none() | st.sampled_from([1, 3, 5]),
    "middle_kernel": st.none() | st.sampled_from([1, 3, 5]),
    "expand_ratio": st.sampled_from([1, 1.5, 2, 4]),
    "expand_multiple": st.sampled_from([1, 8]),
    "se_ratio": st.sampled_from([0, 0.25]),
    "ratio": st.sampled_from([0.25, 0.5, 1]),
    "group_width": st.none() | st.sampled_from([1, 2]),
    "gate": gates,
    "activation": activations,
    "shortcut": shortcuts,
}


@st.composite
def blocks_of(draw: st.DrawFn, kind: type[RegularBlock]) -> RegularBlock:
    """Blocks of a kind, from its fields; those that cannot be are drawn again."""
    values = {}
    for field in fields(kind):  # type: ignore[arg-type]
        if field.name not in ("kind", "groups"):
            values[field.name] = draw(BY_NAME[field.name] if field.name in BY_NAME else BY_TYPE[field.type])
    if "groups" in {field.name for field in fields(kind)}:  # type: ignore[arg-type]
        values["groups"] = 1
    try:
        return kind(**values)
    except NetworkError:
        reject()


fused = blocks_of(FusedMBConv)
separable = blocks_of(SeparableConv)
basic = blocks_of(BasicBlock)
bottlenecks = blocks_of(Bottleneck)
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
regular: st.SearchStrategy[Block] = st.one_of(
    blocks_of(kind) for kind in block_kinds().values() if issubclass(kind, RegularBlock)
)
blocks: st.SearchStrategy[Block] = mbconvs() | regular | cells()


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
            hidden_norm=draw(st.booleans()),
            dropout=draw(st.sampled_from([0, 0.5])),
            classes=draw(st.integers(1, 12)),
        ),
        resolution=draw(st.integers(1, 40)),
        in_channels=draw(st.integers(1, 4)),
        batch_norm=BatchNorm(momentum=draw(st.sampled_from([0.01, 0.1]))),
        padding=draw(st.sampled_from(["symmetric", "same"])),
        stochastic_depth=draw(st.sampled_from([0, 0.2])),
    )
