"""A trained module as a file of any target."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from allometry.base import AllometryError, ExportError
from allometry.deploy.export_config import ExportConfig
from allometry.deploy.onnx import quiet_exporter
from allometry.deploy.targets import WriteRequest
from allometry.deploy.targets.base import OF_PIXELS, OF_TENSORS
from allometry.training import Preprocessing

METADATA = "allometry"
_SPOKEN = 300  # characters of what a library says
_USUAL_BATCH = 2  # torch.export would take a dimension of 1 for a fixed one
_OPEN_SIDES = (
    256,
    320,
)  # pixels: no map within becomes as small as 1, or square, which would be taken for fixed, too


class OfPixels(nn.Module):
    """A module that takes pixels as they are and normalizes them itself.

    Shape:
        uint8 [N, H, W, C] -> float32 [N, classes]

    Example:
        >>> gray = Preprocessing(channels=1, resolution=2, crop=1.0, mean=(0.5,), std=(0.5,), classes=("a",))
        >>> OfPixels(nn.Flatten(), gray)(torch.tensor([[[[255], [0]]]], dtype=torch.uint8)).tolist()
        [[1.0, -1.0]]
    """

    def __init__(self, module: nn.Module, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.module = module
        for name, values in (("mean", preprocessing.mean), ("std", preprocessing.std)):
            self.register_buffer(name, torch.tensor(values).view(1, -1, 1, 1) * 255)

    def forward(self, pixels: Tensor) -> Tensor:
        """Scores."""
        # An exporter that follows other strides through the network takes some sizes for fixed.
        image = pixels.permute(0, 3, 1, 2).contiguous().float()
        normalized = (image - self.get_buffer("mean")) / self.get_buffer("std")
        logits: Tensor = self.module(normalized)
        return logits


def write_file(
    module: nn.Module,
    path: Path,
    *,
    preprocessing: Preprocessing,
    export_config: ExportConfig = ExportConfig(),
) -> Path:
    """Write `module` as a file, batch norm folded where the target knows no better.

    Where the target has a place for it, the preprocessing is in the file as JSON under `allometry`: class names, mean,
    std, resolution and crop. A calibrated precision, such as int8, is what `ExportTarget.quantize` makes.

    Args:
        module: on the CPU; it is put into evaluation mode.
        path: of the file; some targets put another one beside it.
        preprocessing: size and normalization of the input, and the class names.
        export_config: what the file is to be like.

    Raises:
        MissingExtraError: the target's library is not installed.
        ExportError: that library cannot write this network.
        StorageError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> gray = Preprocessing(channels=1, resolution=32, crop=1.0, mean=(0.5,), std=(0.5,), classes=("a",))
        >>> module = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        >>> write_file(module, Path(tempfile.mkdtemp()) / "model.onnx", preprocessing=gray).name
        'model.onnx'
    """
    with quiet_exporter(), library_errors(export_config):
        export_config.target.write(write_request(module, preprocessing, export_config), path)
    return path


@contextmanager
def library_errors(export_config: ExportConfig) -> Iterator[None]:
    """Say in one sentence what a target's library has against a network.

    Raises:
        ExportError: it raised something.
    """
    try:
        yield
    except (AllometryError, OSError, ImportError, AssertionError):
        raise
    except Exception as error:  # each library raises kinds of its own
        text = str(error).strip().splitlines() or [type(error).__name__]
        target = f"{export_config.target.name} in {export_config.precision}"
        raise ExportError(f"This network cannot be written as {target}: {text[0][:_SPOKEN]}") from error


def write_request(
    module: nn.Module, preprocessing: Preprocessing, export_config: ExportConfig
) -> WriteRequest:
    """What a target is given to write a module as a file."""
    module = module.eval()
    inside = export_config.normalize_inside
    return WriteRequest(
        module=OfPixels(module, preprocessing).eval() if inside else module,
        example=example_of(preprocessing, export_config),
        precision=export_config.precision,
        axis_names=OF_PIXELS if inside else OF_TENSORS,
        dynamic_axes=export_config.dynamic_axes,
        metadata={METADATA: json.dumps(preprocessing.to_dict())},
    )


def example_of(preprocessing: Preprocessing, export_config: ExportConfig) -> Tensor:
    """An input of the file: zeros."""
    number, side = export_config.batch or _USUAL_BATCH, preprocessing.resolution
    height, width = _OPEN_SIDES if export_config.any_size else (side, side)
    if export_config.normalize_inside:
        return torch.zeros(number, height, width, preprocessing.channels, dtype=torch.uint8)
    return torch.zeros(number, preprocessing.channels, height, width)
