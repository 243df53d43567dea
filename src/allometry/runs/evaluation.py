"""How good a network is on images, as values: `evaluation.json` and `explain.json` of a run folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from allometry.base.decoding import Amount, Count
from allometry.base.html import html_table
from allometry.base.units import plural
from allometry.runs.values import Record, Share

Interval = tuple[float, float]
"""Where a figure lies with 95 % confidence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationBin(Record):
    """The predictions whose probability lies above `low` and is at most `high`.

    Attributes:
        low: end of the bin, left out (the first bin takes 0 too).
        high: end of the bin.
        images: how many predictions are in it.
        confidence: their mean probability; None without images.
        accuracy: fraction of them that is correct; None without images.
        interval: 95 % interval of that fraction (Wilson); None without images.

    Example:
        >>> one = CalibrationBin(
        ...     low=0.8, high=0.9, images=40, confidence=0.86, accuracy=0.75, interval=(0.6, 0.86),
        ... )
        >>> one.to_dict()["interval"]
        [0.6, 0.86]
    """

    low: Share
    high: Share
    images: Count
    confidence: Share | None
    accuracy: Share | None
    interval: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassMetrics(Record):
    """Metrics of one class. A fraction of no images is None.

    Attributes:
        name: of the class.
        images: how many images are of this class.
        predictions: how often the network predicted it.
        accuracy: fraction of its images that are recognized (recall).
        interval: 95 % interval of the accuracy (Wilson).
        precision: fraction of the predictions of it that are correct.
        precision_interval: 95 % interval of the precision (Wilson).
        f1: harmonic mean of accuracy and precision; None where the class has neither images nor predictions.

    Example:
        >>> cat = ClassMetrics(
        ...     name="cat", images=10, predictions=8, accuracy=0.7, interval=(0.4, 0.89), precision=0.875,
        ...     precision_interval=(0.53, 0.98), f1=0.78,
        ... )
        >>> cat.name, cat.accuracy, cat.precision
        ('cat', 0.7, 0.875)
    """

    name: str
    images: Count
    predictions: Count
    accuracy: Share | None
    interval: Interval | None
    precision: Share | None
    precision_interval: Interval | None
    f1: Share | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake(Record):
    """An image that was classified wrongly.

    Attributes:
        image: the image's name.
        truth: the correct class.
        predicted: the network's class.
        confidence: the probability it gave to that class.
        thumbnail: the image as PNG in base64.

    Example:
        >>> mistake = Mistake(image="3.png", truth="cat", predicted="dog", confidence=0.75, thumbnail="")
        >>> f"{mistake.image}: {mistake.predicted}, but it is a {mistake.truth}"
        '3.png: dog, but it is a cat'
    """

    image: str
    truth: str
    predicted: str
    confidence: Share
    thumbnail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation(Record):
    """Metrics of one split. Intervals are of 95 %: Wilson's for fractions of images, else by the bootstrap.

    Attributes:
        split: its name.
        images: how many.
        accuracy: fraction whose most probable class is correct.
        interval: of the accuracy.
        top5: fraction whose class is among the five most probable.
        top5_interval: of that fraction.
        balanced_accuracy: mean of the classes' accuracies.
        balanced_interval: of that mean.
        loss: mean cross-entropy, that is the negative log-likelihood of the truth, in nats.
        loss_interval: of the loss.
        brier: mean over the images of the sum over the classes of (probability - truth)^2; 0 to 2.
        calibration_error: expected calibration error of the most probable class, in 15 bins.
        calibration_interval: of that error.
        calibration_by_chance: the error of a perfectly calibrated network that is equally sure, on as many images.
        calibration: the bins.
        classes: their names.
        confusion: counts, a row per true class and a column per prediction.
        per_class: the metrics of each class.
        mistakes: the most confident wrong predictions.
        groups: of images, by which the intervals are; None where each image is on its own.

    Example:
        >>> Evaluation(
        ...     split="test", images=200, accuracy=0.9, interval=(0.85, 0.93), top5=1.0,
        ...     top5_interval=(0.98, 1.0), balanced_accuracy=0.9, balanced_interval=(0.86, 0.94), loss=0.3,
        ...     loss_interval=(0.22, 0.39), brier=0.15, calibration_error=0.03,
        ...     calibration_interval=(0.02, 0.07), calibration_by_chance=0.03, calibration=(),
        ...     classes=("cat", "dog"), confusion=((90, 10), (10, 90)), per_class=(), mistakes=(),
        ... )
        Evaluation(test, 200 images: accuracy 90.00% (85.00% to 93.00%), loss 0.3, calibration error 3.00%)
    """

    split: str
    images: Count
    accuracy: Share
    interval: Interval
    top5: Share
    top5_interval: Interval
    balanced_accuracy: Share
    balanced_interval: Interval
    loss: float
    loss_interval: Interval
    brier: Amount
    calibration_error: Share
    calibration_interval: Interval
    calibration_by_chance: Share
    calibration: tuple[CalibrationBin, ...]
    classes: tuple[str, ...]
    confusion: tuple[tuple[Count, ...], ...]
    per_class: tuple[ClassMetrics, ...]
    mistakes: tuple[Mistake, ...]
    groups: Count | None = None

    @property
    def counted(self) -> str:
        """How many images, of how many groups."""
        return counted_images(self.images, self.groups)

    def __repr__(self) -> str:
        low, high = self.interval
        return (
            f"Evaluation({self.split}, {self.counted}: accuracy {self.accuracy:.2%} ({low:.2%} to {high:.2%}), "
            f"loss {self.loss:.4g}, calibration error {self.calibration_error:.2%})"
        )

    def _repr_html_(self) -> str:
        def fraction(value: float, interval: Interval) -> tuple[str, str]:
            return f"{value:.2%}", f"{interval[0]:.2%} to {interval[1]:.2%}"

        low, high = self.loss_interval
        rows = [
            ("accuracy", *fraction(self.accuracy, self.interval)),
            ("balanced accuracy", *fraction(self.balanced_accuracy, self.balanced_interval)),
            ("calibration error", *fraction(self.calibration_error, self.calibration_interval)),
            ("log loss", f"{self.loss:.4f}", f"{low:.4f} to {high:.4f}"),
        ]
        return html_table(("", "", "95 %"), rows, caption=f"{self.split}, {self.counted}") + html_table(
            ("class", "images", "accuracy", "precision"),
            [
                (one.name, one.images, _percent(one.accuracy), _percent(one.precision))
                for one in self.per_class
            ],
        )


