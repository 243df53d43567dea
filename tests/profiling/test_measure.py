"""Measuring: who runs when, what the figures are, and what happens when something goes wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allometry.arch import Head, MBConv, Network, Stage, Stem, save
from allometry.base import InputError, MeasurementError, UnknownNameError
from allometry.cli import main
from allometry.profiling import RUNTIMES, MeasureConfig, measure, networks_to_measure
from allometry.profiling.processes import Block
from allometry.profiling.results import latency, measured, measurement_warnings, ratio
from allometry.profiling.sampling import Samples, WarmUp, sample, warm_up

QUICK = MeasureConfig(rounds=2, seconds=0.01, warm_up=0.2)
MODULES = "tests.profiling.modules"


class Fake:
    """A subject whose runs take what they are told to."""

    load_seconds = first_seconds = 0.5
    bytes = 100

    def __init__(self, name: str, seconds, log: list[str] | None = None) -> None:
        self.name, self.log = name, log if log is not None else []
        self.seconds = seconds if callable(seconds) else lambda _number: seconds
        self.asked: list[int] = []

    def run(self, runs: int) -> Block:
        seconds = self.seconds(len(self.asked))
        self.asked.append(runs)
        self.log.append(self.name)
        total = seconds * runs
        return Block((seconds,) * runs, total, total, 0.0, 2000, 1000)


@pytest.fixture
def network(tmp_path) -> Path:
    tiny = Network(
        stem=Stem(channels=8),
        stages=(Stage(block=MBConv(channels=8, expand_ratio=2, stride=2)),),
        head=Head(channels=16, classes=3),
        resolution=32,
    )
    save(tiny, tmp_path / "tiny.json")
    return tmp_path / "tiny.json"


def test_they_take_turns_and_another_one_is_first_each_time():
    log: list[str] = []
    subjects = [Fake(name, 0.01, log) for name in "abc"]
    samples = sample(subjects, MeasureConfig(rounds=4, seconds=0.05, warm_up=1))
    turns = "".join(log)[-12:]
    assert turns == "abcbcacababc"
    assert [len(each.blocks) for each in samples] == [4, 4, 4]
    # A turn is about 0.05 s long.
    assert all(len(block.seconds) == 5 for each in samples for block in each.blocks)


def test_it_warms_up_until_two_blocks_agree():
    slow_at_first = Fake("slow at first", lambda number: [3.0, 2.0, 1.0, 1.0][min(number, 3)])
    assert warm_up(slow_at_first, MeasureConfig()) == WarmUp(steady=True, seconds=1.0, processor=7.0)


def test_what_never_becomes_steady_is_taken_as_it_is():
    wild = Fake("wild", lambda number: 1.0 + number % 2)
    warmed = warm_up(wild, MeasureConfig(warm_up=20))
    assert not warmed.steady
    assert warmed.processor <= 20 + 2


def test_a_run_that_takes_no_time_ends_all_the_same():
    assert warm_up(Fake("nothing", 0.0), MeasureConfig()).steady


@given(st.lists(st.lists(st.floats(1e-6, 10), min_size=1, max_size=20), min_size=1, max_size=20))
def test_latency_is_of_all_runs(rounds):
    found = latency(rounds)
    runs = [run for each in rounds for run in each]
    assert found.least == min(runs) <= found.low <= found.median <= found.high <= max(runs) * (1 + 1e-12)
    assert found.median == pytest.approx(np.median(runs))
    assert (found.runs, found.rounds) == (len(runs), len(rounds))


@given(
    st.lists(st.lists(st.floats(0.01, 10), min_size=1, max_size=9), min_size=1, max_size=20),
    st.floats(0.1, 10),
)
def test_what_disturbs_both_alike_does_not_change_the_ratio(rounds, factor):
    found = ratio(rounds, [[factor * run for run in each] for each in rounds])
    assert found == pytest.approx((factor, factor, factor))


def test_the_interval_holds_the_ratio_and_widens_with_the_noise():
    random = np.random.default_rng(1)

    def rounds(noise: float):
        return [[1 + noise * random.random()] for _ in range(40)]

    calm, wild = ratio(rounds(0.01), rounds(0.01)), ratio(rounds(1), rounds(1))
    for middle, low, high in (calm, wild):
        assert low <= middle <= high
    assert wild[2] - wild[1] > 10 * (calm[2] - calm[1])


def warnings_about(blocks: list[Block], *, busy_cores: float | None, steady: bool = True):
    (candidate,) = networks_to_measure(["efficientnet-b0"])
    samples = Samples(WarmUp(steady, 0.1, 0.1), blocks)
    figures = measured(candidate, samples, load_seconds=1, first_seconds=1, size=1)
    return measurement_warnings([figures], [samples], busy_cores=busy_cores)


def test_a_quiet_machine_leaves_no_doubts():
    blocks = [Block((0.1, 0.1), 0.2, 0.2, 0.0, 1, 1)] * 3
    assert warnings_about(blocks, busy_cores=0.02) == ()


@pytest.mark.parametrize(
    ("blocks", "steady", "busy_cores", "said"),
    [
        ([Block((0.1, 0.1), 0.2, 0.2, 0.0, 1, 1)], True, 0.8, "kept 0.8 cores busy"),
        ([Block((0.1, 0.1), 0.2, 0.1, 0.1, 1, 1)], True, 0.0, "without a core for 50% of its time"),
        ([Block((0.1, 0.2), 0.3, 0.3, 0.0, 1, 1)], True, None, "53% of the median apart"),
        ([Block((0.1, 0.1), 0.2, 0.2, 0.0, 1, 1)], False, 0.0, "did not become steady"),
    ],
)
def test_each_warning_is_given(blocks, steady, busy_cores, said):
    (found,) = warnings_about(blocks, steady=steady, busy_cores=busy_cores)
    assert said in found


def test_figures_of_fakes_whole():
    def opener(_held: ExitStack, chosen):
        return [Fake(each.name, 0.01 * (1 + place)) for place, each in enumerate(chosen)]

    chosen = networks_to_measure(["efficientnet-b0", "efficientnet-b1"], batch=4)
    found = measure(chosen, config=MeasureConfig(rounds=3), opener=opener)
    assert [each.latency.median for each in found.measured] == [0.01, 0.02]
    assert [each.throughput for each in found.measured] == [400, 200]
    assert [each.resolution for each in found.measured] == [224, 240]
    assert [(each.name, each.ratio) for each in found.ratios] == [("efficientnet-b1", 2.0)]
    assert json.loads(json.dumps(found.to_dict()))["measured"][0]["own_memory"] == 1000


@pytest.mark.slow
@pytest.mark.parametrize("runtime", [each for each in RUNTIMES if each != "torch.compile"])
def test_a_network_runs_in_a_process_of_its_own(network, runtime):
    pytest.importorskip("openvino" if runtime == "openvino" else "torch")
    found = measure(networks_to_measure([str(network)], runtimes=[runtime], batch=2), config=QUICK)
    (each,) = found.measured
    assert each.latency.runs >= 2
    assert 0 < each.latency.least <= each.latency.median
    assert each.throughput == pytest.approx(2 / each.latency.median)
    assert each.bytes > 1000
    assert each.memory > each.own_memory
    assert found.machine_info.libraries["torch"]


def test_a_runtime_that_reads_files_loads_no_torch():
    code = "import sys, allometry.profiling.worker; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_a_library_prints_does_not_disturb():
    assert (
        measure(networks_to_measure([f"{MODULES}:chatty"], resolution=8), config=QUICK)
        .measured[0]
        .latency.runs
    )


@pytest.mark.slow
def test_a_process_that_dies_says_its_last_words():
    with pytest.raises(
        MeasurementError, match=r"modules:dying in torch did not come through: the kernel went away"
    ):
        measure(networks_to_measure([f"{MODULES}:dying"], resolution=8), config=QUICK)
    with pytest.raises(MeasurementError, match=r"modules:picky in torch did not come through: .*shapes"):
        measure(networks_to_measure([f"{MODULES}:picky"], resolution=8), config=QUICK)


def test_an_exported_file_is_measured_itself(tmp_path):
    import torch

    from allometry.deploy import write_onnx
    from tests.profiling.modules import plain

    path = write_onnx(plain(), tmp_path / "plain.onnx", example=torch.zeros(1, 3, 20, 20))
    (each,) = measure(networks_to_measure([str(path)], runtimes=["onnxruntime"]), config=QUICK).measured
    assert (each.resolution, each.bytes) == (20, path.stat().st_size)


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["onnxruntime", pytest.param("openvino", marks=pytest.mark.slow)])
def test_a_delivered_file_says_itself_what_it_takes(tmp_path, runtime):
    from allometry.deploy import ExportConfig, as_target, write_file
    from allometry.training import Preprocessing
    from tests.profiling.modules import plain

    pytest.importorskip(runtime)
    target = as_target("onnx" if runtime == "onnxruntime" else "openvino")
    export_config = ExportConfig(target=target, normalize_inside=True)
    three = (0.5, 0.5, 0.5)
    asked = Preprocessing(channels=3, resolution=20, crop=1.0, mean=three, std=three, classes=("a", "b"))
    path = write_file(
        plain(), tmp_path / export_config.file, preprocessing=asked, export_config=export_config
    )
    (each,) = measure(networks_to_measure([str(path)], runtimes=[runtime], batch=3), config=QUICK).measured
    assert (each.resolution, each.batch) == (20, 3)
    assert each.bytes == sum(file.stat().st_size for file in tmp_path.iterdir())


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"networks": ["efficientnet-b0"], "batch": 0}, "batch must be at least 1"),
        (
            {"networks": ["efficientnet-b0"], "runtimes": ["onnxruntime"], "precision": "bfloat16"},
            "computes in float32",
        ),
        ({"networks": ["efficientnet-b0"], "runtimes": ["openvino"], "device": "cuda"}, "on the cpu only"),
        ({"networks": ["nowhere.onnx"], "runtimes": ["onnxruntime"]}, "There is no file nowhere.onnx"),
        ({"networks": ["nowhere.onnx"]}, "There is no file nowhere.onnx"),
    ],
)
def test_what_does_not_go_together_is_told(asked, said):
    with pytest.raises(InputError, match=said):
        networks_to_measure(asked.pop("networks"), **asked)


def test_unknown_names_and_files_that_are_none(tmp_path):
    for asked in ({"runtimes": ["tensorflow"]}, {"precision": "int4"}):
        with pytest.raises(UnknownNameError, match="Possible"):
            networks_to_measure(["efficientnet-b0"], **asked)
    (tmp_path / "photo.onnx").write_bytes(b"no network")
    with pytest.raises(InputError, match="is not a file of a network for images"):
        networks_to_measure([str(tmp_path / "photo.onnx")], runtimes=["onnxruntime"])
    with pytest.raises(InputError, match="at least one network"):
        measure(())
    with pytest.raises(InputError, match="rounds must be at least 1"):
        MeasureConfig(rounds=0)


@pytest.mark.slow
def test_openvino_does_not_pass_off_float32_as_bfloat16(network):
    openvino = pytest.importorskip("openvino")
    chosen = networks_to_measure([str(network)], runtimes=["openvino"], precision="bfloat16")
    if "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        assert measure(chosen, config=QUICK).measured[0].precision == "bfloat16"
    else:
        with pytest.raises(InputError, match="no bfloat16 on this processor"):
            measure(chosen, config=QUICK)


def test_without_a_gpu_cuda_is_refused():
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has one")
    with pytest.raises(InputError, match="no CUDA device here"):
        measure(networks_to_measure(["efficientnet-b0"], device="cuda"), config=QUICK)


@pytest.mark.slow
def test_the_command_line_prints_and_saves(network, tmp_path, capfd):
    saved = tmp_path / "figures.json"
    asked = ["measure", str(network), "efficientnet-lite0", "--resolution", "32", "--rounds", "2"]
    assert main([*asked, "--seconds", "0.01", "--compare", "--save", str(saved)]) == 0
    shown = capfd.readouterr().out
    assert "times as long" in shown
    assert "efficientnet-lite0" in shown
    found = json.loads(saved.read_text())
    assert {each["name"] for each in found["measured"]} == {str(network), "efficientnet-lite0"}
    assert found["machine_info"]["processor"]
    assert found["ratios"][0]["low"] <= found["ratios"][0]["ratio"] <= found["ratios"][0]["high"]
    assert main(["measure", str(network), "--rounds", "1", "--seconds", "0.01", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["measured"][0]["name"] == str(network)


@pytest.mark.slow
def test_a_busy_loop_beside_it_makes_it_warn(network):
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        found = measure(
            networks_to_measure([str(network)]), config=MeasureConfig(rounds=5, seconds=0.2, warm_up=1)
        )
    finally:
        for loop in loops:
            with suppress(ProcessLookupError):
                loop.kill()
            loop.wait()
    if found.busy_cores is None:
        pytest.skip("this system does not tell what else it does")
    assert any("Other processes kept" in warning for warning in found.warnings)
