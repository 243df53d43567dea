"""What `supernet.train` was asked for, of a space or of a torch module, and the training that comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from allometry.arch import Network, Space
from allometry.base import InputError, Progress
from allometry.base.reading import is_folder
from allometry.cost import Budget, as_budget
from allometry.data import Data, Group, settle_data
from allometry.nas.search_spaces import SpaceLike, as_space, reference_of
from allometry.runs.arguments import value_argument
from allometry.supernets.config import SupernetConfig
from allometry.supernets.module_run import ModuleRequest, module_job
from allometry.supernets.training_run import AnySupernetJob, SupernetRequest, supernet_job
from allometry.training.images import Images
from allometry.training.pretrained import open_finished
from allometry.training.recipes.settings import Setting
from allometry.training.session import Session
from allometry.verbs.arguments import RunLike, weights_argument
from allometry.verbs.supernet_module import ModuleArguments, module_request


def job_of(session: Session, request: SupernetRequest | ModuleRequest, images: Images) -> AnySupernetJob:
    """The training that was asked for.

    Raises:
        InputError: something does not fit the images or something else.
    """
    if isinstance(request, ModuleRequest):
        return module_job(session, request, images)
    return supernet_job(session, request, images)


def request_of(
    space: SpaceLike | ModuleArguments | None,
    data: Data,
    group: Group | None,
    budget: Budget | str | None,
    config: SupernetConfig,
    settings: Sequence[Setting],
    start: RunLike | None,
    *,
    seed: int,
    progress: Progress,
) -> SupernetRequest | ModuleRequest:
    """What the arguments stand for, each of them checked."""
    if isinstance(space, ModuleArguments):
        return module_request(
            space, data, group, budget, config, settings, start, seed=seed, progress=progress
        )
    assert space is not None  # noqa: S101 - `module_arguments` has refused that
    opened = as_space(space)
    return SupernetRequest(
        space=opened,
        named=value_argument(space),
        data=settle_data(data, group=group, seed=seed, progress=progress),
        budget=None if budget is None else as_budget(budget, reference_of(opened)),
        config=config,
        settings=tuple(settings),
        start=None if start is None else _start(start, opened),
    )


def _start(start: RunLike, space: Space | Network) -> tuple[Network, str]:
    """The network of the weights that a supernet starts from, and the weights."""
    weights = weights_argument(start)
    if is_folder(weights):
        return open_finished(Path(weights)).network, weights
    if isinstance(space, Network):
        return space, weights
    raise InputError(
        f"{weights} does not say what network its weights are of: give that network, and a space is made around it, or "
        "give a run."
    )
