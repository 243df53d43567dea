"""What a search has found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from allometry.arch import save
from allometry.base import SearchError
from allometry.cost import LATENCY, Readings, count
from allometry.nas.confirming import confirmed
from allometry.nas.encodings import Values, network_of
from allometry.nas.hypervolume import hypervolume, reference_point
from allometry.nas.search_config import SearchSetup
from allometry.nas.searchers.base import front
from allometry.nas.trials import NOTHING, Trial
from allometry.profiling.latency_meter import open_meter
from allometry.runs import SearchPlan, SearchResult, SearchTrialRecord
from allometry.runs.files import COSTS, NETWORK, SEARCH, SEARCH_TRIALS
from allometry.training.session import Session

_CONFIRMED = 5  # networks that are measured, at most, until one keeps its latency


def search_result(
    session: Session, setup: SearchSetup, tried: Sequence[Trial], others: Sequence[Trial]
) -> SearchResult:
    """Choose the network, write it and all trials down, and give the search's result.

    Args:
        session: of the search.
        setup: what was looked for.
        tried: all trials.
        others: those of the random search beside it, if there was one.

    Raises:
        SearchError: no trial came to a result.
    """
    folder = session.run.path
    best = front([trial.values for trial in tried])
    if not best:
        unknown = "what it is worth cannot be worked out by the objective"
        reason = (tried[0].outcome.failed or unknown) if tried else "there was nothing to try"
        raise SearchError(f"No trial came to a result; the first one: {reason}")
    # Of one objective the second best may do where the best is too slow; of several, only the front.
    able = [trial for trial in tried if min(trial.values) > NOTHING]
    chosen, readings = _confirm(
        session, setup, able if len(setup.objectives) == 1 else [tried[p] for p in best]
    )
    network = setup.network(chosen)
    save(network, folder / NETWORK)
    if len(setup.objectives) > 1:
        for place in best:
            member = setup.network(tried[place])
            save(member, folder / "front" / f"{tried[place].number}.json")
    # Other drivers may have had a part in it: here are all trials.
    records = [trial_record(setup, trial, phase="search") for trial in tried]
    records += [trial_record(setup, trial, phase="random") for trial in others]
    SEARCH_TRIALS.write(folder, records)
    able_others = [trial for trial in others if min(trial.values) > NOTHING]
    ours, theirs = (
        max((trial.values[0] for trial in trials), default=None) for trials in (able, able_others)
    )
    return SearchResult(
        data=setup.images.dataset.name,
        network=network.name,
        resolution=network.resolution,
        cost=count(network).with_readings(readings),
        objective="; ".join(map(str, setup.objectives)),
        values=chosen.values,
        validation_accuracy=chosen.outcome.metrics["accuracy"],
        chosen=chosen.number,
        front=tuple(tried[place].number for place in best),
        max_trials=setup.config.trials,
        compare_with=setup.config.compare_with,
        trials=len(tried),
        stopped=sum(trial.outcome.stopped for trial in tried),
        failed=sum(bool(trial.outcome.failed) for trial in tried),
        search_seconds=round(_seconds(session), 1),
        trial_images=sum(trial.outcome.images for trial in tried),
        predicted_latency=setup.costs.of(chosen.encoding)[LATENCY.name] if setup.runtime_config else None,
        measured=setup.runtime_config,
        best=ours if able_others else None,
        random=theirs if able_others else None,
        random_trials=len(others) if able_others else None,
        **_volumes([trial.values for trial in able], [trial.values for trial in able_others]),
    )


def _volumes(ours: Sequence[Values], theirs: Sequence[Values]) -> dict[str, Any]:
    """Of several objectives, what the fronts are worth as a whole, by one reference point."""
    reference = reference_point([*ours, *theirs])
    if reference is None or len(reference) == 1:
        return {}
    return {
        "hypervolume": hypervolume(ours, reference),
        "random_hypervolume": hypervolume(theirs, reference) if theirs else None,
        "reference": reference,
    }


def _confirm(session: Session, setup: SearchSetup, best: Sequence[Trial]) -> tuple[Trial, Readings]:
    """The best one whose readings keep the budget, and these readings."""
    ranked = sorted(best, key=lambda trial: trial.values, reverse=True)
    limits = setup.budget.limits if setup.budget else ()
    with open_meter(session, setup.runtime_config) as meter:
        place, readings = confirmed(
            [setup.network(trial) for trial in ranked[:_CONFIRMED]],
            limits,
            meter,
            names=[f"no. {trial.number}" for trial in ranked],
            say=session.progress.say,
        )
    return ranked[place], readings


def _seconds(session: Session) -> float:
    """What the search itself took, of whatever kind, in this folder."""
    entries = COSTS.read(session.run.path)
    return sum(entry.seconds for entry in entries if entry.phase in ("search", "gradient"))


def write_plan(session: Session, setup: SearchSetup) -> None:
    """Write down what is looked for."""
    plan = SearchPlan(
        objectives=tuple(str(objective) for objective in setup.objectives),
        searcher=setup.config.searcher_name,
        space=repr(setup.space),
        size=setup.space.size,
        budget=None if setup.budget is None else str(setup.budget),
    )
    SEARCH.write(session.run.path, plan)


def trial_record(setup: SearchSetup, tried: Trial, *, phase: str) -> SearchTrialRecord:
    """A trial as it is written down."""
    outcome = tried.outcome
    return SearchTrialRecord(
        phase=phase,
        number=tried.number,
        values=tuple(None if value == NOTHING else value for value in tried.values),
        metrics=outcome.metrics,
        resolution=network_of(setup.space, tried.encoding).resolution,
        epochs=outcome.epochs,
        seconds=outcome.seconds,
        images=outcome.images,
        training_macs=setup.training_macs(tried),
        stopped=outcome.stopped,
        failed=outcome.failed,
    )
