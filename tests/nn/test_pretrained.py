"""Published weights: names, conventions, and files that must not be loaded."""

import hashlib
import json
import os
import pickle
import sys
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from allometry.base import InputError, MissingExtraError, WeightsError
from allometry.catalog import get
from allometry.nn import (
    Conventions,
    ConvNet,
    build,
    imagenet_classes,
    load_pretrained,
    read_weights,
    save_pretrained,
    save_weights,
)
from allometry.nn.pretrained.layouts import LAYOUTS
from allometry.nn.pretrained.matching import names_in

GOLDEN = json.loads((Path(__file__).parent.parent / "golden" / "layouts.json").read_text())["networks"]
SMALL = get("mobilenetv3-small")
READ = [
    ("efficientnet-b0", "timm"),
    ("efficientnet-b0", "torchvision"),
    ("efficientnet-b0", "efficientnet_pytorch"),
    ("efficientnet-b0", "TensorFlow"),
    ("efficientnet-lite0", "efficientnet_pytorch"),
    ("efficientnetv2-b0", "timm"),
    ("efficientnetv2-b0", "torchvision"),
    ("efficientnetv2-b0", "TensorFlow"),
    ("mnasnet-a1", "TensorFlow"),
    ("mnasnet-b1", "torchvision"),
    ("mobilenetv1", "timm"),
    ("mobilenetv2", "torchvision"),
    ("mobilenetv3-small", "timm"),
    ("mobilenetv3-small", "torchvision"),
    ("mobilenetv4-conv-small", "timm"),
    ("ofa-lg-8", "Once-for-All"),
    ("proxylessnas-cpu", "Once-for-All"),
    ("resnet-18", "timm"),
    pytest.param("resnext-50-32x4d", "timm", marks=pytest.mark.slow),
    ("regnety-200mf", "timm"),
    pytest.param("regnetx-200mf", "torchvision", marks=pytest.mark.slow),
    pytest.param("densenet-121", "torchvision", marks=pytest.mark.slow),
    pytest.param("se-resnet-50", "timm", marks=pytest.mark.slow),
    pytest.param("inception-v3", "timm", marks=pytest.mark.slow),
    pytest.param("inception-v4", "timm", marks=pytest.mark.slow),
    pytest.param("xception", "timm", marks=pytest.mark.slow),
    pytest.param("nasnet-a-large", "timm", marks=pytest.mark.slow),
    pytest.param("pnasnet-5-large", "timm", marks=pytest.mark.slow),
    ("se-resnet-50", "allometry"),
]


def theirs(network, layout_name):
    """A network's random weights under another library's names, and ours."""
    module = build(network, seed=3).eval()
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, torch.nn.BatchNorm2d):
                part.running_var.copy_(torch.rand(part.num_features, generator=generator) + 0.5)
                part.running_mean.copy_(0.1 * torch.randn(part.num_features, generator=generator))
    state = module.state_dict()
    for layout in LAYOUTS:
        names = names_in(layout, network, state) if layout.name == layout_name else None
        # Of torchvision's several kinds of names, the one that has this network.
        if names is not None and len(set(names.values())) == len(names) and fits(network, layout):
            return module, {name: state[ours].clone() for ours, name in names.items()}
    raise AssertionError(f"{layout_name} has no {network.name}")


def fits(network, layout):
    known = {
        "torchvision_mobilenet_v2": network.name == "mobilenetv2",
        "torchvision_mnasnet": network.name.startswith("mnasnet"),
        "torchvision_densenet": network.name.startswith("densenet"),
    }
    if network.name.startswith("pnasnet"):
        return layout.names.__name__ == "pnasnet"
    special = network.name == "mobilenetv2" or network.name.startswith(("mnasnet", "densenet"))
    return known.get(layout.names.__name__, layout.name != "torchvision" or not special)


