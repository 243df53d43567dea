"""The loop of a search by gradient. It reads from top to bottom: the search, one epoch, what follows a step."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from allometry.arch import Network
from allometry.base import NonFiniteLossError, Stopped
from allometry.data import Augmentation, Batch, batches_per_epoch, train_batches
from allometry.nas.encodings import network_of
from allometry.nas.gradient.deriving import derive
from allometry.nas.gradient.distribution import Distribution
from allometry.nas.gradient.job import GradientJob
from allometry.nas.gradient.mixed_network import MixedNetwork
from allometry.nas.gradient.state import GradientState
from allometry.nas.gradient.steps import step_architecture, step_weights
from allometry.training import Epoch, images_until, learning_rate

_CHECK_EVERY = 10  # steps between looks at the loss, each of which makes a GPU wait


@dataclass(frozen=True, slots=True, eq=False)
class GradientResult:
    """What a search by gradient has found.

    Attributes:
        row: of the job's space, [choices].
        network: that it stands for.
        budgeted: whether the most probable options exceeded the hard budget, so that the most probable network found
            within it was taken.
        score: the logarithm of the probability of its decisions.
        expected_cost: of the distribution at the end; None where no cost counted.
        probabilities: of each choice's options at the end.
        distribution: that was learned, to draw other networks from.
        history: one record per epoch: `loss` and `accuracy` on the weights' images, `held_loss` and `held_accuracy` on
            the architecture's, `expected_cost`, `entropy` in nats, `images`, `seconds` and others; JSON-ready.
        seconds: over all sessions.
        images: passed through the supernet for learning, of both kinds.
        supernet: with its weights; `supernet.extract(row)` gives the network's module to go on with.
    """

    row: npt.NDArray[np.int8]
    network: Network
    budgeted: bool
    score: float
    expected_cost: float | None
    probabilities: Mapping[str, tuple[float, ...]]
    distribution: Distribution
    history: tuple[Mapping[str, Any], ...]
    seconds: float
    images: int
    supernet: MixedNetwork


def search_by_gradient(job: GradientJob) -> GradientResult:
    """Search, or go on with a search that stopped, or give the result of one that is finished.

    After a kill the search goes on from its last checkpoint and ends as if it had never stopped, bit for bit on the
    same device and number of threads: order, draws and dropping follow from seed and step alone.

    Raises:
        Stopped: `job.should_stop` asked for it; a checkpoint is written.
        NonFiniteLossError: the loss became infinite or not a number; the last checkpoint stays.
        BudgetError: no network that the hard budget allows was found.
        RunFolderError: the folder holds another search, or a damaged checkpoint.
        DataError: an image has gone or was damaged.
        StorageError: the disk is full, read-only or forbidden.

    Source: ProxylessNAS (Cai et al. 2019), section 3.2; FBNet (Wu et al. 2019), section 3.3.
    """
    state = GradientState(job)
    state.restore(job)
    total, done = (images_until(job.epochs, step) for step in (job.epochs[-1].last_step, state.step))
    job.progress.start("searching", total, done)
    devices = [job.device.index or 0] if job.device.type == "cuda" else []
    try:
        # A loop that draws random numbers leaves the caller's generators as they were.
        with torch.random.fork_rng(devices=devices):
            for epoch in job.epochs[len(state.history) :]:
                _search_epoch(job, state, epoch)
                record = _record(job, state, epoch)
                state.history.append(record)
                state.write(job)
                job.on_epoch_end(record)
                if epoch is not job.epochs[-1] and job.should_stop():
                    raise _stopped(job, state)
    finally:
        job.progress.stop()
    return _found(job, state)


def _search_epoch(job: GradientJob, state: GradientState, epoch: Epoch) -> None:
    """Steps of the weights, and after every few of them, once they are warm, a step of the architecture."""
    weights_split, _ = job.splits
    warm = epoch.number >= job.settings.warmup_epochs(len(job.epochs))
    batches = train_batches(
        weights_split,
        resolution=epoch.resolution,
        batch_size=epoch.batch_size,
        augmentation=epoch.augmentation,
        seed=job.seed,
        epoch=epoch.number,
        start=state.step - epoch.first_step,
        workers=job.workers,
    )
    held = _held_batches(job, state.updates)
    state.supernet.train()
    if epoch.dropout is not None:
        state.supernet.frame.dropout.p = epoch.dropout
    began = job.clock()
    try:
        for batch in batches:
            step_weights(job, state, epoch, batch)
            if warm and state.step % job.settings.every == 0:
                step_architecture(job, state, epoch, next(held))
            began = _after_step(job, state, epoch, len(batch.labels), began)
    finally:
        batches.close()
        held.close()
    state.seconds += job.clock() - began


def _after_step(job: GradientJob, state: GradientState, epoch: Epoch, images: int, began: float) -> float:
    """Look at the loss, tell how it goes, and write a checkpoint where it is time; gives when the clock was read."""
    last = state.step == epoch.last_step
    look = last or state.step % _CHECK_EVERY == 0
    if look:
        _check_finite(state)
    job.progress.advance(images, _words(state) if look else "")
    # Before its end an epoch is not stopped: its record belongs to it.
    stop = not last and job.should_stop()
    if stop or (not last and state.saving.is_due()):
        _check_finite(state)
        state.seconds, began = state.seconds + job.clock() - began, job.clock()
        state.write(job)
    if stop:
        raise _stopped(job, state)
    return began


def _held_batches(job: GradientJob, updates: int) -> Generator[Batch]:
    """Held-out batches without end, as they are seen in evaluation but in random order, from that one on."""
    _, split = job.splits
    size = min(job.recipe.batch_size, len(split))
    number, start = divmod(updates, batches_per_epoch(split, size))
    while True:
        yield from train_batches(
            split,
            resolution=job.preprocessing.resolution,
            batch_size=size,
            augmentation=Augmentation(),
            seed=job.seed,
            epoch=number,
            start=start,
            workers=job.workers,
        )
        number, start = number + 1, 0


def _record(job: GradientJob, state: GradientState, epoch: Epoch) -> dict[str, Any]:
    """The epoch's record; the sums begin anew."""
    (loss, right, seen), (held_loss, held_right, held_seen) = state.sums.tolist()
    state.sums.zero_()
    seconds, state.seconds = state.seconds, 0.0
    return {
        "epoch": epoch.number + 1,
        "epochs": len(job.epochs),
        "step": state.step,
        "updates": state.updates,
        "learning_rate": learning_rate(job.recipe, epoch, state.step - 1),
        "loss": loss / seen,
        "accuracy": right / seen,
        "held_loss": held_loss / held_seen if held_seen else None,
        "held_accuracy": held_right / held_seen if held_seen else None,
        "expected_cost": _expected(job, state),
        "entropy": state.distribution.entropy(),
        "images": int(seen + held_seen),
        "seconds": seconds,
    }


