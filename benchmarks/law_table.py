"""The table behind `choosing_law.py`: short trials and full trainings of the laws of `run`, on several data sets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from common import key_of
from emoji import emoji
from rendered import rendered

from allometry.arch import Network, digest
from allometry.base import SilentProgress
from allometry.base.files import append_line, read_lines
from allometry.catalog import get
from allometry.cost import as_budget, count
from allometry.data import Dataset, group_numbers, is_line_art, normalization, open_data
from allometry.nas.growth_plan import Plan, make_plan
from allometry.nas.trial_training import trial_recipe
from allometry.scaling import ScalingLaw, solve
from allometry.training import predict, small, train
from allometry.training.classification import ClassificationJob
from allometry.training.images import Images
from allometry.training.recipes.recipe import Recipe

Line = dict[str, Any]
RENDERED: dict[str, Any] = {"size": 48, "classes": 50, "images": (4000, 1500, 2500)}
FULL_SEEDS = 100  # seeds of full trainings begin here: none has the luck of a trial


class Wanted(NamedTuple):
    """A training of the table."""

    data: str
    kind: str
    law: ScalingLaw
    seed: int
    network: Network
    recipe: Recipe


def data_sets(packages: Path, fonts: Path) -> dict[str, Callable[[], Dataset]]:
    """The data sets by their names, each made when it is needed.

    Args:
        packages: folder of the emoji's packages.
        fonts: folder of the rendered characters' fonts.
    """
    return {
        "icons": lambda: open_data("icons"),
        "emoji": lambda: emoji(packages),
        "rendered": lambda: rendered(fonts, **RENDERED),
    }


def open_images(dataset: Dataset) -> Images:
    """The images as trainings take them."""
    return Images(dataset, normalization(dataset), is_line_art(dataset))


def plan_of(images: Images, budget: str) -> Plan:
    """What `run` would do with EfficientNet-B0: the baseline, and the laws to try."""
    origin = get("efficientnet-b0")
    return make_plan(origin, images.dataset, as_budget(budget, count(origin)))


def wanted(
    data: str, images: Images, *, budget: str, fraction: float, trial_seeds: int, full_seeds: int
) -> Iterator[Wanted]:
    """All trainings of a data set, those that tell most first.

    Args:
        data: its name.
        images: of it.
        budget: of the full trainings' networks; trials have half of it, the baseline a quarter.
        fraction: of the default recipe's epochs that a full training has.
        trial_seeds: of the trials of each law.
        full_seeds: of the full trainings of each law.
    """
    origin, plan = get("efficientnet-b0"), plan_of(images, budget)
    full = images.recipe(small, origin, ())
    full = replace(full, epochs=max(2, round(fraction * full.epochs)))
    short = trial_recipe(images, origin, ())
    grown = [
        solve(
            plan.origin,
            plan.budget,
            law=point.law,
            start=plan.baseline.multipliers,
            largest_resolution=plan.largest_resolution,
        ).network
        for point in plan.points
    ]
    for seed in range(max(trial_seeds, full_seeds)):
        if seed < trial_seeds:
            for point in plan.points:
                yield Wanted(data, "trial", point.law, seed, point.network, short)
        if seed < full_seeds:
            for point, network in zip(plan.points, grown, strict=True):
                yield Wanted(data, "full", point.law, FULL_SEEDS + seed, network, full)


def fill(table: Path, images: Images, trainings: Iterable[Wanted], *, threads: int) -> None:
    """Do the trainings that the table lacks, and write each down at once."""
    torch.set_num_threads(threads)
    for training in trainings:
        key = _key(images, training)
        if not any(line["key"] == key for line in read_lines(table)):
            append_line(table, {"key": key, **_trained(table.parent, images, training)})
            print(training.data, training.kind, training.law, training.seed, flush=True)


def _key(images: Images, training: Wanted) -> str:
    return key_of(
        images.dataset.fingerprint,
        training.kind,
        digest(training.network),
        training.recipe.to_dict(),
        training.seed,
    )


def _trained(folder: Path, images: Images, training: Wanted) -> Line:
    network, recipe, seed = training.network, training.recipe, training.seed
    preprocessing = images.preprocessing(network, recipe)
    job = ClassificationJob(
        network=network,
        dataset=images.dataset,
        preprocessing=preprocessing,
        recipe=recipe,
        folder=folder / "trainings" / f"{training.data}-{training.kind}-{digest(network)[:12]}-{seed}",
        seed=seed,
        device=torch.device("cpu"),
        progress=SilentProgress(),
    )
    trained = train(job)
    seen = {
        split: predict(
            trained.module, images.dataset.splits[split], preprocessing=preprocessing, device=job.device
        ).correct
        for split in (("val",) if training.kind == "trial" else ("val", "test"))
    }
    return {
        "data": training.data,
        "kind": training.kind,
        "law": training.law.to_dict(),
        "seed": seed,
        "macs": count(network).macs,
        "resolution": network.resolution,
        "depth": network.depth,
        "epochs": recipe.epochs,
        "loss": trained.loss,
        "history": [round(record.val_accuracy, 5) for record in trained.history],
        "seconds": round(trained.seconds, 1),
        **{f"{split}_accuracy": float(correct.mean()) for split, correct in seen.items()},
        "correct": np.packbits(seen["val"]).tobytes().hex(),
        "images": len(seen["val"]),
        "groups": _groups(images.dataset),
    }


def _groups(dataset: Dataset) -> int | None:
    numbers = group_numbers(dataset.splits["val"])
    return None if numbers is None else len(np.unique(numbers))
