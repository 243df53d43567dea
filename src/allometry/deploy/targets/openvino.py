"""OpenVINO: Intel's runtime, with bfloat16 where the processor has it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from allometry.base.files import placing
from allometry.deploy.int8 import quantize
from allometry.deploy.targets.base import (
    BFLOAT16,
    FLOAT32,
    INT8,
    ExportTarget,
    Inputs,
    RuntimeSnippet,
    WriteRequest,
)
from allometry.deploy.targets.onnx import OnnxTarget
from allometry.runs import NoisyLayer

_HINTS = {"bfloat16": "bf16"}
_CODE = """RUNTIME = f"openvino {{openvino.__version__}}"


def open_model(path):
    model = openvino.Core().compile_model(str(path), "CPU", {{"INFERENCE_PRECISION_HINT": "{hint}"}})
    return lambda inputs: model([inputs])[0]"""


@dataclass(frozen=True)
class OpenVinoTarget(ExportTarget):
    """OpenVINO's pair of files, `NAME.xml` and `NAME.bin`.

    Example:
        >>> [file.name for file in OpenVinoTarget().files(Path("model.xml"))]
        ['model.xml', 'model.bin']
    """

    name = "openvino"
    suffix = ".xml"
    precisions = (FLOAT32, BFLOAT16, INT8)
    extra = "openvino"
    measured_in = "openvino"

    def write(self, request: WriteRequest, path: Path) -> None:
        """Write an ONNX file and convert it; weights are stored in 16 bits for bfloat16."""
        with tempfile.TemporaryDirectory() as folder:
            source = _onnx(request, Path(folder))
            half = request.precision == BFLOAT16.name
            convert_to_openvino(source, path, metadata=request.metadata, half=half)

    def quantize(
        self, request: WriteRequest, path: Path, *, float32: Path, batches: Sequence[Inputs]
    ) -> tuple[NoisyLayer, ...]:
        """Quantize an ONNX file and convert it; OpenVINO's kernels have no sums of 16 bits."""
        del float32
        with tempfile.TemporaryDirectory() as folder:
            quantized = Path(folder) / "int8.onnx"
            layers = quantize(_onnx(request, Path(folder)), quantized, batches=batches)
            convert_to_openvino(quantized, path, metadata=request.metadata)
        return layers

    def snippet(self, precision: str) -> RuntimeSnippet:
        """OpenVINO on the CPU, in the arithmetic that was chosen."""
        code = _CODE.format(hint=_HINTS.get(precision, "f32"))
        return RuntimeSnippet(needs="openvino", imports="import openvino", code=code)

    def files(self, path: Path) -> tuple[Path, ...]:
        """The graph, and the weights beside it."""
        return path, path.with_suffix(".bin")


def convert_to_openvino(source: Path, path: Path, *, metadata: Mapping[str, str], half: bool = False) -> None:
    """Write an ONNX file as OpenVINO's pair of files.

    Args:
        source: the ONNX file.
        path: of the `.xml`.
        metadata: written into the file.
        half: store weights in 16 bits.

    Raises:
        MissingExtraError: openvino is not installed.
        StorageError: a file cannot be written.
    """
    openvino = OpenVinoTarget().load("openvino")
    model = openvino.convert_model(str(source))
    for name, value in metadata.items():
        model.set_rt_info(value, [name])
    with placing(path.parent) as beside:
        openvino.save_model(model, str(beside / path.name), compress_to_fp16=half)


def _onnx(request: WriteRequest, folder: Path) -> Path:
    path = folder / "model.onnx"
    OnnxTarget().write(replace(request, metadata={}), path)
    return path
