from dataclasses import replace

import numpy as np
import onnxruntime
import pytest

import allometry as al
from allometry.base import DataError, InputError, UnknownNameError, VerificationError
from allometry.deploy import write_script
from allometry.profiling import MeasureConfig
from allometry.runs.files import EXPORT


def test_onnx_is_written_verified_and_found_again(trained):
    made = al.export(trained, progress=False)
    assert made.path == trained.folder / "model.onnx"
    assert made.script.exists()
    assert made.verification.agreement == 1
    assert (made.format, made.precision, made.int8) == ("onnx", "float32", None)
    assert str(made.path) in repr(made)
    assert str(made.script) in made._repr_html_()
    assert al.open(trained.folder).export.verification.images == made.verification.images
    session = onnxruntime.InferenceSession(made.path)
    (logits,) = session.run(None, {"image": np.zeros((2, 1, 24, 24), np.float32)})
    assert logits.shape == (2, 3)


@pytest.mark.slow
def test_another_file_of_another_kind(trained, tmp_path):
    made = al.export(
        trained, to="torch", normalize_inside=True, any_size=True, out=tmp_path / "mine.pt2", progress=False
    )
    assert made.path == tmp_path / "mine.pt2"
    assert made.to_dict()["normalize_inside"] is True
    fixed = al.export(trained, batch=4, progress=False)
    assert fixed.path.parent == trained.folder / "exports" / "onnx-batch4"
    assert EXPORT.load(fixed.path.parent).batch == 4


@pytest.mark.slow
def test_what_does_not_pass_leaves_nothing_and_what_was_there_stays(trained, tmp_path, monkeypatch):
    al.export(trained, out=tmp_path / "m.onnx", progress=False)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(before) == {"m.onnx", "predict_m.py"}

    def misread(path, **options):
        written = write_script(path, **options)
        text = written.read_text()
        assert "orientation_of(opened)" in text
        written.write_text(text.replace("= orientation_of(opened)", "= 1"))
        return written

    monkeypatch.setattr("allometry.verbs.export.write_script", misread)
    for name in ("m.onnx", "other.onnx"):
        with pytest.raises(VerificationError, match=r"of a file of the kind JPEG RGB orientation 6"):
            al.export(trained, out=tmp_path / name, progress=False)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_files_of_somebody_else_stay(trained, tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"somebody's")
    with pytest.raises(InputError, match=r"m\.onnx is not a file of ours"):
        al.export(trained, out=tmp_path / "m.onnx", progress=False)
    assert (tmp_path / "m.onnx").read_bytes() == b"somebody's"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.slow
def test_int8_says_what_it_costs(trained, monkeypatch):
    quick = MeasureConfig(rounds=2, seconds=0.01, warm_up=0.1)
    monkeypatch.setattr("allometry.verbs.quantization._MEASURING", quick)
    made = al.export(trained, precision="int8", calibration=8, max_accuracy_drop=1.0, progress=False)
    assert made.int8.calibration == 8
    assert made.int8.images == len(trained.dataset.splits["val"])
    assert 0 <= made.int8.accuracy_after <= 1
    assert made.int8.layers[0].noise >= made.int8.layers[-1].noise


def test_a_run_from_disk_needs_the_arrays_again(trained, arrays, tmp_path):
    opened = al.open(trained.folder)
    with pytest.raises(DataError, match="give them again with data="):
        al.export(opened, progress=False)
    made = al.export(opened, data=arrays, out=tmp_path / "model.onnx", progress=False)
    assert made.verification.agreement == 1


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"to": "onx"}, UnknownNameError, "'onnx'"),
        ({"to": "torch", "precision": "int8"}, InputError, "delivered as onnx or openvino"),
        ({"precision": "int8", "calibration": 0}, InputError, "at least one image"),
        ({"to": "executorch", "any_size": True}, InputError, "fixed size"),
    ],
)
def test_mistakes(trained, options, error, says):
    with pytest.raises(error, match=says):
        al.export(trained, progress=False, **options)


def test_what_speaks_against_int8_is_told_with_a_way_out():
    from allometry.runs import NoisyLayer, QuantizationQuality
    from allometry.verbs.quantization import _warning

    fine = QuantizationQuality(
        images=100,
        calibration=8,
        accuracy_before=0.9,
        accuracy_after=0.895,
        agreement=1.0,
        latency_before=0.003,
        latency_after=0.001,
        layers=tuple(NoisyLayer(name=f"stages.{number}", noise=0.1) for number in range(4)),
    )
    assert _warning(fine, 0.01) == ""
    worse = _warning(replace(fine, accuracy_after=0.85), 0.01)
    assert "int8 loses 5.0%" in worse
    assert "--lite" in worse
    slower = _warning(replace(fine, latency_before=0.001, latency_after=0.0015), 0.01)
    assert slower.startswith("int8 is slower here than float32: 1.5 ms against 1 ms. Networks without")
