"""`search` as a function: what it gives and leaves, that it goes on, that it refuses what cannot work."""

import json

import numpy as np
import pytest

import allometry
from allometry.arch import Head, MBConv, Network, Stage, Stem, load, load_space
from allometry.base import BudgetError, InputError, RunFolderError, SilentProgress, UnknownNameError
from allometry.base.errors import Stopped
from allometry.base.files import read_lines
from allometry.catalog import get, mbconv_space
from allometry.cost import count, parse_budget
from allometry.nas import Objective, hypervolume, reference_point
from allometry.nas.search_config import SearchConfig
from allometry.reports import write_report
from allometry.runs import read_run
from allometry.verbs.search import search
from tests.images import write_photos
from tests.joining import together
from tests.watching import Recorder

SETTINGS = ("batch_size=8", "augmentation.flip=true")
# What is about the search, and not about the networks, is shown in a space of two layers: its trials take a second.
SMALL = mbconv_space(
    Network(
        stem=Stem(channels=8),
        stages=tuple(Stage(block=MBConv(channels=channels, stride=2)) for channels in (8, 16)),
        head=Head(channels=16),
        resolution=24,
    ),
    kernels=(3, 5),
    expand_ratios=(1, 2),
    widths=(0.5, 1.0),
    resolutions=(16, 24),
    name="two layers",
)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return str(write_photos(tmp_path_factory.mktemp("photos") / "shapes", per_class=10))


BUDGETS = {SMALL: "70k", "efficientnet-b0": "300k"}


def run_search(photos, out, *, space=SMALL, **more):
    config = SearchConfig(**{"trials": 4, "epochs": 2, "max_pending": 2, **more.pop("config", {})})
    return search(
        space,
        data=photos,
        budget=more.pop("budget", BUDGETS.get(space, "300k")),
        config=config,
        out=out,
        settings=SETTINGS,
        progress=more.pop("progress", False),
        **more,
    ).result


class Stopping(SilentProgress):
    """Stops once a line with this word has been printed."""

    def __init__(self, word):
        self.word, self.over = word, False

    def say(self, text):
        self.over |= self.word in text


@pytest.mark.slow
@pytest.mark.parametrize("space", [SMALL, pytest.param("efficientnet-b0", marks=pytest.mark.slow)])
def test_a_search_leaves_a_network_its_trials_and_their_price(photos, tmp_path, space):
    result = run_search(photos, tmp_path / "run", space=space, config={"compare_with": "random"})
    folder = tmp_path / "run"
    network = load(folder / "network.json")
    limit = parse_budget(BUDGETS[space]).limits[0].most
    assert count(network).macs == result.cost.macs <= limit
    assert load_space(folder / "space.json").contains(network)
    lines = read_lines(folder / "trials.jsonl")
    ours = [line for line in lines if line["phase"] == "search"]
    assert [line["number"] for line in ours] == [0, 1, 2, 3]
    assert all(line["metrics"]["macs"] <= limit for line in lines)
    assert list(result.values) == [max(line["values"][0] for line in ours)] == [result.validation_accuracy]
    spent = sum(line["training_macs"] for line in ours)
    random = [line["training_macs"] for line in lines if line["phase"] == "random"]
    assert sum(random) >= spent > sum(random[:-1])
    charged = [entry for entry in read_lines(folder / "costs.jsonl") if entry["phase"] == "search"]
    assert (
        sum(entry["images"] for entry in charged)
        == result.trial_images
        == sum(line["images"] for line in ours)
    )
    assert not list((folder / "trials").glob("*/checkpoints"))
    html = (folder / "report.html").read_text()
    assert "The search</h2>" in html
    assert "random search of the same cost" in html
    assert "allometry train" in html


@pytest.mark.slow
def test_a_search_goes_on_after_a_stop_and_further_with_more_trials(photos, tmp_path):
    whole = run_search(photos, tmp_path / "whole", config={"trials": 6})
    should_stop = Stopping("search: 2 trials")
    with pytest.raises(Stopped):
        run_search(photos, tmp_path / "run", progress=should_stop, should_stop=lambda: should_stop.over)
    run_search(photos, tmp_path / "run")
    further = run_search(photos, tmp_path / "run", config={"trials": 6})
    names = ("network", "values", "cost", "trials", "stopped", "trial_images")
    assert [getattr(whole, name) for name in names] == [getattr(further, name) for name in names]
    again = run_search(photos, tmp_path / "run", config={"trials": 6})
    assert again == further
    with pytest.raises(RunFolderError, match="was made with searcher evolution, not tpe"):
        run_search(photos, tmp_path / "run", config={"searcher": "tpe"})


