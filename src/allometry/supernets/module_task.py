"""The training of a supernet of a torch module, as a task of the training loop."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from allometry.arch import ModuleSpace
from allometry.base import InputError
from allometry.nas import narrow
from allometry.supernets.base_task import BaseSupernetTask, TrainedSupernet, options_in_use
from allometry.supernets.elastic_module import ElasticModule, load_tensors, supernet_of_module
from allometry.supernets.job import BaseSupernetJob
from allometry.supernets.module_sorting import sort_module_channels
from allometry.training import run_task


@dataclass(frozen=True, kw_only=True)
class ModuleSupernetJob(BaseSupernetJob):
    """What is trained, on what, and where; what `SupernetJob` says of the recipe holds here, too.

    What a module drops, and how its weights begin, is its own.

    Attributes:
        space: of its members.
        module: the whole one, with the weights that it begins with.
        start: weights of the whole module to start from instead, which are sorted by what matters.

    Raises:
        InputError: the phases do not follow each other, the module is not for these images, or width shall follow
            depth, which a module has no rule for.

    Example, with a `dataset`, its `preprocessing` and a `recipe`:
        >>> from torch import nn
        >>> from allometry.nn import ModuleElasticity, module_space
        >>> from allometry.supernets import sandwich
        >>> net = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 2))
        >>> space = module_space(net, resolution=8, elasticity=ModuleElasticity(widths=(0.5,), resolutions=()))
        >>> job = ModuleSupernetJob(
        ...     space=space,
        ...     module=net,
        ...     phases=sandwich(space, epochs=1),
        ...     dataset=dataset,
        ...     preprocessing=preprocessing,
        ...     recipe=recipe,
        ...     folder=folder,
        ... )
        >>> [(plan.name, plan.steps) for plan in job.plans]
        [('all', 4)]
    """

    space: ModuleSpace
    module: nn.Module

    def __post_init__(self) -> None:
        refuse_coupled(self.coupled)
        super().__post_init__()
        called, classes = self.space.module, len(self.dataset.classes)
        if self.space.classes != classes:
            raise InputError(
                f"{called} tells {self.space.classes} classes apart, and the images have {classes}: let its factory "
                f"make {classes}."
            )
        if self.space.in_channels != self.preprocessing.channels:
            raise InputError(
                f"{called} takes images of {self.space.in_channels} channels, and these have "
                f"{self.preprocessing.channels}: let its factory make a module for those."
            )


class ModuleSupernetTask(BaseSupernetTask):
    """All members of a module's space learn in one set of weights.

    Example, with a `dataset`, its `preprocessing` and a `recipe`:
        >>> from torch import nn
        >>> from allometry.nn import ModuleElasticity, module_space
        >>> from allometry.supernets import sandwich
        >>> net = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 2))
        >>> space = module_space(net, resolution=8, elasticity=ModuleElasticity(widths=(0.5,), resolutions=()))
        >>> job = ModuleSupernetJob(
        ...     space=space,
        ...     module=net,
        ...     phases=sandwich(space, epochs=1),
        ...     dataset=dataset,
        ...     preprocessing=preprocessing,
        ...     recipe=recipe,
        ...     folder=folder,
        ... )
        >>> task = ModuleSupernetTask(job)  # `run_task(task)` trains
        >>> task.build()
        >>> task.final.name, task.module.training
        ('supernet.safetensors', True)
    """

    job: ModuleSupernetJob
    module: ElasticModule
    average: ElasticModule

    def begin(self) -> ElasticModule:
        """The module with its own weights, or with those to start from, the most important channels first."""
        job = self.job
        supernet = supernet_of_module(job.space, job.module)
        if job.start is not None:
            load_tensors(supernet.module, job.start, called=job.space.module)
            sort_module_channels(supernet)
        return supernet.train().to(job.device)

    def supernet_of(self, weights: Mapping[str, Tensor]) -> ElasticModule:
        """The supernet with some weights, in evaluation mode."""
        return supernet_of_module(self.job.space, self.job.module, weights, options=options_in_use(self.job))

    def plain_largest(self) -> nn.Module:
        """The whole module, whatever its weights."""
        return copy.deepcopy(self.job.module)

    def sort_channels(self, phase: int) -> None:
        """Put the most important channels first."""
        narrower = narrow(self.job.space, self.job.phases[phase].part_of(self.job.space))
        sort_module_channels(self.module, narrower=narrower, also=[self.average])

    @property
    def classifier(self) -> nn.Module:
        """Nothing: which layer of a module is its classifier is not known, so it has no head epochs."""
        return nn.Identity()

    def layers_above(self, name: str) -> int:
        """None: the order of a module's layers is not known from their names."""
        del name
        return 0

    def decay_share(self, name: str, phase: int) -> float:
        """All of it; or, where the largest member alone is regularized, its part of the mean over the subnets."""
        del name
        plan = self.job.phases[phase]
        alone = plan.regularized == "largest" and self.job.recipe.optimizer == "rmsprop"
        return 1 / plan.subnets if alone else 1.0


def refuse_coupled(coupled: bool) -> None:
    """Refuse width that follows depth, for which a module has no rule.

    Raises:
        InputError: it shall.
    """
    if coupled:
        raise InputError(
            "Width follows depth in networks that are data; in those of a module it cannot: leave out coupled."
        )


def train_module_supernet(job: ModuleSupernetJob) -> TrainedSupernet:
    """Train all phases, or go on with a training that stopped, or give the result of one that is finished.

    The errors and promises are those of `run_task`.

    Example, with a `dataset`, its `preprocessing` and a `recipe`:
        >>> from torch import nn
        >>> from allometry.nn import ModuleElasticity, module_space
        >>> from allometry.supernets import sandwich
        >>> net = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 2))
        >>> space = module_space(net, resolution=8, elasticity=ModuleElasticity(widths=(0.5,), resolutions=()))
        >>> job = ModuleSupernetJob(
        ...     space=space,
        ...     module=net,
        ...     phases=sandwich(space, epochs=1),
        ...     dataset=dataset,
        ...     preprocessing=preprocessing,
        ...     recipe=recipe,
        ...     folder=folder,
        ... )
        >>> trained = train_module_supernet(job)
        >>> [(record.name, record.epoch) for record in trained.history], trained.supernet.extract(space.smallest())[0]
        ([('all', 1)], Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1)))
    """
    return run_task(ModuleSupernetTask(job))
