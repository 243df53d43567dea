"""`allometry supernet train` of a torch module, whoever wrote it: what of its arguments goes with one."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from allometry.base import InputError, Progress
from allometry.base.checks import check_seed
from allometry.base.reading import is_folder
from allometry.base.text import shown
from allometry.cost import Budget
from allometry.data import Data, Group, settle_data
from allometry.nn import ModuleElasticity
from allometry.supernets.config import SupernetConfig
from allometry.supernets.module_run import ModuleRequest, fresh_module
from allometry.training.recipes.settings import Setting
from allometry.verbs.arguments import RunLike, weights_argument


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
