"""`supernet` as functions of values: trained, searched, extracted, delivered, with nothing saved by hand in between."""

from dataclasses import replace

import pytest

import allometry as al
from allometry.arch import MBConv, Stage, digest, load
from allometry.base import BudgetError, InputError, NetworkError, RunFolderError, Stopped, UnknownNameError
from allometry.base.files import read_lines
from allometry.catalog import mbconv_space
from allometry.cost import count, parse_budget
from allometry.supernets.config import SupernetConfig
from allometry.training import load_weights

FEW = {"subnets": 20, "held_out": 10, "least_tau": -1, "progress": False}


@pytest.fixture(scope="module")
def space(tiny):
    stages = tuple(
        Stage(block=MBConv(channels=channels, expand_ratio=2, stride=2), repeats=2) for channels in (8, 12)
    )
    network = replace(tiny, stages=stages)
    return mbconv_space(network, kernels=(3, 5), expand_ratios=(1, 2), depths=(1, 2), resolutions=(16, 24))


def train(space, data, out, **more):
    quick = {"epochs": 2, "settings": ("batch_size=8",), "progress": False}
    return al.supernet.train(space, data=data, out=out, **{**quick, **more})


@pytest.fixture(scope="module")
def supernet(space, arrays, tmp_path_factory):
    return train(space, arrays, tmp_path_factory.mktemp("runs") / "supernet")


@pytest.fixture(scope="module")
def subnet(supernet):
    return al.supernet.search(supernet, budget=middle(supernet), **FEW)


def middle(supernet):
    """Between the smallest and the largest network."""
    ends = supernet.result.smallest.cost.macs, supernet.result.largest.cost.macs
    return f"macs<={sum(ends) // 2}"


def test_a_space_and_arrays_give_a_run(supernet, space, arrays):
    assert isinstance(supernet, al.Run)
    assert supernet.result.epochs == len(supernet.supernet.history) == 2
    assert 1 < supernet.result.size <= space.size
    assert supernet.result.largest.cost.macs > supernet.result.smallest.cost.macs
    assert count(supernet.network).macs == supernet.result.largest.cost.macs
    assert len(supernet.dataset.splits["train"]) < len(arrays[1])
    assert supernet.arguments["space"].partition("@")[2]
    assert al.open(supernet.folder).result == supernet.result


def test_a_subnet_keeps_its_budget_and_is_kept(supernet, subnet):
    assert subnet.cost == count(subnet.network)
    assert subnet.cost.macs <= parse_budget(middle(supernet)).limits[0].most
    assert 0 <= subnet.validation_accuracy <= 1
    assert 0 <= subnet.test_accuracy <= 1
    assert subnet.candidates
    known = al.open(supernet.folder).supernet.subnets
    assert [digest(each.network) for each in known] == [digest(subnet.network)]
    assert load(subnet.folder / "network.json") == subnet.network
    assert subnet.name in repr(subnet)


def test_a_subnet_as_a_value_a_name_a_network_and_a_file_is_extracted_alike(
    supernet, subnet, arrays, tmp_path
):
    ways = {
        "value": subnet,
        "name": subnet.name,
        "network": subnet.network,
        "file": subnet.folder / "network.json",
    }
    runs = {
        way: al.supernet.extract(supernet, value, out=tmp_path / way, progress=False)
        for way, value in ways.items()
    }
    weights = [load_weights(run.folder / "checkpoints" / "final.safetensors") for run in runs.values()]
    for other in weights[1:]:
        assert all((other[name] == tensor).all() for name, tensor in weights[0].items())
    run = runs["value"]
    assert run.network.name == subnet.name
    assert run.cost.macs == subnet.cost.macs
    assert run.result.predicted_accuracy == subnet.predicted_accuracy
    assert run.evaluation.accuracy == run.result.test_accuracy
    assert run.predict(arrays[0][0])
    assert al.evaluate(run, data=arrays, progress=False).accuracy == pytest.approx(run.evaluation.accuracy)


@pytest.mark.slow
def test_an_extracted_subnet_is_fine_tuned_also_after_a_stop_and_exported(supernet, subnet, tmp_path):
    tuned = {"epochs": 2, "seed": 3, "settings": ["batch_size=8"], "out": tmp_path / "run", "progress": False}
    with pytest.raises(Stopped):
        al.supernet.extract(supernet, subnet, should_stop=lambda: True, **tuned)
    run = al.supernet.extract(supernet, subnet, **tuned)
    assert [line["phase"] for line in read_lines(run.folder / "costs.jsonl")].count("train") == 1
    plain = al.supernet.extract(supernet, subnet, out=tmp_path / "plain", progress=False)
    assert run.result.extracted_accuracy == plain.result.validation_accuracy
    assert [epoch.epoch for epoch in run.history] == [1, 2]
    assert run.result.epochs == 2
    export = al.export(run, to="torch", progress=False)
    assert export.verification.agreement == 1


