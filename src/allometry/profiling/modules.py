"""Torch modules as files, for the process in which they run."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path

import torch
from torch import nn

from allometry.base import InputError


def write_module(
    module: nn.Module,
    folder: Path,
    *,
    runtime: str,
    shape: tuple[int, int, int, int],
    precision: str = "float32",
    device: str = "cpu",
) -> Path:
    """Write a module as the file that a runtime reads: of ONNX, or a graph of `torch.export`.

    A class that is defined in a notebook, say, cannot be imported elsewhere, and a graph does not need it. The module
    itself stays as it is.

    Args:
        module: takes [N, channels, height, width].
        folder: is made; the file is put there.
        runtime: that will run it.
        shape: of its input.
        precision: of its arithmetic.
        device: on which it runs.

    Raises:
        InputError: the module does not run on such an input, or its graph depends on what the image shows.

    Example:
        >>> import tempfile
        >>> layer = nn.Conv2d(3, 8, 3)
        >>> write_module(layer, Path(tempfile.mkdtemp()), runtime="torch", shape=(1, 3, 8, 8)).name
        'module.pt2'
    """
    folder.mkdir(parents=True, exist_ok=True)
    own = copy.deepcopy(module).eval()
    try:
        if not runtime.startswith("torch"):
            from allometry.deploy import write_onnx

            return write_onnx(own.cpu(), folder / "module.onnx", example=torch.zeros(shape))
        kind = torch.bfloat16 if precision == "bfloat16" else torch.float32
        own = own.to(device, kind, memory_format=torch.channels_last)  # type: ignore[call-overload]
        image = torch.zeros(shape, dtype=kind, device=device).to(memory_format=torch.channels_last)
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of its own groups of tensors
            torch.export.save(torch.export.export(own, (image,)), folder / "module.pt2")
    except Exception as error:  # whatever the code of others raises, and what cannot be exported
        raise InputError(
            f"{type(module).__name__} does not run in {runtime} on an input of {list(shape)}: {error}"
        ) from error
    return folder / "module.pt2"
