"""A searcher from outside the package: by value, made of the space, by a name, as a sampler of Optuna."""

import sys
from dataclasses import dataclass, field, replace

import numpy as np
import optuna
import pytest

from allometry.arch import Head, MBConv, Network, Stage, Stem, load, load_space, save_space
from allometry.base import InputError, RunFolderError, SilentProgress, UnknownNameError, plugins
from allometry.base.errors import Stopped
from allometry.base.files import read_json, read_lines
from allometry.catalog import find_space, get, mbconv_space
from allometry.cli import main
from allometry.nas import (
    SEARCHERS,
    Costs,
    Proposals,
    Trial,
    TrialOutcome,
    encodings_of,
    follow,
    make_searcher,
    network_of,
    searcher_name,
)
from allometry.verbs.search import search
from tests.images import write_photos

SPACE = mbconv_space(get("efficientnet-b0"), kernels=(3, 5), expand_ratios=(1, 6), depths=(1, 2))


LAYER = MBConv(channels=8, expand_ratio=3, stride=2, se_ratio=0)
SMALL = mbconv_space(
    Network(
        stem=Stem(channels=8),
        stages=(Stage(block=LAYER), Stage(block=replace(LAYER, channels=12))),
        head=Head(channels=16, classes=3),
        resolution=32,
    ),
    kernels=(3, 5),
    expand_ratios=(2, 3),
    name="small",
)


class Climber:
    """Changes one decision of the best network so far."""

    def __init__(self, space, *, seed=0, objectives=1):
        assert objectives == 1
        self.space, self.random, self.told = space, np.random.default_rng(seed), []
        self.best = (float("-inf"),), {choice.name: choice.options[0] for choice in space.choices}

    def ask(self):
        choice = self.space.choices[self.random.integers(len(self.space.choices))]
        return {**self.best[1], choice.name: choice.options[self.random.integers(len(choice.options))]}

    def tell(self, decisions, values):
        self.told.append((decisions, values))
        self.best = max(self.best, (values, decisions), key=lambda pair: pair[0])


@dataclass
class Networks:
    """Proposes networks, and remembers what happens to them."""

    space: object = field(repr=False)
    step: int = 7
    told: list = field(default_factory=list, repr=False)
    refused: list = field(default_factory=list, repr=False)
    number: int = field(default=0, repr=False)

    def ask(self):
        random = np.random.default_rng(self.number % self.step)  # the same ones again and again
        self.number += 1
        return self.space.network(
            {
                choice.name: choice.options[random.integers(len(choice.options))]
                for choice in self.space.choices
            }
        )

    def tell(self, network, values):
        assert len(values) == 1
        self.told.append(network)

    def refuse(self, network):
        self.refused.append(network)


def everything(encodings):
    return np.ones(len(encodings), bool)


def depth(encoding):
    return (float(network_of(SPACE, encoding).depth),)


def test_decisions_are_proposed_and_come_back_with_their_values():
    searcher = Climber(SPACE)
    tried = follow(Proposals(SPACE, searcher, everything, max_pending=1), depth, 60)
    assert len({encoding.tobytes() for encoding, _ in tried}) == 60
    assert max(values for _, values in tried) > max(values for _, values in tried[:10])
    for (decisions, values), (encoding, own) in zip(searcher.told, tried, strict=False):
        assert (encodings_of(SPACE, [SPACE.network(decisions)])[0] == encoding).all()
        assert values == own


def test_networks_come_back_as_they_were_proposed_and_what_is_not_tried_is_refused():
    searcher = Networks(SPACE)
    tried = follow(Proposals(SPACE, searcher, everything, max_pending=1), depth, 9)
    assert len(tried) == 9  # the last two by chance
    assert len(searcher.refused) == 2 * 50  # as many as may be refused in succession
    assert all(isinstance(network, Network) for network in searcher.told)
    assert [network.depth for network in searcher.told] == [values[0] for _, values in tried[:8]]


@pytest.mark.parametrize(
    ("proposal", "error", "message"),
    [
        ([1, 2], InputError, r"Own.ask must give decisions \(options by .*, not a list"),
        (np.zeros(3, int), InputError, "Own.ask gave an encoding that is none of this space"),
        (np.full(len(SPACE.choices), 9), InputError, "below the number of its options"),
        ({"kernel": 3}, UnknownNameError, "No choice is named 'kernel'"),
        (get("resnet-18"), InputError, "Not of the space"),
    ],
)
def test_what_is_no_member_is_refused(proposal, error, message):
    class Own:
        def ask(self):
            return proposal

        tell = None

    with pytest.raises(error, match=message):
        Proposals(SPACE, Own(), everything, max_pending=1).propose(0, {})


def test_values_and_classes_are_searchers():
    own = Climber(SPACE, seed=3)
    copied = make_searcher(own, SPACE)
    assert copied is not own
    copied.tell(copied.ask(), (1.0,))
    assert own.told == []
    assert make_searcher(Climber, SPACE, seed=3).ask() == own.ask()
    assert searcher_name(Climber) == searcher_name(own) == "Climber"
    assert searcher_name(Networks(SPACE)) == "Networks(step=7)"
    for value, message in [
        (3, "A searcher is a name, an object with ask and tell"),
        (lambda space, **_: space, "made a Space, without ask and tell"),
    ]:
        with pytest.raises(InputError, match=message):
            make_searcher(value, SPACE)


def test_what_cannot_be_copied_says_what_to_give():
    own = Climber(SPACE)
    own.open = (n for n in range(3))
    with pytest.raises(InputError, match=r"Climber cannot be copied .* give a class or function"):
        make_searcher(own, SPACE)


