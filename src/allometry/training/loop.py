"""The training loop. It reads from top to bottom: `train`, one epoch, one step."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from allometry.base import DataError, RunFolderError
from allometry.base.files import append_line, read_lines, write_lines
from allometry.data import Batch, train_batches
from allometry.nn import save_weights
from allometry.training.checkpoint import (
    BEST,
    latest_checkpoint,
    load_weights,
    remove_checkpoints,
    weights_metadata,
)
from allometry.training.errors import check_finite, diverged, memory_errors, stopped
from allometry.training.job import Job
from allometry.training.recipes import Epoch, images_until, learning_rate
from allometry.training.state import Best, State
from allometry.training.step import train_step
from allometry.training.validation import validate

FINAL = "final.safetensors"
_CHECK_EVERY = 10  # steps between looks at the loss, each of which makes a GPU wait


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished training.

    Attributes:
        module: the network with its averaged weights, in evaluation mode, on the CPU.
        history: one record per epoch, as in `metrics.jsonl`.
        seconds: what the training took, over all its sessions.
        images: training images seen.
        kept: the epoch whose weights these are, counted from 1.
    """

    module: nn.Module
    history: list[dict[str, Any]]
    seconds: float
    images: int
    kept: int

    @property
    def accuracy(self) -> float:
        """Validation accuracy of the weights that are kept, 0 to 1."""
        return float(self.history[self.kept - 1]["val_accuracy"])

    @property
    def loss(self) -> float:
        """Validation loss of the weights that are kept."""
        return float(self.history[self.kept - 1]["val_loss"])


def train(job: Job) -> Trained:
    """Train, or go on with a training that stopped, or return the one that is finished.

    A resumed training ends with the weights that an uninterrupted one gives, bit for bit, on the same device
    with the same number of threads and processes: order, augmentation and dropping follow from seed and step
    alone. Where several processes train together, each calls this with the same job and its own rank.

    Raises:
        NonFiniteLossError: the loss became infinite or not a number; the last good checkpoint stays.
        OutOfMemoryError: a step did not fit into the memory; the last checkpoint stays.
        DataError: an image has gone or was damaged; a process that is alone writes a checkpoint.
        Stopped: `job.should_stop` asked for it; a checkpoint is written.
        RunFolderError: the folder holds another training, or a damaged one.
        StorageError: the disk is full, read-only or forbidden.
    """
    metrics, checkpoints = job.folder / "metrics.jsonl", job.folder / "checkpoints"
    state = State(job)
    if job.dist.broadcast_object((checkpoints / FINAL).exists()):
        if job.dist.is_main:
            found = weights_metadata(checkpoints / FINAL)
            job.refuse_other(found.get("identity"))
            state.average.load_state_dict(load_weights(checkpoints / FINAL))
            remove_checkpoints(checkpoints)  # a kill may have come between the result and this
        return _trained(job, state, read_lines(metrics) if job.dist.is_main else [])
    # Only the leader's machine need have the folder.
    checkpoint = job.dist.broadcast_object(latest_checkpoint(checkpoints) if job.dist.is_main else None)
    if checkpoint is not None:
        state.restore(job, checkpoint)
    history: list[dict[str, Any]] = []
    if job.dist.is_main:
        history = [record for record in read_lines(metrics) if record["epoch"] <= state.recorded]
        write_lines(metrics, history)
    _train_epochs(job, state, history)
    if job.dist.is_main:
        _keep(job, state)
    return _trained(job, state, history)


def _train_epochs(job: Job, state: State, history: list[dict[str, Any]]) -> None:
    total, done = (images_until(job.epochs, step) for step in (job.steps, state.step))
    job.progress.start(job.label, total, done)
    try:
        # A loop that draws random numbers leaves the caller's generators as they were.
        with torch.random.fork_rng(devices=_cuda_index(job.device)), memory_errors(job, state):
            while state.recorded < len(job.epochs) and not _patience_is_over(job, state):
                epoch = job.epochs[state.recorded]
                if state.step < epoch.last_step:  # else a fault came between the last step and the record
                    _train_epoch(job, state, epoch)
                record = _finish_epoch(job, state, epoch)
                history.append(record)
                if job.dist.is_main:
                    append_line(job.folder / "metrics.jsonl", record)
                    job.on_epoch_end(record)
                state.recorded += 1
                state.write(job)
                if state.recorded < len(job.epochs) and job.dist.any(job.should_stop()):
                    raise stopped(job, state)
    finally:
        state.leave(job)
        job.progress.stop()


