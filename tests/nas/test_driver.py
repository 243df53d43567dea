"""The search itself: with one worker and with many, after a kill, with several drivers, over databases."""

import os
import signal
import subprocess
import sys
import time
import uuid
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest

from allometry.base import InputError, RunFolderError, SilentProgress
from allometry.base.errors import Stopped
from allometry.catalog import find_space
from allometry.nas import (
    Halving,
    Proposals,
    SearchProblem,
    TrialCandidate,
    TrialOutcome,
    TrialStore,
    drive,
    make_searcher,
    parse_objectives,
)

SPACE = find_space("fbnet")
TRIALS = 12


def accuracy(network) -> float:
    """Some value that a network always has."""
    return float(np.random.default_rng(len(network.stages)).random()) + network.depth / 100


class Evaluator:
    """Answers in another order than it was asked."""

    def __init__(self, slots=1, fails=()):
        self.slots, self.fails, self.seen = slots, set(fails), []
        self._pool = ThreadPoolExecutor(slots)

    def start(self, candidate: TrialCandidate) -> Future:
        self.seen.append(candidate.number)
        return self._pool.submit(self._try, candidate)

    def _try(self, candidate):
        time.sleep(0.001 * (candidate.number % 3))
        if candidate.number in self.fails:
            return TrialOutcome(failed="it diverged")
        metrics = {**candidate.metrics, "accuracy": accuracy(candidate.network)}
        return TrialOutcome(metrics=metrics, epochs=1, seconds=1.0, images=10)


QUESTION = SearchProblem(
    space=SPACE, objectives=parse_objectives("accuracy"), metrics=lambda _row: {"macs": 1.0}
)


def proposals(by="evolution", allowed=lambda encodings: np.ones(len(encodings), bool)):
    return Proposals(SPACE, make_searcher(by, SPACE, seed=0), allowed, max_pending=4)


def store(url, **more):
    return TrialStore(url, SPACE, **{"objectives": ["accuracy"], "identity": "a", "driver": "me", **more})


def search(url, evaluator, *, trials=TRIALS, **more):
    with store(url) as opened:
        return drive(QUESTION, opened, proposals(), evaluator, trials=trials, **more)


def values_of(trials):
    return [(trial.number, trial.encoding.tobytes(), trial.values) for trial in trials]


def test_the_search_is_the_same_with_any_number_of_workers_and_goes_on(tmp_path):
    alone = search(f"sqlite:///{tmp_path}/a.db", Evaluator())
    first = search(f"sqlite:///{tmp_path}/b.db", Evaluator(3), trials=7)
    evaluator = Evaluator(4)
    both = search(f"sqlite:///{tmp_path}/b.db", evaluator)
    assert values_of(alone) == values_of(both)
    assert values_of(first) == values_of(both)[:7]
    assert sorted(evaluator.seen) == list(range(7, TRIALS))


def test_what_fails_is_tried_once_and_worth_nothing(tmp_path):
    url = f"sqlite:///{tmp_path}/a.db"
    trials = search(url, Evaluator(fails=(3, 5)))
    assert [trial.number for trial in trials if trial.values == (float("-inf"),)] == [3, 5]
    assert trials[3].outcome.failed == "it diverged"
    again = Evaluator()
    assert values_of(search(url, again)) == values_of(trials)
    assert again.seen == []


def test_a_search_that_is_stopped_gives_its_trials_to_the_next_call(tmp_path):
    url = f"sqlite:///{tmp_path}/a.db"
    evaluator = Evaluator(2)
    with pytest.raises(Stopped):
        search(url, evaluator, should_stop=lambda: len(evaluator.seen) >= 6)
    assert values_of(search(url, Evaluator())) == values_of(search(f"sqlite:///{tmp_path}/b.db", Evaluator()))


def test_a_database_of_another_search_is_refused(tmp_path):
    url = f"sqlite:///{tmp_path}/a.db"
    search(url, Evaluator(), trials=1)
    with pytest.raises(RunFolderError, match="holds a search 'allometry' with another space, data set"):
        store(url, identity="b")
    with store(url, identity="b", study="second") as opened:
        assert opened.finished() == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "'nonsense' is no address of a database"),
        ("postgresql://nobody:secret@127.0.0.1:9/x", r"nobody:\*\*\*@127.0.0.1:9/x cannot be used"),
        ("sqlite:////nowhere/at/all.db", "unable to open database file"),
    ],
)
def test_a_database_that_cannot_be_used(url, message):
    with pytest.raises(InputError, match=message):
        store(url, alone=False)


POSTGRESQL = os.environ.get("ALLOMETRY_TEST_POSTGRESQL", "")
no_server = pytest.mark.skipif(not POSTGRESQL, reason=".ci/run starts a server for ALLOMETRY_TEST_POSTGRESQL")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=no_server)])
def shared(request, tmp_path):
    """The database and the study of a search that several drivers share."""
    url = f"sqlite:///{tmp_path}/a.db" if request.param == "sqlite" else POSTGRESQL
    return url, uuid.uuid4().hex


