"""An export target is one object: one from outside goes through everything that takes one."""

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

import allometry as al
from allometry.arch import Head, MBConv, Network, Stage, Stem
from allometry.base import InputError, UnknownNameError, VerificationError, plugins
from allometry.cli import main
from allometry.deploy import ExportConfig, ExportTarget, as_target, register_target
from allometry.deploy.targets import INT8
from tests.images import shapes

PLUGIN = Path(__file__).with_name("numpy_plugin.py")


@pytest.fixture
def numpy_target(no_plugins):
    """The class of the target from outside, which is registered by name, too."""
    plugins.add_plugins([str(PLUGIN)])
    return sys.modules[PLUGIN.stem].NumpyTarget


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    blocks = Stage(block=MBConv(channels=8, expand_ratio=2, se_ratio=0.25, stride=2), repeats=2)
    network = Network(
        stem=Stem(channels=8), stages=(blocks,), head=Head(channels=16, classes=7), resolution=24
    )
    folder = tmp_path_factory.mktemp("runs") / "trained"
    np.savez(
        folder.with_suffix(".npz"),
        images=shapes(12, size=24, seed=0)[0],
        labels=shapes(12, size=24, seed=0)[1],
    )
    recipe = al.recipes.small(epochs=2, batch_size=8)
    return al.train(network, data=str(folder.with_suffix(".npz")), recipe=recipe, out=folder, progress=False)


@pytest.fixture
def call(capfd):
    def run(*arguments):
        capfd.readouterr()
        status = main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return status, out, err

    return run


def test_by_value_it_is_written_verified_and_shown(trained, numpy_target, tmp_path):
    made = al.export(trained, to=numpy_target(compress=True), progress=False)
    assert made.path == trained.folder / "exports" / "numpy" / "model.npz"
    assert (made.format, made.precision, made.batch) == ("numpy", "float32", 0)
    checked = made.verification
    assert checked.runtime == f"numpy {np.__version__}"
    assert checked.without == ("allometry", "torch")
    assert checked.agreement == 1
    assert checked.largest_difference < 1e-4
    assert checked.bytes == made.path.stat().st_size
    larger = al.export(trained, to=numpy_target(), out=tmp_path / "whole.npz", progress=False)
    assert larger.verification.bytes > checked.bytes
    assert "numpy in float32" in made._repr_html_()


def test_by_name_on_the_command_line(trained, call, no_plugins):
    status, _, err = call("export", trained.folder, "--to", "numpy", "--batch", 4)
    assert status == 2
    assert "No export target is named 'numpy'" in err
    status, out, err = call(
        "--plugin", PLUGIN, "export", trained.folder, "--to", "numpy", "--batch", 4, "--json"
    )
    assert status == 0, err
    told = json.loads(out)
    assert (told["format"], told["agreement"], told["batch"]) == ("numpy", 1.0, 4)
    written = trained.folder / "exports" / "numpy-batch4"
    assert {path.name for path in written.iterdir()} == {"export.json", "model.npz", "predict.py"}
    assert "import torch" not in (written / "predict.py").read_text()


@pytest.mark.slow
def test_a_calibrated_precision_is_judged_like_int8(trained, numpy_target, call):
    made = al.export(trained, to="numpy", precision="weights8", calibration=8, progress=False)
    assert made.path.parent.name == "numpy-weights8"
    assert made.int8.calibration == 8
    assert made.int8.latency_before is None  # it has no runtime that is measured
    assert 0 < made.int8.layers[0].noise < 0.1
    status, out, err = call(
        "export", trained.folder, "--to", "numpy", "--precision", "weights8", "--calibration", 8
    )
    assert status == 0, err
    assert "validation" in out
    assert "latency" not in out


def test_what_it_cannot_do_is_refused_in_a_sentence(trained, numpy_target):
    with pytest.raises(InputError, match="int8 is delivered as onnx or openvino, not as numpy"):
        al.export(trained, to="numpy", precision="int8", progress=False)
    with pytest.raises(InputError, match="weights8 is delivered as numpy, not as onnx"):
        al.export(trained, precision="weights8", progress=False)
    with pytest.raises(InputError, match="numpy files have a fixed size"):
        ExportConfig(target=as_target("numpy"), any_size=True)


def test_a_target_that_computes_something_else_does_not_pass(trained, numpy_target, tmp_path):
    @dataclass(frozen=True)
    class Wrong(numpy_target):
        name = "wrong"

        def snippet(self, precision):
            snippet = super().snippet(precision)
            return replace(snippet, code=snippet.code.replace("x * sigmoid(x)", "sigmoid(x)"))

    with pytest.raises(VerificationError, match="does not give the network's results"):
        al.export(trained, to=Wrong(), out=tmp_path / "model.npz", progress=False)


def test_what_a_target_says_of_itself_must_go_together(numpy_target):
    class Unnamed(numpy_target):
        name = "unnamed"
        suffix = "npz"

    with pytest.raises(InputError, match="must begin with a dot"):
        register_target(Unnamed())
    with pytest.raises(InputError, match=r"export target 'numpy' already"):
        register_target(numpy_target(compress=True))
    with pytest.raises(UnknownNameError, match="Did you mean 'numpy'"):
        as_target("numpi")
    no_quantizer = type(
        "NoQuantizer",
        (numpy_target,),
        {"name": "rough", "precisions": (INT8,), "quantize": ExportTarget.quantize},
    )
    with pytest.raises(InputError, match="rough has int8, but no `quantize`"):
        register_target(no_quantizer())
