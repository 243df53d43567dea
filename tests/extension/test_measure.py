"""A measure is one object: those from outside limit budgets, are objectives, and are shown by every verb."""

import json
import math
import pickle
import sys
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest

import allometry as al
from allometry.arch import Head, MBConv, Network, Stage, Stem
from allometry.base import (
    BudgetError,
    InputError,
    MeasurementError,
    ObjectiveError,
    UnknownNameError,
    plugins,
)
from allometry.base.units import BYTES, COUNT, Unit
from allometry.catalog import find_space, get, mbconv_space
from allometry.cli import main
from allometry.cost import (
    MEASURES,
    Budget,
    Cost,
    Limit,
    Measure,
    as_measure,
    count,
    parse_budget,
    register_measure,
)
from allometry.cost.measurements import read_with
from allometry.nas import Objective, encodings_of, network_of
from allometry.nas.confirming import confirmed
from allometry.nas.gradient.costs import counted
from allometry.nas.space_costs import SpaceCosts
from allometry.runs import TrainResult
from allometry.supernets.extremes import least_counted
from tests.images import shapes

PLUGIN = Path(__file__).with_name("energy_plugin.py")
B0 = get("efficientnet-b0")
TINY = Network(
    name="tiny",
    stem=Stem(channels=8),
    stages=(Stage(block=MBConv(channels=8, expand_ratio=2, stride=2), repeats=2),),
    head=Head(channels=16, classes=7),
    resolution=24,
)
SPACE = mbconv_space(TINY, kernels=(3, 5), expand_ratios=(1, 2), depths=(1, 2))
SHORT = {"epochs": 1, "settings": ("batch_size=16",), "progress": False}


@pytest.fixture
def plugin(no_plugins):
    """The module with the measures from outside, imported as a plugin is."""
    plugins.add_plugins([str(PLUGIN)])
    return sys.modules[PLUGIN.stem]


@pytest.fixture
def call(capfd):
    def run(*arguments):
        capfd.readouterr()
        status = main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return status, out, err

    return run


@pytest.fixture(scope="module")
def arrays():
    return shapes(12, size=24, seed=0)


# Budgets, solving, scaling


def test_a_counted_measure_limits_a_budget(plugin):
    budget = parse_budget("energy<=5mJ, params<=2x", count(B0))
    assert str(budget) == "energy <= 5 mJ, params <= 10.6M"
    assert parse_budget(budget.exact()) == budget
    assert budget.limits[0] == Limit(plugin.ENERGY, 0.005)
    assert budget.allows(count(B0))
    assert str(budget.times(0.5).limits[0]) == "energy <= 2.5 mJ"
    with pytest.raises(BudgetError, match="'5' needs a unit: J, mJ or uJ"):
        parse_budget("energy<=5")
    solution = al.solve(B0, "energy<=1mJ")
    assert 0.99 < solution.cost["energy"] / 1e-3 <= 1
    assert solution.cost["energy"] == pytest.approx(
        4.6e-12 * solution.cost.macs + 2.5e-10 * solution.cost.activations
    )
    assert al.scale(B0, budget="energy<=2x").resolution > 224
    with pytest.raises(BudgetError, match=r"energy <= 1 nJ: the smallest has energy [\d.]+ uJ\."):
        al.solve(B0, "energy<=1nJ")


def test_a_measure_by_value_needs_no_name(no_plugins):
    mine = Measure(name="weight_bytes", unit=BYTES, count=lambda counts: 4 * counts.params, additive=True)
    solution = al.solve(B0, Budget((Limit(mine, 4_000_000),)))
    assert 0.99 < mine.of(solution.cost) / 4_000_000 <= 1
    assert "weight_bytes" not in MEASURES
    assert SpaceCosts(SPACE, None).within(Budget((Limit(mine, 10**9),)))(
        encodings_of(SPACE, [SPACE.largest()])
    )
    with pytest.raises(BudgetError, match="cannot limit 'weight_bytes'; possible: params, macs"):
        parse_budget("weight_bytes<=4MB")


def test_a_measure_with_a_function_is_read_from_a_few_networks(plugin):
    solution = al.solve(B0, "charge<=5mC, params<=20M")
    assert 0.93 < solution.use <= 1
    assert solution.cost["charge"] == solution.cost.readings["charge"] <= 0.005
    assert len(plugin.asked) == len(set(plugin.asked)) <= 12
    assert al.scale(B0, budget="charge<=5mC").depth > 0
    with pytest.raises(BudgetError, match=r"charge <= 1 pC: the smallest took"):
        al.solve(B0, "charge<=1pC")


