"""Every network of the zoo, built: counts, two input sizes, gradients, and the exported file's output."""

import re
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from allometry.arch import Network, to_json
from allometry.base import NetworkError
from allometry.catalog import entries, get
from allometry.catalog.entry import Entry
from allometry.cost import count
from allometry.deploy import write_file
from allometry.nn import ConvNet, build
from allometry.training import Preprocessing
from tests.catalog.test_zoo import GOLDEN

every_entry = pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.name)
# One of each kind of structure runs in the quick set; the slow set runs all.
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


@every_entry
def test_counts_are_those_of_the_built_module(entry: Entry):
    network = entry.make()
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
    statistics = sum(part.num_features for part in module.modules() if isinstance(part, torch.nn.BatchNorm2d))
    assert GOLDEN[entry.name].get("batch_norm_statistics", 2 * statistics) == 2 * statistics


def check_passes(network: Network) -> None:
    module = build(network, seed=0)
    for size in smallest_sizes(network):
        scores = module(torch.randn(2, network.in_channels, size, size))
        assert scores.shape == (2, network.head.classes)
        assert torch.isfinite(scores).all()
        scores.mean().backward()
    assert all(parameter.grad is not None for parameter in module.parameters())


def shortened(network: Network) -> Network:
    """Two blocks of a stage show as much as twenty, in some stages, and export in a tenth of the time."""
    short = tuple(
        replace(stage, repeats=min(stage.repeats, 2 if number in (1, 2) and len(group) == 1 else 1))
        for number, group in enumerate(network.groups)
        for stage in group[:2]
    )
    size = smallest_sizes(network)[0]
    return replace(network, stages=short, head=replace(network.head, classes=10), resolution=size)


# An expand ratio of 1 leaves a convolution out; the others are widths.
_WIDTHS = re.compile(
    r'"(\w*channels|group\w*|dropout|stochastic_depth|expand_ratio(?=": *[^1])|resolution)": *[\d.]+'
)


def distinct() -> list[Entry]:
    """Those that differ in more than how wide they are, once shortened: the others' files have the same nodes."""
    found: dict[str, Entry] = {}
    for entry in entries():
        structure = to_json(replace(shortened(entry.make()), name=""))
        found.setdefault(_WIDTHS.sub("", structure), entry)
    return list(found.values())


def check_export(network: Network, path) -> None:
    network = shortened(network)
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
    exported = session.run(["scores"], {"image": images.numpy()})[0]
    with torch.no_grad():
        scores = module(images).numpy()
    # A score near zero is a difference of large ones where random weights make the scores large: rounding has the
    # size of the largest score, not of each.
    np.testing.assert_allclose(exported, scores, rtol=0, atol=1e-5 * float(np.abs(scores).max()))


@pytest.mark.parametrize("name", KINDS)
def test_one_of_each_kind_passes_forward_and_backward(name):
    check_passes(get(name))


@pytest.mark.slow
@every_entry
def test_all_pass_forward_and_backward_at_two_sizes(entry: Entry):
    check_passes(entry.make())


@pytest.mark.slow
@pytest.mark.parametrize("entry", distinct(), ids=lambda entry: entry.name)
def test_all_export_with_the_same_output(entry: Entry, tmp_path):
    check_export(entry.make(), tmp_path / "model.onnx")
