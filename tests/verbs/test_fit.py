"""`fit` as a function: the law, how sure it is, that it goes on, that it refuses what cannot work."""

import numpy as np
import pytest

import allometry
from allometry.arch import Head, MBConv, Network, Stage, Stem, load
from allometry.base import InputError, SilentProgress
from allometry.base.errors import Stopped
from allometry.base.files import read_lines
from allometry.cost import count
from allometry.nas.fit_setup import FitConfig
from allometry.scaling import ScalingLaw, shares_of
from allometry.verbs.fit import fit
from tests.images import write_photos

SETTINGS = ("batch_size=8", "augmentation.flip=true")
SMALL = FitConfig(alphas=(1.0, 1.4), gammas=(1.0, 1.1), epochs=1, max_laws=3)


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
    assert (len(result.trained), result.laws) == (3, 4)
    assert result.degree == 1
    shares = shares_of(law)._asdict()
    for name, (low, high) in result.region.items():
        assert low - 1e-9 <= shares[name] <= high + 1e-9
    assert 1 <= result.near_best <= 4
    assert result.near_best - 1 <= sum(each.near_best for each in result.trained) <= result.near_best
    assert result.tells_apart == (result.near_best < 4)
    assert [round(each.macs / result.sizes[-1].macs) for each in result.forecast] == [2, 4, 8]
    lines = read_lines(folder / "trials.jsonl")
    assert len(lines) in (3, 4)  # the law that was found may be one of them
    assert [line["chosen"] for line in lines].count(True) == 1
    trained = read_lines(folder / "trainings.jsonl")
    charged = [entry for entry in read_lines(folder / "costs.jsonl") if entry["phase"] == "fit"]
    images = sum(line["images"] for line in trained)
    assert sum(entry["images"] for entry in charged) == images == result.training_images
    assert {line["epochs"] for line in trained} == {1}
    html = (folder / "report.html").read_text()
    assert "The law</h2>" in html
    assert "What more MACs would buy" in html
    assert "Over depth and resolution" in html


@pytest.mark.slow
def test_a_fit_goes_on_after_a_stop_and_is_the_same_with_processes(photos, tmp_path):
    whole = fitted(photos, tmp_path / "whole", config=FitConfig(**{**_fields(SMALL), "threads": 1}))
    should_stop = Stopping("may be the best")
    with pytest.raises(Stopped):
        fitted(photos, tmp_path / "run", progress=should_stop, should_stop=lambda: should_stop.over)
    kept = read_lines(tmp_path / "run" / "trainings.jsonl")
    assert kept
    pair = FitConfig(**{**_fields(SMALL), "workers": "2", "threads": 1})
    result = fitted(photos, tmp_path / "run", config=pair)
    names = ("law", "region", "trained", "forecast", "training_images", "fraction_of_full")
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
    with pytest.raises(InputError, match="seeds must be at least 2"):
        FitConfig(seeds=1)
    assert not list(tmp_path.glob("*/trials"))


def test_values_in_and_a_run_out(tmp_path):
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 255, (40, 16, 16, 3), dtype=np.uint8), np.arange(40) % 2
    small = {"alphas": (1, 1.5), "gammas": [1.0], "epochs": 1, "progress": False}
    network = Network(
        name="two-stages",
        stem=Stem(channels=8),
        stages=tuple(Stage(block=MBConv(channels=channels, stride=2)) for channels in (8, 16)),
        head=Head(channels=16),
        resolution=16,
    )
    run = fit(
        network,
        data=(images, labels),
        budget="50k",
        out=tmp_path / "run",
        settings=("batch_size=16",),
        **small,
    )
    assert isinstance(run, allometry.Run)
    assert run.law == run.result.law
    assert count(run.baseline).macs <= 50_000
    assert run.arguments["network"].startswith("two-stages@")
    assert [size.macs for size in run.result.sizes] == sorted(size.macs for size in run.result.sizes)
    assert repr(run.law) in repr(run) or str(run.law) in repr(run)
    with pytest.raises(InputError, match="leave workers at 1"):
        fit(network, data=(images, labels), workers=2, **small)
