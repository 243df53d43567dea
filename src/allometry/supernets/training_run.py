"""The training of a supernet in its run folder: what it will cost, what it writes, what it comes to."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple, TypeAlias

from allometry.arch import ModuleSpace, Network, Space, save, save_space
from allometry.base import BudgetError
from allometry.base.units import format_duration, format_quantity, plural
from allometry.cost import Budget, count
from allometry.data import Dataset, Normalization, data_argument
from allometry.nas.search_spaces import elastic_space
from allometry.runs import SubnetAccuracy, SupernetResult
from allometry.runs.files import NETWORK, PHASES, PREPROCESSING, RECIPE, SPACE, PhasePlan, write_recipe
from allometry.supernets.config import SupernetConfig, forecast_seconds, supernet_recipe
from allometry.supernets.coupling import coupled_size
from allometry.supernets.inheriting import inherit_largest
from allometry.supernets.job import SupernetJob
from allometry.supernets.module_task import ModuleSupernetJob, train_module_supernet
from allometry.supernets.task import train_supernet
from allometry.training.images import Images
from allometry.training.memory import settle_execution
from allometry.training.pretrained import start_from
from allometry.training.recipes.settings import Setting, setting_texts
from allometry.training.recipes.specs import check_settings
from allometry.training.session import Session

AnySupernetJob: TypeAlias = SupernetJob | ModuleSupernetJob


@dataclass(frozen=True, slots=True, kw_only=True)
class SupernetRequest:
    """What a supernet's training was asked for.

    Attributes:
        space: of the subnets, or the network around which it is made.
        named: the same, as the run folder remembers it.
        data: the images, by their name or value.
        budget: counts that the largest network keeps.
        config: the phases.
        settings: changes to the recipe: `key=value`, or a loss.
        start: a network and its weights, a file, `hf://owner/name` or a run, from which the largest one inherits.

    Raises:
        BudgetError: the budget limits a latency: a supernet is trained before anybody asks how fast its subnets are.
        InputError: a setting is wrong.
    """

    space: Space | Network
    named: str
    data: Dataset | str
    budget: Budget | None
    config: SupernetConfig
    settings: tuple[Setting, ...]
    start: tuple[Network, str] | None = None

    def __post_init__(self) -> None:
        if self.budget is not None and not self.budget.is_counted:
            raise BudgetError(
                f"The largest network of a supernet is limited by counts, such as macs<=10M, not by {self.budget}; "
                "give what is measured to `allometry supernet search` when the supernet is trained."
            )
        check_settings(self.settings)

    def arguments(self) -> dict[str, Any]:
        """What decides the result, as the run folder remembers it."""
        return {
            "space": self.named,
            "data": data_argument(self.data),
            "budget": None if self.budget is None else self.budget.exact(),
            "settings": setting_texts(self.settings),
            "plan": self.config.plan,
            "epochs": self.config.epochs,
            "coupled": self.config.coupled,
            **({} if self.start is None else {"start": self.start[1]}),
        }


class PhaseForecast(NamedTuple):
    """A phase before it is trained."""

    name: str
    epochs: int
    subnets: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SupernetForecast:
    """A supernet before it is trained.

    Attributes:
        size: how many subnets there are.
        smallest_macs: of any subnet of the last phase.
        largest_macs: of any subnet of the last phase.
        largest_params: of any subnet of the last phase.
        phases: their names, epochs, subnets in a step, and about how many seconds they take here.
        seconds: about how long all phases take here.
    """

    size: int
    smallest_macs: int
    largest_macs: int
    largest_params: int
    phases: tuple[PhaseForecast, ...]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values; the size as text, since it may have more digits than a number bears."""
        phases = [phase._asdict() for phase in self.phases]
        return {**asdict(self), "size": str(self.size), "phases": phases}


