"""`allometry supernet` of a torch module, whoever wrote it: what was asked for, and a member taken out."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from allometry.arch import ModuleMember
from allometry.base import InputError, Progress
from allometry.base.checks import check_seed
from allometry.base.reading import is_folder
from allometry.base.text import shown
from allometry.cost import Budget
from allometry.data import Data, Group, settle_data
from allometry.nn import ModuleElasticity
from allometry.runs import Evaluation, MultiLabelEvaluation
from allometry.runs.files import EVALUATION, LABEL_EVALUATION
from allometry.supernets.config import SupernetConfig
from allometry.supernets.module_extraction import ModuleExtraction, extract_module
from allometry.supernets.module_run import ModuleRequest, fresh_module
from allometry.supernets.opened import OpenSupernet
from allometry.training.recipes.settings import Setting
from allometry.training.session import Session, open_session
from allometry.verbs.arguments import RunLike, weights_argument
from allometry.verbs.evaluate import evaluate_split
from allometry.verbs.stages import finish, is_finished


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleArguments:
    """What of `supernet.train` goes with a module.

    Attributes:
        module: `package.module:factory`, `timm:NAME`, or the module itself.
        resolution: of the largest images.
        elasticity: how much of it is left open.
    """

    module: nn.Module | str
    resolution: int | None
    elasticity: ModuleElasticity

    @property
    def called(self) -> str:
        """The module's part of the name of a run folder."""
        module = self.module
        return module.rpartition(":")[2] if isinstance(module, str) else type(module).__name__


def module_arguments(
    space: object,
    module: nn.Module | str | None,
    resolution: int | None,
    elasticity: ModuleElasticity | None,
) -> ModuleArguments | None:
    """What goes with a module, or None for a space.

    Raises:
        InputError: both or neither is given, or something that goes with a module alone.
    """
    if module is None:
        if space is None:
            raise InputError(
                "Give a space or a network, or the torch module of which a supernet shall be made."
            )
        for name, value in (("resolution", resolution), ("elasticity", elasticity)):
            if value is not None:
                raise InputError(f"{name} is for torch modules (module): a space says its own.")
        return None
    if space is not None:
        raise InputError(
            f"Give either a space or a torch module, not both {shown(space)} and {shown(module)}."
        )
    if not isinstance(module, nn.Module | str):
        raise InputError(f"module is a torch module or package.module:factory, not {shown(module)}.")
    return ModuleArguments(module=module, resolution=resolution, elasticity=elasticity or ModuleElasticity())


def module_request(
    arguments: ModuleArguments,
    data: Data,
    group: Group | None,
    budget: Budget | str | None,
    config: SupernetConfig,
    settings: Sequence[Setting],
    start: RunLike | None,
    *,
    seed: int,
    progress: Progress,
) -> ModuleRequest:
    """What the arguments stand for, each of them checked.

    Raises:
        InputError: a budget is given, or one of the others is wrong.
    """
    if budget is not None:
        raise InputError(
            "The largest subnet of a module is the module as its factory makes it, so it takes no budget: bring the "
            "module to one by `allometry grow --module` before, or give the budget to `allometry supernet search`."
        )
    weights = None if start is None else weights_argument(start)
    if weights is not None and is_folder(weights):
        raise InputError(
            f"A torch module starts from a file of weights by its own names, or hf://owner/name, not from the folder "
            f"{weights}."
        )
    check_seed(seed)
    given = arguments.module
    return ModuleRequest(
        module=fresh_module(given, seed=seed) if isinstance(given, str) else copy.deepcopy(given).cpu(),
        factory=given if isinstance(given, str) else None,
        resolution=arguments.resolution,
        elasticity=arguments.elasticity,
        data=settle_data(data, group=group, seed=seed, progress=progress),
        config=config,
        settings=tuple(settings),
        start=weights,
    )


def extract_member(
    opened: OpenSupernet,
    member: ModuleMember,
    folder: Path,
    *,
    arguments: dict[str, object],
    device: str | None,
    should_stop: Callable[[], bool],
) -> None:
    """Take a member out into a run folder, and judge it on the test images.

    Raises:
        InputError: the member cannot be made again from a file.
        Stopped: the user asked for it.
    """
    with open_session(
        folder,
        command="supernet extract",
        arguments=arguments,
        seed=opened.session.seed,
        device=device,
        progress=opened.session.progress,
        should_stop=should_stop,
    ) as session:
        if is_finished(session):
            return
        extraction = extract_module(session, opened, member)
        session.halt_if_requested()
        evaluation = _judge(session, opened, extraction)
        finish(session, extraction.result(evaluation))


def _judge(
    session: Session, opened: OpenSupernet, extraction: ModuleExtraction
) -> Evaluation | MultiLabelEvaluation:
    """Evaluate a member on the test split, and write what came of it."""
    began, split = time.monotonic(), opened.images.dataset.splits["test"]
    _, evaluation = evaluate_split(
        extraction.module,
        split,
        name="test",
        preprocessing=extraction.preprocessing,
        device=session.device,
        progress=session.progress,
    )
    session.run.record_cost("evaluate", "test", seconds=time.monotonic() - began, images=len(split))
    if isinstance(evaluation, MultiLabelEvaluation):
        LABEL_EVALUATION.write(session.run.path, evaluation)
    else:
        EVALUATION.write(session.run.path, evaluation)
    return evaluation
