"""The training of a supernet. It reads from top to bottom: the phases, one epoch, what follows a step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from allometry.base import NonFiniteLossError, RunFolderError, Stopped
from allometry.base.files import append_line, read_lines, write_lines
from allometry.data import train_batches
from allometry.nn import save_weights
from allometry.supernets.elastic import Supernet, supernet_of
from allometry.supernets.extract import extract_subnet, preprocessing_of
from allometry.supernets.job import SupernetJob
from allometry.supernets.state import SupernetState
from allometry.supernets.steps import side_of, train_step
from allometry.training import (
    Epoch,
    evaluate,
    images_until,
    latest_checkpoint,
    learning_rate,
    load_weights,
    remove_checkpoints,
    weights_metadata,
)

SUPERNET = "supernet.safetensors"
_CHECK_EVERY = 10  # steps between looks at the loss, each of which makes a GPU wait


@dataclass(frozen=True, slots=True, eq=False)
class TrainedSupernet:
    """A finished training.

    Attributes:
        supernet: with its averaged weights, in evaluation mode, on the CPU.
        history: one record per epoch, as in `metrics.jsonl`: `phase`, `epoch` and `epochs` of the phase, `train_loss`
            and `train_accuracy` over all subnets, `largest` and `smallest` (validation accuracies of the phase's
            largest and smallest networks), `images`, `passes` (images times subnets), `seconds` and others.
        seconds: what the training took, over all its sessions.
        images: training images seen, once for all subnets of a step.
    """

    supernet: Supernet
    history: tuple[Mapping[str, Any], ...]
    seconds: float
    images: int


def train_supernet(job: SupernetJob) -> TrainedSupernet:
    """Train all phases, or go on with a training that stopped, or give the result of one that is finished.

    A resumed training ends with the weights that an uninterrupted one gives, bit for bit, on the same device with the
    same number of threads and processes: order, subnets, augmentation and dropping follow from seed and step alone.

    Raises:
        NonFiniteLossError: the loss became infinite or not a number; the last good checkpoint stays.
        Stopped: `job.should_stop` asked for it; a checkpoint is written.
        RunFolderError: the folder holds another training, or a damaged one.
        DataError: an image has gone or was damaged; the last checkpoint stays.
        StorageError: the disk is full, read-only or forbidden.

    Source: Once-for-All (Cai et al. 2020), section 3.3.
    """
    final, checkpoints = job.folder / SUPERNET, job.folder / "checkpoints"
    metrics = job.folder / "metrics.jsonl"
    if job.dist.broadcast_object(final.exists()):
        if job.dist.is_main:
            job.refuse_other(weights_metadata(final).get("identity"))
            remove_checkpoints(checkpoints)  # a kill may have come between the result and this
        return _finished(job, read_lines(metrics) if job.dist.is_main else [])
    state = SupernetState(job)
    # Only the leader's machine need have the folder.
    checkpoint = job.dist.broadcast_object(latest_checkpoint(checkpoints) if job.dist.is_main else None)
    if checkpoint is not None:
        state.restore(job, checkpoint)
    history: list[dict[str, Any]] = []
    if job.dist.is_main:
        history = [record for record in read_lines(metrics) if _is_behind(record, state)]
        write_lines(metrics, history)
    _train_phases(job, state, history)
    if job.dist.is_main:
        _keep(job, state)
        remove_checkpoints(checkpoints)
    return _finished(job, history)


def load_supernet(job: SupernetJob) -> Supernet:
    """The supernet of a finished training, in evaluation mode, on the CPU.

    Raises:
        RunFolderError: the training is not finished, or damaged.
    """
    return supernet_of(job.space, load_weights(job.folder / SUPERNET))


def _train_phases(job: SupernetJob, state: SupernetState, history: list[dict[str, Any]]) -> None:
    whole = [images_until(epochs, epochs[-1].last_step) for epochs in job.epochs]
    done = sum(whole[: state.phase]) + images_until(job.epochs[state.phase], state.step)
    job.progress.start("supernet", sum(whole), done)
    devices = [job.device.index or 0] if job.device.type == "cuda" else []
    try:
        # A loop that draws random numbers leaves the caller's generators as they were.
        with torch.random.fork_rng(devices=devices):
            while True:
                _train_phase(job, state, history)
                if state.phase == len(job.phases) - 1:
                    return
                state.next_phase(job)
    finally:
        job.progress.stop()


def _train_phase(job: SupernetJob, state: SupernetState, history: list[dict[str, Any]]) -> None:
    state.enter(job)
    while not state.is_over(job):
        epoch = job.epochs[state.phase][state.recorded]
        if state.step < epoch.last_step:  # else a fault came between the last step and the record
            _train_epoch(job, state, epoch)
        record = _record(job, state, epoch)
        history.append(record)
        if job.dist.is_main:
            append_line(job.folder / "metrics.jsonl", record)
            job.on_epoch_end(record)
        state.recorded += 1
        _write(job, state)
        over = state.is_over(job) and state.phase == len(job.phases) - 1
        if not over and job.dist.any(job.should_stop()):
            raise _stopped(job, state)


def _train_epoch(job: SupernetJob, state: SupernetState, epoch: Epoch) -> None:
    phase = state.phase
    batches = train_batches(
        job.dataset.splits["train"],
        resolution=job.preprocessing.resolution,
        batch_size=epoch.batch_size,
        augmentation=epoch.augmentation,
        seed=job.seed,
        epoch=sum(phase.epochs for phase in job.phases[: state.phase]) + epoch.number,
        start=state.step - epoch.first_step,
        workers=job.workers,
        rank=job.dist.rank,
        world_size=job.dist.world_size,
        side_of=lambda batch: side_of(job, phase, epoch.first_step + batch),
    )
    began = job.clock()
    try:
        for batch in batches:
            train_step(job, state, epoch, batch)
            began = _after_step(job, state, epoch, len(batch.labels), began)
    finally:
        batches.close()
    state.seconds += job.clock() - began


def _after_step(job: SupernetJob, state: SupernetState, epoch: Epoch, images: int, began: float) -> float:
    """Look at the loss, tell how it goes, and write a checkpoint where it is time; gives when the clock was read."""
    last = state.step == epoch.last_step
    look = last or state.step % _CHECK_EVERY == 0
    if look:
        _check_finite(job, state)
    job.progress.advance(images * job.dist.world_size, _words(job, state) if look else "")
    if not (look or job.dist.alone):
        return began  # several processes must agree on the step, which takes time
    # Before its end an epoch is not stopped: its record belongs to it.
    stop = not last and job.dist.any(job.should_stop())
    if stop or (not last and job.dist.any(job.dist.is_main and state.saving.is_due())):
        _check_finite(job, state)
        state.seconds, began = state.seconds + job.clock() - began, job.clock()
        _write(job, state)
    if stop:
        raise _stopped(job, state)
    return began


def _record(job: SupernetJob, state: SupernetState, epoch: Epoch) -> dict[str, Any]:
    """The epoch's record, with a look at the largest and the smallest network; the sums begin anew."""
    began = job.clock()
    loss, right, passes, _ = job.dist.all_reduce(state.sums).tolist()
    state.sums.zero_()
    phase, space = job.phases[state.phase], job.spaces[state.phase]
    looks: dict[str, float] = {}
    if job.dist.is_main:
        for name, network in (("largest", space.largest()), ("smallest", space.smallest())):
            asked = preprocessing_of(network, job.preprocessing)
            module = extract_subnet(
                state.average,
                network,
                job.dataset.splits["train"],
                preprocessing=job.preprocessing,
                seed=job.seed,
            )
            score = evaluate(module, job.dataset.splits["val"], preprocessing=asked, device=job.device)
            looks[name] = score.accuracy
    train_seconds, state.seconds = state.seconds, 0.0
    return {
        "phase": state.phase + 1,
        "name": phase.name,
        "epoch": epoch.number + 1,
        "epochs": phase.epochs,
        "step": state.step,
        "learning_rate": learning_rate(job.recipe_of(state.phase), epoch, state.step - 1),
        "train_loss": loss / passes,
        "train_accuracy": right / passes,
        **looks,
        "images": round(passes / phase.subnets),
        "passes": round(passes),
        "seconds": train_seconds + job.clock() - began,
    }


