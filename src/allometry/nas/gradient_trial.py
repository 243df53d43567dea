"""`allometry search --searcher proxylessnas` or `fbnet`: one over-parameterized network instead of many trials."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from allometry.arch import Space, from_json, to_json
from allometry.base import InputError
from allometry.base.decoding import Amount, Count
from allometry.cost import MACS, MEASURES, Budget, LatencyTable, Measure
from allometry.data import Dataset
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
from allometry.runs import GradientEpochMetrics
from allometry.runs.files import RECIPE, RecordFile, write_recipe
from allometry.runs.values import Record, Share
from allometry.training import Recipe, small
from allometry.training.images import Images
from allometry.training.memory import settle_execution
from allometry.training.session import Session, read_data

HISTORY, GRADIENT = "gradient.json", "gradient"


@dataclass(frozen=True, slots=True, kw_only=True)
class GradientHistory(Record):
    """What a search by gradient came to, and how: `gradient.json`.

    Attributes:
        by: which searcher.
        space: in words.
        network: as JSON.
        budgeted: whether that is the most probable one within the budget, not of all.
        expected_cost: of the distribution; None where no cost counts.
        probabilities: of the options of each choice.
        seconds: that it took.
        images: that were seen.
        epochs: of it.
    """

    by: str
    space: str
    network: str
    budgeted: bool
    expected_cost: float | None
    probabilities: Mapping[str, tuple[Share, ...]]
    seconds: Amount
    images: Count
    epochs: tuple[GradientEpochMetrics, ...]


HISTORY_FILE = RecordFile(HISTORY, GradientHistory)
_WAYS = {"proxylessnas": proxylessnas, "fbnet": fbnet}
_PRESSURE = 1.0  # of the cost above the limit, as a power; below it only the accuracy counts


def gradient_recipe(setup: SearchSetup) -> Recipe:
    """How the over-parameterized network is trained: as a network of the space would be, fully."""
    recipe = setup.images.recipe(small, setup.space.template, setup.trial_config.settings)
    return replace(recipe, epochs=setup.config.epochs or recipe.epochs)


def _settled_recipe(session: Session, setup: SearchSetup, space: Space, *, kept: Path) -> Recipe:
    """The same, with a micro batch that fits into the memory: of one network, or of as many as are mixed."""
    return settle_execution(
        gradient_recipe(setup),
        space.largest(),
        images=len(setup.images.dataset.splits["train"]),
        device=session.device,
        networks=1.0 if setup.config.searcher_name == "proxylessnas" else passes_of(setup),
        kept=kept,
        progress=session.progress,
    )


def passes_of(setup: SearchSetup) -> float:
    """About how many times as long a step takes as one of a single network: what a forecast needs."""
    if setup.config.searcher_name == "proxylessnas":
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
    space = with_fixed_shapes(setup.space)
    file = session.run.path / HISTORY
    if not file.exists():
        result = _search(session, setup, space)
        HISTORY_FILE.write(session.run.path, _history(setup, space, result))
    else:
        leave_alone(session)
    kept = HISTORY_FILE.load(session.run.path)
    session.run.record_cost("gradient", setup.config.searcher_name, seconds=kept.seconds, images=kept.images)
    taken = "the most probable one within the budget" if kept.budgeted else "the most probable one"
    session.progress.say(f"{setup.config.searcher_name}: {taken} of {space.size:,} networks is taken")
    network = from_json(kept.network)
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
    shutil.rmtree(session.run.path / GRADIENT, ignore_errors=True)  # what only going on needs
    trial = Trial(number=0, encoding=encoding, values=values, outcome=outcome)
    return trial, kept.seconds + outcome.seconds


@dataclass(frozen=True, slots=True)
class _SharedSearch:
    """What the processes of one search must agree on; the main one decides it.

    Attributes:
        space: of the search, its shapes fixed.
        recipe: of the weights.
        config: how the architecture is learned.
        measure: that is weighed.
        budget: that the result has to meet.
        table: of latencies, where they count.
        threads: of each process; 0 for all.
    """

    space: Space
    recipe: Recipe
    config: GradientConfig
    measure: Measure
    budget: Budget | None
    table: LatencyTable | None
    threads: int

    @property
    def cost(self) -> LayerCost:
        """The cost that is weighed."""
        if self.measure != LatencyTable.measure:
            return counted(self.measure)
        assert self.table is not None  # noqa: S101 - built for every budget of what a table predicts
        return predicted(self.table)


def join_search(session: Session, data: Dataset | str) -> None:
    """Take part in the main process's search by gradient, if it has one to do, and wait for the end of its verb."""
    shared: _SharedSearch | None = session.dist.broadcast_object(None)
    if shared is not None:
        _learn(session, shared, read_data(session, data))


