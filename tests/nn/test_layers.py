"""Layers beside what their papers say, written down in NumPy or in loops; and modules of cells beside their graphs."""

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from allometry.arch import (
    Act,
    BasicBlock,
    BatchNorm,
    Bottleneck,
    Cell,
    Conv,
    Depthwise,
    DropPath,
    Head,
    MBConv,
    Network,
    Node,
    Norm,
    Pool,
    RowColumn,
    Scale,
    Shift,
    SqueezeExcite,
    Stage,
    Stem,
)
from allometry.catalog import get
from allometry.nn import ConvNet, build, initialize
from allometry.nn import layers as modules
from allometry.nn.blocks import GraphBlock, last_norm, node_attribute
from tests.strategies import basic, blocks, bottlenecks, inverted, networks, separable

sizes = st.integers(1, 9)


def image(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def steady(module: nn.Module) -> nn.Module:
    """With statistics and weights that are not trivial."""
    generator = torch.Generator().manual_seed(1)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.copy_(torch.randn(part.num_features, generator=generator))
            part.running_var.copy_(torch.rand(part.num_features, generator=generator) + 0.5)
    return module.eval()


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("silu", lambda x: x / (1 + np.exp(-x))),
        ("relu", lambda x: np.maximum(x, 0)),
        ("relu6", lambda x: np.clip(x, 0, 6)),
        ("hard_swish", lambda x: x * np.clip(x + 3, 0, 6) / 6),
    ],
)
def test_activations_are_their_formulas(name, formula):
    x = torch.linspace(-8, 8, 101)
    assert torch.allclose(modules.ACTIVATIONS[name]()(x), torch.from_numpy(formula(x.numpy())), atol=1e-6)


@pytest.mark.parametrize(
    ("function", "formula"),
    [("sigmoid", lambda x: 1 / (1 + np.exp(-x))), ("hard_sigmoid", lambda x: np.clip(x + 3, 0, 6) / 6)],
)
def test_squeeze_excite_scales_each_channel_by_one_number(function, formula):
    layer = modules.SqueezeExcite(6, 2, activation="relu", function=function)
    x = image(3, 6, 4, 5)
    out = layer(x).detach().numpy()
    mean = x.numpy().mean((2, 3))
    reduce, expand = (each.weight.detach().numpy()[..., 0, 0] for each in (layer.reduce, layer.expand))
    hidden = np.maximum(mean @ reduce.T + layer.reduce.bias.detach().numpy(), 0)
    gate = formula(hidden @ expand.T + layer.expand.bias.detach().numpy())
    assert np.allclose(out, x.numpy() * gate[..., None, None], atol=1e-5)


@given(st.integers(1, 4), st.integers(1, 4), sizes, sizes)
def test_shuffled_channels_are_dealt_like_cards(groups, each, height, width):
    channels = groups * each
    x = torch.arange(channels).float().view(1, channels, 1, 1).expand(1, channels, height, width)
    dealt = [group * each + card for card in range(each) for group in range(groups)]
    out = modules.ChannelShuffle(groups)(x)
    assert out[0, :, 0, 0].tolist() == dealt
    assert torch.equal(modules.ChannelShuffle(each)(out), x)  # dealt back


@given(sizes, sizes)
def test_a_shifted_image_is_the_image_one_pixel_further(height, width):
    x = image(2, 3, height, width)
    out = modules.Shifted()(x)
    assert torch.equal(out[:, :, :-1, :-1], x[:, :, 1:, 1:])
    assert not out[:, :, -1].any()
    assert not out[:, :, :, -1].any()
    assert torch.equal(modules.Scaled(0.3)(x), x * 0.3)


