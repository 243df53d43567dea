"""Where the work runs, and in which precision."""

from __future__ import annotations

import inspect
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn

from allometry.base import InputError
from allometry.base.machine import processor
from allometry.base.units import plural
from allometry.training.recipes import Recipe


def resolve_device(name: str | None = None, *, local: int = 0) -> torch.device:
    """The device of that name; without one the GPU number `local`, else the CPU.

    Raises:
        InputError: no such device here.

    Example:
        >>> resolve_device("cpu")
        device(type='cpu')
    """
    if name is None:
        return torch.device("cuda", local) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"No device is called {name!r}; possible: cpu, cuda, cuda:0, ...") from error
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"Training runs on cpu or cuda, not on {device.type!r}.")
    if device == torch.device("cuda"):
        device = torch.device("cuda", local)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"This machine has {torch.cuda.device_count()} CUDA devices; {name!r} is not among them."
        )
    return device


def describe_device(device: torch.device) -> str:
    """The device in words, for cost logs and reports.

    Example:
        >>> "thread" in describe_device(torch.device("cpu"))
        True
    """
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{processor()}, {plural(torch.get_num_threads(), 'thread')}"


def uses_bfloat16(recipe: Recipe, device: torch.device) -> bool:
    """Whether convolutions compute in bfloat16: where it is asked for, and by itself where a GPU is fast at it.

    Example:
        >>> uses_bfloat16(Recipe(epochs=1), torch.device("cpu"))
        False
    """
    fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return recipe.precision == "bfloat16" or (recipe.precision == "auto" and fast)


def compile_layer(module: nn.Module) -> None:
    """Let `torch.compile` write a layer of a network whose steps take different paths.

    Such a network as a whole would be compiled anew for every path. Layers of one kind share their code, of which
    `torch.compile` keeps eight versions unless each layer is told to have its own.
    """
    own = "isolate_recompiles" in inspect.signature(torch.compile).parameters
    module.compile(**({"isolate_recompiles": True} if own else {}))


def autocast(recipe: Recipe, device: torch.device) -> AbstractContextManager[Any]:
    """The recipe's precision as a context.

    Example:
        >>> recipe = Recipe(epochs=1, precision="bfloat16")
        >>> with autocast(recipe, torch.device("cpu")):
        ...     (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
        torch.bfloat16
    """
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=uses_bfloat16(recipe, device))
