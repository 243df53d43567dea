"""`allometry supernet train`: one network with all the choices of a space, by one process or several."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from allometry.arch import Space, save, save_space
from allometry.base import BudgetError, Progress, SilentProgress
from allometry.base.files import write_json
from allometry.base.units import format_duration, format_quantity, plural
from allometry.cost import Budget, count, parse_budget
from allometry.data import data_argument, data_name
from allometry.nas.search_spaces import elastic_space, reference_of
from allometry.runs import SubnetAccuracy, SupernetResult
from allometry.runs.files import PHASES, SPACE, PhasePlan
from allometry.supernets import SupernetJob, coupled_size, train_supernet
from allometry.supernets.config import SupernetConfig, forecast_seconds, supernet_recipe
from allometry.training.images import Images
from allometry.training.recipes.specs import check_settings
from allometry.training.session import (
    Session,
    open_joint_session,
    open_session,
    plain_name,
    read_data,
    read_in_turn,
)
from allometry.verbs.stages import finish, finished_result


def supernet_train(
    space: str,
    *,
    data: str = "icons",
    budget: str | None = None,
    how: SupernetConfig = SupernetConfig(),
    out: Path | None = None,
    seed: int = 0,
    device: str | None = None,
    settings: Sequence[str] = (),
    progress: Progress = SilentProgress(),
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Train a supernet on these images, from which `supernet_search` takes a subnet for each budget.

    Called again with the same folder it goes on where it stopped. Started by `torchrun`, the processes train together:
    the first one writes the folder, the others return an empty result.

    Args:
        space: a space's name or JSON file, or a network, for the space around it.
        data: `icons`, a folder of class folders, or whatever else `open_data` takes.
        budget: counts that the largest network keeps; None for 10M MACs around a network, and for any size of a space
            that is given.
        how: the phases.
        out: the run folder; by default `runs/supernet-SPACE-DATA`.
        seed: of everything random.
        device: `cpu`, `cuda`, `cuda:1`; by default a GPU if there is one.
        settings: changes to the recipe, `key=value`.
        progress: is told how it goes.
        should_stop: asked after each step; True stops at a checkpoint.

    Returns:
        Figures of the space and of its largest and smallest network; `supernet.safetensors` is in the folder.

    Raises:
        InputError: space, data, budget, phases or settings are wrong.
        Stopped: `should_stop` asked for it.
        StorageError: the disk is full, read-only or forbidden.
        NonFiniteLossError: the training diverged.

    Source: Once-for-All (Cai et al. 2020).
    """
    limits = _counted(budget, space)
    check_settings(settings)
    arguments = {
        "space": space,
        "data": data_argument(data),
        "budget": None if limits is None else limits.exact(),
        "settings": list(settings),
        "plan": how.plan,
        "epochs": how.epochs,
        "coupled": how.coupled,
    }
    folder = out or Path("runs") / f"supernet-{plain_name(space)}-{data_name(data)}"
    with open_joint_session(
        folder,
        command="supernet train",
        arguments=arguments,
        seed=seed,
        device=device,
        progress=progress,
        should_stop=should_stop,
    ) as session:
        dist = session.dist
        done: dict[str, Any] | None = dist.broadcast_object(
            finished_result(session) if dist.is_main else None
        )
        if done is not None:
            return done if dist.is_main else {}
        images = read_in_turn(session, data)
        job = _job(session, images, elastic_space(space, images.dataset, limits), how, settings)
        return _train(session, job, images)


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


class PhaseForecast(NamedTuple):
    """A phase before it is trained."""

    name: str
    epochs: int
    subnets: int
    seconds: float


