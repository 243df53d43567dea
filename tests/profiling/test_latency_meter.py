"""The meter: relative to the first network, remembered, and the same in a later process."""

import json
from dataclasses import replace

import pytest

from allometry.arch import from_json
from allometry.catalog import get
from allometry.cost import RuntimeConfig, count
from allometry.profiling import LatencyMeter, MeasureConfig
from allometry.profiling.processes import Block

B0 = get("efficientnet-b0")
SMALL, LARGE = (replace(B0, resolution=side) for side in (64, 128))
QUICK = MeasureConfig(rounds=3, seconds=0.01, warm_up=0.1)


class Subject:
    """Takes as long as its MACs say, at the speed the machine has just then."""

    load_seconds = first_seconds = 0.1
    bytes = 10

    def __init__(self, machine, macs: int) -> None:
        self.machine, self.macs = machine, macs

    def run(self, runs: int) -> Block:
        seconds = self.macs * 1e-11 / self.machine.speed
        total = seconds * runs
        return Block((seconds,) * runs, total, total, 0.0, 2000, self.macs)


class Machine:
    """Makes such subjects ready, and remembers of which resolution."""

    def __init__(self) -> None:
        self.speed = 1.0
        self.opened: list[int] = []

    def __call__(self, _held, chosen):
        self.opened += [candidate.resolution for candidate in chosen]
        return [Subject(self, count(from_json(candidate.network)).macs) for candidate in chosen]


def test_a_machine_that_becomes_slower_does_not_change_how_networks_compare():
    machine = Machine()
    with LatencyMeter(config=QUICK, opener=machine) as watch:
        first = watch(B0)["latency"]
        machine.speed = 0.5
        small = watch(SMALL)
        assert small["latency"] / watch(B0)["latency"] == pytest.approx(count(SMALL).macs / count(B0).macs)
        assert small["memory"] == count(SMALL).macs
        machine.speed = 1.0
        watch(LARGE)
        assert watch(B0)["latency"] == pytest.approx(first)  # the middle of what it took all the time


def test_no_network_is_measured_twice_and_the_first_stays_ready():
    machine = Machine()
    with LatencyMeter(config=QUICK, opener=machine) as watch:
        for network in (B0, SMALL, B0, SMALL, replace(SMALL, name="another label")):
            watch(network)
    assert machine.opened == [224, 64]


def test_a_later_process_answers_the_same_and_measures_only_what_is_new(tmp_path):
    store, asked, first, later = tmp_path / "readings.jsonl", (B0, SMALL, LARGE), Machine(), Machine()
    with LatencyMeter(config=QUICK, opener=first, store=store) as watch:
        before = []
        for speed, network in zip((1.0, 0.7, 1.2), asked, strict=True):
            first.speed = speed
            before.append(watch(network))
    later.speed = 3.0
    with LatencyMeter(config=QUICK, opener=later, store=store) as watch:
        assert [watch(network) for network in asked] == before
        assert later.opened == []
        watch(replace(B0, resolution=96))
        assert later.opened == [224, 96]
    lines = [json.loads(line) for line in store.read_text().splitlines()]
    assert [from_json(line["json"]).resolution for line in lines] == [224, 64, 128, 96]
    assert all(line["processor"] for line in lines)


def test_readings_of_another_setting_do_not_count(tmp_path):
    store, machine = tmp_path / "readings.jsonl", Machine()
    for threads in (1, 2):
        with LatencyMeter(RuntimeConfig(threads=threads), config=QUICK, opener=machine, store=store) as watch:
            watch(SMALL)
    assert machine.opened == [64, 64]
