"""What `run` settles before anything is trained, and what it will cost."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from allometry.arch import Network
from allometry.base import Progress, SilentProgress
from allometry.cost import Budget, Setting, count, parse_budget, setting_for
from allometry.pipeline.asked import check_settings
from allometry.pipeline.common import Images, Session, open_session, read_data
from allometry.pipeline.execution import settle_execution
from allometry.pipeline.forecast import Forecast, forecast
from allometry.pipeline.plan import Plan, estimate_seconds, make_plan
from allometry.pipeline.readings import meter
from allometry.pipeline.trying import trial_recipe
from allometry.scaling import ScalingLaw, parse_law
from allometry.train import Recipe, small
from allometry.zoo import find as find_network


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
        trial_epochs: of each trial; the baseline has one, too.
        trial_macs: of the networks that are tried, at most.
        trial_seconds: about how long all trials take here.
        network: name of what the paper's law, or the one that is given, makes of the budget; the best law's network
            will be like it.
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


def prepare(
    session: Session,
    network: Network,
    budget: Budget,
    data: str,
    settings: Sequence[str],
    *,
    law: ScalingLaw | None = None,
    setting: Setting | None = None,
) -> Prepared:
    """Read the images, plan, and settle both recipes.

    Args:
        session: of the run.
        network: to shrink and grow.
        budget: of the final network.
        data: the images.
        settings: changes to the recipe.
        law: by which it grows; None to try the grid.
        setting: in which this device judges by the budget, if it does.

    Raises:
        DataError: the images cannot be used.
        BudgetError: the budget cannot be met.
        RecipeError: a setting does not fit the recipe.
    """
    images = read_data(session, data)
    recipe = images.recipe(small, network, settings)
    short = trial_recipe(images, network, settings)
    session.halt_if_asked()
    with meter(session, setting) as measure:
        plan = make_plan(network, images.dataset, budget, law=law, measure=measure)
    recipe = settle_execution(
        recipe,
        plan.expected.network,
        images=len(images.dataset.splits["train"]),
        device=session.device,
        kept=session.run.path / "recipe.json",
        progress=session.progress,
    )
    return Prepared(images, plan, recipe, replace(short, execution=recipe.execution))


def forecast_whole_run(
    *,
    data: str = "icons",
    baseline: str = "efficientnet-b0",
    budget: str = "10M",
    law: str | None = None,
    seed: int = 0,
    device: str | None = None,
    settings: Sequence[str] = (),
    runtime: str | None = None,
    threads: int = 1,
    progress: Progress = SilentProgress(),
) -> RunForecast:
    """What `run` with these arguments would do and cost here; nothing is written or trained.

    The arguments and errors are those of `run`.
    """
    network = find_network(baseline)
    limits = parse_budget(budget, count(network))
    setting = setting_for(limits, runtime=runtime, threads=threads)
    check_settings(settings)
    with (
        tempfile.TemporaryDirectory() as folder,
        open_session(
            Path(folder) / "forecast",
            command="run",
            arguments={},
            seed=seed,
            device=device,
            progress=progress,
            stopping=lambda: False,
        ) as session,
    ):
        prepared = prepare(
            session, network, limits, data, settings, law=parse_law(law) if law else None, setting=setting
        )
        plan, expected = prepared.plan, prepared.plan.expected
        training = forecast(
            session.job(expected.network, prepared.images, prepared.recipe, folder=session.run.path)
        )
        trials = estimate_seconds(
            plan,
            images=len(prepared.images.dataset.splits["train"]),
            recipe=prepared.recipe,
            trial_recipe=prepared.trial_recipe,
            device=session.device,
        ).trials
    return RunForecast(
        baseline=plan.baseline.network.name,
        baseline_macs=plan.baseline.cost.macs,
        laws=len(plan.points),
        trial_epochs=prepared.trial_recipe.epochs,
        trial_macs=max((point.cost.macs for point in plan.points), default=0),
        trial_seconds=trials,
        network=expected.network.name,
        resolution=expected.network.resolution,
        macs=expected.cost.macs,
        params=expected.cost.params,
        training=training,
        seconds=trials + training.seconds,
    )
