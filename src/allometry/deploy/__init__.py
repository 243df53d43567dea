"""A trained network becomes a file for another runtime, small and fast, checked against the original."""

from allometry.deploy.export_config import FORMATS, PRECISIONS, ExportConfig, Format, Precision
from allometry.deploy.formats import write_file
from allometry.deploy.int8 import quantize
from allometry.deploy.onnx import write_onnx
from allometry.deploy.script import write_script
from allometry.deploy.verification import inputs_of, verify

__all__ = [
    "FORMATS",
    "PRECISIONS",
    "ExportConfig",
    "Format",
    "Precision",
    "inputs_of",
    "quantize",
    "verify",
    "write_file",
    "write_onnx",
    "write_script",
]
