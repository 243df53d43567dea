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
    how: SearchConfig,
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
        how: the searcher, how many trials, by whom.
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
    if not how.by_gradient:  # what cannot work is refused before it costs anything
        make_searcher(how.by, space, objectives=len(objectives))
    save_space(space, session.run.path / "space.json")
    prices = SpaceCosts(space, table_for(session, space, runtime_config, table))
    within = prices.within(budget)
    # The epochs of a search by gradient are those of its one network.
    recipe = trial_recipe(images, space.template, settings, 0 if how.by_gradient else how.epochs)
    rungs = sorted({recipe.epochs // 4, recipe.epochs // 2} - {0}) if how.halving else []
    trial = TrialConfig(
        data=data,
        seed=session.seed,
        device=device,
        settings=tuple(settings),
        epochs=recipe.epochs,
        objectives=tuple(map(str, objectives)),
        halving=Halving(rungs=tuple(rungs)),
        threads=how.threads or threads_of(how.workers),
    )
    asked = SearchSetup(
        images=images,
        space=space,
        objectives=objectives,
        budget=budget,
        runtime_config=runtime_config,
        prices=prices,
        within=within,
        how=how,
        trial=trial,
    )
    _announce(session, asked, within.share(seed=session.seed))
    write_json(session.run.path / "recipe.json", recipe.to_dict())
    session.run.record_cost("prepare", "data and space", seconds=time.monotonic() - began)
    return asked


def _announce(session: Session, asked: SearchSetup, share: float) -> None:
    """Tell what the search will do and what it will cost."""
    space, how = asked.space, asked.how
    kept = "" if asked.budget is None else f", about {share:.3g} of them within {asked.budget}"
    session.progress.say(f"space: {space.size:,} networks{kept}")
    one = forecast_trials(asked.within, asked.prices, asked.images, asked.trial, session)
    if how.by_gradient:
        epochs = gradient_recipe(asked).epochs
        seconds = one * (1 + passes_of(asked) * epochs / asked.trial.epochs)
        session.progress.say(
            f"{epochs} epochs of one over-parameterized network by {how.by}, then a trial of what it finds"
            f"{', and as long by random' if how.versus else ''}: about "
            f"{format_duration((2 if how.versus else 1) * seconds)} here, less what is already done"
        )
        return
    seconds = one * how.trials
    workers = int(how.workers) if how.workers.isdigit() else 1
    times = 2 if how.versus else 1
    session.progress.say(
        f"{how.trials} trials of up to {asked.trial.epochs} epochs by {how.by}"
        f"{', and as much by random' if how.versus else ''}: at most about "
        f"{format_duration(times * seconds / workers)} here, less what is already done"
    )


def forecast_trials(
    within: BudgetFilter, prices: SpaceCosts, images: Images, trial: TrialConfig, session: Session
) -> float:
    """About how long a trial takes here that is not stopped, by timing the middle one of random networks."""
    space = prices.space
    rows = sample_encodings(space, np.random.default_rng(session.seed), 20_000)
    kept = rows[within(rows)]
    rows = kept if len(kept) else rows
    middle = np.argsort(prices(rows)["activations"])[len(rows) // 2]
    network = network_of(space, rows[middle])
    recipe = trial_recipe(images, network, trial.settings, trial.epochs)
    number = len(images.dataset.splits["train"])
    per_image = seconds_per_image(
        network,
        recipe,
        resolution=network.resolution,
        images=min(recipe.batch_size, number),
        device=session.device,
    )
    return _OVERHEAD * per_image * number * recipe.epochs
