"""`allometry grow`: a trained network made larger or smaller, whichever a budget asks for, with what it has learned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from allometry.arch import Network, save
from allometry.base import InputError, Progress, UnknownNameError
from allometry.base.progress import as_progress
from allometry.base.units import format_quantity
from allometry.cost import Budget, RuntimeConfig, as_budget, count, runtime_config_for
from allometry.data import Data, Dataset, Group, data_argument, part_of, settle_data, view_batches
from allometry.nn import Conventions, ConvNet, save_pretrained, save_weights
from allometry.nn.growing import (
    GROWTH_METHODS,
    IMPORTANCES,
    GrowthMethod,
    Importance,
    grow_module,
    shrink_module,
)
from allometry.profiling.latency_meter import open_meter
from allometry.reports import write_report
from allometry.runs import read_run
from allometry.runs.arguments import law_argument, value_argument
from allometry.runs.files import NETWORK, PREPROCESSING
from allometry.scaling import COMPOUND, ScalingLaw, as_law, grows_into, resized_network
from allometry.training import FINAL, Preprocessing, Recipe, Teacher, recalibrate_batch_norm, to_input
from allometry.training.callbacks import Callback
from allometry.training.growing import settle_new_statistics
from allometry.training.images import Images
from allometry.training.pretrained import Classifier, open_finished, open_pretrained
from allometry.training.recipes.settings import Setting, setting_texts
from allometry.training.recipes.specs import RecipeSpec, as_recipe, check_settings, recipe_arguments
from allometry.training.session import Session, open_joint_session, read_in_turn
from allometry.training.validation import training_views
from allometry.verbs.arguments import RunLike, budget_slug, folder_of, weights_argument
from allometry.verbs.open import Run, open_run
from allometry.verbs.stages import is_finished
from allometry.verbs.train import TrainRequest, train_in_folder

GROWN = "grown.safetensors"
"""The weights that the new network begins with, in its run folder."""
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
    seed: int = 0,
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
        seed: of everything random.
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
    request = _request(
        run,
        budget,
        network,
        law,
        method,
        importance,
        data,
        group,
        recipe,
        settings,
        runtime,
        threads,
        seed,
        shown,
    )
    text = budget if isinstance(budget, str) else str(budget)
    folder = Path(out or Path("runs") / f"{request.name}-{budget_slug(text)}")
    with open_joint_session(
        folder,
        command="grow",
        arguments=request.arguments(),
        seed=seed,
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """What is made larger or smaller, and what is done with it then.

    Attributes:
        origin: the trained network.
        module: that it is.
        called: how the run folder remembers it.
        name: its part of the folder's name.
        budget: of the new network.
        law: by which it grows or shrinks.
        method: what new channels are.
        importance: of channels that may go.
        data: to train on, if anything is trained.
        recipe: how, where that was said.
        settings: changes to the recipe.
        runtime_config: in which this device judges by the budget, if it does.
    """

    origin: Classifier
    module: ConvNet
    called: dict[str, str]
    name: str
    budget: Budget
    law: ScalingLaw
    method: GrowthMethod
    importance: Importance
    data: Dataset | str | None
    recipe: Recipe | RecipeSpec | str | None
    settings: tuple[Setting, ...]
    runtime_config: RuntimeConfig | None

    def arguments(self) -> dict[str, Any]:
        """As the run folder remembers it; what is not given is left out."""
        where, recipe = self.runtime_config, self.recipe
        return {
            **self.called,
            "budget": self.budget.exact(),
            "law": law_argument(self.law),
            "method": self.method,
            "importance": self.importance,
            **({} if self.data is None else {"data": data_argument(self.data)}),
            **({} if recipe is None else recipe_arguments(as_recipe(recipe))),
            **({"settings": setting_texts(self.settings)} if self.settings else {}),
            **({"runtime": where.runtime, "threads": where.threads} if where else {}),
        }


def _request(
    run: RunLike,
    budget: Budget | str,
    network: Network | str | Path | None,
    law: ScalingLaw | str | Path | None,
    method: GrowthMethod,
    importance: Importance,
    data: Data | None,
    group: Group | None,
    recipe: Recipe | RecipeSpec | str | None,
    settings: Sequence[Setting],
    runtime: str | None,
    threads: int,
    seed: int,
    progress: Progress,
) -> _Request:
    """What the arguments stand for, each of them checked."""
    if method not in GROWTH_METHODS:
        raise UnknownNameError("method of growth", method, GROWTH_METHODS)
    if importance not in IMPORTANCES:
        raise UnknownNameError("importance of channels", importance, IMPORTANCES)
    _check_training(data, group, recipe, settings, importance)
    origin, called, name = _origin(run, network)
    module = origin.module
    if not isinstance(module, ConvNet):
        raise InputError(
            f"{name} is a torch module that is not built from a network of allometry's; give a run, or weights with a "
            "name of `allometry zoo` or a network's JSON file."
        )
    limits = as_budget(budget, count(module.network))
    return _Request(
        origin=origin,
        module=module,
        called=called,
        name=name,
        budget=limits,
        law=COMPOUND if law is None else as_law(law),
        method=method,
        importance=importance,
        data=None if data is None else settle_data(data, group=group, seed=seed, progress=progress),
        recipe=recipe,
        settings=tuple(settings),
        runtime_config=runtime_config_for(limits, runtime=runtime, threads=threads),
    )


def _check_training(
    data: Data | None,
    group: Group | None,
    recipe: Recipe | RecipeSpec | str | None,
    settings: Sequence[Setting],
    importance: Importance,
) -> None:
    """Refuse what is about a training where none is."""
    check_settings(settings)
    if recipe is not None:
        as_recipe(recipe)
    if data is not None:
        return
    given = {"recipe": recipe, "settings": settings or None, "group": group}
    for name in (name for name, value in given.items() if value is not None):
        raise InputError(
            f"Without data nothing is trained, so {name} says nothing: give data, or leave it out."
        )
    if importance == "taylor":
        raise InputError(
            "The importance 'taylor' is judged by the loss on training images: give data, or take 'magnitude'."
        )


def _origin(run: RunLike, network: Network | str | Path | None) -> tuple[Classifier, dict[str, str], str]:
    """The trained network, how the run folder remembers it, and its part of the folder's name."""
    if network is None:
        if isinstance(run, str | Path) and Path(run).is_file():
            raise InputError(
                f"{run} is a file, which does not say what network its weights are of: give the network, too (network, "
                "--network: a name of `allometry zoo` or a network's JSON file)."
            )
        folder = folder_of(run)
        finished = open_finished(folder)
        return Classifier(finished.module, finished.preprocessing), {"run": str(folder)}, folder.name
    weights = weights_argument(run)
    called = {"run": weights, "network": value_argument(network)}
    known = open_pretrained(network, weights)
    channels, mean, std = known.preprocessing.channels, known.preprocessing.mean, known.preprocessing.std
    if len(mean) != channels:  # the file does not tell, and what stands in for it is for color
        gray = replace(
            known.preprocessing,
            mean=(sum(mean) / len(mean),) * channels,
            std=(sum(std) / len(std),) * channels,
        )
        known = replace(known, preprocessing=gray)
    return known, called, Path(weights).name.partition(".")[0] or "grown"


