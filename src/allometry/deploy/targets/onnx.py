"""ONNX: the file that most runtimes read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from allometry.base.machine import instructions
from allometry.deploy.int8 import quantize
from allometry.deploy.onnx import write_onnx
from allometry.deploy.targets.base import FLOAT32, INT8, ExportTarget, Inputs, RuntimeSnippet, WriteRequest
from allometry.runs import NoisyLayer

_CODE = """RUNTIME = f"onnxruntime {onnxruntime.__version__}"


def open_model(path):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda inputs: session.run(None, {name: inputs})[0]"""


@dataclass(frozen=True)
class OnnxTarget(ExportTarget):
    """An ONNX file, run by ONNX Runtime.

    Example:
        >>> [precision.name for precision in OnnxTarget().precisions]
        ['float32', 'int8']
    """

    name = "onnx"
    suffix = ".onnx"
    precisions = (FLOAT32, INT8)
    measured_in = "onnxruntime"

    def write(self, request: WriteRequest, path: Path) -> None:
        """Write it, batch norm folded."""
        write_onnx(
            request.module,
            path,
            example=request.example,
            dynamic_axes=request.dynamic_axes,
            names=request.axis_names,
            metadata=request.metadata,
        )

    def quantize(
        self, request: WriteRequest, path: Path, *, float32: Path, batches: Sequence[Inputs]
    ) -> tuple[NoisyLayer, ...]:
        """Write it with 8-bit integers, for this machine's processor."""
        del request
        return quantize(float32, path, batches=batches, reduced=_sums_overflow())

    def snippet(self, precision: str) -> RuntimeSnippet:
        """ONNX Runtime on the CPU."""
        del precision
        return RuntimeSnippet(needs="onnxruntime", imports="import onnxruntime", code=_CODE)

    def files(self, path: Path) -> tuple[Path, ...]:
        """Large weights lie in a file of their own."""
        return path, path.with_name(f"{path.name}.data")


def _sums_overflow() -> bool:
    """Whether ONNX Runtime adds products of bytes in 16 bits here."""
    known = set(instructions())
    return "avx2" in known and not known & {"avx512_vnni", "avx_vnni"}
