import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch

from allometry.base import VerificationError
from allometry.deploy import export_onnx, verify_onnx
from allometry.nn import build
from allometry.train import Preprocessing
from tests.train.conftest import NETWORK

PREPROCESSING = Preprocessing(
    channels=1, resolution=24, crop=0.9, mean=(0.2,), std=(0.3,), classes=("bär", "disc", "frame")
)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    module = build(NETWORK, seed=0)
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    return export_onnx(module, path, preprocessing=PREPROCESSING), module


@pytest.fixture
def images():
    return np.random.default_rng(0).normal(size=(7, 1, 24, 24)).astype(np.float32)


def test_the_file_gives_the_networks_results_for_any_batch(exported, images):
    path, module = exported
    for number in (1, 7):
        result = verify_onnx(path, module, images[:number])
        assert result.largest_difference < 1e-4
        assert result.agreement == 1
        assert result.images == number
        assert result.bytes == path.stat().st_size


def test_batch_norm_is_folded_and_the_file_says_what_it_takes(exported):
    model = onnx.load(exported[0])
    assert not {"BatchNormalization", "Dropout"} & {node.op_type for node in model.graph.node}
    properties = {each.key: each.value for each in model.metadata_props}
    assert json.loads(properties["allometry"])["classes"] == ["bär", "disc", "frame"]
    assert [each.name for each in model.graph.input] == ["image"]
    assert [each.name for each in model.graph.output] == ["scores"]


def test_the_file_runs_where_there_is_neither_torch_nor_allometry(exported, images, tmp_path):
    path, module = exported
    np.save(tmp_path / "images.npy", images)
    code = f"""
import sys
for name in ("torch", "allometry"):
    sys.modules[name] = None
import numpy, onnxruntime
images = numpy.load({str(tmp_path / "images.npy")!r})
scores = onnxruntime.InferenceSession({str(path)!r}).run(None, {{"image": images}})
numpy.save({str(tmp_path / "scores.npy")!r}, scores[0])
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    with torch.inference_mode():
        ours = module.eval()(torch.from_numpy(images)).numpy()
    assert np.load(tmp_path / "scores.npy") == pytest.approx(ours, abs=1e-4)


def test_a_file_of_another_network_does_not_pass(exported, images):
    with pytest.raises(VerificationError, match="does not give the network's results"):
        verify_onnx(exported[0], build(NETWORK, seed=1), images * 100)


def test_same_padding_is_exported_too(images, tmp_path):
    module = build(replace(NETWORK, padding="same"), seed=0)
    path = export_onnx(module, tmp_path / "same.onnx", preprocessing=PREPROCESSING)
    assert verify_onnx(path, module, images).largest_difference < 1e-4
