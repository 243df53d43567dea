"""`allometry train`: one network, trained as it is, by one process or several."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from allometry.arch import Network, save
from allometry.base import InputError, Progress
from allometry.base.progress import as_progress
from allometry.base.units import format_quantity
from allometry.catalog import as_network
from allometry.cost import count
from allometry.data import Data, Dataset, Group, Normalization, data_argument, data_name, settle_data
from allometry.nn.growing import check_growth
from allometry.runs import GrowthPhase, GrowthSchedule, TrainResult
from allometry.runs.arguments import law_argument, value_argument, value_name
from allometry.runs.files import GROWTH, NETWORK, PREPROCESSING, RECIPE, write_recipe
from allometry.scaling import COMPOUND, GrowthStep, ScalingLaw, as_law, growth_networks, parse_growth
from allometry.training import ALONE, ClassificationJob, Recipe, Teacher
from allometry.training import train as train_network
from allometry.training.callbacks import Callback
from allometry.training.forecast import Forecast, forecast
from allometry.training.images import Images
from allometry.training.memory import settle_execution
from allometry.training.pretrained import open_finished, start_from
from allometry.training.recipes.settings import Setting
from allometry.training.recipes.specs import RecipeSpec, as_recipe, recipe_arguments
from allometry.training.session import Session, open_joint_session, open_session, read_in_turn
from allometry.verbs.arguments import RunLike, folder_of, weights_argument
from allometry.verbs.open import Run, open_run
from allometry.verbs.stages import finish, is_finished, judge


def train(
    network: Network | str | Path,
    *,
    data: Data = "icons",
    group: Group | None = None,
    recipe: Recipe | RecipeSpec | str | None = None,
    settings: Sequence[Setting] = (),
    pretrained: RunLike | None = None,
    teacher: RunLike | None = None,
    grow: str | None = None,
    law: ScalingLaw | str | Path | None = None,
    callbacks: Sequence[Callback | str] = (),
    out: str | Path | None = None,
    seed: int = 0,
    device: str | None = None,
    progress: Progress | bool = True,
    should_stop: Callable[[], bool] = lambda: False,
) -> Run:
    """Train one network as it is, but for its classes and input channels, and evaluate it on the test split.

    Called again with the same folder it goes on where it stopped, and gives the run where it is finished. Started by
    `torchrun`, the processes train together: the first one writes the folder, and all give the same run.

    Args:
        network: a network, a name of the zoo, or a network's JSON file.
        data: images and labels, as `allometry.data.as_dataset` takes them: `icons`, a folder of class folders, arrays
            `(images, labels)`, a data set of PyTorch or Hugging Face.
        group: what the images of a group have in common that stay in one split: `folder`, `level:2`, `{group}_*.jpg`, a
            column, `near-duplicates` (see `open_data`).
        recipe: one of `allometry.recipes`, its name, or a full `Recipe`; by default `transfer` with weights to start
            from, else `small`.
        settings: changes to the recipe: `key=value`, or a loss.
        pretrained: weights to start from: a file, `hf://owner/name`, or a run. Their normalization comes along; the
            classifier is new where the classes are others.
        teacher: a run whose network to learn from, too; it must know the same classes.
        grow: budgets that the network grows to during the training, each with the epoch from which on it has that size:
            `5M@2, 10M@5`, or `2x@4` for twice its own MACs. The run is that of the last and largest network.
        law: by which it grows: a law, its name, three numbers or a JSON file; by default `compound`.
        callbacks: are told of the training: `allometry.callbacks.TensorBoard()`, others by value, or by name.
        out: the run folder; by default `runs/NETWORK-DATA`.
        seed: of everything random.
        device: `cpu`, `cuda`, `cuda:1`; by default a GPU if there is one.
        progress: True for a bar or lines, False for silence, or whatever is to be told.
        should_stop: asked after each training step; True stops the run at a checkpoint.

    Raises:
        InputError: network, data, recipe or folder are wrong.
        Stopped: `should_stop` asked for it.
        StorageError: the disk is full, read-only or forbidden.
        NonFiniteLossError: the training diverged.
        OutOfMemoryError: a step did not fit into the memory.
        CallbackError: a callback failed.

    Example, with a small `network`, `images` and `labels`:
        >>> run = train(network, data=(images, labels), settings=["epochs=2"], out=folder / "b", progress=False)
        >>> run.network.head.classes, len(run.history), 0 <= run.evaluation.accuracy <= 1
        (2, 2, True)
    """
    display = as_progress(progress)
    request = _request(
        network, data, group, recipe, settings, pretrained, teacher, grow, law, seed=seed, progress=display
    )
    folder = (
        Path(out) if out is not None else Path("runs") / f"{value_name(network)}-{data_name(request.data)}"
    )
    with open_joint_session(
        folder,
        command="train",
        arguments=request.arguments(),
        seed=seed,
        device=device,
        progress=display,
        should_stop=should_stop,
        callbacks=callbacks,
    ) as session:
        dist = session.dist
        finished = dist.broadcast_object(dist.is_main and is_finished(session))
        if not finished:
            train_in_folder(session, request)
        run: Run = dist.broadcast_object(open_run(folder) if dist.is_main else None)
        return replace(run, dataset=request.data if isinstance(request.data, Dataset) else None)


def forecast_train(
    network: Network | str | Path,
    *,
    data: Data = "icons",
    group: Group | None = None,
    recipe: Recipe | RecipeSpec | str | None = None,
    settings: Sequence[Setting] = (),
    pretrained: RunLike | None = None,
    teacher: RunLike | None = None,
    grow: str | None = None,
    law: ScalingLaw | str | Path | None = None,
    seed: int = 0,
    device: str | None = None,
    progress: Progress | bool = True,
) -> Forecast:
    """What `train` with these arguments would do and cost here; nothing is written or trained.

    The arguments and errors are those of `train`.
    """
    display = as_progress(progress)
    request = _request(
        network, data, group, recipe, settings, pretrained, teacher, grow, law, seed=seed, progress=display
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        open_session(
            Path(folder) / "forecast",
            command="train",
            arguments=request.arguments(),
            seed=seed,
            device=device,
            progress=display,
            should_stop=lambda: False,
        ) as session,
    ):
        return forecast(train_job(session, request)[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRequest:
    """What is trained, by values and by how the run folder remembers them.

    Attributes:
        network: what is trained.
        called: how the folder remembers it.
        data: a name, or the data set itself.
        recipe: how it is trained.
        pretrained: weights to start from.
        teacher: the run folder of a network to learn from, or that network.
        grow: in what steps the network grows, as it was written.
        law: by which it grows.
    """

    network: Network
    called: str
    data: Dataset | str
    recipe: Recipe | RecipeSpec
    pretrained: str | None
    teacher: str | Teacher | None
    grow: str | None = None
    law: ScalingLaw = COMPOUND

    def arguments(self) -> dict[str, Any]:
        """As the run folder remembers it; what is not given is left out."""
        options: dict[str, Any] = {"pretrained": self.pretrained, "teacher": self.teacher, "grow": self.grow}
        if self.law != COMPOUND:
            options["law"] = law_argument(self.law)
        return {
            "network": self.called,
            "data": data_argument(self.data),
            **recipe_arguments(self.recipe),
            **{name: value for name, value in options.items() if value is not None},
        }


def _request(
    network: Network | str | Path,
    data: Data,
    group: Group | None,
    recipe: Recipe | RecipeSpec | str | None,
    settings: Sequence[Setting],
    pretrained: RunLike | None,
    teacher: RunLike | None,
    grow: str | None,
    law: ScalingLaw | str | Path | None,
    *,
    seed: int,
    progress: Progress,
) -> TrainRequest:
    """The arguments, if all of their names are known; cheap mistakes are told before images are read."""
    default, known = "small" if pretrained is None else "transfer", as_network(network)
    if grow is not None:
        parse_growth(grow, count(known))
    elif law is not None:
        raise InputError(
            "A law says how a network grows in its training: give the steps, too (grow, --grow '5M@2')."
        )
    return TrainRequest(
        network=known,
        called=value_argument(network),
        recipe=as_recipe(default if recipe is None else recipe, settings=settings),
        pretrained=None if pretrained is None else weights_argument(pretrained),
        teacher=None if teacher is None else str(folder_of(teacher)),
        grow=grow,
        law=COMPOUND if law is None else as_law(law),
        data=settle_data(data, group=group, seed=seed, progress=progress),
    )


def train_in_folder(session: Session, request: TrainRequest, *, images: Images | None = None) -> None:
    """Train in a run folder, evaluate, and write the result.

    Args:
        session: of the run.
        request: what is trained.
        images: to learn from, where they have been read.

    Raises:
        Stopped: the user asked for it.
        NonFiniteLossError: the training diverged.
    """
    folder = session.run.path
    job, images = train_job(session, request, images)
    save(job.network, folder / NETWORK)
    if job.smaller:
        _announce_growth(session, job, request.law)
    job.preprocessing.save(folder / PREPROCESSING)
    write_recipe(folder, job.recipe.to_dict())
    session.halt_if_requested()
    trained = train_network(job)
    if not session.dist.is_main:
        return
    session.run.record_cost("train", job.network.name, seconds=trained.seconds, images=trained.images)
    session.halt_if_requested()
    # What follows is the first process's alone.
    evaluation = judge(session, trained, replace(job, dist=ALONE))
    result = TrainResult(
        data=images.dataset.name,
        network=job.network.name,
        resolution=job.network.resolution,
        cost=count(job.network),
        validation_accuracy=trained.accuracy,
        test_accuracy=evaluation.accuracy,
        test_interval=evaluation.interval,
        test_images=evaluation.images,
        test_groups=evaluation.groups,
    )
    finish(session, result)


def train_job(
    session: Session, request: TrainRequest, images: Images | None = None
) -> tuple[ClassificationJob, Images]:
    """The training that was asked for, and its images.

    Args:
        session: of the run.
        request: what is trained.
        images: to learn from, where they have been read.

    Raises:
        InputError: network, images, weights and recipe do not fit each other.
    """
    images = read_in_turn(session, request.data) if images is None else images
    network, start = request.network, None
    classes, channels = len(images.dataset.classes), images.dataset.channels
    if request.pretrained is None:
        network = replace(network, head=replace(network.head, classes=classes), in_channels=channels)
    else:
        loaded = start_from(
            session, request.network, request.pretrained, classes=classes, in_channels=channels
        )
        known = Normalization(loaded.conventions.mean, loaded.conventions.std)
        network, images = loaded.network, replace(images, normal=known)
        start = loaded.module.state_dict()
    network = replace(network, name=network.name or session.run.path.name)
    steps = () if request.grow is None else parse_growth(request.grow, count(network))
    largest = max(images.dataset.image_size, network.total_stride, network.resolution)
    networks = (
        network,
        *growth_networks(network, steps, law=request.law, largest_resolution=largest),
    )
    for before, after in pairwise(networks):
        check_growth(before, after)
    network = networks[-1]
    recipe = settle_execution(
        images.resolve(request.recipe, network),
        network,
        images=len(images.dataset.splits["train"]),
        device=session.device,
        processes=session.dist.world_size,
        kept=session.run.kept(RECIPE),
        progress=session.progress,
    )
    recipe = session.dist.broadcast_object(recipe)  # devices may differ; the first process's decides for all
    teacher = request.teacher
    if isinstance(teacher, str):
        teacher = _teacher(session, teacher, images)
    job = session.job(
        network,
        images,
        recipe,
        folder=session.run.path,
        start=start,
        teacher=teacher,
        smaller=tuple(zip(networks[:-1], _epochs_of(steps, recipe), strict=True)),
    )
    return job, images


def _epochs_of(steps: Sequence[GrowthStep], recipe: Recipe) -> list[int]:
    """In how many epochs each network is trained before it grows."""
    begins = [1, *(step.epoch for step in steps)]
    if begins[-1] > recipe.epochs:
        raise InputError(
            f"The network grows at epoch {begins[-1]}, but the training ends with epoch {recipe.epochs}: let it grow "
            f"earlier, or train longer (--set epochs={begins[-1] + 1})."
        )
    return [after - before for before, after in pairwise(begins)]


def _announce_growth(session: Session, job: ClassificationJob, law: ScalingLaw) -> None:
    """Write down and tell which network is trained in which epochs."""
    phases = [
        GrowthPhase(
            network=part.network,
            cost=count(part.network),
            first_epoch=part.epochs[0].number + 1,
            epochs=len(part.epochs),
        )
        for part in job.networks
    ]
    GROWTH.write(session.run.path, GrowthSchedule(phases=tuple(phases), law=law))
    for phase in phases:
        session.progress.say(
            f"epochs {phase.first_epoch} to {phase.last_epoch}: {format_quantity(phase.cost.macs)} MACs, "
            f"{format_quantity(phase.cost.params)} params, {phase.network.resolution} px"
        )


def _teacher(session: Session, run: str, images: Images) -> Teacher:
    finished = open_finished(Path(run))
    theirs, ours = finished.preprocessing, images.dataset
    if theirs.multi_label != ours.multi_label:
        raise InputError(
            f"The teacher {run} and these images differ: one has several labels an image, the other one."
        )
    if theirs.classes != ours.classes or theirs.channels != ours.channels:
        only = sorted(set(theirs.classes) ^ set(ours.classes))[:5]
        why = f"{', '.join(map(repr, only))} are not in both" if only else "color and gray images differ"
        raise InputError(
            f"The teacher {run} was trained on other classes or channels than {ours.name} has ({why}); "
            "give a run on images of the same classes."
        )
    module = finished.module.to(session.device).requires_grad_(requires_grad=False)
    return Teacher(module.eval(), theirs)
