"""What a fit settles before its first training, and what it will cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from allometry.arch import Network, save
from allometry.base.files import write_json
from allometry.base.units import format_duration
from allometry.cost import Budget, Limit, count
from allometry.nas.fit_config import FitConfig
from allometry.nas.law_grid import Point, grid_points
from allometry.nas.trial_setup import TrialConfig, trial_recipe
from allometry.nas.trials import Halving
from allometry.nas.workers import threads_of
from allometry.scaling import UNSCALED, solve
from allometry.scaling.fitting import adapt
from allometry.training import small
from allometry.training.forecast import seconds_per_image
from allometry.training.images import Images
from allometry.training.session import Session

_EPOCH_SHARE = 0.4  # of a full training's
_FEWEST = 4
_FIRST = 4  # all laws are trained for this part of the epochs
_REST = 1.15  # input and validation come on top of the passes


@dataclass(frozen=True, slots=True, kw_only=True)
class FitSetup:
    """A fit before its first training.

    Attributes:
        images: to learn from and to be judged on.
        baseline: what grows.
        points: the laws, each with its network.
        how: the grid, and how much is trained.
        trial: what all trainings share.
        full_epochs: of a full training, for comparison.
    """

    images: Images
    baseline: Network
    points: tuple[Point, ...]
    how: FitConfig
    trial: TrialConfig
    full_epochs: int

    @property
    def first_epochs(self) -> int:
        """Until where all are trained."""
        return max(1, self.trial.epochs // _FIRST)

    @property
    def second(self) -> int:
        """How many are trained to the end."""
        wanted = max(self.how.finalists, math.ceil(self.how.share * len(self.points)))
        return min(wanted, len(self.points))


def prepare_fit(
    session: Session,
    images: Images,
    network: Network,
    data: str,
    budget: Budget | None,
    how: FitConfig,
    settings: Sequence[str],
    device: str | None,
) -> FitSetup:
    """Lay out the grid, settle what is trained, and tell what it will cost.

    Args:
        session: of the fit.
        images: to learn from.
        network: the baseline, as the user names it.
        data: the images, as `open_data` takes them.
        budget: that the baseline is brought to first.
        how: the grid, and how much is trained, by whom.
        settings: changes to the recipe.
        device: where it is trained.

    Raises:
        BudgetError: the baseline cannot keep the budget, or no law can grow it.
        RecipeError: a setting does not fit the recipe.
    """
    dataset = images.dataset
    origin = adapt(
        network, classes=len(dataset.classes), channels=dataset.channels, image_size=dataset.image_size
    )
    largest = max(dataset.image_size, origin.total_stride)
    baseline, start = replace(origin, resolution=min(origin.resolution, largest)), UNSCALED
    if budget is not None:
        shrunk = solve(origin, budget, largest_resolution=largest)
        baseline, start = shrunk.network, shrunk.multipliers
        name = f"{network.name} at {budget}".strip()
        baseline = replace(baseline, name=name)
    else:
        origin = baseline
    macs = count(baseline).macs
    points = grid_points(
        origin,
        Budget((Limit("macs", int(how.ratio * macs)),)),
        start=start,
        laws=how.laws,
        largest_resolution=largest,
    )
    points = tuple(
        replace(point, network=replace(point.network, name=f"law {number} of {len(points)}"))
        for number, point in enumerate(points, start=1)
    )
    full = images.recipe(small, baseline, settings).epochs
    epochs = how.epochs or max(_FEWEST, round(full * _EPOCH_SHARE))
    trial = TrialConfig(
        data=data,
        seed=session.seed,
        device=device,
        settings=tuple(settings),
        epochs=epochs,
        objectives=("accuracy",),
        halving=Halving(),
        threads=how.threads or threads_of(how.workers),
    )
    asked = FitSetup(
        images=images,
        baseline=baseline,
        points=points,
        how=how,
        trial=trial,
        full_epochs=full,
    )
    save(baseline, session.run.path / "baseline.json")
    for number, point in enumerate(points, start=1):
        save(point.network, session.run.path / "grid" / f"{number}.json")
    write_json(session.run.path / "recipe.json", trial_recipe(images, baseline, settings, epochs).to_dict())
    _announce(session, asked)
    return asked


def _announce(session: Session, asked: FitSetup) -> None:
    """Tell what the fit will do and what it will cost, beside training every law fully."""
    points, how, trial = asked.points, asked.how, asked.trial
    number = len(asked.images.dataset.splits["train"])
    middle = points[len(points) // 2].network
    recipe = trial_recipe(asked.images, middle, trial.settings, trial.epochs)
    per_image = seconds_per_image(
        middle,
        recipe,
        resolution=middle.resolution,
        images=min(recipe.batch_size, number),
        device=session.device,
    )
    epochs = _epochs(asked)
    workers = int(how.workers) if how.workers.isdigit() else 1
    seconds = _REST * per_image * number * epochs / workers
    share = epochs / (len(points) * asked.full_epochs)
    session.progress.say(
        f"baseline: {asked.baseline.name}, {count(asked.baseline).macs:,} MACs; {len(points)} laws, each to "
        f"{points[0].cost.macs:,} MACs or just below"
    )
    session.progress.say(
        f"all for {asked.first_epochs} of {trial.epochs} epochs, {asked.second} of them to the end, "
        f"{min(how.finalists, asked.second)} with {how.seeds} seeds, the baseline too: at most about "
        f"{format_duration(seconds)} here, {share:.0%} of training every law for {asked.full_epochs} epochs"
    )


def _epochs(asked: FitSetup) -> float:
    """Epochs of the fit, in those of a network of the grid."""
    how, whole = asked.how, asked.trial.epochs
    finalists = min(how.finalists, asked.second)
    grown = len(asked.points) * asked.first_epochs + asked.second * (whole - asked.first_epochs)
    return grown + (how.seeds - 1) * finalists * whole + how.seeds * whole / how.ratio
