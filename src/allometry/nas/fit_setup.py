"""What a fit is, what it settles before its first training, and what it will cost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from allometry.arch import Network, digest, save
from allometry.base import InputError
from allometry.base.checks import check_fields, is_number
from allometry.base.units import format_duration, plural
from allometry.cost import MACS, Budget, Limit, count
from allometry.data import Dataset, data_argument
from allometry.nas.law_grid import Point, grid, grid_points
from allometry.nas.trial_training import TrialConfig, trial_recipe
from allometry.nas.trials import Halving
from allometry.nas.workers import as_workers, refuse_values, threads_of
from allometry.runs.files import BASELINE, write_recipe
from allometry.scaling import Multipliers, ScalingLaw, shares_of, solve, spread_out
from allometry.scaling.laws import IDENTITY
from allometry.scaling.strides import adapt
from allometry.training import small
from allometry.training.forecast import seconds_per_image
from allometry.training.images import Images
from allometry.training.recipes.settings import Setting, setting_texts
from allometry.training.recipes.specs import check_settings
from allometry.training.session import Session, read_data

ALPHAS = (1.0, 1.1, 1.2, 1.3, 1.45, 1.6, 1.8, 2.0)
GAMMAS = (1.0, 1.07, 1.15, 1.22, 1.3, 1.41)


@dataclass(frozen=True, slots=True, kw_only=True)
class FitConfig:
    """How a fit goes about it.

    Laws that lie far from each other on the grid are trained, all with the same epochs and seeds; a surface through
    them tells of the whole grid.

    Attributes:
        alphas: of the grid; beta follows from alpha * beta^2 * gamma^2 = ratio.
        gammas: of the grid.
        ratio: MACs of a step of the law.
        epochs: of each training; None for a tenth of a full training's.
        max_laws: of the grid that are trained, at most; seven or more for a quadratic surface, else it is a plane.
        seeds: of each law, two at least, since their difference is the noise.
        workers: 1 for this process, another number for so many beside it, `ray` or `ray://host:port`.
        threads: of each training's arithmetic; None for the cores divided by the workers.

    Raises:
        InputError: a number is out of its range.
        LawError: there is no law on the grid.

    Example:
        >>> [str(law) for law in FitConfig(alphas=(1.0, 1.2), gammas=(1.15,)).laws]
        ['alpha 1, beta 1.23, gamma 1.15', 'alpha 1.2, beta 1.12, gamma 1.15']
        >>> FitConfig(ratio=1.0)
        Traceback (most recent call last):
            ...
        allometry.base.errors.InputError: ratio must be above 1, not 1: a step of the law grows the network.
    """

    alphas: tuple[float, ...] = ALPHAS
    gammas: tuple[float, ...] = GAMMAS
    ratio: float = 2.0
    epochs: int | None = None
    max_laws: int = 16
    seeds: int = 2
    workers: int | str = 1
    threads: int | None = None

    def __post_init__(self) -> None:
        check_fields(self, epochs=1, max_laws=1, seeds=2, threads=1)
        object.__setattr__(self, "workers", as_workers(self.workers))
        if not self.ratio > 1:
            raise InputError(
                f"ratio must be above 1, not {self.ratio:g}: a step of the law grows the network."
            )
        for name in ("alphas", "gammas"):
            numbers = getattr(self, name)
            if not numbers or not all(is_number(number) and number >= 1 for number in numbers):
                raise InputError(f"{name} must be numbers of at least 1: a law does not shrink anything.")

    @property
    def laws(self) -> tuple[ScalingLaw, ...]:
        """The laws of the grid."""
        return grid(self.alphas, self.gammas, ratio=self.ratio)


_EPOCH_SHARE = (
    0.1  # of a full training's; `benchmarks/fit_rules.py` compares it with fewer laws and more epochs
)
_REST = 1.15  # input and validation come on top of the passes


@dataclass(frozen=True, slots=True, kw_only=True)
class FitRequest:
    """What a fit was asked for.

    Attributes:
        network: the baseline.
        named: the same, as the run folder remembers it.
        data: the images, by their name or value.
        budget: that the baseline is brought to first.
        config: the grid, and how much is trained, by whom.
        settings: changes to the recipe: `key=value`, or a loss.
        device: where it is trained.

    Raises:
        InputError: the budget limits a latency, or something does not go together.
    """

    network: Network
    named: str
    data: Dataset | str
    budget: Budget | None
    config: FitConfig
    settings: tuple[Setting, ...]
    device: str | None

    def __post_init__(self) -> None:
        if self.budget is not None and self.budget.needs_runtime:
            raise InputError("The baseline of a fit is found by counting: limit its MACs, params or memory.")
        check_settings(self.settings)
        refuse_values(self.data, self.config.workers)

    def arguments(self) -> dict[str, Any]:
        """What decides the result, as the run folder remembers it."""
        config = self.config
        return {
            "network": self.named,
            "data": data_argument(self.data),
            "budget": None if self.budget is None else self.budget.exact(),
            "settings": setting_texts(self.settings),
            "alphas": list(config.alphas),
            "gammas": list(config.gammas),
            "ratio": config.ratio,
            "epochs": config.epochs,
            "max_laws": config.max_laws,
            "seeds": config.seeds,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class GrownGrid:
    """A baseline and what laws make of it.

    Attributes:
        baseline: what grows.
        points: the laws, each with its network.
        origin: what the laws multiply, from `start` on.
        start: the multipliers of the baseline.
        budget: of the laws' networks.
        largest_resolution: of them, in pixels.
    """

    baseline: Network
    points: tuple[Point, ...]
    origin: Network
    start: Multipliers
    budget: Budget
    largest_resolution: int

    def grow(self, law: ScalingLaw) -> Point:
        """A law with its network: that of the grid, if rounding leads to it.

        Raises:
            BudgetError: the law cannot grow the baseline.
        """
        (grown,) = grid_points(
            self.origin,
            self.budget,
            start=self.start,
            laws=(law,),
            largest_resolution=self.largest_resolution,
        )
        named = replace(grown, network=replace(grown.network, name="the law"))
        same = (point.network for point in self.points if digest(point.network) == digest(grown.network))
        return replace(named, network=next(same, named.network))


@dataclass(frozen=True, slots=True, kw_only=True)
class FitSetup:
    """A fit before its first training.

    Attributes:
        images: to learn from and to be judged on.
        grown: the baseline and the laws.
        places: of the laws that are trained, in `grown.points`.
        config: the grid, and how much is trained.
        trial_config: what all trainings share.
        full_epochs: of a full training, for comparison.
    """

    images: Images
    grown: GrownGrid
    places: tuple[int, ...]
    config: FitConfig
    trial_config: TrialConfig
    full_epochs: int


def prepare_fit(session: Session, request: FitRequest) -> FitSetup:
    """Read the images, lay out the grid, settle what is trained, and tell what it will cost.

    Args:
        session: of the fit.
        request: what is wanted.

    Raises:
        BudgetError: the baseline cannot keep the budget, or no law can grow it.
        RecipeError: a setting does not fit the recipe.
    """
    config, settings = request.config, request.settings
    images = read_data(session, request.data)
    grown = _grow(request, images.dataset)
    baseline, points = grown.baseline, grown.points
    full = images.recipe(small, baseline, settings).epochs
    epochs = config.epochs or max(1, round(full * _EPOCH_SHARE))
    trial_config = TrialConfig(
        data=data_argument(request.data),
        seed=session.seed,
        device=request.device,
        settings=settings,
        epochs=epochs,
        objectives=("accuracy",),
        halving=Halving(),
        threads=config.threads or threads_of(config.workers),
    )
    setup = FitSetup(
        images=images,
        grown=grown,
        places=spread_out([shares_of(point.law) for point in points], config.max_laws),
        config=config,
        trial_config=trial_config,
        full_epochs=full,
    )
    save(baseline, session.run.path / BASELINE)
    for number, point in enumerate(points, start=1):
        save(point.network, session.run.path / "grid" / f"{number}.json")
    write_recipe(session.run.path, trial_recipe(images, baseline, settings, epochs).to_dict())
    _announce(session, setup)
    return setup


def _grow(request: FitRequest, dataset: Dataset) -> GrownGrid:
    """The baseline as these images and the budget ask for it, and the laws, each with its network."""
    network, budget, config = request.network, request.budget, request.config
    origin = adapt(
        network, classes=len(dataset.classes), channels=dataset.channels, image_size=dataset.image_size
    )
    largest = max(dataset.image_size, origin.total_stride)
    baseline, start = replace(origin, resolution=min(origin.resolution, largest)), IDENTITY
    if budget is not None:
        shrunk = solve(origin, budget, largest_resolution=largest)
        baseline, start = shrunk.network, shrunk.multipliers
        name = f"{network.name} at {budget}".strip()
        baseline = replace(baseline, name=name)
    else:
        origin = baseline
    macs = count(baseline).macs
    trial_budget = Budget((Limit(MACS, int(config.ratio * macs)),))
    points = grid_points(
        origin,
        trial_budget,
        start=start,
        laws=config.laws,
        largest_resolution=largest,
    )
    named = tuple(
        replace(point, network=replace(point.network, name=f"law {number} of {len(points)}"))
        for number, point in enumerate(points, start=1)
    )
    return GrownGrid(
        baseline=baseline,
        points=named,
        origin=origin,
        start=start,
        budget=trial_budget,
        largest_resolution=largest,
    )


def _announce(session: Session, setup: FitSetup) -> None:
    """Tell what the fit will do and what it will cost, beside training every law fully."""
    baseline, points = setup.grown.baseline, setup.grown.points
    config, trial_config = setup.config, setup.trial_config
    number = len(setup.images.dataset.splits["train"])
    middle = points[len(points) // 2].network
    recipe = trial_recipe(setup.images, middle, trial_config.settings, trial_config.epochs)
    per_image = seconds_per_image(
        middle,
        recipe,
        resolution=middle.resolution,
        images=min(recipe.batch_size, number),
        device=session.device,
    )
    # The law that is found is trained, too, and the baseline, which costs less.
    epochs = (len(setup.places) + 1 + 1 / config.ratio) * config.seeds * trial_config.epochs
    workers = config.workers if isinstance(config.workers, int) else 1
    seconds = _REST * per_image * number * epochs / workers
    share = epochs / (len(points) * setup.full_epochs)
    session.progress.say(
        f"baseline: {baseline.name or 'the network'}, {count(baseline).macs:,} MACs; {plural(len(points), 'law')}, "
        f"each to {points[0].cost.macs:,} MACs or just below"
    )
    session.progress.say(
        f"{len(setup.places)} of them, the law that is found and the baseline for "
        f"{plural(trial_config.epochs, 'epoch')} with {config.seeds} seeds each: "
        f"about {format_duration(seconds)} here, {share:.0%} of training every law for {setup.full_epochs} epochs"
    )
