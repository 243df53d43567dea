"""What a predictor of accuracy is worth, and what the noise of accuracies on few images allows it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from allometry.base import InputError
from allometry.nas.encodings import Encodings
from allometry.runs import PredictedBin, PredictorQuality

Accuracies = npt.NDArray[np.float64]
"""[N]: of each encoding, as a fraction from 0 to 1."""
Predicts = Callable[[Encodings], Accuracies]
"""Says the accuracy of encodings: a `Predictor`, or anything else that can be called so."""
MIN_TAU = 0.6
_LEAST_SHARE = 0.5
_BINS = 10
_FEWEST = 3


class Split(NamedTuple):
    """Measured networks in two parts.

    Attributes:
        encodings: to fit a predictor to, [N, choices].
        accuracies: of these, [N].
        held_encodings: to judge it by, [M, choices].
        held_accuracies: of these, [M].

    Example:
        >>> encodings = np.arange(4, dtype=np.int8)[:, None]
        >>> accuracies = np.array([0.5, 0.6, 0.7, 0.8])
        >>> len(Split(encodings[:3], accuracies[:3], encodings[3:], accuracies[3:]).held_encodings)
        1
    """

    encodings: Encodings
    accuracies: Accuracies
    held_encodings: Encodings
    held_accuracies: Accuracies


def split_encodings(
    encodings: Encodings, accuracies: Accuracies, *, held_out: float = 0.2, seed: int = 0
) -> Split:
    """Hold a part of the measured networks out; a network that was measured twice is in one part only.

    Args:
        encodings: [N, choices].
        accuracies: [N].
        held_out: the fraction that is held out, more than 0 and less than 1; at least one network is, and one is not.
        seed: of the draw.

    Raises:
        InputError: there are fewer than two different networks, or the fraction or the lengths cannot be.

    Source: released Once-for-All code holds 20 % out.

    Example:
        >>> encodings = np.arange(10, dtype=np.int8)[:, None]
        >>> parts = split_encodings(encodings, encodings[:, 0] / 10, held_out=0.3)
        >>> len(parts.encodings), len(parts.held_encodings)
        (7, 3)
    """
    if not 0 < held_out < 1:
        raise InputError(
            f"held_out must be a fraction between 0 and 1, not {held_out!r}; 0.2 holds one in five out."
        )
    accuracies = checked_accuracies(encodings, accuracies)
    distinct, which = np.unique(encodings, axis=0, return_inverse=True)
    if len(distinct) < 2:
        raise InputError(
            f"{len(distinct)} different networks cannot be split in two parts; measure more subnets."
        )
    number = min(max(1, round(held_out * len(distinct))), len(distinct) - 1)
    held = np.zeros(len(distinct), bool)
    held[np.random.default_rng(seed).permutation(len(distinct))[:number]] = True
    out = held[which.reshape(-1)]
    return Split(encodings[~out], accuracies[~out], encodings[out], accuracies[out])


def evaluate_predictor(
    predictor: Predicts, encodings: Encodings, accuracies: Accuracies, *, bins: int = _BINS
) -> PredictorQuality:
    """Judge a predictor by networks that it has not seen.

    What was measured has noise of its own, so even a perfect predictor has no tau of 1.

    Args:
        predictor: called once with the encodings.
        encodings: that it was not fitted to, [N, choices]; `split_encodings` holds some out.
        accuracies: measured, [N].
        bins: of the calibration plot, with equally many networks each, or nearly.

    Raises:
        InputError: there are fewer than three networks, or fewer than one bin.

    Source: Kendall 1945, *The treatment of ties in ranking problems*, for tau-b.

    Example:
        >>> encodings = np.arange(4, dtype=np.int8)[:, None]
        >>> measured = np.array([0.0, 0.2, 0.1, 0.3])
        >>> quality = evaluate_predictor(lambda encodings: encodings[:, 0] / 10, encodings, measured, bins=2)
        >>> round(quality.tau, 3), round(quality.spearman, 3), round(quality.rmse, 3), quality.bins[0].number
        (0.667, 0.8, 0.071, 2)
    """
    measured = checked_accuracies(encodings, accuracies)
    if len(encodings) < _FEWEST or bins < 1:
        raise InputError(
            f"A predictor is judged by {_FEWEST} networks or more in at least one bin, not by {len(encodings)} in "
            f"{bins}; hold more networks out."
        )
    predicted = np.asarray(predictor(encodings), np.float64)
    errors = predicted - measured
    return PredictorQuality(
        number=len(encodings),
        tau=kendall_tau(predicted, measured),
        spearman=correlation(_ranks(predicted), _ranks(measured)),
        mean_absolute_error=float(np.abs(errors).mean()),
        rmse=float(np.sqrt((errors**2).mean())),
        bias=float(errors.mean()),
        bins=_binned(predicted, measured, bins),
    )


def kendall_tau(one: Accuracies, other: Accuracies) -> float:
    """Kendall's tau-b of two lists of numbers [N]; 0 where one of them is constant.

    Source: Kendall 1945, *The treatment of ties in ranking problems*.

    Example:
        >>> round(kendall_tau(np.array([1.0, 2.0, 3.0, 3.0]), np.array([1.0, 3.0, 2.0, 2.0])), 3)
        0.2
    """
    agreeing = ones = others = 0
    for place in range(len(one) - 1):
        mine, theirs = np.sign(one[place + 1 :] - one[place]), np.sign(other[place + 1 :] - other[place])
        agreeing += int(mine @ theirs)
        ones += int(np.count_nonzero(mine))
        others += int(np.count_nonzero(theirs))
    return float(agreeing / np.sqrt(float(ones) * float(others))) if ones and others else 0.0


def refuse_unreliable(judgment: PredictorQuality, *, least_tau: float = MIN_TAU) -> None:
    """Refuse a predictor that does not know which networks are better.

    What counts is its tau against how good they are, which is estimated where it is known what the images allow; half
    of `least_tau` must be there on the images themselves.

    Args:
        judgment: of networks that it has not seen, on images that it was not fitted to.
        least_tau: below which it is refused. 0.6 is four pairs of five in the right order.

    Raises:
        InputError: its tau is lower; the message says what to do.

    Example:
        >>> encodings = np.arange(4, dtype=np.int8)[:, None]
        >>> accuracies = encodings[:, 0] / 10
        >>> refuse_unreliable(evaluate_predictor(lambda encodings: -encodings[:, 0] / 10, encodings, accuracies))
        Traceback (most recent call last):
            ...
        allometry.base.errors.InputError: The predictor of accuracy puts too few networks in the right order: ...
    """
    attainable, true = judgment.attainable, judgment.true_tau
    if judgment.tau >= least_tau or (true >= least_tau and judgment.tau >= _LEAST_SHARE * least_tau):
        return
    most = ""
    if attainable is not None:
        most = (
            f", where these images allow about {attainable:.2f}; without their chance it would be {true:.2f}"
        )
    raise InputError(
        f"The predictor of accuracy puts too few networks in the right order: Kendall's tau is {judgment.tau:.2f} on "
        f"{judgment.number} networks that it has not seen{most}. {least_tau:.2f} is needed. Measure more subnets, "
        "or each on more images; train the supernet longer; or widen the space, if its networks are all equally good."
    )


def checked_accuracies(encodings: Encodings, accuracies: Accuracies) -> Accuracies:
    """The accuracies as float64 [N].

    Raises:
        InputError: they are not one finite number for each encoding.

    Example:
        >>> checked_accuracies(np.zeros((2, 1), np.int8), np.array([0.5, np.nan]))
        Traceback (most recent call last):
            ...
        allometry.base.errors.InputError: 1 of 2 accuracies is not finite; leave networks out that failed.
    """
    values = np.asarray(accuracies, np.float64)
    if values.shape != (len(encodings),):
        raise InputError(
            f"There must be one accuracy for each of the {len(encodings)} rows, not {list(values.shape)} of them."
        )
    bad = len(values) - int(np.isfinite(values).sum())
    if bad:
        verb = "is" if bad == 1 else "are"
        raise InputError(
            f"{bad} of {len(values)} accuracies {verb} not finite; leave networks out that failed."
        )
    return values


def _ranks(values: Accuracies) -> Accuracies:
    """From 0, equal ones sharing their mean rank."""
    _, which, times = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(times) - (times + 1) / 2)[which]


def correlation(one: Accuracies, other: Accuracies) -> float:
    """Pearson's, of two lists of numbers [N]; 0 where one of them is constant."""
    one, other = one - one.mean(), other - other.mean()
    both = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / both if both > 0 else 0.0


