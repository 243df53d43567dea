"""`fit` as a function: the law, how sure it is, that it goes on, that it refuses what cannot work."""

import numpy as np
import pytest

import allometry
from allometry.arch import load
from allometry.base import InputError, SilentProgress
from allometry.base.errors import Stopped
from allometry.base.files import read_lines
from allometry.catalog import get
from allometry.cost import count
from allometry.nas.fit_setup import FitConfig
from allometry.scaling import ScalingLaw
from allometry.verbs.fit import fit
from tests.images import write_photos

SETTINGS = ("batch_size=8", "augmentation.flip=true")
SMALL = FitConfig(alphas=(1.0, 1.4), gammas=(1.0, 1.1), epochs=1, finalists=2, seeds=2)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return str(write_photos(tmp_path_factory.mktemp("photos") / "shapes", per_class=10))


class Stopping(SilentProgress):
    """Stops once a line with this word has been printed."""

    def __init__(self, word):
        self.word, self.over = word, False

    def say(self, text):
        self.over |= self.word in text


def fitted(photos, out, **more):
    arguments = {"budget": "200k", "config": SMALL, "settings": SETTINGS, "progress": False, **more}
    return fit("efficientnet-b0", data=photos, out=out, **arguments).result


@pytest.mark.slow
def test_a_fit_leaves_the_law_how_sure_it_is_and_its_price(photos, tmp_path):
    result = fitted(photos, tmp_path / "run")
    folder = tmp_path / "run"
    law = ScalingLaw.load(folder / "law.json")
    assert law == result.law
    baseline = count(load(folder / "baseline.json")).macs
    assert baseline <= 200_000
    assert count(load(folder / "network.json")).macs <= 2 * baseline
    finalists = result.finalists
    assert max(finalists, key=lambda each: each.accuracy).accuracy == next(
        each.accuracy for each in finalists if each.law == result.law
    )
    assert sum(each.best for each in finalists) == pytest.approx(1)
    for name, (low, high) in result.likely.items():
        assert low <= getattr(result.law, name) <= high or all(each.best < 0.05 for each in finalists)
    assert [round(each.macs / finalists[0].macs) for each in result.forecast] == [2, 4, 8]
    lines = read_lines(folder / "trials.jsonl")
    assert len(lines) == result.laws
    assert [line["chosen"] for line in lines].count(True) == 1
    trained = read_lines(folder / "trainings.jsonl")
    charged = [entry for entry in read_lines(folder / "costs.jsonl") if entry["phase"] == "fit"]
    last = {line["training"]: line["images"] for line in trained}
    assert sum(entry["images"] for entry in charged) == sum(last.values()) == result.training_images
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
    assert [getattr(whole, name) for name in names] == [getattr(result, name) for name in names]
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


def test_values_in_and_a_run_out(tmp_path):
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 255, (40, 16, 16, 3), dtype=np.uint8), np.arange(40) % 2
    small = {"alphas": (1, 1.5), "gammas": [1.0], "epochs": 1, "finalists": 1, "seeds": 1, "progress": False}
    network = get("efficientnet-b0")
    run = fit(
        network,
        data=(images, labels),
        budget="200k",
        out=tmp_path / "run",
        settings=("batch_size=16",),
        **small,
    )
    assert isinstance(run, allometry.Run)
    assert run.law == run.result.law
    assert count(run.baseline).macs <= 200_000
    assert run.arguments["network"].startswith("efficientnet-b0@")
    assert [size.macs for size in run.result.sizes] == sorted(size.macs for size in run.result.sizes)
    assert repr(run.law) in repr(run) or str(run.law) in repr(run)
    with pytest.raises(InputError, match="leave workers at 1"):
        fit(network, data=(images, labels), workers=2, **small)