def _grow(session: Session, request: _Request) -> None:
    images = None if request.data is None else read_in_turn(session, request.data)
    network = session.dist.broadcast_object(
        _network(session, request, images) if session.dist.is_main else None
    )
    larger = grows_into(request.module.network, network)
    path = session.run.path / GROWN
    if not path.exists():
        module = _resized(session, request, network, images).cpu()
        save_pretrained(module, path, _conventions(network, request.origin.preprocessing))
    before, after = count(request.module.network), count(network)
    session.progress.say(
        f"{'grown' if larger else 'shrunk'} by {request.law}: from {format_quantity(before.macs)} to "
        f"{format_quantity(after.macs)} MACs, {format_quantity(after.params)} params, {network.resolution} px"
    )
    session.halt_if_requested()
    if images is None:
        _deliver_untrained(session, request, network)
        return
    known = images.dataset.classes == request.origin.preprocessing.classes
    recipe = request.recipe or ("grown" if known else "transfer")
    train_request = TrainRequest(
        network=network,
        called=network.name,
        data=request.data or images.dataset,
        recipe=as_recipe(recipe, settings=request.settings),
        pretrained=str(path),
        teacher=Teacher(request.module, request.origin.preprocessing) if known and not larger else None,
    )
    request.module.to(session.device).eval().requires_grad_(requires_grad=False)
    train_in_folder(session, train_request, images=images)


def _network(session: Session, request: _Request, images: Images | None) -> Network:
    """The network within the budget."""
    old = request.module.network
    largest = None if images is None else max(images.dataset.image_size, old.total_stride, old.resolution)
    with open_meter(session, request.runtime_config) as measure:
        return resized_network(
            old, request.budget, law=request.law, largest_resolution=largest, measure=measure
        )


def _resized(session: Session, request: _Request, network: Network, images: Images | None) -> ConvNet:
    """The new network with the weights that it begins with, and with the statistics that the images give it."""
    old, origin = request.module, request.origin.preprocessing
    seen = replace(origin, resolution=network.resolution)
    fitting = images is not None and images.dataset.channels == origin.channels
    views = []
    if images is not None and fitting:
        views = list(training_views(images.dataset, seen, seed=(session.seed,), device=torch.device("cpu")))
    if grows_into(old.network, network):
        grown = grow_module(old, network, method=request.method, seed=session.seed)
        if views:
            settle_new_statistics(grown.module, grown.weight_map, views)
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


def _deliver_untrained(session: Session, request: _Request, network: Network) -> None:
    """Let the run folder hold the new network as one that is trained."""
    if not session.dist.is_main:
        return
    folder = session.run.path
    known = open_pretrained(network, str(folder / GROWN))
    save(network, folder / NETWORK)
    replace(request.origin.preprocessing, resolution=network.resolution).save(folder / PREPROCESSING)
    save_weights(folder / "checkpoints" / FINAL, known.module.state_dict())
    if not grows_into(request.module.network, network):
        session.progress.say(
            "its batch norms have the statistics of the larger network: give data to estimate them and to train on"
        )
    session.run.finish()
    write_report([read_run(folder)], out=read_run(folder).report)
