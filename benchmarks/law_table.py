"""The table behind `choosing_law.py`: short trials and full trainings of the laws of `run`, on several data sets.

A trial is a short training anew, or of the baseline grown by the law with what it has learned. The trials of a seed
cost the same in both kinds, in MACs of all images together, the baseline's own training included.
"""

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
from allometry.base import NetworkError, SilentProgress
from allometry.base.files import append_line, read_lines
from allometry.catalog import get
from allometry.cost import as_budget, count
from allometry.data import Dataset, group_numbers, is_line_art, normalization, open_data
from allometry.nas.growth_plan import Plan, make_plan
from allometry.nas.trial_training import trial_recipe
from allometry.nn import ConvNet, build
from allometry.nn.growing import filled, grow_module, weight_map_between
from allometry.scaling import RESOLUTION, ScalingLaw, solve
from allometry.training import at_full_size, predict, small, train
from allometry.training.classification import ClassificationJob
from allometry.training.images import Images
from allometry.training.recipes import Recipe, grown

Line = dict[str, Any]
RENDERED: dict[str, Any] = {
    "size": 48,
    "classes": 10,
    "images": (4000, 1500, 2500),
    "hardness": 0.02,
    "smallest": 0.7,
}
GROWN_SHARE = 2 / 3  # of a trial's epochs that a grown one has; what is left trains the baseline
FULL_SEEDS = 100  # seeds of full trainings begin here: none has the luck of a trial


class Wanted(NamedTuple):
    """A training of the table.

    Attributes:
        data: name of the data set.
        kind: `trial`, `grown`, `small` (the baseline that is grown) or `full`.
        law: by which the network is grown; of the baseline, none.
        seed: of the training.
        network: that is trained.
        recipe: how.
        small: the training of the network that this one is grown from.
    """

    data: str
    kind: str
    law: ScalingLaw | None
    seed: int
    network: Network
    recipe: Recipe
    small: Wanted | None = None


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
    few = max(1, round(GROWN_SHARE * short.epochs))
    # The networks of trials have twice the baseline's MACs.
    before = replace(short, epochs=2 * len(plan.points) * (short.epochs - few))
    after = replace(at_full_size(images.recipe(grown, origin, ())), epochs=few)
    laws = [*(point.law for point in plan.points), RESOLUTION]
    large = [
        solve(
            plan.origin,
            plan.budget,
            law=law,
            start=plan.baseline.multipliers,
            largest_resolution=plan.largest_resolution,
        ).network
        for law in laws
    ]
    for seed in range(max(trial_seeds, full_seeds)):
        if seed < trial_seeds:
            for point in plan.points:
                yield Wanted(data, "trial", point.law, seed, point.network, short)
            baseline = Wanted(data, "small", None, seed, plan.baseline.network, before)
            yield baseline
            for point in plan.points:
                yield Wanted(data, "grown", point.law, seed, point.network, after, baseline)
        if seed < full_seeds:
            for law, network in zip(laws, large, strict=True):
                yield Wanted(data, "full", law, FULL_SEEDS + seed, network, full)


def fill(table: Path, images: Images, trainings: Iterable[Wanted], *, threads: int) -> None:
    """Do the trainings that the table lacks, and write each down at once."""
    torch.set_num_threads(threads)
    for training in trainings:
        key = _key(images, training)
        if not any(line["key"] == key for line in read_lines(table)):
            append_line(table, {"key": key, **_trained(table.parent, images, training)})
            print(training.data, training.kind, training.law, training.seed, flush=True)


def _key(images: Images, training: Wanted) -> str:
    small = () if training.small is None else (_key(images, training.small),)
    return key_of(
        images.dataset.fingerprint,
        training.kind,
        digest(training.network),
        training.recipe.to_dict(),
        training.seed,
        *small,
    )


def _job(folder: Path, images: Images, training: Wanted) -> ClassificationJob:
    network, recipe, seed = training.network, training.recipe, training.seed
    preprocessing = images.preprocessing(network, recipe)
    start = None
    if training.small is not None:  # trained already: its folder gives it back
        small = train(_job(folder, images, training.small)).module
        start = inheriting(small, network, seed=seed)
    return ClassificationJob(
        network=network,
        dataset=images.dataset,
        preprocessing=preprocessing,
        recipe=recipe,
        folder=folder / "trainings" / f"{training.data}-{training.kind}-{digest(network)[:12]}-{seed}",
        seed=seed,
        device=torch.device("cpu"),
        progress=SilentProgress(),
        start=start,
    )


def inheriting(small: ConvNet, network: Network, *, seed: int) -> dict[str, torch.Tensor]:
    """Weights of a larger network that inherit a smaller one's.

    It computes the same where it can; rounded widths may give a block a shortcut or take it, and there it cannot.
    """
    try:
        return grow_module(small, network, seed=seed).module.state_dict()
    except NetworkError:
        sources = weight_map_between(small.network, network, exact=False)
        generator = torch.Generator().manual_seed(seed)
        module, held = build(network, seed=seed), small.state_dict()
        with torch.no_grad():
            for name, value in module.state_dict().items():
                if (source := sources.get(name)) is not None:
                    value.copy_(filled(held[source.name], source, value, method="new", generator=generator))
        return module.state_dict()


def _trained(folder: Path, images: Images, training: Wanted) -> Line:
    network, recipe = training.network, training.recipe
    job = _job(folder, images, training)
    trained = train(job)
    seen = {
        split: predict(
            trained.module,
            images.dataset.splits[split],
            preprocessing=job.preprocessing,
            device=job.device,
        ).correct
        for split in (("val", "test") if training.kind == "full" else ("val",))
    }
    return {
        "data": training.data,
        "kind": training.kind,
        "law": None if training.law is None else training.law.to_dict(),
        "seed": training.seed,
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
