"""The subnets of a supernet, as values: those that were searched, fronts of them, and what predicts their accuracy."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from allometry.base.decoding import Amount, Count
from allometry.base.html import html_table
from allometry.cost import LATENCY, Measure, RuntimeConfig
from allometry.cost.measures import more_measures
from allometry.runs.evaluation import Interval
from allometry.runs.values import CostField, MemberField, Rank, Record, Share


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedBin(Record):
    """Networks next to each other in predicted accuracy: a point of a calibration plot.

    Attributes:
        number: of networks.
        predicted: mean of what was predicted.
        measured: mean of what was measured.
        spread: standard deviation of what was measured.

    Example:
        >>> PredictedBin(number=10, predicted=0.8, measured=0.79, spread=0.01).to_dict()
        {'number': 10, 'predicted': 0.8, 'measured': 0.79, 'spread': 0.01}
    """

    number: Count
    predicted: float
    measured: Share
    spread: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictorQuality(Record):
    """How well a predictor of accuracy does: `predictor.json`. All errors are in the unit of the accuracies.

    Attributes:
        number: of networks that it was judged by.
        tau: Kendall's tau-b: the fraction of pairs in the correct order less that in the wrong one, from -1 to 1. 0
            where one side is constant, since no order can be told then.
        spearman: correlation of the ranks; 0 where one side is constant.
        mean_absolute_error: of predicted against measured.
        rmse: root of the mean squared error.
        bias: mean of predicted less measured.
        bins: equally many networks each, by rising predicted accuracy.
        attainable: about the tau of a predictor that knew how good the networks are, judged by the same images
            (`attainable_tau`); None if it is not known.
        fitted: of networks that it was fitted to; None if it is not known.
        target: what it was fitted to, as measured on other images than it was judged by: `loss` or `accuracy`.

    Example:
        >>> quality = PredictorQuality(
        ...     number=10, tau=0.8, spearman=0.9, mean_absolute_error=0.01, rmse=0.012, bias=0.0,
        ...     bins=(PredictedBin(number=10, predicted=0.8, measured=0.8, spread=0.01),),
        ... )
        >>> PredictorQuality.from_dict(quality.to_dict()).bins[0].number
        10
    """

    number: Count
    tau: Rank
    spearman: Rank
    mean_absolute_error: Amount
    rmse: Amount
    bias: float
    bins: tuple[PredictedBin, ...]
    attainable: float | None = None
    fitted: Count | None = None
    target: Literal["loss", "accuracy"] | None = None

    @property
    def true_tau(self) -> float:
        """About the tau against how good the networks are, rather than against accuracies on some images.

        What chance in those takes from a correlation is taken back; from -1 to 1. It is `tau` itself where nothing is
        known of chance, and 0 where nothing could be attained.

        Source: Spearman 1904, *The proof and measurement of association between two things*, for a correlation; Greiner
        1909 for tau from one.

        Example:
            >>> quality = PredictorQuality(
            ...     number=10, tau=0.4, spearman=0.5, mean_absolute_error=0.01, rmse=0.01, bias=0.0, bins=(),
            ...     attainable=0.5,
            ... )
            >>> round(quality.true_tau, 2)
            0.62
        """
        if self.attainable is None:
            return self.tau
        most = math.sin(math.pi / 2 * self.attainable)
        share = math.sin(math.pi / 2 * self.tau) / most if most > 0 else 0.0
        return 2 / math.pi * math.asin(min(1.0, max(-1.0, share)))


@dataclass(frozen=True, slots=True, kw_only=True)
class SubnetCandidate(Record):
    """Accuracies of a subnet that was among the best predicted, on the validation images.

    Example:
        >>> SubnetCandidate(predicted=0.81, measured=0.8).to_dict()
        {'predicted': 0.81, 'measured': 0.8}
    """

    predicted: float
    measured: Share


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnet(Record):
    """A subnet of a trained supernet, which `supernet extract` makes a network of its own.

    Attributes:
        name: by which it is extracted.
        network: that it is; of a module's supernet, what was decided of the module.
        cost: for one image; its latency in seconds where that was measured.
        predicted_accuracy: on the validation images.
        validation_accuracy: as measured; it was among the reasons to choose the subnet.
        budget: for which it was searched; None for none.
        predicted_latency: where latency counts.
        measured: where the latency was measured, if it was.
        test_accuracy: on images that nothing was chosen by; None for the subnets of a front.
        test_interval: where that lies with 95 % confidence.
        test_images: how many there were.
        candidates: the best predicted ones, as measured.
        history: the best predicted accuracy after each generation of the search.
        examined: how many subnets the search looked at.
        search_seconds: that it took.
        tau: Kendall's, of the predictor.
        folder: where the subnet is kept.

    Example:
        >>> from allometry.catalog import get
        >>> from allometry.cost import count
        >>> network = get("efficientnet-b0")
        >>> Subnet(
        ...     name="macs-400M", network=network, cost=count(network), predicted_accuracy=0.81,
        ...     validation_accuracy=0.8,
        ... )
        Subnet('macs-400M', 385,814,752 MACs, 5,288,548 params, 224 px, validation accuracy 80.00%)
    """

    name: str
    network: MemberField
    cost: CostField
    predicted_accuracy: float
    validation_accuracy: Share
    budget: str | None = None
    predicted_latency: Amount | None = None
    measured: RuntimeConfig | None = None
    test_accuracy: Share | None = None
    test_interval: Interval | None = None
    test_images: Count | None = None
    candidates: tuple[SubnetCandidate, ...] = ()
    history: tuple[float, ...] = ()
    examined: Count = 0
    search_seconds: Amount = 0.0
    tau: Rank | None = None
    folder: Path | None = None

    @property
    def resolution(self) -> int:
        """Pixels of its input's side."""
        return self.network.resolution

    def known(self, measure: Measure) -> float | None:
        """The value of a measure: as measured or counted, else as a table predicts it; None if it is not known."""
        value = measure.of(self.cost)
        return self.predicted_latency if value is None and measure == LATENCY else value

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {**Record.to_dict(self), "resolution": self.resolution}

    def __repr__(self) -> str:
        tested = f", {self.test_accuracy:.2%} on test images" if self.test_accuracy is not None else ""
        return (
            f"Subnet({self.name!r}, {self.cost.macs:,} MACs, {self.cost.params:,} params, {self.resolution} px, "
            f"validation accuracy {self.validation_accuracy:.2%}{tested})"
        )

    def _repr_html_(self) -> str:
        return _table([self], caption=self.budget or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class SubnetFront(Record):
    """Subnets of a supernet than which none is predicted to be both cheaper and better: `front.json`.

    Attributes:
        name: of the front.
        measure: name of the measure that they are weighed by.
        budget: that they keep besides; None for none.
        subnets: some of them, evenly spaced by the logarithm of their cost, as measured.
        size: how many subnets the whole front has.
        examined: how many the search looked at.
        search_seconds: that it took.
        tau: Kendall's, of the predictor; None where all subnets were measured.
        folder: where the subnets are kept.

    Example:
        >>> from allometry.catalog import get
        >>> from allometry.cost import count
        >>> network = get("efficientnet-b0")
        >>> one = Subnet(
        ...     name="front-macs-1", network=network, cost=count(network), predicted_accuracy=0.81,
        ...     validation_accuracy=0.8,
        ... )
        >>> SubnetFront(
        ...     name="front-macs", measure="macs", subnets=(one,), size=40, examined=5000, search_seconds=3.5,
        ...     tau=0.8,
        ... )
        SubnetFront(macs, 1 of 40 subnets)
    """

    name: str
    measure: str
    budget: str | None = None
    subnets: tuple[Subnet, ...]
    size: Count
    examined: Count
    search_seconds: Amount
    tau: Rank | None = None
    folder: Path | None = None

    def __repr__(self) -> str:
        return f"SubnetFront({self.measure}, {len(self.subnets)} of {self.size} subnets)"

    def _repr_html_(self) -> str:
        return _table(self.subnets, caption=f"{len(self.subnets)} of {self.size} subnets, {self.measure}")


def _table(subnets: Iterable[Subnet], *, caption: str) -> str:
    more = more_measures()
    labels = (measure.label for measure in more)
    columns = ("subnet", "px", "MACs", "params", *labels, "predicted", "validation", "test")
    rows = (
        (
            subnet.name,
            subnet.resolution,
            subnet.cost.macs,
            subnet.cost.params,
            *(_value(subnet, measure) for measure in more),
            f"{subnet.predicted_accuracy:.2%}",
            f"{subnet.validation_accuracy:.2%}",
            None if subnet.test_accuracy is None else f"{subnet.test_accuracy:.2%}",
        )
        for subnet in subnets
    )
    return html_table(columns, rows, caption=caption)


def _value(subnet: Subnet, measure: Measure) -> str | None:
    value = subnet.known(measure)
    return None if value is None else measure.format(value)
