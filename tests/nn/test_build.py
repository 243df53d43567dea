import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings

from allometry.arch import BatchNorm, Head, MBConv, Network, Stage, Stem
from allometry.catalog import get
from allometry.nn import DropPath, build, initialize, scale_residuals
from allometry.nn.layers import SamePadConv2d, SamePool2d
from tests.strategies import blocks, networks

TINY = Network(
    stem=Stem(channels=8),
    stages=(
        Stage(block=MBConv(channels=8, expand_ratio=1), repeats=2),
        Stage(block=MBConv(channels=16, kernel=5, stride=2), repeats=2),
    ),
    head=Head(channels=32, classes=5),
    resolution=24,
)


def test_module_is_ordinary():
    module = build(TINY, seed=0)
    assert isinstance(module, torch.nn.Module)
    assert module.training
    assert module(torch.randn(2, 3, 24, 24)).shape == (2, 5)
    assert module(torch.randn(2, 3, 31, 17)).shape == (2, 5)


def test_seed_decides_the_weights_and_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    one, same, other = build(TINY, seed=1), build(TINY, seed=1), build(TINY, seed=2)
    assert torch.equal(torch.get_rng_state(), before)
    for left, right in zip(one.state_dict().values(), same.state_dict().values(), strict=True):
        assert torch.equal(left, right)
    assert not torch.equal(one.stem[0].weight, other.stem[0].weight)


def test_initial_weights_follow_the_paper():
    module = build(get("efficientnet-b0"), seed=0)
    convolution = module.head[0]
    assert convolution.weight.std().item() == pytest.approx(math.sqrt(2 / 1280), rel=0.02)
    depthwise = module.stages[5][1].depthwise[0]
    assert depthwise.weight.std().item() == pytest.approx(math.sqrt(2 / 25), rel=0.05)
    assert module.classifier.weight.abs().max().item() <= 1 / math.sqrt(1000)
    assert module.classifier.weight.std().item() == pytest.approx(1 / math.sqrt(3 * 1000), rel=0.02)
    assert module.classifier.bias.abs().sum().item() == 0
    norms = [part for part in module.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    assert {(part.eps, part.momentum) for part in norms} == {(1e-3, 0.01)}
    assert all(part.weight.eq(1).all() and part.running_var.eq(1).all() for part in norms)
    assert all(part.bias.eq(0).all() and part.running_mean.eq(0).all() for part in norms)


def test_stochastic_depth_drops_samples_keeps_the_mean_and_rests_in_evaluation():
    torch.manual_seed(0)
    layer = DropPath(0.25)
    out = layer(torch.ones(20_000, 1, 2, 2))
    assert out.flatten().unique().tolist() == pytest.approx([0, 1 / 0.75])
    assert out.mean().item() == pytest.approx(1, abs=0.02)
    assert (out.flatten(1).std(1) == 0).all()
    layer.eval()
    assert torch.equal(layer(torch.ones(3, 1)), torch.ones(3, 1))


def test_drop_rates_stand_where_the_network_says():
    module = build(get("efficientnet-b0"))
    drops = [getattr(block, "drop_path", None) for stage in module.stages for block in stage]
    built = [drop.rate if drop else 0.0 for drop in drops]
    assert built == [placed.drop_rate for placed in get("efficientnet-b0").blocks()]


@pytest.mark.parametrize("size", [7, 8, 15, 16, 33])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (5, 2), (7, 3)])
def test_same_padding_is_tensorflows(size, kernel, stride):
    layer = SamePadConv2d(1, 1, kernel, stride=stride, bias=False)
    with torch.no_grad():
        layer.weight.fill_(1)
    # The definition: output i sums the input from i * stride - before, with (total // 2) zeros before.
    x = torch.randn(1, 1, size, size)
    out = math.ceil(size / stride)
    total = max((out - 1) * stride + kernel - size, 0)
    before = total // 2
    expected = torch.zeros(out, out)
    for row in range(out):
        for column in range(out):
            top, left = row * stride - before, column * stride - before
            expected[row, column] = x[
                0, 0, max(0, top) : max(0, top + kernel), max(0, left) : max(0, left + kernel)
            ].sum()
    assert torch.allclose(layer(x)[0, 0], expected, atol=1e-4)


