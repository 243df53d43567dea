"""Networks that grow with their weights compute what they did."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from allometry.arch import (
    BasicBlock,
    Block,
    Bottleneck,
    Cell,
    Conv,
    ConvBlock,
    FusedMBConv,
    GroupedMBConv,
    Head,
    MBConv,
    Network,
    Node,
    SeparableConv,
    Stage,
    Stem,
    UniversalInvertedBottleneck,
)
from allometry.arch.blocks import MOBILENET_V3_GATE
from allometry.base import NetworkError
from allometry.nn import ConvNet, build
from allometry.nn.growing import (
    GROWTH_METHODS,
    GrowthMethod,
    grow_module,
    output_difference,
    weight_map_between,
)


def _network(
    block: Block, *, repeats: int = 2, wide: Block | None = None, head: Head | None = None
) -> Network:
    return Network(
        stem=Stem(channels=6, activation="relu"),
        stages=(Stage(block=block, repeats=repeats), Stage(block=wide or block, repeats=1)),
        head=head or Head(channels=12, classes=3),
        resolution=16,
    )


def _trained(network: Network) -> ConvNet:
    """A module whose batch norms have statistics, scales and shifts of their own."""
    module = build(network, seed=0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if value.is_floating_point() and value.ndim == 1 and "classifier" not in name:
                value.add_(torch.rand(value.shape, generator=generator), alpha=0.3)
    return module.eval()


WIDER: dict[str, tuple[Block, Block]] = {
    "mbconv": (MBConv(channels=8, expand_ratio=2), MBConv(channels=13, kernel=5, expand_ratio=3)),
    "gate": (
        MBConv(channels=8, expand_ratio=2, gate=MOBILENET_V3_GATE, activation="hard_swish", stride=2),
        MBConv(channels=12, expand_ratio=4, gate=MOBILENET_V3_GATE, activation="hard_swish", stride=2),
    ),
    "fused": (FusedMBConv(channels=8, expand_ratio=2), FusedMBConv(channels=11, expand_ratio=3, kernel=5)),
    "separable": (SeparableConv(channels=8, stride=2), SeparableConv(channels=20, kernel=5, stride=2)),
    "conv": (ConvBlock(channels=8), ConvBlock(channels=9, kernel=5)),
    "basic": (BasicBlock(channels=8), BasicBlock(channels=15)),
    "bottleneck": (Bottleneck(channels=16, se_ratio=0.25), Bottleneck(channels=24, kernel=5, se_ratio=0.5)),
    "more groups": (
        Bottleneck(channels=16, ratio=0.5, group_width=4),
        Bottleneck(channels=24, ratio=0.5, group_width=4),
    ),
    "universal": (
        UniversalInvertedBottleneck(channels=8, start_kernel=3, expand_ratio=2),
        UniversalInvertedBottleneck(channels=16, start_kernel=5, middle_kernel=5, expand_ratio=3),
    ),
}


@pytest.mark.parametrize("method", GROWTH_METHODS)
@pytest.mark.parametrize("kind", WIDER)
def test_every_kind_of_block_grows_without_a_change_of_what_it_computes(
    kind: str, method: GrowthMethod
) -> None:
    small, large = WIDER[kind]
    old = _trained(_network(small))
    network = _network(large, head=Head(channels=20, classes=3))
    grown = grow_module(old, network, method=method).module
    assert output_difference(old, grown) < 1e-5
    assert grown.network == network
    assert not grown.training


@pytest.mark.parametrize("method", GROWTH_METHODS)
@pytest.mark.parametrize("kind", ["mbconv", "fused", "separable", "conv", "basic", "bottleneck", "universal"])
def test_new_layers_change_nothing_and_learn(kind: str, method: GrowthMethod) -> None:
    block, _ = WIDER[kind]
    old = _trained(_network(block))
    grown = grow_module(old, _network(block, repeats=4), method=method).module
    assert output_difference(old, grown) < 1e-5
    grown.train()(torch.rand(4, 3, 16, 16)).square().sum().backward()
    gradients = [value.grad for name, value in grown.named_parameters() if name.startswith("stages.0.3.")]
    assert any(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients)


@settings(max_examples=8)
@given(
    width=st.integers(8, 20),
    ratio=st.sampled_from([2.0, 2.5, 4.0]),
    kernel=st.sampled_from([3, 5, 7]),
    repeats=st.integers(1, 3),
    stem=st.integers(6, 11),
    method=st.sampled_from(GROWTH_METHODS),
)
def test_sizes_grow_in_any_way(
    width: int, ratio: float, kernel: int, repeats: int, stem: int, method: GrowthMethod
) -> None:
    old = _trained(_network(MBConv(channels=8, expand_ratio=2, stride=2), repeats=1))
    block = MBConv(channels=width, expand_ratio=ratio, kernel=kernel, stride=2)
    large = _network(block, repeats=repeats, head=Head(channels=width + 4, classes=3))
    network = replace(large, stem=Stem(channels=stem, activation="relu", kernel=kernel), resolution=24)
    assert output_difference(old, grow_module(old, network, method=method, seed=width).module) < 1e-5


def test_a_hidden_layer_and_a_head_without_convolution_grow() -> None:
    head = Head(channels=None, hidden=10, hidden_norm=True, hidden_bias=False, classes=3)
    old = _trained(_network(MBConv(channels=8), head=head))
    for method in GROWTH_METHODS:
        grown = grow_module(old, _network(MBConv(channels=16), head=replace(head, hidden=21)), method=method)
        assert output_difference(old, grown.module) < 1e-5


def test_copies_differ_in_what_is_read_of_them_and_pairs_are_opposite() -> None:
    old = _trained(_network(ConvBlock(channels=8)))
    wide = _network(ConvBlock(channels=16))
    copies = grow_module(old, wide, method="copies").module.state_dict()
    first, second = copies["head.0.weight"][:, :8], copies["head.0.weight"][:, 8:]
    assert torch.allclose(first + second, old.state_dict()["head.0.weight"], atol=1e-6)
    assert not torch.equal(first, second)
    pairs = grow_module(old, wide, method="pairs").module.state_dict()
    read = pairs["head.0.weight"][:, 8:]
    assert torch.equal(read[:, ::2], -read[:, 1::2])
    assert read.abs().min() > 0


@pytest.mark.parametrize("method", GROWTH_METHODS)
def test_a_stage_goes_on_with_another_kind_of_block(method: GrowthMethod) -> None:
    """As MobileNetV3's do: where depth shrinks the group it may lose a whole stage, which comes back as it grows."""
    first, second = MBConv(channels=8, kernel=5, stride=2), MBConv(channels=8, se_ratio=0)
    small = replace(_network(first), stages=(Stage(block=first), Stage(block=SeparableConv(channels=8))))
    continued = Stage(block=second, repeats=2, continues=True)
    large = replace(small, stages=(Stage(block=first, repeats=2), continued, small.stages[-1]))
    old = _trained(small)
    assert output_difference(old, grow_module(old, large, method=method).module) < 1e-5


