"""What a verb comes to, as values: `result.json` of a run folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from allometry.base.decoding import Amount, Count
from allometry.cost import RuntimeConfig
from allometry.runs.evaluation import Interval
from allometry.runs.values import CostField, Record, Share, Size
from allometry.scaling import ScalingLaw


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult(Record):
    """A trained network.

    Attributes:
        data: name of the data set.
        network: name of the network.
        resolution: of the network.
        cost: of the network for one image.
        validation_accuracy: of the weights that were kept.
        test_accuracy: on images that nothing was chosen by.
        test_interval: where that lies with 95 % confidence.
        test_images: how many there were.
        test_groups: of how many groups, by which the interval is; None where each image is on its own.

    Example:
        >>> from allometry.cost import Cost
        >>> result = TrainResult(
        ...     data="pets", network="net", resolution=64, cost=Cost(410_000, 9_800_000, 250_000, 1_900_000),
        ...     validation_accuracy=0.82, test_accuracy=0.8, test_interval=(0.74, 0.85), test_images=200,
        ... )
        >>> result.to_dict()["macs"], result.test_accuracy
        (9800000, 0.8)
    """

    data: str
    network: str
    resolution: Size
    cost: CostField
    validation_accuracy: Share
    test_accuracy: Share
    test_interval: Interval
    test_images: Count
    test_groups: Count | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RivalLaw(Record):
    """The law that short trials put furthest ahead of the paper's.

    Attributes:
        law: that it is.
        ahead: by how much accuracy on the validation images, 0 to 1; negative where it is behind.
        noise: the standard error of that.
        seeds: of the trials that were compared.
        chosen: whether it was taken: it was ahead by more than the noise.

    Example:
        >>> from allometry.scaling import WIDTH
        >>> rival = RivalLaw(law=WIDTH, ahead=0.012, noise=0.01, seeds=1, chosen=False)
        >>> rival.reason
        "nearest to the paper's; the best other one was ahead by 1.2 points with a standard error of 1.0"
    """

    law: ScalingLaw
    ahead: float
    noise: Amount
    seeds: Count
    chosen: bool

    @property
    def reason(self) -> str:
        """Why the law is the one it is, as part of a sentence."""
        points = f"by {abs(100 * self.ahead):.1f} points with a standard error of {100 * self.noise:.1f}"
        if self.chosen:
            return f"it was ahead of the paper's {points}, over {self.seeds} seeds"
        where = "ahead" if self.ahead >= 0 else "behind"
        return f"nearest to the paper's; the best other one was {where} {points}"


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthResult(TrainResult):
    """A network that was grown to a budget and trained.

    Attributes:
        budget: as it is written.
        law: by which it grew.
        trials: how many laws were tried.
        rival: of them, the one furthest ahead of the paper's; None where there was no other.
        measured: where its latency was measured, if it was.

    Example:
        >>> from allometry.cost import Cost
        >>> from allometry.scaling import COMPOUND
        >>> result = GrowthResult(
        ...     data="pets", network="net", resolution=64, cost=Cost(410_000, 9_800_000, 250_000, 1_900_000),
        ...     validation_accuracy=0.82, test_accuracy=0.8, test_interval=(0.74, 0.85), test_images=200,
        ...     budget="macs <= 10M", law=COMPOUND, trials=9,
        ... )
        >>> result.cost.macs, result.budget
        (9800000, 'macs <= 10M')
    """

    budget: str
    law: ScalingLaw
    trials: Count
    rival: RivalLaw | None = None
    measured: RuntimeConfig | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractResult(TrainResult):
    """A subnet that was taken out of a supernet as a network of its own.

    Attributes:
        supernet: the run folder that it comes from.
        epochs: of fine-tuning.
        extracted_accuracy: on the validation images, as it came out of the supernet.
        budget: for which it was searched, if it was.
        predicted_accuracy: by the search.
        predicted_latency: by the search.
        measured: where the search measured its latency, if it did.

    Example:
        >>> from allometry.cost import Cost
        >>> result = ExtractResult(
        ...     data="pets", network="net", resolution=64, cost=Cost(410_000, 9_800_000, 250_000, 1_900_000),
        ...     validation_accuracy=0.82, test_accuracy=0.8, test_interval=(0.74, 0.85), test_images=200,
        ...     supernet="runs/supernet", epochs=2, extracted_accuracy=0.78, budget="macs <= 10M",
        ... )
        >>> round(result.validation_accuracy - result.extracted_accuracy, 2)  # what fine-tuning brought
        0.04
    """

    supernet: str
    epochs: Count
    extracted_accuracy: Share
    budget: str | None = None
    predicted_accuracy: float | None = None
    predicted_latency: Amount | None = None
    measured: RuntimeConfig | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedLaw(Record):
    """A law that a fit has trained.

    Attributes:
        law: that it is.
        macs: of its network.
        params: of its network.
        resolution: of its network.
        seeds: of its trainings.
        accuracy: mean on the validation images.
        interval: where that lies with 95 % confidence.
        behind: how far it is behind the best one, and the two ends of the 95 % interval of that.
        expected: accuracy by the surface; None where there is none.
        near_best: whether it may be the best: it lies within one standard error of that.

    Example:
        >>> from allometry.scaling import COMPOUND
        >>> trained = TrainedLaw(
        ...     law=COMPOUND, macs=9_800_000, params=410_000, resolution=64, seeds=3, accuracy=0.8,
        ...     interval=(0.77, 0.83), behind=(0.0, 0.0, 0.02), expected=0.79, near_best=True,
        ... )
        >>> trained.to_dict()["law"]["alpha"]
        1.2
    """

    law: ScalingLaw
    macs: Count
    params: Count
    resolution: Size
    seeds: Count
    accuracy: Share
    interval: Interval
    behind: tuple[float, float, float]
    expected: float | None
    near_best: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeAccuracy(Record):
    """What a network of so many MACs reaches, or would reach; the interval is of the latter.

    Example:
        >>> SizeAccuracy(macs=2e7, accuracy=0.84, interval=(0.8, 0.88)).to_dict()
        {'macs': 20000000.0, 'accuracy': 0.84, 'interval': [0.8, 0.88]}
    """

    macs: float
    accuracy: float
    interval: Interval | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FitResult(Record):
    """The law that a fit has chosen, and how sure it is.

    Attributes:
        data: name of the data set.
        network: name of the baseline.
        cost: of the baseline for one image.
        law: that was chosen: the middle of the laws that may be the best.
        region: for `depth`, `width` and `resolution`, between what their shares lie among the laws that may be the
            best: what part of the growth of the MACs, in logarithms, goes to it.
        near_best: how many laws that are.
        laws: how many there were to choose from.
        degree: of the surface through the trained laws; 0 where they are too few for one.
        misfit: how far they lie off it, in variances of their noise.
        standard_error: of a law's mean accuracy, by seeds and images.
        epochs: of each training.
        trained: the laws that were trained.
        sizes: the baseline and the network of the law, as trained.
        forecast: larger ones, trained as briefly.
        training_seconds: of all trainings.
        training_images: of all trainings.
        fraction_of_full: what the trainings cost, of what training each law's network fully would.

    Example:
        >>> from allometry.cost import Cost
        >>> from allometry.scaling import COMPOUND
        >>> result = FitResult(
        ...     data="pets", network="net", cost=Cost(410_000, 9_800_000, 250_000, 1_900_000), law=COMPOUND,
        ...     region={"depth": (0.1, 0.4)}, near_best=4, laws=9, degree=2, misfit=1.1, standard_error=0.01, epochs=3,
        ...     trained=(),
        ...     sizes=(SizeAccuracy(macs=9.8e6, accuracy=0.8), SizeAccuracy(macs=1.9e7, accuracy=0.83)),
        ...     forecast=(), training_seconds=120.5, training_images=48_000, fraction_of_full=0.25,
        ... )
        >>> result.law, result.region["depth"], result.tells_apart
        (ScalingLaw(alpha=1.2, beta=1.1, gamma=1.15), (0.1, 0.4), True)
    """

    data: str
    network: str
    cost: CostField
    law: ScalingLaw
    region: Mapping[str, Interval]
    near_best: Count
    laws: Count
    degree: Count
    misfit: float
    standard_error: float
    epochs: Count
    trained: tuple[TrainedLaw, ...]
    sizes: tuple[SizeAccuracy, ...]
    forecast: tuple[SizeAccuracy, ...]
    training_seconds: Amount
    training_images: Count
    fraction_of_full: Amount

    @property
    def tells_apart(self) -> bool:
        """Whether any law is worse than the best by more than the noise."""
        return self.near_best < self.laws


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult(Record):
    """The network that a search has chosen.

    Attributes:
        data: name of the data set.
        network: name of the network.
        resolution: of the network.
        cost: of the network for one image, with its latency where that was measured.
        objective: as it is written; several are divided by semicolons.
        values: of the objectives, in their order.
        validation_accuracy: after its short training.
        chosen: number of its trial.
        front: numbers of the trials that none was better than in everything.
        max_trials: how many were wanted.
        compare_with: the search beside it, such as `random`; empty for none.
        trials: how many there were.
        stopped: how many of them were stopped early.
        failed: how many of them failed.
        search_seconds: of all trainings.
        trial_images: training images of all trials.
        predicted_latency: where latency counts.
        measured: where the latency was measured, if it was.
        best: the best value of the first objective.
        random: the same of the random search beside it, if there was one.
        random_trials: how many trials that had, at equal cost.
        hypervolume: of several objectives, the volume between the reference and the front; None of one.
        random_hypervolume: the same of the random search beside it, if there was one.
        reference: the reference point of both: the worst value of each objective, less a tenth of its range.

    Example:
        >>> from allometry.cost import Cost
        >>> result = SearchResult(
        ...     data="pets", network="net", resolution=64, cost=Cost(410_000, 9_800_000, 250_000, 1_900_000),
        ...     objective="accuracy", values=(0.8,), validation_accuracy=0.8, chosen=7, front=(7,),
        ...     max_trials=20, compare_with="", trials=20, stopped=5, failed=0, search_seconds=90.5,
        ...     trial_images=48_000, best=0.8,
        ... )
        >>> result.chosen in result.front, result.trials - result.stopped - result.failed
        (True, 15)
    """

    data: str
    network: str
    resolution: Size
    cost: CostField
    objective: str
    values: tuple[float, ...]
    validation_accuracy: Share
    chosen: Count
    front: tuple[int, ...]
    max_trials: Count
    compare_with: str
    trials: Count
    stopped: Count
    failed: Count
    search_seconds: Amount
    trial_images: Count
    predicted_latency: Amount | None = None
    measured: RuntimeConfig | None = None
    best: float | None = None
    random: float | None = None
    random_trials: Count | None = None
    hypervolume: Amount | None = None
    random_hypervolume: Amount | None = None
    reference: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SubnetAccuracy(Record):
    """The cost and the validation accuracy of a subnet.

    Example:
        >>> from allometry.cost import Cost
        >>> cost = Cost(410_000, 9_800_000, 250_000, 1_900_000)
        >>> subnet = SubnetAccuracy(cost=cost, validation_accuracy=0.8)
        >>> subnet.to_dict()["params"], subnet.validation_accuracy
        (410000, 0.8)
    """

    cost: CostField
    validation_accuracy: Share


@dataclass(frozen=True, slots=True, kw_only=True)
class SupernetResult(Record):
    """A trained supernet.

    Attributes:
        data: name of the data set.
        space: in words.
        size: how many subnets the last phase trained.
        largest: of these.
        smallest: of these.
        phases: how many there were.
        epochs: of all phases.
        seconds: of all phases.
        images: training images seen.

    Example:
        >>> from allometry.cost import Cost
        >>> cost = Cost(410_000, 9_800_000, 250_000, 1_900_000)
        >>> largest = SubnetAccuracy(cost=cost, validation_accuracy=0.8)
        >>> smallest = SubnetAccuracy(cost=Cost(90_000, 1_200_000, 60_000, 420_000), validation_accuracy=0.7)
        >>> result = SupernetResult(
        ...     data="pets", space="mine", size=64, largest=largest, smallest=smallest, phases=3, epochs=15,
        ...     seconds=60.5, images=12_000,
        ... )
        >>> result.size, result.to_dict()["smallest"]["macs"]
        (64, 1200000)
    """

    data: str
    space: str
    size: Count
    largest: SubnetAccuracy
    smallest: SubnetAccuracy
    phases: Count
    epochs: Count
    seconds: Amount
    images: Count


RunResult = TrainResult | GrowthResult | ExtractResult | FitResult | SearchResult | SupernetResult
"""What `result.json` of a run folder holds, by the verb that made the folder."""

RESULTS: Mapping[str, type[RunResult]] = {
    "train": TrainResult,
    "grow": TrainResult,
    "run": GrowthResult,
    "supernet extract": ExtractResult,
    "fit": FitResult,
    "search": SearchResult,
    "supernet train": SupernetResult,
}
"""The kind of result of each verb that makes a run folder."""
