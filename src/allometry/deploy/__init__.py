"""A trained network becomes a file for another runtime, small and fast, checked against the original."""

from allometry.deploy.delivery import FORMATS, PRECISIONS, Delivery, Format, Precision
from allometry.deploy.onnx import write_onnx
from allometry.deploy.quantizing import Layer, quantize
from allometry.deploy.script import write_script
from allometry.deploy.verifying import Verification, inputs_of, verify
from allometry.deploy.writing import write_file

__all__ = [
    "FORMATS",
    "PRECISIONS",
    "Delivery",
    "Format",
    "Layer",
    "Precision",
    "Verification",
    "inputs_of",
    "quantize",
    "verify",
    "write_file",
    "write_onnx",
    "write_script",
]
