"""What the files of a run folder say, as values. Every part may be missing: a run may be unfinished."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from allometry.arch import Network
from allometry.reports.supernet_record import Extracted, SupernetRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A file of the data that was left out, and why."""

    path: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """The images of a run, from `data.json`.

    Attributes:
        splits: images of each split.
        smallest_class: images of the smallest class in the training split.
        largest_class: images of the largest one.
        rejected: the files that were left out, where they are listed.
        left_out: how many those are, listed or not.
    """

    name: str = ""
    classes: tuple[str, ...] = ()
    channels: int | None = None
    image_size: int | None = None
    splits: Mapping[str, int] = field(default_factory=dict)
    smallest_class: int | None = None
    largest_class: int | None = None
    rejected: tuple[Rejected, ...] = ()
    left_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedLimit:
    """One limit of the budget. Its measure may be one that is measured, not counted, such as latency."""

    measure: str
    most: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How the baseline was to grow, from `plan.json`."""

    budget: tuple[PlannedLimit, ...] = ()
    cost: Mapping[str, float] = field(default_factory=dict)
    law: Mapping[str, float] = field(default_factory=dict)
    phi: float | None = None
    multipliers: Mapping[str, float] = field(default_factory=dict)
    measured: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A short training, from a line of `trials.jsonl`."""

    name: str
    accuracy: float
    law: Mapping[str, float] = field(default_factory=dict)
    macs: float | None = None
    params: float | None = None
    resolution: int | None = None
    epochs: float | None = None
    loss: float | None = None
    chosen: bool = False
    kind: str = "grid"


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchTrial:
    """A network that a search tried, from a line of `trials.jsonl`.

    Attributes:
        values: what it is worth, a number for each objective; none where it failed.
        work: MACs of all its passes over images.
        phase: `search`, or `random` for the search beside it.
    """

    number: int
    phase: str = "search"
    values: tuple[float | None, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)
    resolution: int | None = None
    epochs: int | None = None
    seconds: float = 0.0
    work: float = 0.0
    stopped: bool = False
    failed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What a search looked for and found, from `search.json`.

    Attributes:
        objectives: as they are written.
        size: of the space.
        chosen: number of the trial whose network was found, once it is.
        front: numbers of the trials that none was better than in everything.
    """

    objectives: tuple[str, ...] = ()
    by: str = ""
    space: str = ""
    size: str = ""
    budget: str | None = None
    chosen: int | None = None
    front: tuple[int, ...] = ()
    latency: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finalist:
    """A law that a fit has trained with several seeds.

    Attributes:
        best: share of the resamples in which it is the best of the finalists.
        behind: how far it is behind the best one, with the 95 % interval of that.
    """

    law: Mapping[str, float | int | None]
    accuracy: float
    interval: tuple[float, float]
    best: float = 0.0
    behind: tuple[float, float, float] = (0.0, 0.0, 0.0)
    seeds: int = 1
    macs: float | None = None
    resolution: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeOutlook:
    """What a network of so many MACs reaches, or would reach; the interval is of the latter."""

    macs: float
    accuracy: float
    interval: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """The law that a fit has found and how sure it is, from `fit.json`.

    Attributes:
        likely: for each coefficient, between what it lies among the laws that may be the best.
        epochs: of the longest trainings.
        sizes: the baseline and the network of the law, as trained.
        outlook: larger ones, trained as briefly.
    """

    law: Mapping[str, float | int | None]
    likely: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    epochs: int | None = None
    finalists: tuple[Finalist, ...] = ()
    sizes: tuple[SizeOutlook, ...] = ()
    outlook: tuple[SizeOutlook, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """One epoch of the long training, from a line of `metrics.jsonl`."""

    epoch: int
    epochs: int | None = None
    learning_rate: float | None = None
    train_loss: float | None = None
    train_accuracy: float | None = None
    val_loss: float | None = None
    val_accuracy: float | None = None
    images_per_second: float | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerLine:
    """What a piece of work cost, from a line of `ledger.jsonl`."""

    phase: str
    seconds: float
    name: str = ""
    images: int | None = None
    device: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassFigures:
    """How good the network is for one class; a share of no images is `None`.

    Attributes:
        accuracy: share of its images that are recognized, with its interval.
        precision: share of the answers with its name that are right.
    """

    name: str
    images: int
    accuracy: float | None = None
    interval: tuple[float, float] | None = None
    precision: float | None = None
    f1: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """The answers whose probability lies in a range: how probable they are on average, and how often right."""

    low: float
    high: float
    images: int
    confidence: float | None = None
    accuracy: float | None = None
    interval: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """An image that was classified wrongly; the thumbnail is a PNG in base64."""

    truth: str
    predicted: str
    image: str = ""
    confidence: float | None = None
    thumbnail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """How good the network is on images it has not seen, from `evaluation.json`.

    Attributes:
        confusion: rows are the truth, columns the prediction.
        interval: where the accuracy lies with 95 % confidence; the other intervals alike.
        calibration_by_chance: the calibration error that chance alone gives on so many images.
    """

    accuracy: float
    split: str = "test"
    images: int | None = None
    interval: tuple[float, float] | None = None
    top5: float | None = None
    top5_interval: tuple[float, float] | None = None
    balanced_accuracy: float | None = None
    balanced_interval: tuple[float, float] | None = None
    loss: float | None = None
    loss_interval: tuple[float, float] | None = None
    brier: float | None = None
    calibration_error: float | None = None
    calibration_interval: tuple[float, float] | None = None
    calibration_by_chance: float | None = None
    calibration: tuple[Bin, ...] = ()
    classes: tuple[str, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    per_class: tuple[ClassFigures, ...] = ()
    mistakes: tuple[Mistake, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the network looks at in one test image, from `explain.json`; the pictures are PNG in base64.

    Attributes:
        group: why the image was chosen: `drawn`, `wrong` or `right`.
        digest: of the image's content: the same image in another run has the same.
        map: the see-through map of the answer, to be laid over the picture.
        truth_map: that of the truth, where the answer is wrong.
    """

    group: str
    truth: str
    answer: str
    image: str = ""
    digest: str = ""
    confidence: float | None = None
    truth_probability: float | None = None
    picture: str = ""
    map: str = ""
    truth_map: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """A file for another runtime and how it was checked, from `export.json`."""

    file: str
    bytes: int | None = None
    images: int | None = None
    largest_difference: float | None = None
    agreement: float | None = None
    runtime: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """Everything that is known about a run. `read_run` reads it; what is missing is `None` or empty.

    Example:
        >>> RunRecord(folder=Path("runs/icons-10M"), name="icons-10M").finished is None
        True
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
    data: Data | None = None
    network: Network | None = None
    baseline: Network | None = None
    plan: Plan | None = None
    trials: tuple[Trial, ...] = ()
    fit: Fit | None = None
    search: Search | None = None
    tried: tuple[SearchTrial, ...] = ()
    supernet: SupernetRecord | None = None
    extracted: Extracted | None = None
    epochs: tuple[Epoch, ...] = ()
    ledger: tuple[LedgerLine, ...] = ()
    recipe: Mapping[str, Any] = field(default_factory=dict)
    evaluation: Evaluation | None = None
    looks: tuple[Look, ...] = ()
    export: Export | None = None
