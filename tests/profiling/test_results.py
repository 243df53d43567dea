"""Figures of measurements that nobody took: percentiles, ratios in quiet rounds, warnings, and how they are shown."""

import json
import math
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allometry.arch import MBConv, Network, Stage, from_json, save, to_json
from allometry.base import InputError, MeasurementError, UnknownNameError
from allometry.catalog import get
from allometry.cost import RuntimeConfig
from allometry.profiling import MeasureConfig, measure, networks_to_measure
from allometry.profiling.latency_meter import network_to_measure
from allometry.profiling.machine import busy_seconds, machine_info
from allometry.profiling.measured_network import PRECISIONS, RUNTIMES, MeasuredNetwork
from allometry.profiling.processes import Block
from allometry.profiling.results import (
    Measurements,
    Ratio,
    latency,
    measured,
    measurement_warnings,
    quiet_ratio,
    ratio,
)
from allometry.profiling.sampling import Samples, WarmUp, sample, warm_up
from allometry.profiling.tables import _rank_correlation

seconds = st.floats(1e-5, 10)
turns = st.lists(st.lists(seconds, min_size=1, max_size=5), min_size=1, max_size=12)
TINY = Network(stages=(Stage(block=MBConv(channels=8)),), resolution=16, name="tiny")


def blocks(times, *, waited: float = 0.0, peak: int = 2000, own: int = 1000) -> list[Block]:
    return [Block(tuple(each), sum(each), sum(each), waited, peak, own) for each in times]


def one(times, *, name: str = "efficientnet-b0", steady: bool = True, batch: int = 1, **options):
    (candidate,) = networks_to_measure([name], batch=batch)
    samples = Samples(WarmUp(steady, 0.1, 0.1), blocks(times, **options))
    return measured(candidate, samples, load_seconds=1.5, first_seconds=0.5, size=300), samples


@given(turns)
def test_a_turns_median_is_kept_and_nothing_is_left_out(times):
    found = latency(times)
    assert found.turns == tuple(float(np.median(each)) for each in times)
    assert (found.rounds, found.runs) == (len(times), sum(map(len, times)))
    assert found.least == min(min(each) for each in times)


@given(turns, st.integers(1, 64))
def test_figures_of_a_candidate_follow_from_its_blocks(times, batch):
    figures, _ = one(times, batch=batch)
    assert figures.latency == latency(times)
    assert figures.throughput == pytest.approx(batch / figures.latency.median)
    assert (figures.memory, figures.own_memory) == (2000, 1000)
    assert (figures.load_seconds, figures.first_seconds, figures.bytes) == (1.5, 0.5, 300)
    assert (figures.name, figures.runtime, figures.resolution) == ("efficientnet-b0", "torch", 224)


@given(st.lists(seconds, min_size=1, max_size=12), st.floats(0.1, 10))
def test_a_constant_ratio_is_found_in_any_rounds(times, factor):
    first, other = latency([[each] for each in times]), latency([[factor * each] for each in times])
    found, then = quiet_ratio(first, other)
    assert found == pytest.approx(factor)
    assert min(times) <= then <= max(times)


def test_only_the_quiet_third_of_the_rounds_counts():
    first = latency([[each] for each in (1, 1, 1, 5, 9, 7)])
    other = latency([[each] for each in (2, 2, 8, 9, 9, 9)])
    assert quiet_ratio(first, other) == (2.0, 1.0)


@given(turns, st.floats(0.2, 5))
def test_a_ratio_is_the_same_whenever_it_is_drawn_again(times, factor):
    other = [[factor * each for each in turn] for turn in times]
    found = ratio(times, other)
    assert found == ratio(times, other)
    assert found == pytest.approx((factor,) * 3)
    assert found[1] <= found[0] * (1 + 1e-12)


def test_an_interval_lies_around_its_ratio():
    random = np.random.default_rng(0)
    first = [[1 + 0.1 * random.random()] for _ in range(30)]
    other = [[2 + 0.1 * random.random()] for _ in range(30)]
    middle, low, high = ratio(first, other)
    assert low < middle < high
    assert high - low < 0.1


QUIET = [[0.01, 0.0101]] * 9


@pytest.mark.parametrize(
    ("options", "busy_cores", "message"),
    [
        ({}, 0.0, None),
        ({}, None, None),
        ({}, 0.7, "Other processes kept 0.7 cores busy meanwhile"),
        ({"waited": 0.01}, 0.0, "efficientnet-b0 in torch was without a core for 50% of its time"),
        ({"steady": False}, 0.0, "did not become steady while it warmed up"),
    ],
)
def test_what_makes_figures_doubtful_is_told(options, busy_cores, message):
    figures, samples = one(QUIET, **options)
    warnings = measurement_warnings([figures], [samples], busy_cores=busy_cores)
    if message is None:
        assert warnings == ()
    else:
        assert len(warnings) == 1
        assert message in warnings[0]