def supernet_job(session: Session, request: SupernetRequest, images: Images) -> SupernetJob:
    """The training that was asked for.

    Raises:
        InputError: space, budget, phases or settings do not fit the images or each other.
    """
    space, start = elastic_space(request.space, images.dataset, request.budget), None
    if request.start is not None:
        classes, channels = len(images.dataset.classes), images.dataset.channels
        loaded = start_from(session, *request.start, classes=classes, in_channels=channels)
        known = Normalization(loaded.conventions.mean, loaded.conventions.std)
        images = replace(images, normal=known)
        start = inherit_largest(loaded.module, space.largest(), seed=session.seed).state_dict()
    recipe = settle_execution(  # one subnet passes at a time, and the largest needs the most
        supernet_recipe(images, space, request.settings),
        space.largest(),
        images=len(images.dataset.splits["train"]),
        device=session.device,
        processes=session.dist.world_size,
        kept=session.run.kept(RECIPE),
        progress=session.progress,
    )
    recipe = session.dist.broadcast_object(recipe)  # devices may differ; the main process's decides for all
    return SupernetJob(
        space=space,
        dataset=images.dataset,
        preprocessing=images.preprocessing(space.largest(), recipe),
        recipe=recipe,
        phases=request.config.phases(space, recipe),
        folder=session.run.path,
        coupled=request.config.coupled,
        start=start,
        seed=session.seed,
        device=session.device,
        dist=session.dist,
        progress=session.progress,
        should_stop=session.should_stop,
        callbacks=session.callbacks,
    )


def train_in_folder(session: Session, job: AnySupernetJob, images: Images) -> SupernetResult | None:
    """Write down what is trained, tell what it will cost, and train.

    Returns:
        What it came to; None in a process that does not lead.

    Raises:
        Stopped: the user asked for it.
        NonFiniteLossError: the training diverged.
    """
    folder, space, ends = session.run.path, job.space, job.spaces[-1]
    if isinstance(space, ModuleSpace):
        space.save(folder / SPACE)
    else:
        save_space(space, folder / SPACE)
        save(space.largest(), folder / NETWORK)
    job.preprocessing.save(folder / PREPROCESSING)
    write_recipe(folder, job.recipe.to_dict())
    PHASES.write(folder, PhasePlan(phases=job.phases, size=_size(job)))
    if session.dist.is_main:
        _announce(session, forecast_supernet(job, images))
    session.halt_if_requested()
    trained = train_module_supernet(job) if isinstance(job, ModuleSupernetJob) else train_supernet(job)
    if not session.dist.is_main:
        return None
    for phase in job.phases:
        records = [record for record in trained.history if record.name == phase.name]
        session.run.record_cost(
            "supernet",
            phase.name,
            seconds=sum(record.seconds for record in records),
            images=sum(record.passes for record in records),
        )
    last = trained.history[-1]
    return SupernetResult(
        data=images.dataset.name,
        space=repr(space),
        size=_size(job),
        largest=SubnetAccuracy(cost=count(ends.largest()), validation_accuracy=last.largest),
        smallest=SubnetAccuracy(cost=count(ends.smallest()), validation_accuracy=last.smallest),
        phases=len(job.phases),
        epochs=len(trained.history),
        seconds=round(trained.seconds, 1),
        images=trained.images,
    )


def forecast_supernet(job: AnySupernetJob, images: Images) -> SupernetForecast:
    """What the training will cost here, from a few timed steps."""
    ends = job.spaces[-1]
    largest, smallest = count(ends.largest()), count(ends.smallest())
    seconds = [
        total / job.dist.world_size
        for total in forecast_seconds(
            job.space,
            job.phases,
            images,
            job.recipe,
            coupled=job.coupled,
            device=job.device,
            module=job.module if isinstance(job, ModuleSupernetJob) else None,
        )
    ]
    return SupernetForecast(
        size=_size(job),
        smallest_macs=smallest.macs,
        largest_macs=largest.macs,
        largest_params=largest.params,
        phases=tuple(
            PhaseForecast(phase.name, phase.epochs, phase.subnets, own)
            for phase, own in zip(job.phases, seconds, strict=True)
        ),
        seconds=sum(seconds),
    )


def _announce(session: Session, planned: SupernetForecast) -> None:
    """Tell what will be trained and what it will cost."""
    session.progress.say(
        f"space: {planned.size:,} networks, from {format_quantity(planned.smallest_macs)} to "
        f"{format_quantity(planned.largest_macs)} MACs; the largest has "
        f"{format_quantity(planned.largest_params)} params"
    )
    for phase in planned.phases:
        session.progress.say(
            f"phase {phase.name}: {plural(phase.epochs, 'epoch')} with {plural(phase.subnets, 'subnet')} in a step, "
            f"about {format_duration(phase.seconds)}"
        )
    session.progress.say(f"in all about {format_duration(planned.seconds)} here, less what is already done")


def _size(job: AnySupernetJob) -> int:
    """How many subnets the last phase trains."""
    space = job.spaces[-1]
    return coupled_size(space) if job.coupled and isinstance(space, Space) else space.size
