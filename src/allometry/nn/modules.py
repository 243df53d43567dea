"""Torch modules that are not made from our data: a user's own, and timm's."""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from allometry.base import InputError, UnknownNameError
from allometry.base.extras import load_extra
from allometry.base.text import shown
from allometry.catalog import names_module
from allometry.nn.pretrained.conventions import from_hub

_TIMM = "timm:"


class ModuleCost(NamedTuple):
    """What a module costs for one image; the same measures as `allometry.cost.Cost`, by watching it run.

    Attributes:
        params: trainable parameters.
        macs: multiply-accumulates of convolutions, linear layers and other matrix products.
        activations: elements of all convolution outputs.

    Example:
        >>> count_module(nn.Conv2d(3, 8, 3, padding=1), resolution=8)
        ModuleCost(params=224, macs=13824, activations=512)
    """

    params: int
    macs: int
    activations: int


class ModulePart(NamedTuple):
    """One line of a module's table: a child with what it costs.

    Attributes:
        name: of the child.
        kind: its class.
        params: trainable parameters.
        macs: as in `ModuleCost`.

    Example:
        >>> watch_module(nn.Sequential(nn.Flatten(), nn.Linear(192, 2)), resolution=8).parts[1]
        ModulePart(name='1', kind='Linear', params=386, macs=384)
    """

    name: str
    kind: str
    params: int
    macs: int


class ModuleReport(NamedTuple):
    """What came of watching a module.

    Attributes:
        cost: of the whole.
        parts: its children.
        outputs: numbers that it gives for one image; None where it gives several tensors, as a backbone does.

    Example:
        >>> report = watch_module(nn.Sequential(nn.Flatten(), nn.Linear(192, 2)), resolution=8)
        >>> report.cost, report.outputs
        (ModuleCost(params=386, macs=384, activations=0), 2)
    """

    cost: ModuleCost
    parts: tuple[ModulePart, ...]
    outputs: int | None


def open_module(text: str) -> nn.Module:
    """Make the torch module that a user names, with its own initial weights.

    Args:
        text: `timm:NAME` (needs the extra `timm`), or `package.module:factory`, where the factory takes no
            arguments and gives a module. The package is imported, and so run: name only what you trust.

    Raises:
        MissingExtraError: timm is not installed or cannot be imported.
        UnknownNameError: timm has no such network, or the package no such factory; the message has the nearest names.
        InputError: there is no such package, its code fails, or the factory does not give a module.

    Example:
        >>> open_module("torch.nn:Identity")
        Identity()
        >>> open_module("torch.nn:Identty")
        Traceback (most recent call last):
            ...
        allometry.base.errors.UnknownNameError: No factory of torch.nn is named 'Identty'. Did you mean ...
    """
    if text.startswith(_TIMM):
        return _open_timm(text.removeprefix(_TIMM))
    if not names_module(text):
        raise InputError(f"A torch module is named as package.module:factory, not {shown(text)}.")
    package, _, name = text.partition(":")
    try:
        imported = importlib.import_module(package)
    except ImportError as error:
        raise InputError(f"Cannot import {package}: {error}. Is it on the path (PYTHONPATH)?") from error
    except Exception as error:  # whatever the code of others raises
        raise InputError(
            f"Cannot import {package}: its code raises {type(error).__name__}: {error}."
        ) from error
    factory = getattr(imported, name, None)
    if not callable(factory):
        factories = [own for own, value in vars(imported).items() if callable(value) and own[:1] != "_"]
        raise UnknownNameError(f"factory of {package}", name, factories)
    try:
        made = factory()
    except TypeError as error:
        raise InputError(f"{text} cannot be called without arguments: {error}.") from error
    except Exception as error:
        raise InputError(f"{text} gives no module: it raises {type(error).__name__}: {error}.") from error
    if not isinstance(made, nn.Module):
        raise InputError(f"{text} gives a {type(made).__name__}, not a torch module.")
    return made


