"""What a run writes down on its way, as values: its data, plans, trials and costs; its epochs are in `epochs`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from allometry.base.decoding import Amount, Count, Positive
from allometry.cost import RuntimeConfig
from allometry.runs.values import CostField, CostValue, LimitField, Record, Share, Size
from allometry.scaling import Multipliers, ScalingLaw


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedFile(Record):
    """A file of the data that was left out, and why.

    Example:
        >>> RejectedFile(path="cat/3.png", reason="cut off").to_dict()
        {'path': 'cat/3.png', 'reason': 'cut off'}
    """

    path: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassSizes(Record):
    """Images per class of a split.

    Example:
        >>> ClassSizes(least=20, median=25.0, most=40).to_dict()
        {'least': 20, 'median': 25.0, 'most': 40}
    """

    least: Count
    median: Amount
    most: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSummary(Record):
    """The images of a run: `data.json`.

    Attributes:
        name: of the data set.
        classes: their names.
        channels: 1 or 3.
        image_size: median shorter side, in pixels.
        images: of each split.
        per_class: images per class, for each split.
        rejected: the files that were left out.
        fingerprint: changes with any image or label.
        multi_label: whether an image may have several labels, or none.
        remarks: what is odd about the images, in sentences.
        grouped_by: how the user said which images belong together; empty where that was not said.
        groups: of each split, where images come in groups.

    Example:
        >>> summary = DataSummary(
        ...     name="pets", classes=("cat", "dog"), channels=3, image_size=64,
        ...     images={"train": 80, "test": 20},
        ...     per_class={"train": ClassSizes(least=38, median=40.0, most=42)},
        ... )
        >>> DataSummary.from_dict(summary.to_dict()).per_class["train"].most
        42
    """

    name: str
    classes: tuple[str, ...]
    channels: Count
    image_size: Count
    images: Mapping[str, Count]
    per_class: Mapping[str, ClassSizes]
    rejected: tuple[RejectedFile, ...] = ()
    fingerprint: str = ""
    multi_label: bool = False
    remarks: tuple[str, ...] = ()
    grouped_by: tuple[str, ...] = ()
    groups: Mapping[str, Count] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthPlan(Record):
    """How a baseline grows to a budget: `plan.json`.

    Attributes:
        budget: its limits.
        cost: of the network.
        law: by which the baseline grows.
        phi: steps of the law.
        multipliers: of depth, width and resolution, from the baseline to the network.
        measured: where latency and memory were measured, if they were.

    Example:
        >>> from allometry.catalog import get
        >>> from allometry.cost import count, parse_budget
        >>> from allometry.scaling import COMPOUND
        >>> plan = GrowthPlan(
        ...     budget=parse_budget("2G").limits, cost=count(get("efficientnet-b3")), law=COMPOUND, phi=2.0,
        ...     multipliers=COMPOUND.multipliers(2.0),
        ... )
        >>> [limit["measure"] for limit in plan.to_dict()["budget"]], round(plan.multipliers.depth, 2)
        (['macs'], 1.44)
    """

    budget: tuple[LimitField, ...]
    cost: CostValue
    law: ScalingLaw
    phi: float
    multipliers: Multipliers
    measured: RuntimeConfig | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPlan(Record):
    """What a search looks for: `search.json`.

    Attributes:
        objectives: as they are written.
        searcher: that proposes networks.
        space: in words.
        size: how many networks the space has.
        budget: that they keep; None for none.

    Example:
        >>> plan = SearchPlan(objectives=("accuracy",), searcher="evolution", space="mine", size=10**20)
        >>> plan.to_dict()["size"]  # as text, since it is beyond what other readers of JSON take exactly
        '100000000000000000000'
        >>> SearchPlan.from_dict(plan.to_dict()) == plan
        True
    """

    objectives: tuple[str, ...]
    searcher: str
    space: str
    size: Count
    budget: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LawTrialRecord(Record):
    """A short training of a network that a law made: a line of `trials.jsonl`.

    Attributes:
        name: the law's.
        law: by which the network grew.
        network: its digest.
        resolution: of the network.
        macs: of the network.
        params: of the network.
        epochs: that were trained.
        accuracy: on the validation images.
        loss: on the validation images.
        seconds: that the training took.
        images: training images seen.
        seed: of the training; None for the mean of several.
        correct: which validation images it had correct, in hexadecimal digits; of a mean, none.
        chosen: whether the run went on with this law.

    Example:
        >>> from allometry.scaling import COMPOUND
        >>> trial = LawTrialRecord(
        ...     name="compound", law=COMPOUND, network="5f0c", resolution=64, macs=9_800_000,
        ...     params=410_000, epochs=3, accuracy=0.8, loss=0.6, seconds=12.5, images=2400,
        ... )
        >>> trial.law, trial.chosen
        (ScalingLaw(alpha=1.2, beta=1.1, gamma=1.15), False)
    """

    name: str
    law: ScalingLaw
    network: str
    resolution: Size
    macs: Count
    params: Count
    epochs: Count
    accuracy: Share
    loss: float
    seconds: Amount
    images: Count
    seed: int | None = None
    correct: str = ""
    chosen: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchTrialRecord(Record):
    """A network that a search tried: a line of `trials.jsonl`.

    Attributes:
        phase: `search`, or `random` for the search beside it.
        number: its place in the search, from 0.
        values: of the objectives; None where the trial failed.
        metrics: all that an objective may ask for, such as accuracy and macs.
        resolution: of the network.
        epochs: that were trained.
        seconds: that it took.
        images: training images seen.
        training_macs: MACs of all passes over images.
        stopped: whether it was stopped early.
        failed: why it has no result, else empty.

    Example:
        >>> trial = SearchTrialRecord(
        ...     phase="search", number=0, values=(0.8,), metrics={"accuracy": 0.8, "macs": 2e6},
        ...     resolution=32, epochs=3, seconds=4.5, images=2400, training_macs=1.4e10,
        ... )
        >>> trial.metrics["accuracy"], trial.stopped
        (0.8, False)
    """

    phase: str
    number: Count
    values: tuple[float | None, ...]
    metrics: Mapping[str, float] = field(default_factory=dict)
    resolution: Size
    epochs: Count
    seconds: Amount
    images: Count
    training_macs: Amount
    stopped: bool = False
    failed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CostEntry(Record):
    """What a piece of work cost: a line of the cost log, `costs.jsonl`.

    Attributes:
        phase: of the run, such as `train`.
        name: of the piece.
        seconds: that it took.
        images: that were seen.
        device: on which, in words.

    Example:
        >>> CostEntry(phase="train", name="net", seconds=12.5, images=2400, device="cpu").to_dict()
        {'phase': 'train', 'name': 'net', 'seconds': 12.5, 'images': 2400, 'device': 'cpu'}
    """

    phase: str
    name: str
    seconds: Amount
    images: Count
    device: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredSubnet(Record):
    """A subnet that was run on the validation images: a line of `accuracies.jsonl`.

    Attributes:
        encoding: the options that it has, of its space.
        cost: of the subnet.
        accuracy: on the validation images.
        loss: on the validation images.
        correct: in each of the parts into which these are divided; of several labels, what they add to the accuracy.
        losses: summed over each of these parts.
        seconds: that it took.
        images: that were seen, those for its batch norm's statistics included.

    Example:
        >>> from allometry.cost import Cost
        >>> subnet = MeasuredSubnet(
        ...     encoding=(0, 1, 1), cost=Cost(410_000, 9_800_000, 250_000, 1_900_000), accuracy=0.8, loss=0.6,
        ...     correct=(42, 38), losses=(31.5, 28.5), seconds=0.5, images=300,
        ... )
        >>> subnet.to_dict()["macs"], MeasuredSubnet.from_dict(subnet.to_dict()) == subnet
        (9800000, True)
    """

    encoding: tuple[int, ...]
    cost: CostField
    accuracy: Share
    loss: float
    correct: tuple[float, ...]
    losses: tuple[float, ...]
    seconds: Amount
    images: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberLatency(Record):
    """A subnet of a torch module that was run on a device: a line of `latencies.jsonl`.

    Attributes:
        encoding: the options that it has, of its space.
        runtime_config: how it was run.
        ratio: how many times as long it took as the largest one right beside it.
        reference: seconds that the largest one took meanwhile.

    Example:
        >>> line = MemberLatency(encoding=(0, 1), runtime_config=RuntimeConfig(), ratio=0.5, reference=0.01)
        >>> MemberLatency.from_dict(line.to_dict()) == line
        True
    """

    encoding: tuple[int, ...]
    runtime_config: RuntimeConfig
    ratio: Positive
    reference: Positive