def leave_alone(session: Session) -> None:
    """Tell the other processes that there is no search to join."""
    session.dist.broadcast_object(None)


def _search(session: Session, setup: SearchSetup, space: Space) -> GradientResult:
    folder = session.run.path / GRADIENT
    recipe = _settled_recipe(session, setup, space, kept=folder / RECIPE)
    write_recipe(folder, recipe.to_dict())
    measure, limit = _aim(setup)
    way = _WAYS[setup.config.searcher_name]
    plain = way()
    steps = len(setup.images.dataset.splits["train"]) * (1 - plain.held_out) / recipe.batch_size
    updates = max(1, round(recipe.epochs * (1 - plain.warmup) * steps / plain.every))
    loss = CostLoss(form="power", weight=_PRESSURE, target=limit, above_only=True)
    shared = _SharedSearch(
        space=space,
        recipe=recipe,
        config=way(cost_loss=loss, updates=updates),
        measure=measure,
        budget=setup.budget,
        table=setup.costs.table,
        threads=setup.trial_config.threads,
    )
    session.dist.broadcast_object(shared)
    return _learn(session, shared, setup.images)


def _learn(session: Session, shared: _SharedSearch, images: Images) -> GradientResult:
    """The search itself, in every process."""
    job = GradientJob(
        space=shared.space,
        dataset=images.dataset,
        preprocessing=images.preprocessing(shared.space.largest(), shared.recipe),
        recipe=shared.recipe,
        settings=shared.config,
        folder=session.run.path / GRADIENT,
        cost=shared.cost,
        allows=SpaceCosts(shared.space, shared.table).within(shared.budget),
        seed=session.seed,
        device=session.device,
        dist=session.dist,
        progress=session.progress,
        should_stop=session.should_stop,
        callbacks=session.callbacks,
    )
    with threads(shared.threads):
        return search_by_gradient(job)


def _aim(setup: SearchSetup) -> tuple[Measure, float]:
    """The measure that is weighed, and its limit: what a table predicts, else MACs, else the first that can be."""
    limits = {limit.measure: limit.most for limit in setup.budget.limits} if setup.budget else {}
    for measure in (LatencyTable.measure, MACS, *MEASURES, *limits):
        if measure in limits and (measure.additive or measure == LatencyTable.measure) and measure.sign > 0:
            return measure, limits[measure]
    possible = ", ".join(measure.name for measure in MEASURES if measure.additive)
    raise InputError(
        f"{setup.config.searcher_name} weighs a cost that is a sum over layers: give a --budget of {possible} or "
        f"{LatencyTable.measure.name}."
    )


def _history(setup: SearchSetup, space: Space, result: GradientResult) -> GradientHistory:
    return GradientHistory(
        by=setup.config.searcher_name,
        space=repr(space),
        network=to_json(result.network),
        budgeted=result.budgeted,
        expected_cost=result.expected_cost,
        probabilities={name: tuple(values) for name, values in result.probabilities.items()},
        seconds=result.seconds,
        images=result.images,
        epochs=tuple(result.history),
    )
