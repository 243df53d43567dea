"""`search` and `fit` as functions: what they leave, that they go on, that they refuse what cannot work."""

import json

import pytest

from allometry.arch import load, load_space
from allometry.base import BudgetError, InputError, RunFolderError, SilentProgress, UnknownNameError
from allometry.base.errors import Stopped
from allometry.base.files import read_lines
from allometry.cost import count
from allometry.nas.fit_setup import FitConfig
from allometry.nas.search_config import SearchConfig
from allometry.reports import write_report
from allometry.runs import read_run
from allometry.scaling import ScalingLaw
from allometry.verbs.fit import fit
from allometry.verbs.search import search
from tests.images import write_photos

SETTINGS = ("batch_size=8", "augmentation.flip=true")
SMALL = FitConfig(alphas=(1.0, 1.4), gammas=(1.0, 1.2), epochs=2, finalists=2, seeds=2)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return str(write_photos(tmp_path_factory.mktemp("photos") / "shapes", per_class=10))


def look(photos, out, *, space="efficientnet-b0", budget="300k", **more):
    config = SearchConfig(**{"trials": 4, "epochs": 2, "max_pending": 2, **more.pop("config", {})})
    return search(space, data=photos, budget=budget, config=config, out=out, settings=SETTINGS, **more)


class Stopping(SilentProgress):
    """Asks to stop once so much has been said."""

    def __init__(self, word):
        self.word, self.over, self.said = word, False, []

    def say(self, text):
        self.said.append(text)
        self.over |= self.word in text


def test_a_search_leaves_a_network_its_trials_and_their_price(photos, tmp_path):
    result = look(photos, tmp_path / "run", config={"compare_with": "random"})
    folder = tmp_path / "run"
    network = load(folder / "network.json")
    assert count(network).macs == result["macs"] <= 300_000
    assert load_space(folder / "space.json").contains(network)
    lines = read_lines(folder / "trials.jsonl")
    ours = [line for line in lines if line["phase"] == "search"]
    assert [line["number"] for line in ours] == [0, 1, 2, 3]
    assert all(line["metrics"]["macs"] <= 300_000 for line in lines)
    assert result["values"] == [max(line["values"][0] for line in ours)] == [result["validation_accuracy"]]
    spent = sum(line["training_macs"] for line in ours)
    random = [line["training_macs"] for line in lines if line["phase"] == "random"]
    assert sum(random) >= spent > sum(random[:-1])
    charged = [entry for entry in read_lines(folder / "costs.jsonl") if entry["phase"] == "search"]
    assert (
        sum(entry["images"] for entry in charged) == result["trial_images"] == sum(x["images"] for x in ours)
    )
    assert not list((folder / "trials").glob("*/checkpoints"))
    html = (folder / "report.html").read_text()
    assert "The search</h2>" in html
    assert "random search of the same cost" in html
    assert "allometry train" in html


@pytest.mark.slow
def test_a_search_goes_on_after_a_stop_and_further_with_more_trials(photos, tmp_path):
    whole = look(photos, tmp_path / "whole", config={"trials": 6})
    should_stop = Stopping("search: 2 trials")
    with pytest.raises(Stopped):
        look(photos, tmp_path / "run", progress=should_stop, should_stop=lambda: should_stop.over)
    look(photos, tmp_path / "run")
    further = look(photos, tmp_path / "run", config={"trials": 6})
    names = ("network", "values", "macs", "trials", "stopped", "trial_images")
    assert [whole[name] for name in names] == [further[name] for name in names]
    again = look(photos, tmp_path / "run", config={"trials": 6})
    assert again == further
    with pytest.raises(RunFolderError, match="was made with algorithm evolution, not tpe"):
        look(photos, tmp_path / "run", config={"algorithm": "tpe"})


def test_two_processes_come_to_the_same_as_one(photos, tmp_path):
    one = look(photos, tmp_path / "one", config={"threads": 1})
    two = look(photos, tmp_path / "two", config={"workers": "2", "threads": 1})
    names = ("network", "values", "macs", "trials", "stopped", "trial_images")
    assert [one[name] for name in names] == [two[name] for name in names]


