"""`allometry search --searcher proxylessnas` or `fbnet`: one over-parameterized network instead of many trials."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from allometry.arch import Network, Space, from_json, to_json
from allometry.base import InputError
from allometry.base.decoding import Amount, Count
from allometry.base.units import plural
from allometry.cost import MACS, MEASURES, Budget, LatencyTable, Measure
from allometry.data import Dataset
from allometry.nas.encodings import encodings_of, network_of
from allometry.nas.gradient import choices_of
from allometry.nas.gradient.config import GradientConfig, budget_config, fbnet, paper_config, proxylessnas
from allometry.nas.gradient.costs import LayerCost, counted, predicted
from allometry.nas.gradient.deriving import Derived, sample
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
        loss: how the cost was weighed, `budget` or `paper`.
        networks: as JSON: the most probable one, or those that were drawn.
        budgeted: whether they are the most probable one within the budget, not of all, or were drawn again until they
            were within it.
        expected_cost: of the distribution; None where no cost counts.
        probabilities: of the options of each choice.
        seconds: that it took.
        images: that were seen.
        epochs: of it.
    """

    by: str
    space: str
    loss: str
    networks: tuple[str, ...]
    budgeted: bool
    expected_cost: float | None
    probabilities: Mapping[str, tuple[Share, ...]]
    seconds: Amount
    images: Count
    epochs: tuple[GradientEpochMetrics, ...]


HISTORY_FILE = RecordFile(HISTORY, GradientHistory)


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
        settings = proxylessnas(reinforce=setup.config.reinforce)
        assert settings.every is not None  # noqa: S101 - turns of epochs are FBNet's
        # Of REINFORCE's networks there is no way back, which takes twice as long as the way there.
        return 1 + (settings.members / 3 if setup.config.reinforce else 2) / settings.every
    layers = [layer for group in choices_of(with_fixed_shapes(setup.space)).groups for layer in group.layers]
    return sum(len(layer.candidates) for layer in layers) / len(layers)


def try_by_gradient(session: Session, setup: SearchSetup) -> tuple[tuple[Trial, ...], float]:
    """Search by gradient, and train what was found as briefly as a trial, so that it can be compared.

    What was found is the most probable network, or several that are drawn by the learned probabilities. All of them
    keep the whole budget, however its cost was weighed.

    Args:
        session: of the search; a checkpoint stays in its folder.
        setup: what is looked for; its budget limits a cost that is a sum over layers.

    Returns:
        The networks as trials, and the seconds of the search and of those trials.

    Raises:
        InputError: the budget limits no such cost, or nothing is open that a gradient can decide.
        Stopped: the user asked for it.
        NonFiniteLossError: the training diverged.
    """
    space = with_fixed_shapes(setup.space)
    file = session.run.path / HISTORY
    if not file.exists():
        result = _search(session, setup, space)
        HISTORY_FILE.write(session.run.path, _history(setup, space, result, seed=session.seed))
    else:
        leave_alone(session)
    kept = HISTORY_FILE.load(session.run.path)
    session.run.record_cost("gradient", setup.config.searcher_name, seconds=kept.seconds, images=kept.images)
    session.progress.say(f"{setup.config.searcher_name}: {_taken(setup, kept)} of {space.size:,} networks")
    networks = map(from_json, kept.networks)
    trials = tuple(_try(session, setup, number, network) for number, network in enumerate(networks))
    shutil.rmtree(session.run.path / GRADIENT, ignore_errors=True)  # what only going on needs
    return trials, kept.seconds + sum(trial.outcome.seconds for trial in trials)


def _taken(setup: SearchSetup, kept: GradientHistory) -> str:
    """What of the learned probabilities is tried, in words."""
    within = " within the budget" if kept.budgeted else ""
    if setup.config.samples is None:
        return f"taken is the most probable one{within}"
    return f"taken are {plural(len(kept.networks), 'network')} drawn by their probabilities{within}"


def _try(session: Session, setup: SearchSetup, number: int, network: Network) -> Trial:
    encoding = encodings_of(setup.space, [network])[0]
    candidate = TrialCandidate(number=number, network=network, metrics=setup.costs.of(encoding))
    outcome = try_candidate(
        candidate,
        setup.images,
        replace(setup.trial_config, halving=Halving()),
        folder=session.run.path,
        progress=session.progress,
        should_stop=session.should_stop,
    )
    session.run.record_cost("search", f"trial {number}", seconds=outcome.seconds, images=outcome.images)
    values: tuple[float, ...] = (NOTHING,)
    if not outcome.failed:
        values = setup.problem.objective_values(outcome.metrics)
    return Trial(number=number, encoding=encoding, values=values, outcome=outcome)


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
    shared = _SharedSearch(
        space=space,
        recipe=recipe,
        config=_config(setup, recipe, limit),
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


def _config(setup: SearchSetup, recipe: Recipe, limit: float) -> GradientConfig:
    """How the architecture is learned: as the paper has it, or fast enough for a search of this length."""
    name, reinforce = setup.config.searcher_name, setup.config.reinforce
    if setup.config.loss_name == "paper":
        return paper_config(name, target=limit, reinforce=reinforce)
    plain = proxylessnas(reinforce=reinforce) if name == "proxylessnas" else fbnet()
    assert plain.every is not None  # noqa: S101 - turns of epochs are the paper's FBNet's
    steps = len(setup.images.dataset.splits["train"]) * (1 - plain.held_out) / recipe.batch_size
    updates = max(1, round(recipe.epochs * (1 - plain.warmup) * steps / plain.every))
    return budget_config(name, limit=limit, updates=updates, reinforce=reinforce)


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


def _history(setup: SearchSetup, space: Space, result: GradientResult, *, seed: int) -> GradientHistory:
    derived_networks: tuple[Derived, ...] = (Derived(result.encoding, result.budgeted, result.score),)
    if setup.config.samples is not None:
        allows = SpaceCosts(space, setup.costs.table).within(setup.budget)
        derived_networks = sample(result.distribution, setup.config.samples, allows=allows, seed=seed)
    return GradientHistory(
        by=setup.config.searcher_name,
        space=repr(space),
        loss=setup.config.loss_name,
        networks=tuple(to_json(network_of(space, derived.encoding)) for derived in derived_networks),
        budgeted=any(derived.budgeted for derived in derived_networks),
        expected_cost=result.expected_cost,
        probabilities={name: tuple(values) for name, values in result.probabilities.items()},
        seconds=result.seconds,
        images=result.images,
        epochs=tuple(result.history),
    )
