"""What a search has found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from allometry.arch import save
from allometry.base import SearchError
from allometry.base.files import read_lines, write_json, write_lines
from allometry.base.units import format_milliseconds
from allometry.cost import count
from allometry.nas.encodings import network_of
from allometry.nas.search_config import SearchSetup
from allometry.nas.searchers.base import front
from allometry.nas.trials import NOTHING, Trial
from allometry.profiling.latency_meter import open_meter
from allometry.training.session import Session

_CONFIRMED = 5  # networks that are measured, at most, until one keeps its latency


def found_result(
    session: Session, setup: SearchSetup, tried: Sequence[Trial], others: Sequence[Trial]
) -> dict[str, Any]:
    """Choose the network, write it and all trials down, and give the figures of the search.

    Args:
        session: of the search.
        setup: what was looked for.
        tried: all trials.
        others: those of the random search beside it, if there was one.

    Raises:
        SearchError: no trial came to a result.
    """
    folder = session.run.path
    best = front([each.values for each in tried])
    if not best:
        reason = tried[0].outcome.failed if tried else "there was nothing to try"
        raise SearchError(f"No trial came to a result; the first one: {reason}")
    # Of one objective the second best may do where the best is too slow; of several, only the front.
    able = [each for each in tried if min(each.values) > NOTHING]
    chosen, confirmed = _confirm(
        session, setup, able if len(setup.objectives) == 1 else [tried[p] for p in best]
    )
    network = setup.network(chosen)
    save(network, folder / "network.json")
    if len(setup.objectives) > 1:
        for place in best:
            member = setup.network(tried[place])
            save(member, folder / "front" / f"{tried[place].number}.json")
    # Other drivers may have had a part in it: here are all trials.
    records = [trial_record(setup, each, phase="search") for each in tried]
    records += [trial_record(setup, each, phase="random") for each in others]
    write_lines(folder / "trials.jsonl", records)
    numbers = [tried[place].number for place in best]
    write_question(session, setup, chosen=chosen.number, front=numbers, latency=confirmed.get("latency"))
    able_others = [each for each in others if min(each.values) > NOTHING]
    ours, theirs = (max((each.values[0] for each in trials), default=None) for trials in (able, able_others))
    return {
        "data": setup.images.dataset.name,
        "network": network.name,
        "resolution": network.resolution,
        **count(network).to_dict(),
        **confirmed,
        "objective": "; ".join(map(str, setup.objectives)),
        "values": list(chosen.values),
        "validation_accuracy": chosen.outcome.metrics["accuracy"],
        "asked": setup.config.trials,
        "versus": setup.config.compare_with,
        "trials": len(tried),
        "stopped": sum(each.outcome.stopped for each in tried),
        "failed": sum(bool(each.outcome.failed) for each in tried),
        "front": len(best),
        "search_seconds": round(_seconds(session), 1),
        "trial_images": sum(each.outcome.images for each in tried),
        **({"best": ours, "random": theirs, "random_trials": len(others)} if able_others else {}),
    }


def _confirm(session: Session, setup: SearchSetup, best: Sequence[Trial]) -> tuple[Trial, dict[str, Any]]:
    """The best one whose measured latency keeps the budget, and that latency beside the predicted one."""
    ranked = sorted(best, key=lambda each: each.values, reverse=True)
    if setup.runtime_config is None:
        return ranked[0], {}
    limits = setup.budget.limits if setup.budget else ()
    most = next((limit.most for limit in limits if limit.measure == "latency"), None)
    with open_meter(session, setup.runtime_config) as watch:
        assert watch is not None  # noqa: S101
        readings = []
        for each in ranked[:_CONFIRMED]:
            latency = watch(setup.network(each)).latency
            readings.append((each, latency))
            if most is None or latency <= most:
                break
            session.progress.say(
                f"no. {each.number} takes {format_milliseconds(latency)}, more than predicted and than allowed"
            )
    chosen, latency = readings[-1]
    if most is not None and latency > most:
        chosen, latency = min(readings, key=lambda pair: pair[1])
        session.progress.say(
            f"none of {len(readings)} networks was measured within the limit; the quickest of them is given"
        )
    predicted = setup.costs.of(chosen.encoding)["latency"]
    return chosen, {
        "latency": latency,
        "predicted_latency": predicted,
        "measured": asdict(setup.runtime_config),
    }


def _seconds(session: Session) -> float:
    """What the search itself took, of whatever kind, in this folder."""
    lines = read_lines(session.run.path / "costs.jsonl")
    return float(sum(line["seconds"] for line in lines if line["phase"] in ("search", "gradient")))


def write_question(session: Session, setup: SearchSetup, **found: Any) -> None:  # noqa: ANN401 - JSON values
    """Write down what is looked for, and what was found."""
    write_json(
        session.run.path / "search.json",
        {
            "objectives": [str(each) for each in setup.objectives],
            "by": setup.config.algorithm,
            "space": repr(setup.space),
            "size": str(setup.space.size),
            "budget": None if setup.budget is None else str(setup.budget),
            **found,
        },
    )


def trial_record(setup: SearchSetup, tried: Trial, *, phase: str) -> dict[str, Any]:
    """A trial as it is written down."""
    outcome = tried.outcome
    return {
        "phase": phase,
        "number": tried.number,
        "values": [None if value == NOTHING else value for value in tried.values],
        "figures": dict(outcome.metrics),
        "resolution": network_of(setup.space, tried.encoding).resolution,
        "epochs": outcome.epochs,
        "seconds": outcome.seconds,
        "images": outcome.images,
        "work": setup.work(tried),
        "stopped": outcome.stopped,
        "failed": outcome.failed,
    }