def _found(job: GradientJob, state: GradientState) -> GradientResult:
    derived = derive(state.distribution, allows=job.allows, seed=job.seed)
    return GradientResult(
        row=derived.encoding,
        network=network_of(job.space, derived.encoding),
        budgeted=derived.budgeted,
        score=derived.score,
        expected_cost=_expected(job, state),
        probabilities=state.distribution.by_choice(),
        distribution=state.distribution,
        history=tuple(state.history),
        seconds=sum(record["seconds"] for record in state.history),
        images=sum(record["images"] for record in state.history),
        supernet=state.supernet,
    )


def _expected(job: GradientJob, state: GradientState) -> float | None:
    if job.expected_cost is None:
        return None
    with torch.no_grad():
        return float(job.expected_cost(state.distribution.probabilities()))


def _check_finite(state: GradientState) -> None:
    """Refuse to go on, and to write, with a loss or an architecture parameter that is no number."""
    state.distribution.log_probabilities()
    if not math.isfinite(state.sums.sum().item()):
        raise NonFiniteLossError(
            f"The loss of the search became infinite or not a number by step {state.step}; the last checkpoint is "
            "kept. Try a lower learning rate, stronger clipping or float32."
        )


def _stopped(job: GradientJob, state: GradientState) -> Stopped:
    return Stopped(
        f"Stopped searching after {len(state.history)} of {len(job.epochs)} epochs (step {state.step}); the same "
        "command goes on from there."
    )


def _words(state: GradientState) -> str:
    loss, right, seen = state.sums[0].tolist()
    return f"loss {loss / seen:.2f}, {right / seen:.1%} right, entropy {state.distribution.entropy():.1f}"