def test_readings_must_be_positive_numbers(no_plugins):
    broken = Measure(name="broken", measure=lambda _network: 0.0)
    with pytest.raises(MeasurementError, match=r"The measure broken came to 0.0 for a network of"):
        al.solve(B0, Budget((Limit(broken, 5),)))


def test_where_more_is_better_a_budget_is_a_least_value(no_plugins):
    register_measure(
        Measure(name="speed", unit=Unit("Hz"), better="higher", read=lambda run: 1 / run.latency)
    )
    budget = parse_budget("speed>=50Hz")
    assert (str(budget), budget.exact()) == ("speed >= 50 Hz", "speed>=50.0Hz")
    with pytest.raises(BudgetError, match="of speed more is better; write speed>=50Hz"):
        parse_budget("speed<=50Hz")
    with pytest.raises(BudgetError, match="of macs less is better; write macs<=1G"):
        parse_budget("macs>=1G")

    def meter(network):
        return {"speed": 1 / (2e-11 * count(network).macs + 1e-4 * network.depth)}

    solution = al.solve(B0, budget, measure=meter)
    assert 50 <= solution.cost["speed"] < 53
    assert solution.use == 50 / solution.cost["speed"]
    assert budget.times(0.5).limits[0].most == 100
    with pytest.raises(BudgetError, match="speed >= 1 MHz: the smallest took"):
        al.solve(B0, "speed>=1MHz", measure=meter)


# Spaces, objectives, searches


def test_the_measures_of_very_many_networks_are_those_of_each(plugin):
    space = find_space("fbnet")
    networks = [space.smallest(), space.largest()]
    encodings = encodings_of(space, networks)
    assert SpaceCosts(space, None)(encodings)["energy"] == pytest.approx(
        [count(network)["energy"] for network in networks]
    )
    limit = parse_budget("energy<=2mJ")
    assert SpaceCosts(space, None).within(limit)(encodings).tolist() == [
        limit.allows(count(network)) for network in networks
    ]
    least = least_counted(space, "energy")
    assert count(network_of(space, least.encoding))["energy"] == pytest.approx(least.value)
    assert counted(plugin.ENERGY).name == "energy"


def test_what_a_space_cannot_know_is_refused_with_what_to_do(plugin):
    with pytest.raises(BudgetError, match="charge, which is measured network by network"):
        SpaceCosts(SPACE, None).within(parse_budget("charge<=1C"))
    with pytest.raises(InputError, match="can lower params, macs, activations, energy or a table's latency"):
        counted("charge")
    with pytest.raises(BudgetError, match="not by charge <= 1 C"):
        al.supernet.train(SPACE, budget="charge<=1C", **SHORT)


def test_an_objective_names_it_with_its_unit(plugin):
    objective = Objective("accuracy * (energy / 5mJ) ** -0.07")
    assert objective({"accuracy": 0.8, "energy": 0.005}) == 0.8
    with pytest.raises(
        UnknownNameError, match=r"measure is named 'energie'. Did you mean 'energy'.*--plugin"
    ):
        Objective("accuracy - energie")
    with pytest.raises(ObjectiveError, match="Cannot read the objective"):
        Objective("accuracy * (energy / 5mV)")


def test_a_search_weighs_it_and_its_report_shows_it(plugin, arrays, tmp_path):
    run = al.search(
        SPACE,
        data=arrays,
        objective="accuracy * (energy / 1uJ) ** -0.07 - 0 * charge",
        budget="energy<=20uJ",
        trials=2,
        out=tmp_path / "search",
        **SHORT,
    )
    for trial in run.search_trials:
        assert trial.metrics["energy"] == pytest.approx(
            4.6e-12 * trial.metrics["macs"] + 2.5e-10 * trial.metrics["activations"]
        )
        assert 0 < trial.metrics["charge"] < 1
    assert len(plugin.asked) == len(set(plugin.asked))
    assert run.cost["energy"] <= 20e-6
    assert run.result.to_dict()["energy"] == run.cost["energy"]
    al.report(run)
    page = unescape(run.report.read_text(encoding="utf-8"))
    assert "energy an image" in page
    assert f"{plugin.CHARGE.format(run.search_trials[0].metrics['charge'])}" in page


