import numpy as np
import onnx
import onnxruntime
import pytest

from allometry.arch import lite
from allometry.deploy import ExportConfig, inputs_of, quantize, write_file
from allometry.nn import build
from tests.deploy.conftest import NETWORK, PREPROCESSING


@pytest.fixture(scope="module")
def quantized(tmp_path_factory):
    folder = tmp_path_factory.mktemp("int8")
    module = build(lite(NETWORK), seed=0).eval()
    draw = np.random.default_rng(0)
    views = draw.integers(0, 256, (24, 24, 24, 1), np.uint8)
    inputs = inputs_of(views, PREPROCESSING, ExportConfig())
    source = write_file(module, folder / "model.onnx", preprocessing=PREPROCESSING)
    layers = quantize(source, folder / "int8.onnx", batches=[inputs[:8], inputs[8:]])
    return source, folder / "int8.onnx", layers, inputs


def run(path, inputs):
    return onnxruntime.InferenceSession(path).run(None, {"image": inputs})[0]


def test_the_file_computes_nearly_the_same_with_eight_bits(quantized):
    source, path, _, inputs = quantized
    plain, rounded = run(source, inputs), run(path, inputs)
    assert 0 < np.abs(plain - rounded).max() < 0.3 * np.ptp(plain)
    assert np.corrcoef(plain.ravel(), rounded.ravel())[0, 1] > 0.98


def test_weights_are_bytes_and_the_metadata_stays(quantized):
    source, path, _, _ = quantized
    model = onnx.load(path)
    kinds = {entry.data_type for entry in model.graph.initializer if len(entry.dims) == 4}
    assert kinds == {onnx.TensorProto.INT8}
    assert [entry.key for entry in onnx.load(source).metadata_props if entry.key == "allometry"] == [
        "allometry"
    ]
    assert "allometry" in {entry.key for entry in model.metadata_props}


def test_layers_are_named_and_ordered_by_what_they_lose(quantized):
    layers = quantized[2]
    noises = [layer.noise for layer in layers]
    assert noises == sorted(noises, reverse=True)
    assert all(0 < noise < 0.2 for noise in noises)
    assert any("stages." in layer.name for layer in layers)


def test_one_bit_less_rounds_more_coarsely(quantized, tmp_path):
    source, path, _, inputs = quantized
    quantize(source, tmp_path / "reduced.onnx", batches=[inputs], reduced=True)
    weights = {
        name: [
            onnx.numpy_helper.to_array(entry)
            for entry in onnx.load(file).graph.initializer
            if len(entry.dims) == 4
        ]
        for name, file in (("whole", path), ("reduced", tmp_path / "reduced.onnx"))
    }
    assert max(np.abs(entry.astype(int)).max() for entry in weights["whole"]) == 127
    assert max(np.abs(entry.astype(int)).max() for entry in weights["reduced"]) <= 64
