"""Backbones: the feature maps of every family, their weights, exported and under a decoder; heads as timm has them."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from torch import nn

from allometry.arch import BasicBlock, Head, MBConv, Network, Stage, Stem, feature_maps
from allometry.base import InputError, NetworkError
from allometry.catalog import entries, families, get
from allometry.cost import count
from allometry.nn import Backbone, ConvNet, build
from tests.catalog.test_built import smallest_sizes
from tests.strategies import blocks, networks

TINY = Network(
    stem=Stem(channels=8),
    stages=(
        Stage(block=MBConv(channels=8, expand_ratio=1)),
        Stage(block=MBConv(channels=12, stride=2), repeats=2),
        Stage(block=MBConv(channels=16, stride=2), repeats=2),
        Stage(block=MBConv(channels=24), repeats=1),
    ),
    head=Head(channels=32, classes=5),
    resolution=32,
)
POOLED = replace(
    TINY,
    stem=Stem(channels=8, pool=3),
    stages=tuple(Stage(block=BasicBlock(channels=channels, stride=2)) for channels in (8, 16)),
)


def smallest_of(family: str) -> Network:
    networks = [entry.make() for entry in entries() if entry.family == family]
    return min(networks, key=lambda network: count(network).params)


def watched(module: ConvNet, image: torch.Tensor) -> dict[str, torch.Tensor]:
    """What each module of the classifier gives."""
    outputs = {}

    def keep(name):
        return lambda _module, _inputs, output: outputs.update({name: output.clone()})

    for name, part in module.named_modules():
        part.register_forward_hook(keep(name))
    with torch.no_grad():
        module(image)
    return outputs


@pytest.mark.slow
@pytest.mark.parametrize("family", families())
def test_the_maps_of_every_family_are_the_classifiers_own(family):
    network = smallest_of(family)
    size, _ = smallest_sizes(network)
    classifier = build(network, seed=0).eval()
    with torch.device("meta"):
        backbone = Backbone(network)
    backbone = backbone.to_empty(device="cpu").eval()
    state = classifier.state_dict()
    backbone.load_state_dict(state)  # strict
    assert state.keys() == classifier.state_dict().keys()
    image = torch.randn(1, network.in_channels, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        maps = backbone(image)
    theirs, info = watched(classifier, image), backbone.feature_info
    assert info.reduction()[-1] == network.total_stride
    assert info.reduction() == sorted(set(info.reduction()))
    expected = feature_maps(replace(network, resolution=size))
    for ours, name, expects in zip(maps, info.module_name(), expected, strict=True):
        assert torch.equal(ours, theirs[name]), name
        assert ours.shape == (1, expects.channels, expects.size, expects.size)


@settings(max_examples=25)
@given(networks(blocks))
def test_random_networks_give_the_maps_that_they_say(network):
    backbone = build(network, seed=0, features_only=True).eval()
    side = network.resolution
    with torch.no_grad():
        maps = backbone(torch.zeros(1, network.in_channels, side, side))
    assert [tuple(each.shape[1:]) for each in maps] == [
        (each.channels, each.size, each.size) for each in feature_maps(network)
    ]


def test_the_seed_gives_the_weights_of_the_classifier():
    classifier, backbone = build(TINY, seed=3).state_dict(), build(TINY, seed=3, features_only=True)
    assert all(torch.equal(tensor, classifier[name]) for name, tensor in backbone.state_dict().items())


@pytest.mark.parametrize(
    ("network", "out_indices", "modules", "reductions"),
    [
        (TINY, None, ["stages.0.0", "stages.1.1", "stages.3.0"], [2, 4, 8]),
        (TINY, (0, 1), ["stages.0.0", "stages.1.1"], [2, 4]),
        (TINY, (-1,), ["stages.3.0"], [8]),
        (POOLED, None, ["stem", "pool", "stages.0.0", "stages.1.0"], [2, 4, 8, 16]),
        (POOLED, [0], ["stem"], [2]),
        (POOLED, [1], ["pool"], [4]),
    ],
)
def test_which_maps_are_given_and_nothing_behind_them(network, out_indices, modules, reductions):
    backbone = build(network, seed=0, features_only=True, out_indices=out_indices).eval()
    assert (backbone.feature_info.module_name(), backbone.feature_info.reduction()) == (modules, reductions)
    classifier = build(network, seed=1).eval()
    backbone.load_state_dict(classifier.state_dict())
    backbone.load_state_dict(backbone.state_dict())
    image = torch.randn(2, 3, 32, 32)
    theirs = watched(classifier, image)
    with torch.no_grad():
        maps = backbone(image)
    assert all(torch.equal(ours, theirs[name]) for ours, name in zip(maps, modules, strict=True))
    assert [each.shape[1] for each in maps] == backbone.feature_info.channels()


def test_state_of_another_network_is_refused():
    backbone = build(TINY, features_only=True)
    longer = replace(TINY, stages=(replace(TINY.stages[0], repeats=2), *TINY.stages[1:]))
    with pytest.raises(RuntimeError, match=r"Unexpected key.*stages\.0\.1\."):
        backbone.load_state_dict(build(longer).state_dict())
    shorter = replace(TINY, stages=TINY.stages[:-1])
    with pytest.raises(RuntimeError, match=r"Missing key.*stages\.3\.0\."):
        backbone.load_state_dict(build(shorter).state_dict())
    wider = replace(TINY, stem=Stem(channels=16))
    with pytest.raises(RuntimeError, match="size mismatch"):
        backbone.load_state_dict(build(wider).state_dict())


def test_it_is_copied_pickled_and_loaded_inside_of_another_module():
    backbone = build(TINY, seed=0, features_only=True, out_indices=(0, 1))
    for other in (copy.deepcopy(backbone), pickle.loads(pickle.dumps(backbone))):  # noqa: S301
        other.load_state_dict(build(TINY, seed=1).state_dict())
        assert not torch.equal(other.stem[0].weight, backbone.stem[0].weight)
    inside = nn.ModuleDict({"encoder": backbone})
    inside.load_state_dict(
        {f"encoder.{name}": value for name, value in build(TINY, seed=1).state_dict().items()}
    )
    assert torch.equal(backbone.stem[0].weight, build(TINY, seed=1).stem[0].weight)


@pytest.mark.parametrize(
    ("out_indices", "message"),
    [
        ((3,), r"There is no feature map 3: the network has 3, .* from 0 to 2"),
        ((-4,), "There is no feature map -4"),
        ((), "out_indices is empty"),
        ((2, 1), r"must rise, since maps come from fine to coarse, not \(2, 1\)"),
        ((1, 1), "must rise"),
    ],
)
def test_maps_that_are_not_there_are_refused(out_indices, message):
    with pytest.raises(InputError, match=message):
        build(TINY, features_only=True, out_indices=out_indices)


def test_a_classifier_has_no_maps_to_choose_from():
    with pytest.raises(InputError, match="features_only=True"):
        build(TINY, out_indices=(1,))


class Pyramid(nn.Module):
    """A feature pyramid (Lin et al. 2017) of torch alone: each level is a 1 x 1 convolution and what is above."""

    def __init__(self, backbone: Backbone, channels: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.lateral = nn.ModuleList(
            nn.Conv2d(each, channels, 1) for each in backbone.feature_info.channels()
        )
        self.smooth = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in self.lateral)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        levels = [conv(given) for conv, given in zip(self.lateral, self.backbone(x), strict=True)]
        for place in reversed(range(len(levels) - 1)):
            above = F.interpolate(levels[place + 1], size=levels[place].shape[2:], mode="nearest")
            levels[place] = levels[place] + above
        return [conv(level) for conv, level in zip(self.smooth, levels, strict=True)]


@pytest.mark.parametrize("name", ["efficientnet-b0", "resnet-18", "nasnet-a-mobile"])
def test_under_a_feature_pyramid_gradients_reach_every_weight(name):
    network = replace(get(name), resolution=64)
    pyramid = Pyramid(build(network, seed=0, features_only=True, out_indices=(1, 2, 3, 4)), channels=8)
    levels = pyramid(torch.randn(2, 3, 96, 64))
    reductions = pyramid.backbone.feature_info.reduction()
    assert [level.shape for level in levels] == [
        (2, 8, -(-96 // each), -(-64 // each)) for each in reductions
    ]
    sum(level.square().mean() for level in levels).backward()
    without = [name for name, weight in pyramid.named_parameters() if weight.grad is None]
    assert without == []


def test_it_is_an_encoder_of_segmentation_models_pytorch():
    """As docs/how-to/backbones.md has it."""
    base = pytest.importorskip(
        "segmentation_models_pytorch.base", exc_type=ImportError
    )  # through timm it needs torchvision
    from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder

    class Encoder(nn.Module):
        def __init__(self, network: Network) -> None:
            super().__init__()
            self.backbone = build(network, features_only=True)
            self.out_channels = [network.in_channels, *self.backbone.feature_info.channels()]
            self.output_stride = 32

        def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
            return [x, *self.backbone(x)]

    class Unet(base.SegmentationModel):
        def __init__(self, encoder: Encoder) -> None:
            super().__init__()
            self.encoder, self.classification_head = encoder, None
            self.decoder = UnetDecoder(encoder.out_channels, (64, 32, 16, 8, 8), n_blocks=5)
            self.segmentation_head = base.SegmentationHead(8, 3, kernel_size=3)

    masks = Unet(Encoder(get("efficientnet-b0"))).eval()(torch.zeros(1, 3, 64, 64))
    assert masks.shape == (1, 3, 64, 64)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_it_is_exported_by_torch_onnx(tmp_path):
    backbone = build(TINY, seed=0, features_only=True).eval()
    image = torch.randn(2, 3, 32, 32)
    path = tmp_path / "backbone.onnx"
    torch.onnx.export(backbone, (image,), path, input_names=["image"], dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(path)
    with torch.no_grad():
        expected = backbone(image)
    made = session.run(None, {"image": image.numpy()})
    for ours, theirs in zip(made, expected, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-4)


# The head, as timm has it


def test_features_and_head_are_the_whole():
    hidden = replace(TINY, head=Head(channels=32, hidden=20, classes=5))
    for network, inputs in (
        (TINY, 32),
        (hidden, 20),
        (replace(TINY, head=Head(channels=None, classes=5)), 24),
    ):
        module, image = build(network, seed=0).eval(), torch.randn(2, 3, 32, 32)
        features = module.forward_features(image)
        assert features.shape == (2, module.num_features, 4, 4)
        before = module.forward_head(features, pre_logits=True)
        assert before.shape == (2, inputs)
        assert module.get_classifier().in_features == inputs
        assert torch.equal(module.get_classifier()(before), module(image))
        assert torch.equal(module.forward_head(features), module(image))


def test_a_new_classifier_is_the_networks_too():
    module = build(TINY, seed=0).eval().double()
    image = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    before = module.forward_features(image)
    module.reset_classifier(3)
    assert module(image).shape == (2, 3)
    assert torch.equal(module.forward_features(image), before)
    assert module.network == replace(TINY, head=replace(TINY.head, classes=3))
    assert not module.get_classifier().training
    same = build(module.network)
    same.load_state_dict(module.state_dict())
    with pytest.raises(NetworkError, match="classes"):
        module.reset_classifier(0)
    assert module(image).shape == (2, 3)
