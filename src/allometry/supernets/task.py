"""The training of a supernet of networks: its weights, what it drops, and in which order its channels stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor, nn

from allometry.nas import narrow
from allometry.nn import ConvNet, scale_residuals
from allometry.supernets.base_task import SUPERNET, BaseSupernetTask, TrainedSupernet, options_in_use
from allometry.supernets.elastic import Supernet, build_supernet, supernet_of
from allometry.supernets.job import SupernetJob
from allometry.supernets.sorting import sort_channels
from allometry.supernets.subnet_parts import Subnet
from allometry.training import load_weights, run_task
from allometry.training.optimizer import layers_above

__all__ = ["SUPERNET", "SupernetTask", "TrainedSupernet", "load_supernet", "train_supernet"]


def train_supernet(job: SupernetJob) -> TrainedSupernet:
    """Train all phases, or go on with a training that stopped, or give the result of one that is finished.

    The errors and promises are those of `run_task`.

    Source: Once-for-All (Cai et al. 2020), section 3.3.

    Example, with a small `network`, a `dataset`, its `preprocessing` and a `recipe`:
        >>> from allometry.catalog import mbconv_space
        >>> from allometry.supernets import sandwich
        >>> space = mbconv_space(network, kernels=(3, 5))
        >>> data = {"dataset": dataset, "preprocessing": preprocessing}
        >>> job = SupernetJob(space=space, phases=sandwich(space, epochs=2), recipe=recipe, folder=folder, **data)
        >>> trained = train_supernet(job)
        >>> [(record.name, record.epoch, record.images) for record in trained.history]
        [('all', 1, 28), ('all', 2, 28)]
        >>> trained.supernet.extract(space.smallest()).training
        True
    """
    return run_task(SupernetTask(job))


def load_supernet(job: SupernetJob) -> Supernet:
    """The supernet of a finished training, in evaluation mode, on the CPU.

    Raises:
        RunFolderError: the training is not finished, or damaged.

    Example, with a small `network`, a `dataset`, its `preprocessing` and a `recipe`:
        >>> from allometry.catalog import mbconv_space
        >>> from allometry.supernets import sandwich
        >>> space = mbconv_space(network, kernels=(3, 5))
        >>> data = {"dataset": dataset, "preprocessing": preprocessing}
        >>> job = SupernetJob(space=space, phases=sandwich(space, epochs=2), recipe=recipe, folder=folder, **data)
        >>> load_supernet(job)
        Traceback (most recent call last):
            ...
        allometry.base.errors.RunFolderError: The weights ... are missing: the training is not finished.
        >>> from allometry.nn import save_weights
        >>> save_weights(job.folder / SUPERNET, build_supernet(space, seed=0).state_dict())
        >>> load_supernet(job).training
        False
    """
    return supernet_of(job.space, load_weights(job.folder / SUPERNET), options=options_in_use(job))


class SupernetTask(BaseSupernetTask):
    """All networks of a space learn in one set of weights.

    Example, with a small `network`, a `dataset`, its `preprocessing` and a `recipe`:
        >>> from allometry.catalog import mbconv_space
        >>> from allometry.supernets import sandwich
        >>> space = mbconv_space(network, kernels=(3, 5))
        >>> data = {"dataset": dataset, "preprocessing": preprocessing}
        >>> job = SupernetJob(space=space, phases=sandwich(space, epochs=2), recipe=recipe, folder=folder, **data)
        >>> task = SupernetTask(job)  # `run_task(task)` trains
        >>> task.build()
        >>> task.phases[0].steps, task.final.name, task.module.training
        (8, 'supernet.safetensors', True)
    """

    job: SupernetJob
    module: Supernet
    average: Supernet
    _largest: Subnet

    def begin(self) -> Supernet:
        """A supernet with fresh weights, or with those that the largest network begins with."""
        job = self.job
        supernet = build_supernet(job.space, seed=job.seed)
        scale_residuals(supernet, job.recipe.residual_scale)
        if job.start is not None:
            largest = ConvNet(job.space.largest())
            largest.load_state_dict(job.start)
            supernet.load_largest(largest)
        return supernet.to(job.device)

    def supernet_of(self, weights: Mapping[str, Tensor]) -> Supernet:
        """The supernet with some weights, in evaluation mode."""
        return supernet_of(self.job.space, weights, options=options_in_use(self.job))

    def plain_largest(self) -> nn.Module:
        """The module of the largest network, whatever its weights."""
        return ConvNet(self.job.space.largest())

    def sort_channels(self, phase: int) -> None:
        """Put the most important channels first."""
        narrower = narrow(self.job.space, self.job.phases[phase].part_of(self.job.space))
        sort_channels(self.module, narrower=narrower, also=[self.average])

    @property
    def classifier(self) -> nn.Module:
        """What alone learns in the recipe's head epochs."""
        return self.module.get_submodule("hosts.head.classifier")

    def layers_above(self, name: str) -> int:
        """How many layers lie between a parameter and the logits; a matrix of kernels belongs to its layer."""
        _, place, *rest = name.replace("/", ".").split(".")
        if place.startswith("stage_"):
            place = f"stages.{place.split('_')[1]}"
        elif place == "head":
            place = rest[0]
        return layers_above(place, stages=len(self.job.space.template.stages))

    def decay_share(self, name: str, phase: int) -> float:
        """All of it; or, where the largest network alone is regularized, for what that one uses, once in a step.

        The mean over the subnets of a step has a part of the L2 term that one of them has. A decay beside the gradient
        is taken once in a step, anyway.
        """
        plan = self.job.phases[phase]
        if plan.regularized == "all":
            return 1.0
        used = {f"hosts.{part.host}" for part in self._largest.parts}
        if not any(name.startswith(f"{host}.") for host in used):
            return 0.0
        return 1 / plan.subnets if self.job.recipe.optimizer == "rmsprop" else 1.0

    def drop_rates(self) -> dict[str, float]:
        """The stochastic depth, growing from layer to layer of the greatest network as in one by itself.

        It is the recipe's. Without one it is the greatest network's own where that one alone drops layers.
        """
        largest, rate = self.job.space.largest(), self.job.recipe.stochastic_depth
        own = largest.stochastic_depth if self.job.phases[self._phase].regularized == "largest" else 0.0
        largest = replace(largest, stochastic_depth=own if rate is None else rate)
        rates: dict[str, float] = {}
        within: dict[int, int] = {}
        for placed in largest.blocks():
            layer = within.get(placed.stage, 0)
            within[placed.stage] = layer + 1
            start = f"stage_{placed.stage}_layer_{layer}_"
            if placed.drop_rate:
                rates |= {host: placed.drop_rate for host in self.module.hosts if host.startswith(start)}
        return rates
