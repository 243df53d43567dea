"""Kinds of blocks: what follows from their graphs, and how they are registered."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from allometry.arch import (
    BLOCKS,
    BatchNorm,
    BlockKind,
    Cell,
    Conv,
    ConvBlock,
    Depthwise,
    FusedMBConv,
    GroupedMBConv,
    Head,
    MBConv,
    Network,
    Norm,
    RegularBlock,
    Shape,
    Stage,
    UniversalInvertedBottleneck,
    block_kinds,
    from_json,
    graph_of,
    register_block,
    to_json,
)
from allometry.base import InputError, NetworkError
from allometry.cost import count, count_stages
from allometry.cost.part_counts import count_cell
from allometry.cost.parts import count_regular
from allometry.nn import build
from allometry.nn.blocks import GraphBlock, last_norm
from allometry.nn.channels import block_channels, named_tensors
from tests.strategies import fused, mbconvs, regular


@settings(max_examples=150)
@given(mbconvs() | fused, st.integers(1, 24), st.integers(1, 20))
def test_formulas_count_what_the_graphs_say(block, channels, size):
    source = Shape(channels, size)
    out = block.after(source, source, "symmetric")
    counts = count_regular(block, block.stride, source, out, "symmetric")
    assert counts == count_cell(graph_of(block, channels), source, source, "symmetric", keeps_skip=False)


@pytest.mark.parametrize("kind", [MBConv, FusedMBConv])
def test_what_a_block_adds_to_its_output(kind):
    """With all weights zero but for the shortcut's own, the output is what is added."""
    image = torch.randn(2, 8, 6, 6, generator=torch.Generator().manual_seed(0))
    expected = {
        "identity": image,
        "pool": F.avg_pool2d(image, 3, 1, 1, count_include_pad=False),
        "none": torch.zeros_like(image),
    }
    for shortcut, added in expected.items():
        block = kind(channels=8, shortcut=shortcut)
        shape = Shape(8, 6)
        module = GraphBlock(
            block.cell(8), shape, shape, drop_rate=0.0, batch_norm=BatchNorm(), padding="symmetric"
        ).eval()
        for parameter in module.parameters():
            torch.nn.init.zeros_(parameter)
        with torch.inference_mode():
            assert torch.allclose(module(image), added, atol=1e-6)
        assert block.has_residual(8) == (shortcut != "none")
        label = {"identity": "", "pool": ", pooled shortcut", "none": ", no shortcut"}[shortcut]
        assert block.label.endswith(label)
    with pytest.raises(NetworkError, match="shortcut"):
        kind(channels=8, shortcut="maybe")


@settings(max_examples=60)
@given(regular, st.integers(1, 24))
def test_every_kind_is_known_to_files_and_says_what_it_is(block, channels):
    network = Network(stages=(Stage(block=block, repeats=2),), resolution=16)
    assert from_json(to_json(network)) == network
    assert repr(block).startswith(type(block).__name__ + "(")
    assert count_stages(network)[1].layer == block.label
    assert block.following().stride == 1
    assert graph_of(block, channels) == block.cell(channels)
    drops = any(node.name == "drop_path" for node in block.cell(channels).nodes)
    assert block.has_residual(channels) == drops


