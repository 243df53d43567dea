import json
import re
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from allometry.base.files import read_lines
from allometry.profiling import MeasureConfig
from allometry.reports.words import decimal
from tests.images import CLASSES, write_photos

from .conftest import BASELINE, FAST

LAYOUT = {
    "run.json",
    "network.json",
    "recipe.json",
    "metrics.jsonl",
    "costs.jsonl",
    "checkpoints",
    "model.onnx",
    "report.html",
    "baseline.json",
    "law.json",
    "plan.json",
    "trials.jsonl",
    "data.json",
    "evaluation.json",
    "explain.json",
    "export.json",
    "predict.py",
    "preprocessing.json",
    "result.json",
}


def weights(folder: Path) -> bytes:
    return (folder / "checkpoints" / "final.safetensors").read_bytes()


def wait_for(condition, process, seconds=240):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_run_on_photographs_leaves_everything(finished):
    assert {path.name for path in finished.iterdir()} >= LAYOUT
    result = json.loads((finished / "result.json").read_text())
    assert result["macs"] <= 400_000
    assert json.loads((finished / "export.json").read_text())["agreement"] == 1
    assert (
        result["test_images"] == len(json.loads((finished / "evaluation.json").read_text())["confusion"]) * 2
    )
    phases = {entry["phase"] for entry in read_lines(finished / "costs.jsonl")}
    assert phases == {"prepare", "fit", "train", "evaluate", "export"}
    trials = read_lines(finished / "trials.jsonl")
    assert [trial["seed"] for trial in trials].count(0) == result["trials"]
    assert len(trials) == result["trials"] + (2 if result["rival"]["seeds"] == 2 else 0)
    assert result["rival"]["chosen"] == (result["law"] == result["rival"]["law"])
    html = (finished / "report.html").read_text()
    law = json.loads((finished / "law.json").read_text())
    assert ("It is the law nearest to the paper" in html) != result["rival"]["chosen"]
    grown = html[html.index("How it grew</h2>") : html.index("Learning curves</h2>")]
    assert "?" not in re.sub(r"<script.*?</script>", "", grown, flags=re.DOTALL)
    assert all(f">{decimal(law[name])}<" in grown for name in ("alpha", "beta", "gamma"))
    assert all(name in html for name in CLASSES)


def test_a_dry_run_tells_the_plan_and_leaves_nothing(call, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = ["run", "--data", photos, *FAST, "--dry-run"]
    planned = call(*command, "--json").json
    assert planned["macs"] <= 400_000
    assert planned["baseline_macs"] <= 100_000
    assert planned["trial_macs"] <= 2 * planned["baseline_macs"]
    assert planned["training"]["epochs"] == planned["trial_epochs"] == 2
    assert planned["laws"] > 1
    assert planned["seconds"] == planned["trial_seconds"] + planned["training"]["seconds"] > 0
    shown = call(*command)
    assert shown.status == 0
    assert f"{planned['laws']} laws, two of them perhaps twice" in shown.out
    assert list(tmp_path.iterdir()) == []
    assert "Cannot read the budget" in call("run", "--budget", "nonsense", "--dry-run").err


def test_called_again_it_shows_the_result_and_works_no_more(call, photos, finished):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()}
    result = call("run", "--data", photos, "--out", finished, *FAST, "--json")
    assert result.status == 0
    assert result.json.items() >= json.loads((finished / "result.json").read_text()).items()
    assert "is finished" in result.err
    after = {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()}
    assert after == before


def test_called_with_other_arguments_it_refuses(call, photos, finished):
    result = call("run", "--data", photos, "--out", finished, *BASELINE, "--budget", "500k")
    assert result.status == 2
    assert "was made with budget macs<=400000, not macs<=500000" in result.err


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["second trial", "before the export"])
def test_killed_and_called_again_it_ends_with_the_same_weights(
    start, call, photos, finished, tmp_path, moment
):
    folder = tmp_path / "run"
    reached = {
        "second trial": lambda: len(read_lines(folder / "trials.jsonl")) >= 2,
        "before the export": (folder / "evaluation.json").exists,
    }[moment]
    process = start("run", "--data", photos, "--out", folder, *FAST)
    wait_for(reached, process)
    process.kill()
    process.communicate()
    result = call("run", "--data", photos, "--out", folder, *FAST, "--json")
    assert result.status == 0
    assert weights(folder) == weights(finished)
    results = [json.loads((run / "result.json").read_text()) for run in (folder, finished)]
    assert results[0] == results[1]  # no time of day in it, and no seconds
    assert {name: result.json[name] for name in results[0]} == results[0]