@pytest.mark.parametrize(
    "sampler",
    [
        optuna.samplers.TPESampler(seed=1, n_startup_trials=4),
        optuna.samplers.NSGAIISampler(seed=1, population_size=4),
        optuna.samplers.RandomSampler(seed=1),
    ],
    ids=lambda sampler: type(sampler).__name__,
)
def test_a_sampler_of_optuna_is_a_searcher(sampler):
    space = find_space("fbnet")
    costs = Costs(space)

    def run(objectives):
        searcher = make_searcher(sampler, space, objectives=objectives)
        proposals = Proposals(
            space, searcher, lambda encodings: costs(encodings)["macs"] <= 250e6, max_pending=2
        )
        worth = lambda encoding: (float((encoding == 7).sum()), float(encoding.sum()))[:objectives]  # noqa: E731
        return [encoding.tobytes() for encoding, _ in follow(proposals, worth, 15)]

    assert len(set(run(1))) == 15
    assert run(1) == run(1)  # it is used as a copy
    assert len(run(2)) == 15


def trials_of(tried):
    return {
        number: Trial(number=number, encoding=encoding, values=values, outcome=TrialOutcome())
        for number, (encoding, values) in enumerate(tried)
    }


def test_a_search_that_goes_on_tells_a_new_one_all_that_was_tried():
    whole = follow(Proposals(SPACE, Climber(SPACE), everything, max_pending=2), depth, 12)
    searcher = Climber(SPACE)
    proposals = Proposals(SPACE, searcher, everything, max_pending=2)
    known = trials_of(whole[:11])
    assert (proposals.propose(11, known) == whole[11][0]).all()
    assert proposals.differ is None
    assert len(searcher.told) == 10


def test_another_searcher_goes_on_from_what_was_tried():
    known = trials_of(follow(Proposals(SPACE, Climber(SPACE), everything, max_pending=1), depth, 8))
    other = Networks(SPACE, step=100)
    proposals = Proposals(SPACE, other, everything, max_pending=1)
    encoding = proposals.propose(8, known)
    assert proposals.differ == 0
    assert [network.depth for network in other.told] == [known[n].values[0] for n in range(8)]
    assert len(other.refused) >= 7  # its own that were not tried
    assert encoding.tobytes() not in {trial.encoding.tobytes() for trial in known.values()}


class Watch(SilentProgress):
    """Remembers what is said; asks to stop once a word of it was."""

    def __init__(self, word="nothing"):
        self.word, self.said = word, []

    def say(self, text):
        self.said.append(text)

    def over(self):
        return any(self.word in text for text in self.said)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return str(write_photos(tmp_path_factory.mktemp("photos") / "shapes", per_class=8))


def test_the_verb_takes_it_goes_on_and_says_when_it_differs(photos, tmp_path):
    def go(searcher, trials, word="nothing", out=tmp_path / "run"):
        watch = Watch(word)
        run = search(
            SMALL,
            searcher=searcher,
            data=photos,
            budget="1M",
            trials=trials,
            epochs=1,
            settings=("batch_size=8",),
            out=out,
            progress=watch,
            should_stop=watch.over,
        )
        return run, watch.said

    with pytest.raises(Stopped):
        go(Climber, 3, "search: 2 trials")
    run, said = go(Climber, 3)
    assert not any("was asked again" in text for text in said)
    assert read_json(run.folder / "run.json")["arguments"]["searcher"] == "Climber"
    assert [line["number"] for line in read_lines(run.folder / "trials.jsonl")] == [0, 1, 2]
    assert "Climber tried 3 networks" in run.report.read_text()

    def drifting(space, *, seed, objectives):
        return Climber(space, seed=seed + 1)

    drifting.__name__ = "Climber"
    _, said = go(drifting, 4)
    (differs,) = [text for text in said if "was asked again" in text]
    assert "did not propose trial" in differs
    with pytest.raises(RunFolderError, match="was made with searcher Climber, not TPESampler"):
        go(optuna.samplers.TPESampler(seed=1), 4)
    sampled, _ = go(optuna.samplers.TPESampler(seed=1), 1, out=tmp_path / "sampled")
    assert sampled.arguments["searcher"] == "TPESampler"


PLUGIN = """
import numpy as np
from allometry.nas import SEARCHERS, NamedSearcher

class Smallest:
    def __init__(self, space, *, seed, objectives):
        self.space = space

    def ask(self):
        return self.space.smallest()

    def tell(self, network, values):
        pass

SEARCHERS.register(NamedSearcher("smallest-first", Smallest))
"""


def test_the_command_line_takes_the_name_of_a_plugin(photos, tmp_path, monkeypatch):
    monkeypatch.setenv(plugins.VARIABLE, "")
    monkeypatch.setattr(plugins, "_loaded", set(plugins._loaded))
    monkeypatch.setattr(SEARCHERS, "_items", dict(SEARCHERS._items))
    monkeypatch.delitem(sys.modules, "smallest_first", raising=False)
    (tmp_path / "smallest_first.py").write_text(PLUGIN)
    folder = tmp_path / "run"
    options = (
        "--data",
        photos,
        "--budget",
        "200k",
        "--trials",
        "1",
        "--epochs",
        "1",
        "--set",
        "batch_size=8",
    )
    save_space(SMALL, tmp_path / "space.json")
    wrong = [
        "search",
        str(tmp_path / "space.json"),
        "--searcher",
        "smallest-first",
        *options,
        "--out",
        str(folder),
    ]
    assert main(wrong) == 2
    assert main([*wrong, "--plugin", str(tmp_path / "smallest_first.py")]) == 0
    assert read_json(folder / "run.json")["arguments"]["searcher"] == "smallest-first"
    space = load_space(folder / "space.json")
    assert load(folder / "network.json") == space.smallest()
