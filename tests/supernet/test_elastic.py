"""Supernets: exact sizes, subnets equal to what is taken out, parts of the weights as the paper has them, refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some

from allometry.arch import Head, Knob, MBConv, Network, Space, Stage, Stem
from allometry.base import InputError, NetworkError
from allometry.cost import count
from allometry.deploy import verify, write_file
from allometry.nn import build
from allometry.search import draw_rows, network_of
from allometry.supernet import Supernet, build_supernet
from allometry.zoo import find_space, get, mbconv_space


def stirred(space: Space, *, seed: int = 0) -> Supernet:
    """A supernet whose matrices, statistics and scales are not those of the beginning."""
    supernet = build_supernet(space, seed=seed)
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for matrix in supernet.matrices.values():
            matrix.add_(0.1 * torch.randn(matrix.shape, generator=random))
        for part in supernet.modules():
            if isinstance(part, torch.nn.BatchNorm2d):
                part.running_mean.normal_(generator=random)
                part.running_var.uniform_(0.5, 2.0, generator=random)
                part.bias.normal_(0, 0.1, generator=random)
    return supernet


def bottlenecks() -> Space:
    """A ResNet with open depths, ratios, channels and kernels."""
    template = get("resnet-50")
    knobs = []
    for number, stage in enumerate(template.stages):
        block = f"stages.{number}.block"
        knobs += [
            Knob(name=f"depth {number}", paths=(f"groups.{number}.depth",), options=(1, stage.repeats)),
            Knob(name=f"ratio {number}", paths=(f"{block}.ratio",), options=(0.125, 0.25)),
            Knob(
                name=f"channels {number}",
                paths=(f"{block}.channels",),
                options=(stage.block.channels // 2, stage.block.channels),
            ),
            Knob(name=f"kernel {number}", paths=(f"{block}.kernel",), options=(1, 3)),
        ]
    return Space(template=template, knobs=tuple(knobs), name="bottlenecks")


def open_everywhere() -> Space:
    network = get("efficientnet-b0")
    small = replace(
        network,
        stages=network.stages[:4],
        resolution=48,
        head=Head(channels=32, classes=5),
        stochastic_depth=0.0,
    )
    return mbconv_space(
        small,
        kernels=(3, 5, 7),
        expand_ratios=(1, 2, 4),
        depths=(1, 2, 3),
        widths=(0.5, 0.75, 1),
        resolutions=(32, 48),
        name="open",
    )


SPACES = {
    **{name: (lambda name=name: find_space(name)) for name in ("ofa-mobilenetv3-1.0", "mnasnet", "fbnet")},
    "bottlenecks": bottlenecks,
    "open": open_everywhere,
}


@pytest.mark.parametrize(
    ("name", "whole", "matrices"),
    [
        ("ofa-mobilenetv3-1.0", 7_678_880, 14_120),
        ("ofa-mobilenetv3-1.2", 10_715_752, 14_120),
        ("ofa-proxylessnas-1.3", 7_956_882, 14_826),
    ],
)
def test_the_published_supernets_have_the_released_numbers_of_parameters(name, whole, matrices):
    space = find_space(name)
    supernet = build_supernet(space, seed=0)
    assert sum(each.numel() for each in supernet.parameters()) == whole
    assert sum(each.numel() for each in supernet.matrices.values()) == matrices
    largest = supernet.extract(space.largest())
    assert sum(each.numel() for each in largest.parameters()) == whole - matrices


@pytest.mark.parametrize("name", SPACES)
def test_what_is_taken_out_computes_what_the_supernet_computes(name):
    space = SPACES[name]()
    supernet = stirred(space)
    x = torch.randn(2, space.template.in_channels, 48, 48, generator=torch.Generator().manual_seed(1))
    rows = draw_rows(space, np.random.default_rng(0), 6, by="knob")
    for network in (space.smallest(), space.largest(), *(network_of(space, row) for row in rows)):
        taken = supernet.extract(network)
        assert list(taken.state_dict()) == list(build(network, seed=0).state_dict())
        for training in (False, True):
            supernet.train(training)
            taken.train(training)
            taken.dropout.p = 0.0
            with torch.no_grad():
                torch.manual_seed(0)
                ours = supernet(x, network) if not training else _without_dropout(supernet)(x, network)
                theirs = taken(x)
            assert (ours - theirs).abs().max() <= 1e-5 * max(1.0, theirs.abs().max().item())


def _without_dropout(supernet: Supernet) -> Supernet:
    fresh = Supernet(supernet.space, dropout=0.0).to_empty(device="cpu")
    fresh.load_state_dict(supernet.state_dict())
    return fresh.train()


@settings(max_examples=10)
@given(
    kernels=some.sampled_from([(3,), (1, 3), (3, 7), (3, 5, 7)]),
    ratios=some.sampled_from([(2,), (1, 3), (1.5, 2, 4)]),
    widths=some.sampled_from([(), (0.5, 1)]),
    squeeze=some.sampled_from([0.0, 0.25]),
    seed=some.integers(0, 99),
)
def test_random_small_spaces(kernels, ratios, widths, squeeze, seed):
    block = MBConv(channels=16, stride=2, expand_ratio=2, se_ratio=squeeze)
    network = Network(
        stages=(Stage(block=block, repeats=2), Stage(block=replace(block, channels=24), repeats=2)),
        stem=Stem(channels=8),
        head=Head(channels=None, classes=3),
        in_channels=1,
        resolution=16,
    )
    space = mbconv_space(
        network, kernels=kernels, expand_ratios=ratios, depths=(1, 2), widths=widths, name="small"
    )
    supernet = stirred(space, seed=seed).eval()
    x = torch.randn(1, 1, 16, 16)
    for row in draw_rows(space, np.random.default_rng(seed), 3, by="knob"):
        member = network_of(space, row)
        with torch.no_grad():
            assert torch.allclose(supernet(x, member), supernet.extract(member).eval()(x), atol=1e-5)


def test_a_smaller_kernel_is_the_middle_times_a_matrix_one_side_after_the_other():
    space = open_everywhere()
    supernet = stirred(space)
    host = "stage_1_layer_0_mbconv"
    seven = supernet.hosts[host].depthwise[0].weight.detach()
    name = f"{host}/depthwise/0/weight"
    first, second = (supernet.matrices[f"{name}/{step}"].detach() for step in ("7-5", "5-3"))
    chosen = {knob.name: knob.options[-1] for knob in space.knobs}
    taken = {}
    for side in (7, 5, 3):
        member = space.network({**chosen, "stage 1 layer 0 kernel": side})
        taken[side] = supernet.extract(member).stages[1][0].depthwise[0].weight.detach()
    five = torch.einsum("ab,cb->ca", first, seven[:, 0, 1:6, 1:6].reshape(-1, 25)).reshape(-1, 5, 5)
    three = torch.einsum("ab,cb->ca", second, five[:, 1:4, 1:4].reshape(-1, 9)).reshape(-1, 3, 3)
    assert torch.equal(taken[7], seven)
    assert torch.allclose(taken[5][:, 0], five, atol=1e-6)
    assert torch.allclose(taken[3][:, 0], three, atol=1e-6)


def test_narrow_and_shallow_subnets_use_the_first_channels_and_layers_and_only_those_learn():
    space = open_everywhere()
    supernet = stirred(space).train()
    smallest = space.smallest()
    taken = supernet.extract(smallest)
    whole = supernet.hosts["stage_1_layer_0_mbconv"].project[0].weight
    part = taken.stages[1][0].project[0].weight
    assert torch.equal(part, whole[: part.shape[0], : part.shape[1]])
    supernet(torch.randn(2, 3, 32, 32), smallest).sum().backward()
    used = whole.grad.abs().sum((2, 3)) > 0
    assert used[: part.shape[0], : part.shape[1]].all()
    assert not used[part.shape[0] :].any()
    assert not used[:, part.shape[1] :].any()
    assert supernet.hosts["stage_3_layer_0_mbconv"].project[0].weight.grad is None


def test_what_is_taken_out_is_a_copy():
    space = open_everywhere()
    supernet = stirred(space)
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    taken = supernet.extract(space.largest())
    with torch.no_grad():
        for value in taken.parameters():
            value.zero_()
    assert all(torch.equal(before[name], value) for name, value in supernet.state_dict().items())


def test_weights_of_the_greatest_network_are_taken_over_and_others_refused():
    space = open_everywhere()
    supernet, trained = build_supernet(space, seed=0).eval(), build(space.largest(), seed=7).eval()
    supernet.load_largest(trained)
    x = torch.randn(1, 3, 48, 48)
    with torch.no_grad():
        assert torch.allclose(supernet(x, space.largest()), trained(x), atol=1e-6)
    with pytest.raises(InputError, match="not those of the greatest network"):
        supernet.load_largest(build(space.smallest(), seed=0))


def test_who_is_no_member_is_refused():
    with pytest.raises(NetworkError, match="Not of the space open"):
        build_supernet(open_everywhere(), seed=0)(torch.zeros(1, 3, 48, 48), get("efficientnet-b0"))


def test_options_that_go_from_large_to_small_are_refused():
    space = open_everywhere()
    backwards = replace(
        space, knobs=tuple(replace(knob, options=tuple(reversed(knob.options))) for knob in space.knobs)
    )
    with pytest.raises(InputError, match="The last option of every knob of open must be its largest"):
        build_supernet(backwards, seed=0)


def test_options_that_share_too_little_are_refused():
    wide, large = (
        MBConv(channels=16, kernel=3, expand_ratio=6, se_ratio=0),
        MBConv(channels=16, kernel=5, expand_ratio=2, se_ratio=0),
    )
    space = Space(
        template=Network(stages=(Stage(block=wide),), resolution=32),
        knobs=(Knob(name="block", paths=("stages.0.block",), options=(wide, large)),),
    )
    with pytest.raises(InputError, match="none has all the weights"):
        build_supernet(space, seed=0)


@pytest.mark.parametrize("name", ["nasnet-a-mobile"])
def test_cells_that_read_two_inputs_are_refused(name):
    template = replace(get(name), head=Head(channels=None, classes=3))
    space = Space(template=template, knobs=(Knob(name="size", paths=("resolution",), options=(224, 256)),))
    with pytest.raises(InputError, match="read the input of the cell before"):
        build_supernet(space, seed=0)


@pytest.mark.slow
def test_files_of_subnets_agree_with_the_supernet(tmp_path):
    from allometry.deploy import Delivery
    from allometry.deploy.script import write_script
    from allometry.train import Preprocessing

    space = open_everywhere()
    supernet = stirred(space).eval()
    random = np.random.default_rng(3)
    for number, row in enumerate(draw_rows(space, random, 8, by="knob")):
        network = network_of(space, row)
        asked = Preprocessing(
            channels=3,
            resolution=network.resolution,
            crop=1.0,
            mean=(0.5,) * 3,
            std=(0.25,) * 3,
            classes=tuple("abcde"),
        )
        module = supernet.extract(network).eval()
        path = tmp_path / str(number) / "model.onnx"
        path.parent.mkdir()
        write_file(module, path, preprocessing=asked, delivery=Delivery())
        script = write_script(
            path.with_name("predict.py"), model=path, preprocessing=asked, delivery=Delivery()
        )
        side = network.resolution
        images = random.integers(0, 256, (4, side, side, 3), dtype=np.uint8)
        found = verify(path, module, images, script=script, preprocessing=asked, delivery=Delivery())
        assert found.largest_difference <= 1e-5
        assert count(network).params == sum(each.numel() for each in module.parameters())
