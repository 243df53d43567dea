import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from allometry.arch import MBConv, Stage
from allometry.deploy import ExportConfig, as_target, inputs_of, write_file, write_onnx
from allometry.deploy import onnx as writer
from allometry.nn import build
from tests.deploy.conftest import NETWORK, PREPROCESSING


@pytest.fixture(scope="module")
def file(tmp_path_factory, module):
    return write_file(module, tmp_path_factory.mktemp("onnx") / "model.onnx", preprocessing=PREPROCESSING)


def run(path, inputs):
    return onnxruntime.InferenceSession(path).run(None, {"image": inputs})[0]


def logits_of(module, inputs):
    with torch.inference_mode():
        return module(torch.from_numpy(inputs)).numpy()


def test_the_file_gives_the_networks_results_for_any_batch(file, module, views):
    inputs = inputs_of(views, PREPROCESSING, ExportConfig())
    for number in (1, 7):
        assert run(file, inputs[:number]) == pytest.approx(logits_of(module, inputs[:number]), abs=1e-4)


def test_batch_norm_is_folded_and_the_file_says_what_it_takes(file):
    model = onnx.load(file)
    assert not {"BatchNormalization", "Dropout"} & {node.op_type for node in model.graph.node}
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(properties["allometry"])["classes"] == list(PREPROCESSING.classes)
    assert [entry.name for entry in model.graph.input] == ["image"]
    assert [entry.name for entry in model.graph.output] == ["logits"]


def test_nodes_bear_their_modules_names_and_nothing_of_this_machine_is_in_the_file(file):
    nodes = onnx.load(file).graph.node
    names = [node.name for node in nodes]
    assert len(set(names)) == len(names)
    assert any(name.startswith("stages.0.0.depthwise") for name in names)
    content = file.read_bytes()
    assert b"site-packages" not in content
    assert str(Path(writer.__file__).parents[2]).encode() not in content


# Maps of one pixel, where an exporter is led to take a size for fixed; and padding that depends on the size.
SHRUNK = replace(
    NETWORK,
    stages=(Stage(block=MBConv(channels=8, expand_ratio=2, se_ratio=0.25, stride=2), repeats=3),),
    resolution=12,
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "padding", "inside"),
    [("onnx", "symmetric", True), ("onnx", "same", False), ("torch", "same", True)],
)
def test_any_size_is_any_size(tmp_path, target, padding, inside):
    module = build(replace(SHRUNK, padding=padding), seed=0).eval()
    config = ExportConfig(target=as_target(target), any_size=True, normalize_inside=inside)
    known = replace(PREPROCESSING, resolution=12)
    path = write_file(module, tmp_path / config.file, preprocessing=known, export_config=config)
    for number, height, width in ((1, 12, 12), (2, 32, 32), (3, 40, 57), (1, 11, 64), (2, 7, 9)):
        views = np.random.default_rng(0).integers(0, 256, (number, height, width, 1), np.uint8)
        ours = logits_of(module, inputs_of(views, known, ExportConfig()))
        inputs = inputs_of(views, known, config)
        theirs = (
            run(path, inputs) if target == "onnx" else logits_of(torch.export.load(path).module(), inputs)
        )
        assert theirs == pytest.approx(ours, abs=1e-4)


def test_same_padding_is_exported_too(views, tmp_path):
    module = build(replace(NETWORK, padding="same"), seed=0).eval()
    path = write_file(module, tmp_path / "same.onnx", preprocessing=PREPROCESSING)
    inputs = inputs_of(views, PREPROCESSING, ExportConfig())
    assert run(path, inputs) == pytest.approx(logits_of(module, inputs), abs=1e-4)


def test_weights_too_many_for_one_file_lie_beside_it(module, tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "_ONE_FILE", 1000)
    layer = nn.Sequential(nn.Conv2d(3, 64, 3), nn.ReLU())
    path = write_onnx(layer, tmp_path / "large.onnx", example=torch.zeros(1, 3, 8, 8))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["large.onnx", "large.onnx.data"]
    inputs = np.ones((1, 3, 8, 8), np.float32)
    assert run(path, inputs) == pytest.approx(logits_of(layer, inputs), abs=1e-5)
