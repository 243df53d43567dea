"""`allometry fit`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from allometry.base import InputError
from allometry.base.reading import parse_number
from allometry.base.units import format_duration, format_quantity
from allometry.cli.options import (
    Data,
    Device,
    Group,
    Json,
    NetworkName,
    Out,
    Seed,
    Settings,
    TrialThreads,
    Workers,
)
from allometry.cli.printing import print_json, print_rows

if TYPE_CHECKING:
    from allometry.runs import FitResult
    from allometry.verbs.open import Run


def fit(
    network: NetworkName,
    *,
    data: Data = "icons",
    group: Group = None,
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
        int | None,
        typer.Option("--epochs", min=1, help="Of each training; by default a tenth of a full one's."),
    ] = None,
    max_laws: Annotated[
        int, typer.Option("--max-laws", min=1, help="Laws of the grid that are trained, at most.")
    ] = 16,
    seeds: Annotated[int, typer.Option("--seeds", min=2, help="Of each law and the baseline.")] = 2,
    workers: Workers = "1",
    trial_threads: TrialThreads = None,
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
    from allometry.cli.interrupts import stopping_on_signals
    from allometry.nas.fit_setup import FitConfig
    from allometry.verbs.fit import fit as fit_law

    plain = FitConfig()
    config = FitConfig(
        alphas=_numbers("--alphas", alphas, plain.alphas),
        gammas=_numbers("--gammas", gammas, plain.gammas),
        ratio=ratio,
        epochs=epochs,
        max_laws=max_laws,
        seeds=seeds,
        workers=workers,
        threads=trial_threads,
    )
    with stopping_on_signals() as should_stop:
        run = fit_law(
            network,
            data=data,
            group=group,
            budget=budget,
            config=config,
            out=out,
            seed=seed,
            device=device,
            settings=settings or (),
            should_stop=should_stop,
        )
    print_json(run.to_dict()) if as_json else print_rows(str(run.folder), _rows(run))


def _numbers(option: str, text: str | None, usual: tuple[float, ...]) -> tuple[float, ...]:
    if text is None:
        return usual
    try:
        return tuple(parse_number(part) for part in text.split(","))
    except ValueError as error:
        raise InputError(
            f"{option} must be numbers with commas between, such as 1,1.2,1.4, not {text!r}."
        ) from error


def _region(result: FitResult) -> str:
    """Between what the shares lie of the laws that may be the best."""
    return ", ".join(
        f"{name} {low:.0%} to {high:.0%}" if low < high else f"{name} {low:.0%}"
        for name, (low, high) in result.region.items()
    )


def _rows(run: Run) -> dict[str, str]:
    from allometry.runs import FitResult

    result = run.result
    assert isinstance(result, FitResult)  # noqa: S101
    law, size = result.law, result.sizes[-1]
    rows = {
        "law": f"alpha {law.alpha:.4g}, beta {law.beta:.4g}, gamma {law.gamma:.4g}",
        "how sure": "the grid has no other"
        if result.laws == 1
        else f"{result.near_best} of {result.laws} laws may be the best: {_region(result)}"
        if result.tells_apart
        else f"these images do not tell laws apart: all {result.laws} lie within the noise",
        "noise": f"{100 * result.standard_error:.2g} points, the standard error of a law's mean accuracy",
        run.metric: f"{size.accuracy:.1%} of the validation images, {result.epochs} epochs, "
        f"{result.trained[0].seeds} seeds",
    }
    for size in result.forecast:
        low, high = size.interval or (size.accuracy, size.accuracy)
        rows[f"at {format_quantity(size.macs)} MACs"] = (
            f"about {size.accuracy:.1%} ({low:.1%} to {high:.1%}) after such a short training"
        )
    return rows | {
        "cost": f"{format_duration(result.training_seconds)} of training, {result.fraction_of_full:.0%} of training "
        "every law fully",
        "report": str(run.report),
    }