def test_an_estimate_is_confirmed_by_measuring(no_plugins):
    heat = Measure(
        name="heat",
        unit=Unit("W"),
        count=lambda counts: 1e-8 * counts.macs,
        measure=lambda network: network.depth,
    )
    deep, shallow = replace(TINY, name="deep"), replace(TINY, stages=(replace(TINY.stages[0], repeats=1),))
    said = []
    best = confirmed([deep, shallow], [Limit(heat, 1)], None, names=["deep", "shallow"], say=said.append)
    assert best == (1, {"heat": 1})
    assert said == ["deep takes 2 W, more than predicted and than allowed"]
    none = confirmed([deep, shallow], [Limit(heat, 0.5)], None, names=["deep", "shallow"], say=said.append)
    assert none == (1, {"heat": 1})
    assert said[-1] == "none of 2 networks was measured within the limit; the nearest of them is given"
    assert confirmed([deep], [Limit("macs", 1)], None, names=["deep"], say=said.append) == (0, {})


def test_the_subnets_of_a_supernet_are_searched_by_it(plugin, arrays, tmp_path):
    stages = tuple(
        replace(TINY.stages[0], block=MBConv(channels=channels, expand_ratio=2, stride=2))
        for channels in (8, 12)
    )
    network = replace(TINY, stages=stages)
    space = mbconv_space(network, kernels=(3, 5), expand_ratios=(1, 2), depths=(1, 2), resolutions=(16, 24))
    supernet = al.supernet.train(space, data=arrays, out=tmp_path / "supernet", **SHORT)
    few = {"subnets": 20, "held_out": 10, "least_tau": -1, "progress": False}
    with pytest.raises(InputError, match="no front of accuracy against charge"):
        al.supernet.front(supernet, cost="charge", **few)
    front = al.supernet.front(supernet, cost="energy", points=2, **few)
    assert (front.name, front.measure) == ("front-energy", "energy")
    values = [subnet.cost["energy"] for subnet in front.subnets]
    assert values == sorted(values)
    subnet = al.supernet.search(supernet, budget=f"energy<={values[-1] * 1e6}uJ", **few)
    assert subnet.cost["energy"] <= values[-1]
    assert "energy an image" in front._repr_html_()
    with pytest.raises(BudgetError, match="the least energy of any is"):
        al.supernet.search(supernet, budget="energy<=1pJ", **few)


# What verbs show, and files


def test_info_zoo_and_measure_show_it(plugin):
    assert al.info(B0).to_dict()["energy"] == count(B0)["energy"]
    assert "charge" not in al.info(B0).to_dict()  # nobody asked the instrument
    assert "charge" not in repr(count(B0))
    within = al.zoo("mobilenet", within="energy<=1mJ")
    assert within.names
    assert all(entry.to_dict()["energy"] <= 1e-3 for entry in within)
    assert "energy an image" in within._repr_html_()
    own = Measure(name="layers", measure=lambda network: network.depth)
    told = al.measure(TINY, resolution=16, measures=[own], rounds=1, seconds=0.01, progress=False)
    small = replace(TINY, resolution=16)
    assert told.measured[0].measures == {
        "energy": count(small)["energy"],
        "charge": plugin.read_ammeter(small),
        "layers": TINY.depth,
    }
    assert told.to_dict()["measured"][0]["measures"]["layers"] == TINY.depth
    assert "energy an image" in told._repr_html_()


def test_the_command_line_learns_of_it_from_a_plugin(call, no_plugins):
    status, _, err = call("scale", "efficientnet-b0", "--budget", "energy<=1mJ")
    assert status == 2
    assert "cannot limit 'energy'" in err
    option = "--plugin", PLUGIN
    status, out, _ = call("scale", "efficientnet-b0", "--budget", "energy<=1mJ", "--json", *option)
    assert status == 0
    assert 0.00099 < json.loads(out)["energy"] <= 0.001
    status, out, _ = call("scale", "efficientnet-b0", "--budget", "charge<=5mC", *option)
    assert status == 0
    assert "of charge" in out
    status, out, _ = call("info", "efficientnet-b0", *option)
    assert "energy        3.46 mJ" in out
    status, out, _ = call("zoo", "mobilenetv3", "--within", "energy<=1mJ", *option)
    assert status == 0
    assert "energy an image" in out