def test_runs_that_differ_are_told_with_by_how_much():
    figures, samples = one([[0.01], [0.02], [0.03]] * 5)
    (warning,) = measurement_warnings([figures], [samples], busy_cores=0.0)
    assert "the 10th and the 90th percentile lie 100% of the median apart" in warning


def test_measurements_show_themselves():
    first, other = one(QUIET)[0], one([[0.02]] * 9, name="resnet-18")[0]
    found = Measurements(
        machine_info=machine_info(),
        measured=(first, other),
        ratios=(Ratio(name="resnet-18", runtime="torch", ratio=2.0, low=1.9, high=2.1),),
        busy_cores=0.0,
        warnings=("<doubtful>",),
    )
    assert "efficientnet-b0 in torch: 10.1 ms (10 ms to 10.1 ms); resnet-18 in torch: 20 ms" in repr(found)
    assert repr(found).endswith("; 1 warning)")
    html = found._repr_html_()
    assert "&lt;doubtful&gt;" in html
    assert html.count("<tr>") == 3
    plain = json.loads(json.dumps(found.to_dict()))
    assert plain["measured"][1]["latency"]["median"] == 0.02
    assert plain["ratios"][0]["ratio"] == 2.0
    assert plain["machine_info"]["cores"] >= 1


def test_this_machine_is_described():
    here = machine_info()
    assert here.accelerator is None
    assert here.libraries["torch"]
    assert here.processor.endswith(("core", "cores"))
    assert json.loads(json.dumps(here.to_dict()))["python"] == here.python
    busy = busy_seconds()
    assert busy is None or busy > 0


# What is measured


@given(
    st.lists(st.sampled_from(["efficientnet-b0", "resnet-18", "mobilenetv2"]), min_size=1, max_size=3),
    st.lists(st.sampled_from(RUNTIMES), min_size=1, max_size=4, unique=True),
    st.integers(1, 64),
    st.integers(1, 16),
    st.none() | st.integers(32, 320),
)
def test_every_network_is_measured_in_every_runtime(names, runtimes, batch, threads, resolution):
    found = networks_to_measure(names, runtimes=runtimes, batch=batch, threads=threads, resolution=resolution)
    assert [(each.name, each.runtime) for each in found] == [
        (name, each) for name in names for each in runtimes
    ]
    for each in found:
        side = resolution or get(each.name).resolution
        assert each.shape == (batch, 3, side, side)
        assert each.threads == threads
        assert from_json(each.network) == get(each.name)
        assert each.exported == (each.runtime in ("onnxruntime", "openvino"))


def test_networks_come_as_values_files_folders_and_modules(tmp_path):
    save(TINY, tmp_path / "network.json")
    values = [TINY, str(tmp_path / "network.json"), tmp_path, "package.module:make", "timm:resnet50"]
    found = networks_to_measure(values)
    assert [each.name for each in found] == [
        "tiny",
        str(tmp_path / "network.json"),
        str(tmp_path),
        *values[3:],
    ]
    assert [each.network for each in found] == [to_json(TINY)] * 3 + [None] * 2
    assert [each.module for each in found] == [None] * 3 + values[3:]
    assert networks_to_measure([replace(TINY, name="")])[0].name == "network"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"runtime": "tflite"}, UnknownNameError, "No runtime is named 'tflite'"),
        ({"precision": "int8"}, UnknownNameError, "No precision is named 'int8'"),
        ({"batch": 0}, InputError, "batch must be at least 1, not 0"),
        ({"threads": 0}, InputError, "threads must be at least 1"),
        ({"resolution": -1}, InputError, "resolution must be at least 1"),
        ({"channels": 0}, InputError, "channels must be at least 1"),
        (
            {"runtime": "onnxruntime", "precision": "bfloat16"},
            InputError,
            "take the runtime openvino or torch",
        ),
        ({"runtime": "openvino", "device": "cuda"}, InputError, "is measured on the cpu only, not on cuda"),
        (
            {"file": Path("a.xml"), "runtime": "onnxruntime"},
            InputError,
            "runs in openvino, not in onnxruntime",
        ),
        (
            {"file": Path("a.onnx"), "runtime": "torch"},
            InputError,
            "runs in onnxruntime or openvino, not in torch",
        ),
        ({"file": Path("a.pt2"), "runtime": "openvino"}, InputError, "runs in torch or torch.compile"),
    ],
)
def test_what_does_not_go_together_is_refused_in_a_sentence(options, error, message):
    given_options = {"name": "x", "runtime": "torch", **options}
    if "file" not in options:
        given_options["network"] = to_json(TINY)
    with pytest.raises(error, match=message):
        MeasuredNetwork(**given_options)


