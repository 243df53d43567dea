from itertools import chain

import pytest
import torch

from allometry.arch import BatchNorm, Cell, from_json, to_json
from allometry.cost import count
from allometry.nn import ConvNet
from allometry.zoo import amoebanet, densenet, inception, inception_v4, nasnet, pnasnet, senet, xception
from allometry.zoo.genotypes import Genotype, cell

FAMILIES = (nasnet, pnasnet, amoebanet, densenet, inception, inception_v4, xception, senet)
ENTRIES = {entry.name: entry for entry in chain.from_iterable(family.entries() for family in FAMILIES)}
# Parameters, batch norm's statistics and multiply-accumulates at the entry's own resolution. Sources: timm and
# torchvision; Keras for the parameters of the mobile NASNet; for the AmoebaNets a second count, written
# from the released TensorFlow code alone; None where there is no such source.
EXACT = {
    "nasnet-a-mobile": (5289978, 36738, 563638816),
    "nasnet-a-large": (88753150, 196668, 23783414658),
    "pnasnet-5-large": (86057668, 176988, 24937395792),
    "amoebanet-a-6-190": (86718797, None, 23133663507),
    "amoebanet-a-6-448": (468151184, None, 126520757776),
    "amoebanet-c-6-228": (155272667, None, 41129488875),
    "amoebanet-b-6-512": (557277864, None, 298794036064),
    "densenet-121": (7978856, 83648, 2834161664),
    "densenet-169": (14149480, 158400, 3359843328),
    "densenet-201": (20013928, 229056, 4291365888),
    "densenet-264": (33337704, 398528, 5751653376),
    "inception-v3": (23834568, 34432, 5713216096),
    "inception-v4": (42679816, 63168, 12253974624),
    "inception-resnet-v2": (55843464, 60544, 13155794016),
    "xception": (22855952, 54528, 8357403496),
    "senet-154": (115088984, 247552, 42212171776),
    "se-resnet-50": (28088024, None, None),
}


@pytest.mark.parametrize("name", EXACT)
def test_counts_are_exact_and_those_of_the_module(name):
    network = ENTRIES[name].make()
    params, statistics, macs = EXACT[name]
    cost = count(network)
    assert cost.params == params
    assert macs is None or cost.macs == macs
    with torch.device("meta"):
        module = ConvNet(network)
    assert sum(parameter.numel() for parameter in module.parameters()) == params
    built = sum(buffer.numel() for key, buffer in module.named_buffers() if "running" in key)
    assert statistics is None or built == statistics


@pytest.mark.parametrize("name", ENTRIES)
def test_networks_survive_json_and_bear_their_name(name):
    network = ENTRIES[name].make()
    assert from_json(to_json(network)) == network
    assert network.name == name


@pytest.mark.parametrize(
    ("name", "epsilon"), [("densenet-121", 1e-5), ("se-resnet-50", 1e-5), ("xception", 1e-3)]
)
def test_batch_norm_is_the_authors(name, epsilon):
    assert ENTRIES[name].make().batch_norm.epsilon == epsilon
    assert BatchNorm().epsilon == 1e-3


def nodes_of(block: object) -> dict[str, tuple[str, ...]]:
    assert isinstance(block, Cell)
    return {node.name: node.inputs for node in block.nodes}


def test_the_second_state_fits_the_cell_two_before():
    network = amoebanet.amoebanet("b", channels=64)
    first, second, halved, untouched, squeezed = (nodes_of(stage.block) for stage in network.stages[:5])
    assert first["comb_iter_1_right"] == ("input",)  # no cell is two before the first
    assert second["path_2"] == halved["path_2"] == ("skip",)
    assert untouched["comb_iter_0_left"] == ("skip",)  # 2 x 32 channels are 64 already
    assert squeezed["conv_prev_1x1"] == ("skip",)


def test_cells_after_a_reduction_of_the_large_nasnet_read_past_it():
    large, mobile = nasnet.large(), nasnet.mobile()
    placed = [stage.block.passes for stage in large.stages if stage.block.label == "reduction cell"]
    assert placed == ["skip", "skip"]
    assert {stage.block.passes for stage in mobile.stages} == {"input"}


def test_a_state_that_no_operation_halves_is_halved_for_the_output():
    genotype = Genotype(steps=((("max 3x3", 0), ("separable 3x3", 1)),), outputs=(0, 2))
    nodes = nodes_of(cell(genotype, 9, stride=2))
    assert nodes["cell_output"] == ("reduction_0_final_path_bn", "comb_iter_0")
    assert nodes["reduction_0_path_1"] == ("conv_1x1",)
    assert "reduction_0_path_1" not in nodes_of(cell(genotype, 9))
