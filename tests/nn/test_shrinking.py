"""Networks that shrink keep the channels that matter, together wherever these are counted."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from allometry.arch import (
    BasicBlock,
    Bottleneck,
    FusedMBConv,
    Head,
    MBConv,
    SeparableConv,
    UniversalInvertedBottleneck,
    apply_multipliers,
)
from allometry.base import InputError, NetworkError, UnknownNameError
from allometry.catalog import get
from allometry.nn import build
from allometry.nn.growing import IMPORTANCES, Importance, grow_module, output_difference, shrink_module

from .test_growing import _network as network_of
from .test_growing import _trained as trained

BATCHES = [(torch.rand(4, 3, 16, 16), torch.arange(4) % 3) for _ in range(2)]
KINDS = {
    "mbconv": (MBConv(channels=8, expand_ratio=2), MBConv(channels=13, kernel=5, expand_ratio=3)),
    "fused": (FusedMBConv(channels=8, expand_ratio=2), FusedMBConv(channels=11, expand_ratio=3)),
    "separable": (SeparableConv(channels=8, stride=2), SeparableConv(channels=20, stride=2)),
    "basic": (BasicBlock(channels=8), BasicBlock(channels=15)),
    "bottleneck": (Bottleneck(channels=16, se_ratio=0.25), Bottleneck(channels=24, se_ratio=0.5)),
    "universal": (
        UniversalInvertedBottleneck(channels=8, start_kernel=3, expand_ratio=2),
        UniversalInvertedBottleneck(channels=16, start_kernel=5, expand_ratio=3),
    ),
}


@pytest.mark.parametrize("importance", ["magnitude", "taylor"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_does_not_matter_goes_and_the_output_stays(kind: str, importance: Importance) -> None:
    """A network is grown by channels that nobody reads, and these are shuffled among the others and small."""
    small, large = KINDS[kind]
    head = Head(channels=12, hidden=9, classes=3)
    old = trained(network_of(small, head=head))
    wide = replace(
        network_of(large, repeats=3, head=replace(head, channels=20, hidden=15)), stem=old.network.stem
    )
    grown = grow_module(old, wide)
    with torch.no_grad():  # nothing that is new gives anything
        for name, value in grown.module.named_parameters():
            source = grown.weight_map.get(name)
            if source is not None:
                for dimension, indices in enumerate(source.indices):
                    for place, index in enumerate(indices or ()):
                        if index == -1:
                            value.select(dimension, place).mul_(1e-3)
    again = shrink_module(grown.module, old.network, importance=importance, batches=BATCHES).module
    if importance == "magnitude":
        assert output_difference(old, again) < 1e-5
    assert again.network == old.network


@pytest.mark.parametrize("importance", IMPORTANCES)
def test_channels_that_are_added_stay_together(importance: Importance) -> None:
    """Channels of a module in another order are the same channels."""
    network = network_of(MBConv(channels=12, expand_ratio=2))
    old = trained(network)
    shrunk = shrink_module(
        old, network_of(MBConv(channels=8, expand_ratio=2)), importance=importance, batches=BATCHES
    )
    kept = {
        shrunk.weight_map[name].indices[dimension]
        for name, dimension in (
            ("stages.0.0.project.0.weight", 0),
            ("stages.0.0.project.1.running_mean", 0),
            ("stages.0.1.expand.0.weight", 1),
            ("stages.0.1.project.0.weight", 0),
            ("stages.1.0.expand.0.weight", 1),
            ("head.0.weight", 1),
        )
    }
    assert len(kept) == 1
    (indices,) = kept
    assert indices is not None
    assert list(indices) == sorted(set(indices))
    assert len(indices) == 8
    if importance == "first":
        assert indices == tuple(range(8))
    if importance == "uniform":
        assert indices == (0, 1, 3, 4, 6, 7, 9, 10)


def test_the_loss_says_which_channels_matter() -> None:
    """A channel that alone decides the logits stays, small as its weights are."""
    network = network_of(MBConv(channels=8), head=Head(channels=12, classes=3))
    old = build(network, seed=0)
    with torch.no_grad():
        old.classifier.weight.zero_()
        old.classifier.weight[:, 7] = torch.tensor([1.0, -1.0, 0.5])
    small = replace(network, head=Head(channels=3, classes=3))
    kept = (
        shrink_module(old, small, importance="taylor", batches=BATCHES).weight_map["head.0.weight"].indices[0]
    )
    assert kept is not None
    assert 7 in kept
    assert old.training
    assert all(weight.requires_grad and weight.grad is None for weight in old.parameters())


def test_names_of_the_catalog_shrink() -> None:
    for name in ("mobilenetv3-small", "resnet-18", "efficientnetv2-b0", "mobilenetv1"):
        large = build(apply_multipliers(get(name), width=0.5), seed=0)
        small = apply_multipliers(large.network, width=0.5, depth=0.5, resolution=0.5)
        assert shrink_module(large, small).module(torch.zeros(2, 3, 32, 32)).shape == (2, 1000)


def test_what_cannot_shrink_is_one_sentence() -> None:
    old = trained(network_of(MBConv(channels=8)))
    with pytest.raises(NetworkError, match="not the old one made smaller"):
        shrink_module(old, network_of(MBConv(channels=16)))
    with pytest.raises(UnknownNameError, match="importance of channels"):
        shrink_module(old, old.network, importance="l7")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="needs batches"):
        shrink_module(old, network_of(MBConv(channels=4)), importance="taylor")
    grouped = trained(network_of(Bottleneck(channels=24, ratio=0.5, group_width=4)))
    with pytest.raises(NetworkError, match="grouped, shuffled or joined"):
        shrink_module(grouped, network_of(Bottleneck(channels=16, ratio=0.5, group_width=4)))