def test_the_seed_decides_what_is_new() -> None:
    old = _trained(_network(ConvBlock(channels=8)))
    weights = [
        grow_module(old, _network(ConvBlock(channels=16)), seed=seed).module.stages[0][0].conv[0].weight
        for seed in (0, 0, 1)
    ]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


_dense = Cell(
    nodes=(
        Node(name="new", inputs=("input",), layers=(Conv(channels=4),)),
        Node(name="all", inputs=("input", "new"), join="concat"),
    )
)
REFUSED: dict[str, tuple[Network, Network, str]] = {
    "narrower": (_network(MBConv(channels=8)), _network(MBConv(channels=4)), "had 8 where it now has 4"),
    "shallower": (
        _network(MBConv(channels=8), repeats=3),
        _network(MBConv(channels=8)),
        "group 0 of stages has 2 layers and had 3",
    ),
    "other kind": (
        _network(MBConv(channels=8)),
        _network(SeparableConv(channels=8)),
        "stage 0, layer 0 was expand, .* and is depthwise, project",
    ),
    "other activation": (
        _network(MBConv(channels=8)),
        _network(MBConv(channels=8, activation="relu")),
        "stage 0, layer 0, expand",
    ),
    "another sum": (
        _network(MBConv(channels=8), wide=MBConv(channels=12)),
        _network(MBConv(channels=12), wide=MBConv(channels=12)),
        "stage 1, layer 0 was expand",
    ),
    "groups": (
        _network(Bottleneck(channels=16, ratio=0.5, group_width=4)),
        _network(Bottleneck(channels=16, ratio=1, group_width=8)),
        "groups of 4 is one in 2 of 8",
    ),
    "concatenation": (
        replace(_network(_dense, repeats=1), stem=Stem(channels=6)),
        replace(_network(_dense, repeats=1), stem=Stem(channels=8)),
        "joins channels side by side",
    ),
    "shuffle": (
        _network(MBConv(channels=8, groups=2)),
        _network(MBConv(channels=8, groups=2, expand_ratio=8)),
        "shuffled",
    ),
    "silu chain": (
        _network(ConvBlock(channels=8, activation="silu")),
        _network(ConvBlock(channels=8, activation="silu"), repeats=3),
        "cannot begin as one that changes nothing",
    ),
    "pooled shortcut": (
        _network(MBConv(channels=8, shortcut="pool")),
        _network(MBConv(channels=8, shortcut="pool"), repeats=3),
        "cannot begin as one that changes nothing",
    ),
    "classes": (
        _network(MBConv(channels=8)),
        _network(MBConv(channels=8), head=Head(channels=12, classes=4)),
        "its head was",
    ),
    "stem": (
        _network(MBConv(channels=8)),
        replace(_network(MBConv(channels=8)), stem=Stem(channels=6, stride=1)),
        "its stem was",
    ),
    "stages": (
        _network(MBConv(channels=8)),
        replace(_network(MBConv(channels=8)), stages=(Stage(block=MBConv(channels=8)),)),
        "its number of groups of stages was 2 and is 1",
    ),
    "even kernels": (
        _network(GroupedMBConv(channels=8, kernel=3, stride=2)),
        _network(GroupedMBConv(channels=8, kernel=4, stride=2)),
        "stage 0, layer 0, expand",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_inherit_is_refused_with_the_place(what: str) -> None:
    small, large, why = REFUSED[what]
    with pytest.raises(NetworkError, match=why):
        grow_module(_trained(small), large)


def test_the_map_names_where_every_entry_comes_from() -> None:
    old, new = _network(ConvBlock(channels=8)), _network(ConvBlock(channels=10, kernel=5), repeats=3)
    known = weight_map_between(old, new)
    assert known["stages.0.0.conv.0.weight"].indices == (
        (*range(8), -1, -1),
        None,
        (-1, 0, 1, 2, -1),
        (-1, 0, 1, 2, -1),
    )
    assert "stages.0.2.conv.0.weight" not in known
    copied = weight_map_between(old, new, copies=True)
    assert copied["stages.0.2.conv.0.weight"].name == "stages.0.1.conv.0.weight"
    assert copied["stages.0.0.conv.1.bias"].indices == ((*range(8), 0, 1),)
    assert all(source.name == name for name, source in weight_map_between(old, old).items())
