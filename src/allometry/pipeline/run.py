"""`allometry run`: the whole path, from images to a delivered network."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from allometry.arch import Network, save
from allometry.base import Progress, SilentProgress
from allometry.base.files import read_json, write_json
from allometry.base.runs import RunFolder, open_run
from allometry.base.units import format_duration
from allometry.cost import Budget, count, parse_budget
from allometry.data import Dataset
from allometry.pipeline.common import (
    data_argument,
    data_name,
    halt_if,
    preprocessing_for,
    read_data,
)
from allometry.pipeline.delivery import deliver, judge
from allometry.pipeline.devices import describe_device, find_device, refuse_too_large
from allometry.pipeline.plan import Plan, estimate_seconds, make_plan
from allometry.report import write_report
from allometry.scaling import Solution, solve
from allometry.search import Point, Trial, try_points
from allometry.train import Recipe, change, small, train
from allometry.train.job import Job
from allometry.zoo import find as find_network

_TRIAL_SHARE = 8  # a trial has an eighth of the final training's epochs
_FEWEST_TRIAL_EPOCHS = 2


@dataclass(frozen=True, slots=True)
class RunResult:
    """What `run` came to.

    Attributes:
        folder: the run folder.
        summary: the figures, JSON-ready.
    """

    folder: Path
    summary: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """What every phase of a run needs."""

    run: RunFolder
    dataset: Dataset
    recipe: Recipe
    seed: int
    device: torch.device
    progress: Progress
    stopping: Callable[[], bool]

    def job(self, network: Network, folder: Path, *, label: str, recipe: Recipe) -> Job:
        return Job(
            network=network,
            dataset=self.dataset,
            preprocessing=preprocessing_for(self.dataset, network, recipe),
            recipe=recipe,
            folder=folder,
            seed=self.seed,
            device=self.device,
            label=label,
            progress=self.progress,
            stopping=self.stopping,
        )


def run(
    *,
    data: str = "icons",
    baseline: str = "efficientnet-b0",
    budget: str = "10M",
    out: Path | None = None,
    seed: int = 0,
    device: str | None = None,
    settings: Sequence[str] = (),
    progress: Progress = SilentProgress(),
    stopping: Callable[[], bool] = lambda: False,
) -> RunResult:
    """From images to a network that fits a budget: grown, trained, tested, exported, reported.

    Read the images; shrink the baseline to a quarter of the budget; try laws at twice its cost; grow it to the
    budget by the best; train; evaluate on the test split; export to ONNX and verify; write the report. Called
    again with the same folder it goes on where it stopped, and shows the result where it is finished.

    Args:
        data: `icons` or a folder of class folders.
        baseline: a name of the zoo or a network's JSON file.
        budget: what the final network may cost; `4x` is of the baseline as it is named.
        out: the run folder; by default `runs/DATA-BUDGET`.
        seed: of everything random.
        device: `cpu`, `cuda`, `cuda:1`; by default a GPU if there is one.
        settings: changes to the recipe, `key=value`.
        progress: is told how it goes.
        stopping: asked after each training step; True stops the run at a checkpoint.

    Raises:
        InputError: data, network, budget, recipe or folder are wrong.
        Stopped: `stopping` asked for it.
        StorageError: the disk is full, read-only or forbidden.
        NonFiniteLossError: the training diverged.

    Source: EfficientNet (Tan & Le 2019), section 3.3, on the user's data.
    """
    network = find_network(baseline)
    limits = parse_budget(budget, count(network))
    folder = out or Path("runs") / f"{data_name(data)}-{_slug(budget)}"
    place = find_device(device)
    arguments = {
        "data": data_argument(data),
        "baseline": baseline,
        "budget": limits.exact(),
        "seed": seed,
        "settings": list(settings),
    }
    with open_run(
        folder, command="run", arguments=arguments, device=describe_device(place), seed=seed
    ) as opened:
        if opened.finished:
            progress.say(f"{folder} is finished; this is its result.")
            if not (folder / "report.html").exists():
                write_report([folder], out=folder / "report.html")
            return RunResult(folder, read_json(folder / "result.json"))
        return _run(opened, network, limits, data, settings, seed, place, progress, stopping)


def _run(
    opened: RunFolder,
    network: Network,
    budget: Budget,
    data: str,
    settings: Sequence[str],
    seed: int,
    device: torch.device,
    progress: Progress,
    stopping: Callable[[], bool],
) -> RunResult:
    folder, began = opened.path, time.monotonic()
    dataset = read_data(opened, data, seed=seed, progress=progress)
    train_images = len(dataset.splits["train"])
    recipe = change(small(images=train_images, drawings=dataset.channels == 1), *settings)
    work = _Work(
        run=opened,
        dataset=dataset,
        recipe=recipe,
        seed=seed,
        device=device,
        progress=progress,
        stopping=stopping,
    )
    halt_if(stopping)
    plan = make_plan(network, dataset, budget)
    refuse_too_large(plan.expected.network, batch_size=min(recipe.batch_size, train_images), device=device)
    save(plan.baseline.network, folder / "baseline.json")
    write_json(folder / "recipe.json", recipe.to_dict())
    # Trials see images of their full size throughout: smaller ones would favour laws that need fewer pixels.
    trial_epochs = max(_FEWEST_TRIAL_EPOCHS, round(recipe.epochs / _TRIAL_SHARE))
    trial_recipe = replace(recipe, epochs=trial_epochs, early_resolution=1.0)
    seconds = estimate_seconds(
        plan, images=train_images, recipe=recipe, trial_recipe=trial_recipe, device=device
    )
    progress.say(
        f"baseline: {plan.baseline.network.name}, {plan.baseline.cost.macs:,} MACs; {len(plan.points)} laws to try "
        f"for {trial_recipe.epochs} epochs each, then {recipe.epochs} epochs of training; "
        f"all of it about {format_duration(seconds)} here, less what is already done"
    )
    opened.charge("prepare", "data and plan", seconds=time.monotonic() - began)

    best = _try_laws(work, plan, trial_recipe)
    solution = solve(
        plan.origin,
        budget,
        law=best.point.law,
        start=plan.baseline.multipliers,
        largest_resolution=plan.largest_resolution,
    )
    _write_plan(folder, plan, solution)
    progress.say(
        f"best law: {_law_text(best)}; grown to {solution.cost.macs:,} MACs, {solution.cost.params:,} params, "
        f"{solution.network.resolution} px"
    )
    job = work.job(solution.network, folder, label="training", recipe=recipe)
    job.preprocessing.save(folder / "preprocessing.json")
    trained = train(job)
    opened.charge("train", solution.network.name, seconds=trained.seconds, images=trained.images)

    halt_if(stopping)
    evaluation = judge(opened, trained.module, dataset, job.preprocessing, device=device, progress=progress)
    halt_if(stopping)
    verification = deliver(opened, trained.module, dataset, job.preprocessing, progress=progress)
    summary = {
        "folder": str(folder),
        "data": dataset.name,
        "network": solution.network.name,
        "budget": str(budget),
        "resolution": solution.network.resolution,
        **solution.cost._asdict(),
        "law": asdict(best.point.law),
        "trials": len(plan.points),
        "validation_accuracy": trained.accuracy,
        "test_accuracy": evaluation["accuracy"],
        "test_interval": list(evaluation["interval"]),
        "test_images": evaluation["images"],
        "onnx": verification,
        "report": str(folder / "report.html"),
    }
    write_json(folder / "result.json", summary)
    opened.finish()
    write_report([folder], out=folder / "report.html")
    return RunResult(folder, summary)


def _try_laws(work: _Work, plan: Plan, recipe: Recipe) -> Trial:
    baseline = Point(plan.baseline.law, plan.baseline.network, plan.baseline.cost, kind="baseline")
    points = (baseline, *plan.points)
    labels = {point: f"law {number} of {len(plan.points)}" for number, point in enumerate(points)}
    labels[baseline] = "baseline"

    def one(point: Point, folder: Path) -> Trial:
        label = labels[point]
        trained = train(work.job(point.network, folder, label=label, recipe=recipe))
        last = trained.history[-1]
        work.run.charge("fit", folder.name, seconds=trained.seconds, images=trained.images)
        return Trial(
            point, trained.accuracy, last["val_loss"], recipe.epochs, trained.seconds, trained.images
        )

    _, best = try_points(points, one, folder=work.run.path)
    return best


def _write_plan(folder: Path, plan: Plan, solution: Solution) -> None:
    save(solution.network, folder / "network.json")
    solution.law.save(folder / "law.json")
    start = plan.baseline.multipliers
    relative = {
        name: value / before
        for (name, value), before in zip(solution.multipliers._asdict().items(), start, strict=True)
    }
    write_json(
        folder / "plan.json",
        {
            "budget": [asdict(limit) for limit in plan.budget.limits],
            "cost": solution.cost._asdict(),
            "law": asdict(solution.law),
            "phi": solution.phi,
            "multipliers": relative,
        },
    )


def _law_text(trial: Trial) -> str:
    law = trial.point.law
    return (
        f"alpha {law.alpha:g}, beta {law.beta:.3g}, gamma {law.gamma:g} "
        f"({trial.accuracy:.1%} of the validation images right after {trial.epochs} epochs)"
    )


def _slug(text: str) -> str:
    """A budget as part of a folder's name."""
    kept = "".join(letter if letter.isalnum() or letter in ".x" else "-" for letter in text)
    return "-".join(part for part in kept.split("-") if part)
