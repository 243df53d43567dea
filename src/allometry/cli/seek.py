"""Verbs that search."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from allometry.base import InputError
from allometry.base.units import format_duration, format_milliseconds, format_quantity, plural
from allometry.cli.options import Data, Device, Json, NetworkName, Out, Runtime, Seed, Settings, Threads
from allometry.cli.printing import print_figures, print_json

Workers = Annotated[
    str,
    typer.Option(
        "--workers", metavar="W", help="Processes that train; or ray, or ray://host:port, for a cluster."
    ),
]
TrialThreads = Annotated[
    int,
    typer.Option(
        "--trial-threads", min=0, help="Of each training; by default the cores divided by the workers."
    ),
]


def fit(
    network: NetworkName,
    *,
    data: Data = "icons",
    budget: Annotated[
        str | None,
        typer.Option(
            "--budget",
            metavar="B",
            help="Bring the baseline to this first: 2M, macs<=2M, params<=1M, memory<=8MB.",
        ),
    ] = None,
    alphas: Annotated[
        str | None, typer.Option("--alphas", metavar="LIST", help="Of the grid, such as 1,1.2,1.4.")
    ] = None,
    gammas: Annotated[
        str | None, typer.Option("--gammas", metavar="LIST", help="Of the grid; beta follows from both.")
    ] = None,
    ratio: Annotated[float, typer.Option("--ratio", help="MACs of a step of the law.")] = 2.0,
    epochs: Annotated[
        int, typer.Option("--epochs", min=0, help="Of a training; by default two fifths of a full one's.")
    ] = 0,
    finalists: Annotated[
        int, typer.Option("--finalists", min=1, help="Laws that are trained with several seeds.")
    ] = 2,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Of each finalist and the baseline.")] = 2,
    workers: Workers = "1",
    trial_threads: TrialThreads = 0,
    out: Out = None,
    seed: Seed = 0,
    device: Device = None,
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Fit a scaling law: in what proportion depth, width and resolution of a network grow best on these images.

    The law is written as law.json, which `scale --law` and `run --law` take.

    Example: `allometry fit efficientnet-b0 --data photos/ --budget 2M`
    """
    from allometry.cli.display import make_progress, stopping_on_signals
    from allometry.pipeline import FitSettings
    from allometry.pipeline import fit as fit_law

    plain = FitSettings()
    how = FitSettings(
        alphas=_numbers("--alphas", alphas, plain.alphas),
        gammas=_numbers("--gammas", gammas, plain.gammas),
        ratio=ratio,
        epochs=epochs,
        finalists=finalists,
        seeds=seeds,
        workers=workers,
        threads=trial_threads,
    )
    with stopping_on_signals() as stopping:
        result = fit_law(
            network,
            data=data,
            budget=budget,
            how=how,
            out=out,
            seed=seed,
            device=device,
            settings=settings or (),
            progress=make_progress(),
            stopping=stopping,
        )
    print_json(result) if as_json else print_figures(result["folder"], _fitted(result))


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
    by: Annotated[
        str,
        typer.Option(
            "--by",
            metavar="S",
            help="evolution, random, nsga2, tpe or controller; or, by one network with all choices, proxylessnas or "
            "fbnet.",
        ),
    ] = "evolution",
    trials: Annotated[
        int, typer.Option("--trials", min=1, help="Networks to try; more of them go on with a search.")
    ] = 40,
    epochs: Annotated[
        int,
        typer.Option("--epochs", min=0, help="Of a trial; by default an eighth of a full training's."),
    ] = 0,
    halving: Annotated[
        bool,
        typer.Option(
            "--halving/--no-halving", help="End trials early that are worse than half of those before them."
        ),
    ] = True,
    versus: Annotated[
        str,
        typer.Option("--versus", metavar="random", help="Run a random search of equal cost beside it."),
    ] = "",
    workers: Workers = "1",
    outstanding: Annotated[
        int,
        typer.Option(
            "--outstanding",
            min=1,
            help="Trials that may be under way at once. The search is the same with any number of workers up to it, "
            "given the same --trial-threads.",
        ),
    ] = 4,
    trial_threads: Annotated[
        int,
        typer.Option(
            "--trial-threads", min=0, help="Of a trial; by default the cores divided by the workers."
        ),
    ] = 0,
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
    as_json: Json = False,
) -> None:
    """Find the best network of a space by short trainings.

    Called again with the same folder it goes on; with more --trials it goes further.

    Example: `allometry search efficientnet-b0 --data photos/ --budget 4M --versus random`
    """
    from allometry.cli.display import make_progress, stopping_on_signals
    from allometry.pipeline import SearchSettings
    from allometry.pipeline import search as search_space

    how = SearchSettings(
        by=by,
        trials=trials,
        epochs=epochs,
        halving=halving,
        outstanding=outstanding,
        workers=workers,
        threads=trial_threads,
        storage=storage,
        study=study,
        versus=versus,
    )
    with stopping_on_signals() as stopping:
        result = search_space(
            space,
            data=data,
            objective=objective,
            budget=budget,
            how=how,
            table=table,
            runtime=runtime,
            threads=threads,
            out=out,
            seed=seed,
            device=device,
            settings=settings or (),
            progress=make_progress(),
            stopping=stopping,
        )
    print_json(result) if as_json else print_figures(result["folder"], _found(result))