def counted_images(images: int, groups: int | None) -> str:
    """How many images, and of how many groups where intervals are by groups of them.

    Example:
        >>> counted_images(1716, 28), counted_images(200, None)
        ('1,716 images of 28 groups', '200 images')
    """
    return plural(images, "image") + ("" if groups is None else f" of {plural(groups, 'group')}")


def _percent(fraction: float | None) -> str:
    return "" if fraction is None else f"{fraction:.1%}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation(Record):
    """What the network looks at in one image; the images are PNG in base64.

    Attributes:
        group: why the image was chosen: `drawn` whatever the network says, or by a `wrong` or `correct` prediction.
        image: the image's name.
        digest: of the image's content: the same image in another run has the same.
        truth: the correct class.
        predicted: the network's class.
        confidence: the probability it gave to that class.
        truth_probability: the one it gave to the correct class.
        thumbnail: the image.
        map: the see-through class activation map of the predicted class, to be laid over the image.
        truth_map: that of the truth, where the prediction is wrong; else empty.

    Example:
        >>> explanation = Explanation(
        ...     group="wrong", image="3.png", digest="5f0c", truth="cat", predicted="dog", confidence=0.75,
        ...     truth_probability=0.2, thumbnail="", map="",
        ... )
        >>> explanation.group, explanation.predicted, explanation.truth_probability
        ('wrong', 'dog', 0.2)
    """

    group: Literal["drawn", "wrong", "correct"]
    image: str
    digest: str
    truth: str
    predicted: str
    confidence: Share
    truth_probability: Share
    thumbnail: str
    map: str
    truth_map: str = ""
