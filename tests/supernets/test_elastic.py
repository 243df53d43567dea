"""One set of weights for a space: exact sizes, members that are what is trained, the parts that they use."""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import pairwise

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from torch import nn

from allometry.arch import Head, MBConv, Network
from allometry.arch import Space as Whole
from allometry.base import InputError, NetworkError
from allometry.catalog import find_space, get, mbconv_space
from allometry.catalog import spaces as published
from allometry.catalog.elastic import apart
from allometry.deploy import write_onnx
from allometry.nn import ConvNet, build
from allometry.supernets import LayerOptions, Supernet, build_supernet

from .spaces import (
    SMALL,
    choice,
    grown,
    inverted_space,
    members,
    random_images,
    residual_space,
    space_of,
    spaces,
    steady,
    stir,
)

RELEASED = {
    "ofa-mobilenetv3-1.0": (7_678_880, 14_120, 7_664_760, 3_410_792),
    "ofa-mobilenetv3-1.2": (10_715_752, 14_120, 10_701_632, 4_602_456),
    "ofa-proxylessnas-1.3": (7_956_882, 14_826, 7_942_056, 3_718_832),
}
PUBLISHED = [entry.name for entry in published()]
LARGE = {"efficientnetv2", "mnasnet", "ofa-mobilenetv3-1.2", "ofa-proxylessnas-1.3"}
INVERTED = MBConv(channels=8, stride=2, expand_ratio=2, se_ratio=0)


def size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def assert_alike(supernet: Supernet, network: Network, *, side: int = 16) -> None:
    """What is taken out computes what the supernet computes."""
    images = random_images(4, side, channels=network.in_channels)
    plain = steady(supernet.extract(network))
    with torch.no_grad():
        for mode in (False, True):  # training changes the statistics of what was taken out
            found, expected = supernet.train(mode)(images, network), plain.train(mode)(images)
            assert torch.allclose(found, expected, atol=1e-5), (found - expected).abs().max()


# Sizes


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LARGE)) for name in RELEASED]
)
def test_the_released_supernets_have_exactly_their_numbers_of_parameters(name):
    total, matrices, largest, smallest = RELEASED[name]
    space = find_space(name)
    supernet = Supernet(space)  # without values
    assert size(supernet) == total
    assert size(supernet.matrices) == matrices
    assert size(supernet.extract(space.largest())) == largest
    assert size(supernet.extract(space.smallest())) == smallest


@pytest.mark.parametrize(
    ("name", "released", "params"),
    [
        ("ofa-mobilenetv3-1.0", "ofa-lg-24", 5_809_576),
        ("ofa-mobilenetv3-1.2", "ofa-482m", 9_066_368),
    ],
)
def test_a_released_subnet_is_in_it(name, released, params):
    assert size(Supernet(find_space(name)).extract(get(released))) == params


def test_a_supernet_of_bottlenecks_has_the_weights_of_its_largest_network_and_no_matrices():
    space = residual_space()
    plain = Whole(
        template=space.template, choices=tuple(each for each in space.choices if "kernel" not in each.name)
    )
    supernet = build_supernet(plain, seed=0)
    assert not supernet.matrices
    assert size(supernet) == size(build(plain.largest(), seed=0))


def test_initial_weights_follow_from_the_seed_and_the_matrices_change_nothing_yet():
    space = inverted_space()
    one, again, other = (build_supernet(space, seed=seed) for seed in (0, 0, 1))
    weights = [dict(each.named_parameters()) for each in (one, again, other)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert not torch.equal(weights[0]["hosts.stem.stem.0.weight"], weights[2]["hosts.stem.stem.0.weight"])
    for matrix in one.matrices.values():
        assert torch.equal(matrix, torch.eye(len(matrix)))


# What is taken out is what was trained


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LARGE)) for name in PUBLISHED]
)
def test_members_of_the_published_spaces_compute_what_the_supernet_computes(name):
    space = find_space(name)
    supernet = grown(space)
    for network in members(space, 2):
        assert_alike(supernet, network, side=32)


@pytest.mark.parametrize("number", [2, pytest.param(6, marks=pytest.mark.slow)])
@pytest.mark.parametrize("space", SMALL.values(), ids=SMALL)
def test_members_compute_what_the_supernet_computes(space, number):
    supernet = grown(space)
    for network in members(space, number):
        assert_alike(supernet, network)


