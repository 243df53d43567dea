from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from allometry.arch import Network, feature_maps
from allometry.base import InputError
from allometry.catalog import entries, families, get
from allometry.cost import count, count_stages
from allometry.nn import Backbone, ConvNet, build
from tests.strategies import blocks, networks


def measured(network: Network, **options) -> tuple[int, int, int]:
    """Parameters, MACs by PyTorch's own counter, and elements of convolution outputs, of the built module."""
    with torch.device("meta"):
        module = (Backbone(network, **options) if options else ConvNet(network)).eval()
        x = torch.zeros(1, network.in_channels, network.resolution, network.resolution)
    elements = 0

    def add(_module, _inputs, output):
        nonlocal elements
        elements += output.numel()

    for part in module.modules():
        if isinstance(part, torch.nn.Conv2d):
            part.register_forward_hook(add)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(x)
    params = sum(parameter.numel() for parameter in module.parameters())
    assert counter.get_total_flops() % 2 == 0
    return params, counter.get_total_flops() // 2, elements


@pytest.mark.parametrize(
    "number", [0, *(pytest.param(number, marks=pytest.mark.slow) for number in range(1, 8))]
)
def test_released_family_equals_pytorch(number):
    network = get(f"efficientnet-b{number}")
    cost = count(network)
    assert measured(network) == (cost.params, cost.macs, cost.activations)


@settings(max_examples=30)
@given(networks(blocks))
def test_random_networks_equal_pytorch(network):
    cost = count(network)
    assert measured(network) == (cost.params, cost.macs, cost.activations)


@pytest.mark.slow
@settings(max_examples=60)
@given(networks(blocks), st.data())
def test_more_random_networks_and_their_backbones_equal_pytorch(network, data):
    cost = count(network)
    assert measured(network) == (cost.params, cost.macs, cost.activations)
    last = data.draw(st.integers(-len(feature_maps(network)), -1))
    cost = count(network, features_only=True, out_indices=(last,))
    assert measured(network, out_indices=(last,)) == (cost.params, cost.macs, cost.activations)


@given(networks(blocks))
def test_lines_sum_to_the_whole(network):
    cost, lines = count(network), count_stages(network)
    assert sum(line.params for line in lines) == cost.params
    assert sum(line.macs for line in lines) == cost.macs
    assert sum(line.activations for line in lines) == cost.activations
    assert [line.name for line in lines][:: len(lines) - 1] == ["stem", "head"]
    assert len(lines) == len(network.stages) + 2


@given(networks(blocks))
def test_costs_grow_with_the_network(network):
    cost = count(network)
    larger = count(replace(network, resolution=network.resolution + 1))
    assert larger.params == cost.params
    assert larger.macs >= cost.macs
    assert larger.memory >= cost.memory
    deeper = replace(
        network,
        stages=(*network.stages[:-1], replace(network.stages[-1], repeats=network.stages[-1].repeats + 1)),
    )
    assert count(deeper).params > cost.params
    assert all(isinstance(value, int) for value in cost.to_dict().values())


def exported_memory(network: Network, **options) -> int:
    """An independent account of inference memory: liveness of the tensors of the exported graph."""
    module = build(network, seed=0, **options).eval()
    example = torch.zeros(1, network.in_channels, network.resolution, network.resolution)
    program = torch.export.export(module, (example,))
    users = set(program.graph_signature.user_inputs)
    in_place = ("silu", "relu", "hardtanh", "hardswish", "batch_norm", "add", "mul", "sigmoid", "dropout")
    nodes = list(program.graph.nodes)
    constants = {node for node in nodes if node.op == "placeholder" and node.name not in users}

    def size(node):
        value = node.meta.get("val")
        return value.numel() if hasattr(value, "numel") else 0

    storage = {}
    for node in nodes:
        inputs = [each for each in node.all_input_nodes if each not in constants]
        shares = node.op == "call_function" and any(word in str(node.target) for word in in_place)
        storage[node] = storage[max(inputs, key=size)] if shares else node
    last = {storage[each]: place for place, node in enumerate(nodes) for each in node.all_input_nodes}
    alive, most = set(), 0
    for place, node in enumerate(nodes):
        if node in constants or node.op == "output":
            continue
        alive.add(storage[node])
        most = max(most, sum(size(each) for each in alive))
        alive = {each for each in alive if last.get(each, len(nodes)) > place}
    statistics = sum(
        buffer.numel() for name, buffer in module.named_buffers() if not name.endswith("num_batches_tracked")
    )
    return 4 * (count(network, **options).params + statistics + most)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_memory_of_b0_equals_the_exported_graphs():
    network = get("efficientnet-b0")
    assert count(network).memory == exported_memory(network)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning")
@settings(max_examples=25)
@given(networks())
def test_memory_of_random_networks_equals_the_exported_graphs(network):
    network = replace(network, padding="symmetric")
    assert count(network).memory == exported_memory(network)


# Backbones


@pytest.mark.slow
@pytest.mark.parametrize("family", families())
def test_backbones_of_every_family_equal_pytorch(family):
    network = min(
        (entry.make() for entry in entries() if entry.family == family), key=lambda each: count(each).params
    )
    for out_indices in (None, (0,), (1, 2)):
        cost = count(network, features_only=True, out_indices=out_indices)
        assert measured(network, out_indices=out_indices) == (cost.params, cost.macs, cost.activations)


@settings(max_examples=20)
@given(networks(blocks), st.data())
def test_random_backbones_equal_pytorch(network, data):
    last = data.draw(st.integers(-len(feature_maps(network)), -1))
    cost = count(network, features_only=True, out_indices=(last,))
    assert measured(network, out_indices=(last,)) == (cost.params, cost.macs, cost.activations)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(
    ("name", "out_indices"),
    [("efficientnet-b0", None), ("resnet-18", (1, 3)), ("resnet-18", (0,)), ("nasnet-a-mobile", (0, 1, 2))],
)
@pytest.mark.parametrize("shallow", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_memory_of_backbones_equals_the_exported_graphs(name, out_indices, shallow):
    """A backbone's maps are alive to its end; cells read them a second time, as the input of the block before."""
    network, options = get(name), {"features_only": True, "out_indices": out_indices}
    if shallow:
        network = replace(network, stages=tuple(replace(stage, repeats=1) for stage in network.stages))
    assert count(network, **options).memory == exported_memory(network, **options)


def test_a_backbone_costs_what_the_stages_cost():
    network = get("efficientnet-b0")
    lines, cost = count_stages(network), count(network, features_only=True)
    assert cost.params == sum(line.params for line in lines[:-1]) < count(network).params
    assert cost.macs == sum(line.macs for line in lines[:-1])
    with pytest.raises(InputError, match="features_only=True"):
        count(network, out_indices=(1,))
    with pytest.raises(InputError, match="no feature map 5"):
        count(network, features_only=True, out_indices=(5,))


def test_counting_a_backbone_does_not_take_longer_the_deeper_it_is():
    deep = replace(
        get("efficientnet-b0"), stages=tuple(replace(s, repeats=10**9) for s in get("efficientnet-b0").stages)
    )
    assert count(deep, features_only=True).params > 10**12
