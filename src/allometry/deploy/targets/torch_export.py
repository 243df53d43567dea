"""PyTorch's own file: what `torch.export` makes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch.fx.experimental import _config

from allometry.base.files import placing
from allometry.deploy.onnx import dynamic_shapes, quiet_exporter
from allometry.deploy.targets.base import ExportTarget, RuntimeSnippet, WriteRequest

_CODE = """RUNTIME = f"torch {torch.__version__}"


def open_model(path):
    module = torch.export.load(str(path)).module()

    def run(inputs):
        with torch.no_grad():
            return module(torch.from_numpy(inputs)).numpy()

    return run"""


@dataclass(frozen=True)
class TorchTarget(ExportTarget):
    """A program of `torch.export`, for PyTorch without this library.

    Example:
        >>> TorchTarget().without
        ()
    """

    name = "torch"
    suffix = ".pt2"
    without = ()
    measured_in = "torch"

    def write(self, request: WriteRequest, path: Path) -> None:
        """Write it."""
        program = exported_program(request)
        with placing(path.parent) as beside:
            torch.export.save(program, beside / path.name, extra_files=dict(request.metadata))

    def snippet(self, precision: str) -> RuntimeSnippet:
        """PyTorch on the CPU."""
        del precision
        return RuntimeSnippet(needs="torch", imports="import torch", code=_CODE)


def exported_program(request: WriteRequest) -> torch.export.ExportedProgram:
    """The module as `torch.export` sees it."""
    axes = dynamic_shapes(request.dynamic_axes)
    # Otherwise a map of one pixel within would count as one of that size for all images.
    any_size = _config.patch(backed_size_oblivious=bool(axes))  # type: ignore[attr-defined]
    with quiet_exporter(), any_size, torch.no_grad():
        return torch.export.export(
            request.module, (request.example,), dynamic_shapes=(axes,) if axes else None
        )