def test_a_front_of_several_objectives(photos, tmp_path):
    config = {"algorithm": "nsga2", "trials": 5, "halving": False}
    result = look(photos, tmp_path / "run", objective="accuracy; -macs", budget=None, config=config)
    lines = {line["number"]: line for line in read_lines(tmp_path / "run" / "trials.jsonl")}
    for number in result["front"]:
        member = load(tmp_path / "run" / "front" / f"{number}.json")
        assert count(member).macs == -lines[number]["values"][1]
    best = max(lines[number]["values"][0] for number in result["front"])
    assert lines[result["chosen"]]["values"][0] == best


def test_the_objective_of_a_training_step(photos, tmp_path):
    result = look(photos, tmp_path / "run", objective="training-aware", budget=None, config={"trials": 1})
    (line,) = read_lines(tmp_path / "run" / "trials.jsonl")
    figures = line["metrics"]
    worth = figures["accuracy"] * figures["step_time"] ** -0.07 * figures["params"] ** -0.05
    assert result["values"] == [pytest.approx(worth)]


@pytest.mark.parametrize("algorithm", ["proxylessnas", "fbnet"])
def test_a_search_by_gradient_finds_a_member_within_the_budget(photos, tmp_path, algorithm):
    result = look(photos, tmp_path / "run", config={"algorithm": algorithm, "compare_with": "random"})
    network = load(tmp_path / "run" / "network.json")
    assert count(network).macs == result["macs"] <= 300_000
    assert load_space(tmp_path / "run" / "space.json").contains(network)
    history = json.loads((tmp_path / "run" / "gradient.json").read_text())
    assert len(history["epochs"]) == 2
    ledger = read_lines(tmp_path / "run" / "costs.jsonl")
    spent = {
        phase: sum(x["seconds"] for x in ledger if x["phase"] == phase) for phase in ("gradient", "random")
    }
    assert spent["random"] > 0
    assert spent["gradient"] == pytest.approx(history["seconds"], abs=0.01)
    assert f"was trained by {algorithm}" in (tmp_path / "run" / "report.html").read_text()


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        ({"budget": "memory<=1MB", "config": {"algorithm": "fbnet"}}, InputError, "a sum over layers"),
        ({"config": {"algorithm": "fbnet", "workers": "2"}}, InputError, "in this process"),
        ({"budget": None}, InputError, "Without a limit the largest networks win"),
        ({"budget": "1k"}, BudgetError, "memory|macs|MACs"),
        ({"space": "fbnet", "budget": "1k"}, BudgetError, "the least macs is"),
        (
            {"space": "efficientnet-bo"},
            InputError,
            "Neither a space nor a network .* Spaces: ofa-mobilenetv3",
        ),
        ({"space": "resnet-18"}, InputError, "Around resnet-18 only the size of the input is open"),
        ({"config": {"algorithm": "tpo"}}, UnknownNameError, "Did you mean 'tpe'"),
        ({"config": {"algorithm": "controller"}, "objective": "accuracy; -macs"}, InputError, "one reward"),
        ({"config": {"workers": "0"}}, InputError, "not '0'"),
        ({"budget": "memory<=1MB", "runtime": "openvino"}, InputError, "counted, not measured"),
        ({"config": {"algorithm": "fbnet"}, "objective": "accuracy; -macs"}, InputError, "in its own way"),
        ({"config": {"workers": "two"}}, InputError, "workers must be a number from 1, ray for a Ray"),
        ({"threads": 2}, InputError, "counted, not measured"),
        ({"objective": "accurcy"}, UnknownNameError, "accuracy"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_trained(photos, tmp_path, asked, error, said):
    with pytest.raises(error, match=said):
        look(photos, tmp_path / "run", **asked)
    assert not (tmp_path / "run" / "trials").exists()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"trials": 0}, "trials must be at least 1, not 0"),
        ({"compare_with": "tpe"}, "compared with random, not with 'tpe'"),
        ({"workers": "9"}, "give --max-pending 9"),
    ],
)
def test_settings_of_a_search_are_checked(settings, said):
    with pytest.raises(InputError, match=said):
        SearchConfig(**settings)


