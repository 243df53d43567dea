"""`allometry fit`: in what proportion a network grows best on the user's images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from allometry.arch import Network
from allometry.base import Progress
from allometry.base.checks import replace_given
from allometry.base.progress import as_progress
from allometry.catalog import as_network
from allometry.cost import Budget, as_budget, count
from allometry.data import Data, data_name, settle_data
from allometry.nas.evaluators import make_evaluator
from allometry.nas.fit_result import fitted_result
from allometry.nas.fit_setup import FitConfig, FitRequest, FitSetup, prepare_fit
from allometry.nas.law_trials import GridTrainingResult, Trainings, grid_trainings
from allometry.runs.arguments import value_argument, value_name
from allometry.training.recipes.settings import Setting
from allometry.training.session import Session, open_session
from allometry.verbs.open import Run, open_run
from allometry.verbs.stages import finish, is_finished


def fit(
    network: Network | str | Path,
    *,
    data: Data = "icons",
    budget: Budget | str | None = None,
    alphas: Sequence[float] | None = None,
    gammas: Sequence[float] | None = None,
    epochs: int | None = None,
    finalists: int | None = None,
    seeds: int | None = None,
    workers: int | str | None = None,
    config: FitConfig = FitConfig(),
    out: str | Path | None = None,
    seed: int = 0,
    device: str | None = None,
    settings: Sequence[Setting] = (),
    progress: Progress | bool = True,
    should_stop: Callable[[], bool] = lambda: False,
) -> Run:
    """Fit a scaling law to a network and images: the paper's step 1, with successive halving and several seeds.

    Every law of the grid makes a network of `config.ratio` times the baseline's MACs. All are trained for a quarter of
    the epochs, the best eighth to the end, the best two with another seed; the best of these by mean validation
    accuracy has the law. Called again with the same folder it goes on where it stopped.

    Args:
        network: the baseline: a network, a name of the zoo, or a network's JSON file.
        data: `icons`, a folder of class folders, arrays, or whatever else `as_dataset` takes.
        budget: that the baseline is shrunk or grown to first, by the paper's law; by default it stays as it is.
        alphas: `config.alphas`, if given: of the grid.
        gammas: `config.gammas`, if given: of the grid; beta follows from both.
        epochs: `config.epochs`, if given: of a training to the end.
        finalists: `config.finalists`, if given: laws that are trained with all seeds.
        seeds: `config.seeds`, if given: of each finalist.
        workers: `config.workers`, if given: processes that train.
        config: the grid, and how much is trained, by whom.
        out: the run folder; by default `runs/fit-NETWORK-DATA`.
        seed: the first of the trainings' seeds.
        device: `cpu`, `cuda`, `cuda:1`; by default a GPU if there is one.
        settings: changes to the recipe: `key=value`, or a loss.
        progress: True for a bar or lines, False for silence, or whatever is to be told.
        should_stop: True stops the fit at a checkpoint.

    Returns:
        The run: its `law`, and its `result` (`FitResult`), which says how sure it is, gives a forecast for larger
        networks, and what the fit cost.

    Raises:
        InputError: network, data, budget or settings are wrong.
        BudgetError: the baseline cannot keep the budget, or no law can grow it.
        Stopped: `should_stop` asked for it.
        StorageError: the disk is full, read-only or forbidden.
        SearchError: the trainings of all finalists diverged.

    Source: EfficientNet (Tan & Le 2019), section 3.3, step 1.

    Example, with a small `network`, `images` and `labels`; a grid of two laws:
        >>> grid = {"alphas": (1, 1.4), "gammas": (1,), "epochs": 1, "finalists": 1, "seeds": 1}
        >>> fitted = fit(network, data=(images, labels), **grid, out=folder / "fit", progress=False)
        >>> fitted.law.alpha in (1, 1.4)
        True
    """
    config = replace_given(
        config,
        alphas=None if alphas is None else tuple(alphas),
        gammas=None if gammas is None else tuple(gammas),
        epochs=epochs,
        finalists=finalists,
        seeds=seeds,
        workers=workers,
    )
    origin, shown = as_network(network), as_progress(progress)
    request = FitRequest(
        network=origin,
        named=value_argument(network),
        data=settle_data(data, seed=seed, progress=shown),
        budget=None if budget is None else as_budget(budget, count(origin)),
        config=config,
        settings=tuple(settings),
        device=device,
    )
    folder = Path(out or Path("runs") / f"fit-{value_name(network)}-{data_name(request.data)}")
    with open_session(
        folder,
        command="fit",
        arguments=request.arguments(),
        seed=seed,
        device=device,
        progress=shown,
        should_stop=should_stop,
    ) as session:
        if not is_finished(session):
            _fit(session, prepare_fit(session, request))
    return open_run(folder, data=request.data)


def _fit(session: Session, setup: FitSetup) -> None:
    config, trial = setup.config, setup.trial_config
    networks = [point.network for point in setup.points]
    seeds = [session.seed + place for place in range(config.seeds)]
    with make_evaluator(
        config.workers,
        setup.images,
        trial,
        folder=session.run.path,
        max_pending=len(networks),
        progress=session.progress,
        should_stop=session.should_stop,
    ) as trainer:
        train_all = Trainings(
            trainer,
            session.run.path,
            lambda name, seconds, images: session.run.record_cost(
                "fit", name, seconds=seconds, images=images
            ),
            session.progress,
        )
        first = train_all(grid_trainings(networks, seeds[:1], setup.first_epochs), label="all laws")
        better = _best(first, setup.second)
        second = train_all(
            grid_trainings([networks[place] for place in better], seeds[:1], trial.epochs),
            label="the better ones",
        )
        final = [better[place] for place in _best(second, config.finalists)]
        session.progress.say("finalists: " + "; ".join(str(setup.points[place].law) for place in final))
        finalists = {
            place: train_all(grid_trainings([networks[place]], seeds, trial.epochs), label="finalists")
            for place in final
        }
        base = train_all(grid_trainings([setup.baseline], seeds, trial.epochs), label="baseline")
    finish(session, fitted_result(session, setup, first, finalists, base))


def _best(results: Sequence[GridTrainingResult], number: int) -> list[int]:
    """The places of the best, by accuracy, the loss deciding between equals."""
    order = sorted(range(len(results)), key=lambda place: (-results[place].accuracy, results[place].loss))
    return order[:number]
