"""How good a network is at several labels an image, as values: `label-evaluation.json` of a run folder."""

from __future__ import annotations

from dataclasses import dataclass

from allometry.base.decoding import Count
from allometry.base.html import html_table
from allometry.runs.evaluation import Interval, counted_images
from allometry.runs.values import Record, Share


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelMetrics(Record):
    """Metrics of one label. A fraction of no images is None.

    Attributes:
        name: of the label.
        images: how many images have it.
        predictions: how many the network gives it.
        average_precision: the area under the curve of precision over recall, by its steps.
        interval: 95 % interval of that, by the bootstrap.
        threshold: the probability from which on it is given: that with the best F1 on the validation images.
        precision: fraction of the images that are given it which have it.
        recall: fraction of the images that have it which are given it.
        f1: harmonic mean of both; None where no image has it or is given it.

    Example:
        >>> cat = LabelMetrics(
        ...     name="cat", images=10, predictions=8, average_precision=0.9, interval=(0.8, 0.96), threshold=0.42,
        ...     precision=0.875, recall=0.7, f1=0.78,
        ... )
        >>> cat.name, cat.average_precision, cat.threshold
        ('cat', 0.9, 0.42)
    """

    name: str
    images: Count
    predictions: Count
    average_precision: Share | None
    interval: Interval | None
    threshold: Share
    precision: Share | None
    recall: Share | None
    f1: Share | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiLabelEvaluation(Record):
    """Metrics of a split whose images have several labels, or none. Intervals are of 95 %, by the bootstrap.

    Attributes:
        split: its name.
        images: how many.
        mean_average_precision: over the labels that an image has (macro).
        interval: of that mean.
        loss: mean binary cross-entropy, over images and labels, in nats.
        loss_interval: of the loss.
        f1: mean over the labels, at their thresholds.
        exact: fraction of the images whose labels are all given, and no other.
        exact_interval: of that fraction (Wilson).
        classes: names of the labels.
        per_class: the metrics of each label.
        groups: of images, by which the intervals are; None where each image is on its own.

    Example:
        >>> MultiLabelEvaluation(
        ...     split="test", images=200, mean_average_precision=0.92, interval=(0.88, 0.94), loss=0.2,
        ...     loss_interval=(0.18, 0.23), f1=0.85, exact=0.7, exact_interval=(0.63, 0.76), classes=("cat", "dog"),
        ...     per_class=(),
        ... )
        MultiLabelEvaluation(test, 200 images: mean average precision 92.00% (88.00% to 94.00%), loss 0.2, F1 85.00%)
    """

    split: str
    images: Count
    mean_average_precision: Share
    interval: Interval
    loss: float
    loss_interval: Interval
    f1: Share
    exact: Share
    exact_interval: Interval
    classes: tuple[str, ...]
    per_class: tuple[LabelMetrics, ...]
    groups: Count | None = None

    @property
    def counted(self) -> str:
        """How many images, of how many groups."""
        return counted_images(self.images, self.groups)

    @property
    def accuracy(self) -> float:
        """The mean average precision, which stands for the accuracy where an image has one label."""
        return self.mean_average_precision

    @property
    def thresholds(self) -> tuple[float, ...]:
        """From which probability on each label is given."""
        return tuple(one.threshold for one in self.per_class)

    def __repr__(self) -> str:
        low, high = self.interval
        return (
            f"MultiLabelEvaluation({self.split}, {self.images:,} images: mean average precision "
            f"{self.mean_average_precision:.2%} ({low:.2%} to {high:.2%}), loss {self.loss:.4g}, F1 {self.f1:.2%})"
        )

    def _repr_html_(self) -> str:
        low, high = self.interval
        rows = [
            ("mean average precision", f"{self.mean_average_precision:.2%}", f"{low:.2%} to {high:.2%}"),
            ("all labels right", f"{self.exact:.2%}", "{:.2%} to {:.2%}".format(*self.exact_interval)),
            ("log loss", f"{self.loss:.4f}", "{:.4f} to {:.4f}".format(*self.loss_interval)),
        ]
        labels = [
            (one.name, one.images, _percent(one.average_precision), f"{one.threshold:.3f}", _percent(one.f1))
            for one in self.per_class
        ]
        caption = f"{self.split}, {self.images:,} images"
        head = ("label", "images", "average precision", "threshold", "F1")
        return html_table(("", "", "95 %"), rows, caption=caption) + html_table(head, labels)


def _percent(fraction: float | None) -> str:
    return "" if fraction is None else f"{fraction:.1%}"
