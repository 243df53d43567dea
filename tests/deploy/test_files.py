import importlib.util
import subprocess
import sys
from dataclasses import dataclass, replace
from types import SimpleNamespace

import pytest

from allometry.base import ExportError, InputError, MissingExtraError, UnknownNameError, VerificationError
from allometry.deploy import ExportConfig, as_target, verify, write_file, write_script
from allometry.deploy.script import refuse_foreign_model, script_of
from allometry.deploy.targets.onnx import OnnxTarget
from allometry.nn import build
from tests.deploy.conftest import NETWORK, PREPROCESSING

DELIVERIES = [
    ExportConfig(normalize_inside=True),
    ExportConfig(target=as_target("openvino")),
    ExportConfig(target=as_target("torch")),
    ExportConfig(target=as_target("ncnn"), batch=3),
]
FURTHER = [
    ExportConfig(),
    ExportConfig(batch=3),
    ExportConfig(target=as_target("openvino"), precision="bfloat16", batch=2),
    ExportConfig(target=as_target("openvino"), normalize_inside=True),
    ExportConfig(target=as_target("torch"), normalize_inside=True, batch=1),
    ExportConfig(target=as_target("executorch"), batch=2),
    ExportConfig(target=as_target("ncnn"), precision="float16"),
]


def needs(target):
    missing = target.extra is not None and importlib.util.find_spec(target.extra) is None
    return pytest.mark.skipif(missing, reason=f"{target.extra} is not installed")


def deliver(module, folder, export_config, *, preprocessing=PREPROCESSING):
    path = write_file(
        module, folder / export_config.file, preprocessing=preprocessing, export_config=export_config
    )
    script = write_script(
        folder / "predict.py", model=path, preprocessing=preprocessing, export_config=export_config
    )
    return path, {"script": script, "preprocessing": preprocessing, "export_config": export_config}


@pytest.mark.slow
@pytest.mark.parametrize(
    "export_config",
    [pytest.param(entry, marks=needs(entry.target), id=repr(entry)) for entry in DELIVERIES]
    + [
        pytest.param(entry, marks=[needs(entry.target), pytest.mark.slow], id=repr(entry))
        for entry in FURTHER
    ],
)
def test_every_file_gives_the_networks_results_where_neither_is(module, views, tmp_path, export_config):
    path, rest = deliver(module, tmp_path, export_config)
    result = verify(path, module, views, **rest)
    assert result.images == len(views)
    assert result.largest_difference < (1e-4 if export_config.precision == "float32" else 0.1)
    assert "allometry" in result.without
    assert export_config.target.name in result.runtime
    assert result.bytes == sum(entry.stat().st_size for entry in tmp_path.iterdir() if entry.suffix != ".py")


def test_a_file_of_another_network_does_not_pass(module, views, tmp_path):
    path, rest = deliver(module, tmp_path, ExportConfig())
    with pytest.raises(VerificationError, match="does not give the network's results"):
        verify(path, build(NETWORK, seed=1), views, **rest)
    other = build(replace(NETWORK, head=replace(NETWORK.head, classes=5)), seed=0)
    with pytest.raises(VerificationError, match=r"logits of shape \(7, 3\)"):
        verify(path, other, views, **rest)


def test_a_file_that_does_not_load_says_so(module, views, tmp_path):
    path, rest = deliver(module, tmp_path, ExportConfig())
    path.write_bytes(b"no network")
    with pytest.raises(VerificationError, match=r"where there is no allometry and no torch, did not come"):
        verify(path, module, views, **rest)