def test_members_of_a_space_around_a_network_of_ones_own_too():
    around = mbconv_space(
        get("efficientnet-b0"), kernels=(3, 5), expand_ratios=(3, 6), depths=(1, 2), widths=(0.5, 1)
    )
    supernet = grown(around)
    for network in members(around, 2):
        assert_alike(supernet, network, side=32)


@settings(max_examples=6)
@given(spaces(), st.integers(0, 2**16))
def test_members_of_random_spaces_too(space, seed):
    try:
        supernet = grown(space, seed=seed)
    except InputError as error:
        assert "none has all the weights" in str(error)  # noqa: PT017 - the only reason
        reject()
    for network in members(space, 2, seed=seed):
        assert_alike(supernet, network)


def test_a_member_by_its_decisions_or_written_with_other_stages_is_the_same():
    space = inverted_space()
    supernet = grown(space).eval()
    network = space.smallest()
    decisions = space.decisions_of(network)
    largest = space.network({**space.decisions_of(space.largest()), "kernel 1": 3})
    stages = tuple(layer for stage in largest.stages for layer in apart(stage))
    spelt = replace(largest, stages=stages)
    images = random_images()
    with torch.no_grad():
        assert torch.equal(supernet(images, network), supernet(images, supernet.subnet(decisions)))
        plain = supernet.extract(spelt).eval()
        assert plain.network == spelt
        assert torch.allclose(plain(images), supernet(images, largest), atol=1e-5)


def test_dropout_is_the_networks_own_or_what_is_asked_for():
    space = inverted_space()
    own = replace(space.template, head=replace(space.template.head, dropout=0.5))
    space = replace(space, template=own)
    images, network = random_images(), space.largest()
    for asked, expected in ((None, 0.5), (0.2, 0.2)):
        supernet = build_supernet(space, options=LayerOptions(dropout=asked), seed=0).train()
        plain = supernet.extract(network).train()
        plain.dropout.p = expected
        outputs = []
        for module in (lambda x, supernet=supernet: supernet(x, network), plain):
            torch.manual_seed(3)
            outputs.append(module(images))
        assert torch.allclose(*outputs, atol=1e-5)
        assert torch.equal(supernet.eval()(images, network), supernet(images, network))


def test_training_leaves_the_statistics_alone():
    space = inverted_space()
    supernet = grown(space).train()
    before = {name: value.clone() for name, value in supernet.named_buffers()}
    supernet(random_images(), space.smallest()).sum().backward()
    assert all(torch.equal(before[name], value) for name, value in supernet.named_buffers())


@pytest.mark.parametrize("name", ["inverted", "residual", "mixed"])
def test_nothing_of_the_supernet_is_in_what_is_taken_out(name):
    space = SMALL[name]
    supernet = grown(space)
    for network in members(space, 2):
        plain = supernet.extract(network)
        fresh = build(network, seed=0)
        assert type(plain) is ConvNet
        assert plain.network == network
        assert [(key, value.shape, value.dtype) for key, value in plain.state_dict().items()] == [
            (key, value.shape, value.dtype) for key, value in fresh.state_dict().items()
        ]
        assert {type(each) for each in plain.modules()} == {type(each) for each in fresh.modules()}
        assert all(each.requires_grad and each.is_leaf for each in plain.parameters())
        assert all(value.is_contiguous() for value in plain.state_dict().values())
        before = copy.deepcopy(supernet.state_dict())
        with torch.no_grad():
            for value in plain.state_dict().values():
                value.fill_(7)
        assert all(torch.equal(before[key], value) for key, value in supernet.state_dict().items())
        fresh.load_state_dict(supernet.extract(network).state_dict())


def test_it_can_be_copied_and_written():
    space = inverted_space()
    supernet = grown(space).eval()
    other = build_supernet(space, seed=5)
    other.load_state_dict(supernet.state_dict())
    network = space.smallest()
    for each in (copy.deepcopy(supernet), other.eval()):
        assert torch.equal(each(random_images(), network), supernet(random_images(), network))


# The parts


