"""The accuracies of subnets: measured and kept, and a predictor fitted to them, judged by what was held out."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from allometry.arch.any_space import AnySpace
from allometry.base import InputError, RunFolderError
from allometry.base.checks import check_fields
from allometry.base.units import format_duration
from allometry.cost import count
from allometry.data import Split
from allometry.nas import Encoding, Encodings, network_of, sample_encodings
from allometry.runs import MeasuredSubnet, PredictorQuality
from allometry.runs.files import ACCURACIES, COSTS, PREDICTOR_QUALITY
from allometry.supernets.extract import extract_subnet, preprocessing_of
from allometry.supernets.opened import OpenSupernet
from allometry.supernets.predictor import Predictor, fit_predictor
from allometry.supernets.predictor_quality import (
    MIN_TAU,
    attainable_tau,
    evaluate_predictor,
    refuse_unreliable,
)
from allometry.supernets.validation_halves import (
    Half,
    PartSums,
    accuracies_by_loss,
    loss_is_better,
    validation_parts,
)
from allometry.training import Predictions, predict

_ESTIMATED = (
    512  # images for a look's statistics: half of what a subnet gets that is taken out, in half of the time
)
_TIMED = 3
_AT_ONCE, _DRAWS = 50, 20  # subnets drawn at once; draws for each that is asked for, at most


def measure_subnets(opened: OpenSupernet, encodings: Encodings) -> npt.NDArray[np.float64]:
    """The validation accuracies [N] of subnets; those that were measured before are read.

    Args:
        opened: the supernet.
        encodings: of its space, [N, choices].

    Raises:
        Stopped: the user asked for it; what was measured stays.
    """
    session, folder = opened.session, opened.session.run.path
    known = {subnet.encoding: subnet.accuracy for subnet in ACCURACIES.read(folder)}
    wanted = [encoding for encoding in encodings if tuple(encoding.tolist()) not in known]
    split = opened.images.dataset.splits["val"]
    parts, per_subnet = validation_parts(split, seed=session.seed), _ESTIMATED + len(split)
    if wanted:
        session.progress.start(
            "measuring subnets", len(encodings), len(encodings) - len(wanted), unit="subnets"
        )
    try:
        for encoding in wanted:
            session.halt_if_requested()
            began = time.monotonic()
            predictions = evaluate_subnet(opened, encoding, split)
            measured = MeasuredSubnet(
                encoding=tuple(encoding.tolist()),
                cost=count(network_of(opened.space, encoding)),
                accuracy=predictions.accuracy,
                loss=predictions.loss,
                correct=_summed(predictions.image_scores, parts),
                losses=_summed(predictions.losses, parts),
                seconds=round(time.monotonic() - began, 3),
                images=per_subnet,
            )
            ACCURACIES.append(folder, measured)
            known[measured.encoding] = predictions.accuracy
            session.progress.advance(1, f"{predictions.accuracy:.1%}")
    finally:
        if wanted:
            session.progress.stop()
    return np.array([known[tuple(encoding.tolist())] for encoding in encodings])


def _summed(values: npt.NDArray[np.floating], parts: npt.NDArray[np.int64]) -> tuple[float, ...]:
    return tuple(np.bincount(parts, weights=values).round(6).tolist())


def evaluate_subnet(
    opened: OpenSupernet, encoding: Encoding, split: Split, *, images: int = _ESTIMATED
) -> Predictions:
    """What a subnet says of a split, as it would be taken out of the supernet."""
    network = network_of(opened.space, encoding)
    module = extract_subnet(
        opened.supernet,
        network,
        opened.images.dataset.splits["train"],
        preprocessing=opened.preprocessing,
        seed=opened.session.seed,
        images=images,
    )
    own = preprocessing_of(network, opened.preprocessing)
    return predict(module, split, preprocessing=own, device=opened.session.device)


def part_sums(opened: OpenSupernet, encodings: Encodings) -> PartSums:
    """What these subnets came to in each part of the validation images; all were measured.

    Raises:
        RunFolderError: they were measured on other parts.
    """
    known = {subnet.encoding: subnet for subnet in ACCURACIES.read(opened.session.run.path)}
    subnets = [known[tuple(encoding)] for encoding in encodings.tolist()]
    images = np.bincount(validation_parts(opened.images.dataset.splits["val"], seed=opened.session.seed))
    if {len(values) for subnet in subnets for values in (subnet.correct, subnet.losses)} != {len(images)}:
        raise RunFolderError(
            f"{ACCURACIES.name} in {opened.session.run.path} has subnets that were measured on other parts of the "
            "validation images; remove it, and they are measured anew."
        )
    correct, losses = (
        np.array(values, np.float64)
        for values in zip(*((subnet.correct, subnet.losses) for subnet in subnets), strict=True)
    )
    return PartSums(correct, losses, images)


def sample_subnets(opened: OpenSupernet, number: int) -> Encodings:
    """So many different subnets at random; fewer where the space has no more.

    A larger number gives the same ones and others after them, so that none is measured in vain.
    """
    random = np.random.default_rng([opened.session.seed, 6])
    different: dict[tuple[int, ...], Encoding] = {}
    for _ in range(_DRAWS * number // _AT_ONCE + 1):
        encodings = sample_encodings(opened.space, random, _AT_ONCE, by="choice")
        if opened.transform is not None:
            encodings = opened.transform(encodings)
        for encoding in encodings:
            different.setdefault(tuple(encoding.tolist()), encoding)
        if len(different) >= number:
            break
    return np.array(list(different.values())[:number])


def announce(opened: OpenSupernet, encodings: Encodings) -> None:
    """Tell what measuring will cost, from what it has cost so far or from a few looks."""
    session = opened.session
    measured = ACCURACIES.read(session.run.path)
    known = {subnet.encoding for subnet in measured}
    left = [encoding for encoding in encodings if tuple(encoding.tolist()) not in known]
    if not left:
        return
    if len(measured) < _TIMED:
        measure_subnets(opened, np.array(left[:_TIMED]))
        measured, left = ACCURACIES.read(session.run.path), left[_TIMED:]
    seconds = float(np.median([subnet.seconds for subnet in measured]))
    session.progress.say(
        f"{len(left)} subnets are to be measured on {len(opened.images.dataset.splits['val']):,} validation images: "
        f"about {format_duration(seconds * len(left))}; each is kept for all later searches"
    )


def record_measurements(opened: OpenSupernet) -> None:
    """Add to the cost log what subnets took that were measured and are not in it yet."""
    run = opened.session.run
    measured = ACCURACIES.read(run.path)
    recorded = [entry for entry in COSTS.read(run.path) if entry.phase == "look"]
    seconds = sum(subnet.seconds for subnet in measured) - sum(entry.seconds for entry in recorded)
    images = sum(subnet.images for subnet in measured) - sum(entry.images for entry in recorded)
    if images > 0:
        run.record_cost("look", f"up to subnet {len(measured)}", seconds=seconds, images=images)


PREDICTOR = "predictor.safetensors"
_FEWEST_FITTED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictorConfig:
    """How many subnets are measured, and what a predictor of them must be worth.

    Attributes:
        subnets: measured to fit the predictor; those that were measured in earlier calls count.
        held_out: measured besides to judge it.
        least_tau: Kendall's tau on those against how good they are (`PredictorQuality.true_tau`); below it nothing is
            searched.

    Raises:
        InputError: a number is out of its range.

    Example:
        >>> PredictorConfig(subnets=100).held_out
        100
        >>> PredictorConfig(subnets=5)
        Traceback (most recent call last):
            ...
        allometry.base.errors.InputError: A predictor takes at least 20 measured subnets ... not 5 and 100.
    """

    subnets: int = 300
    held_out: int = 100
    least_tau: float = MIN_TAU

    def __post_init__(self) -> None:
        check_fields(self)
        if self.subnets < _FEWEST_FITTED or self.held_out < 10:
            raise InputError(
                f"A predictor takes at least 20 measured subnets and 10 to judge it by, not {self.subnets} and "
                f"{self.held_out}."
            )
        if not -1 <= self.least_tau <= 1:
            raise InputError(f"least_tau must be a number from -1 to 1, not {self.least_tau}.")


def predictor_for(opened: OpenSupernet, config: PredictorConfig) -> tuple[Predictor, PredictorQuality]:
    """Measure what is not measured yet, fit, judge, and write both down.

    The subnets held out are the first of those drawn, so that they stay the same when more are measured. What is judged
    was fitted to one half of the validation images, by the other half; what is given and kept to all of them.

    Raises:
        InputError: the space is too small for a predictor, or it is not worth the name; the message says how far it
            is from that.
        Stopped: the user asked for it; what was measured stays.
    """
    encodings = sample_subnets(opened, config.held_out + config.subnets)
    if len(encodings) < config.held_out + _FEWEST_FITTED:
        raise InputError(
            f"The space has {len(encodings)} subnets that differ; a predictor is fitted to {_FEWEST_FITTED} at least, "
            f"besides the {config.held_out} that it is judged by. Hold fewer out (10 at least), or train a supernet of "
            "a larger space."
        )
    announce(opened, encodings)
    measure_subnets(opened, encodings)
    record_measurements(opened)
    began = time.monotonic()
    predictor, quality = fit_and_judge(
        opened.space,
        encodings,
        part_sums(opened, encodings),
        held_out=config.held_out,
        seed=opened.session.seed,
    )
    folder = opened.session.run.path
    predictor.save(folder / PREDICTOR)
    PREDICTOR_QUALITY.write(folder, quality)
    opened.session.progress.say(
        f"predictor: Kendall tau {quality.tau:.2f} on {quality.number} subnets held out and images that it was not "
        f"fitted to, where about {quality.attainable:.2f} can be attained: without the chance in these images about "
        f"{quality.true_tau:.2f}; off by {100 * quality.mean_absolute_error:.2f} points in the mean"
    )
    opened.session.run.record_cost(
        "predict", f"{len(encodings) - config.held_out} subnets", seconds=time.monotonic() - began
    )
    refuse_unreliable(quality, least_tau=config.least_tau)
    return predictor, quality


def fit_and_judge(
    space: AnySpace, encodings: Encodings, sums: PartSums, *, held_out: int, seed: int
) -> tuple[Predictor, PredictorQuality]:
    """A predictor fitted to all images, and what one is worth that was fitted to the first half of them.

    It is fitted to the accuracies that losses tell of, or to accuracies themselves where these tell more about the
    other half. Judged by other images, it is lifted by what all subnets that were fitted to have more right there: one
    half may be harder than the other.

    Args:
        space: of the encodings.
        encodings: measured, [N, choices]: first those held out, then those that are fitted to.
        sums: what they came to.
        held_out: how many are held out.
        seed: of the fit.

    Example:
        >>> from allometry.catalog import find_space
        >>> space, random = find_space("fbnet"), np.random.default_rng(0)
        >>> encodings = sample_encodings(space, random, 120, by="choice")
        >>> good = 0.6 + encodings[:, :1] / 20
        >>> correct = random.binomial(100, np.tile(good, 8)).astype(float)
        >>> sums = PartSums(correct, 100 - correct, np.full(8, 100))
        >>> _, quality = fit_and_judge(space, encodings, sums, held_out=40, seed=0)
        >>> quality.number, quality.fitted, quality.true_tau > quality.tau
        (40, 80, True)
    """
    held, fitted = slice(None, held_out), slice(held_out, None)
    first, second, whole = (Half(*(values[fitted] for values in sums.half(which))) for which in (0, 1, None))
    by_loss = loss_is_better((first, second))

    def fit(half: Half) -> Predictor:
        targets = accuracies_by_loss(half) if by_loss else half.accuracies
        return fit_predictor(space, encodings[fitted], targets, seed=seed)

    judged, easier = fit(first), float(second.accuracies.mean() - first.accuracies.mean())
    quality = evaluate_predictor(
        lambda rows: judged(rows) + easier, encodings[held], sums.half(1).accuracies[held]
    )
    quality = replace(
        quality,
        attainable=attainable_tau(sums.correct),
        fitted=len(encodings) - held_out,
        target="loss" if by_loss else "accuracy",
    )
    return fit(whole), quality
