"""`allometry search --by proxylessnas` or `fbnet`: one over-parameterized network instead of many trials."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import Literal

from allometry.arch import Space, from_json, to_json
from allometry.base import InputError
from allometry.base.files import read_json, write_json
from allometry.nas.encodings import encodings_of
from allometry.nas.gradient import choices_of
from allometry.nas.gradient.config import CostLoss, GradientConfig, fbnet, proxylessnas
from allometry.nas.gradient.costs import LayerCost, counted, predicted
from allometry.nas.gradient.job import GradientJob
from allometry.nas.gradient.loop import GradientResult, search_by_gradient
from allometry.nas.gradient.narrowing import with_fixed_shapes
from allometry.nas.search_config import SearchSetup
from allometry.nas.space_costs import SpaceCosts
from allometry.nas.trial_training import threads, try_candidate
from allometry.nas.trials import NOTHING, Halving, Trial, TrialCandidate
from allometry.training import Recipe, at_full_size, small
from allometry.training.session import Session

HISTORY = "gradient.json"
_WAYS = {"proxylessnas": proxylessnas, "fbnet": fbnet}
_COUNTED: tuple[Literal["macs", "params", "activations"], ...] = ("macs", "params", "activations")
_PRESSURE = 1.0  # of the cost above the limit, as a power; below it only the accuracy counts


def gradient_recipe(asked: SearchSetup) -> Recipe:
    """How the over-parameterized network is trained: as a network of the space would be, fully."""
    recipe = at_full_size(asked.images.recipe(small, asked.space.template, asked.trial.settings))
    return replace(recipe, epochs=asked.how.epochs or recipe.epochs, head_epochs=0)


def passes_of(asked: SearchSetup) -> float:
    """About how many times as long a step takes as one of a single network: what a forecast needs."""
    if asked.how.by == "proxylessnas":
        return 1 + 2 / proxylessnas().every
    layers = [layer for group in choices_of(with_fixed_shapes(asked.space)).groups for layer in group.layers]
    return sum(len(layer.candidates) for layer in layers) / len(layers)


def try_by_gradient(session: Session, asked: SearchSetup) -> tuple[Trial, float]:
    """Search by gradient, and train what was found as briefly as a trial, so that it can be compared.

    The expected cost counts above the limit only: accuracy times the excess. The result keeps the whole budget.

    Args:
        session: of the search; a checkpoint stays in its folder.
        asked: what is looked for; its budget limits a cost that is a sum over layers.

    Returns:
        The network as a trial, and the seconds of the search and of that trial.

    Raises:
        InputError: the budget limits no such cost, or nothing is open that a gradient can decide.
        Stopped: the user asked for it.
        NonFiniteLossError: the training diverged.
    """
    space, recipe = with_fixed_shapes(asked.space), gradient_recipe(asked)
    file = session.run.path / HISTORY
    if not file.exists():
        found = _search(session, asked, space, recipe)
        write_json(file, _history(asked, space, found))
    told = read_json(file)
    session.run.record_cost("gradient", asked.how.by, seconds=told["seconds"], images=told["images"])
    taken = "the most probable one within the budget" if told["budgeted"] else "the most probable one"
    session.progress.say(f"{asked.how.by}: {taken} of {space.size:,} networks is taken")
    network = from_json(told["network"])
    row = encodings_of(asked.space, [network])[0]
    candidate = TrialCandidate(number=0, network=network, figures=asked.prices.of(row))
    outcome = try_candidate(
        candidate,
        asked.images,
        replace(asked.trial, halving=Halving()),
        folder=session.run.path,
        progress=session.progress,
        should_stop=session.should_stop,
    )
    session.run.record_cost("search", "trial 0", seconds=outcome.seconds, images=outcome.images)
    values: tuple[float, ...] = (NOTHING,)
    if not outcome.failed:
        values = asked.question.worth(outcome.figures)
    shutil.rmtree(session.run.path / "gradient", ignore_errors=True)  # what only going on needs
    tried = Trial(number=0, row=row, values=values, outcome=outcome)
    return tried, float(told["seconds"]) + outcome.seconds


def _search(session: Session, asked: SearchSetup, space: Space, recipe: Recipe) -> GradientResult:
    cost, limit = _aim(asked)
    plain = _WAYS[asked.how.by]()
    dataset = asked.images.dataset
    steps = len(dataset.splits["train"]) * (1 - plain.held_out) / recipe.batch_size
    updates = max(1, round(recipe.epochs * (1 - plain.warmup) * steps / plain.every))
    settings: GradientConfig = _WAYS[asked.how.by](
        cost_loss=CostLoss(form="power", weight=_PRESSURE, target=limit, above_only=True), updates=updates
    )
    job = GradientJob(
        space=space,
        dataset=dataset,
        preprocessing=asked.images.preprocessing(space.largest(), recipe),
        recipe=recipe,
        settings=settings,
        folder=session.run.path / "gradient",
        cost=cost,
        allows=SpaceCosts(space, asked.prices.table).within(asked.budget),
        seed=session.seed,
        device=session.device,
        progress=session.progress,
        should_stop=session.should_stop,
    )
    with threads(asked.trial.threads):
        return search_by_gradient(job)


def _aim(asked: SearchSetup) -> tuple[LayerCost, float]:
    """The cost that is weighed, and its limit."""
    limits = {limit.measure: limit.most for limit in asked.budget.limits} if asked.budget else {}
    if "latency" in limits:
        assert asked.prices.table is not None  # noqa: S101 - built for every budget of latency
        return predicted(asked.prices.table), limits["latency"]
    for measure in _COUNTED:
        if measure in limits:
            return counted(measure), limits[measure]
    raise InputError(
        f"{asked.how.by} weighs a cost that is a sum over layers: give a --budget of macs, params, activations or "
        "latency."
    )


def _history(asked: SearchSetup, space: Space, found: GradientResult) -> dict[str, object]:
    return {
        "by": asked.how.by,
        "space": repr(space),
        "network": to_json(found.network),
        "budgeted": found.budgeted,
        "expected_cost": found.expected_cost,
        "probabilities": {name: list(values) for name, values in found.probabilities.items()},
        "seconds": found.seconds,
        "images": found.images,
        "epochs": [dict(record) for record in found.history],
    }
