"""A run as a value: everything that its folder holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from allometry.arch import Network
from allometry.arch.any_space import AnyMember, AnySpace
from allometry.base.units import format_quantity
from allometry.cost import Cost, count
from allometry.runs.epochs import EpochMetrics, GrowthSchedule, SupernetEpochMetrics
from allometry.runs.evaluation import Evaluation, Explanation
from allometry.runs.export import Export
from allometry.runs.files import REPORT
from allometry.runs.label_evaluation import MultiLabelEvaluation
from allometry.runs.phases import Phase
from allometry.runs.records import (
    CostEntry,
    DataSummary,
    GrowthPlan,
    LawTrialRecord,
    MeasuredSubnet,
    SearchPlan,
    SearchTrialRecord,
)
from allometry.runs.results import FitResult, RunResult, SearchResult, TrainResult
from allometry.runs.subnets import PredictorQuality, Subnet, SubnetFront
from allometry.scaling import ScalingLaw


@dataclass(frozen=True, slots=True, kw_only=True)
class SupernetRecord:
    """All of a supernet; what is missing is None or empty.

    Attributes:
        space: of its subnets.
        size: how many of them the last phase trains.
        coupled: whether width follows depth in them.
        phases: as planned.
        history: the epochs of all phases.
        measured: subnets that were run on the validation images.
        predictor: how well it predicts their accuracy.
        subnets: that were searched.
        fronts: that were searched.

    Example:
        >>> from allometry.catalog import find_space
        >>> record = SupernetRecord(
        ...     space=find_space("ofa-mobilenetv3-1.0"), phases=(Phase(name="largest", epochs=5),)
        ... )
        >>> record.last is None, record.smallest(2) is None  # no epoch yet, and no second phase
        (True, True)
    """

    space: AnySpace | None = None
    size: int | None = None
    coupled: bool = False
    phases: tuple[Phase, ...] = ()
    history: tuple[SupernetEpochMetrics, ...] = ()
    measured: tuple[MeasuredSubnet, ...] = ()
    predictor: PredictorQuality | None = None
    subnets: tuple[Subnet, ...] = ()
    fronts: tuple[SubnetFront, ...] = ()

    @property
    def last(self) -> SupernetEpochMetrics | None:
        """The latest epoch."""
        return self.history[-1] if self.history else None

    def smallest(self, phase: int) -> AnyMember | None:
        """The smallest network of a phase, by its number from 1."""
        if self.space is None or not 0 < phase <= len(self.phases):
            return None
        part = self.phases[phase - 1].part_of(self.space)
        return self.space.network({name: options[0] for name, options in part.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """Everything that is known about a run. `read_run` reads it; what is missing is None or empty.

    Attributes:
        folder: of the run.
        name: of the run.
        command: the verb that made it.
        arguments: of the verb, by name.
        versions: of this package, Python and the libraries.
        device: in words.
        seed: of everything random.
        started: date and time.
        finished: date and time; None while it is not.
        data: its images.
        network: that it came to.
        baseline: that this grew from.
        law: by which it grew, or that was fitted.
        plan: of its growth.
        growth: the networks of a training that grew.
        law_trials: short trainings of networks that laws made.
        search: what was looked for.
        search_trials: networks that were tried.
        supernet: of `supernet train`.
        history: the epochs of the training.
        costs: of each piece of work.
        recipe: of the training, by field.
        evaluation: on the test split, of images with one label.
        label_evaluation: on the test split, of images with several labels.
        explanations: what the network looks at in some test images.
        export: the file for another runtime.
        result: what the verb came to.
        damaged: what is there and cannot be read, in sentences.

    Example:
        >>> RunRecord(folder=Path("runs/icons-10M"), name="icons-10M", command="train")
        RunRecord(icons-10M: train, not finished)
    """

    folder: Path
    name: str
    command: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    device: str = ""
    seed: int | None = None
    started: str | None = None
    finished: str | None = None
    data: DataSummary | None = None
    network: Network | None = None
    baseline: Network | None = None
    law: ScalingLaw | None = None
    plan: GrowthPlan | None = None
    growth: GrowthSchedule | None = None
    law_trials: tuple[LawTrialRecord, ...] = ()
    search: SearchPlan | None = None
    search_trials: tuple[SearchTrialRecord, ...] = ()
    supernet: SupernetRecord | None = None
    history: tuple[EpochMetrics, ...] = ()
    costs: tuple[CostEntry, ...] = ()
    recipe: Mapping[str, Any] = field(default_factory=dict)
    evaluation: Evaluation | None = None
    label_evaluation: MultiLabelEvaluation | None = None
    explanations: tuple[Explanation, ...] = ()
    export: Export | None = None
    result: RunResult | None = None
    damaged: tuple[str, ...] = ()

    @property
    def cost(self) -> Cost | None:
        """What the network costs for one image, with its latency where that was measured."""
        if isinstance(self.result, TrainResult | SearchResult):
            return self.result.cost
        if self.plan is not None:
            return self.plan.cost
        return None if self.network is None else count(self.network)

    @property
    def report(self) -> Path:
        """Where the run's page is, once it is written."""
        return self.folder / REPORT

    def __repr__(self) -> str:
        state = "finished" if self.finished else "not finished"
        parts = [self.command, *self._network(), *self._accuracy(), state]
        return f"{type(self).__name__}({self.name}: {', '.join(part for part in parts if part)})"

    def _network(self) -> Iterator[str]:
        if isinstance(self.result, FitResult):
            yield f"law {self.result.law}"
        if self.network is None or self.cost is None:
            return
        if self.supernet is not None and self.supernet.size is not None:
            yield f"{self.supernet.size:,} networks of up to {format_quantity(self.cost.macs)} MACs"
            return
        cost = f"{format_quantity(self.cost.macs)} MACs, {format_quantity(self.cost.params)} params"
        yield f"{self.network.name}, {cost}" if self.network.name else cost

    @property
    def metric(self) -> str:
        """What its accuracies are: `accuracy`, or, of images with several labels, `mean average precision`."""
        return "mean average precision" if self.data is not None and self.data.multi_label else "accuracy"

    def _accuracy(self) -> Iterator[str]:
        evaluation = self.evaluation or self.label_evaluation
        if evaluation is not None:
            low, high = evaluation.interval
            yield f"{evaluation.split} {self.metric} {evaluation.accuracy:.2%} ({low:.2%} to {high:.2%})"
        elif self.history:
            last = self.history[-1]
            yield f"validation {self.metric} {last.val_accuracy:.2%} after epoch {last.epoch} of {last.epochs}"
        elif isinstance(self.result, SearchResult):
            yield f"validation {self.metric} {self.result.validation_accuracy:.2%} after a short training"
        elif self.supernet is not None and self.supernet.last is not None:
            ends = self.supernet.last
            yield f"validation {self.metric} {ends.smallest:.2%} to {ends.largest:.2%}"

    def to_dict(self) -> dict[str, Any]:
        """Where the run is and what it came to, as JSON-ready values."""
        return {
            "folder": str(self.folder),
            "command": self.command,
            "finished": self.finished,
            **(self.result.to_dict() if self.result else {}),
            **({"export": self.export.to_dict()} if self.export else {}),
            "report": str(self.report),
        }

    @property
    def seconds(self) -> float:
        """What all work of the run took together."""
        return sum(entry.seconds for entry in self.costs)
