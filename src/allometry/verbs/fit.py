"""`allometry fit`: in what proportion a network grows best on the user's images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from allometry.arch import Network
from allometry.base import Progress
from allometry.base.checks import replace_given
from allometry.base.progress import as_progress
from allometry.base.units import plural
from allometry.catalog import as_network
from allometry.cost import Budget, as_budget, count
from allometry.data import Data, Group, data_name, settle_data
from allometry.nas.evaluators import make_evaluator
from allometry.nas.fit_result import choose_law, fitted_result
from allometry.nas.fit_setup import FitConfig, FitRequest, FitSetup, prepare_fit
from allometry.nas.law_trials import Trainings, grid_trainings
from allometry.runs.arguments import value_argument, value_name
from allometry.training.recipes.settings import Setting
from allometry.training.session import Session, open_session
from allometry.verbs.open import Run, open_run
from allometry.verbs.stages import finish, is_finished


def fit(
    network: Network | str | Path,
    *,
    data: Data = "icons",
    group: Group | None = None,
    budget: Budget | str | None = None,
    alphas: Sequence[float] | None = None,
    gammas: Sequence[float] | None = None,
    epochs: int | None = None,
    max_laws: int | None = None,
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
    """Fit a scaling law to a network and images: the paper's step 1, with several seeds and a surface between laws.

    Every law of the grid makes a network of `config.ratio` times the baseline's MACs. Some that lie far from each
    other are trained, all with the same epochs and seeds. A quadratic surface over the shares of depth, width and
    resolution, fitted to their validation accuracies, tells of all laws of the grid; the law is the middle of those
    within one standard error of the best. Called again with the same folder it goes on where it stopped.

    Args:
        network: the baseline: a network, a name of the zoo, or a network's JSON file.
        data: `icons`, a folder of class folders, arrays, or whatever else `as_dataset` takes.
        group: what the images of a group have in common that stay in one split: `folder`, `level:2`, `{group}_*.jpg`, a
            column, `near-duplicates` (see `open_data`).
        budget: that the baseline is shrunk or grown to first, by the paper's law; by default it stays as it is.
        alphas: `config.alphas`, if given: of the grid.
        gammas: `config.gammas`, if given: of the grid; beta follows from both.
        epochs: `config.epochs`, if given: of each training.
        max_laws: `config.max_laws`, if given: of the grid that are trained, at most.
        seeds: `config.seeds`, if given: of each law; two at least.
        workers: `config.workers`, if given: processes that train.
        config: the grid, and how much is trained, by whom.
        out: the run folder; by default `runs/fit-NETWORK-DATA`.
        seed: the first of the trainings' seeds.
        device: `cpu`, `cuda`, `cuda:1`; by default a GPU if there is one.
        settings: changes to the recipe: `key=value`, or a loss.
        progress: True for a bar or lines, False for silence, or whatever is to be told.
        should_stop: True stops the fit at a checkpoint.

    Returns:
        The run: its `law`, and its `result` (`FitResult`), which says which laws may be as good, gives a forecast for
        larger networks, and what the fit cost.

    Raises:
        InputError: network, data, budget or settings are wrong.
        BudgetError: the baseline cannot keep the budget, or no law can grow it.
        Stopped: `should_stop` asked for it.
        StorageError: the disk is full, read-only or forbidden.
        SearchError: a training of every law diverged.

    Source: EfficientNet (Tan & Le 2019), section 3.3, step 1.

    Example, with a small `network`, `images` and `labels`; a grid of two laws:
        >>> grid = {"alphas": (1, 1.4), "gammas": (1,), "epochs": 1}
        >>> fitted = fit(network, data=(images, labels), **grid, out=folder / "fit", progress=False)
        >>> 1 <= fitted.law.alpha <= 1.4, len(fitted.result.trained)
        (True, 2)
    """
    config = replace_given(
        config,
        alphas=None if alphas is None else tuple(alphas),
        gammas=None if gammas is None else tuple(gammas),
        epochs=epochs,
        max_laws=max_laws,
        seeds=seeds,
        workers=workers,
    )
    origin, shown = as_network(network), as_progress(progress)
    request = FitRequest(
        network=origin,
        named=value_argument(network),
        data=settle_data(data, group=group, seed=seed, progress=shown),
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
    config, grown = setup.config, setup.grown
    seeds = [session.seed + place for place in range(config.seeds)]
    networks = [grown.points[place].network for place in setup.places]
    with make_evaluator(
        config.workers,
        setup.images,
        setup.trial_config,
        folder=session.run.path,
        max_pending=len(networks) * len(seeds),
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
        results = train_all(grid_trainings(networks, seeds), label="laws")
        trained = {
            place: results[len(seeds) * number : len(seeds) * (number + 1)]
            for number, place in enumerate(setup.places)
        }
        choice = choose_law(setup, trained)
        point = grown.grow(choice.law)
        session.progress.say(
            f"{len(choice.near_best)} of {plural(len(choice.candidates), 'law')} may be the best; "
            f"their middle: {choice.law}"
        )
        chosen = train_all(grid_trainings([point.network], seeds), label="the law")
        base = train_all(grid_trainings([grown.baseline], seeds), label="baseline")
    finish(session, fitted_result(session, setup, trained, choice, chosen=(point, chosen), base=base))
