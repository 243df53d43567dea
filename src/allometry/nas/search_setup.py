"""What a search settles before its first trial, and what it will cost."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from allometry.arch import save_space
from allometry.base.files import write_json
from allometry.base.units import format_duration
from allometry.cost import Budget, RuntimeConfig
from allometry.nas.encodings import network_of, sample_encodings
from allometry.nas.gradient_trial import gradient_recipe, passes_of
from allometry.nas.objectives import Objective
from allometry.nas.search_config import SearchConfig, SearchSetup
from allometry.nas.search_spaces import open_space
from allometry.nas.searchers import make_searcher
from allometry.nas.space_costs import BudgetFilter, SpaceCosts, table_for
from allometry.nas.trial_training import TrialConfig, trial_recipe
from allometry.nas.trials import Halving
from allometry.nas.workers import threads_of
from allometry.profiling.latency_meter import open_meter
from allometry.training.forecast import seconds_per_image
from allometry.training.images import Images
from allometry.training.session import Session, read_data

_OVERHEAD = 1.15  # input and validation come on top of the passes


def prepare_search(
    session: Session,
    text: str,
    data: str,
    objectives: tuple[Objective, ...],
    budget: Budget | None,
    config: SearchConfig,
    settings: Sequence[str],
    table: Path | None,
    runtime_config: RuntimeConfig | None,
    device: str | None,
) -> SearchSetup:
    """Read the images, open the space, price it, and tell what the search will cost.

    Args:
        session: of the search.
        text: the space, as the user names it.
        data: the images.
        objectives: each the larger the better.
        budget: what no network may exceed.
        config: the searcher, how many trials, by whom.
        settings: changes to the recipe.
        table: a latency table.
        runtime_config: how latency is told, if anybody asks for it.
        device: where trials are trained.

    Raises:
        InputError: something of it is wrong, or does not go together.
        BudgetError: no network keeps the budget.
    """
    began = time.monotonic()
    images = read_data(session, data)
    session.halt_if_asked()
    limited = runtime_config if budget is not None and "latency" in budget.measures else None
    with open_meter(session, limited) as measure:
        space = open_space(text, images.dataset, budget, measure=measure)
    if not config.by_gradient:  # what cannot work is refused before it costs anything
        make_searcher(config.algorithm, space, objectives=len(objectives))
    save_space(space, session.run.path / "space.json")
    costs = SpaceCosts(space, table_for(session, space, runtime_config, table))
    allowed = costs.within(budget)
    # The epochs of a search by gradient are those of its one network.
    recipe = trial_recipe(images, space.template, settings, 0 if config.by_gradient else config.epochs)
    rungs = sorted({recipe.epochs // 4, recipe.epochs // 2} - {0}) if config.halving else []
    trial_config = TrialConfig(
        data=data,
        seed=session.seed,
        device=device,
        settings=tuple(settings),
        epochs=recipe.epochs,
        objectives=tuple(map(str, objectives)),
        halving=Halving(rungs=tuple(rungs)),
        threads=config.threads or threads_of(config.workers),
    )
    setup = SearchSetup(
        images=images,
        space=space,
        objectives=objectives,
        budget=budget,
        runtime_config=runtime_config,
        costs=costs,
        allowed=allowed,
        config=config,
        trial_config=trial_config,
    )
    _announce(session, setup, allowed.share(seed=session.seed))
    write_json(session.run.path / "recipe.json", recipe.to_dict())
    session.run.record_cost("prepare", "data and space", seconds=time.monotonic() - began)
    return setup


def _announce(session: Session, setup: SearchSetup, share: float) -> None:
    """Tell what the search will do and what it will cost."""
    space, config = setup.space, setup.config
    kept = "" if setup.budget is None else f", about {share:.3g} of them within {setup.budget}"
    session.progress.say(f"space: {space.size:,} networks{kept}")
    one = forecast_trials(setup.allowed, setup.costs, setup.images, setup.trial_config, session)
    if config.by_gradient:
        epochs = gradient_recipe(setup).epochs
        seconds = one * (1 + passes_of(setup) * epochs / setup.trial_config.epochs)
        session.progress.say(
            f"{epochs} epochs of one over-parameterized network by {config.algorithm}, then a trial of what it finds"
            f"{', and as long by random' if config.compare_with else ''}: about "
            f"{format_duration((2 if config.compare_with else 1) * seconds)} here, less what is already done"
        )
        return
    seconds = one * config.trials
    workers = int(config.workers) if config.workers.isdigit() else 1
    times = 2 if config.compare_with else 1
    session.progress.say(
        f"{config.trials} trials of up to {setup.trial_config.epochs} epochs by {config.algorithm}"
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
    middle = np.argsort(costs(encodings)["activations"])[len(encodings) // 2]
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
