"""Budgets of latency on the command line: measured here, kept in the run folder, the same after a kill."""

import json
import os
import re
import subprocess
import sys

import pytest

from allometry.arch import Head, MBConv, Network, Stage, Stem, load, save
from allometry.base.files import read_lines
from allometry.cost import RuntimeConfig
from allometry.profiling import LatencyMeter, MeasureConfig

from .test_run import wait_for

QUICK = ("--set", "epochs=2", "--set", "batch_size=8", "--runtime", "torch")


# A reading of a tenth of a second and not of four: what is tested is the way of the figures, not how exact they are.
SHORT = {"rounds": 3, "seconds": 0.01, "warm_up": 0.1}
PROGRAM = f"""
import sys
from allometry.cli import main
from allometry.profiling import LatencyMeter, MeasureConfig
LatencyMeter.__init__.__kwdefaults__["config"] = MeasureConfig(**{SHORT})
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(autouse=True)
def short_readings(monkeypatch):
    """In this process, too."""
    monkeypatch.setitem(LatencyMeter.__init__.__kwdefaults__, "config", MeasureConfig(**SHORT))


def start(*arguments):
    """The command line as a process of its own, with short readings."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A small network's file, and a budget that allows it to grow, in milliseconds."""
    network = Network(
        stem=Stem(channels=8),
        stages=(
            Stage(block=MBConv(channels=8, expand_ratio=2, stride=2)),
            Stage(block=MBConv(channels=16, expand_ratio=4, stride=2), repeats=2),
        ),
        head=Head(channels=32, classes=3),
        resolution=64,
        name="small",
    )
    path = tmp_path_factory.mktemp("networks") / "small.json"
    save(network, path)
    with LatencyMeter(RuntimeConfig(runtime="torch")) as watch:
        budget = 1500 * watch(network)["latency"]
    return path, f"latency<={budget:.3f}ms"


@pytest.mark.slow  # growing to a latency measures some dozen networks
def test_scale_grows_to_a_latency_and_tells_what_was_measured(call, small, tmp_path):
    path, budget = small
    result = call("scale", path, "--budget", budget, "--runtime", "torch", "--save", tmp_path / "n.json")
    assert result.status == 0
    latency = re.search(r"([\d.]+) ms of latency, ", result.out)
    assert float(latency[1]) <= float(budget[len("latency<=") : -2])
    assert "of memory   torch, 1 thread, batch 1, float32, cpu" in result.out
    assert f"{load(tmp_path / 'n.json').resolution} px" in result.out
    assert "measured " in result.err


@pytest.mark.slow
def test_a_run_fits_a_latency_and_goes_on_after_a_kill_with_the_same_networks(call, small, photos, tmp_path):
    path, budget = small
    folder = tmp_path / "run"
    arguments = ["run", "--data", photos, "--baseline", path, "--budget", budget, "--out", folder, *QUICK]
    process = start(*arguments)
    wait_for(lambda: len(read_lines(folder / "trials.jsonl")) >= 2, process)
    process.kill()
    process.communicate()
    before = {line["network"] for line in read_lines(folder / "trials.jsonl")}
    readings = (folder / "readings.jsonl").read_text()
    result = call(*arguments, "--json")
    assert result.status == 0
    trials = [line["network"] for line in read_lines(folder / "trials.jsonl")]
    assert before <= set(trials)
    assert len(set(trials)) == result.json["trials"]
    assert (folder / "readings.jsonl").read_text().startswith(readings)
    limit = json.loads((folder / "plan.json").read_text())["budget"][0]
    assert limit["measure"] == "latency"
    assert result.json["latency"] <= limit["most"]
    assert {line["phase"] for line in read_lines(folder / "costs.jsonl")} >= {"measure", "train"}
    assert "ms of at most" in (folder / "report.html").read_text()
    other = call(*arguments[:-1], "onnxruntime")
    assert other.status == 2
    assert "runtime" in other.err