@pytest.mark.slow  # with workers in this process: tests/nas/test_driver.py
def test_two_processes_come_to_the_same_as_one(photos, tmp_path):
    one = run_search(photos, tmp_path / "one", config={"threads": 1})
    two = run_search(photos, tmp_path / "two", config={"workers": "2", "threads": 1})
    names = ("network", "values", "cost", "trials", "stopped", "trial_images")
    assert [getattr(one, name) for name in names] == [getattr(two, name) for name in names]


def test_a_front_of_several_objectives(photos, tmp_path):
    config = {"searcher": "nsga2", "trials": 5, "halving": False}
    result = run_search(photos, tmp_path / "run", objective="accuracy; -macs", budget=None, config=config)
    lines = {line["number"]: line for line in read_lines(tmp_path / "run" / "trials.jsonl")}
    for number in result.front:
        member = load(tmp_path / "run" / "front" / f"{number}.json")
        assert count(member).macs == -lines[number]["values"][1]
    best = max(lines[number]["values"][0] for number in result.front)
    assert lines[result.chosen]["values"][0] == best
    worths = [tuple(line["values"]) for line in lines.values()]
    assert result.reference == reference_point(worths)
    assert result.hypervolume == hypervolume(worths, result.reference) > 0
    html = (tmp_path / "run" / "report.html").read_text()
    assert "The hypervolume so far over its cost" in html
    assert "down to the reference point: accuracy" in html


def test_the_objective_of_a_training_step(photos, tmp_path):
    result = run_search(
        photos, tmp_path / "run", objective="training-aware", budget=None, config={"trials": 1}
    )
    (line,) = read_lines(tmp_path / "run" / "trials.jsonl")
    metrics = line["metrics"]
    value = metrics["accuracy"] * metrics["step_time"] ** -0.07 * metrics["params"] ** -0.05
    assert list(result.values) == [pytest.approx(value)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("searcher", "space", "more"),
    [
        ("proxylessnas", SMALL, {"compare_with": "random", "reinforce": True}),
        ("fbnet", SMALL, {"loss": "paper", "samples": 2}),
        pytest.param("fbnet", "efficientnet-b0", {"compare_with": "random"}, marks=pytest.mark.slow),
    ],
)
def test_a_search_by_gradient_finds_a_member_within_the_budget(photos, tmp_path, searcher, space, more):
    config, recorder = {"searcher": searcher, **more}, Recorder()
    result = run_search(photos, tmp_path / "run", space=space, config=config, callbacks=[recorder])
    (start,) = recorder.starts  # of the random search nobody is told
    assert (start.network, start.epochs, len(recorder.epochs)) == (None, 2, 2)
    network = load(tmp_path / "run" / "network.json")
    assert count(network).macs == result.cost.macs <= parse_budget(BUDGETS[space]).limits[0].most
    assert load_space(tmp_path / "run" / "space.json").contains(network)
    history = json.loads((tmp_path / "run" / "gradient.json").read_text())
    assert len(history["epochs"]) == 2
    assert history["loss"] == more.get("loss", "budget")
    assert result.trials == len(history["networks"]) == more.get("samples", 1)
    costs = read_lines(tmp_path / "run" / "costs.jsonl")
    spent = {
        phase: sum(line["seconds"] for line in costs if line["phase"] == phase)
        for phase in ("gradient", "random")
    }
    assert (spent["random"] > 0) == ("compare_with" in more)
    assert spent["gradient"] == pytest.approx(history["seconds"], abs=0.01)
    assert f"was trained by {searcher}" in (tmp_path / "run" / "report.html").read_text()


def search_by_gradient(photos, folder):
    """What each of several processes does."""
    config = {"searcher": "proxylessnas", "epochs": 1}
    result = run_search(photos, folder, space="efficientnet-b0", config=config)
    assert result.cost.macs <= 300_000  # also in those that do not write