@settings(max_examples=40, deadline=None)
@given(regular | mbconvs(), st.integers(2, 12), st.integers(0, 3))
def test_channels_that_change_places_together_change_nothing(block, channels, seed):
    """Of the axes inside a block, each is permuted wherever the graph says that it is counted."""
    network = Network(stages=(Stage(block=block),), resolution=8, in_channels=1)
    network = replace(network, stem=replace(network.stem, channels=channels, stride=1))
    module = build(network, seed=seed).double().eval()
    part = module.stages[0][0]
    x = torch.randn(2, channels, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    tensors = dict(named_tensors(part))
    with torch.no_grad():
        before = part(x)
        for axis in block_channels(part).inner:
            order = torch.randperm(tensors[axis.spots[0].name].shape[axis.spots[0].dimension])
            for spot in axis.spots:
                value = tensors[spot.name]
                value.copy_(value.index_select(spot.dimension, order))
        assert torch.allclose(part(x), before, atol=1e-9)


@pytest.mark.parametrize(
    ("start", "middle", "nodes"),
    [
        (5, 3, ["start", "expand", "middle", "project"]),
        (None, 3, ["expand", "middle", "project"]),
        (3, None, ["start", "expand", "project"]),
        (None, None, ["expand", "project"]),
    ],
)
def test_the_four_universal_inverted_bottlenecks(start, middle, nodes):
    """Source: MobileNetV4 (Qin et al. 2024), figure 4."""
    block = UniversalInvertedBottleneck(channels=16, start_kernel=start, middle_kernel=middle, expand_ratio=2)
    assert [node.name for node in block.cell(8).nodes] == nodes
    assert [node.name for node in block.cell(16).nodes] == [*nodes, "drop_path", "output"]
    if start or middle:
        strided = replace(block, stride=2).cell(8)
        taking = {
            node.name: layer.stride
            for node in strided.nodes
            for layer in node.layers
            if isinstance(layer, Depthwise)
        }
        assert taking == {
            **({"start": 1 if middle else 2} if start else {}),
            **({"middle": 2} if middle else {}),
        }
    else:
        with pytest.raises(NetworkError, match="needs a start_kernel or a middle_kernel"):
            replace(block, stride=2)


def test_a_universal_one_with_the_middle_alone_is_an_inverted_bottleneck():
    plain = MBConv(channels=24, kernel=5, expand_ratio=6, expand_multiple=8, se_ratio=0, activation="relu")
    universal = UniversalInvertedBottleneck(channels=24, middle_kernel=5, expand_ratio=6)
    networks = [
        Network(stages=(Stage(block=block, repeats=2),), resolution=32) for block in (plain, universal)
    ]
    assert count(networks[0]) == count(networks[1])
    one, other = (build(network, seed=1).eval() for network in networks)
    x = torch.randn(1, 3, 32, 32)
    assert torch.equal(one(x), other(x))


def test_two_groups_leave_eleven_twentieths_of_a_fused_block():
    """Source: CPUBone (arXiv:2603.26425), section 3: of 3 x 3 kernels, whatever the channels."""
    for channels in (16, 64):
        sizes = {}
        for block in (
            FusedMBConv(channels=channels, expand_ratio=4),
            GroupedMBConv(channels=channels, kernel=3),
            GroupedMBConv(channels=channels),
        ):
            cell, shape = graph_of(block, channels), Shape(channels, 8)
            sizes[repr(block)] = count_cell(cell, shape, shape, "symmetric", keeps_skip=False).macs
        dense, grouped, small = sizes.values()
        assert grouped == 0.55 * dense
        assert small == 0.3 * dense


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("size", [7, 8])
def test_even_kernels_keep_the_size_of_the_image(fused, size):
    for stride in (1, 2):
        network = Network(
            stages=(Stage(block=GroupedMBConv(channels=8, fused=fused, stride=stride)),),
            head=Head(channels=None, classes=2),
            resolution=size,
        )
        network = replace(network, stem=replace(network.stem, stride=1, channels=8))
        features = build(network, seed=0).eval().forward_features(torch.zeros(1, 3, size, size))
        assert features.shape[-1] == -(-size // stride)
    with pytest.raises(NetworkError, match=r"MBConv\.kernel must be odd"):
        MBConv(channels=8, kernel=2)


def test_one_convolution_is_a_block_without_a_residual():
    network = Network(stages=(Stage(block=ConvBlock(channels=32)),), resolution=16)
    block = build(network, seed=0).stages[0][0]
    assert last_norm(block) is None
    assert [name for name, _ in block.named_children()] == ["conv"]
    assert not ConvBlock(channels=8).has_residual(8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong(RegularBlock):
    channels: int
    stride: int = 1
    kind: Literal["wrong"] = "wrong"

    def cell(self, in_channels: int) -> Cell:
        del in_channels
        return Cell.chain({"conv": Conv(channels=self.channels + 1), "norm": Norm()})


def test_layers_that_contradict_the_fields_are_refused_where_they_are_used():
    network = Network(stages=(Stage(block=Wrong(channels=8)),), resolution=16)
    for use in (count, build):
        with pytest.raises(
            NetworkError, match=r"gives 8 channels .* its layers give 9 .* correct its method cell"
        ):
            use(network)


def test_what_is_no_block_is_not_registered(monkeypatch):
    monkeypatch.setattr(BLOCKS, "_items", {kind.name: kind for kind in BLOCKS})

    @dataclass
    class Mutable(RegularBlock):
        channels: int
        stride: int = 1

    @dataclass(frozen=True)
    class Nameless(RegularBlock):
        channels: int
        stride: int = 1

    @dataclass(frozen=True)
    class Taken(RegularBlock):
        channels: int
        stride: int = 1
        kind: str = "mbconv"

    for wrong, error, message in (
        (Mutable, NetworkError, "frozen data class"),
        (int, NetworkError, "frozen data class"),
        (Nameless, NetworkError, "no field kind with a default"),
        (Taken, InputError, "There is a kind of block 'mbconv' already"),
    ):
        with pytest.raises(error, match=message):
            register_block(wrong)
    register_block(Wrong)
    assert block_kinds()["wrong"] is Wrong
    again = type("Wrong", (Wrong,), {"__module__": Wrong.__module__, "__qualname__": Wrong.__qualname__})
    assert (
        register_block(dataclass(frozen=True, kw_only=True)(again)) is not Wrong
    )  # as a cell that is run again
    assert block_kinds()["wrong"] is not Wrong
    assert BlockKind("wrong", Wrong, ("", "")) != BLOCKS.get("wrong")
