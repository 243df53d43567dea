"""The training loop. It reads from top to bottom: `train`, one epoch, one step."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from allometry.base import NonFiniteLossError, RunFolderError
from allometry.base.errors import Stopped
from allometry.base.files import append_line, read_lines, write_lines
from allometry.data import train_batches
from allometry.nn import save_weights
from allometry.train.checkpoint import (
    latest_checkpoint,
    load_weights,
    remove_checkpoints,
    weights_metadata,
)
from allometry.train.evaluate import evaluate
from allometry.train.inputs import to_input
from allometry.train.job import Job
from allometry.train.recipe import Recipe, learning_rate
from allometry.train.state import State

FINAL = "final.safetensors"
_CHECK_EVERY = 10  # steps between looks at the loss, each of which makes a GPU wait
_SEED_STRIDE = 0x9E37_79B9_7F4A_7C15  # odd and large: no two short trainings share a step's seed
_SAVE_EVERY = 1000  # steps between checkpoints inside a long epoch


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished training.

    Attributes:
        module: the network with its averaged weights, in evaluation mode, on the CPU.
        history: one record per epoch, as in `metrics.jsonl`.
        seconds: what the training took, over all its sessions.
        images: training images seen.
    """

    module: nn.Module
    history: list[dict[str, Any]]
    seconds: float
    images: int

    @property
    def accuracy(self) -> float:
        """Validation accuracy after the last epoch, 0 to 1."""
        return float(self.history[-1]["val_accuracy"])


def train(job: Job) -> Trained:
    """Train, or go on with a training that stopped, or return the one that is finished.

    A resumed training ends with the weights that an uninterrupted one gives, bit for bit, on the same device
    with the same number of threads: order, augmentation and dropping follow from seed and step alone.

    Raises:
        NonFiniteLossError: the loss became infinite or not a number; the last good checkpoint stays.
        Stopped: `job.stopping` asked for it; a checkpoint is written.
        RunFolderError: the folder holds another training, or a damaged one.
        StorageError: the disk is full, read-only or forbidden.
    """
    metrics, checkpoints = job.folder / "metrics.jsonl", job.folder / "checkpoints"
    state = State(job)
    if (checkpoints / FINAL).exists():
        job.refuse_other(weights_metadata(checkpoints / FINAL).get("identity"))
        state.average.load_state_dict(load_weights(checkpoints / FINAL))
        return _trained(state.average, read_lines(metrics))
    checkpoint = latest_checkpoint(checkpoints)
    if checkpoint is not None:
        state.restore(job, checkpoint)
    history = [record for record in read_lines(metrics) if record["step"] <= state.step]
    write_lines(metrics, history)
    _train_epochs(job, state, history)
    save_weights(checkpoints / FINAL, state.average, metadata={"identity": state.identity})
    remove_checkpoints(checkpoints)
    return _trained(state.average, history)


def _train_epochs(job: Job, state: State, history: list[dict[str, Any]]) -> None:
    total, batch_size = job.recipe.epochs * job.steps_per_epoch, job.recipe.batch_size
    job.progress.start(job.label, total * batch_size, state.step * batch_size)
    try:
        # A loop that draws random numbers leaves the caller's generators as they were.
        with torch.random.fork_rng(devices=_cuda_index(job.device)):
            while state.step < total:
                _train_epoch(job, state)
                record = _finish_epoch(job, state)
                history.append(record)
                append_line(job.folder / "metrics.jsonl", record)
                state.write(job)
                if state.step < total and job.stopping():
                    raise _stopped(job, state)
    finally:
        job.progress.stop()


def _train_epoch(job: Job, state: State) -> None:
    epoch, start = divmod(state.step, job.steps_per_epoch)
    batches = train_batches(
        job.dataset.splits["train"],
        resolution=job.recipe.training_resolution(job.network, epoch),
        batch_size=job.recipe.batch_size,
        augmentation=job.recipe.augmentation,
        seed=job.seed,
        epoch=epoch,
        start=start,
        workers=job.workers,
    )
    state.module.train()
    began = job.clock()
    for batch in batches:
        images = to_input(batch.images, job.preprocessing, job.device)
        labels = torch.from_numpy(batch.labels).to(job.device)
        _train_step(job, state, images, labels)
        last = state.step % job.steps_per_epoch == 0
        if last or state.step % _CHECK_EVERY == 0:
            _check_finite(job, state)
        job.progress.advance(len(labels), _words(state) if state.step % _CHECK_EVERY == 0 else "")
        if last:
            continue  # the epoch ends first: its record and its checkpoint belong together
        stop = job.stopping()
        if stop or state.step % _SAVE_EVERY == 0:
            _check_finite(job, state)
            state.seconds, began = state.seconds + job.clock() - began, job.clock()
            state.write(job)
        if stop:
            batches.close()
            raise _stopped(job, state)
    state.seconds += job.clock() - began


