"""A trained module as a file of any format."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from allometry.base.extras import load_extra
from allometry.base.files import placing
from allometry.deploy.export_config import ExportConfig, Format
from allometry.deploy.onnx import OF_TENSORS, dynamic_shapes, quiet_exporter, write_onnx
from allometry.training import Preprocessing

METADATA = "allometry"
_OF_PIXELS = ("batch", "height", "width", "channels")
_USUAL_BATCH = 2  # torch.export would take a dimension of 1 for a fixed one


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
        image = (pixels.permute(0, 3, 1, 2).float() - self.get_buffer("mean")) / self.get_buffer("std")
        logits: Tensor = self.module(image)
        return logits


def write_file(
    module: nn.Module,
    path: Path,
    *,
    preprocessing: Preprocessing,
    export_config: ExportConfig = ExportConfig(),
) -> Path:
    """Write `module` as a file, batch norm folded where the format knows no better.

    Where the format has a place for it, the preprocessing is in the file as JSON under `allometry`: class names, mean,
    std, resolution and crop. int8 is what `quantize` makes of an ONNX file.

    Args:
        module: on the CPU; it is put into evaluation mode.
        path: of the file; OpenVINO's has a second one beside it, as have ONNX files of more than 1.5 GB.
        preprocessing: size and normalization of the input, and the class names.
        export_config: what the file is to be like.

    Raises:
        MissingExtraError: the format's library is not installed.
        StorageError: the file cannot be written.

    Example:
        >>> gray = Preprocessing(channels=1, resolution=32, crop=1.0, mean=(0.5,), std=(0.5,), classes=("a",))
        >>> module = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        >>> write_file(module, Path(tempfile.mkdtemp()) / "model.onnx", preprocessing=gray).name
        'model.onnx'
    """
    module = module.eval()
    example = example_of(preprocessing, export_config)
    if export_config.normalize_inside:
        module = OfPixels(module, preprocessing).eval()
    metadata = {METADATA: json.dumps(asdict(preprocessing))}
    _WRITERS[export_config.format](module, path, example, export_config, metadata)
    return path


def example_of(preprocessing: Preprocessing, export_config: ExportConfig) -> Tensor:
    """An input of the file: zeros."""
    number, side = export_config.batch or _USUAL_BATCH, preprocessing.resolution
    if export_config.normalize_inside:
        return torch.zeros(number, side, side, preprocessing.channels, dtype=torch.uint8)
    return torch.zeros(number, preprocessing.channels, side, side)


def _names(export_config: ExportConfig) -> tuple[str, ...]:
    return _OF_PIXELS if export_config.normalize_inside else OF_TENSORS


def _onnx(
    module: nn.Module, path: Path, example: Tensor, export_config: ExportConfig, metadata: Mapping[str, str]
) -> None:
    write_onnx(
        module,
        path,
        example=example,
        dynamic_axes=export_config.dynamic_axes,
        names=_names(export_config),
        metadata=metadata,
    )


def _openvino(
    module: nn.Module, path: Path, example: Tensor, export_config: ExportConfig, metadata: Mapping[str, str]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "model.onnx"
        _onnx(module, made, example, export_config, {})
        convert_to_openvino(made, path, metadata=metadata, half=export_config.precision == "bfloat16")


def convert_to_openvino(source: Path, path: Path, *, metadata: Mapping[str, str], half: bool = False) -> None:
    """Write an ONNX file as OpenVINO's pair of files, `NAME.xml` and `NAME.bin`.

    Args:
        source: the ONNX file.
        path: of the `.xml`.
        metadata: written into the file.
        half: store weights in 16 bits.

    Raises:
        MissingExtraError: openvino is not installed.
    """
    openvino = load_extra("openvino", extra="openvino", asker="--to openvino")
    model = openvino.convert_model(str(source))
    for name, value in metadata.items():
        model.set_rt_info(value, [name])
    with placing(path.parent) as beside:
        openvino.save_model(model, str(beside / path.name), compress_to_fp16=half)


def _exported(
    module: nn.Module, example: Tensor, export_config: ExportConfig
) -> torch.export.ExportedProgram:
    axes = dynamic_shapes(export_config.dynamic_axes, _names(export_config))
    with quiet_exporter(), torch.no_grad():
        return torch.export.export(module, (example,), dynamic_shapes=(axes,) if axes else None)


def _torch(
    module: nn.Module, path: Path, example: Tensor, export_config: ExportConfig, metadata: Mapping[str, str]
) -> None:
    program = _exported(module, example, export_config)
    with placing(path.parent) as beside:
        torch.export.save(program, beside / path.name, extra_files=dict(metadata))


def _executorch(
    module: nn.Module, path: Path, example: Tensor, export_config: ExportConfig, _metadata: Mapping[str, str]
) -> None:
    with quiet_exporter():
        exir: Any = load_extra("executorch.exir", extra="executorch", asker="--to executorch")
        xnnpack: Any = load_extra(
            "executorch.backends.xnnpack.partition.xnnpack_partitioner",
            extra="executorch",
            asker="--to executorch",
        )
        edge = exir.to_edge_transform_and_lower(
            _exported(module, example, export_config), partitioner=[xnnpack.XnnpackPartitioner()]
        )
        made = edge.to_executorch()
    with placing(path.parent) as beside:
        (beside / path.name).write_bytes(made.buffer)


_Writer = Callable[[nn.Module, Path, Tensor, ExportConfig, Mapping[str, str]], None]
_WRITERS: Mapping[Format, _Writer] = {
    "onnx": _onnx,
    "openvino": _openvino,
    "torch": _torch,
    "executorch": _executorch,
}
