"""Where the work runs."""

from __future__ import annotations

import torch

from allometry.arch import Network
from allometry.base import BudgetError, InputError
from allometry.base.machine import memory, processor
from allometry.base.units import format_quantity
from allometry.cost import count
from allometry.cost.count import FLOAT_BYTES

_COPIES = 4  # weights, gradients and the optimiser's two moments


def find_device(name: str | None = None) -> torch.device:
    """The device of that name; without one the first GPU, else the CPU.

    Raises:
        InputError: no such device here.

    Example:
        >>> find_device("cpu")
        device(type='cpu')
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"No device is called {name!r}; possible: cpu, cuda, cuda:0, ...") from error
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"Training runs on cpu or cuda, not on {device.type!r}.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"This machine has {torch.cuda.device_count()} CUDA devices; {name!r} is not among them."
        )
    return device


def describe_device(device: torch.device) -> str:
    """The device in words, for ledgers and reports.

    Example:
        >>> "threads" in describe_device(torch.device("cpu"))
        True
    """
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{processor()}, {torch.get_num_threads()} threads"


def refuse_too_large(network: Network, *, batch_size: int, device: torch.device) -> None:
    """Refuse a training that the device's memory cannot hold, before it starts.

    The least that a step holds: every convolution's output for the whole batch, and each weight four times.

    Raises:
        BudgetError: it is more than the device has.

    Example:
        >>> from allometry.zoo import get
        >>> refuse_too_large(get("efficientnet-b0"), batch_size=1, device=torch.device("cpu"))
    """
    cost = count(network)
    needed = FLOAT_BYTES * (_COPIES * cost.params + batch_size * cost.activations)
    there = torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else memory()
    if needed > there:
        raise BudgetError(
            f"Training {network.name or 'this network'} with {batch_size} images a step holds at least "
            f"{format_quantity(needed, unit='B')}, and {device.type} has {format_quantity(there, unit='B')}. "
            "Lower the budget, or the batch with --set batch_size=..."
        )
