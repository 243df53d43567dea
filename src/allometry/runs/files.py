"""The files of a run folder: what each is called, what it holds, and how it is written and read.

A file is written in one step, so that a reader sees the old one or the new one. Reading is patient: a file that is
missing or damaged is None, and a damaged line is left out, since a run may be unfinished or was killed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from allometry.base import RunFolderError
from allometry.base.decoding import Count
from allometry.base.files import append_line, read_json, write_json, write_lines
from allometry.base.reading import UnreadableError, parse_json, read_bytes
from allometry.runs.epochs import EpochMetrics, GrowthSchedule, SupernetEpochMetrics
from allometry.runs.evaluation import Evaluation, Explanation
from allometry.runs.export import Export
from allometry.runs.label_evaluation import MultiLabelEvaluation
from allometry.runs.phases import Phase
from allometry.runs.records import (
    CostEntry,
    DataSummary,
    GrowthPlan,
    LawTrialRecord,
    MeasuredSubnet,
    MemberLatency,
    SearchPlan,
    SearchTrialRecord,
)
from allometry.runs.results import RESULTS, RunResult
from allometry.runs.subnets import PredictorQuality, Subnet, SubnetFront
from allometry.runs.values import Record

AnyRecord = TypeVar("AnyRecord", bound=Record)
Argument = TypeVar("Argument")


@dataclass(frozen=True, slots=True)
class RecordFile(Generic[AnyRecord]):
    """A file that holds one record as JSON.

    Attributes:
        name: of the file.
        kind: of the record.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> SEARCH.read(folder) is None
        True
        >>> SEARCH.write(
        ...     folder, SearchPlan(objectives=("accuracy",), searcher="evolution", space="mine", size=9)
        ... )
        >>> SEARCH.read(folder).searcher
        'evolution'
    """

    name: str
    kind: type[AnyRecord]

    def write(self, folder: Path, record: AnyRecord) -> None:
        """Write the record into a folder, in one step.

        Raises:
            StorageError: the file cannot be written.
        """
        write_json(folder / self.name, record.to_dict())

    def read(self, folder: Path) -> AnyRecord | None:
        """The record in a folder; None where it is missing or damaged."""
        try:
            return self.load(folder)
        except RunFolderError:
            return None

    def load(self, folder: Path) -> AnyRecord:
        """The record in a folder, which is needed.

        Raises:
            RunFolderError: it is missing or damaged.
        """
        return _record(self.kind, folder / self.name)


@dataclass(frozen=True, slots=True)
class RecordLines(Generic[AnyRecord]):
    """A file with a record as JSON in each line.

    Attributes:
        name: of the file.
        kind: of the records.
    """

    name: str
    kind: type[AnyRecord]

    def append(self, folder: Path, record: AnyRecord) -> None:
        """Add a record; a last line that a kill has torn is cut off first.

        Raises:
            StorageError: the file cannot be written.
        """
        append_line(folder / self.name, record.to_dict())

    def write(self, folder: Path, records: Iterable[AnyRecord]) -> None:
        """Replace all records, in one step.

        Raises:
            StorageError: the file cannot be written.
        """
        write_lines(folder / self.name, [record.to_dict() for record in records])

    def read(self, folder: Path) -> tuple[AnyRecord, ...]:
        """All records in a folder, without lines that are no such record."""
        try:
            text = (folder / self.name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ()
        records = (_line(self.kind, line) for line in text.splitlines())
        return tuple(record for record in records if record is not None)

    def count(self, folder: Path) -> int:
        """How many whole lines there are, whatever they are."""
        try:
            return read_bytes(folder / self.name).count(b"\n")
        except OSError:
            return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo(Record):
    """Who made a run folder, and with what: `run.json`.

    Attributes:
        format: of the folder; those of other versions of this package are refused.
        command: the verb.
        name: of the run.
        arguments: what decides the result, by name.
        versions: of this package, Python and the libraries.
        device: in words.
        seed: of everything random.
        started: date and time.
        finished: date and time; None while it is not.
    """

    format: int
    command: str
    name: str
    arguments: Mapping[str, Any]
    versions: Mapping[str, str]
    device: str
    seed: Count
    started: str
    finished: str | None = None

    def argument(self, name: str, kind: type[Argument]) -> Argument:
        """An argument of the verb.

        Raises:
            RunFolderError: there is none of that name, or it is something else.
        """
        value = self.arguments.get(name)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise RunFolderError(
                f"{RUN.name} of the run {self.name} is damaged: its argument {name!r} is {value!r}. Put a copy in its "
                "place, or make the run again."
            )
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanations(Record):
    """What a network looks at in some test images: `explain.json`."""

    explanations: tuple[Explanation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PhasePlan(Record):
    """The phases of a supernet's training: `phases.json`.

    Attributes:
        phases: in their order.
        size: how many subnets the last one trains.
    """

    phases: tuple[Phase, ...]
    size: Count


RUN = RecordFile("run.json", RunInfo)
DATA = RecordFile("data.json", DataSummary)
PLAN = RecordFile("plan.json", GrowthPlan)
GROWTH = RecordFile("growth.json", GrowthSchedule)
SEARCH = RecordFile("search.json", SearchPlan)
EVALUATION = RecordFile("evaluation.json", Evaluation)
LABEL_EVALUATION = RecordFile("label-evaluation.json", MultiLabelEvaluation)
EXPLANATIONS = RecordFile("explain.json", Explanations)
EXPORT = RecordFile("export.json", Export)
PHASES = RecordFile("phases.json", PhasePlan)
PREDICTOR_QUALITY = RecordFile("predictor.json", PredictorQuality)
SUBNET = RecordFile("subnet.json", Subnet)
FRONT = RecordFile("front.json", SubnetFront)

METRICS = RecordLines("metrics.jsonl", EpochMetrics)
SUPERNET_METRICS = RecordLines("metrics.jsonl", SupernetEpochMetrics)
LAW_TRIALS = RecordLines("trials.jsonl", LawTrialRecord)
SEARCH_TRIALS = RecordLines("trials.jsonl", SearchTrialRecord)
COSTS = RecordLines("costs.jsonl", CostEntry)
ACCURACIES = RecordLines("accuracies.jsonl", MeasuredSubnet)
MEMBER_LATENCIES = RecordLines("latencies.jsonl", MemberLatency)

NETWORK, BASELINE, SPACE, LAW = "network.json", "baseline.json", "space.json", "law.json"
RECIPE, PREPROCESSING, RESULT, REPORT = "recipe.json", "preprocessing.json", "result.json", "report.html"
MODULE_PLAN, MODULE_WEIGHTS, MEMBER = "module-plan.json", "weights.safetensors", "member.json"
"""A torch module that was taken out of a supernet: what makes it, its weights, and what was decided of it."""
PRETRAINED, GROWN = "pretrained.safetensors", "grown.safetensors"
"""The weights that a training starts from: as they were given, and as large or small as the network became."""
SUBNETS = "subnets"
"""The folder of a supernet's subnets, which has one for each subnet or front."""


