"""`allometry train`: one network, trained as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from allometry.arch import Network, save
from allometry.base import Progress, SilentProgress, UnknownNameError
from allometry.base.files import write_json
from allometry.cost import count
from allometry.data import Normalisation
from allometry.pipeline.common import (
    Images,
    Session,
    data_argument,
    data_name,
    finish,
    finished_result,
    open_session,
    read_data,
    tested,
)
from allometry.pipeline.delivery import judge
from allometry.pipeline.devices import refuse_too_large
from allometry.pipeline.pretrained import start_from
from allometry.train import RECIPES, train
from allometry.zoo import find as find_network

if TYPE_CHECKING:
    from torch import Tensor


def train_run(
    network: str,
    *,
    data: str = "icons",
    recipe: str = "small",
    settings: Sequence[str] = (),
    pretrained: str | None = None,
    out: Path | None = None,
    seed: int = 0,
    device: str | None = None,
    progress: Progress = SilentProgress(),
    stopping: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Train one network as it is, but for its classes and input channels, and judge it on the test split.

    Called again with the same folder it goes on where it stopped.

    Args:
        network: a name of the zoo or a network's JSON file.
        data: `icons`, a folder of class folders, or whatever else `open_data` takes.
        recipe: a name of `RECIPES`.
        settings: changes to the recipe, `key=value`.
        pretrained: weights to start from: a file, `hf://owner/name`, or a run folder. Their normalisation
            comes along; the classifier is new where the classes are others.
        out: the run folder; by default `runs/NETWORK-DATA`.
        seed: of everything random.
        device: `cpu`, `cuda`, `cuda:1`; by default a GPU if there is one.
        progress: is told how it goes.
        stopping: asked after each training step; True stops the run at a checkpoint.

    Raises:
        InputError: network, data, recipe or folder are wrong.
        Stopped: `stopping` asked for it.
        StorageError: the disk is full, read-only or forbidden.
        NonFiniteLossError: the training diverged.
    """
    asked = find_network(network)
    if recipe not in RECIPES:
        raise UnknownNameError("recipe", recipe, RECIPES)
    folder = out or Path("runs") / f"{Path(network).stem}-{data_name(data)}"
    arguments = {
        "network": network,
        "data": data_argument(data),
        "recipe": recipe,
        "settings": list(settings),
        **({"pretrained": pretrained} if pretrained is not None else {}),
    }
    with open_session(
        folder,
        command="train",
        arguments=arguments,
        seed=seed,
        device=device,
        progress=progress,
        stopping=stopping,
    ) as session:
        if pretrained is None:
            return finished_result(session) or _train(session, asked, data, recipe, settings)
        return finished_result(session) or _tune(session, network, pretrained, data, recipe, settings)


def _train(
    session: Session, asked: Network, data: str, recipe: str, settings: Sequence[str]
) -> dict[str, Any]:
    """From fresh weights."""
    images = read_data(session, data)
    network = replace(
        asked,
        head=replace(asked.head, classes=len(images.dataset.classes)),
        in_channels=images.dataset.channels,
    )
    return _through(session, network, images, recipe, settings)


def _tune(
    session: Session, network: str, weights: str, data: str, recipe: str, settings: Sequence[str]
) -> dict[str, Any]:
    """From published weights, with their normalisation."""
    images = read_data(session, data)
    classes, channels = len(images.dataset.classes), images.dataset.channels
    loaded = start_from(session, network, weights, classes=classes, in_channels=channels)
    known = Normalisation(loaded.conventions.mean, loaded.conventions.std)
    return _through(
        session,
        loaded.network,
        replace(images, normal=known),
        recipe,
        settings,
        start=loaded.module.state_dict(),
    )


def _through(
    session: Session,
    network: Network,
    images: Images,
    recipe: str,
    settings: Sequence[str],
    *,
    start: Mapping[str, Tensor] | None = None,
) -> dict[str, Any]:
    folder, dataset = session.run.path, images.dataset
    network = replace(network, name=network.name or folder.name)
    job = session.job(network, images, images.recipe(RECIPES[recipe], settings), folder=folder, start=start)
    refuse_too_large(network, batch_size=job.recipe.batch_size, device=session.device)
    save(network, folder / "network.json")
    job.preprocessing.save(folder / "preprocessing.json")
    write_json(folder / "recipe.json", job.recipe.to_dict())
    session.halt_if_asked()
    trained = train(job)
    session.run.charge("train", network.name, seconds=trained.seconds, images=trained.images)
    session.halt_if_asked()
    evaluation = judge(session, trained, job)
    result = {
        "data": dataset.name,
        "network": network.name,
        "resolution": network.resolution,
        **count(network)._asdict(),
        **tested(trained, evaluation),
    }
    return finish(session, result)