@pytest.mark.slow
def test_a_run_is_planned_and_reported_by_it(plugin, arrays, tmp_path, call, monkeypatch):
    run = al.run(
        data=arrays,
        budget="energy<=20uJ",
        baseline=TINY,
        law="compound",
        settings=("epochs=1", "batch_size=16"),
        out=tmp_path / "run",
        progress=False,
    )
    plan = json.loads((run.folder / "plan.json").read_text())
    assert plan["budget"] == [{"measure": "energy", "most": 2e-05}]
    assert plan["cost"]["energy"] == run.cost["energy"] <= 20e-6
    page = unescape(run.report.read_text(encoding="utf-8"))
    assert "at most 20 uJ of energy an image" in page
    # Where nobody registers it, the run is read all the same.
    monkeypatch.setattr(
        MEASURES, "_items", {name: MEASURES.get(name) for name in ("params", "macs", "memory")}
    )
    monkeypatch.setenv(plugins.VARIABLE, "")
    known = al.open(run.folder)
    assert known.plan.budget[0].measure.name == "energy"
    assert known.cost.macs == run.cost.macs
    al.report(known)
    assert "at most 2e-05 energy" in unescape(known.report.read_text(encoding="utf-8"))


def test_costs_come_back_from_files_with_what_was_measured(plugin):
    cost = count(TINY).with_readings({"charge": 0.25, "latency": 0.5})
    plain = json.loads(json.dumps(cost.to_dict()))
    assert (plain["charge"], plain["latency"], plain["energy"]) == (0.25, 0.5, plugin.ENERGY.of(cost))
    assert Cost.from_dict(plain) == cost
    result = TrainResult(
        data="pets",
        network="net",
        resolution=64,
        cost=cost,
        validation_accuracy=0.82,
        test_accuracy=0.8,
        test_interval=(0.74, 0.85),
        test_images=200,
    )
    assert TrainResult.from_dict(json.loads(json.dumps(result.to_dict()))) == result
    with pytest.raises(KeyError, match="charge"):
        count(TINY)["charge"]
    assert count(TINY).get("charge") is None


# The object itself


def copy(measure):
    """As another process gets it."""
    return pickle.loads(pickle.dumps(measure))  # noqa: S301 - our own


def test_a_measure_goes_to_another_process_by_its_name_or_whole(plugin):
    assert copy(plugin.ENERGY) is plugin.ENERGY
    whole = Measure(name="own", unit=BYTES, measure=math.sqrt)
    assert copy(whole) == whole
    assert copy(whole).measure is math.sqrt


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "Energy!"}, "cannot be called 'Energy!'"),
        ({"name": "accuracy"}, "none of accuracy, exp, log"),
        ({"name": "lambda"}, "cannot be called 'lambda'"),
        ({"name": "sum", "additive": True}, "sum over layers .additive. without count"),
        ({"name": "odd", "better": "more"}, "lower or higher is better, not 'more'"),
    ],
)
def test_what_is_no_measure_is_refused(fields, message):
    with pytest.raises(InputError, match=message):
        Measure(**fields)


def test_a_name_is_taken_once(no_plugins):
    with pytest.raises(InputError, match="There is a measure 'latency' already"):
        register_measure(Measure(name="latency"))
    slower = register_measure(Measure(name="latency", unit=COUNT), replace=True)
    assert as_measure("Latency ") is slower
    with pytest.raises(InputError, match="A measure or its name is expected, not a int"):
        as_measure(3)


@pytest.mark.parametrize(
    ("count_of", "says"),
    [
        (lambda counts: counts.flops, "fails with AttributeError"),
        (lambda counts: 1 / (counts.macs - 1_000_000), "fails with ZeroDivisionError"),
        (lambda _: "many", "gives 'many', no finite number"),
        (lambda _: float("nan"), "gives nan, no finite number"),
        (lambda counts: (counts.macs - 1e9) ** 0.5, "gives .*j.*, no finite number"),
        (lambda _: None, "gives None, no finite number"),
    ],
)
def test_a_measure_that_cannot_be_counted_is_refused_before_anything_is_trained(count_of, says):
    with pytest.raises(InputError, match=f"The measure odd cannot be worked out: its function {says}"):
        Measure(name="odd", count=count_of)


@pytest.mark.parametrize(
    ("measured", "says"),
    [
        (lambda network: 1 / (network.resolution - 224), "fails with ZeroDivisionError: 'division by zero'"),
        (lambda _: "fast", "gives 'fast', no finite number"),
        (lambda _: float("inf"), "gives inf, no finite number"),
    ],
)
def test_a_function_that_fails_for_a_network_is_told_in_a_sentence(measured, says):
    odd = Measure(name="odd", measure=measured)
    with pytest.raises(MeasurementError, match=f"The measure odd cannot be worked out: its function {says}"):
        read_with([odd])(get("resnet-18"))