def _found(result: dict[str, Any]) -> dict[str, str]:
    cost = f"{result['macs']:,} MACs, {result['params']:,} params"
    if "latency" in result:
        cost += (
            f", {format_milliseconds(result['latency'])} in {result['measured']['runtime']} "
            f"(predicted {format_milliseconds(result['predicted_latency'])})"
        )
    worth = ", ".join(f"{value:.5g}" for value in result["values"])
    figures = {
        "network": f"{result['network']}, {result['resolution']} px",
        "cost": cost,
        "objective": f"{result['objective']} = {worth}",
        "validation accuracy": f"{result['validation_accuracy']:.2%}, after a short training",
        "searched": f"{plural(result['trials'], 'trial')}, {result['stopped']} stopped early, "
        f"{format_duration(result['search_seconds'])} of training",
    }
    if "random" in result:
        figures["random search"] = (
            f"{result['random']:.5g} with {plural(result['random_trials'], 'trial')} of equal cost"
        )
    if result["front"] > 1:
        figures["front"] = f"{result['front']} networks, in front/"
    return {**figures, "report": result["report"]}


def _numbers(option: str, text: str | None, usual: tuple[float, ...]) -> tuple[float, ...]:
    if text is None:
        return usual
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise InputError(
            f"{option} must be numbers with commas between, such as 1,1.2,1.4, not {text!r}."
        ) from error


def _fitted(result: dict[str, Any]) -> dict[str, str]:
    law, likely = result["law"], result["likely"]
    chosen = max(result["finalists"], key=lambda each: each["law"] == law)
    wide = {name: pair for name, pair in likely.items() if pair[0] < pair[1]}
    ranges = ", ".join(f"{name} {low:.3g} to {high:.3g}" for name, (low, high) in wide.items())
    low, high = chosen["interval"]
    figures = {
        "law": f"alpha {law['alpha']:g}, beta {law['beta']:.4g}, gamma {law['gamma']:g}, best of {result['laws']}",
        "how sure": f"the best of {len(result['finalists'])} finalists in {chosen['best']:.0%} of the resamples; "
        f"{f'{ranges} may be as good' if ranges else 'no other is likely to be as good'}",
        "accuracy": f"{chosen['accuracy']:.1%} of the validation images ({low:.1%} to {high:.1%}), "
        f"{result['epochs']} epochs, {chosen['seeds']} seeds",
    }
    for each in result["outlook"]:
        low, high = each["interval"]
        figures[f"at {format_quantity(each['macs'])} MACs"] = (
            f"about {each['accuracy']:.1%} ({low:.1%} to {high:.1%}) after such a short training"
        )
    return figures | {
        "cost": f"{format_duration(result['training_seconds'])} of training, {result['share_of_full']:.0%} of training "
        "every law fully",
        "report": result["report"],
    }
