"""Where the work runs."""

from __future__ import annotations

import torch

from allometry.base import InputError
from allometry.base.runs import processor


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
