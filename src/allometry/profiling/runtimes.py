"""Runtimes: each makes something of a specification that does one inference and tells its seconds.

Only what a runtime needs is loaded: a file runs where there is no torch, and its memory is its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from allometry.base import InputError
from allometry.base.extras import load_extra
from allometry.base.files import size_with_weights

_WARM_UP = 3  # runs before a CUDA graph is recorded


class Loaded(NamedTuple):
    """A network that is ready to run.

    Attributes:
        run: one inference; its seconds.
        bytes: of its weights, or of its file.
    """

    run: Callable[[], float]
    bytes: int


def import_runtime(specification: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a module
    """The library that runs a specification.

    Raises:
        MissingExtraError: it is an extra that is not installed.
    """
    runtime = specification["runtime"]
    if runtime == "openvino":
        return load_extra("openvino", extra="openvino", asker="--runtime openvino")
    if runtime == "onnxruntime":
        import onnxruntime

        return onnxruntime
    import torch

    torch.set_num_threads(specification["threads"])
    return torch


def load(specification: Mapping[str, Any]) -> Loaded:
    """Make the network ready.

    Raises:
        InputError: it does not run like that.
    """
    loaders = {"onnxruntime": _onnxruntime, "openvino": _openvino}
    return loaders.get(specification["runtime"], _torch)(specification)


def _timed(run: Callable[[], object]) -> Callable[[], float]:
    def timed() -> float:
        began = time.perf_counter()
        run()
        return time.perf_counter() - began

    return timed


def _input(specification: Mapping[str, Any], *, of_pixels: bool = False) -> np.ndarray[Any, Any]:
    """Noise: what an image shows does not change how long it takes."""
    random = np.random.default_rng(0)
    number, channels, height, width = specification["shape"]
    if of_pixels:
        return random.integers(0, 256, (number, height, width, channels), np.uint8)
    return random.standard_normal((number, channels, height, width), dtype=np.float32)


def _onnxruntime(specification: Mapping[str, Any]) -> Loaded:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = specification["threads"]
    options.inter_op_num_threads = 1
    file = specification["file"]
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    taken = session.get_inputs()[0]
    feed = {taken.name: _input(specification, of_pixels=taken.type == "tensor(uint8)")}
    return Loaded(_timed(lambda: session.run(None, feed)), size_with_weights(Path(file)))


def _openvino(specification: Mapping[str, Any]) -> Loaded:
    openvino = import_runtime(specification)
    file = specification["file"]
    core = openvino.Core()
    # It would compute in float32 without a word, and the figures would bear the wrong name.
    if specification["precision"] == "bfloat16" and "BF16" not in core.get_property(
        "CPU", "OPTIMIZATION_CAPABILITIES"
    ):
        raise InputError("openvino has no bfloat16 on this processor; measure it in float32.")
    model = core.read_model(file)
    of_pixels = model.inputs[0].get_element_type() == openvino.Type.u8
    image = _input(specification, of_pixels=of_pixels)
    model.reshape(image.shape)
    kinds = {"float32": openvino.Type.f32, "bfloat16": openvino.Type.bf16}
    settings = {
        "INFERENCE_NUM_THREADS": specification["threads"],
        "INFERENCE_PRECISION_HINT": kinds[specification["precision"]],
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    return Loaded(_timed(lambda: request.infer([image])), size_with_weights(Path(file)))


def _torch(specification: Mapping[str, Any]) -> Loaded:
    import torch

    from allometry.nn import open_module
    from allometry.profiling.pieces import part_module

    device = torch.device(specification["device"])
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError("There is no CUDA device here; measure on the cpu.")
    kind = {"float32": torch.float32, "bfloat16": torch.bfloat16}[specification["precision"]]
    if specification["file"] is not None:
        module: Any = torch.export.load(specification["file"]).module()
    else:
        if specification["network"] is not None:
            module = part_module(specification["network"], specification["part"])
        else:
            module = open_module(specification["module"])
        module = module.eval().to(device, kind, memory_format=torch.channels_last)
    image = torch.from_numpy(_input(specification)).to(device, kind, memory_format=torch.channels_last)
    weights = [*module.parameters(), *module.buffers()]
    size = sum(weight.numel() * weight.element_size() for weight in weights)
    if specification["runtime"] == "torch.compile":
        module = torch.compile(module)

    def run() -> object:
        with torch.inference_mode():
            return module(image)

    return Loaded(_on_cuda(run, device) if device.type == "cuda" else _timed(run), size)


def _on_cuda(run: Callable[[], object], device: Any) -> Callable[[], float]:  # noqa: ANN401 - torch.device
    """One inference between two events, replayed from a graph: what the device takes, not what Python does."""
    import torch

    side = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    with torch.cuda.stream(side):
        for _ in range(_WARM_UP):
            run()
    torch.cuda.current_stream(device).wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    event: Any = torch.cuda.Event
    start, end = (event(enable_timing=True) for _ in range(2))

    def timed() -> float:
        start.record()
        graph.replay()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) / 1000

    return timed
