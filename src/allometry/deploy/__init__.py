"""A trained network becomes a file for another runtime, checked against the original."""

from allometry.deploy.onnx import Verification, export_onnx, verify_onnx, write_onnx

__all__ = ["Verification", "export_onnx", "verify_onnx", "write_onnx"]