def fitted(photos, out, **more):
    config = more.pop("config", SMALL)
    return fit(
        "efficientnet-b0", data=photos, budget="200k", config=config, out=out, settings=SETTINGS, **more
    )


def test_a_fit_leaves_the_law_how_sure_it_is_and_its_price(photos, tmp_path):
    result = fitted(photos, tmp_path / "run")
    folder = tmp_path / "run"
    law = ScalingLaw.load(folder / "law.json")
    assert law.to_dict() == result["law"]
    baseline = count(load(folder / "baseline.json")).macs
    assert baseline <= 200_000
    assert count(load(folder / "network.json")).macs <= 2 * baseline
    finalists = result["finalists"]
    assert max(finalists, key=lambda each: each["accuracy"])["accuracy"] == next(
        each["accuracy"] for each in finalists if each["law"] == result["law"]
    )
    assert sum(each["best"] for each in finalists) == pytest.approx(1)
    for name, (low, high) in result["likely"].items():
        assert low <= result["law"][name] <= high or all(each["best"] < 0.05 for each in finalists)
    assert [round(each["macs"] / finalists[0]["macs"]) for each in result["forecast"]] == [2, 4, 8]
    lines = read_lines(folder / "trials.jsonl")
    assert len(lines) == result["laws"]
    assert [line["chosen"] for line in lines].count(True) == 1
    trained = read_lines(folder / "trainings.jsonl")
    charged = [entry for entry in read_lines(folder / "costs.jsonl") if entry["phase"] == "fit"]
    last = {line["training"]: line["images"] for line in trained}
    assert sum(entry["images"] for entry in charged) == sum(last.values()) == result["training_images"]
    html = (folder / "report.html").read_text()
    assert "The law</h2>" in html
    assert "What more MACs would buy" in html
    assert "Over depth and resolution" in html


@pytest.mark.slow
def test_a_fit_goes_on_after_a_stop_and_is_the_same_with_processes(photos, tmp_path):
    whole = fitted(photos, tmp_path / "whole", config=FitConfig(**{**_fields(SMALL), "threads": 1}))
    should_stop = Stopping("finalists:")
    with pytest.raises(Stopped):
        fitted(photos, tmp_path / "run", progress=should_stop, should_stop=lambda: should_stop.over)
    kept = read_lines(tmp_path / "run" / "trainings.jsonl")
    assert kept
    pair = FitConfig(**{**_fields(SMALL), "workers": "2", "threads": 1})
    result = fitted(photos, tmp_path / "run", config=pair)
    names = ("law", "finalists", "forecast", "training_images", "fraction_of_full")
    assert [whole[name] for name in names] == [result[name] for name in names]
    assert read_lines(tmp_path / "run" / "trainings.jsonl")[: len(kept)] == kept


def _fields(settings):
    return {name: getattr(settings, name) for name in settings.__dataclass_fields__}


def test_a_grid_without_a_law_and_other_mistakes_of_a_fit(photos, tmp_path):
    with pytest.raises(InputError, match="every alpha \\* gamma\\^2 is above 2"):
        fitted(photos, tmp_path / "a", config=FitConfig(alphas=(3.0,), gammas=(1.0,)))
    with pytest.raises(InputError, match="limit its MACs, params or memory"):
        fit("efficientnet-b0", data=photos, budget="latency<=1ms", out=tmp_path / "b")
    with pytest.raises(InputError, match="ratio must be above 1"):
        FitConfig(ratio=1.0)
    with pytest.raises(InputError, match="at least 1"):
        FitConfig(alphas=(0.9,))
    assert not list(tmp_path.glob("*/trials"))


def test_the_report_of_a_search_that_is_not_finished(photos, tmp_path):
    should_stop = Stopping("search: 1 trial,")
    with pytest.raises(Stopped):
        look(photos, tmp_path / "run", progress=should_stop, should_stop=lambda: should_stop.over)
    page = write_report([read_run(tmp_path / "run")], out=tmp_path / "page.html").read_text()
    assert "This run has not finished" in page
    assert "The search</h2>" in page
    assert "allometry search efficientnet-b0" in page
