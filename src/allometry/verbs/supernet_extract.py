"""`allometry supernet extract`: a subnet as a run folder of its own, which every other verb takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from allometry.arch import Network, digest, load, save
from allometry.base import InputError, Progress, SilentProgress, UnknownNameError
from allometry.base.files import write_json
from allometry.cost import count
from allometry.nn import save_weights
from allometry.runs import ExtractResult, Subnet
from allometry.runs.files import known_subnets
from allometry.runs.folder import find_run
from allometry.supernets import ESTIMATED, extract_subnet, preprocessing_of
from allometry.supernets.opened import OpenSupernet, open_supernet
from allometry.training import FINAL, ClassificationJob, Recipe, Trained, change, evaluate, train
from allometry.training.recipes.specs import check_settings
from allometry.training.session import Session, open_session
from allometry.verbs.stages import finish, finished_result, judge

_FINE = 0.1  # of the recipe's learning rate: the weights are good already


def supernet_extract(
    run: Path,
    subnet: str,
    *,
    epochs: int = 0,
    out: Path | None = None,
    device: str | None = None,
    settings: Sequence[str] = (),
    progress: Progress = SilentProgress(),
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Take a subnet out of a trained supernet, and write it as a run folder that `export`, `evaluate` and others take.

    Args:
        run: folder of `supernet_train`.
        subnet: name of one that `supernet_search` has found, or a network's JSON file; any member of the space.
        epochs: of training it further by itself, from its weights in the supernet; 0 for none.
        out: the new run folder; by default beside the supernet's, with the subnet's name.
        device: `cpu`, `cuda`, `cuda:1`; by default a GPU if there is one.
        settings: changes to the recipe of that further training, `key=value`.
        progress: is told how it goes.
        should_stop: True stops the further training at a checkpoint.

    Returns:
        Figures of the subnet, and its test accuracy.

    Raises:
        RunFolderError: there is no trained supernet.
        UnknownNameError: no subnet of that name was found; the message lists those that were.
        NetworkError: the network is no member of the space; the message says what differs.
        InputError: epochs are negative, or settings are given without any.
        Stopped: `should_stop` asked for it.

    Source: Once-for-All (Cai et al. 2020), section 4.1: 25 or 75 epochs of further training, if any.
    """
    if epochs < 0:
        raise InputError(f"epochs must be at least 0, not {epochs}.")
    if settings and not epochs:
        raise InputError("Settings change the recipe of a further training; give --epochs, too.")
    check_settings(settings)
    network, name = _find(run, subnet)
    folder = out or run.parent / f"{run.name}-{name}"
    with open_supernet(run, device=device, progress=progress, should_stop=should_stop) as opened:
        opened.space.decisions_of(network)  # what is no member is refused before a folder is made
        arguments = {
            "supernet": str(run.resolve()),
            "subnet": digest(network),
            "data": opened.session.run.info.arguments["data"],
            "epochs": epochs,
            "settings": list(settings),
        }
        with open_session(
            folder,
            command="supernet extract",
            arguments=arguments,
            seed=opened.session.seed,
            device=device,
            progress=progress,
            should_stop=should_stop,
        ) as session:
            done = finished_result(session)
            if done is not None:
                return done
            return _extract(session, opened, replace(network, name=name), epochs, settings)


def _find(run: Path, subnet: str) -> tuple[Network, str]:
    """The network that is meant, and a name for it."""
    find_run(run)
    path = Path(subnet)
    if path.suffix == ".json":
        return load(path), path.parent.name if path.stem == "network" else path.stem
    known = known_subnets(run)
    if not known:
        raise InputError(
            f"No subnet of {run} has been found yet: run `allometry supernet search {run} --budget ...` first, or give "
            f"a network's JSON file instead of {subnet!r}."
        )
    if subnet not in known:
        raise UnknownNameError("subnet", subnet, known, "A network's JSON file works too.")
    return known[subnet].network, subnet


def _extract(
    session: Session, opened: OpenSupernet, network: Network, epochs: int, settings: Sequence[str]
) -> dict[str, Any]:
    folder, images = session.run.path, opened.images
    asked = preprocessing_of(network, opened.preprocessing)
    recipe = _recipe(opened.recipe, epochs, settings)
    job = ClassificationJob(
        network=network,
        dataset=images.dataset,
        preprocessing=asked,
        recipe=recipe,
        folder=folder,
        seed=session.seed,
        device=session.device,
        label="further training",
        progress=session.progress,
        should_stop=session.should_stop,
    )
    save(network, folder / "network.json")
    asked.save(folder / "preprocessing.json")
    write_json(folder / "recipe.json", recipe.to_dict())
    split = images.dataset.splits["train"]
    module = extract_subnet(
        opened.supernet,
        network,
        split,
        preprocessing=opened.preprocessing,
        seed=session.seed,
        images=ESTIMATED,
    )
    before = evaluate(module, images.dataset.splits["val"], preprocessing=asked, device=session.device)
    if epochs:
        trained = train(replace(job, start=module.state_dict()))
        session.run.record_cost("train", network.name, seconds=trained.seconds, images=trained.images)
        accuracy = trained.accuracy
    else:
        save_weights(folder / "checkpoints" / FINAL, module, metadata={"identity": job.identity})
        trained = Trained(module.cpu(), (), 0.0, 0, 0)
        accuracy = before.accuracy
    evaluation = judge(session, trained, job)
    searched = _searched(opened.session.run.path, network)
    result = ExtractResult(
        data=images.dataset.name,
        network=network.name,
        resolution=network.resolution,
        cost=count(network)._replace(latency=searched.cost.latency if searched else None),
        validation_accuracy=accuracy,
        test_accuracy=evaluation.accuracy,
        test_interval=evaluation.interval,
        test_images=evaluation.images,
        supernet=str(opened.session.run.path.resolve()),
        epochs=epochs,
        extracted_accuracy=before.accuracy,
        budget=searched.budget if searched else None,
        predicted_accuracy=searched.predicted_accuracy if searched else None,
        predicted_latency=searched.predicted_latency if searched else None,
        measured=searched.measured if searched else None,
    )
    return finish(session, result)


def _searched(run: Path, network: Network) -> Subnet | None:
    """The subnet that `supernet_search` gave, if this is one."""
    own = digest(network)
    return next((each for each in known_subnets(run).values() if digest(each.network) == own), None)


def _recipe(recipe: Recipe, epochs: int, settings: Sequence[str]) -> Recipe:
    """The supernet's recipe, gentler, for a training that goes on from good weights."""
    if not epochs:
        return recipe
    gentle = replace(recipe, epochs=epochs, learning_rate=_FINE * recipe.learning_rate, warmup=0.0)
    return change(gentle, *settings)
