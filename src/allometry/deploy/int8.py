"""int8 by calibration: ONNX Runtime's quantizer, and which layers suffer from it."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from allometry.base.files import placing
from allometry.runs import NoisyLayer

Inputs = npt.NDArray[np.generic]
_NOISE_IMAGES = 8  # images on which the layers' noise is heard


class _Reader:
    """Gives the calibrator one batch after the other."""

    def __init__(self, name: str, batches: Sequence[Inputs]) -> None:
        self._name, self._batches = name, iter(batches)

    def get_next(self) -> dict[str, Inputs] | None:
        batch = next(self._batches, None)
        return None if batch is None else {self._name: batch}


def quantize(
    source: Path, path: Path, *, batches: Sequence[Inputs], reduced: bool = False
) -> tuple[NoisyLayer, ...]:
    """Write an ONNX file that computes with 8-bit integers.

    Weights are rounded channel by channel; activations between the least and the most that the calibration images
    bring.

    Args:
        source: the ONNX file in float32.
        path: of the new file.
        batches: inputs of the file to calibrate with; as many images as the file takes at once in each.
        reduced: leave one bit of the weights unused, for x86 processors without VNNI, whose 16-bit sums would
            overflow.

    Returns:
        The layers, the one that suffers most first.

    Raises:
        StorageError: the file cannot be written.

    Example:
        >>> import onnx
        >>> folder = Path(tempfile.mkdtemp())
        >>> nodes = "{ a = MatMul(image, w)  b = Relu(a)  logits = MatMul(b, w) }"
        >>> graph = f"g (float[1, 2] image) => (float[1, 2] logits) <float[2, 2] w = {{1, 2, 3, 4}}> {nodes}"
        >>> model = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": 18]> {graph}')
        >>> onnx.save(model, folder / "float.onnx")
        >>> batches = [np.ones((1, 2), np.float32)]
        >>> layers = quantize(folder / "float.onnx", folder / "int8.onnx", batches=batches)
        >>> len(layers), (folder / "int8.onnx").exists()
        (1, True)
    """
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with placing(path.parent) as beside, _quiet(), tempfile.TemporaryDirectory() as folder:
        prepared, made = Path(folder) / "prepared.onnx", beside / path.name
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        quantization.quantize_static(
            str(prepared),
            str(made),
            _Reader("image", batches),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            reduce_range=reduced,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            calibrate_method=quantization.CalibrationMethod.MinMax,
        )
        return _layers(prepared, made, batches)


def _layers(source: Path, quantized: Path, batches: Sequence[Inputs]) -> tuple[NoisyLayer, ...]:
    """The rounding noise of every activation, on a few of the calibration images."""
    import onnx
    import onnxruntime

    model = onnx.load(source)
    makers = {name: node.name for node in model.graph.node for name in node.output}
    levels = {name: level for name, level in _levels(onnx.load(quantized)).items() if name in makers}
    # Every rounded activation becomes an output of the float network.
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in levels)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    lost, whole = dict.fromkeys(levels, 0.0), dict.fromkeys(levels, 0.0)
    images = 0
    for batch in batches:
        for name, values in zip(levels, session.run(list(levels), {"image": batch}), strict=True):
            scale, zero = levels[name]
            rounded = (np.clip(np.rint(values / scale) + zero, 0, 255) - zero) * scale
            lost[name] += float(np.square(values - rounded, dtype=np.float64).sum())
            whole[name] += float(np.square(values, dtype=np.float64).sum())
        images += len(batch)
        if images >= _NOISE_IMAGES:
            break
    layers = (
        NoisyLayer(name=makers[name], noise=(lost[name] / whole[name]) ** 0.5)
        for name in levels
        if whole[name]
    )
    return tuple(sorted(layers, key=lambda layer: -layer.noise))


def _levels(model: Any) -> dict[str, tuple[float, int]]:  # noqa: ANN401 - onnx.ModelProto
    """Scale and zero point of every activation that a quantized model rounds."""
    import onnx

    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    levels = {}
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear" and node.input[0] not in constants:
            scale, zero = (onnx.numpy_helper.to_array(constants[name]) for name in node.input[1:3])
            if scale.size == 1:
                levels[node.input[0]] = (float(scale.item()), int(zero.item()))
    return levels


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the quantizer's advice on steps of its own, which are taken, from the user's screen."""
    before = logging.root.level
    try:
        logging.root.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.root.setLevel(before)
