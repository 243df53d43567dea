"""The networks of other packages, chosen by a rule before any of them was tried.

Each package's own list (its registry, or its files sorted by name) falls into families: a family is a source file, or,
where a package has few files, what stands before the first `_` in a name. Of each family the first network takes part,
or the second or third where those before it need more than 6 billion MACs or 120 million parameters for one image or
cannot be made from their defaults; of all families the first N that have one.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.machinery import PathFinder
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision_layers import stand_in

MOST_MACS, MOST_PARAMS, TRIES = 6e9, 120e6, 3
MOBILE_VIT = [16, 32, 48, 48, 64, 64, 80, 80, 96, 96, 384]  # the channels of its XS


class Candidate(NamedTuple):
    """A network of a package's list."""

    family: str
    name: str


class Made(NamedTuple):
    """A network with random weights, and the size of its square images."""

    module: nn.Module
    pixels: int = 224


@dataclass(frozen=True)
class Package:
    """A package, and how its networks are found.

    Attributes:
        name: in the registry of packages.
        order: whose order decides, in words.
        most: how many of its families take part.
        candidates: its networks, in that order.
        make: a network by its name.
    """

    name: str
    order: str
    most: int
    candidates: Callable[[], Iterable[Candidate]]
    make: Callable[[str], Made]


