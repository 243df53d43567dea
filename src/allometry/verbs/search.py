"""`allometry search`: the best network of a space on the user's images, by short trainings."""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from allometry.base import Progress, SilentProgress
from allometry.base.files import write_text
from allometry.base.units import plural
from allometry.cost import parse_budget
from allometry.data import data_argument, data_name
from allometry.nas import Proposals, Trial, TrialStore, drive, make_searcher, network_of, parse_objectives
from allometry.nas.evaluators import make_evaluator
from allometry.nas.gradient_trial import try_by_gradient
from allometry.nas.search_config import SearchConfig, SearchSetup, check_question, latency_setting
from allometry.nas.search_result import found_result, trial_record, write_plan
from allometry.nas.search_setup import prepare_search
from allometry.nas.search_spaces import reference_of
from allometry.nas.trial_training import trial_folder
from allometry.runs import SearchResult
from allometry.runs.files import SEARCH_TRIALS, read_result
from allometry.training.recipes.specs import check_settings
from allometry.training.session import Session, open_session, plain_name
from allometry.verbs.stages import finish, finished_result

DATABASE = "trials.db"
_PATIENCE = 10  # times as many random networks as the search has trials, at most


def search(
    space: str,
    *,
    data: str = "icons",
    objective: str = "accuracy",
    budget: str | None = None,
    config: SearchConfig = SearchConfig(),
    table: Path | None = None,
    runtime: str | None = None,
    threads: int = 1,
    out: Path | None = None,
    seed: int = 0,
    device: str | None = None,
    settings: Sequence[str] = (),
    progress: Progress = SilentProgress(),
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Find the network of a space that is best on these images, by short trainings.

    Called again with the same folder it goes on where it stopped. Several calls, each with a folder of its own, share
    a search where they name the same database.

    Args:
        space: a space's name or JSON file, or a network, for the space around it.
        data: `icons`, a folder of class folders, or whatever else `open_data` takes.
        objective: an expression or preset, see `parse_objectives`; several joined by semicolons for a front.
        budget: what no network may exceed; those that do are never trained.
        config: the searcher, how many trials, by whom.
        table: a latency table of the space; without one, it is built where a latency is asked for.
        runtime: where latency counts; ONNX Runtime by default.
        threads: of that runtime.
        out: the run folder; by default `runs/search-SPACE-DATA`.
        seed: of everything random.
        device: `cpu`, `cuda`, `cuda:1`; by default a GPU if there is one.
        settings: changes to the recipe, `key=value`.
        progress: is told how it goes.
        should_stop: True stops the search at a checkpoint.

    Returns:
        The found network's name and figures, and what the search cost; `network.json` is in the folder, and with
        several objectives all networks of the front.

    Raises:
        InputError: space, data, objective, budget or settings are wrong.
        Stopped: `should_stop` asked for it.
        StorageError: the disk is full, read-only or forbidden.

    Source: MnasNet (Tan et al. 2019); EfficientNetV2 (Tan & Le 2021), section 3.3.
    """
    objectives = parse_objectives(objective)
    limits = None if budget is None else parse_budget(budget, reference_of(space))
    check_settings(settings)
    check_question(objectives, limits, config)
    runtime_config = latency_setting(objectives, limits, runtime=runtime, threads=threads)
    arguments = {
        "space": space,
        "data": data_argument(data),
        "objective": "; ".join(map(str, objectives)),
        "budget": None if limits is None else limits.exact(),
        "settings": list(settings),
        "algorithm": config.algorithm,
        "epochs": config.epochs,
        "halving": config.halving,
        "max_pending": config.max_pending,
        "storage": None
        if config.storage is None
        else re.sub(r"(?<=://)([^:/@]*):[^@]*@", r"\1:***@", config.storage),
        "study": config.study if config.storage is not None else None,
        **({"runtime": runtime_config.runtime, "threads": runtime_config.threads} if runtime_config else {}),
    }
    folder = out or Path("runs") / f"search-{plain_name(space)}-{data_name(data)}"
    with open_session(
        folder,
        command="search",
        arguments=arguments,
        seed=seed,
        device=device,
        progress=progress,
        should_stop=should_stop,
    ) as session:
        done = read_result(folder, "search") if session.run.finished else None
        if isinstance(done, SearchResult) and (done.max_trials, done.compare_with) == (
            config.trials,
            config.compare_with,
        ):
            return finished_result(session) or {}
        setup = prepare_search(
            session, space, data, objectives, limits, config, settings, table, runtime_config, device
        )
        return _search(session, setup)


def _search(session: Session, setup: SearchSetup) -> dict[str, Any]:
    config, price = setup.config, setup.work
    write_plan(session, setup)
    if config.by_gradient:
        found, spent = try_by_gradient(session, setup)
        trial: tuple[Trial, ...] = (found,)
        price = _seconds  # of passes through a network of many paths there is no other count
    else:
        trial = _drive(
            session, setup, config.algorithm, trials=config.trials, phase="search", study=config.study
        )
        spent = sum(price(each) for each in trial)
        if len(trial) < config.trials:
            session.progress.say(
                f"{len(trial)} trials instead of {config.trials}: nothing new was found in the space within the limits"
            )
    others: tuple[Trial, ...] = ()
    if config.compare_with:
        others = _drive(
            session,
            setup,
            config.compare_with,
            trials=_PATIENCE * config.trials,
            phase="random",
            study=f"{config.study}-random",
            enough=lambda before: sum(price(each) for each in before) >= spent,
        )
        others = _within_cost(others, spent, price)
    return finish(session, found_result(session, setup, trial, others))


def _within_cost(trial: Sequence[Trial], most: float, price: Callable[[Trial], float]) -> tuple[Trial, ...]:
    """The trials up to a cost; those that were under way when it was reached do not count."""
    kept, spent = [], 0.0
    for each in trial:
        if spent >= most:
            break
        kept.append(each)
        spent += price(each)
    return tuple(kept)


def _seconds(trial: Trial) -> float:
    return trial.outcome.seconds


def _drive(
    session: Session,
    setup: SearchSetup,
    algorithm: str,
    *,
    trials: int,
    phase: str,
    study: str,
    enough: Callable[[Sequence[Trial]], bool] = lambda _before: False,
) -> tuple[Trial, ...]:
    folder, config, space = session.run.path, setup.config, setup.space
    # The other search draws other networks; trainings have the same seed in both.
    own = session.seed + (phase != "search")
    searcher = make_searcher(algorithm, space, seed=own, objectives=len(setup.objectives))
    proposals = Proposals(space, searcher, setup.allowed, max_pending=config.max_pending, seed=session.seed)

    def record_cost(trial: Trial) -> None:
        outcome = trial.outcome
        session.run.record_cost(
            phase, f"trial {trial.number}", seconds=outcome.seconds, images=outcome.images
        )

    def finished(trial: Trial) -> None:
        record_cost(trial)
        SEARCH_TRIALS.append(folder, trial_record(setup, trial, phase=phase))
        shutil.rmtree(
            trial_folder(folder, network_of(space, trial.encoding), session.seed) / "checkpoints",
            ignore_errors=True,
        )

    with (
        TrialStore(
            config.storage or f"sqlite:///{folder / DATABASE}",
            space,
            objectives=[str(each) for each in setup.objectives],
            identity=setup.identity(algorithm),
            driver=_own_name(folder),
            alone=config.storage is None,
            study=study,
        ) as store,
        make_evaluator(
            config.workers,
            setup.images,
            setup.trial_config,
            folder=folder,
            max_pending=config.max_pending,
            progress=session.progress,
            should_stop=session.should_stop,
        ) as evaluator,
    ):
        found = drive(
            setup.problem,
            store,
            proposals,
            evaluator,
            trials=trials,
            enough=enough,
            finished=finished,
            progress=session.progress if evaluator.slots > 1 else _Sayings(session.progress),
            label=phase,
            should_stop=session.should_stop,
        )
    if config.storage is None:  # all of them are this folder's; a kill may have come before one was charged
        for each in found:
            record_cost(each)
    return found


class _Sayings(SilentProgress):
    """Of the trials themselves only what they came to, where each training has a display of its own."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._label, self._done = "", 0

    def start(self, label: str, total: int, done: int = 0, unit: str = "images") -> None:
        """Remember how many are done."""
        del total, unit
        self._label, self._done = label, done

    def advance(self, images: int, info: str = "") -> None:
        """Say what a trial came to."""
        self._done += images
        if images:
            self._progress.say(f"{self._label}: {plural(self._done, 'trial')}, {info}")


def _own_name(folder: Path) -> str:
    """This folder's name among those that share a database: the same when it comes back."""
    file = folder / "driver"
    if not file.exists():
        write_text(file, uuid.uuid4().hex)
    return file.read_text(encoding="utf-8")