def write_recipe(folder: Path, recipe: Mapping[str, Any]) -> None:
    """Write the recipe of a training, by field: `recipe.json`.

    Raises:
        StorageError: the file cannot be written.
    """
    write_json(folder / RECIPE, recipe)


def write_result(folder: Path, result: RunResult) -> None:
    """Write what a verb came to: `result.json`.

    Raises:
        StorageError: the file cannot be written.
    """
    write_json(folder / RESULT, result.to_dict())


def read_result(folder: Path, command: str) -> RunResult | None:
    """What the verb `command` came to; None where that is missing or damaged."""
    kind = RESULTS.get(command)
    try:
        return None if kind is None else _record(kind, folder / RESULT)
    except RunFolderError:
        return None


def read_subnets(folder: Path) -> tuple[Subnet, ...]:
    """The subnets that were searched in a supernet's folder, by name."""
    files = sorted((folder / SUBNETS).glob(f"*/{SUBNET.name}"))
    return tuple(subnet for file in files if (subnet := SUBNET.read(file.parent)) is not None)


def read_fronts(folder: Path) -> tuple[SubnetFront, ...]:
    """The fronts of subnets in a supernet's folder, by name."""
    files = sorted((folder / SUBNETS).glob(f"*/{FRONT.name}"))
    return tuple(front for file in files if (front := FRONT.read(file.parent)) is not None)


def known_subnets(folder: Path) -> Mapping[str, Subnet]:
    """Every subnet in a supernet's folder by its name, those of fronts included."""
    of_fronts = (subnet for front in read_fronts(folder) for subnet in front.subnets)
    return {subnet.name: subnet for subnet in (*read_subnets(folder), *of_fronts)}


def _record(kind: type[AnyRecord], path: Path) -> AnyRecord:
    try:
        return kind.from_dict(read_json(path))
    except RunFolderError as error:
        text = str(error)
        raise RunFolderError(text if str(path) in text else f"{path} is damaged: {text}") from error


def _line(kind: type[AnyRecord], line: str) -> AnyRecord | None:
    try:
        values = parse_json(line)
        return kind.from_dict(values) if isinstance(values, dict) else None
    except (UnreadableError, RunFolderError):
        return None
