"""What a run writes down on its way, as values: its data, plan, trials, epochs and costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from allometry.base.decoding import Amount, Count
from allometry.cost import RuntimeConfig
from allometry.runs.values import CostField, CostValue, LimitField, NetworkField, Record, Share, Size
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
class EpochRecord(Record):
    """What is known of an epoch of any training: a line of `metrics.jsonl`.

    Attributes:
        epoch: its number, from 1; of the phase, where there are several.
        epochs: of the whole training, or of the phase.
        step: the steps taken until its end; of the phase, where there are several.
        learning_rate: at its last step.
        train_loss: mean over all that passed.
        train_accuracy: fraction of what passed that was classified correctly, augmented as it was.
        images: training images seen.
        seconds: with validation.

    Example:
        >>> epoch = EpochRecord(
        ...     epoch=1, epochs=20, step=25, learning_rate=0.1, train_loss=1.5, train_accuracy=0.4,
        ...     images=800, seconds=2.5,
        ... )
        >>> f"epoch {epoch.epoch} of {epoch.epochs}: loss {epoch.train_loss}"
        'epoch 1 of 20: loss 1.5'
    """

    epoch: Size
    epochs: Count
    step: Count
    learning_rate: Amount
    train_loss: float
    train_accuracy: Share
    images: Count
    seconds: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochMetrics(EpochRecord):
    """An epoch of the training of one network.

    Attributes:
        resolution: of its images.
        batch_size: of its steps.
        val_loss: mean over the validation images.
        val_accuracy: fraction of the validation images that are classified correctly.
        images_per_second: of training.
        phase: number of the network, from 1, where it grows in the training.

    Example:
        >>> epoch = EpochMetrics(
        ...     epoch=1, epochs=20, step=25, learning_rate=0.1, train_loss=1.5, train_accuracy=0.4,
        ...     images=800, seconds=2.5, resolution=32, batch_size=32, val_loss=1.2, val_accuracy=0.5,
        ...     images_per_second=400.0,
        ... )
        >>> EpochMetrics.from_dict(epoch.to_dict()).val_accuracy
        0.5
    """

    resolution: Size
    batch_size: Size
    val_loss: float
    val_accuracy: Share
    images_per_second: Amount
    phase: Size = 1

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values; without the phase in the first one, which most trainings do not leave."""
        values = EpochRecord.to_dict(self)
        return (
            values if self.phase > 1 else {name: value for name, value in values.items() if name != "phase"}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthPhase(Record):
    """A network of a training that grows.

    Attributes:
        network: that learns.
        cost: of one image.
        first_epoch: that it is trained in, counted from 1.
        epochs: that it is trained in.

    Example:
        >>> from allometry.catalog import get
        >>> from allometry.cost import count
        >>> b0 = get("efficientnet-b0")
        >>> phase = GrowthPhase(network=b0, cost=count(b0), first_epoch=3, epochs=2)
        >>> phase.last_epoch, GrowthPhase.from_dict(phase.to_dict()) == phase
        (4, True)
    """

    network: NetworkField
    cost: CostValue
    first_epoch: Size
    epochs: Size

    @property
    def last_epoch(self) -> int:
        """The last one that it is trained in."""
        return self.first_epoch + self.epochs - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthSchedule(Record):
    """In what steps a network grows during its training: `growth.json`.

    Attributes:
        phases: its networks, in order; the last one is the result.
        law: by which it grows.

    Example:
        >>> from allometry.scaling import COMPOUND
        >>> GrowthSchedule(phases=(), law=COMPOUND).to_dict()["law"]["alpha"]
        1.2
    """

    phases: tuple[GrowthPhase, ...]
    law: ScalingLaw


@dataclass(frozen=True, slots=True, kw_only=True)
class SupernetEpochMetrics(EpochRecord):
    """An epoch of a phase of a supernet's training.

    Attributes:
        phase: its number, from 1.
        name: of the phase.
        largest: validation accuracy of the phase's largest network.
        smallest: that of its smallest.
        passes: images times subnets.

    Example:
        >>> epoch = SupernetEpochMetrics(
        ...     epoch=1, epochs=5, step=25, learning_rate=0.1, train_loss=1.5, train_accuracy=0.4, images=800,
        ...     seconds=2.5, phase=2, name="depth", largest=0.7, smallest=0.6, passes=1600,
        ... )
        >>> f"{epoch.name}: {epoch.smallest} to {epoch.largest}"
        'depth: 0.6 to 0.7'
    """

    phase: Size
    name: str
    largest: Share
    smallest: Share
    passes: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class GradientEpochMetrics(EpochRecord):
    """An epoch of a search by gradient.

    Attributes:
        updates: of the architecture until its end.
        held_loss: mean over the architecture's own images; None where it did not learn in the epoch.
        held_accuracy: fraction of the architecture's own images that were classified correctly, likewise.
        val_loss: of the most probable network, on the validation images.
        val_accuracy: of the most probable network, on the validation images.
        expected_cost: of the distribution; None where no cost counts.
        entropy: of the distribution, in nats.

    Example:
        >>> epoch = GradientEpochMetrics(
        ...     epoch=1, epochs=20, step=25, learning_rate=0.1, train_loss=1.5, train_accuracy=0.4,
        ...     images=800, seconds=2.5, updates=0, held_loss=None, held_accuracy=None, val_loss=1.2,
        ...     val_accuracy=0.5, expected_cost=2e6, entropy=1.1,
        ... )
        >>> epoch.held_loss is None  # the architecture did not learn in this epoch
        True
    """

    updates: Count
    held_loss: float | None
    held_accuracy: Share | None
    val_loss: float
    val_accuracy: Share
    expected_cost: float | None
    entropy: float


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
