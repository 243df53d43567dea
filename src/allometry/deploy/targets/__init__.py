"""The export targets: one file for each, and the line here that registers it."""

from allometry.deploy.targets.base import (
    BFLOAT16,
    FLOAT16,
    FLOAT32,
    INT8,
    ExportTarget,
    Inputs,
    Precision,
    RuntimeSnippet,
    WriteRequest,
)
from allometry.deploy.targets.executorch import ExecuTorchTarget
from allometry.deploy.targets.ncnn import NcnnTarget
from allometry.deploy.targets.onnx import OnnxTarget
from allometry.deploy.targets.openvino import OpenVinoTarget
from allometry.deploy.targets.registry import TARGETS, as_target, register_target
from allometry.deploy.targets.torch_export import TorchTarget

for _target in (OnnxTarget(), OpenVinoTarget(), TorchTarget(), ExecuTorchTarget(), NcnnTarget()):
    register_target(_target)

__all__ = [
    "BFLOAT16",
    "FLOAT16",
    "FLOAT32",
    "INT8",
    "TARGETS",
    "ExportTarget",
    "Inputs",
    "Precision",
    "RuntimeSnippet",
    "WriteRequest",
    "as_target",
    "register_target",
]