def timm_config(module: nn.Module) -> dict[str, Any]:
    """What a timm module says of its input, by the names of `Conventions`; nothing of any other module.

    Example:
        >>> timm_config(nn.Identity())
        {}
    """
    config: Any = getattr(module, "pretrained_cfg", None)
    return from_hub(config) if isinstance(config, dict) else {}


def input_channels(module: nn.Module) -> int | None:
    """Channels that a module's first convolution takes; None where it has none.

    Example:
        >>> input_channels(nn.Sequential(nn.Conv2d(1, 8, 3), nn.Conv2d(8, 8, 3)))
        1
    """
    first = next((part for part in module.modules() if isinstance(part, nn.Conv2d)), None)
    return None if first is None else first.in_channels


def count_module(module: nn.Module, *, resolution: int = 224, in_channels: int = 3) -> ModuleCost:
    """Count what any module costs for one image; `watch_module` says more.

    Raises:
        InputError: the module does not run on such an input.

    Example:
        >>> from allometry.nn import build
        >>> from allometry.catalog import get
        >>> count_module(build(get("efficientnet-b0")))
        ModuleCost(params=5288548, macs=385814752, activations=6747036)
    """
    return watch_module(module, resolution=resolution, in_channels=in_channels).cost


def watch_module(module: nn.Module, *, resolution: int = 224, in_channels: int = 3) -> ModuleReport:
    """Watch any module work on one image, on shapes alone: nothing is computed, and it is left as it was.

    Args:
        module: takes [N, in_channels, resolution, resolution].
        resolution: side of the input in pixels.
        in_channels: channels of the input.

    Raises:
        InputError: the module does not run on such an input, or gives something other than tensors.

    Example:
        >>> from allometry.nn import build
        >>> from allometry.catalog import get
        >>> report = watch_module(build(get("efficientnet-b0")))
        >>> [part.name for part in report.parts if part.params], report.outputs
        (['stem', 'stages', 'head', 'classifier'], 1000)
    """
    elements = 0

    def add(_part: nn.Module, _inputs: Any, output: Tensor) -> None:  # noqa: ANN401 - whatever a layer takes
        nonlocal elements
        elements += output.numel()

    kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
    hooks = [part.register_forward_hook(add) for part in module.modules() if isinstance(part, kinds)]
    modes = {part: part.training for part in module.modules()}
    try:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            outputs = _run_on_shapes(module.eval(), resolution, in_channels)
    finally:
        for hook in hooks:
            hook.remove()
        for part, training in modes.items():
            part.training = training
    macs = {str(name): sum(counts.values()) // 2 for name, counts in counter.get_flop_counts().items()}
    root = type(module).__name__
    parts = tuple(
        ModulePart(name, type(child).__name__, _params(child), macs.get(f"{root}.{name}", 0))
        for name, child in module.named_children()
    )
    cost = ModuleCost(_params(module), counter.get_total_flops() // 2, elements)
    return ModuleReport(cost, parts, outputs)


def _run_on_shapes(module: nn.Module, resolution: int, in_channels: int) -> int | None:
    """How many numbers the module gives for an image, on the meta device; None where it gives several tensors."""
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    dtype = next((parameter.dtype for parameter in module.parameters()), torch.float32)
    image = torch.zeros(1, in_channels, resolution, resolution, device="meta", dtype=dtype)
    shape = f"{in_channels} x {resolution} x {resolution}"
    try:
        shapes = {name: tensor.to("meta") for name, tensor in tensors.items()}
        output = functional_call(module, shapes, (image,))
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:
        raise InputError(f"The module does not run on one image of {shape}: {error}") from error
    if isinstance(output, Tensor):
        return output.numel()
    if not isinstance(output, list | tuple) or not all(isinstance(part, Tensor) for part in output):
        raise InputError(
            f"The module gives a {type(output).__name__} for an image, not one tensor or several."
        )
    return None


def _params(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


def _open_timm(name: str) -> nn.Module:
    timm = load_extra("timm", extra="timm", asker=f"timm:{name}")
    try:
        made: nn.Module = timm.create_model(name, pretrained=False)
    except RuntimeError as error:
        raise UnknownNameError("network of timm", name, timm.list_models()) from error
    return made