@pytest.mark.slow
def test_a_stop_from_outside_leaves_a_checkpoint_and_status_130(start, call, photos, finished, tmp_path):
    number = signal.SIGTERM  # Ctrl-C, SIGINT, is tried with searches
    folder = tmp_path / "run"
    process = start("run", "--data", photos, "--out", folder, *FAST)
    wait_for(
        lambda: (folder / "trials").exists() and any((folder / "trials").glob("*/metrics.jsonl")), process
    )
    process.send_signal(number)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 130
    assert out == ""
    assert "the same command goes on from there." in err.splitlines()[-1]
    assert "Traceback" not in err
    assert call("run", "--data", photos, "--out", folder, *FAST).status == 0
    assert weights(folder) == weights(finished)


@pytest.mark.slow
def test_a_disk_that_takes_no_more_is_told_in_a_sentence(start, photos, tmp_path):
    import resource

    def small_files():
        # The system itself refuses: a real write that fails, not one that a test pretends.
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

    process = start("run", "--data", photos, "--out", tmp_path / "run", *FAST, preexec_fn=small_files)
    _, err = process.communicate(timeout=240)
    assert process.returncode == 1
    assert "allometry: Cannot write" in err
    assert "the system allows no larger file there" in err
    assert "Traceback" not in err


def test_a_folder_that_cannot_be_made(call, photos):
    result = call("run", "--data", photos, "--out", "/proc/run", *FAST)
    assert result.status == 1
    assert "allometry: Cannot write /proc/run" in result.err


def test_a_corrupt_image_is_listed_and_left_out(call, photos, tmp_path):
    data = shutil.copytree(photos, tmp_path / "photos")
    (data / "bar" / "broken.jpg").write_bytes((data / "bar" / "1.jpg").read_bytes()[:300])
    (data / "disc" / "empty.png").write_bytes(b"")
    (data / "disc" / "notes.txt").write_text("hello")
    out = tmp_path / "run"
    result = call("train", "efficientnet-b0", "--data", data, "--out", out, "--set", "epochs=0")
    assert result.status == 2
    small = tmp_path / "small.json"
    call("scale", "efficientnet-b0", "--budget", "2M", "--save", small)
    result = call("train", small, "--data", data, "--out", out, "--set", "epochs=1", "--json")
    assert result.status == 0
    for name in ("broken.jpg", "empty.png", "notes.txt"):
        assert name in result.err
    rejected = json.loads((out / "data.json").read_text())["rejected"]
    assert {Path(image["path"]).name for image in rejected} == {"broken.jpg", "empty.png", "notes.txt"}
    assert "broken.jpg" in (out / "report.html").read_text()
    assert result.json["test_images"] == 6


def test_wrong_class_folders(call, tmp_path):
    flat = tmp_path / "flat"
    write_photos(tmp_path / "deep", per_class=3)
    shutil.copytree(tmp_path / "deep" / "bar", flat)
    result = call("run", "--data", flat, "--out", tmp_path / "run")
    assert result.status == 2
    assert "folder" in result.err
    shutil.rmtree(tmp_path / "deep" / "disc")
    (tmp_path / "deep" / "disc").mkdir()
    shutil.rmtree(tmp_path / "deep" / "frame")
    result = call("run", "--data", tmp_path / "deep", "--out", tmp_path / "run2")
    assert result.status == 2
    assert "only one class" in result.err


def test_evaluate_other_splits_and_other_data(call, photos, finished, tmp_path):
    result = call("evaluate", finished, "--json")
    evaluation = json.loads((finished / "evaluation.json").read_text())
    assert result.json["accuracy"] == evaluation["accuracy"]
    assert result.json["confusion"] == evaluation["confusion"]
    assert call("evaluate", finished, "--split", "val").status == 0
    assert "Did you mean 'test'" in call("evaluate", finished, "--split", "tests").err
    other = write_photos(tmp_path / "other", per_class=5, seed=9)
    assert call("evaluate", finished, "--data", other, "--json").json["images"] == 15
    shutil.move(other / "bar", other / "beam")
    wrong = call("evaluate", finished, "--data", other)
    assert wrong.status == 2
    assert "'beam'" in wrong.err


def test_predict_reads_every_kind_of_image(call, finished, tmp_path):
    image = Image.effect_noise((50, 70), 80)
    files = []
    for mode, ending in (("L", "png"), ("RGBA", "png"), ("CMYK", "jpg"), ("P", "gif"), ("1", "bmp")):
        path = tmp_path / f"{mode}.{ending}"
        image.convert("RGB").convert(mode).save(path)
        files.append(path)
    rows = call("predict", finished, *files, "--json").json["predictions"]
    assert [row["image"] for row in rows] == [str(path) for path in files]
    for row in rows:
        assert {label["name"] for label in row["classes"]} == set(CLASSES)
        assert sum(label["probability"] for label in row["classes"]) == pytest.approx(1, abs=1e-4)
    assert (
        len(call("predict", finished, files[0], "--top", 1, "--json").json["predictions"][0]["classes"]) == 1
    )
    files[0].write_bytes(b"broken")
    broken = call("predict", finished, files[0])
    assert broken.status == 2
    assert "L.png" in broken.err
    for ending in ("csv", "jsonl"):
        several = call("predict", finished, *files, "--top", 1, "--out", tmp_path / f"answers.{ending}")
        assert several.status == 1
        assert several.err.count("\n") == 1
        lines = (tmp_path / f"answers.{ending}").read_text().splitlines()
        assert len(lines) == len(files) + (ending == "csv")
        assert "L.png" in lines[ending == "csv"]
    assert ".csv or .jsonl" in call("predict", finished, files[1], "--out", "answers.xlsx").err


