"""What a search is: its question, and how it goes about it."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from allometry.arch import Network, Space, space_to_json
from allometry.base import InputError
from allometry.base.checks import check_fields
from allometry.base.text import shown
from allometry.cost import MACS, MEASURES, Budget, LatencyTable, Measure, RuntimeConfig, runtime_config_for
from allometry.cost.measurements import read_with
from allometry.data import Dataset, data_argument
from allometry.nas.database import without_password
from allometry.nas.driver import SearchProblem
from allometry.nas.encodings import Encoding, network_of
from allometry.nas.gradient.config import GRADIENT_SEARCHERS, LOSSES
from allometry.nas.objectives import Objective
from allometry.nas.searchers import SearcherLike, check_searcher, searcher_name
from allometry.nas.space_costs import BudgetFilter, SpaceCosts
from allometry.nas.trial_training import TrialConfig
from allometry.nas.trials import Trial
from allometry.nas.workers import as_workers, refuse_values
from allometry.training.images import Images
from allometry.training.recipes.settings import Setting, setting_texts
from allometry.training.recipes.specs import check_settings

DEFAULT_LOSS = "budget"


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchConfig:
    """How a search goes about it.

    Attributes:
        searcher: any object with ask and tell, a class that makes one, a sampler of Optuna, or a name of `SEARCHERS`;
            or `proxylessnas` or `fbnet` for one over-parameterized network.
        trials: networks to try.
        epochs: of a trial; None for an eighth of a full training's, two at least.
        halving: whether trials end early that are worse than half of those before them.
        max_pending: trials that may be under way at once; the search is the same with any number of workers up to it.
        workers: 1 for this process, another number for so many beside it, `ray` or `ray://host:port`.
        threads: of each trial's arithmetic; None for the cores divided by the workers.
        storage: a database's address; None for a file in the run folder.
        study: name of the search in the database.
        compare_with: `random` for a random search of the same cost beside it, else empty.
        loss: of a search by gradient: `budget`, a pressure above the limit alone, or `paper`, the papers' losses and
            rates; None for `budget`.
        reinforce: whether proxylessnas learns its architecture by REINFORCE.
        samples: networks that are drawn by what a search by gradient has learned; each is tried, and the best taken.
            None for the most probable one.

    Raises:
        InputError: a number is out of its range, or a name not known.

    Example:
        >>> SearchConfig(searcher="fbnet").by_gradient
        True
        >>> SearchConfig(workers=8)
        Traceback (most recent call last):
            ...
        allometry.base.errors.InputError: 8 workers need as many trials that may be under way at once; ...
    """

    searcher: SearcherLike = "evolution"
    trials: int = 40
    epochs: int | None = None
    halving: bool = True
    max_pending: int = 4
    workers: int | str = 1
    threads: int | None = None
    storage: str | None = None
    study: str = "allometry"
    compare_with: str = ""
    loss: str | None = None
    reinforce: bool = False
    samples: int | None = None

    @property
    def by_gradient(self) -> bool:
        """Whether one over-parameterized network is trained instead of many."""
        return self.searcher in GRADIENT_SEARCHERS

    @property
    def loss_name(self) -> str:
        """How a search by gradient weighs the cost."""
        return self.loss or DEFAULT_LOSS

    @property
    def searcher_name(self) -> str:
        """The searcher in run folders and reports."""
        return searcher_name(self.searcher)

    def __post_init__(self) -> None:
        check_fields(self, trials=1, epochs=1, max_pending=1, threads=1, samples=1)
        object.__setattr__(self, "workers", as_workers(self.workers))
        check_searcher(self.searcher, GRADIENT_SEARCHERS)
        self._check_gradient()
        if self.by_gradient and self.workers != 1:
            raise InputError(
                f"{self.searcher_name} trains one network, in this process: workers are of no use to it; leave them "
                "out."
            )
        if self.compare_with not in ("", "random"):
            raise InputError(f"A search can be compared with random, not with {self.compare_with!r}.")
        if isinstance(self.workers, int) and self.workers > self.max_pending:
            raise InputError(
                f"{self.workers} workers need as many trials that may be under way at once; give --max-pending "
                f"{self.workers} (now {self.max_pending}), which is part of what a search is: it decides how much a "
                "proposal knows."
            )

    def _check_gradient(self) -> None:
        """Refuse what only a search by gradient has, where there is none."""
        if self.loss is not None and self.loss not in LOSSES:
            raise InputError(
                f"loss must be one of {', '.join(LOSSES)}, not {shown(self.loss)}: how a search by gradient weighs the "
                "cost. A loss of the training is a setting of the recipe: --set loss=..."
            )
        if self.by_gradient:
            if self.reinforce and self.searcher != "proxylessnas":
                raise InputError(f"{self.searcher_name} has no variant by REINFORCE; proxylessnas has.")
            return
        given = {
            "loss": self.loss is not None,
            "reinforce": self.reinforce,
            "samples": self.samples is not None,
        }
        names = [name for name, is_given in given.items() if is_given]
        if names:
            raise InputError(
                f"{', '.join(names)}: only the searches by gradient ({', '.join(GRADIENT_SEARCHERS)}) have that, not "
                f"{self.searcher_name}; leave it out, or give one of them."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRequest:
    """What a search was asked for.

    Attributes:
        space: to look through, or the network around which it is made.
        named: the same, as the run folder remembers it.
        data: the images, by their name or value.
        objectives: each the larger the better.
        budget: what no network may exceed.
        config: the searcher, how many trials, by whom.
        table: a latency table of the space, or its file.
        runtime_config: how latency is told, if anybody asks for it.
        settings: changes to the recipe: `key=value`, or a loss.
        device: where trials are trained.

    Raises:
        InputError: nothing speaks against the largest network, or something does not go together.
    """

    space: Space | Network
    named: str
    data: Dataset | str
    objectives: tuple[Objective, ...]
    budget: Budget | None
    config: SearchConfig
    table: LatencyTable | str | Path | None
    runtime_config: RuntimeConfig | None
    settings: tuple[Setting, ...]
    device: str | None

    def __post_init__(self) -> None:
        check_settings(self.settings)
        check_problem(self.objectives, self.budget, self.config)
        refuse_values(self.data, self.config.workers)

    def arguments(self) -> dict[str, Any]:
        """What decides the result, as the run folder remembers it."""
        config, runtime = self.config, self.runtime_config
        return {
            "space": self.named,
            "data": data_argument(self.data),
            "objective": "; ".join(map(str, self.objectives)),
            "budget": None if self.budget is None else self.budget.exact(),
            "settings": setting_texts(self.settings),
            "searcher": config.searcher_name,
            "epochs": config.epochs,
            "halving": config.halving,
            "max_pending": config.max_pending,
            "storage": None if config.storage is None else without_password(config.storage),
            "study": config.study if config.storage is not None else None,
            **({"runtime": runtime.runtime, "threads": runtime.threads} if runtime else {}),
            **({"loss": config.loss_name, "reinforce": config.reinforce} if config.by_gradient else {}),
            **({"samples": config.samples} if config.by_gradient else {}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSetup:
    """A search before its first trial."""

    images: Images
    space: Space
    objectives: tuple[Objective, ...]
    budget: Budget | None
    runtime_config: RuntimeConfig | None
    costs: SpaceCosts
    allowed: BudgetFilter
    config: SearchConfig
    trial_config: TrialConfig

    @property
    def problem(self) -> SearchProblem:
        """What is looked for."""
        return SearchProblem(
            space=self.space,
            objectives=self.objectives,
            metrics=self._metrics(),
            halving=self.trial_config.halving,
        )

    def _metrics(self) -> Callable[[Encoding], Mapping[str, float]]:
        """What is known of a network before it is tried: its costs, and what an objective asks of a function."""
        measures = objective_measures(self.objectives)
        read = read_with(measure for measure in measures if measure.measure is not None)

        def metrics(encoding: Encoding) -> Mapping[str, float]:
            costs = self.costs.of(encoding)
            return costs if read is None else {**costs, **read(network_of(self.space, encoding))}

        return metrics

    def training_macs(self, trial: Trial) -> float:
        """What a trial cost: MACs of all its passes over images."""
        return trial.outcome.images * self.costs.of(trial.encoding)[MACS.name]

    def network(self, trial: Trial) -> Network:
        """The network of a trial."""
        name = f"{self.space.name or 'space'} no. {trial.number}"
        return replace(network_of(self.space, trial.encoding), name=name)

    def identity(self, searcher: str) -> str:
        """A digest of all that decides the results."""
        parts = [
            space_to_json(self.space),
            [str(objective) for objective in self.objectives],
            self.budget.exact() if self.budget else None,
            self.images.dataset.fingerprint,
            {**self.trial_config.to_dict(), "data": None, "device": None, "threads": None},
            searcher,
            self.config.max_pending,
            str(self.runtime_config),
            asdict(self.costs.table) if self.costs.table else None,
        ]
        return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def check_problem(objectives: Sequence[Objective], budget: Budget | None, config: SearchConfig) -> None:
    """Refuse a search in which nothing speaks against the largest network.

    Raises:
        InputError: there is neither a limit nor an objective that weighs a cost, the way of searching has an objective
            of its own, or an objective names what no search knows.
    """
    if config.by_gradient and [str(objective) for objective in objectives] != ["accuracy"]:
        raise InputError(
            f"{config.searcher_name} weighs the accuracy against its limit in its own way: leave the objective out, or "
            "search by evolution."
        )
    costs = {"step_time", *MEASURES.names()}
    for measure in objective_measures(objectives):
        if measure.needs_runtime and measure != LatencyTable.measure:
            raise InputError(
                f"The objective names {measure.name}, which is read from a runtime, network by network: a search knows "
                f"what is counted, {LatencyTable.measure.name} by a table, and measures with a function of their own."
            )
    if budget is None and not any(objective.measures & costs for objective in objectives):
        raise InputError(
            "Without a limit the largest networks win: give a --budget, such as macs<=4M, or an objective that weighs "
            "a cost, such as 'accuracy * (macs / 4M) ** -0.07'."
        )


def objective_measures(objectives: Sequence[Objective]) -> tuple[Measure, ...]:
    """The measures that objectives name, in the order of their registration.

    Example:
        >>> objective_measures([Objective("accuracy * (macs / 400M) ** -0.07"), Objective("accuracy / macs")])
        (Measure('macs'),)
    """
    names = {name for objective in objectives for name in objective.measures}
    return tuple(measure for measure in MEASURES if measure.name in names)


def latency_runtime(
    measures: Collection[Measure], budget: Budget | None, *, runtime: str | None, threads: int
) -> RuntimeConfig | None:
    """How networks are run to tell what a table predicts, if the measures that count or the budget name it."""
    timed = LatencyTable.measure
    if timed in measures:
        return RuntimeConfig(runtime=runtime or RuntimeConfig().runtime, threads=threads)
    if budget is None and (runtime is not None or threads != 1):
        raise InputError(
            "Runtime and threads say where latency is measured; give a budget or an objective of latency, or leave "
            "them out."
        )
    if budget is None or timed in budget.measures:
        return None if budget is None else runtime_config_for(budget, runtime=runtime, threads=threads)
    if runtime is not None or threads != 1:
        raise InputError(
            f"The budget {budget} is counted, not measured, in a search: leave runtime and threads out, or limit a "
            "latency."
        )
    return None
