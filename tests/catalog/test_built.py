"""Every network of the zoo, built: counts, two input sizes, gradients, and the exported file's output.

Counts are compared for all; what takes a while, for as few as show every kind of block and every family.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import chain, combinations
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from allometry.arch import ConvBlock, GroupedMBConv, Head, Network, Stage, Stem, to_json
from allometry.base import NetworkError
from allometry.catalog import choose, entries, entry_of, families, get
from allometry.catalog.entry import Entry
from allometry.cost import count
from allometry.deploy import write_file
from allometry.nn import ConvNet, build
from allometry.training import Preprocessing
from tests.catalog.test_zoo import GOLDEN

# One of each kind of structure runs in the quick set, whole.
KINDS = ("efficientnet-b0", "efficientnetv2-b0", "mobilenetv3-small", "fbnet-a", "resnet-18", "regnety-200mf")


def smallest_sizes(network: Network) -> tuple[int, int]:
    """Two small input sizes that the network bears: 64 pixels and more, more where kernels have no padding."""
    borne = []
    for size in range(64, 257, 32):
        try:
            replace(network, resolution=size)
        except NetworkError:
            continue
        borne.append(size)
    return borne[0], borne[1]


def check_counts(network: Network) -> int:
    """Compare with the built module, on shapes alone; the number of its batch norms' channels."""
    with torch.device("meta"):
        module = ConvNet(network).eval()
        image = torch.zeros(1, network.in_channels, network.resolution, network.resolution)
    elements = []
    for part in module.modules():
        if isinstance(part, torch.nn.Conv2d):
            part.register_forward_hook(lambda _module, _inputs, output: elements.append(output.numel()))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(image)
    cost = count(network)
    params = sum(parameter.numel() for parameter in module.parameters())
    assert (params, counter.get_total_flops() // 2, sum(elements)) == (
        cost.params,
        cost.macs,
        cost.activations,
    )
    return sum(part.num_features for part in module.modules() if isinstance(part, torch.nn.BatchNorm2d))


# The counts of all are in the golden file; of each family the network with the fewest blocks is built whole.
OF_EACH_FAMILY = [min(choose(family=each), key=lambda entry: entry.make().depth).name for each in families()]


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_EACH_FAMILY)
def test_counts_are_those_of_the_built_module(name):
    statistics = check_counts(get(name))
    assert GOLDEN[name].get("batch_norm_statistics", 2 * statistics) == 2 * statistics


def check_passes(network: Network) -> None:
    module = build(network, seed=0)
    for size in smallest_sizes(network):
        logits = module(torch.randn(2, network.in_channels, size, size))
        assert logits.shape == (2, network.head.classes)
        assert torch.isfinite(logits).all()
        logits.mean().backward()
    assert all(parameter.grad is not None for parameter in module.parameters())


# Widths, and which node of a cell it is and which ones come before it.
_LEFT_OUT = re.compile(r"\w*channels|group\w*|dropout|stochastic_depth|resolution|name|label|inputs")


def settings_of(description: dict[str, Any]) -> dict[str, Any]:
    """A block's or layer's own settings; of the expand ratio only whether there is an expansion."""
    own = {
        name: value
        for name, value in description.items()
        if not isinstance(value, list) and not _LEFT_OUT.fullmatch(name)
    }
    if "expand_ratio" in own:
        own["expand_ratio"] = own["expand_ratio"] != 1
    return own


def pairs_of_settings(description: dict[str, Any]) -> Iterator[str]:
    """Each pair of settings of a block, and of each layer in it."""
    for part in chain.from_iterable(value for value in description.values() if isinstance(value, list)):
        if isinstance(part, dict):
            yield from pairs_of_settings(part)
    for pair in combinations(sorted(settings_of(description).items()), 2):
        yield f"{description.get('kind')} {json.dumps(pair, sort_keys=True)}"


def kinds_of_stages(network: Network) -> list[set[str]]:
    """For each stage the pairs of settings of its block, and whether its input is added to its output."""
    adds: dict[int, bool] = {}
    for placed in network.blocks():
        adds[placed.stage] = adds.get(placed.stage, False) or placed.source == placed.out
    stages = json.loads(to_json(network))["stages"]
    return [
        set(pairs_of_settings({**stage["block"], "adds": adds[number]}))
        for number, stage in enumerate(stages)
    ]


def kinds_around(network: Network) -> set[str]:
    """What stem, head and options are, but for their widths."""
    plain = json.loads(to_json(replace(network, name="")))
    del plain["stages"]
    return {
        json.dumps({name: settings_of(value) if isinstance(value, dict) else value}, sort_keys=True)
        for name, value in plain.items()
        if not _LEFT_OUT.fullmatch(name)
    }