@pytest.mark.slow
def test_processes_share_the_batches_of_a_search_by_gradient(photos, tmp_path):
    for _ in range(2):  # the second time it is finished
        together(search_by_gradient, photos, tmp_path / "run", count=2)
    assert load_space(tmp_path / "run" / "space.json").contains(load(tmp_path / "run" / "network.json"))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"budget": "memory<=1MB", "config": {"searcher": "fbnet"}}, InputError, "a sum over layers"),
        ({"config": {"searcher": "fbnet", "workers": "2"}}, InputError, "in this process"),
        ({"callbacks": ["tensorboard"]}, InputError, "trials are short, run in processes of their own"),
        ({"budget": None}, InputError, "Without a limit the largest networks win"),
        ({"budget": "1k"}, BudgetError, "memory|macs|MACs"),
        ({"space": "fbnet", "budget": "1k"}, BudgetError, "the least macs is"),
        (
            {"space": "efficientnet-bo"},
            InputError,
            "Neither a space nor a network .* Spaces: ofa-mobilenetv3",
        ),
        ({"space": "resnet-18"}, InputError, "Around resnet-18 only the size of the input is open"),
        ({"config": {"searcher": "tpo"}}, UnknownNameError, "Did you mean 'tpe'"),
        ({"config": {"searcher": "controller"}, "objective": "accuracy; -macs"}, InputError, "one reward"),
        ({"config": {"workers": "0"}}, InputError, "not '0'"),
        ({"budget": "memory<=1MB", "runtime": "openvino"}, InputError, "counted, not measured"),
        ({"config": {"searcher": "fbnet"}, "objective": "accuracy; -macs"}, InputError, "in its own way"),
        ({"config": {"workers": "two"}}, InputError, "workers must be a number from 1, ray for a Ray"),
        ({"threads": 2}, InputError, "counted, not measured"),
        ({"objective": "accurcy"}, UnknownNameError, "accuracy"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_trained(photos, tmp_path, arguments, error, message):
    with pytest.raises(error, match=message):
        run_search(photos, tmp_path / "run", **{"space": "efficientnet-b0", **arguments})
    assert not (tmp_path / "run" / "trials").exists()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"trials": 0}, "trials must be at least 1, not 0"),
        ({"compare_with": "tpe"}, "compared with random, not with 'tpe'"),
        ({"workers": "9"}, "give --max-pending 9"),
    ],
)
def test_settings_of_a_search_are_checked(fields, message):
    with pytest.raises(InputError, match=message):
        SearchConfig(**fields)


def test_the_report_of_a_search_that_is_not_finished(photos, tmp_path):
    should_stop = Stopping("search: 1 trial,")
    with pytest.raises(Stopped):
        run_search(
            photos,
            tmp_path / "run",
            space="efficientnet-b0",
            progress=should_stop,
            should_stop=lambda: should_stop.over,
        )
    page = write_report([read_run(tmp_path / "run")], out=tmp_path / "page.html").read_text()
    assert "This run has not finished" in page
    assert "The search</h2>" in page
    assert "allometry search efficientnet-b0" in page


def squares(number=48, size=16):
    """Gray images with a square in one of three corners."""
    random = np.random.default_rng(0)
    labels = np.arange(number) % 3
    images = random.integers(0, 80, (number, size, size), dtype=np.uint8)
    for corner in range(3):
        images[labels == corner, (corner % 2) * 8 :][:, :8, (corner // 2) * 8 :][..., :8] += 120
    return images, labels


def test_values_in_and_a_run_out(tmp_path):
    space = mbconv_space(get("efficientnet-b0"), kernels=(3, 5), expand_ratios=(1, 2), depths=(1, 2))
    small = {
        "searcher": "random",
        "trials": 2,
        "epochs": 1,
        "settings": ("batch_size=16",),
        "progress": False,
    }
    data = squares()
    run = search(
        space,
        data=data,
        objective=[Objective("accuracy"), Objective("-macs")],
        budget=parse_budget("macs<=100M"),
        out=str(tmp_path / "run"),
        **small,
    )
    assert isinstance(run, allometry.Run)
    assert run.network == load(tmp_path / "run" / "network.json")
    assert len(run.search_trials) == run.result.trials == 2
    assert run.dataset.channels == 1
    assert run.arguments["data"].startswith("arrays@")
    assert run.arguments["space"].endswith(read_run(tmp_path / "run").arguments["space"].rpartition("@")[2])
    again = search(
        space,
        data=data,
        objective="accuracy; -macs",
        budget="100M",
        out=tmp_path / "run",
        **small,
    )
    assert again.result == run.result
    with pytest.raises(RunFolderError, match="was made with data arrays@"):
        search(
            space, data=squares(45), objective="accuracy; -macs", budget="100M", out=tmp_path / "run", **small
        )


def test_arrays_stay_in_this_process(tmp_path):
    with pytest.raises(InputError, match="save them as a file"):
        search(
            "efficientnet-b0", data=squares(), budget="1M", workers=2, out=tmp_path / "run", progress=False
        )


@pytest.mark.parametrize("space", [3, None])
def test_what_is_no_space_is_refused(space):
    with pytest.raises(InputError, match="name or JSON file of one is expected"):
        search(space, budget="1M", progress=False)


def test_an_objective_is_a_value_or_text():
    with pytest.raises(InputError, match="An objective, several or their text"):
        search("efficientnet-b0", objective=[1], budget="1M", progress=False)