def _binned(predicted: Accuracies, measured: Accuracies, bins: int) -> tuple[PredictedBin, ...]:
    order = np.argsort(predicted, kind="stable")
    return tuple(
        PredictedBin(
            number=len(some),
            predicted=float(predicted[some].mean()),
            measured=float(measured[some].mean()),
            spread=float(measured[some].std()),
        )
        for some in np.array_split(order, min(bins, len(order)))
    )


def attainable_tau(correct: npt.NDArray[np.number]) -> float:
    """About what tau a predictor has that knows how good networks are, judged by accuracies on half of these images.

    Part of what differs between accuracies on the same images is their luck with these images. Accuracies on one half
    correlate with those on the other as far as networks differ, and not their luck; the root of that correlation is
    what truth has with accuracies on a half, and from this, for normal deviations, follows tau. All ways to halve the
    parts are averaged.

    It is what can be attained on images that were not fitted to. Luck depends on the network, too: whoever is fitted to
    accuracies on the same images predicts a part of it, and gets a higher tau that is worth nothing on others.

    Args:
        correct: right answers of each network in parts of the images, [N, parts]; an even number of parts of about the
            same size, which share no group.

    Returns:
        From 0 to 1.

    Raises:
        InputError: there are fewer than three networks, or the parts cannot be halved.

    Source: Spearman 1904, *The proof and measurement of association between two things*; Greiner 1909 for tau from a
    correlation.

    Example:
        >>> random = np.random.default_rng(0)
        >>> good = random.normal(0.8, 0.02, (500, 1))
        >>> few, many = (random.binomial(images, good, (500, 8)) for images in (40, 4000))
        >>> round(attainable_tau(few), 1), round(attainable_tau(many), 1)
        (0.4, 0.9)
    """
    if correct.ndim != 2 or len(correct) < _FEWEST or correct.shape[1] < 2 or correct.shape[1] % 2:
        raise InputError(
            f"Right answers are those of {_FEWEST} networks or more in an even number of parts, not an array of "
            f"{list(correct.shape)}."
        )
    parts, whole = range(correct.shape[1]), correct.sum(1).astype(np.float64)
    correlations = []
    for others in combinations(parts[1:], len(parts) // 2 - 1):  # the half that has the first part
        half = correct[:, [0, *others]].sum(1)
        correlations.append(correlation(half, whole - half))
    halves = max(0.0, float(np.mean(correlations)))
    return float(2 / np.pi * np.arcsin(np.sqrt(min(1.0, halves))))
