"""Weights that must not be loaded, places that must be counted right, and conventions that the authors published."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from allometry.base import WeightsError
from allometry.catalog import get
from allometry.nn import Conventions, build, load_pretrained, save_pretrained, save_weights
from allometry.nn.pretrained.conventions import from_hub, to_metadata
from allometry.nn.pretrained.layouts import LAYOUTS
from allometry.nn.pretrained.layouts.others import once_for_all
from allometry.nn.pretrained.matching import names_in
from allometry.nn.pretrained.published import conventions_of

SMALL = get("mobilenetv3-small")
BIAS = "classifier.bias"
UNUSUAL = {
    "complex": (torch.zeros(1000, dtype=torch.complex64), "something other than plain numbers"),
    "sparse": (torch.zeros(1000).to_sparse(), "something other than plain numbers"),
    "eight bits": (torch.zeros(1000).to(torch.float8_e4m3fn), "something other than plain numbers"),
    "no data": (torch.zeros(1000, device="meta"), "something other than plain numbers"),
    "whole numbers": (torch.zeros(1000, dtype=torch.int64), "as int64"),
    "truths": (torch.zeros(1000, dtype=torch.bool), "as bool"),
    "too large": (torch.full((1000,), 1e300, dtype=torch.float64), "not finite"),
    "too few": (torch.zeros(5), "1000 rows of weights and 5 biases"),
}


@pytest.fixture(scope="module")
def state():
    return build(SMALL, seed=1).state_dict()


def refused(path, words):
    with pytest.raises(WeightsError, match=words) as caught:
        load_pretrained(SMALL, path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", UNUSUAL)
def test_tensors_that_are_no_weights_are_refused(name, state, tmp_path):
    tensor, words = UNUSUAL[name]
    torch.save({**state, BIAS: tensor}, tmp_path / "w.pth")
    refused(tmp_path / "w.pth", words)


def test_variances_below_zero_are_refused(state, tmp_path):
    torch.save({**state, "stem.1.running_var": torch.full((16,), -1.0)}, tmp_path / "w.pth")
    refused(tmp_path / "w.pth", "below zero")


def test_a_prefix_before_some_names_only_stays(state, tmp_path):
    torch.save({**state, f"module.{BIAS}": torch.ones(1000)}, tmp_path / "w.pth")
    refused(tmp_path / "w.pth", rf"left over \(module.{BIAS}\)")


def test_a_damaged_archive_of_arrays_gives_one_sentence(tmp_path):
    np.savez_compressed(tmp_path / "whole.npz", weights=np.arange(10000.0))
    whole = (tmp_path / "whole.npz").read_bytes()
    for place in range(60, 400, 7):
        flipped = bytearray(whole)
        flipped[place] ^= 255
        (tmp_path / "flipped.npz").write_bytes(flipped)
        refused(tmp_path / "flipped.npz", r"damaged|known layout")


@pytest.mark.parametrize(
    "wrong", [{"mean": ["a"]}, {"mean": [1.0]}, {"std": [0, 0, 0]}, {"crop": "x"}, {"crop": -1}]
)
def test_conventions_that_cannot_be_are_refused(wrong, state, tmp_path):
    plain = json.loads(to_metadata(Conventions())["allometry"]) | wrong
    save_weights(tmp_path / "w.safetensors", state, metadata={"allometry": json.dumps(plain)})
    refused(tmp_path / "w.safetensors", "must be")


def test_a_hub_that_says_nonsense_gives_one_sentence():
    for wrong in ({"crop_pct": "wide"}, {"input_size": 3}, {"mean": 5}, {"label_names": 5}):
        with pytest.raises(WeightsError, match=r"config\.json"):
            from_hub({"pretrained_cfg": wrong})


@pytest.mark.parametrize("name", ["proxylessnas-cpu", "proxylessnas-gpu"])
def test_places_without_a_block_are_counted_as_proxylessnas_does(name, tmp_path):
    network, gaps = get(name), {10, 11}
    numbers = [number for number in range(40) if number not in gaps]
    module = build(network, seed=1).eval()
    layout = next(each for each in LAYOUTS if each.names is once_for_all)
    names = names_in(layout, network, module.state_dict())
    tensors = {}
    for ours, theirs in names.items():
        first, number, *rest = theirs.split(".")
        if first == "blocks":
            theirs = ".".join([first, str(numbers[int(number)]), "mobile_inverted_conv", *rest[1:]])  # noqa: PLW2901
        tensors[theirs] = module.state_dict()[ours]
    torch.save({"state_dict": tensors}, tmp_path / "w.pth")
    loaded = load_pretrained(network, tmp_path / "w.pth")
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(loaded.module(images), module(images))


def test_crops_are_those_of_the_authors():
    def crop(name, layout, file=""):
        return round(conventions_of(get(name), layout, name=file).crop, 3)

    released = {"efficientnet-b1": 0.882, "efficientnet-b3": 0.904, "efficientnet-b7": 0.949}
    for name, share in released.items():
        assert crop(name, "efficientnet_pytorch") == crop(name, "timm", "tf_x") == share
    assert crop("efficientnet-lite2", "efficientnet_pytorch") == 0.89
    assert (crop("efficientnet-b1", "torchvision"), crop("efficientnet-b7", "torchvision")) == (0.938, 1.0)
    assert crop("efficientnetv2-m", "torchvision") == crop("efficientnetv2-m", "timm", "tf_x") == 1.0
    assert conventions_of(get("efficientnet-b2"), "torchvision").resolution == 288
    assert conventions_of(get("mnasnet-b1"), "torchvision").epsilon == 1e-5
    advprop = conventions_of(get("efficientnet-b0"), "timm", name="tf_efficientnet_b0.ap_in1k")
    assert advprop.mean == (0.5, 0.5, 0.5)


def test_our_own_files_are_of_one_network_only(tmp_path):
    save_pretrained(build(SMALL, seed=1), tmp_path / "own.safetensors", Conventions())
    load_pretrained(replace(SMALL, name="mine", resolution=64), tmp_path / "own.safetensors")
    for other in (
        replace(SMALL, stem=replace(SMALL.stem, stride=1)),
        replace(SMALL, stem=replace(SMALL.stem, activation="relu")),
        replace(SMALL, head=replace(SMALL.head, activation="relu")),
    ):
        with pytest.raises(WeightsError, match="strides or activations"):
            load_pretrained(other, tmp_path / "own.safetensors")


def test_conventions_go_by_the_form_and_not_by_the_name():
    lite = replace(get("efficientnet-lite0"), name="mine", resolution=64)
    assert conventions_of(lite, "efficientnet_pytorch") == conventions_of(
        get("efficientnet-lite0"), "efficientnet_pytorch"
    )
    misnamed = replace(get("efficientnet-b0"), name="efficientnet-lite0")
    assert conventions_of(misnamed, "efficientnet_pytorch").mean[0] == 0.485
    assert conventions_of(replace(get("efficientnet-b0"), name="mine"), "torchvision").epsilon == 1e-5


def test_a_size_that_somebody_chose_stays_and_guesses_are_told(tmp_path, state):
    names = names_in(next(layout for layout in LAYOUTS if layout.name == "timm"), SMALL, state)
    torch.save({theirs: state[ours] for ours, theirs in names.items()}, tmp_path / "w.pth")
    assert load_pretrained(replace(SMALL, resolution=96), tmp_path / "w.pth").network.resolution == 96
    assert load_pretrained(SMALL, tmp_path / "w.pth").changes == ()
    unknown = replace(SMALL, head=replace(SMALL.head, activation="relu"))
    assert "those of timm in general" in load_pretrained(unknown, tmp_path / "w.pth").changes[0]
