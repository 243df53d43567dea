"""A network that grows while it is trained: phases of one training, each with a larger network than the one before."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import cast

import torch
from torch import Tensor, nn

from allometry.arch import Network
from allometry.base.units import format_quantity
from allometry.cost import count
from allometry.nn import ConvNet, build
from allometry.nn.growing import TensorSource, WeightMap, grow_module, inherited
from allometry.nn.growing.weight_map import NEW
from allometry.runs import EpochMetrics
from allometry.training.batch_norm import recalibrate_batch_norm
from allometry.training.classification import ClassificationJob, ClassificationTask, Trained
from allometry.training.loop import run_task
from allometry.training.preprocessing import Preprocessing
from allometry.training.recipes import Epoch
from allometry.training.task import EpochSummary, TaskPhase, Validation
from allometry.training.validation import training_views

_SECOND_MOMENTS = ("exp_avg_sq", "max_exp_avg_sq", "square", "square_avg")


def train(job: ClassificationJob) -> Trained:
    """Train, or go on with a training that stopped, or return the one that is finished.

    The errors and promises are those of `run_task`.

    Example, with a small `network`, a `dataset`, its `preprocessing` and a `recipe`:
        >>> data = {"dataset": dataset, "preprocessing": preprocessing}
        >>> job = ClassificationJob(network=network, recipe=recipe, folder=folder, **data)
        >>> trained = train(job)
        >>> len(trained.history), trained.images, trained.module.training
        (2, 56, False)
    """
    return run_task(GrowingTask(job) if job.smaller else ClassificationTask(job))


class GrowingTask(ClassificationTask):
    """One training in which the network grows.

    Each network is a phase of its own, as the loop knows them; to all else it is one training: epochs and steps are
    counted through, the learning rate follows one schedule, and optimizer and average go on with what they have.

    Example, with a small `network`, a `dataset`, its `preprocessing` and a `recipe`:
        >>> from allometry.arch import apply_multipliers
        >>> larger = apply_multipliers(network, width=2)
        >>> data = {"dataset": dataset, "preprocessing": preprocessing}
        >>> job = ClassificationJob(
        ...     network=larger, smaller=((network, 1),), recipe=recipe, folder=folder, **data
        ... )
        >>> [len(phase.epochs) for phase in GrowingTask(job).phases]
        [1, 1]
    """

    keeps_average = True

    def __init__(self, job: ClassificationJob) -> None:
        super().__init__(job)
        self._number = 0

    @cached_property
    def phases(self) -> tuple[TaskPhase, ...]:
        """One for each network; what is kept, and when to stop early, is decided in the last one."""
        recipe, last = self.job.recipe, len(self.job.networks) - 1
        passing = replace(recipe, keep="last", patience=0)
        return tuple(
            TaskPhase(
                name=f"{format_quantity(count(part.network).macs)} MACs",
                recipe=recipe if number == last else passing,
                epochs=_counted_anew(part.epochs),
            )
            for number, part in enumerate(self.job.networks)
        )

    @property
    def network(self) -> Network:
        """That of the phase."""
        return self.job.networks[self._number].network

    @property
    def preprocessing(self) -> Preprocessing:
        """At the size of the phase's network."""
        return replace(self.job.preprocessing, resolution=self.network.resolution)

    def rebuild(self, number: int) -> None:
        """Make the modules of a phase."""
        if number != self._number:
            self._number = number
            module = build(self.job.recipe.applied_to(self.network), seed=self.job.seed)
            self.take(module, copy.deepcopy(module))

    def next_phase(self, number: int) -> None:
        """Let module and average grow into the next network, with statistics for what is new in them."""
        job, old = self.job, (cast(ConvNet, self.module), cast(ConvNet, self.average))
        self._number = number
        network = job.recipe.applied_to(self.network)
        larger_images = network.resolution != old[0].network.resolution
        grown = [grow_module(one, network, method=job.growth, seed=job.seed + number) for one in old]
        for one in grown:
            seed = (job.seed, self.phases[number].epochs[0].before)
            views = training_views(job.dataset, self.preprocessing, seed=seed, device=job.device)
            settle_new_statistics(one.module, one.weight_map, views, everywhere=larger_images)
        self._before, self._weight_map = dict(old[0].named_parameters()), grown[0].weight_map
        self.take(grown[0].module, grown[1].module)

    def inherit_optimizer(self, old: torch.optim.Optimizer, new: torch.optim.Optimizer) -> None:
        """Take over its memory, entry by entry."""
        inherit_optimizer(old, new, self._before, dict(self.module.named_parameters()), self._weight_map)
        del self._before, self._weight_map

    def record(self, summary: EpochSummary, validation: Validation) -> EpochMetrics:
        """The epoch's record, counted through all phases."""
        before = self.phases[: summary.phase]
        return replace(
            super().record(summary, validation),
            epoch=summary.epoch.before + summary.epoch.number + 1,
            epochs=self.job.recipe.epochs,
            step=sum(phase.steps for phase in before) + summary.step,
            phase=summary.phase + 1,
        )


