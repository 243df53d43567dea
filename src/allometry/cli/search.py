"""`allometry search`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from allometry.base.units import format_duration, plural
from allometry.cli.options import (
    Callbacks,
    Data,
    Device,
    Group,
    Json,
    Out,
    Runtime,
    Seed,
    Settings,
    Threads,
    TrialThreads,
    Workers,
)
from allometry.cli.printing import cost_text, print_json, print_rows

if TYPE_CHECKING:
    from allometry.verbs.open import Run


def search(
    space: Annotated[
        str,
        typer.Argument(
            metavar="SPACE",
            help="A space by name, such as mnasnet, or its JSON file; or a network, for the space around it.",
        ),
    ],
    *,
    data: Data = "icons",
    group: Group = None,
    objective: Annotated[
        str,
        typer.Option(
            "--objective",
            metavar="O",
            help="An expression over accuracy, loss, macs, params, activations, memory, latency, step_time, such as "
            "'accuracy * (macs / 4M) ** -0.07'; mnasnet:latency=20ms, mnasnet-hard:..., efficientnet:4M, "
            "training-aware; or several, joined by semicolons, for all that are best in their way.",
        ),
    ] = "accuracy",
    budget: Annotated[
        str | None,
        typer.Option(
            "--budget",
            metavar="B",
            help="What no network may exceed: macs<=4M, params<=1M, latency<=2ms; those that do are never trained.",
        ),
    ] = None,
    searcher: Annotated[
        str,
        typer.Option(
            "--searcher",
            metavar="S",
            help="evolution, random, nsga2, tpe or controller; or, by one network with all choices, proxylessnas or "
            "fbnet.",
        ),
    ] = "evolution",
    trials: Annotated[
        int, typer.Option("--trials", min=1, help="Networks to try; more of them go on with a search.")
    ] = 40,
    epochs: Annotated[
        int | None,
        typer.Option("--epochs", min=1, help="Of a trial; by default an eighth of a full training's."),
    ] = None,
    halving: Annotated[
        bool,
        typer.Option(
            "--halving/--no-halving", help="End trials early that are worse than half of those before them."
        ),
    ] = True,
    compare_with: Annotated[
        str,
        typer.Option("--compare-with", metavar="random", help="Run a random search of equal cost beside it."),
    ] = "",
    loss: Annotated[
        str | None,
        typer.Option(
            "--loss",
            metavar="L",
            help="How proxylessnas and fbnet weigh the cost: budget, a pressure above the limit alone, or paper, the "
            "papers' losses and rates.",
        ),
    ] = None,
    reinforce: Annotated[
        bool,
        typer.Option("--reinforce", help="Let proxylessnas learn its architecture by REINFORCE."),
    ] = False,
    samples: Annotated[
        int | None,
        typer.Option(
            "--samples",
            min=1,
            metavar="N",
            help="Networks to draw by what proxylessnas or fbnet has learned; each is tried, and the best taken. By "
            "default the most probable one is.",
        ),
    ] = None,
    workers: Workers = "1",
    max_pending: Annotated[
        int,
        typer.Option(
            "--max-pending",
            min=1,
            help="Trials that may be under way at once. The search is the same with any number of workers up to it, "
            "given the same --trial-threads.",
        ),
    ] = 4,
    trial_threads: TrialThreads = None,
    storage: Annotated[
        str | None,
        typer.Option(
            "--storage",
            metavar="URL",
            help="A database that several searches share, such as postgresql://user@host/name; by default a file "
            "in the run folder.",
        ),
    ] = None,
    study: Annotated[
        str, typer.Option("--study", metavar="NAME", help="Of the search in that database.")
    ] = "allometry",
    table: Annotated[
        Path | None,
        typer.Option("--table", metavar="FILE", help="A latency table of the space; by default it is built."),
    ] = None,
    runtime: Runtime = None,
    threads: Threads = 1,
    out: Out = None,
    seed: Seed = 0,
    device: Device = None,
    settings: Settings = None,
    callbacks: Callbacks = None,
    as_json: Json = False,
) -> None:
    """Find the best network of a space by short trainings.

    Called again with the same folder it goes on; with more --trials it goes further.

    Example: `allometry search efficientnet-b0 --data photos/ --budget 4M --compare-with random`
    """
    from allometry.cli.interrupts import stopping_on_signals
    from allometry.nas.search_config import SearchConfig
    from allometry.verbs.search import search as search_space

    config = SearchConfig(
        searcher=searcher,
        trials=trials,
        epochs=epochs,
        halving=halving,
        max_pending=max_pending,
        workers=workers,
        threads=trial_threads,
        storage=storage,
        study=study,
        compare_with=compare_with,
        loss=loss,
        reinforce=reinforce,
        samples=samples,
    )
    with stopping_on_signals() as should_stop:
        run = search_space(
            space,
            data=data,
            group=group,
            objective=objective,
            budget=budget,
            config=config,
            table=table,
            runtime=runtime,
            threads=threads,
            out=out,
            seed=seed,
            device=device,
            settings=settings or (),
            callbacks=callbacks or (),
            should_stop=should_stop,
        )
    print_json(run.to_dict()) if as_json else print_rows(str(run.folder), _rows(run))


def _rows(run: Run) -> dict[str, str]:
    from allometry.runs import SearchResult

    result = run.result
    assert isinstance(result, SearchResult)  # noqa: S101
    values = ", ".join(f"{value:.5g}" for value in result.values)
    rows = {
        "network": f"{result.network}, {result.resolution} px",
        "cost": cost_text(result.cost, result.measured, predicted=result.predicted_latency),
        "objective": f"{result.objective} = {values}",
        f"validation {run.metric}": f"{result.validation_accuracy:.2%}, after a short training",
        "searched": f"{plural(result.trials, 'trial')}, {result.stopped} stopped early, "
        f"{format_duration(result.search_seconds)} of training",
    }
    if result.random is not None:
        trials = plural(result.random_trials or 0, "trial")
        rows["random search"] = f"{result.random:.5g} with {trials} of equal cost"
    if len(result.front) > 1:
        rows["front"] = f"{len(result.front)} networks, in front/"
    if result.hypervolume is not None:
        above = ", ".join(f"{value:.5g}" for value in result.reference)
        rows["hypervolume"] = f"{result.hypervolume:.5g} above {above}"
        if result.random_hypervolume is not None:
            rows["hypervolume"] += f"; random search's {result.random_hypervolume:.5g}"
    return {**rows, "report": str(run.report)}
