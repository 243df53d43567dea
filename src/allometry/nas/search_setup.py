"""What a search settles before its first trial, and what it will cost."""

from __future__ import annotations

import time

import numpy as np

from allometry.arch import save_space
from allometry.base.units import format_duration, plural
from allometry.cost import ACTIVATIONS
from allometry.data import data_argument
from allometry.nas.encodings import network_of, sample_encodings
from allometry.nas.gradient_trial import gradient_recipe, passes_of
from allometry.nas.search_config import SearchRequest, SearchSetup
from allometry.nas.search_spaces import open_space
from allometry.nas.searchers import make_searcher
from allometry.nas.space_costs import BudgetFilter, SpaceCosts, table_for
from allometry.nas.trial_training import TrialConfig, trial_recipe
from allometry.nas.trials import Halving
from allometry.nas.workers import threads_of
from allometry.profiling.latency_meter import open_meter
from allometry.runs.files import SPACE, write_recipe
from allometry.training.forecast import seconds_per_image
from allometry.training.images import Images
from allometry.training.session import Session, read_data

_OVERHEAD = 1.15  # input and validation come on top of the passes


def prepare_search(session: Session, request: SearchRequest) -> SearchSetup:
    """Read the images, open the space, count what its networks cost, and tell what the search will cost.

    Args:
        session: of the search.
        request: what is wanted.

    Raises:
        InputError: something of it is wrong, or does not go together.
        BudgetError: no network keeps the budget.
    """
    began, config, budget = time.monotonic(), request.config, request.budget
    images = read_data(session, request.data)
    session.halt_if_requested()
    limited = request.runtime_config if budget is not None and budget.needs_runtime else None
    with open_meter(session, limited) as measure:
        space = open_space(request.space, images.dataset, budget, measure=measure)
    if not config.by_gradient:  # what cannot work is refused before it costs anything
        make_searcher(config.searcher, space, objectives=len(request.objectives))
    save_space(space, session.run.path / SPACE)
    costs = SpaceCosts(space, table_for(session, space, request.runtime_config, request.table))
    allowed = costs.within(budget)
    # The epochs of a search by gradient are those of its one network.
    epochs = None if config.by_gradient else config.epochs
    recipe = trial_recipe(images, space.template, request.settings, epochs)
    rungs = sorted({recipe.epochs // 4, recipe.epochs // 2} - {0}) if config.halving else []
    trial_config = TrialConfig(
        data=data_argument(request.data),
        seed=session.seed,
        device=request.device,
        settings=request.settings,
        epochs=recipe.epochs,
        objectives=tuple(map(str, request.objectives)),
        halving=Halving(rungs=tuple(rungs)),
        threads=config.threads or threads_of(config.workers),
    )
    setup = SearchSetup(
        images=images,
        space=space,
        objectives=request.objectives,
        budget=budget,
        runtime_config=request.runtime_config,
        costs=costs,
        allowed=allowed,
        config=config,
        trial_config=trial_config,
    )
    _announce(session, setup, allowed.fraction(seed=session.seed))
    write_recipe(session.run.path, recipe.to_dict())
    session.run.record_cost("prepare", "data and space", seconds=time.monotonic() - began)
    return setup


def _announce(session: Session, setup: SearchSetup, fraction: float) -> None:
    """Tell what the search will do and what it will cost."""
    space, config = setup.space, setup.config
    kept = "" if setup.budget is None else f", about {fraction:.3g} of them within {setup.budget}"
    session.progress.say(f"space: {space.size:,} networks{kept}")
    one = forecast_trials(setup.allowed, setup.costs, setup.images, setup.trial_config, session)
    if config.by_gradient:
        epochs = gradient_recipe(setup).epochs
        tried = config.samples or 1
        seconds = one * (tried + passes_of(setup) * epochs / setup.trial_config.epochs)
        session.progress.say(
            f"{epochs} epochs of one over-parameterized network by {config.searcher_name}, then "
            f"{plural(tried, 'trial')} of what it finds{', and as long by random' if config.compare_with else ''}: "
            f"about {format_duration((2 if config.compare_with else 1) * seconds)} here, less what is already done"
        )
        return
    seconds = one * config.trials
    workers = config.workers if isinstance(config.workers, int) else 1
    times = 2 if config.compare_with else 1
    session.progress.say(
        f"{config.trials} trials of up to {setup.trial_config.epochs} epochs by {config.searcher_name}"
        f"{', and as much by random' if config.compare_with else ''}: at most about "
        f"{format_duration(times * seconds / workers)} here, less what is already done"
    )


def forecast_trials(
    allowed: BudgetFilter, costs: SpaceCosts, images: Images, trial_config: TrialConfig, session: Session
) -> float:
    """About how long a trial takes here that is not stopped, by timing the middle one of random networks."""
    space = costs.space
    encodings = sample_encodings(space, np.random.default_rng(session.seed), 20_000)
    kept = encodings[allowed(encodings)]
    encodings = kept if len(kept) else encodings
    middle = np.argsort(costs(encodings)[ACTIVATIONS.name])[len(encodings) // 2]
    network = network_of(space, encodings[middle])
    recipe = trial_recipe(images, network, trial_config.settings, trial_config.epochs)
    number = len(images.dataset.splits["train"])
    per_image = seconds_per_image(
        network,
        recipe,
        resolution=network.resolution,
        images=min(recipe.batch_size, number),
        device=session.device,
    )
    return _OVERHEAD * per_image * number * recipe.epochs