@pytest.mark.parametrize(
    ("target", "options", "error", "message"),
    [
        ("coreml", {}, UnknownNameError, "Possible: executorch, ncnn, onnx"),
        ("onnx", {"precision": "int4"}, UnknownNameError, "precision"),
        ("onnx", {"precision": "bfloat16"}, InputError, "bfloat16 is delivered as openvino, not as onnx"),
        ("executorch", {}, InputError, "have a fixed batch: give the number of images"),
        ("executorch", {"batch": 1, "any_size": True}, InputError, "have a fixed size: leave out any size"),
        ("ncnn", {"normalize_inside": True}, InputError, "have a normalized input"),
        ("onnx", {"batch": -1}, InputError, "batch must be at least 1, or 0"),
    ],
)
def test_what_does_not_go_together_is_told(target, options, error, message):
    with pytest.raises(error, match=message):
        ExportConfig(target=as_target(target), **options)


def test_a_missing_library_is_named_with_its_extra(module, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "executorch.exir", None)
    with pytest.raises(MissingExtraError, match=r"allometry\[executorch\]"):
        deliver(module, tmp_path, ExportConfig(target=as_target("executorch"), batch=1))
    assert not list(tmp_path.iterdir())


def test_what_a_converter_cannot_write_is_one_sentence(module, tmp_path, monkeypatch):
    failing = tmp_path / "pnnx"
    failing.write_text("#!/bin/sh\necho 'no such layer' >&2\nexit 1\n")
    failing.chmod(0o755)
    monkeypatch.setitem(sys.modules, "pnnx", SimpleNamespace(EXEC_PATH=str(failing)))
    with pytest.raises(ExportError, match="pnnx does not convert this network to ncnn: no such layer"):
        deliver(module, tmp_path / "out", ExportConfig(target=as_target("ncnn")))
    assert not (tmp_path / "out").exists()


@dataclass(frozen=True)
class Failing(OnnxTarget):
    def write(self, request, path):
        del request, path
        raise ValueError("no such layer\nand a long story")


def test_what_a_library_raises_is_one_sentence(module, tmp_path):
    with pytest.raises(
        ExportError, match=r"^This network cannot be written as onnx in float32: no such layer$"
    ):
        deliver(module, tmp_path, ExportConfig(target=Failing()))


def test_a_program_says_in_one_line_that_its_file_is_damaged(tmp_path):
    script = write_script(
        tmp_path / "predict.py",
        model=tmp_path / "model.onnx",
        preprocessing=PREPROCESSING,
        export_config=ExportConfig(),
    )
    for content in (b"", b"no network", None):
        (tmp_path / "model.onnx").unlink(missing_ok=True)
        if content is not None:
            (tmp_path / "model.onnx").write_bytes(content)
        ran = subprocess.run([sys.executable, script, "a.png"], capture_output=True, text=True, check=False)
        assert ran.returncode == 1
        assert "Traceback" not in ran.stderr
        assert f"Cannot open {tmp_path / 'model.onnx'}" in ran.stderr


def test_a_program_of_another_file_keeps_its_name(tmp_path):
    options = {"preprocessing": PREPROCESSING, "export_config": ExportConfig()}
    first, second = tmp_path / "mine.onnx", tmp_path / "mine.xml"
    write_script(script_of(first), model=first, **options)
    assert script_of(second) == script_of(first) == tmp_path / "predict_mine.py"  # there is no such file
    first.write_bytes(b"1")
    assert script_of(second) == tmp_path / "predict_mine_xml.py"
    assert script_of(first) == tmp_path / "predict_mine.py"


@pytest.mark.parametrize("target", ["onnx", "openvino", "torch", "ncnn", "executorch"])
def test_no_file_of_somebody_else_is_replaced(tmp_path, target):
    known = as_target(target)
    path = tmp_path / f"mine{known.suffix}"
    refuse_foreign_model(path, known)
    for file in known.files(path):
        file.write_bytes(b"somebody's")
        with pytest.raises(InputError, match=f"{file.name} is not a file of ours, and would be replaced"):
            refuse_foreign_model(path, known)
        file.unlink()
    path.write_bytes(b"somebody's")
    write_script(
        script_of(path), model=path, preprocessing=PREPROCESSING, export_config=ExportConfig(batch=1)
    )
    refuse_foreign_model(path, known)  # its program names it