def middle(array: np.ndarray, side: int) -> np.ndarray:
    """The center of a kernel, by plain counting."""
    edge = (array.shape[-1] - side) // 2
    return array[..., edge : edge + side, edge : edge + side]


def smaller(kernel: np.ndarray, matrix: np.ndarray, side: int) -> np.ndarray:
    """Once-for-All's kernel: new[i] = sum over j of matrix[i, j] times the old one's center [j], channel by channel."""
    found = np.zeros((*kernel.shape[:2], side * side))
    for out in range(kernel.shape[0]):
        for into in range(kernel.shape[1]):
            flat = middle(kernel[out, into], side).reshape(-1)
            for row in range(side * side):
                found[out, into, row] = sum(matrix[row, column] * flat[column] for column in range(side**2))
    return found.reshape(*kernel.shape[:2], side, side)


def matrices_of(supernet: Supernet, host: str) -> dict[tuple[int, int], np.ndarray]:
    """By the sides between which they go."""
    return {
        tuple(map(int, name.rsplit("/", 1)[1].split("-"))): matrix.detach().double().numpy()
        for name, matrix in supernet.matrices.items()
        if name.startswith(f"{host}/")
    }


@pytest.mark.parametrize("side", [7, 5, 3])
def test_small_kernels_are_the_middle_of_larger_ones_times_matrices_one_after_the_other(side):
    space = inverted_space(channels=False)
    supernet = grown(space)
    network = space.network({**space.decisions_of(space.largest()), "kernel 1": side})
    host = "stage_1_layer_0_mbconv"
    kernel = supernet.hosts[host].depthwise[0].weight.detach().double().numpy()
    matrices = matrices_of(supernet, host)
    assert set(matrices) == {(7, 5), (5, 3)}
    for larger, less in pairwise((7, 5, 3)):
        if less >= side:
            kernel = smaller(kernel, matrices[larger, less], less)
    plain = supernet.extract(network)
    layer = [block for stage in plain.stages for block in stage][1]
    assert layer.depthwise[0].weight.detach().numpy() == pytest.approx(kernel, abs=1e-5)


def test_kernels_that_are_not_depthwise_are_made_smaller_likewise():
    space = SMALL["fused"]
    supernet = grown(space)
    network = space.network({**space.decisions_of(space.largest()), "kernel 2": 3})
    host = "stage_2_layer_0_fused_mbconv"
    kernel = supernet.hosts[host].expand[0].weight.detach().double().numpy()
    expected = smaller(kernel, matrices_of(supernet, host)[5, 3], 3)
    block = [block for stage in supernet.extract(network).stages for block in stage][2]
    assert block.expand[0].weight.detach().numpy() == pytest.approx(expected, abs=1e-5)


def test_a_side_that_is_left_out_is_stepped_over():
    space = space_of([[replace(INVERTED, kernel=7)]], [choice("kernel", "stages.0.block.kernel", 3, 7)])
    supernet = grown(space)
    assert size(supernet.matrices) == 81
    kernel = supernet.hosts["stage_0_layer_0_mbconv"].depthwise[0].weight.detach().double().numpy()
    expected = smaller(kernel, matrices_of(supernet, "stage_0_layer_0_mbconv")[7, 3], 3)
    block = supernet.extract(space.smallest()).stages[0][0]
    assert block.depthwise[0].weight.detach().numpy() == pytest.approx(expected, abs=1e-5)


def test_the_first_channels_and_the_first_layers_are_used():
    space = inverted_space()
    supernet = grown(space)
    chosen = space.decisions_of(space.largest())
    chosen |= {"depth 0": 1, "ratio 0": 2, "ratio 2": 2, "channels 0": 6, "channels 1": 9}
    network = space.network(chosen)
    plain = supernet.extract(network)
    blocks = [block for stage in plain.stages for block in stage]
    assert len(blocks) == 3
    first, second = (supernet.hosts[f"stage_{place}_layer_0_mbconv"] for place in (0, 2))
    inner, next_inner = 2 * 8, 2 * 6
    squeezed = blocks[0].squeeze_excite.reduce.weight.shape[0]
    for found, expected in (
        (blocks[0].expand[0].weight, first.expand[0].weight[:inner]),
        (blocks[0].expand[1].running_var, first.expand[1].running_var[:inner]),
        (blocks[0].depthwise[0].weight, first.depthwise[0].weight[:inner]),
        (blocks[0].squeeze_excite.reduce.weight, first.squeeze_excite.reduce.weight[:squeezed, :inner]),
        (blocks[0].squeeze_excite.expand.bias, first.squeeze_excite.expand.bias[:inner]),
        (blocks[0].project[0].weight, first.project[0].weight[:6, :inner]),
        (blocks[0].project[1].bias, first.project[1].bias[:6]),
        (blocks[1].expand[0].weight, second.expand[0].weight[:next_inner, :6]),
        (blocks[1].project[0].weight, second.project[0].weight[:9, :next_inner]),
        (plain.head[0].weight, supernet.hosts["head"].head[0].weight[:, :9]),
        (plain.classifier.weight, supernet.hosts["head"].classifier.weight),
    ):
        assert torch.equal(found, expected)