def _keep(job: SupernetJob, state: SupernetState) -> None:
    """Write the averaged weights; their statistics are the largest network's."""
    largest = job.space.largest()
    split = job.dataset.splits["train"]
    module = extract_subnet(state.average, largest, split, preprocessing=job.preprocessing, seed=job.seed)
    state.average.load_largest(module)
    save_weights(job.folder / SUPERNET, state.average, metadata={"identity": job.identity})


def _finished(job: SupernetJob, history: list[dict[str, Any]]) -> TrainedSupernet:
    if job.dist.is_main and not history:
        raise RunFolderError(
            "The supernet's metrics.jsonl is missing or damaged; remove its folder to train anew."
        )
    # Only the leader has the folder, and looked at the networks.
    held = (load_weights(job.folder / SUPERNET), history) if job.dist.is_main else None
    weights, history = job.dist.broadcast_object(held)
    return TrainedSupernet(
        supernet=supernet_of(job.space, weights),
        history=tuple(history),
        seconds=sum(record["seconds"] for record in history),
        images=sum(record["images"] for record in history),
    )


def _is_behind(record: Mapping[str, Any], state: SupernetState) -> bool:
    return (record["phase"] - 1, record["epoch"]) <= (state.phase, state.recorded)


def _check_finite(job: SupernetJob, state: SupernetState) -> None:
    """Refuse to go on, and to write, with a loss or a gradient that is no number, in whichever process it is."""
    if job.dist.any(not math.isfinite(state.sums.sum().item())):
        raise _diverged(job, state)


def _write(job: SupernetJob, state: SupernetState) -> None:
    """Write a checkpoint, unless the last step has made weights of it that are no numbers, with a loss that was one."""
    weights = [*state.supernet.parameters(), *state.average.parameters()]
    if job.dist.any(not torch.stack([weight.isfinite().all() for weight in weights]).all().item()):
        raise _diverged(job, state)
    state.write(job)


def _diverged(job: SupernetJob, state: SupernetState) -> NonFiniteLossError:
    return NonFiniteLossError(
        f"The loss of the supernet became infinite or not a number in step {state.step} of the phase "
        f"{job.phases[state.phase].name!r}; the last checkpoint is kept. Try a lower learning rate (--set "
        "learning_rate=...), stronger clipping (--set clip=1) or float32."
    )


def _stopped(job: SupernetJob, state: SupernetState) -> Stopped:
    phase = job.phases[state.phase]
    return Stopped(
        f"Stopped the supernet after {state.recorded} of {phase.epochs} epochs of the phase {phase.name!r}, number "
        f"{state.phase + 1} of {len(job.phases)}; the same command goes on from there."
    )


def _words(job: SupernetJob, state: SupernetState) -> str:
    loss, right, passes, _ = state.sums.tolist()
    return f"{job.phases[state.phase].name}: loss {loss / passes:.2f}, {right / passes:.1%} right"
