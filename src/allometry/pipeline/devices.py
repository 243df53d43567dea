"""Where the work runs."""

from __future__ import annotations

import torch

from allometry.arch import Network
from allometry.base import InputError
from allometry.base.machine import processor
from allometry.base.units import plural
from allometry.cost import count
from allometry.cost.count import FLOAT_BYTES

_COPIES = 4  # weights, gradients and the optimizer's two moments


def find_device(name: str | None = None, *, local: int = 0) -> torch.device:
    """The device of that name; without one the GPU number `local`, else the CPU.

    Raises:
        InputError: no such device here.

    Example:
        >>> find_device("cpu")
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
    """The device in words, for ledgers and reports.

    Example:
        >>> "thread" in describe_device(torch.device("cpu"))
        True
    """
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{processor()}, {plural(torch.get_num_threads(), 'thread')}"


def least_memory(network: Network, images: int) -> int:
    """Bytes that a step holds at the very least: every convolution's output for all images, each weight four times.

    Example:
        >>> from allometry.zoo import get
        >>> least_memory(get("efficientnet-b0"), 64)
        1811857984
    """
    cost = count(network)
    return FLOAT_BYTES * (_COPIES * cost.params + images * cost.activations)
