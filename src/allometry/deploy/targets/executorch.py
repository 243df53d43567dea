"""ExecuTorch: PyTorch's runtime for phones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from allometry.base.files import placing
from allometry.deploy.onnx import quiet_exporter
from allometry.deploy.targets.base import ExportTarget, RuntimeSnippet, WriteRequest
from allometry.deploy.targets.torch_export import exported_program

_IMPORTS = """import torch
from executorch.runtime import Runtime
from executorch.version import __version__"""
_CODE = """RUNTIME = f"executorch {__version__}"


def open_model(path):
    program = Runtime.get().load_program(str(path))
    method = program.load_method("forward")
    return lambda inputs: method.execute([torch.from_numpy(inputs)])[0].numpy()"""


@dataclass(frozen=True)
class ExecuTorchTarget(ExportTarget):
    """A program for ExecuTorch, with the kernels of XNNPACK.

    Example:
        >>> ExecuTorchTarget().open_batch
        False
    """

    name = "executorch"
    suffix = ".pte"
    open_batch = False
    open_size = False
    without = ()
    extra = "executorch"

    def write(self, request: WriteRequest, path: Path) -> None:
        """Write it; it has no place for metadata."""
        with quiet_exporter():
            exir = self.load("executorch.exir")
            xnnpack = self.load("executorch.backends.xnnpack.partition.xnnpack_partitioner")
            edge = exir.to_edge_transform_and_lower(
                exported_program(request), partitioner=[xnnpack.XnnpackPartitioner()]
            )
            made = edge.to_executorch()
        with placing(path.parent) as beside:
            (beside / path.name).write_bytes(made.buffer)

    def snippet(self, precision: str) -> RuntimeSnippet:
        """ExecuTorch from Python."""
        del precision
        return RuntimeSnippet(needs="executorch", imports=_IMPORTS, code=_CODE)
