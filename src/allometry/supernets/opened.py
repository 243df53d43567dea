"""A trained supernet opened for use: its space, weights, images, and the accuracies that were measured so far."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from allometry.arch import ModuleSpace, Space
from allometry.arch.any_space import AnySpace, load_any_space
from allometry.base import InputError, Progress, RunFolderError
from allometry.catalog import names_module
from allometry.data import Dataset, is_value
from allometry.nas import narrow
from allometry.runs.files import PHASES, PREPROCESSING, SPACE
from allometry.runs.folder import find_run, work_in
from allometry.supernets.config import supernet_recipe
from allometry.supernets.coupling import couple_encodings
from allometry.supernets.elastic import Supernet, supernet_of
from allometry.supernets.elastic_module import ElasticModule, supernet_of_module
from allometry.supernets.elastic_net import ElasticNet, LayerOptions
from allometry.supernets.evolution import Transform
from allometry.supernets.module_run import fresh_module, module_recipe
from allometry.supernets.task import SUPERNET
from allometry.training import Preprocessing, Recipe, load_weights
from allometry.training.devices import resolve_device
from allometry.training.images import Images
from allometry.training.session import Session, read_data

COMMAND = "supernet train"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSupernet:
    """A trained supernet with what it needs to be used.

    Attributes:
        session: of the call, in the supernet's folder.
        space: of its subnets: what the last phase trains.
        supernet: with its weights, in evaluation mode, on the session's device.
        images: that it was trained on.
        preprocessing: how they become the input of the largest network.
        recipe: by which it was trained.
        coupled: whether width follows depth in its subnets.
        module: as its factory gives it, or as it was given, where the supernet is a torch module's.
    """

    session: Session
    space: AnySpace
    supernet: ElasticNet
    images: Images
    preprocessing: Preprocessing
    recipe: Recipe
    coupled: bool
    module: nn.Module | None = None

    @property
    def transform(self) -> Transform | None:
        """What makes subnets of encodings whose width does not follow their depth, if it has to."""
        space = self.space
        if not self.coupled or not isinstance(space, Space):
            return None
        return lambda encodings: couple_encodings(space, encodings)


@contextmanager
def open_supernet(
    path: Path,
    *,
    data: Dataset | str | None = None,
    module: nn.Module | None = None,
    device: str | None,
    progress: Progress,
    should_stop: Callable[[], bool],
) -> Iterator[OpenSupernet]:
    """Open the run folder of a supernet; nobody else may use it meanwhile.

    Args:
        path: of the folder.
        data: the images where the folder cannot name them, since they were given as a value.
        module: where the supernet is one's that was given as a value, too.
        device: `cpu`, `cuda`, `cuda:1`; None for a GPU if there is one.
        progress: is told how it goes.
        should_stop: True stops what is under way.

    Raises:
        RunFolderError: there is none, its training is not finished, a file is damaged, or the folder is in use.
        InputError: no such device.
        DataError: the images have gone.
    """
    command = find_run(path).info.command
    if command != COMMAND:
        raise RunFolderError(
            f"{path} was made by `allometry {command}`; give the folder of `allometry {COMMAND}`."
        )
    place = resolve_device(device)
    with work_in(path) as run:
        info = run.info
        session = Session(run=run, seed=info.seed, device=place, progress=progress, should_stop=should_stop)
        whole = load_any_space(path / SPACE)
        space = narrow(whole, PHASES.load(path).phases[-1].part_of(whole))
        images = read_data(session, _images_of(path, info.argument("data", str), data))
        settings = tuple(info.argument("settings", list))
        if isinstance(whole, ModuleSpace):
            recipe = module_recipe(images, settings)
            module = _module_of(path, whole, module, info.seed)
            supernet: ElasticNet = _module_weights(path, whole, module, recipe)
        else:
            recipe, module = supernet_recipe(images, whole, settings), None
            supernet = _weights(path, whole, recipe)
        yield OpenSupernet(
            session=session,
            space=space,
            supernet=supernet.to(place),
            images=images,
            preprocessing=Preprocessing.load(path / PREPROCESSING),
            recipe=recipe,
            coupled=info.argument("coupled", bool),
            module=module,
        )


def _images_of(path: Path, remembered: str, data: Dataset | str | None) -> Dataset | str:
    """The images that a folder remembers, or the value that it was made with."""
    if not is_value(remembered):
        return remembered
    if data is None:
        raise InputError(
            f"{path} was trained on images that were given as a value, which a folder cannot name: give the run that "
            "`supernet.train` returned, or save the images as a file and train on its name."
        )
    return data


def _weights(path: Path, space: Space, recipe: Recipe) -> Supernet:
    weights = load_weights(path / SUPERNET)
    options = LayerOptions(frozen_statistics=recipe.batch_norm == "frozen")
    try:
        return supernet_of(space, weights, options=options)
    except InputError as error:
        raise RunFolderError(f"The weights {path / SUPERNET} are not those of {path / SPACE}.") from error


def _module_of(path: Path, space: ModuleSpace, module: nn.Module | None, seed: int) -> nn.Module:
    """The module that a folder names, or the value that its supernet was made of."""
    if names_module(space.module):
        return fresh_module(space.module, seed=seed)
    if module is None:
        raise InputError(
            f"{path} is the supernet of a module that was given as a value, which a folder cannot name: give the "
            "run that `supernet.train` returned, or train with its factory's name."
        )
    return module


def _module_weights(path: Path, space: ModuleSpace, module: nn.Module, recipe: Recipe) -> ElasticModule:
    weights = load_weights(path / SUPERNET)
    options = LayerOptions(frozen_statistics=recipe.batch_norm == "frozen")
    return supernet_of_module(space, module, weights, options=options)