def forecast_supernet(
    space: str,
    *,
    data: str = "icons",
    budget: str | None = None,
    how: SupernetConfig = SupernetConfig(),
    seed: int = 0,
    device: str | None = None,
    settings: Sequence[str] = (),
    progress: Progress = SilentProgress(),
) -> SupernetForecast:
    """What `supernet_train` with these arguments would do and cost here; nothing is written or trained.

    The arguments and errors are those of `supernet_train`.
    """
    limits = _counted(budget, space)
    check_settings(settings)
    with (
        tempfile.TemporaryDirectory() as folder,
        open_session(
            Path(folder) / "forecast",
            command="supernet train",
            arguments={},
            seed=seed,
            device=device,
            progress=progress,
            should_stop=lambda: False,
        ) as session,
    ):
        images = read_data(session, data)
        job = _job(session, images, elastic_space(space, images.dataset, limits), how, settings)
        return _forecast(job, images)


def _job(
    session: Session, images: Images, space: Space, how: SupernetConfig, settings: Sequence[str]
) -> SupernetJob:
    recipe = supernet_recipe(images, space, tuple(settings))
    return SupernetJob(
        space=space,
        dataset=images.dataset,
        preprocessing=images.preprocessing(space.largest(), recipe),
        recipe=recipe,
        phases=how.phases(space, recipe),
        folder=session.run.path,
        coupled=how.coupled,
        seed=session.seed,
        device=session.device,
        dist=session.dist,
        progress=session.progress,
        should_stop=session.should_stop,
    )


def _train(session: Session, job: SupernetJob, images: Images) -> dict[str, Any]:
    folder, space = session.run.path, job.space
    save_space(space, folder / SPACE)
    save(space.largest(), folder / "network.json")
    job.preprocessing.save(folder / "preprocessing.json")
    write_json(folder / "recipe.json", job.recipe.to_dict())
    PHASES.write(folder, PhasePlan(phases=job.phases, size=_size(job.spaces[-1], coupled=job.coupled)))
    if session.dist.is_main:
        _announce(session, _forecast(job, images))
    session.halt_if_asked()
    trained = train_supernet(job)
    if not session.dist.is_main:
        return {}
    for phase in job.phases:
        records = [record for record in trained.history if record.name == phase.name]
        session.run.record_cost(
            "supernet",
            phase.name,
            seconds=sum(record.seconds for record in records),
            images=sum(record.passes for record in records),
        )
    last, ends = trained.history[-1], job.spaces[-1]
    result = SupernetResult(
        data=images.dataset.name,
        space=repr(space),
        size=_size(ends, coupled=job.coupled),
        largest=SubnetAccuracy(cost=count(ends.largest()), validation_accuracy=last.largest),
        smallest=SubnetAccuracy(cost=count(ends.smallest()), validation_accuracy=last.smallest),
        phases=len(job.phases),
        epochs=len(trained.history),
        seconds=round(trained.seconds, 1),
        images=trained.images,
    )
    return finish(session, result)


def _forecast(job: SupernetJob, images: Images) -> SupernetForecast:
    ends = job.spaces[-1]
    largest, smallest = count(ends.largest()), count(ends.smallest())
    seconds = forecast_seconds(
        job.space, job.phases, images, job.recipe, coupled=job.coupled, device=job.device
    )
    each = [one / job.dist.world_size for one in seconds]
    return SupernetForecast(
        size=_size(ends, coupled=job.coupled),
        smallest_macs=smallest.macs,
        largest_macs=largest.macs,
        largest_params=largest.params,
        phases=tuple(
            PhaseForecast(phase.name, phase.epochs, phase.subnets, one)
            for phase, one in zip(job.phases, each, strict=True)
        ),
        seconds=sum(each),
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


def _size(space: Space, *, coupled: bool) -> int:
    return coupled_size(space) if coupled else space.size


def _counted(text: str | None, space: str) -> Budget | None:
    """Refuse what is measured: a supernet is trained before anybody asks how fast its subnets are.

    Raises:
        BudgetError: the budget limits a latency.
    """
    if text is None:
        return None
    budget = parse_budget(text, reference_of(space))
    if "latency" in budget.measures:
        raise BudgetError(
            f"The largest network of a supernet is limited by counts, such as macs<=10M, not by {budget}; give the "
            "latency to `allometry supernet search` when the supernet is trained."
        )
    return budget