def _train_epoch(job: Job, state: State, epoch: Epoch) -> None:
    batches = train_batches(
        job.dataset.splits["train"],
        resolution=epoch.resolution,
        batch_size=epoch.batch_size,
        augmentation=epoch.augmentation,
        seed=job.seed,
        epoch=epoch.number,
        start=state.step - epoch.first_step,
        workers=job.workers,
        rank=job.dist.rank,
        world_size=job.dist.world_size,
    )
    try:
        take_steps(job, state, epoch, batches)
    finally:
        batches.close()


def take_steps(job: Job, state: State, epoch: Epoch, batches: Iterable[Batch]) -> None:
    """Learn from an epoch's batches, with an eye on the loss and on those who wait for a stop.

    Raises:
        NonFiniteLossError: the loss became infinite or not a number.
        DataError: an image has gone or was damaged; a process that is alone writes a checkpoint.
        Stopped: `job.should_stop` asked for it; a checkpoint is written.
    """
    state.enter(job, epoch)
    began = job.clock()
    try:
        for batch in batches:
            train_step(job, state, epoch, batch)
            last = state.step == epoch.last_step
            look = last or state.step % _CHECK_EVERY == 0
            if look:
                check_finite(job, state)
            job.progress.advance(len(batch.labels) * job.dist.world_size, _words(state) if look else "")
            if not (look or job.dist.alone):
                continue  # several processes must agree on the step, which takes time
            # Before its end an epoch is not stopped: its record, a validation away, belongs to it.
            stop = not last and job.dist.any(job.should_stop())
            if stop or job.dist.any(job.dist.is_main and state.saving.is_due()):
                check_finite(job, state)
                state.seconds, began = state.seconds + job.clock() - began, job.clock()
                state.write(job)
            if stop:
                raise stopped(job, state)
    except DataError:
        # What was learned until the image that has gone is not lost. Of several processes only this one knows of
        # it, and none can write without the others: there the last checkpoint stays.
        if job.dist.alone:
            check_finite(job, state)
            state.seconds += job.clock() - began
            state.write(job)
        raise
    state.seconds += job.clock() - began


def _finish_epoch(job: Job, state: State, epoch: Epoch) -> dict[str, Any]:
    """Validate the average and give the epoch's record."""
    began = job.clock()
    loss, right, seen, _ = job.dist.all_reduce(state.sums).tolist()
    state.sums.zero_()
    result = validate(job, state, epoch)
    if not math.isfinite(result.loss):
        raise diverged(job, state)
    number = epoch.number + 1
    if (result.accuracy, -result.loss) > (state.best.accuracy, -state.best.loss):
        state.best = Best(number, result.accuracy, result.loss)
        if job.recipe.keep == "best" and job.dist.is_main:
            save_weights(job.folder / "checkpoints" / BEST, state.average)
    train_seconds = state.seconds
    state.seconds += job.clock() - began
    seconds, state.seconds = state.seconds, 0.0
    return {
        "epoch": number,
        "epochs": job.recipe.epochs,
        "step": state.step,
        "resolution": epoch.resolution,
        "batch_size": epoch.batch_size,
        "learning_rate": learning_rate(job.recipe, epoch, state.step - 1),
        "train_loss": loss / seen,
        "train_accuracy": right / seen,
        "val_loss": result.loss,
        "val_accuracy": result.accuracy,
        "images": int(seen),
        "images_per_second": seen / train_seconds if train_seconds > 0 else 0.0,
        "seconds": seconds,
    }


def _keep(job: Job, state: State) -> None:
    """Write the weights that are the result, and remove what only going on needs."""
    checkpoints = job.folder / "checkpoints"
    if job.recipe.keep == "best":
        state.average.load_state_dict(load_weights(checkpoints / BEST))
    save_weights(checkpoints / FINAL, state.average, metadata={"identity": state.identity})
    remove_checkpoints(checkpoints)


def _trained(job: Job, state: State, history: list[dict[str, Any]]) -> Trained:
    if not history and job.dist.is_main:
        raise RunFolderError(
            "The training's metrics.jsonl is missing or damaged; remove its folder to train anew."
        )
    seconds = sum(record["seconds"] for record in history)
    images = sum(record["images"] for record in history)
    kept = len(history)
    if job.recipe.keep == "best" and history:
        # As the loop does: the first of those that are equally good.
        kept = 1 + max(
            range(len(history)), key=lambda n: (history[n]["val_accuracy"], -history[n]["val_loss"], -n)
        )
    return Trained(state.average.cpu().eval(), history, seconds, images, kept)


def _patience_is_over(job: Job, state: State) -> bool:
    if not job.recipe.patience:
        return False
    return state.recorded - state.best.epoch >= job.recipe.patience and state.best.epoch > 0


def _words(state: State) -> str:
    loss, right, seen, _ = state.sums.tolist()
    return f"loss {loss / seen:.2f}, {right / seen:.1%} right"


def _cuda_index(device: torch.device) -> list[int]:
    return [device.index or 0] if device.type == "cuda" else []