def _counted_anew(epochs: tuple[Epoch, ...]) -> tuple[Epoch, ...]:
    """The epochs of a phase, counted from its beginning."""
    first = epochs[0]
    return tuple(
        replace(
            epoch,
            number=epoch.number - first.number,
            first_step=epoch.first_step - first.first_step,
            before=first.number,
        )
        for epoch in epochs
    )


def settle_new_statistics(
    module: nn.Module, weight_map: WeightMap, batches: Iterable[Tensor], *, everywhere: bool = False
) -> None:
    """Give the channels that are new in a grown module their statistics, in place; the others keep theirs.

    Args:
        module: that has grown.
        weight_map: what of it is inherited.
        batches: inputs, normalized, on the module's device.
        everywhere: give all channels other statistics, which images of another size need.

    Source: statistics at the size of the images: Touvron et al. 2019, *Fixing the train-test resolution discrepancy*,
    section 4.2.

    Example:
        >>> module = nn.Sequential(nn.BatchNorm2d(2))
        >>> known = {"0.running_mean": TensorSource("0.running_mean", ((0, -1),))}
        >>> settle_new_statistics(module, known, [torch.full((2, 2, 1, 1), 5.0)])
        >>> module[0].running_mean
        tensor([0., 5.])
    """
    sources = {
        name: weight_map.get(name) for name, value in module.named_buffers() if value.is_floating_point()
    }
    if everywhere:
        training = module.training
        recalibrate_batch_norm(module, batches)
        module.train(training)
        return
    if not any(source is None or NEW in (source.indices[0] or ()) for source in sources.values()):
        return
    measured = copy.deepcopy(module)
    recalibrate_batch_norm(measured, batches)
    values = dict(measured.named_buffers())
    with torch.no_grad():
        for name, source in sources.items():
            value = module.get_buffer(name)
            measure = values[name]
            value.copy_(measure if source is None else inherited(value, _in_place(source), measure))


def inherit_optimizer(
    old: torch.optim.Optimizer,
    new: torch.optim.Optimizer,
    old_weights: Mapping[str, Tensor],
    new_weights: Mapping[str, Tensor],
    weight_map: WeightMap,
) -> None:
    """Let an optimizer go on with what another one remembers of the weights that its weights inherit, in place.

    New entries begin with a momentum of zero, and with the mean of the tensor's second moments: with zeros, divided by
    whose root, their first steps would be as long as a step can be, many times those of their neighbors. A weight that
    is new altogether begins as in a new training.

    Args:
        old: of the module before it grew.
        new: of the same kind, of the grown module; it has taken no step.
        old_weights: what `old` moves, by name.
        new_weights: what `new` moves, by name.
        weight_map: which of these entries come from which of those.

    Example:
        >>> old_weight, new_weight = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(2))
        >>> old, new = torch.optim.AdamW([old_weight]), torch.optim.AdamW([new_weight])
        >>> old_weight.grad = torch.ones(1)
        >>> old.step()
        >>> known = {"weight": TensorSource("weight", ((0, -1),))}
        >>> inherit_optimizer(old, new, {"weight": old_weight}, {"weight": new_weight}, known)
        >>> new.state[new_weight]["exp_avg"]
        tensor([0.1000, 0.0000])
    """
    for name, weight in new_weights.items():
        source = weight_map.get(name)
        remembered = old.state.get(old_weights[source.name], {}) if source is not None else {}
        for key, value in remembered.items():
            assert source is not None  # noqa: S101
            if not isinstance(value, Tensor) or not value.ndim:
                new.state[weight][key] = copy.deepcopy(value)
                continue
            begin = torch.zeros_like(weight)
            if key in _SECOND_MOMENTS:
                begin.fill_(value.mean().item())
            new.state[weight][key] = inherited(value, source, begin)


def _in_place(source: TensorSource) -> TensorSource:
    """The source of a tensor that has what it inherits already: each old entry from its own place."""
    return TensorSource(
        source.name,
        tuple(
            None
            if indices is None
            else tuple(NEW if old == NEW else place for place, old in enumerate(indices))
            for indices in source.indices
        ),
    )