# These hold every pair of settings of a block, stem, head and option, and each
# family: again and again the one that showed most.
COVERING = [
    "mobilenetv4-conv-medium",
    "ofa-lg-24",
    "amoebanet-a-6-190",
    "inception-resnet-v2",
    "efficientnetv2-b0",
    "resnet-50",
    "mobilenetv1-width",
    "regnety-200mf",
    "ofa-tx2-35",
    "se-resnet-50",
    "resnet-18",
    "mobilenetv4-conv-small",
    "densenet-121",
    "resnext-50-32x4d",
    "efficientnet-b0",
    "nasnet-a-large",
    "efficientnet-lite0",
    "mobilenetv3-small",
    "regnetx-200mf",
    "mnasnet-small",
    "fbnet-a",
    "amoebanet-b-6-512",
    "efficientnetv2-b1",
    "xception",
    "mobilenetv3-large",
    "pnasnet-5-large",
    "efficientnet-b0-formula",
    "ofa-note10-50",
    "proxylessnas-mobile",
    "mobilenetv1-compound",
    "resnext-101-64x4d",
]


def kinds(entry: Entry) -> set[str]:
    network = entry.make()
    return {entry.family, *kinds_around(network)}.union(*kinds_of_stages(network))


def smallest_with(network: Network, needed: set[str]) -> Network:
    """The network with as few stages and repeats, classes and pixels as show what is needed."""
    for place in reversed(range(len(network.stages))):
        stages = [replace(stage, continues=False) for stage in network.stages]
        for instead in ([], *([replace(stages[place], repeats=repeats)] for repeats in (1, 2))):
            try:
                fewer = replace(network, stages=tuple(stages[:place] + instead + stages[place + 1 :]))
            except NetworkError:
                continue  # shapes do not fit without it
            if needed <= set[str]().union(*kinds_of_stages(fewer)):
                network = fewer
                break
    size = smallest_sizes(network)[0]
    return replace(network, head=replace(network.head, classes=10), resolution=size)


@cache
def covering() -> dict[str, Network]:
    """Of each of these networks, in order, the stages that show what none before them does."""
    chosen, seen = dict[str, Network](), set[str]()
    for name in COVERING:
        network = get(name)
        chosen[name] = smallest_with(network, set[str]().union(*kinds_of_stages(network)) - seen)
        seen |= kinds(entry_of(name))
    return chosen


@pytest.mark.parametrize("name", COVERING)
def test_counts_of_every_pair_of_settings_are_those_of_the_built_module(name):
    check_counts(covering()[name])


def test_the_networks_that_are_exported_hold_every_pair_of_settings_and_every_family():
    shown = set[str]().union(*(kinds(entry_of(name)) for name in COVERING))
    for entry in entries():
        assert kinds(entry) <= shown, (
            f"add {entry.name} to COVERING: nothing else has its {kinds(entry) - shown}"
        )


def check_export(network: Network, path) -> None:
    size = network.resolution
    module = build(network, seed=0).eval()
    asked = Preprocessing(
        classes=tuple(map(str, range(10))),
        channels=3,
        resolution=size,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        crop=1.0,
    )
    write_file(module, path, preprocessing=asked)
    images = torch.randn(3, 3, size, size, generator=torch.Generator().manual_seed(0))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    exported = session.run(["logits"], {"image": images.numpy()})[0]
    with torch.no_grad():
        logits = module(images).numpy()
    # A score near zero is a difference of large ones where random weights make the logits large: rounding has the
    # size of the largest score, not of each.
    np.testing.assert_allclose(exported, logits, rtol=0, atol=1e-5 * float(np.abs(logits).max()))


@pytest.mark.parametrize("name", KINDS)
def test_one_of_each_kind_passes_forward_and_backward(name):
    check_passes(get(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", COVERING)
def test_every_pair_of_settings_and_every_family_passes_and_exports_with_the_same_output(name, tmp_path):
    network = covering()[name]
    check_passes(network)
    check_export(network, tmp_path / "model.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("size", [31, 32])
def test_blocks_that_no_published_network_has_are_exported_with_the_same_output(size, tmp_path):
    blocks = (
        GroupedMBConv(channels=8),
        GroupedMBConv(channels=16, stride=2, fused=False),
        ConvBlock(channels=8),
    )
    network = Network(
        stem=Stem(channels=8, stride=1),
        stages=tuple(Stage(block=block) for block in blocks),
        head=Head(channels=16, classes=10, hidden=12, hidden_norm=True),
        resolution=size,
    )
    check_passes(network)
    check_export(network, tmp_path / "model.onnx")