def to_tensorflow(tensors):
    """PyTorch's names and axes turned into a checkpoint's, by the table of the released converter."""
    suffixes = {"bias": "bias", "running_mean": "moving_mean", "running_var": "moving_variance"}
    arrays = {"global_step": np.zeros(())}
    for name, tensor in tensors.items():
        *path, suffix = name.split(".")
        array = tensor.numpy()
        if "batch_normalization" in path[-1]:
            path[-1] = path[-1].replace("batch_normalization", "tpu_batch_normalization")
            suffix = {"weight": "gamma", "bias": "beta"}.get(suffix) or suffixes[suffix]
        elif suffix == "weight" and "depthwise" in path[-1]:
            suffix, array = "depthwise_kernel", array.transpose(2, 3, 0, 1)
        elif suffix == "weight":
            suffix, array = "kernel", array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T
        full = "/".join(["efficientnet-b0", *path, suffix])
        arrays[full] = np.zeros_like(array)  # not the averaged value: not to be taken
        arrays[f"{full}/ExponentialMovingAverage"] = array
    return arrays


@pytest.mark.slow
@pytest.mark.parametrize(("name", "layout"), READ)
def test_weights_are_read_by_everybodys_names(name, layout, tmp_path):
    network = get(name)
    module, tensors = theirs(network, layout)
    if layout == "TensorFlow":
        path = tmp_path / "weights.npz"
        np.savez(path, **to_tensorflow(tensors))
    else:
        path = tmp_path / "weights.pth"
        torch.save(
            {"epoch": 3, "state_dict": {f"module.{key}": value for key, value in tensors.items()}}, path
        )
    loaded = load_pretrained(network, path, padding=network.padding, epsilon=network.batch_norm.epsilon)
    assert loaded.layout == layout
    assert loaded.changes == ()
    if network.name == "inception-v3":
        # Its published weights want mean pools that count padding: the same weights in the network that was settled.
        assert loaded.conventions.counts_padding
        state, module = module.state_dict(), build(loaded.network).eval()
        module.load_state_dict(state)
    images = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        assert torch.equal(loaded.module(images), module(images))


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: f"{golden['network']}-{golden['layout']}")
def test_names_and_shapes_are_those_of_the_other_library(golden):
    network = get(golden["network"])
    with torch.device("meta"):
        shapes = {key: list(value.shape) for key, value in ConvNet(network).state_dict().items()}
    if network.head.hidden:
        shapes["hidden.0.weight"] += [1, 1]  # timm has a 1x1 convolution there
    digests = set()
    for layout in LAYOUTS:
        names = names_in(layout, network, shapes) if layout.name == golden["layout"] else None
        if names is not None:
            lines = sorted(f"{theirs} {shapes[ours]}" for ours, theirs in names.items())
            digests.add(hashlib.sha256("\n".join(lines).encode()).hexdigest())
    assert golden["names"] in digests


def test_conventions_come_along(tmp_path):
    def conventions(name, layout, file="weights.pth"):
        _, tensors = theirs(get(name), layout)
        torch.save(tensors, tmp_path / file)
        loaded = load_pretrained(get(name), tmp_path / file)
        return loaded.network.padding, loaded.network.batch_norm.epsilon, round(loaded.conventions.mean[0], 3)

    assert conventions("efficientnet-lite0", "efficientnet_pytorch") == ("same", 1e-3, 0.498)
    assert conventions("efficientnet-b0", "efficientnet_pytorch") == ("same", 1e-3, 0.485)
    assert conventions("efficientnet-b0", "torchvision") == ("symmetric", 1e-5, 0.485)
    assert conventions("efficientnet-b0", "timm") == ("symmetric", 1e-5, 0.485)
    assert conventions("efficientnet-b0", "timm", "tf_efficientnet_b0.pth") == ("same", 1e-3, 0.485)
    assert conventions("mobilenetv3-small", "torchvision") == ("symmetric", 1e-3, 0.485)


def test_our_own_file_carries_everything(tmp_path):
    path = tmp_path / "own.safetensors"
    network = replace(SMALL, head=replace(SMALL.head, classes=3), resolution=96)
    module = build(network, seed=5).eval()
    own = Conventions(
        padding="same", epsilon=1e-4, resolution=160, mean=HALF, std=HALF, crop=1.0, classes=CATS
    )
    save_pretrained(module, path, own)
    loaded = load_pretrained(SMALL, path)
    assert loaded.conventions == own
    assert (loaded.network.padding, loaded.network.resolution, loaded.network.head.classes) == (
        "same",
        160,
        3,
    )
    assert loaded.network.batch_norm.epsilon == 1e-4
    assert torch.equal(loaded.module.classifier.weight, module.classifier.weight)


