"""All metrics of predictions of several labels: one `MultiLabelEvaluation`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from allometry.data.dataset import Labels
from allometry.runs import LabelMetrics, MultiLabelEvaluation
from allometry.training.metrics.evaluate import Predictions
from allometry.training.metrics.intervals import bootstrap_interval, fraction_interval, resamples
from allometry.training.metrics.labels import Ranking, rankings, resamples_for


def summarize_labels(
    predictions: Predictions,
    *,
    name: str,
    classes: tuple[str, ...],
    thresholds: Sequence[float],
    seed: int = 0,
) -> MultiLabelEvaluation:
    """Everything the report shows about a split whose images have several labels.

    Args:
        predictions: what the network says of each image.
        name: of the split.
        classes: names of the labels.
        thresholds: the probability from which on each label is given.
        seed: of the resampling behind the intervals.

    Example:
        >>> predictions = Predictions(
        ...     labels=np.array([[1, 1], [0, 1]], np.uint8),
        ...     probabilities=np.array([[0.75, 0.75], [0.25, 0.25]], np.float32),
        ...     losses=np.array([0.29, 0.84], np.float32),
        ... )
        >>> evaluation = summarize_labels(predictions, name="val", classes=("cat", "dog"), thresholds=(0.5, 0.5))
        >>> evaluation.mean_average_precision, evaluation.exact, evaluation.per_class[1].recall
        (1.0, 0.5, 0.5)
    """
    labels, probabilities = predictions.labels, predictions.probabilities
    answers = probabilities >= np.asarray(thresholds)
    every = rankings(labels, probabilities)
    values = np.array([ranking.average_precision() for ranking in every])
    drawn, losses = _resampled(every, predictions, seed=seed, times=resamples_for(labels))
    per_class = tuple(
        _label_metrics(
            class_name,
            labels[:, place],
            answers[:, place],
            threshold=threshold,
            precision=float(values[place]),
            resampled=drawn[:, place],
        )
        for place, (class_name, threshold) in enumerate(zip(classes, thresholds, strict=True))
    )
    known = np.isfinite(values)
    mean = float(values[known].mean()) if known.any() else 0.0
    exact = (answers == (labels > 0)).all(1)
    scores = [one.f1 for one in per_class if one.images and one.f1 is not None]
    return MultiLabelEvaluation(
        split=name,
        images=len(labels),
        groups=predictions.group_count,
        mean_average_precision=mean,
        interval=bootstrap_interval(mean, _means(drawn), most=1.0),
        loss=predictions.loss,
        loss_interval=bootstrap_interval(predictions.loss, losses),
        f1=sum(scores) / len(scores) if scores else 0.0,
        exact=float(exact.mean()),
        exact_interval=fraction_interval(exact, predictions.groups),
        classes=classes,
        per_class=per_class,
    )


def _resampled(
    every: Sequence[Ranking], predictions: Predictions, *, seed: int, times: int
) -> tuple[np.ndarray, np.ndarray]:
    """Average precisions, [resamples, classes], and losses, [resamples], of resampled images."""
    exact = predictions.losses.astype(np.float64)
    precisions, means = [], []
    for counts in resamples(len(exact), seed=seed, times=times, groups=predictions.groups):
        precisions.append([ranking.average_precision(counts) for ranking in every])
        means.append(float(counts @ exact) / counts.sum())
    return np.array(precisions), np.array(means)


def _means(drawn: np.ndarray) -> np.ndarray:
    """The mean of each resample over the labels that it has."""
    known = np.isfinite(drawn)
    means: np.ndarray = np.where(known, drawn, 0).sum(1) / np.maximum(1, known.sum(1))
    return means


def _label_metrics(
    name: str,
    truth: Labels,
    answers: np.ndarray,
    *,
    threshold: float,
    precision: float,
    resampled: np.ndarray,
) -> LabelMetrics:
    positives, predictions, hits = int(truth.sum()), int(answers.sum()), int((answers & (truth > 0)).sum())
    known = resampled[np.isfinite(resampled)]
    return LabelMetrics(
        name=name,
        images=positives,
        predictions=predictions,
        average_precision=precision if positives else None,
        interval=bootstrap_interval(precision, known, most=1.0) if positives else None,
        threshold=float(threshold),
        precision=hits / predictions if predictions else None,
        recall=hits / positives if positives else None,
        f1=2 * hits / (positives + predictions) if positives + predictions else None,
    )