def used(supernet: Supernet, network: Network) -> dict[str, torch.Tensor]:
    """Of each parameter what the member may use: counted here from the member's own shapes."""
    masks = {name: torch.zeros_like(value, dtype=bool) for name, value in supernet.named_parameters()}
    for part in supernet.subnet(network).parts:
        for name, value in supernet.weights(part, statistics=False).items():
            host = f"hosts.{part.host}.{name}"
            mask, shape = masks[host], value.shape
            window = [slice(0, length) for length in shape[:2]]
            if len(shape) == 4:
                whole, side = mask.shape[2], shape[2]
                sides = sorted(
                    {int(each) for pair in matrices_of_name(supernet, part.host, name) for each in pair}
                )
                # A smaller kernel is made from the whole middle of the next side.
                seen = side if side == whole else max(each for each in sides if each < whole)
                edge = (whole - seen) // 2
                window += [slice(edge, edge + seen)] * 2
                for larger, less in matrices_of_name(supernet, part.host, name):
                    if less >= side:
                        key = f"matrices.{part.host}/{name.replace('.', '/')}/{larger}-{less}"
                        # Of what it makes only the middle goes on to a still smaller side.
                        rows = torch.zeros(less, less, dtype=torch.bool)
                        kept = max((each for each in sides if side <= each < less), default=less)
                        edge = (less - kept) // 2
                        rows[edge : less - edge, edge : less - edge] = True
                        masks[key][rows.flatten()] = True
            mask[tuple(window)] = True
    return masks


def matrices_of_name(supernet: Supernet, host: str, name: str) -> list[tuple[int, int]]:
    start = f"{host}/{name.replace('.', '/')}/"
    return [
        tuple(map(int, key.removeprefix(start).split("-")))
        for key in supernet.matrices
        if key.startswith(start)
    ]


@pytest.mark.parametrize("name", ["inverted", "no expansion", "fused", "residual"])
def test_gradients_reach_exactly_the_used_parts(name):
    space = SMALL[name]
    supernet = grown(space).train()
    for network in members(space, 3):
        supernet.zero_grad(set_to_none=True)
        (supernet(random_images(6), network) ** 2).sum().backward()
        for key, mask in used(supernet, network).items():
            gradient = dict(supernet.named_parameters())[key].grad
            if not mask.any():
                assert gradient is None, key
                continue
            assert gradient is not None, key
            assert not gradient[~mask].any(), key
            # The last channels and the corners, too.
            if gradient.ndim > 1:
                assert (gradient[mask] != 0).float().mean() > 0.9, key


@pytest.mark.parametrize("name", ["inverted", "no expansion", "fused", "residual"])
def test_what_is_not_used_may_be_anything(name):
    space = SMALL[name]
    whole = grown(space).train()
    for network in members(space, 2):
        supernet = copy.deepcopy(whole)
        expected = supernet(random_images(), network)
        with torch.no_grad():
            for key, mask in used(supernet, network).items():
                dict(supernet.named_parameters())[key][~mask] = float("nan")
        assert torch.equal(supernet(random_images(), network), expected)


# What it cannot hold


def test_cells_that_read_the_input_before_are_refused():
    template = get("nasnet-a-mobile")
    space = Whole(template=template, choices=(choice("resolution", "resolution", 192, 224),), name="cells")
    with pytest.raises(InputError, match="cells has cells that read the input of the cell before, too"):
        build_supernet(space, seed=0)


