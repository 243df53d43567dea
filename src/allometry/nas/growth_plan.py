"""What a run will do: the baseline, the laws to try, and what it costs, before anything is trained."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import torch

from allometry.arch import Network
from allometry.base import BudgetError
from allometry.cost import MACS, Budget, Limit, MeasureFn, RuntimeConfig
from allometry.cost.measurements import read_with
from allometry.data import Dataset
from allometry.nas.law_grid import Point, grid_points
from allometry.nas.trial_training import trial_recipe
from allometry.profiling.latency_meter import open_meter
from allometry.runs.files import RECIPE
from allometry.scaling import COMPOUND, ScalingLaw, Solution, solve
from allometry.scaling.strides import adapt
from allometry.training import Recipe, full_epochs, small
from allometry.training.forecast import Forecast, seconds_per_image
from allometry.training.images import Images
from allometry.training.memory import settle_execution
from allometry.training.recipes.settings import Setting
from allometry.training.session import Session, read_data

_QUARTER = 0.25
_AGAIN = 2  # of the laws may be tried with another seed


@dataclass(frozen=True, slots=True)
class Plan:
    """A run before it starts.

    Attributes:
        origin: the network that is shrunk and grown, fitted to the data's classes, channels and image size.
        baseline: the origin within a quarter of the budget.
        budget: of the final network.
        points: the laws to try, each with its network at twice the baseline's MACs; none where the law is given.
        expected: the budget's network by the law that is given, or the paper's: what the final one will be like.
        largest_resolution: pixels that the images have; a larger input would show nothing more.
        law: that is given.
    """

    origin: Network
    baseline: Solution
    budget: Budget
    points: tuple[Point, ...]
    expected: Solution
    largest_resolution: int
    law: ScalingLaw | None = None


def make_plan(
    network: Network,
    dataset: Dataset,
    budget: Budget,
    *,
    law: ScalingLaw | None = None,
    measure: MeasureFn | None = None,
) -> Plan:
    """Shrink `network` to a quarter of the budget and lay out the grid of laws.

    Where networks are measured, the baseline has a quarter of the MACs of what the paper's law makes of the budget.

    Args:
        network: what is shrunk.
        dataset: the images it is for.
        budget: of the final network.
        law: by which it grows; None to try the grid.
        measure: reads the device, where that judges.

    Raises:
        BudgetError: the budget, or a quarter of it, cannot be met; the message names the smallest value.
    """
    origin = adapt(
        network, classes=len(dataset.classes), channels=dataset.channels, image_size=dataset.image_size
    )
    largest = max(dataset.image_size, origin.total_stride)
    whole = budget
    if read_with(budget.measures, measure) is not None:
        measured = solve(origin, budget, largest_resolution=largest, measure=measure)
        whole = Budget((Limit(MACS, measured.cost.macs),))
    quarter = whole.times(_QUARTER)
    try:
        baseline = solve(origin, quarter, largest_resolution=largest)
    except BudgetError as error:
        # The whole budget may be impossible too: then that is what the user should hear.
        solve(origin, whole, largest_resolution=largest)
        raise BudgetError(f"The baseline takes a quarter of the budget, {quarter}. {error}") from error
    start = baseline.multipliers
    trial_budget = Budget((Limit(MACS, 2 * baseline.cost.macs),))
    points = () if law else grid_points(origin, trial_budget, start=start, largest_resolution=largest)
    expected = solve(origin, whole, law=law or COMPOUND, start=start, largest_resolution=largest)
    named = replace(baseline, network=replace(baseline.network, name=f"{network.name} at {quarter}".strip()))
    return Plan(origin, named, budget, points, expected, largest, law)


class Seconds(NamedTuple):
    """About how long the trainings of a run take.

    Attributes:
        trials: all of them, at most.
        training: the final one.
    """

    trials: float
    training: float


def estimate_seconds(
    plan: Plan,
    *,
    images: int,
    recipe: Recipe,
    trial_recipe: Recipe,
    device: torch.device,
    clock: Callable[[], float] = time.perf_counter,
) -> Seconds:
    """About how long the trainings of a run will take here, from three timed steps of the expected network.

    Args:
        plan: of the run.
        images: number of training images.
        recipe: of the final training.
        trial_recipe: of the trials.
        device: where it will run.
        clock: seconds.
    """
    network = plan.expected.network
    per_image = seconds_per_image(
        network,
        recipe,
        resolution=network.resolution,
        images=min(recipe.batch_size, images),
        device=device,
        clock=clock,
    )
    # Between networks of one kind, time follows activations more than MACs (Dollar et al. 2021).
    tried = sum(point.cost.activations for point in plan.points)
    again = min(_AGAIN, len(plan.points)) / max(1, len(plan.points))
    trial_share = tried * (1 + again) / plan.expected.cost.activations
    epoch = per_image * images * 1.15  # input, validation and optimizer come on top
    return Seconds(epoch * trial_share * full_epochs(trial_recipe), epoch * full_epochs(recipe))


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run before its first training.

    Attributes:
        images: to learn from.
        plan: the baseline and the laws to try.
        recipe: of the final training.
        trial_recipe: of the trials.
    """

    images: Images
    plan: Plan
    recipe: Recipe
    trial_recipe: Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class RunForecast:
    """A run before it starts.

    Attributes:
        baseline: name of the network that the budget's quarter allows.
        baseline_macs: of it.
        laws: to try; none where the law is given.
        trial_epochs: of each trial.
        trial_macs: of the networks that are tried, at most.
        trial_seconds: about how long all trials take here, at most.
        network: name of what the paper's law, or the one that is given, makes of the budget; another law's network
            would be like it.
        resolution: of that network, in pixels.
        macs: of that network.
        params: of that network.
        training: the final training, of that network.
        seconds: about how long trials and training take here.
    """

    baseline: str
    baseline_macs: int
    laws: int
    trial_epochs: int
    trial_macs: int
    trial_seconds: float
    network: str
    resolution: int
    macs: int
    params: int
    training: Forecast
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {**asdict(self), "training": self.training.to_dict()}


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthRequest:
    """What a run was asked for.

    Attributes:
        network: to shrink and grow.
        data: the images, by their name or value.
        budget: of the final network.
        law: by which it grows; None to try the grid.
        settings: changes to the recipe: `key=value`, or a loss.
        runtime_config: in which this device judges by the budget, if it does.
    """

    network: Network
    data: Dataset | str
    budget: Budget
    law: ScalingLaw | None
    settings: tuple[Setting, ...]
    runtime_config: RuntimeConfig | None


def prepare(session: Session, request: GrowthRequest) -> Prepared:
    """Read the images, plan, and settle both recipes.

    Args:
        session: of the run.
        request: what is wanted.

    Raises:
        DataError: the images cannot be used.
        BudgetError: the budget cannot be met.
        RecipeError: a setting does not fit the recipe.
    """
    network, settings = request.network, request.settings
    images = read_data(session, request.data)
    recipe = images.recipe(small, network, settings)
    short = trial_recipe(images, network, settings)
    session.halt_if_requested()
    with open_meter(session, request.runtime_config) as measure:
        plan = make_plan(network, images.dataset, request.budget, law=request.law, measure=measure)
    recipe = settle_execution(
        recipe,
        plan.expected.network,
        images=len(images.dataset.splits["train"]),
        device=session.device,
        kept=session.run.kept(RECIPE),
        progress=session.progress,
    )
    return Prepared(images, plan, recipe, replace(short, execution=recipe.execution))
