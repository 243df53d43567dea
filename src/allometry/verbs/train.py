"""`allometry train`: one network, trained as it is, by one process or several."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from allometry.arch import save
from allometry.base import InputError, Progress, SilentProgress
from allometry.base.files import write_json
from allometry.catalog import as_network
from allometry.cost import count
from allometry.data import Normalization, data_name
from allometry.runs import TrainResult
from allometry.training import ALONE, RECIPES, ClassificationJob, Teacher, train
from allometry.training.forecast import Forecast, forecast
from allometry.training.images import Images
from allometry.training.memory import settle_execution
from allometry.training.pretrained import open_finished, start_from
from allometry.training.requests import TrainRequest, make_request
from allometry.training.session import Session, open_joint_session, open_session, plain_name, read_in_turn
from allometry.training.tensorboard import open_tensorboard
from allometry.verbs.stages import finish, finished_result, judge


def train_run(
    network: str,
    *,
    data: str = "icons",
    recipe: str | None = None,
    settings: Sequence[str] = (),
    pretrained: str | None = None,
    teacher: str | None = None,
    board: bool = False,
    out: Path | None = None,
    seed: int = 0,
    device: str | None = None,
    progress: Progress = SilentProgress(),
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Train one network as it is, but for its classes and input channels, and judge it on the test split.

    Called again with the same folder it goes on where it stopped. Started by `torchrun`, the processes train
    together: the first one writes the folder, the others return an empty result.

    Args:
        network: a name of the zoo or a network's JSON file.
        data: `icons`, a folder of class folders, or whatever else `open_data` takes.
        recipe: a name of `RECIPES`; by default `transfer` with weights to start from, else `small`.
        settings: changes to the recipe, `key=value`.
        pretrained: weights to start from: a file, `hf://owner/name`, or a run folder. Their normalization
            comes along; the classifier is new where the classes are others.
        teacher: the run folder of a network to learn from, too; it must know the same classes.
        board: write TensorBoard's files into the folder, too.
        out: the run folder; by default `runs/NETWORK-DATA`.
        seed: of everything random.
        device: `cpu`, `cuda`, `cuda:1`; by default a GPU if there is one.
        progress: is told how it goes.
        should_stop: asked after each training step; True stops the run at a checkpoint.

    Raises:
        InputError: network, data, recipe or folder are wrong.
        Stopped: `should_stop` asked for it.
        StorageError: the disk is full, read-only or forbidden.
        NonFiniteLossError: the training diverged.
        OutOfMemoryError: a step did not fit into the memory.
    """
    asked = make_request(
        network, data=data, recipe=recipe, settings=settings, pretrained=pretrained, teacher=teacher
    )
    folder = out or Path("runs") / f"{plain_name(network)}-{data_name(data)}"
    with open_joint_session(
        folder,
        command="train",
        arguments=asked.arguments(),
        seed=seed,
        device=device,
        progress=progress,
        should_stop=should_stop,
    ) as session:
        dist = session.dist
        done: dict[str, Any] | None = dist.broadcast_object(
            finished_result(session) if dist.is_main else None
        )
        if done is not None:
            return done if dist.is_main else {}
        return _train(session, asked, board=board)


def forecast_run(
    network: str,
    *,
    data: str = "icons",
    recipe: str | None = None,
    settings: Sequence[str] = (),
    pretrained: str | None = None,
    teacher: str | None = None,
    seed: int = 0,
    device: str | None = None,
    progress: Progress = SilentProgress(),
) -> Forecast:
    """What `train_run` with these arguments would do and cost here; nothing is written or trained.

    The arguments and errors are those of `train_run`.
    """
    asked = make_request(
        network, data=data, recipe=recipe, settings=settings, pretrained=pretrained, teacher=teacher
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        open_session(
            Path(folder) / "forecast",
            command="train",
            arguments=asked.arguments(),
            seed=seed,
            device=device,
            progress=progress,
            should_stop=lambda: False,
        ) as session,
    ):
        return forecast(_job(session, asked)[0])


def _train(session: Session, asked: TrainRequest, *, board: bool) -> dict[str, Any]:
    folder, dist = session.run.path, session.dist
    job, images = _job(session, asked)
    save(job.network, folder / "network.json")
    job.preprocessing.save(folder / "preprocessing.json")
    write_json(folder / "recipe.json", job.recipe.to_dict())
    session.halt_if_asked()
    with open_tensorboard(folder / "tensorboard", wanted=board and dist.is_main) as on_epoch_end:
        trained = train(replace(job, on_epoch_end=on_epoch_end))
    if not dist.is_main:
        return {}
    session.run.record_cost("train", job.network.name, seconds=trained.seconds, images=trained.images)
    session.halt_if_asked()
    # What follows is the leader's alone.
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
    )
    return finish(session, result)


def _job(session: Session, asked: TrainRequest) -> tuple[ClassificationJob, Images]:
    """The training that was asked for, and its images."""
    images = read_in_turn(session, asked.data)
    network, start = as_network(asked.network), None
    classes, channels = len(images.dataset.classes), images.dataset.channels
    if asked.pretrained is None:
        network = replace(network, head=replace(network.head, classes=classes), in_channels=channels)
    else:
        loaded = start_from(session, asked.network, asked.pretrained, classes=classes, in_channels=channels)
        known = Normalization(loaded.conventions.mean, loaded.conventions.std)
        network, images = loaded.network, replace(images, normal=known)
        start = loaded.module.state_dict()
    network = replace(network, name=network.name or session.run.path.name)
    recipe = settle_execution(
        images.recipe(RECIPES[asked.recipe], network, asked.settings),
        network,
        images=len(images.dataset.splits["train"]),
        device=session.device,
        processes=session.dist.world_size,
        kept=session.run.path / "recipe.json",
        progress=session.progress,
    )
    recipe = session.dist.broadcast_object(recipe)  # devices may differ; the leader's decides for all
    teacher = None if asked.teacher is None else _teacher(session, asked.teacher, images)
    job = session.job(network, images, recipe, folder=session.run.path, start=start, teacher=teacher)
    return job, images


def _teacher(session: Session, run: str, images: Images) -> Teacher:
    finished = open_finished(Path(run))
    theirs, ours = finished.preprocessing, images.dataset
    if theirs.classes != ours.classes or theirs.channels != ours.channels:
        only = sorted(set(theirs.classes) ^ set(ours.classes))[:5]
        why = f"{', '.join(map(repr, only))} are not in both" if only else "color and gray images differ"
        raise InputError(
            f"The teacher {run} was trained on other classes or channels than {ours.name} has ({why}); "
            "give a run on images of the same classes."
        )
    module = finished.module.to(session.device).requires_grad_(requires_grad=False)
    return Teacher(module.eval(), theirs)