def test_options_of_which_none_has_all_weights_are_refused():
    wide, deep = replace(INVERTED, expand_ratio=4), replace(INVERTED, kernel=5)
    space = space_of([[INVERTED]], [choice("block", "stages.0.block", wide, deep)])
    with pytest.raises(InputError, match="Of the options of stage 0, layer 0, none has all the weights"):
        build_supernet(space, seed=0)


@pytest.mark.parametrize(
    ("choices", "where"),
    [
        ([choice("ratio", "stages.0.block.expand_ratio", 4, 2)], "stage 0 layer 0 mbconv"),
        ([choice("kernel", "stages.0.block.kernel", 5, 3)], "stage 0 layer 0 mbconv"),
        ([choice("depth", "groups.0.depth", 2, 1)], "stage 1 layer 0 mbconv"),
        ([choice("head", "head.channels", 16, 8)], "head"),
        ([choice("excite", "stages.0.block.se_ratio", 0.25, 0)], "stage 0 layer 0 mbconv"),
    ],
    ids=["ratio", "kernel", "depth", "head", "excite"],
)
def test_options_that_do_not_go_from_small_to_large_are_refused(choices, where):
    space = space_of([[INVERTED, replace(INVERTED, stride=1)]], choices)
    with pytest.raises(InputError) as refused:
        build_supernet(space, seed=0)
    assert "The last option of every choice of small must be its largest" in str(refused.value)
    assert where in str(refused.value)


def test_networks_that_are_no_members_are_refused():
    space = inverted_space()
    supernet = build_supernet(space, seed=0)
    other = replace(space.largest(), head=Head(channels=12, classes=5))
    for ask in (supernet.subnet, supernet.extract, lambda network: supernet(random_images(), network)):
        with pytest.raises(NetworkError, match="Not of the space inverted"):
            ask(other)


# From a trained network


@pytest.mark.parametrize("name", ["inverted", "fused", "residual"])
def test_the_largest_network_of_a_supernet_that_takes_over_a_module_is_that_module(name):
    space = SMALL[name]
    supernet, module = grown(space), build(space.largest(), seed=4)
    stir(module, seed=4)
    supernet.load_largest(module)
    images = random_images()
    with torch.no_grad():
        for mode in (False, True):
            found = supernet.train(mode)(images, space.largest())
            assert torch.allclose(found, steady(copy.deepcopy(module)).train(mode)(images), atol=1e-5)
    found = supernet.extract(space.largest()).state_dict()
    for key, value in module.state_dict().items():
        if value.is_floating_point():
            assert torch.equal(found[key], value), key


def longer(network: Network) -> Network:
    *others, last = network.stages
    return replace(network, stages=(*others, replace(last, repeats=last.repeats + 1)))


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (lambda space: space.smallest(), "missing|not \\("),
        (
            lambda space: replace(space.largest(), head=Head(channels=12, classes=7)),
            r"classifier.weight is \(7",
        ),
        (lambda space: longer(space.largest()), r"stages\.\d\.\d"),
    ],
    ids=["smallest", "classes", "longer"],
)
def test_a_module_of_another_network_is_refused(other, what):
    space = inverted_space()
    supernet = grown(space)
    before = copy.deepcopy(supernet.state_dict())
    message = "The weights are not those of the greatest network of inverted"
    with pytest.raises(InputError, match=f"{message}.*({what})"):
        supernet.load_largest(build(other(space), seed=0))
    # A refusal leaves no half of them.
    assert all(torch.equal(before[key], value) for key, value in supernet.state_dict().items())


# Elsewhere


@pytest.mark.slow
@pytest.mark.parametrize("name", ["inverted", "residual"])
def test_exported_members_agree_with_the_supernet(name, tmp_path):
    space = SMALL[name]
    supernet = grown(space).eval()
    for number, network in enumerate(members(space, 1)):
        images = random_images(3, network.resolution)
        path = write_onnx(supernet.extract(network).eval(), tmp_path / f"{number}.onnx", example=images)
        session = onnxruntime.InferenceSession(path)
        found = session.run(None, {session.get_inputs()[0].name: images.numpy()})[0]
        with torch.no_grad():
            assert found == pytest.approx(supernet(images, network).numpy(), abs=1e-5)