def _train_step(job: Job, state: State, images: Tensor, labels: Tensor) -> None:
    recipe, steps = job.recipe, job.recipe.epochs * job.steps_per_epoch
    rate = learning_rate(recipe, state.step, steps=steps, steps_per_epoch=job.steps_per_epoch)
    for group in state.optimiser.param_groups:
        group["lr"] = rate
    # Every step has its own seed, so a resumed training needs no generator's state.
    torch.manual_seed((job.seed * _SEED_STRIDE + state.step) % 2**63)
    with autocast(recipe, job.device):
        scores = state.module(images)
    loss = F.cross_entropy(scores.float(), labels, label_smoothing=recipe.label_smoothing)
    state.optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    norm = loss.new_zeros(())
    if recipe.clip:
        norm = nn.utils.clip_grad_norm_(state.module.parameters(), recipe.clip)
    state.optimiser.step()
    state.step += 1
    state.update_average(recipe.ema)
    right = (scores.detach().argmax(1) == labels).sum()
    seen = len(labels)
    state.sums += torch.stack([loss.detach() * seen, right.float(), loss.new_tensor(seen), norm]).double()


def _finish_epoch(job: Job, state: State) -> dict[str, Any]:
    """Validate the average and give the epoch's record."""
    began = job.clock()
    loss, right, seen, _ = state.sums.tolist()
    state.sums.zero_()
    result = evaluate(
        state.average, job.dataset.splits["val"], preprocessing=job.preprocessing, device=job.device
    )
    if not math.isfinite(result.loss):
        raise _diverged(job, state)
    train_seconds = state.seconds
    state.seconds += job.clock() - began
    seconds, state.seconds = state.seconds, 0.0
    recipe, per_epoch = job.recipe, job.steps_per_epoch
    rate = learning_rate(recipe, state.step - 1, steps=recipe.epochs * per_epoch, steps_per_epoch=per_epoch)
    return {
        "epoch": state.step // per_epoch,
        "epochs": recipe.epochs,
        "step": state.step,
        "learning_rate": rate,
        "train_loss": loss / seen,
        "train_accuracy": right / seen,
        "val_loss": result.loss,
        "val_accuracy": result.accuracy,
        "images": int(seen),
        "images_per_second": seen / train_seconds if train_seconds > 0 else 0.0,
        "seconds": seconds,
    }


def _check_finite(job: Job, state: State) -> None:
    loss, _, _, norm = state.sums.tolist()
    if not (math.isfinite(loss) and math.isfinite(norm)):
        raise _diverged(job, state)


def _diverged(job: Job, state: State) -> NonFiniteLossError:
    kept = latest_checkpoint(job.folder / "checkpoints")
    where = f"The checkpoint of step {kept.step} is kept." if kept else "There was no checkpoint yet."
    return NonFiniteLossError(
        f"The loss of {job.label} became infinite or not a number by step {state.step}. {where} "
        "Try a lower learning rate (--set learning_rate=...), stronger clipping (--set clip=1) or float32."
    )


def _stopped(job: Job, state: State) -> Stopped:
    epoch = state.step // job.steps_per_epoch
    return Stopped(
        f"Stopped {job.label} after {epoch} of {job.recipe.epochs} epochs (step {state.step}); "
        "the same command goes on from there."
    )


def _words(state: State) -> str:
    loss, right, seen, _ = state.sums.tolist()
    return f"loss {loss / seen:.2f}, {right / seen:.1%} right"


def autocast(recipe: Recipe, device: torch.device) -> AbstractContextManager[Any]:
    """The recipe's precision as a context: bfloat16 where the device computes it fast, or where asked."""
    fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    enabled = recipe.precision == "bfloat16" or (recipe.precision == "auto" and fast)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


def _trained(module: nn.Module, history: list[dict[str, Any]]) -> Trained:
    if not history:
        raise RunFolderError(
            "The training's metrics.jsonl is missing or damaged; remove its folder to train anew."
        )
    seconds = sum(record["seconds"] for record in history)
    images = sum(record["images"] for record in history)
    return Trained(module.cpu().eval(), history, seconds, images)


def _cuda_index(device: torch.device) -> list[int]:
    return [device.index or 0] if device.type == "cuda" else []
