"""A trained network becomes a file for another runtime, small and fast, checked against the original."""

from allometry.deploy.answers import inputs_of
from allometry.deploy.export_config import ExportConfig
from allometry.deploy.int8 import quantize
from allometry.deploy.onnx import write_onnx
from allometry.deploy.script import write_script
from allometry.deploy.targets import (
    TARGETS,
    ExportTarget,
    Precision,
    RuntimeSnippet,
    WriteRequest,
    as_target,
    register_target,
)
from allometry.deploy.verification import verify
from allometry.deploy.writing import write_file

__all__ = [
    "TARGETS",
    "ExportConfig",
    "ExportTarget",
    "Precision",
    "RuntimeSnippet",
    "WriteRequest",
    "as_target",
    "inputs_of",
    "quantize",
    "register_target",
    "verify",
    "write_file",
    "write_onnx",
    "write_script",
]
