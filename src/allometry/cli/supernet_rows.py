"""What `allometry supernet` prints of its results, in rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from allometry.base.units import format_duration, format_quantity, plural
from allometry.cli.printing import cost_text

if TYPE_CHECKING:
    from allometry.runs import Subnet, SubnetFront
    from allometry.supernets.training_run import SupernetForecast
    from allometry.verbs.open import Run


def planned_rows(planned: SupernetForecast) -> dict[str, str]:
    """What a training would do, and how long it would take."""
    phases = {
        f"phase {phase.name}": f"{plural(phase.epochs, 'epoch')}, {plural(phase.subnets, 'subnet')} in a step, about "
        f"{format_duration(phase.seconds)}"
        for phase in planned.phases
    }
    return {
        "space": f"{planned.size:,} networks, {format_quantity(planned.smallest_macs)} to "
        f"{format_quantity(planned.largest_macs)} MACs, at most {format_quantity(planned.largest_params)} params",
        **phases,
        "in all": f"about {format_duration(planned.seconds)} here",
    }


def trained_rows(run: Run) -> dict[str, str]:
    """A trained supernet: its largest and smallest network, and what to do next."""
    from allometry.runs import SupernetResult

    result = run.result
    assert isinstance(result, SupernetResult)  # noqa: S101
    ends = {
        name: f"{format_quantity(end.cost.macs)} MACs, {format_quantity(end.cost.params)} params, "
        f"validation {run.metric} {end.validation_accuracy:.2%}"
        for name, end in (("largest", result.largest), ("smallest", result.smallest))
    }
    return {
        "space": f"{result.size:,} networks",
        **ends,
        "training": f"{plural(result.epochs, 'epoch')} in {plural(result.phases, 'phase')}, "
        f"{format_duration(result.seconds)}",
        "next": f'allometry supernet search {run.folder} --budget "latency<=5ms"',
        "report": str(run.report),
    }


def front_rows(front: SubnetFront) -> dict[str, str]:
    """The subnets of a front, from the cheapest to the best."""
    from allometry.cost import as_measure

    measure = as_measure(front.measure)
    return {
        **{
            measure.format(subnet.known(measure) or 0): f"{subnet.validation_accuracy:.2%}, predicted "
            f"{subnet.predicted_accuracy:.2%}, {subnet.resolution} px, {subnet.name}"
            for subnet in front.subnets
        },
        "searched": f"{front.examined:,} subnets in {format_duration(front.search_seconds)}, {front.size} "
        f"of them on the front; {_judged(front.tau)}",
    }


def subnet_rows(subnet: Subnet, run: Path) -> dict[str, str]:
    """A subnet that was found for a budget, and what to do next."""
    metrics = {
        "subnet": f"{subnet.name}, {subnet.resolution} px",
        "cost": cost_text(subnet.cost, subnet.measured, predicted=subnet.predicted_latency),
        "validation accuracy": f"{subnet.validation_accuracy:.2%}, predicted {subnet.predicted_accuracy:.2%}",
        "test accuracy": f"{subnet.test_accuracy or 0:.2%}",
    }
    return metrics | {
        "searched": f"{subnet.examined:,} subnets in {format_duration(subnet.search_seconds)}; {_judged(subnet.tau)}",
        "next": f"allometry supernet extract {run} {subnet.name}",
        "report": str(run / "report.html"),
    }


def _judged(tau: float | None) -> str:
    return "all were measured" if tau is None else f"Kendall tau of the predictor {tau:.2f}"


def extracted_rows(run: Run) -> dict[str, str]:
    """A subnet that was taken out."""
    from allometry.runs import ExtractResult

    result = run.result
    assert isinstance(result, ExtractResult)  # noqa: S101
    low, high = result.test_interval
    rows = {
        "subnet": f"{result.network}, {result.resolution} px",
        "cost": f"{result.cost.macs:,} MACs, {result.cost.params:,} params",
        f"validation {run.metric}": f"{result.validation_accuracy:.2%}",
        f"test {run.metric}": f"{result.test_accuracy:.2%} ({low:.1%} to {high:.1%})",
    }
    if result.epochs:
        rows[f"validation {run.metric}"] += (
            f", {result.extracted_accuracy:.2%} before {plural(result.epochs, 'epoch')} of fine-tuning"
        )
    if run.network is None:  # a torch module's: its own code makes it
        from allometry.runs.files import MODULE_PLAN, MODULE_WEIGHTS

        return rows | {
            "plan": str(run.folder / MODULE_PLAN),
            "weights": str(run.folder / MODULE_WEIGHTS),
            "report": str(run.report),
        }
    return rows | {"next": f"allometry export {run.folder} --to onnx", "report": str(run.report)}