def test_the_front_rises(supernet):
    front = al.supernet.front(supernet, cost="params", points=3, **FEW)
    assert front.measure == "params"
    assert 1 <= len(front.subnets) <= 3
    costs = [subnet.cost.params for subnet in front.subnets]
    assert costs == sorted(costs)
    assert front.size >= len(front.subnets)


def test_it_goes_on_after_a_stop_to_the_same_weights(supernet, space, arrays, tmp_path):
    calls = iter(range(1000))
    with pytest.raises(Stopped):
        train(space, arrays, tmp_path / "run", should_stop=lambda: next(calls) > 4)
    again = train(space, arrays, tmp_path / "run")
    ours, theirs = (load_weights(run.folder / "supernet.safetensors") for run in (again, supernet))
    assert ours.keys() == theirs.keys()
    assert all((ours[name] == theirs[name]).all() for name in ours)
    assert again.result.largest == supernet.result.largest


def test_a_forecast_writes_nothing(space, arrays, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    planned = al.supernet.forecast_train(
        space, data=arrays, config=SupernetConfig(plan="shrinking", epochs=2), progress=False
    )
    assert [phase.name for phase in planned.phases][:2] == ["largest", "kernel"]
    assert planned.seconds == pytest.approx(sum(phase.seconds for phase in planned.phases))
    assert planned.smallest_macs < planned.largest_macs
    assert not list(tmp_path.iterdir())


def test_images_of_a_value_are_needed_again(supernet):
    with pytest.raises(InputError, match="which a folder cannot name: give the run"):
        al.supernet.search(supernet.folder, budget="1M", **FEW)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"budget": "macs<=1"}, BudgetError, "the least macs of any is"),
        ({"budget": "1M", "subnets": 3}, InputError, "at least 20 measured subnets"),
        ({"budget": "1M", "runtime": "torch"}, InputError, "counted, not measured"),
    ],
)
def test_what_cannot_be_searched_is_refused(supernet, arguments, error, message):
    with pytest.raises(error, match=message):
        al.supernet.search(supernet, **{**FEW, **arguments})


def test_what_cannot_be_extracted_is_refused(supernet, subnet, trained, tmp_path):
    with pytest.raises(UnknownNameError, match="subnet"):
        al.supernet.extract(supernet, "macs-none", progress=False)
    with pytest.raises(NetworkError):
        al.supernet.extract(supernet, al.get("resnet-18"), out=tmp_path / "run", progress=False)
    with pytest.raises(InputError, match="give --epochs, too"):
        al.supernet.extract(supernet, subnet, settings=["batch_size=8"], progress=False)
    with pytest.raises(InputError, match="A seed is that of a fine-tuning; give --epochs, too"):
        al.supernet.extract(supernet, subnet, seed=1, progress=False)
    with pytest.raises(InputError, match="Callbacks are told of a fine-tuning; give --epochs, too"):
        al.supernet.extract(supernet, subnet, callbacks=["tensorboard"], progress=False)
    with pytest.raises(RunFolderError, match="was made by `allometry train`"):
        al.supernet.search(trained, budget="1M", **FEW)
    assert not (tmp_path / "run").exists()


def test_what_cannot_be_trained_is_refused(space, arrays, tmp_path):
    with pytest.raises(BudgetError, match="limited by counts"):
        train(space, arrays, tmp_path / "run", budget="latency<=1ms")
    with pytest.raises(UnknownNameError, match="plan of phases"):
        train(space, arrays, tmp_path / "run", plan="sandwhich")
    with pytest.raises(InputError, match="epochs must be at least 1, not 0"):
        train(space, arrays, tmp_path / "run", epochs=0)
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_the_largest_network_inherits_from_a_trained_one(trained, arrays, tmp_path):
    """The trained one is wider in the head and has fewer layers and smaller kernels."""
    small = trained.network
    wide = replace(small, stages=(replace(small.stages[0], repeats=2),), head=replace(small.head, channels=8))
    space = mbconv_space(wide, kernels=(3, 5), expand_ratios=(2, 3), depths=(1, 2), resolutions=(16, 24))
    run = train(space, arrays, tmp_path / "from", start=trained, epochs=1)
    assert run.arguments["start"] == str(trained.folder)
    learned = run.supernet.last
    assert learned is not None
    fresh = train(space, arrays, tmp_path / "fresh", epochs=1)
    assert learned.train_loss < fresh.supernet.last.train_loss
    with pytest.raises(RunFolderError):
        train(space, arrays, tmp_path / "from", epochs=1)


def test_weights_that_the_largest_network_cannot_inherit_are_refused(space, trained, arrays, tmp_path):
    with pytest.raises(InputError, match="does not inherit from tiny: it has 1 stages, not 2"):
        train(space, arrays, tmp_path / "other", start=trained)
    file = trained.folder / "checkpoints" / "final.safetensors"
    with pytest.raises(InputError, match="does not say what network"):
        train(space, arrays, tmp_path / "file", start=file)
