"""`allometry grow`: a trained network made larger or smaller, whichever a budget asks for, with what it has learned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from allometry.arch import Network, save
from allometry.base import InputError, Progress
from allometry.base.progress import as_progress
from allometry.base.units import format_quantity
from allometry.cost import Budget, count
from allometry.data import Data, Dataset, Group, part_of, view_batches
from allometry.nn import Conventions, ConvNet, save_pretrained, save_weights
from allometry.nn.growing import (
    GrowthMethod,
    Importance,
    grow_module,
    shrink_module,
)
from allometry.profiling.latency_meter import open_meter
from allometry.reports import write_report
from allometry.runs import read_run
from allometry.runs.files import BASELINE, DATA, GROWN, NETWORK, PREPROCESSING
from allometry.scaling import ScalingLaw, grows_into, resized_network
from allometry.training import FINAL, Preprocessing, Recipe, Teacher, recalibrate_batch_norm, to_input
from allometry.training.callbacks import Callback
from allometry.training.images import Images
from allometry.training.inheritance import settle_new_statistics
from allometry.training.pretrained import open_pretrained
from allometry.training.recipes.settings import Setting
from allometry.training.recipes.specs import RecipeSpec, as_recipe
from allometry.training.session import Session, open_joint_session, read_in_turn
from allometry.training.validation import training_views
from allometry.verbs.arguments import RunLike, budget_slug
from allometry.verbs.grow_request import GrowRequest, grow_request
from allometry.verbs.open import Run, open_run
from allometry.verbs.stages import is_finished
from allometry.verbs.train import TrainRequest, train_in_folder

_BATCHES, _BATCH = 8, 32  # of training images, by which the importance of channels is judged


def grow(
    run: RunLike,
    *,
    budget: Budget | str,
    network: Network | str | Path | None = None,
    law: ScalingLaw | str | Path | None = None,
    method: GrowthMethod = "new",
    importance: Importance = "magnitude",
    data: Data | None = None,
    group: Group | None = None,
    recipe: Recipe | RecipeSpec | str | None = None,
    settings: Sequence[Setting] = (),
    runtime: str | None = None,
    threads: int = 1,
    callbacks: Sequence[Callback | str] = (),
    out: str | Path | None = None,
    seed: int | None = None,
    device: str | None = None,
    progress: Progress | bool = True,
    should_stop: Callable[[], bool] = lambda: False,
) -> Run:
    """Make a trained network larger or smaller, to fit a budget, with the weights that it has; then train on.

    A larger network computes what the trained one does until it learns more. A smaller one keeps the channels that
    matter most, and learns from the trained one, too. Without `data` nothing is trained: the run holds the new network
    with its weights. Called again with the same folder it goes on where it stopped.

    Args:
        run: a run or its folder; or weights, a file or `hf://owner/name`, which need `network`.
        budget: of the new network: `10M`, `macs<=400M, params<=5M`, `latency<=20ms`, or `2x` of what it costs now.
        network: whose weights they are: a network, a name of the zoo, or a network's JSON file.
        law: by which it grows or shrinks: a law, its name, three numbers or a JSON file; by default `compound`.
        method: what new channels are: `new` ones that nobody reads at first, `copies`, or `pairs`.
        importance: of channels that may go: `magnitude`, `taylor` (by the loss, with `data`), `uniform` or `first`.
        data: images to train on; without, nothing is trained.
        group: what the images of a group have in common that stay in one split (see `open_data`).
        recipe: one of `allometry.recipes`, its name, or a full `Recipe`; by default `grown`, and `transfer` where the
            classes are others.
        settings: changes to the recipe: `key=value`, or a loss.
        runtime: where a latency is measured: `onnxruntime` by default.
        threads: of that runtime.
        callbacks: are told of the training, by value or name.
        out: the run folder; by default `runs/NAME-BUDGET`.
        seed: of everything random, and so of what images are for testing; by default that of the run, or 0.
        device: `cpu`, `cuda`, `cuda:1`; by default a GPU if there is one.
        progress: True for a bar or lines, False for silence, or whatever is to be told.
        should_stop: asked after each training step; True stops the run at a checkpoint.

    Raises:
        InputError: run, weights, budget, data or recipe are wrong, or the network cannot grow or shrink so.
        RunFolderError: the run is not finished, or the folder holds another one.
        Stopped: `should_stop` asked for it.
        StorageError: the disk is full, read-only or forbidden.
        NonFiniteLossError: the training diverged.

    Example, with a small `trained` run, `images` and `labels`:
        >>> larger = grow(trained, budget="2x", out=folder / "larger", progress=False)
        >>> larger.cost.macs > trained.cost.macs, larger.history
        (True, ())
        >>> arguments = {"data": (images, labels), "settings": ["epochs=1"], "progress": False}
        >>> smaller = grow(trained, budget="0.5x", out=folder / "smaller", **arguments)
        >>> smaller.cost.macs < trained.cost.macs, len(smaller.history)
        (True, 1)
    """
    shown = as_progress(progress)
    request = grow_request(
        run,
        budget=budget,
        network=network,
        law=law,
        method=method,
        importance=importance,
        data=data,
        group=group,
        recipe=recipe,
        settings=settings,
        runtime=runtime,
        threads=threads,
        seed=seed,
        progress=shown,
    )
    text = budget if isinstance(budget, str) else str(budget)
    folder = Path(out or Path("runs") / f"{request.origin.name}-{budget_slug(text)}")
    with open_joint_session(
        folder,
        command="grow",
        arguments=request.arguments(),
        seed=request.seed,
        device=device,
        progress=shown,
        should_stop=should_stop,
        callbacks=callbacks,
    ) as session:
        dist = session.dist
        if not dist.broadcast_object(dist.is_main and is_finished(session)):
            _grow(session, request)
        made: Run = dist.broadcast_object(open_run(folder) if dist.is_main else None)
    return replace(made, dataset=request.data if isinstance(request.data, Dataset) else None)


def _grow(session: Session, request: GrowRequest) -> None:
    images = None if request.data is None else read_in_turn(session, request.data)
    network, path = grown_start(session, request, images)
    if images is None:
        _deliver_untrained(session, request, network)
        return
    train_request = training_after(request, network, path, images)
    request.module.to(session.device).eval().requires_grad_(requires_grad=False)
    train_in_folder(session, train_request, images=images)


def training_after(request: GrowRequest, network: Network, weights: Path, images: Images) -> TrainRequest:
    """How a network that has grown or shrunk is trained on.

    Args:
        request: what was grown or shrunk.
        network: what came of it.
        weights: that it begins with.
        images: to train on.
    """
    larger = grows_into(request.module.network, network)
    known = images.dataset.classes == request.origin.classifier.preprocessing.classes
    recipe = request.recipe or ("grown" if known else "transfer")
    return TrainRequest(
        network=network,
        called=network.name,
        data=request.data or images.dataset,
        recipe=as_recipe(recipe, settings=request.settings),
        pretrained=str(weights),
        teacher=Teacher(request.module, request.origin.classifier.preprocessing)
        if known and not larger
        else None,
    )


def grown_start(
    session: Session, request: GrowRequest, images: Images | None, *, may_stay: bool = False
) -> tuple[Network, Path]:
    """The network within the budget, and the file of the weights that it begins with, which is written once.

    Args:
        session: of the run.
        request: what is grown or shrunk.
        images: that give statistics, if there are any.
        may_stay: whether the network may have the budget's size already.

    Raises:
        InputError: the network cannot grow or shrink so, or has that size already and may not stay.
        StorageError: the file cannot be written.
    """
    dist, old = session.dist, request.module.network
    network = dist.broadcast_object(_network(session, request, images) if dist.is_main else None)
    if network == old and not may_stay:
        raise InputError(
            f"{network.name.partition(' within ')[0] or 'The network'} is the largest of this law within "
            f"{request.budget} already; take another budget."
        )
    path = session.run.path / GROWN
    save(old, session.run.path / BASELINE)
    if session.run.kept(GROWN) is None:
        module = _resized(session, request, network, images).cpu()
        save_pretrained(module, path, _conventions(network, request.origin.classifier.preprocessing))
    before, after = count(old), count(network)
    changed = "grown" if grows_into(old, network) else "kept" if network == old else "shrunk"
    session.progress.say(
        f"{changed} by {request.law}: from {format_quantity(before.macs)} to {format_quantity(after.macs)} MACs, "
        f"{format_quantity(after.params)} params, {network.resolution} px"
    )
    session.halt_if_requested()
    return network, path


def _network(session: Session, request: GrowRequest, images: Images | None) -> Network:
    """The network within the budget."""
    old = request.module.network
    largest = None if images is None else max(images.dataset.image_size, old.total_stride, old.resolution)
    with open_meter(session, request.runtime_config) as measure:
        network = resized_network(
            old, request.budget, law=request.law, largest_resolution=largest, measure=measure
        )
    first = old.name.partition(" within ")[0]  # what has grown before need not tell all its sizes
    return replace(network, name=f"{first} within {request.budget}".strip())


def _resized(session: Session, request: GrowRequest, network: Network, images: Images | None) -> ConvNet:
    """The new network with the weights that it begins with, and with the statistics that the images give it."""
    old, origin = request.module, request.origin.classifier.preprocessing
    seen = replace(origin, resolution=network.resolution)
    fitting = images is not None and images.dataset.channels == origin.channels
    views = []
    if images is not None and fitting:
        views = list(training_views(images.dataset, seen, seed=(session.seed,), device=torch.device("cpu")))
    if network == old.network:
        return old
    if grows_into(old.network, network):
        grown = grow_module(old, network, method=request.method, seed=session.seed)
        if views:
            larger_images = network.resolution != old.network.resolution
            settle_new_statistics(grown.module, grown.weight_map, views, everywhere=larger_images)
        return grown.module
    batches: list[tuple[Tensor, Tensor]] = []
    if request.importance == "taylor" and images is not None:
        if not fitting or images.dataset.classes != origin.classes:
            raise InputError(
                "The importance 'taylor' is judged by the loss on images of the classes and channels that the network "
                "knows, and these have others; take 'magnitude'."
            )
        batches = _batches(images.dataset, origin, seed=session.seed)
    shrunk = shrink_module(old, network, importance=request.importance, batches=batches)
    recalibrate_batch_norm(shrunk.module, views)
    return shrunk.module


def _batches(dataset: Dataset, preprocessing: Preprocessing, *, seed: int) -> list[tuple[Tensor, Tensor]]:
    """Some training images with their labels, as the trained network sees them."""
    split = dataset.splits["train"]
    chosen = torch.randperm(len(split), generator=torch.Generator().manual_seed(seed))[: _BATCHES * _BATCH]
    batches = view_batches(
        part_of(split, chosen.numpy()),
        resolution=preprocessing.resolution,
        batch_size=_BATCH,
        crop=preprocessing.crop,
    )
    cpu = torch.device("cpu")
    return [(to_input(batch.images, preprocessing, cpu), torch.from_numpy(batch.labels)) for batch in batches]


def _conventions(network: Network, preprocessing: Preprocessing) -> Conventions:
    return Conventions(
        padding=network.padding,
        epsilon=network.batch_norm.epsilon,
        resolution=network.resolution,
        mean=preprocessing.mean,
        std=preprocessing.std,
        crop=preprocessing.crop,
        classes=preprocessing.classes,
        levels=preprocessing.levels,
    )


def _deliver_untrained(session: Session, request: GrowRequest, network: Network) -> None:
    """Let the run folder hold the new network as one that is trained."""
    if not session.dist.is_main:
        return
    folder = session.run.path
    known = open_pretrained(network, str(folder / GROWN))
    save(network, folder / NETWORK)
    replace(request.origin.classifier.preprocessing, resolution=network.resolution).save(
        folder / PREPROCESSING
    )
    save_weights(folder / "checkpoints" / FINAL, known.module.state_dict())
    if request.origin.summary is not None:
        DATA.write(folder, request.origin.summary)
    if not grows_into(request.module.network, network):
        session.progress.say(
            "its batch norms have the statistics of the larger network: give data to estimate them and to train on"
        )
    elif network.resolution != request.module.network.resolution:
        session.progress.say(
            f"it computes what it did for images of {request.module.network.resolution} px; for those of "
            f"{network.resolution} px give data, to estimate its batch norms' statistics and to train on"
        )
    session.run.finish()
    write_report([read_run(folder)], out=read_run(folder).report)