def macs_of(module: nn.Module, *inputs: Any) -> float:  # noqa: ANN401 - whatever the module takes
    """Multiply-accumulates by PyTorch's own counter, which has nothing of ours in it."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(*inputs)
    return counter.get_total_flops() / 2


def chosen(package: Package) -> Iterator[tuple[str, str | None]]:
    """The networks of a package that take part, and those that were passed over with the reason."""
    found: set[str] = set()
    tries: Counter[str] = Counter()
    for family, name in package.candidates():
        if family in found or tries[family] == TRIES:
            continue
        tries[family] += 1
        reason = passed_over(package, name)
        yield name, reason
        if reason is None:
            found.add(family)
        if len(found) == package.most:
            return


def passed_over(package: Package, name: str) -> str | None:
    """Why a network takes no part, if it does not."""
    try:
        module, pixels = package.make(name)
        params = sum(tensor.numel() for tensor in module.parameters())
        if params > MOST_PARAMS:
            return f"{params / 1e6:.0f}M parameters"
        macs = macs_of(module.eval(), torch.zeros(1, 3, pixels, pixels))
    except Exception as error:  # whatever another package's code raises
        return f"{type(error).__name__}: {str(error).splitlines()[0][:100] if str(error) else ''}"
    return f"{macs / 1e9:.1f}G MACs" if macs > MOST_MACS else None


def _folder_of(package: str) -> Path:
    spec = PathFinder.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"the package {package} is not installed", name=package)
    return Path(next(iter(spec.submodule_search_locations)))


def _without_init(*names: str) -> None:
    """Make packages whose own `__init__` imports what is not installed, so that single files can be imported."""
    if names[0] in sys.modules:
        return
    base = _folder_of(names[0])
    for name in names:
        module = ModuleType(name)
        module.__path__ = [str(base.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = module


def _of(module: str, name: str) -> Any:  # noqa: ANN401 - whatever a module holds
    return getattr(importlib.import_module(module), name)


def _by_file(package: str, folder: str) -> Iterator[tuple[str, ModuleType]]:
    """The files of a package that can be imported, by name."""
    for file in sorted((_folder_of(package) / folder).glob("[a-z]*.py")):
        try:
            yield file.stem, importlib.import_module(f"{package}.{folder}.{file.stem}")
        except ImportError:
            continue


def _efficientnets() -> Iterator[Candidate]:
    return (Candidate(name, name) for name in _of("efficientnet_pytorch.model", "VALID_MODELS"))


def _efficientnet(name: str) -> Made:
    kind = _of("efficientnet_pytorch", "EfficientNet")
    return Made(kind.from_name(name), kind.get_image_size(name))


def _geffnets() -> Iterator[Candidate]:
    for file in ("gen_efficientnet", "mobilenetv3"):
        for name in _of(f"geffnet.{file}", "__all__"):
            if name.islower():
                yield Candidate(name.split("_")[0], name)


def _pytorchcv() -> dict[str, str]:
    """The lines `from .models.FILE import A, B, ...` of its registry, whose own import needs torchvision."""
    source = ast.parse((_folder_of("pytorchcv") / "model_provider.py").read_text(encoding="utf-8"))
    lines = [node for node in source.body if isinstance(node, ast.ImportFrom)]
    return {name.name: f"pytorchcv.{line.module}" for line in lines for name in line.names}


def _from_pytorchcv(name: str) -> Made:
    module = _of(_pytorchcv()[name], name)()
    return Made(module, getattr(module, "in_size", (224,))[0])


def _birder() -> dict[str, str]:
    """The networks that each file registers, by a look at its source; `_` begins files that hold no networks."""
    named = re.compile(r'register_model_config\(\s*"([^"]+)"')
    found: dict[str, str] = {}
    for file in sorted((_folder_of("birder") / "net").glob("[a-z]*.py")):
        found |= dict.fromkeys(named.findall(file.read_text(encoding="utf-8")), file.stem)
    return found


def _from_birder(name: str) -> Made:
    stand_in()
    _without_init("birder", "birder.net", "birder.common")
    importlib.import_module(f"birder.net.{_birder()[name]}")
    module = _of("birder.model_registry", "registry").net_factory(name, 1000)
    return Made(module, module.size[0])


def _encoders() -> dict[str, tuple[str, Any]]:
    _without_init("segmentation_models_pytorch", "segmentation_models_pytorch.encoders")
    found: dict[str, tuple[str, Any]] = {}
    for file, module in _by_file("segmentation_models_pytorch", "encoders"):
        for key, entries in vars(module).items():
            if key.endswith("_encoders"):
                found |= {name: (file, entry) for name, entry in entries.items()}
    return found


class Encoded(nn.Module):
    """An encoder of feature maps, with a classifier on the means of all of them."""

    def __init__(self, encoder: nn.Module, widths: Sequence[int]) -> None:
        super().__init__()
        self.encoder, self.head = encoder, nn.Linear(sum(widths), 1000)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        maps = self.encoder(x)[1:]  # without the image itself
        logits: Tensor = self.head(torch.cat([found.mean((2, 3)) for found in maps], 1))
        return logits


def _encoder(name: str) -> Made:
    _, entry = _encoders()[name]
    encoder = entry["encoder"](**entry["params"], depth=5, output_stride=32)
    return Made(Encoded(encoder, encoder.out_channels[1:]))


def _pretrainedmodels() -> dict[str, ModuleType]:
    _without_init("pretrainedmodels", "pretrainedmodels.models")
    files = list(_by_file("pretrainedmodels", "models"))
    return {name: module for _, module in files for name in getattr(module, "pretrained_settings", {})}


def _from_pretrainedmodels(name: str) -> Made:
    module = _pretrainedmodels()[name]
    size = next(iter(module.pretrained_settings[name].values()))["input_size"]
    return Made(getattr(module, name)(pretrained=None), size[-1])


def _classifiers() -> dict[str, Any]:
    return dict(_of("transformers.models.auto.modeling_auto", "MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES"))


def _from_transformers(name: str) -> Made:
    found = _classifiers()[name]
    config = _of("transformers", "AutoConfig").for_model(name)
    size = getattr(config, "image_size", None) or 224
    kind = _of("transformers", found if isinstance(found, str) else found[0])
    return Made(kind(config), size if isinstance(size, int) else size[0])


def _monai() -> dict[str, Any]:
    """The classes that can be made for two dimensions from numbers of channels alone."""
    known = {"spatial_dims", "in_channels", "out_channels", "num_classes", "args", "kwargs"}
    found: dict[str, Any] = {}
    kinds = vars(importlib.import_module("monai.networks.nets"))
    for name in sorted(kinds):
        if isinstance(kinds[name], type) and kinds[name] not in found.values():
            parameters = inspect.signature(kinds[name]).parameters
            needed = {key for key, value in parameters.items() if value.default is value.empty}
            if needed <= known and "spatial_dims" in parameters:
                found[name] = kinds[name]
    return found


def _from_monai(name: str) -> Made:
    kind = _monai()[name]
    options = {"spatial_dims": 2, "in_channels": 3, "out_channels": 10, "num_classes": 10}
    parameters = inspect.signature(kind).parameters
    return Made(kind(**{key: value for key, value in options.items() if key in parameters}))


# Packages of one network, or of one family: how its smallest is made. Sizes come from the package's own example.
SINGLE: dict[str, tuple[Any, ...]] = {
    "alexnet-pytorch": ("alexnet_pytorch", "AlexNet.from_name", "alexnet"),
    "augshufflenet-pytorch": ("augshufflenet_pytorch", "AugShuffleNet0_5x"),
    "densenet-pytorch": ("densenet_pytorch", "DenseNet.from_name", "densenet121"),
    "efficientnet-lite-pytorch": (
        "efficientnet_lite_pytorch",
        "EfficientNet.from_name",
        "efficientnet-lite0",
    ),
    "facenet-pytorch": ("facenet_pytorch.models.inception_resnet_v1", "InceptionResnetV1", None, True, 1000),
    "googlenet-pytorch": ("googlenet_pytorch", "GoogLeNet.from_name", "googlenet"),
    "kornia": ("kornia.models.tiny_vit", "TinyViT.from_config", "5m"),
    "repvgg-pytorch": ("repvgg_pytorch.repvgg", "create_RepVGG_A0"),
    "resnest": ("resnest.torch", "resnest50"),
    "resnet-pytorch": ("resnet_pytorch", "ResNet.from_name", "resnet18"),
    "torch-resnet": ("torch_resnet", "ResNet18"),
    "vit-pytorch": ("vit_pytorch.mobile_vit", "MobileViT", (256, 256), [96, 120, 144], MOBILE_VIT, 1000),
}


def _single(name: str) -> Made:
    module, path, *values = SINGLE[name]
    _without_init("facenet_pytorch", "facenet_pytorch.models")
    _without_init("vit_pytorch")
    made = attrgetter(path)(importlib.import_module(module))
    return Made(made(*values), 256 if name == "vit-pytorch" else 224)


def packages() -> list[Package]:
    """All packages of the survey."""
    return [
        Package("efficientnet_pytorch", "`VALID_MODELS`", 4, _efficientnets, _efficientnet),
        Package("geffnet", "`__all__`", 9, _geffnets, lambda name: Made(_of("geffnet", name)())),
        Package(
            "pytorchcv",
            "the lines of its registry",
            54,
            lambda: (Candidate(file, name) for name, file in _pytorchcv().items()),
            _from_pytorchcv,
        ),
        Package(
            "birder",
            "files by name",
            30,
            lambda: (Candidate(file, name) for name, file in _birder().items()),
            _from_birder,
        ),
        Package(
            "segmentation_models_pytorch",
            "files of encoders by name",
            7,
            lambda: (Candidate(file, name) for name, (file, _) in _encoders().items()),
            _encoder,
        ),
        Package(
            "pretrainedmodels",
            "files by name",
            8,
            lambda: (Candidate(module.__name__, name) for name, module in _pretrainedmodels().items()),
            _from_pretrainedmodels,
        ),
        Package(
            "transformers",
            "the registry of image classifiers",
            14,
            lambda: (Candidate(name, name) for name in _classifiers()),
            _from_transformers,
        ),
        Package(
            "monai",
            "classes by name",
            6,
            lambda: (Candidate(kind.__module__, name) for name, kind in _monai().items()),
            _from_monai,
        ),
        Package(
            "single packages",
            "the smallest network of each",
            len(SINGLE),
            lambda: (Candidate(name, name) for name in SINGLE),
            _single,
        ),
    ]


def package_of(name: str) -> Package:
    """A package by its name."""
    return next(package for package in packages() if package.name == name)


def make(package: str, name: str) -> nn.Module:
    """A network of a package: what a plan is replayed on."""
    return package_of(package).make(name).module