@pytest.mark.slow
def test_export_and_its_mistakes(call, finished, tmp_path):
    path = tmp_path / "mine.onnx"
    result = call("export", finished, "--to", "onnx", "--out", path, "--json")
    assert result.status == 0
    assert result.json["bytes"] == path.stat().st_size
    assert result.json["script"] == str(tmp_path / "predict_mine.py")
    (tmp_path / "predict_theirs.py").write_text("print(1)")
    refused = call("export", finished, "--out", tmp_path / "theirs.onnx")
    assert refused.status == 2
    assert "is not a program of ours" in refused.err
    assert not (tmp_path / "theirs.onnx").exists()
    assert "Possible: executorch, ncnn, onnx" in call("export", finished, "--to", "coreml").err
    assert (
        "int8 is delivered as onnx or openvino"
        in call("export", finished, "--to", "torch", "--precision", "int8").err
    )


@pytest.mark.slow
@pytest.mark.parametrize("to", ["onnx", pytest.param("openvino", marks=pytest.mark.slow)])
def test_export_in_int8_judges_both_files_and_warns_of_a_loss(call, finished, to, monkeypatch):
    pytest.importorskip("onnxruntime" if to == "onnx" else to)
    quick = MeasureConfig(rounds=2, seconds=0.01, warm_up=0.1)
    monkeypatch.setattr("allometry.verbs.quantization._MEASURING", quick)
    command = (
        "export",
        finished,
        "--to",
        to,
        "--precision",
        "int8",
        "--normalize-inside",
        "--calibration",
        20,
    )
    result = call(*command, "--json")
    assert result.status == 0, result.err
    folder, quality = finished / "exports" / f"{to}-int8-pixels", result.json["int8"]
    assert result.json["path"] == str(folder / ("model.onnx" if to == "onnx" else "model.xml"))
    assert json.loads((folder / "export.json").read_text())["int8"] == quality
    assert (folder / "predict.py").exists()
    assert quality["calibration"] == 18  # all there are
    assert 0 <= quality["accuracy_after"] <= 1
    assert quality["latency_before"] > 0
    assert len(quality["layers"]) == 5
    loss = quality["accuracy_before"] - quality["accuracy_after"]
    slower = quality["latency_after"] > quality["latency_before"]
    assert (quality["warning"] == "") == (loss <= 0.01 and not slower)
    charged = read_lines(finished / "costs.jsonl")[-1]
    assert (charged["phase"], charged["name"]) == ("export", f"{to}-int8-pixels")


def test_reports_of_one_and_of_several_runs(call, finished, tmp_path):
    assert call("report", finished).out.strip() == str(finished / "report.html")
    compared = call("report", finished, finished, "--out", tmp_path / "both.html", "--json").json["report"]
    assert Path(compared).read_text().count("<h2") > 2


def test_an_unfinished_run_says_how_to_go_on(call, finished, tmp_path):
    copy = shutil.copytree(finished, tmp_path / "copy")
    shutil.rmtree(copy / "checkpoints")
    result = call("predict", copy, "x.png")
    assert result.status == 2
    assert "is not finished; run `allometry run` with the same arguments" in result.err


def test_weights_of_another_network_are_refused(call, finished, tmp_path):
    copy = shutil.copytree(finished, tmp_path / "copy")
    call("scale", "efficientnet-b0", "--phi", "-3", "--save", copy / "network.json")
    result = call("evaluate", copy)
    assert result.status == 2
    assert "are not those of" in result.err


def test_plugins_are_imported_wherever_they_stand_on_the_line(call, tmp_path, monkeypatch):
    monkeypatch.setenv("ALLOMETRY_PLUGINS", "")
    plugin = tmp_path / "plugin_of_the_line.py"
    plugin.write_text("print('here I am')")
    assert call("zoo", "efficientnet-b0", "--plugin", plugin).out.startswith("here I am")
    assert call(f"--plugin={plugin}", "zoo", "efficientnet-b0").status == 0
    refused = call("zoo", "--plugin", "no.such.module")
    assert refused.status == 2
    assert "plugin no.such.module" in refused.err
    assert call("zoo", "--plugin").status == 2
    sys.modules.pop("plugin_of_the_line")
