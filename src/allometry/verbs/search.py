"""`allometry search`: the best network of a space on the user's images, by short trainings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from allometry.base import InputError, Progress
from allometry.base.checks import replace_given
from allometry.base.progress import as_progress
from allometry.cost import Budget, LatencyTable, as_budget
from allometry.data import Data, Dataset, Group, data_name, settle_data
from allometry.nas.gradient_trial import join_search, leave_alone, try_by_gradient
from allometry.nas.objectives import Objective, as_objectives
from allometry.nas.search_config import (
    SearchConfig,
    SearchRequest,
    SearchSetup,
    latency_runtime,
    objective_measures,
)
from allometry.nas.search_result import search_result, write_plan
from allometry.nas.search_setup import prepare_search
from allometry.nas.search_spaces import SpaceLike, as_space, reference_of
from allometry.nas.searchers import SearcherLike
from allometry.nas.trial_search import run_random_trials, run_trials
from allometry.nas.trials import Trial
from allometry.runs import SearchResult
from allometry.runs.arguments import value_argument, value_name
from allometry.runs.files import read_result
from allometry.training.callbacks import Callback
from allometry.training.recipes.settings import Setting
from allometry.training.session import Session, open_joint_session, open_session
from allometry.verbs.open import Run, open_run
from allometry.verbs.stages import finish, is_finished


def search(
    space: SpaceLike,
    *,
    data: Data = "icons",
    group: Group | None = None,
    objective: Objective | Sequence[Objective] | str = "accuracy",
    budget: Budget | str | None = None,
    searcher: SearcherLike | None = None,
    trials: int | None = None,
    epochs: int | None = None,
    workers: int | str | None = None,
    compare_with: str | None = None,
    loss: str | None = None,
    config: SearchConfig = SearchConfig(),
    table: LatencyTable | str | Path | None = None,
    runtime: str | None = None,
    threads: int = 1,
    out: str | Path | None = None,
    seed: int = 0,
    device: str | None = None,
    settings: Sequence[Setting] = (),
    callbacks: Sequence[Callback | str] = (),
    progress: Progress | bool = True,
    should_stop: Callable[[], bool] = lambda: False,
) -> Run:
    """Find the network of a space that is best on these images, by short trainings.

    Called again with the same folder it goes on where it stopped; with more trials it goes further. Several calls, each
    with a folder of its own, share a search where they name the same database (`config.storage`). A searcher that is
    given as a value is told again all that was tried; if it is another one than before, that is said. Started by
    `torchrun`, processes share the batches of a search by gradient.

    Args:
        space: a space, its name or JSON file; or a network, for the space around it.
        data: `icons`, a folder of class folders, arrays, or whatever else `as_dataset` takes.
        group: what the images of a group have in common that stay in one split: `folder`, `level:2`, `{group}_*.jpg`, a
            column, `near-duplicates` (see `open_data`).
        objective: one or several for a front; as text an expression or preset, see `parse_objectives`.
        budget: what no network may exceed; those that do are never trained.
        searcher: `config.searcher`, if given: evolution, random, nsga2, tpe, controller, proxylessnas or fbnet; any
            object with `ask` and `tell`, a class that makes one, or a sampler of Optuna.
        trials: `config.trials`, if given.
        epochs: `config.epochs`, if given: of a trial.
        workers: `config.workers`, if given: processes that train.
        compare_with: `config.compare_with`, if given: `random` for a random search of equal cost beside it.
        loss: `config.loss`, if given: `paper` for the papers' losses and rates in a search by gradient, or `budget`.
        config: the searcher, how many trials, by whom.
        table: a latency table of the space; without one, it is built where a latency is asked for.
        runtime: where latency counts; ONNX Runtime by default.
        threads: of that runtime.
        out: the run folder; by default `runs/search-SPACE-DATA`.
        seed: of everything random.
        device: `cpu`, `cuda`, `cuda:1`; by default a GPU if there is one.
        settings: changes to the recipe: `key=value`, or a loss.
        callbacks: are told of the one training of a search by gradient, by value or name; trials are not watched.
        progress: True for a bar or lines, False for silence, or whatever is to be told.
        should_stop: True stops the search at a checkpoint.

    Returns:
        The run: its `network`, its `result` (`SearchResult`) and `search_trials`; with several objectives all networks
        of the front are in the folder.

    Raises:
        InputError: space, data, objective, budget or settings are wrong.
        Stopped: `should_stop` asked for it.
        CallbackError: a callback failed.
        StorageError: the disk is full, read-only or forbidden.

    Source: MnasNet (Tan et al. 2019); EfficientNetV2 (Tan & Le 2021), section 3.3.

    Example, with a small `network`, `images` and `labels`:
        >>> short = {"trials": 1, "epochs": 1, "out": folder / "search", "progress": False}
        >>> run = search(network, data=(images, labels), budget="100k", **short)
        >>> run.cost.macs <= 100_000
        True
    """
    config = replace_given(
        config,
        searcher=searcher,
        trials=trials,
        epochs=epochs,
        workers=workers,
        compare_with=compare_with,
        loss=loss,
    )
    if callbacks and not config.by_gradient:
        raise InputError(
            "Callbacks are told of a search by gradient (proxylessnas, fbnet), which is one training; trials are "
            "short, run in processes of their own, and are not watched."
        )
    opened, shown = as_space(space), as_progress(progress)
    objectives = as_objectives(objective)
    limits = None if budget is None else as_budget(budget, reference_of(opened))
    request = SearchRequest(
        space=opened,
        named=value_argument(space),
        data=settle_data(data, group=group, seed=seed, progress=shown),
        objectives=objectives,
        budget=limits,
        config=config,
        table=table,
        runtime_config=latency_runtime(
            objective_measures(objectives), limits, runtime=runtime, threads=threads
        ),
        settings=tuple(settings),
        device=device,
    )
    folder = Path(out or Path("runs") / f"search-{value_name(space)}-{data_name(request.data)}")
    # Of one network that learns, several processes may share the batches; trials have workers of their own.
    opening = open_joint_session if config.by_gradient else open_session
    with opening(
        folder,
        command="search",
        arguments=request.arguments(),
        seed=seed,
        device=device,
        progress=shown,
        should_stop=should_stop,
        callbacks=callbacks,
    ) as session:
        if session.dist.is_main:
            _search_or_keep(session, request)
        else:
            join_search(session, request.data)
        run: Run = session.dist.broadcast_object(open_run(folder) if session.dist.is_main else None)
    return replace(run, dataset=request.data if isinstance(request.data, Dataset) else None)


def _search_or_keep(session: Session, request: SearchRequest) -> None:
    """Search, unless the folder has the result of the same search."""
    config, folder = request.config, session.run.path
    done = read_result(folder, "search") if session.run.finished else None
    same = (
        isinstance(done, SearchResult)
        and (done.max_trials, done.compare_with) == (config.trials, config.compare_with)
        and is_finished(session)
    )
    if not same:
        _search(session, prepare_search(session, request))
    elif config.by_gradient:
        leave_alone(session)


def _search(session: Session, setup: SearchSetup) -> None:
    config = setup.config
    write_plan(session, setup)
    cost: Callable[[Trial], float]
    if config.by_gradient:
        trials, spent = try_by_gradient(session, setup)
        cost = _seconds  # of passes through a network of many paths there is no other count
    else:
        trials, cost = run_trials(session, setup), setup.training_macs
        spent = sum(map(cost, trials))
    others = run_random_trials(session, setup, spent, cost) if config.compare_with else ()
    finish(session, search_result(session, setup, trials, others))


def _seconds(trial: Trial) -> float:
    return trial.outcome.seconds
