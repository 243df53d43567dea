"""`allometry train`: one network, trained as it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from allometry.arch import Network, save
from allometry.base import Progress, SilentProgress, UnknownNameError
from allometry.base.files import write_json
from allometry.cost import count
from allometry.pipeline.common import (
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
from allometry.train import RECIPES, train
from allometry.zoo import find as find_network


def train_run(
    network: str,
    *,
    data: str = "icons",
    recipe: str = "small",
    settings: Sequence[str] = (),
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
        data: `icons` or a folder of class folders.
        recipe: a name of `RECIPES`.
        settings: changes to the recipe, `key=value`.
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
        return finished_result(session) or _train(session, asked, data, recipe, settings)


def _train(
    session: Session, asked: Network, data: str, recipe: str, settings: Sequence[str]
) -> dict[str, Any]:
    folder, images = session.run.path, read_data(session, data)
    dataset = images.dataset
    network = replace(
        asked,
        head=replace(asked.head, classes=len(dataset.classes)),
        in_channels=dataset.channels,
        name=asked.name or folder.name,
    )
    job = session.job(network, images, images.recipe(RECIPES[recipe], settings), folder=folder)
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