@pytest.mark.slow
def test_two_drivers_share_a_search(shared, tmp_path):
    url, study = shared
    evaluators = [Evaluator(), Evaluator()]

    def one(place):
        with store(url, alone=False, driver=str(place), study=study) as opened:
            return values_of(drive(QUESTION, opened, proposals(), evaluators[place], trials=TRIALS))

    with ThreadPoolExecutor(2) as pool:
        trials = list(pool.map(one, (0, 1)))
    assert trials[0] == trials[1] == values_of(search(f"sqlite:///{tmp_path}/b.db", Evaluator()))
    assert sorted(evaluators[0].seen + evaluators[1].seen) == list(range(TRIALS))


DRIVER = """
import sys, time
from tests.nas import test_driver as t
class Slow(t.Evaluator):
    def _try(self, candidate):
        print(candidate.number, flush=True)
        if candidate.number == 5:
            time.sleep(600)
        return super()._try(candidate)
with t.store(sys.argv[1], driver="dead", alone=sys.argv[2] == "alone", study=sys.argv[3]) as opened:
    t.drive(t.QUESTION, opened, t.proposals(), Slow(2), trials=t.TRIALS)
"""


def killed(url, alone, study):
    """A driver that dies while it works on number 5."""
    path = os.pathsep.join(part for part in sys.path if part)
    command = [sys.executable, "-c", DRIVER, url, "alone" if alone else "together", study]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
    )
    with process:
        for line in process.stdout:
            if line.strip() == "5":
                break
        process.send_signal(signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize("comes_back", [True, False])
def test_a_killed_driver_loses_no_trial_and_none_counts_twice(shared, tmp_path, monkeypatch, comes_back):
    url, study = shared
    killed(url, comes_back, study)
    if not comes_back:  # another one sees after a while that it gives no sign of life
        monkeypatch.setattr("allometry.nas.database.GRACE", 2)
        monkeypatch.setattr("allometry.nas.database.BEAT", 1)
    evaluator = Evaluator()
    driver = "me" if comes_back else "other"
    with store(url, alone=comes_back, driver=driver, study=study) as opened:
        trials = drive(QUESTION, opened, proposals(), evaluator, trials=TRIALS)
    assert values_of(trials) == values_of(search(f"sqlite:///{tmp_path}/b.db", Evaluator()))
    assert 5 in evaluator.seen
    assert not {0, 1, 2, 3} & set(evaluator.seen)


@pytest.mark.slow
def test_a_driver_that_slept_too_long_finds_its_trial_with_another_one(tmp_path, monkeypatch):
    monkeypatch.setattr("allometry.nas.database.GRACE", 1)
    monkeypatch.setattr("allometry.nas.database.BEAT", 600)
    url, encoding = f"sqlite:///{tmp_path}/a.db", np.zeros(len(SPACE.choices), np.int8)
    with store(url, alone=False, driver="sleeper") as sleeper:
        claim = sleeper.claim(most=1)
        sleeper.decide(claim, encoding)
        time.sleep(2.5)
        with store(url, alone=False, driver="other") as other:
            again = other.claim(most=1)
            assert again.number == claim.number
            sleeper.finish(claim, TrialOutcome(epochs=1), (0.1,))
            sleeper.put_off(claim)
            other.finish(again, TrialOutcome(epochs=1), (0.2,))
            assert [(trial.number, trial.values) for trial in other.finished()] == [(0, (0.2,))]
            assert other.claim(most=1) is None


def test_a_trial_that_ends_its_drivers_again_and_again_counts_as_failed(tmp_path):
    url = f"sqlite:///{tmp_path}/a.db"
    for _ in range(5):
        with store(url) as opened:
            claim = opened.claim(most=1)
            if claim is None:
                break
            opened.decide(claim, np.zeros(len(SPACE.choices), np.int8))
    with store(url) as opened:
        (only,) = opened.finished()
    assert only.outcome.failed == "its training ended 4 drivers"


def test_a_candidate_knows_the_bars_of_its_number(tmp_path):
    class Watching(Evaluator):
        def _try(self, candidate):
            rung_values[candidate.number] = candidate.rung_values
            outcome = super()._try(candidate)
            return TrialOutcome(metrics=outcome.metrics, rungs=((candidate.number / 10,),))

    rung_values = {}
    problem = SearchProblem(
        space=SPACE, objectives=QUESTION.objectives, metrics=QUESTION.metrics, halving=Halving(rungs=(1,))
    )
    with store(f"sqlite:///{tmp_path}/a.db") as opened:
        drive(problem, opened, proposals(), Watching(3), trials=8)
    assert rung_values[0] == ((),)
    assert rung_values[7] == (((0.0,), (0.1,), (0.2,), (0.3,)),)


def test_nothing_new_left_ends_the_search(tmp_path):
    only = proposals(allowed=lambda encodings: (encodings == 0).all(1))
    with store(f"sqlite:///{tmp_path}/a.db") as opened:
        assert drive(QUESTION, opened, only, Evaluator(2), trials=9) == ()
        assert not opened.under_way


def test_progress_tells_the_best(tmp_path):
    class Display(SilentProgress):
        def __init__(self):
            self.words = []

        def advance(self, images, info=""):  # noqa: ARG002 - only the words matter
            self.words.append(info)

    display = Display()
    trials = search(f"sqlite:///{tmp_path}/a.db", Evaluator(), trials=5, progress=display)
    best = max(trials, key=lambda trial: trial.values)
    assert display.words[-1] == f"best {best.values[0]:.4g} (trial {best.number})"
