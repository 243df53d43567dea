"""`allometry search --algorithm proxylessnas` or `fbnet`: one over-parameterized network instead of many trials."""

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
from allometry.nas.gradient.narrowing import with_fixed_shapes
from allometry.nas.gradient.task import GradientResult, search_by_gradient
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


def gradient_recipe(setup: SearchSetup) -> Recipe:
    """How the over-parameterized network is trained: as a network of the space would be, fully."""
    recipe = at_full_size(setup.images.recipe(small, setup.space.template, setup.trial_config.settings))
    return replace(recipe, epochs=setup.config.epochs or recipe.epochs)


def passes_of(setup: SearchSetup) -> float:
    """About how many times as long a step takes as one of a single network: what a forecast needs."""
    if setup.config.algorithm == "proxylessnas":
        return 1 + 2 / proxylessnas().every
    layers = [layer for group in choices_of(with_fixed_shapes(setup.space)).groups for layer in group.layers]
    return sum(len(layer.candidates) for layer in layers) / len(layers)


def try_by_gradient(session: Session, setup: SearchSetup) -> tuple[Trial, float]:
    """Search by gradient, and train what was found as briefly as a trial, so that it can be compared.

    The expected cost counts above the limit only: accuracy times the excess. The result keeps the whole budget.

    Args:
        session: of the search; a checkpoint stays in its folder.
        setup: what is looked for; its budget limits a cost that is a sum over layers.

    Returns:
        The network as a trial, and the seconds of the search and of that trial.

    Raises:
        InputError: the budget limits no such cost, or nothing is open that a gradient can decide.
        Stopped: the user asked for it.
        NonFiniteLossError: the training diverged.
    """
    space, recipe = with_fixed_shapes(setup.space), gradient_recipe(setup)
    file = session.run.path / HISTORY
    if not file.exists():
        found = _search(session, setup, space, recipe)
        write_json(file, _history(setup, space, found))
    told = read_json(file)
    session.run.record_cost(
        "gradient", setup.config.algorithm, seconds=told["seconds"], images=told["images"]
    )
    taken = "the most probable one within the budget" if told["budgeted"] else "the most probable one"
    session.progress.say(f"{setup.config.algorithm}: {taken} of {space.size:,} networks is taken")
    network = from_json(told["network"])
    encoding = encodings_of(setup.space, [network])[0]
    candidate = TrialCandidate(number=0, network=network, metrics=setup.costs.of(encoding))
    outcome = try_candidate(
        candidate,
        setup.images,
        replace(setup.trial_config, halving=Halving()),
        folder=session.run.path,
        progress=session.progress,
        should_stop=session.should_stop,
    )
    session.run.record_cost("search", "trial 0", seconds=outcome.seconds, images=outcome.images)
    values: tuple[float, ...] = (NOTHING,)
    if not outcome.failed:
        values = setup.problem.objective_values(outcome.metrics)
    shutil.rmtree(session.run.path / "gradient", ignore_errors=True)  # what only going on needs
    trial = Trial(number=0, encoding=encoding, values=values, outcome=outcome)
    return trial, float(told["seconds"]) + outcome.seconds


def _search(session: Session, setup: SearchSetup, space: Space, recipe: Recipe) -> GradientResult:
    cost, limit = _aim(setup)
    plain = _WAYS[setup.config.algorithm]()
    dataset = setup.images.dataset
    steps = len(dataset.splits["train"]) * (1 - plain.held_out) / recipe.batch_size
    updates = max(1, round(recipe.epochs * (1 - plain.warmup) * steps / plain.every))
    settings: GradientConfig = _WAYS[setup.config.algorithm](
        cost_loss=CostLoss(form="power", weight=_PRESSURE, target=limit, above_only=True), updates=updates
    )
    job = GradientJob(
        space=space,
        dataset=dataset,
        preprocessing=setup.images.preprocessing(space.largest(), recipe),
        recipe=recipe,
        settings=settings,
        folder=session.run.path / "gradient",
        cost=cost,
        allows=SpaceCosts(space, setup.costs.table).within(setup.budget),
        seed=session.seed,
        device=session.device,
        dist=session.dist,
        progress=session.progress,
        should_stop=session.should_stop,
    )
    with threads(setup.trial_config.threads):
        return search_by_gradient(job)


def _aim(setup: SearchSetup) -> tuple[LayerCost, float]:
    """The cost that is weighed, and its limit."""
    limits = {limit.measure: limit.most for limit in setup.budget.limits} if setup.budget else {}
    if "latency" in limits:
        assert setup.costs.table is not None  # noqa: S101 - built for every budget of latency
        return predicted(setup.costs.table), limits["latency"]
    for measure in _COUNTED:
        if measure in limits:
            return counted(measure), limits[measure]
    raise InputError(
        f"{setup.config.algorithm} weighs a cost that is a sum over layers: give a --budget of macs, params, "
        "activations or latency."
    )


def _history(setup: SearchSetup, space: Space, found: GradientResult) -> dict[str, object]:
    return {
        "by": setup.config.algorithm,
        "space": repr(space),
        "network": to_json(found.network),
        "budgeted": found.budgeted,
        "expected_cost": found.expected_cost,
        "probabilities": {name: list(values) for name, values in found.probabilities.items()},
        "seconds": found.seconds,
        "images": found.images,
        "epochs": [record.to_dict() for record in found.history],
    }
