"""`allometry fit`: in what proportion a network grows best on the user's images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from allometry.base import InputError, Progress, SilentProgress
from allometry.catalog import as_network
from allometry.cost import count, parse_budget
from allometry.data import data_argument, data_name
from allometry.nas.evaluators import make_evaluator
from allometry.nas.fit_result import fitted_result
from allometry.nas.fit_setup import FitConfig, FitSetup, prepare_fit
from allometry.nas.law_trials import GridTrainingResult, Trainings, grid_trainings
from allometry.training.recipes.specs import check_settings
from allometry.training.session import Session, open_session, read_data
from allometry.verbs.stages import finish, finished_result


def fit(
    network: str,
    *,
    data: str = "icons",
    budget: str | None = None,
    config: FitConfig = FitConfig(),
    out: Path | None = None,
    seed: int = 0,
    device: str | None = None,
    settings: Sequence[str] = (),
    progress: Progress = SilentProgress(),
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Fit a scaling law to a network and images: the paper's step 1, with successive halving and several seeds.

    Every law of the grid makes a network of `how.ratio` times the baseline's MACs. All are trained for a quarter of the
    epochs, the best eighth to the end, the best two with another seed; the best of these by mean validation accuracy
    has the law. Called again with the same folder it goes on where it stopped.

    Args:
        network: the baseline: a name of the zoo or a network's JSON file.
        data: `icons`, a folder of class folders, or whatever else `open_data` takes.
        budget: that the baseline is shrunk or grown to first, by the paper's law; by default it stays as it is.
        config: the grid, and how much is trained, by whom.
        out: the run folder; by default `runs/fit-NETWORK-DATA`.
        seed: the first of the trainings' seeds.
        device: `cpu`, `cuda`, `cuda:1`; by default a GPU if there is one.
        settings: changes to the recipe, `key=value`.
        progress: is told how it goes.
        should_stop: True stops the fit at a checkpoint.

    Returns:
        The law, how sure it is, an outlook for larger networks, and what it cost; `law.json` is in the folder.

    Raises:
        InputError: network, data, budget or settings are wrong.
        BudgetError: the baseline cannot keep the budget, or no law can grow it.
        Stopped: `should_stop` asked for it.
        StorageError: the disk is full, read-only or forbidden.
        SearchError: the trainings of all finalists diverged.

    Source: EfficientNet (Tan & Le 2019), section 3.3, step 1.
    """
    origin = as_network(network)
    limits = None if budget is None else parse_budget(budget, count(origin))
    if limits is not None and "latency" in limits.measures:
        raise InputError("The baseline of a fit is found by counting: limit its MACs, params or memory.")
    check_settings(settings)
    arguments = {
        "network": network,
        "data": data_argument(data),
        "budget": None if limits is None else limits.exact(),
        "settings": list(settings),
        "alphas": list(config.alphas),
        "gammas": list(config.gammas),
        "ratio": config.ratio,
        "epochs": config.epochs,
        "share": config.share,
        "finalists": config.finalists,
        "seeds": config.seeds,
    }
    folder = out or Path("runs") / f"fit-{Path(network).stem}-{data_name(data)}"
    with open_session(
        folder,
        command="fit",
        arguments=arguments,
        seed=seed,
        device=device,
        progress=progress,
        should_stop=should_stop,
    ) as session:
        done = finished_result(session)
        if done is not None:
            return done
        images = read_data(session, data)
        setup = prepare_fit(session, images, origin, data, limits, config, settings, device)
        return _fit(session, setup)


def _fit(session: Session, setup: FitSetup) -> dict[str, Any]:
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
        trainings = Trainings(
            trainer,
            session.run.path,
            lambda name, seconds, images: session.run.record_cost(
                "fit", name, seconds=seconds, images=images
            ),
            session.progress,
        )
        first = trainings(grid_trainings(networks, seeds[:1], setup.first_epochs), label="all laws")
        better = _best(first, setup.second)
        second = trainings(
            grid_trainings([networks[place] for place in better], seeds[:1], trial.epochs),
            label="the better ones",
        )
        final = [better[place] for place in _best(second, config.finalists)]
        session.progress.say("finalists: " + "; ".join(str(setup.points[place].law) for place in final))
        judged = {
            place: trainings(grid_trainings([networks[place]], seeds, trial.epochs), label="finalists")
            for place in final
        }
        base = trainings(grid_trainings([setup.baseline], seeds, trial.epochs), label="baseline")
    return finish(session, fitted_result(session, setup, first, judged, base))


def _best(results: Sequence[GridTrainingResult], number: int) -> list[int]:
    """The places of the best, by accuracy, the loss deciding between equals."""
    order = sorted(range(len(results)), key=lambda place: (-results[place].accuracy, results[place].loss))
    return order[:number]