HALF, CATS = (0.5, 0.5, 0.5), ("tabby", "tiger", "lynx")


@pytest.fixture
def small_file(tmp_path):
    path = tmp_path / "small.safetensors"
    save_file(build(SMALL, seed=1).state_dict(), path)
    return path


def test_other_classes_replace_the_classifier_only(small_file):
    whole, ours = load_pretrained(SMALL, small_file), load_pretrained(SMALL, small_file, classes=7, seed=2)
    assert ours.network.head.classes == 7
    assert ours.changes == ("The classifier is new: 7 classes instead of 1000.",)
    assert ours.conventions.classes == ()
    assert whole.conventions.classes == imagenet_classes()
    for name, tensor in ours.module.state_dict().items():
        assert name.startswith("classifier") or torch.equal(tensor, whole.module.state_dict()[name])
    again = load_pretrained(SMALL, small_file, classes=7, seed=2)
    assert torch.equal(again.module.classifier.weight, ours.module.classifier.weight)
    assert not torch.equal(
        load_pretrained(SMALL, small_file, classes=7, seed=3).module.classifier.weight,
        ours.module.classifier.weight,
    )


@pytest.mark.parametrize("channels", [1, 4])
def test_other_channels_see_what_color_saw_of_a_gray_image(small_file, channels):
    color, other = (
        load_pretrained(SMALL, small_file),
        load_pretrained(SMALL, small_file, in_channels=channels),
    )
    assert other.network.in_channels == channels
    assert len(other.conventions.mean) == len(other.conventions.std) == channels
    words = "1 channel" if channels == 1 else "4 channels"
    assert other.changes == (f"The stem takes {words} instead of 3.",)
    gray = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(
            other.module(gray.expand(2, channels, 64, 64)), color.module(gray.expand(2, 3, 64, 64))
        )


def test_any_input_size_works(small_file):
    module = load_pretrained(SMALL, small_file).module
    assert module(torch.zeros(1, 3, 130, 97)).shape == (1, 1000)


class Harmful:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def damaged(state, tmp_path):
    """Files of which nothing must be loaded, with what the sentence must say."""
    weights = dict(state)
    torch.save(weights, tmp_path / "whole.pth")
    (tmp_path / "short.pth").write_bytes((tmp_path / "whole.pth").read_bytes()[:-2000])
    save_file(weights, tmp_path / "whole.safetensors")
    (tmp_path / "short.safetensors").write_bytes((tmp_path / "whole.safetensors").read_bytes()[:-2000])
    torch.save({"weights": Harmful(tmp_path / "made by code")}, tmp_path / "harmful.pth")
    (tmp_path / "harmful.pkl").write_bytes(pickle.dumps(Harmful(tmp_path / "made by code")))
    np.savez(tmp_path / "harmful.npz", weights=np.array([Harmful(tmp_path / "made by code")], dtype=object))
    (tmp_path / "text.pth").write_text("hello")
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save({"epoch": 3}, tmp_path / "empty.pth")
    torch.save({**weights, "classifier.bias": torch.full((1000,), torch.nan)}, tmp_path / "nan.pth")
    torch.save({**weights, "head.0.weight": torch.zeros(7, 96, 1, 1)}, tmp_path / "shape.pth")
    torch.save({**weights, "more": torch.zeros(1)}, tmp_path / "more.pth")
    torch.save({name: value for name, value in weights.items() if "head" not in name}, tmp_path / "less.pth")
    torch.save(build(get("resnet-18")).state_dict(), tmp_path / "other.pth")
    return {
        "missing.pth": "There is no file",
        "short.pth": "damaged",
        "short.safetensors": "damaged",
        "harmful.pth": "could run code",
        "harmful.pkl": "could run code",
        "harmful.npz": "more than plain arrays",
        "text.pth": "no file of weights",
        "list.pth": "a list, not weights",
        "empty.pth": "no tensors",
        "nan.pth": "not finite in classifier.bias",
        "shape.pth": "head.0.weight is 7 x 96 x 1 x 1 in the file and 576 x 96 x 1 x 1 in the network",
        "more.pth": r"1 tensors are left over \(more\)",
        "less.pth": r"5 tensors are missing \(head.0.weight",
        "other.pth": "does not hold the weights of mobilenetv3-small",
    }