def test_paddings_differ_in_values_only():
    symmetric, same = build(TINY, seed=0).eval(), build(replace(TINY, padding="same"), seed=0).eval()
    x = torch.randn(1, 3, 24, 24)
    assert same(x).shape == symmetric(x).shape
    assert not torch.allclose(same.forward_features(x), symmetric.forward_features(x))


@settings(max_examples=40)
@given(networks(blocks))
def test_random_networks_build_and_run_forward_and_backward(network):
    module = build(network, seed=0).train()
    x = torch.randn(3, network.in_channels, network.resolution, network.resolution)
    if network.resolution <= network.total_stride * 2:
        module.eval()  # batch norm cannot train on a single value
    logits = module(x)
    assert logits.shape == (3, network.head.classes)
    logits.sum().backward()
    assert torch.isfinite(logits).all()


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("padding", ["symmetric", "same"])
def test_export_gives_the_same_output(padding):
    module = build(replace(TINY, padding=padding), seed=0).eval()
    x = torch.randn(2, 3, 24, 24)
    program = torch.export.export(module, (x,))
    assert torch.allclose(program.module()(x), module(x), atol=1e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_compile_gives_the_same_output():
    module = build(TINY, seed=0).eval()
    x = torch.randn(2, 3, 24, 24)
    compiled = torch.compile(module, fullgraph=True)
    assert torch.allclose(compiled(x), module(x), atol=1e-5)


def test_initialize_works_on_any_module():
    layer = torch.nn.Sequential(torch.nn.Conv2d(4, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 2))
    again = initialize(layer, seed=3)
    assert again is layer
    assert layer[0].bias.eq(0).all()


def test_batch_norm_constants_are_the_networks():
    module = build(replace(TINY, batch_norm=BatchNorm(epsilon=1e-5, momentum=0.2)))
    assert module.stem[1].eps == 1e-5
    assert module.stem[1].momentum == 0.2


@pytest.mark.parametrize("counts", [False, True])
@pytest.mark.parametrize(("size", "stride"), [(6, 1), (6, 2), (7, 2)])
def test_mean_pools_count_padding_only_where_asked(size, stride, counts):
    pool = SamePool2d("average", 3, stride=stride, counts_padding=counts)
    corner = pool(torch.ones(1, 1, size, size))[0, 0, -1, -1].item()
    # At the last place the window reaches over the edge, at even sizes and stride 2 by one pixel on two sides.
    inside = 4 / 9
    assert corner == pytest.approx(inside if counts else 1)


@pytest.mark.parametrize(
    "name", ["efficientnet-b0", "efficientnetv2-s", "resnet-18", "resnet-50", "regnety-4.0gf"]
)
def test_with_residuals_of_scale_0_every_block_that_has_one_gives_its_input(name):
    module = build(get(name), seed=0)
    branches = scale_residuals(module, 0.0)
    seen = []
    for block in module.stages.modules():
        if hasattr(block, "drop_path"):
            block.register_forward_hook(lambda block, source, out: seen.append((block, source[0], out)))
    with torch.no_grad():
        module(torch.randn(2, 3, 64, 64))
    assert len(seen) == branches > 0
    identities = 0
    for block, source, out in seen:
        if block.cell.nodes[-1].inputs == ("drop_path", "input") and not block.cell.nodes[-1].layers:
            assert torch.equal(out, source)
            identities += 1
        elif not hasattr(block, "shortcut"):
            assert torch.equal(out, source.relu())
            identities += 1
    assert identities > 3


def test_residuals_of_other_graphs_stay_as_they_are():
    module = build(get("nasnet-a-mobile"), seed=0)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    assert scale_residuals(module, 0.0) == 0
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