@pytest.mark.parametrize(
    ("runtime", "precision"),
    [pair for pair in product(RUNTIMES, PRECISIONS) if pair != ("onnxruntime", "bfloat16")],
)
def test_a_configuration_is_handed_on_whole(runtime, precision):
    config = RuntimeConfig(runtime=runtime, threads=3, batch=2, precision=precision)
    candidate = network_to_measure(TINY, config)
    assert (candidate.runtime, candidate.threads, candidate.batch) == (runtime, 3, 2)
    assert (candidate.precision, candidate.name, candidate.resolution) == (precision, "tiny", 16)


# When who runs


class Subject:
    """Takes so long a run."""

    load_seconds = first_seconds = 0.1
    bytes = 10

    def __init__(self, seconds: float) -> None:
        self.seconds, self.runs = seconds, list[int]()

    def run(self, runs: int) -> Block:
        self.runs.append(runs)
        return Block((self.seconds,) * runs, runs * self.seconds, runs * self.seconds, 0.0, 20, 10)


@given(st.lists(st.floats(1e-4, 1), min_size=1, max_size=4), st.integers(1, 6), st.floats(0.01, 2))
def test_every_candidate_has_every_turn_and_each_begins_as_often(times, rounds, length):
    subjects = [Subject(each) for each in times]
    config = MeasureConfig(rounds=rounds, seconds=length, warm_up=5)
    order: list[int] = []
    samples = sample(subjects, config, advanced=order.append)
    assert [len(each.blocks) for each in samples] == [rounds] * len(times)
    for turn in range(rounds):
        row = order[turn * len(times) : (turn + 1) * len(times)]
        assert sorted(row) == list(range(len(times)))
        assert row[0] == turn % len(times)
    for subject in subjects:
        runs = subject.runs[-1]
        assert runs == max(1, round(length / subject.seconds))


@given(st.floats(1e-3, 10), st.floats(0.1, 20))
def test_what_is_even_is_warm_after_two_blocks(time, longest):
    subject = Subject(time)
    found = warm_up(subject, MeasureConfig(warm_up=longest))
    assert found.steady or sum(subject.runs) * time >= longest
    assert found.seconds == pytest.approx(time)
    assert found.processor == pytest.approx(sum(subject.runs) * time)


@pytest.mark.parametrize("options", [{"rounds": 0}, {"seconds": 0}, {"warm_up": 0}, {"seconds": -1}])
def test_measuring_takes_some_time(options):
    with pytest.raises(InputError, match=r"rounds must be at least 1|more than no time"):
        MeasureConfig(**options)


def test_a_measurement_is_made_of_any_subjects():
    times = {"efficientnet-b0": 0.01, "resnet-18": 0.03}

    def opener(_held, chosen):
        return [Subject(times[candidate.name]) for candidate in chosen]

    found = measure(
        networks_to_measure(list(times)),
        config=MeasureConfig(rounds=3, seconds=0.1, warm_up=1),
        opener=opener,
    )
    assert [each.latency.median for each in found.measured] == [0.01, 0.03]
    assert [(each.name, round(each.ratio, 6)) for each in found.ratios] == [("resnet-18", 3.0)]
    with pytest.raises(InputError, match="at least one network"):
        measure([], opener=opener)

    def broken(_held, _chosen):
        raise MeasurementError("the kernel went away")

    with pytest.raises(MeasurementError, match="went away"):
        measure(networks_to_measure(["resnet-18"]), opener=broken)


@given(st.lists(st.integers(0, 10**6), min_size=3, max_size=30, unique=True), st.randoms())
def test_a_rank_correlation_looks_at_the_order_only(values, random):
    other = [math.log1p(value) * 3 + 1 for value in values]
    assert _rank_correlation(values, other) == pytest.approx(1)
    assert _rank_correlation(values, [-each for each in other]) == pytest.approx(-1)
    mixed = random.sample(values, len(values))
    assert -1 - 1e-9 <= _rank_correlation(values, mixed) <= 1 + 1e-9
    ranks = [sorted(values).index(value) for value in values]
    busy_cores = [sorted(mixed).index(value) for value in mixed]
    squares = sum((a - b) ** 2 for a, b in zip(ranks, busy_cores, strict=True))
    size = len(values)
    # Source: Spearman's formula where no two are equal.
    assert _rank_correlation(values, mixed) == pytest.approx(1 - 6 * squares / (size * (size**2 - 1)))