def test_what_is_damaged_dangerous_or_of_another_network_gives_one_sentence(tmp_path):
    for file, words in damaged(build(SMALL, seed=1).state_dict(), tmp_path).items():
        with pytest.raises(WeightsError, match=words) as caught:
            load_pretrained(SMALL, tmp_path / file)
        text = str(caught.value)
        assert "\n" not in text
        assert text.endswith((".", "!"))
    assert not (tmp_path / "made by code").exists()


@pytest.mark.parametrize("weights", [{}, torch.nn.ReLU()])
def test_a_file_without_weights_is_not_written(weights, tmp_path):
    path = tmp_path / "none.safetensors"
    with pytest.raises(
        WeightsError, match=r"no weights to write into .*none\.safetensors: give a tensor or more"
    ):
        save_weights(path, weights)
    assert not path.exists()


def test_the_hub_by_name(monkeypatch, tmp_path, small_file):
    config = {"pretrained_cfg": {"input_size": [3, 160, 160], "crop_pct": 0.9, "mean": HALF, "std": HALF}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    asked = []

    def hf_hub_download(repository, name, **options):
        asked.append((repository, name, options))
        if repository == "timm/none" or name == "pytorch_model.bin":
            raise OSError("404 Client Error\nlong story")
        return str({"model.safetensors": small_file, "config.json": tmp_path / "config.json"}[name])

    hub = types.ModuleType("huggingface_hub")
    hub.hf_hub_download = hf_hub_download
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    loaded = load_pretrained(SMALL, "hf://timm/tf_mobilenetv3_small_100.in1k@main")
    assert asked[0] == ("timm/tf_mobilenetv3_small_100.in1k", "model.safetensors", {"revision": "main"})
    assert (loaded.network.resolution, loaded.conventions.crop, loaded.conventions.mean) == (160, 0.9, HALF)
    with pytest.raises(WeightsError, match=r"Cannot fetch hf://timm/none: 404 Client Error$"):
        load_pretrained(SMALL, "hf://timm/none")
    with pytest.raises(InputError, match="hf://owner/name"):
        load_pretrained(SMALL, "hf://timm")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError, match=r"allometry\[hub\]"):
        load_pretrained(SMALL, "hf://timm/mobilenetv3_small_100")


def test_names_of_classes_are_distinct():
    names = imagenet_classes()
    assert len(set(names)) == 1000
    assert (names[559], names[22]) == ("folding chair", "bald eagle")


def test_half_precision_is_read_as_single(tmp_path):
    path = tmp_path / "half.safetensors"
    state = {
        name: value.half() if value.is_floating_point() else value
        for name, value in build(SMALL).state_dict().items()
    }
    save_file(state, path)
    assert read_weights(path).tensors["classifier.weight"].dtype == torch.float16
    assert load_pretrained(SMALL, path).module.classifier.weight.dtype == torch.float32


def test_equal_weights_are_equal_files(tmp_path):
    """Whatever the order in which the library writes what is said of them."""
    weights = {"b": torch.ones(2), "ä": torch.zeros(3, dtype=torch.float16)}
    about = {name: f"{name}/\u00e9\n" for name in ("identity", "allometry", "another", "one", "more")}
    for number in range(4):
        save_weights(
            tmp_path / f"{number}.safetensors",
            weights,
            metadata=dict(sorted(about.items(), reverse=number % 2)),
        )
    files = {(tmp_path / f"{number}.safetensors").read_bytes() for number in range(4)}
    assert len(files) == 1
    raw = read_weights(tmp_path / "0.safetensors")
    assert raw.metadata.items() >= about.items()
    assert all(torch.equal(raw.tensors[name], tensor) for name, tensor in weights.items())