@settings(max_examples=60)
@given(sizes, sizes, st.integers(1, 4), st.integers(1, 3), st.sampled_from(["max", "average"]), st.booleans())
def test_pools_padded_as_tensorflow_does_look_at_what_is_there(
    height, width, kernel, stride, function, counts
):
    x = image(1, 1, height, width)
    out = modules.SamePool2d(function, kernel, stride=stride, counts_padding=counts)(x)[0, 0]
    expected = torch.empty(-(-height // stride), -(-width // stride))
    starts = []
    for size, number in zip((height, width), expected.shape, strict=True):
        total = max((number - 1) * stride + kernel - size, 0)
        starts.append([place * stride - total // 2 for place in range(number)])
    for row, top in enumerate(starts[0]):
        for column, left in enumerate(starts[1]):
            window = x[0, 0, max(0, top) : top + kernel, max(0, left) : left + kernel]
            if function == "max":
                expected[row, column] = window.max()
            else:
                expected[row, column] = window.sum() / (kernel**2 if counts else window.numel())
    assert torch.allclose(out, expected, atol=1e-5)


@given(
    st.sampled_from([1, 3, 5, (1, 7), (3, 1)]),
    st.integers(1, 3),
    st.sampled_from(["symmetric", "same", "valid"]),
    st.integers(7, 12),
)
def test_a_convolution_gives_the_shape_that_the_data_class_says(kernel, stride, padding, size):
    if padding == "valid" and isinstance(kernel, tuple):
        return  # the image would not stay square
    layer = Conv(channels=5, kernel=kernel, stride=stride, padding=padding)
    module = modules.ConvNorm(
        3, 5, kernel=kernel, stride=stride, activation="relu", batch_norm=BatchNorm(), padding=padding
    )
    from allometry.arch import Shape

    out = module(image(2, 3, size, size))
    assert (out.shape[1], out.shape[2]) == tuple(layer.after(Shape(3, size), "same"))
    assert out.min() >= 0
    assert [type(part).__name__ for part in module][1:] == ["BatchNorm2d", "ReLU"]


def test_what_is_not_asked_for_is_not_there():
    module = modules.ConvNorm(3, 5, activation=None, batch_norm=None, bias=True, padding="same")
    assert len(module) == 1
    assert module[0].bias is not None
    norm = modules.make_norm(4, BatchNorm(epsilon=1e-5, momentum=0.3))
    assert (norm.eps, norm.momentum) == (1e-5, 0.3)
    assert repr(modules.Scaled(0.17)) == "Scaled(0.17)"
    assert repr(modules.DropPath(0.25)) == "DropPath(rate=0.25)"


# Cells


def by_hand(module: GraphBlock, cell: Cell, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
    """What the graph says, node by node, each layer by the module of its place."""
    known = {"input": x, "skip": skip}
    for node in cell.nodes:
        given_to = [known[name] for name in node.inputs]
        value = torch.cat(given_to, 1) if node.join == "concat" else sum(given_to[1:], given_to[0])
        name = node_attribute(node.name)
        known[node.name] = getattr(module, name)(value) if node.layers else value
    return known[cell.nodes[-1].name]


LAYERS = (
    Conv(channels=8, kernel=3, activation="relu"),
    RowColumn(channels=8, kernel=3, activation="relu"),
    Depthwise(kernel=3, norm=True),
    Norm(activation="silu"),
    Pool(function="average", kernel=3),
    Shift(),
    Scale(factor=0.5),
    SqueezeExcite(ratio=0.5),
    DropPath(),
    Act(function="relu6"),
)


def test_a_cell_computes_its_graph():
    cell = Cell(
        nodes=(
            Node(name="fit", inputs=("input",), layers=(Conv(channels=8, activation="relu"),)),
            Node(name="old", inputs=("skip",), layers=(Conv(channels=8),)),
            Node(name="all", inputs=("fit",), layers=LAYERS),
            Node(name="sum", inputs=("all", "old", "fit")),
            Node(name="output", inputs=("sum", "input", "old"), join="concat", layers=(Norm(),)),
        )
    )
    network = Network(stages=(Stage(block=cell, repeats=2),), stem=Stem(channels=4, stride=1), resolution=8)
    module = steady(build(network, seed=0))
    first, second = (block for stage in module.stages for block in stage)
    x, skip = image(2, 4, 8, 8), image(2, 4, 8, 8, seed=1)
    with torch.no_grad():
        assert torch.allclose(first(x, skip), by_hand(first, cell, x, skip), atol=1e-5)
        wide = image(2, 20, 8, 8)
        assert torch.allclose(second(wide, x), by_hand(second, cell, wide, x), atol=1e-5)


def test_a_block_reads_the_input_of_the_block_before_or_what_that_passes_on():
    add = Node(name="sum", inputs=("input", "skip"))
    plain = Stage(block=Cell(nodes=(Node(name="scale", inputs=("input",), layers=(Scale(factor=2.0),)),)))
    for passes, factor in (("input", 3.0), ("skip", 4.0)):
        middle = Cell(
            nodes=(Node(name="scale", inputs=("input",), layers=(Scale(factor=2.0),)),), passes=passes
        )
        network = Network(
            stages=(plain, Stage(block=middle), Stage(block=Cell(nodes=(add,)))),
            stem=Stem(channels=4, stride=1, kernel=1, activation=None),
            head=Head(channels=None, classes=2),
            resolution=4,
        )
        module = build(network, seed=0).eval()
        x = image(1, 3, 4, 4)
        with torch.no_grad():
            start = module.stem(x)
            # 4 times the stem's output, plus what the last block reads as skip: twice or once the stem's output.
            expected = start * (4 + (2 if passes == "input" else 1))
            assert torch.allclose(module.forward_features(x), expected, atol=1e-5), factor


@settings(max_examples=25)
@given(networks(blocks=separable | basic | bottlenecks))
def test_older_blocks_compute_the_graphs_that_they_say(network):
    assume(not network.stem.pool)
    module = steady(build(network, seed=0))
    x = image(2, network.in_channels, network.resolution, network.resolution)
    built = [block for stage in module.stages for block in stage]
    with torch.no_grad():
        value = module.stem(x)
        for placed, block in zip(network.blocks(), built, strict=True):
            cell = placed.block.cell(placed.source.channels)
            expected = by_hand(block, cell, value, value)
            value = block(value)
            assert value.shape[1:] == (placed.out.channels, placed.out.size, placed.out.size)
            assert torch.allclose(value, expected, atol=1e-4)


@settings(max_examples=25)
@given(networks(blocks=inverted))
def test_inverted_bottlenecks_add_their_input_where_it_fits(network):
    module = steady(build(network, seed=0))
    built = [block for stage in module.stages for block in stage]
    for placed, block in zip(network.blocks(), built, strict=True):
        adds = placed.block.has_residual(placed.source.channels)
        fits = placed.source.channels == placed.out.channels and placed.block.stride == 1
        assert adds == (fits and placed.block.shortcut != "none")
        x = image(2, *placed.source, placed.source.size)
        norm = last_norm(block)
        if norm is None:
            assert not adds
            continue
        with torch.no_grad():
            norm.weight.zero_()
            norm.bias.zero_()
            out = block(x)
        added = x if adds else torch.zeros_like(out)
        if adds and placed.block.shortcut == "pool":
            added = block.shortcut(x)
        assert torch.equal(out, added)


@settings(max_examples=30)
@given(networks(blocks))
def test_a_network_is_its_stem_its_blocks_and_its_head_in_order(network):
    with torch.device("meta"):
        module = ConvNet(network).eval()
        x = torch.zeros(2, network.in_channels, network.resolution, network.resolution)
    features = module.forward_features(x)
    last = network.shapes()[-1]
    channels = network.head.channels or last.channels
    assert features.shape == (2, channels, last.size, last.size)
    assert module(x).shape == (2, network.head.classes)
    assert [len(stage) for stage in module.stages] == [stage.repeats for stage in network.stages]
    names = list(module.state_dict())
    assert len(names) == len(set(names))
    assert any(name.startswith("classifier") for name in names)


def test_the_seed_decides_and_fan_out_sets_the_spread():
    network = Network(stages=(Stage(block=MBConv(channels=64)),), stem=Stem(channels=64), resolution=16)
    one, other = build(network, seed=3), build(network, seed=3)
    weights = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    assert all(torch.equal(left, right) for left, right in weights)
    convolution = nn.Conv2d(64, 128, 3, groups=2)
    initialize(convolution, seed=0)
    # Source: released EfficientNet code: normal with variance 2 / fan out.
    assert convolution.weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 128 // 2)), rel=0.03)
    assert not convolution.bias.any()


def test_blocks_without_a_batch_norm_have_no_last_one():
    assert last_norm(nn.Identity()) is None
    blocks_of = [block for stage in build(get("resnet-18"), seed=0).stages for block in stage]
    assert all(isinstance(last_norm(block), nn.BatchNorm2d) for block in blocks_of)
    assert BasicBlock(channels=8).has_residual(8)
    assert Bottleneck(channels=8).has_residual(4)
