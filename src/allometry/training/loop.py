"""The training loop, for every task. It reads from top to bottom: all phases, one phase, one epoch, one step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from allometry.base import DataError
from allometry.base.files import append_line
from allometry.base.progress import tracked
from allometry.data import Batch, train_batches
from allometry.nn import save_weights
from allometry.training.callbacks.base import EpochEnd
from allometry.training.checkpoint import (
    best_file,
    latest_checkpoint,
    load_weights,
    remove_checkpoints,
    weights_metadata,
)
from allometry.training.distributed import average_gradients
from allometry.training.errors import check_finite, diverged, memory_errors, refuse_infinite_weights, stopped
from allometry.training.events import step_end, train_start
from allometry.training.history import HISTORY, METRICS, finished_history, show_history, to_metadata
from allometry.training.job import RecordT
from allometry.training.metrics.evaluate import Score
from allometry.training.recipes import Epoch, images_until, learning_rate
from allometry.training.seeds import seed_step
from allometry.training.state import Best, TrainingState
from allometry.training.task import SUMS, EpochSummary, ResultT, Task

_CHECK_EVERY = 10  # steps between looks at the loss, each of which makes a GPU wait


def run_task(task: Task[RecordT, ResultT]) -> ResultT:
    """Train, or go on with a training that stopped, or give the result of the one that is finished.

    A resumed training ends with the weights that an uninterrupted one gives, bit for bit, on the same device
    with the same number of threads and processes: order, draws, augmentation and dropping follow from seed and step
    alone. Where several processes train together, each calls this with the same job and its own rank.

    Raises:
        NonFiniteLossError: the loss became infinite or not a number; the last good checkpoint stays.
        OutOfMemoryError: a step did not fit into the memory; the last checkpoint stays.
        DataError: an image has gone or was damaged; a process that is alone writes a checkpoint.
        Stopped: `job.should_stop` asked for it; a checkpoint is written.
        RunFolderError: the folder holds another training, or a damaged one.
        StorageError: the disk is full, read-only or forbidden.

    Example, with a small `network`, a `dataset`, its `preprocessing` and a `recipe`:
        >>> from allometry.training import ClassificationJob, ClassificationTask
        >>> data = {"dataset": dataset, "preprocessing": preprocessing}
        >>> task = ClassificationTask(ClassificationJob(network=network, recipe=recipe, folder=folder, **data))
        >>> trained = run_task(task)
        >>> len(trained.history), sorted(path.name for path in folder.iterdir())
        (2, ['checkpoints', 'metrics.jsonl'])
        >>> run_task(task).history == trained.history  # it is finished
        True
    """
    job = task.job
    # Only the main process's machine need have the folder.
    if not job.dist.broadcast_object(task.final.exists()):
        _train(task)
    held = None
    if job.dist.is_main:
        job.refuse_other(weights_metadata(task.final).get("identity"))
        history = finished_history(
            task.final, job.folder, task.record_type, label=job.label, say=job.progress.say
        )
        held = load_weights(task.final), history
        remove_checkpoints(job.folder / "checkpoints")  # a kill may have come between the result and this
    weights, history = job.dist.broadcast_object(held)
    return task.result(weights, history)


def _train(task: Task[RecordT, ResultT]) -> None:
    job, state = task.job, TrainingState(task)
    checkpoints = job.folder / "checkpoints"
    checkpoint = job.dist.broadcast_object(
        latest_checkpoint(checkpoints, say=job.progress.say) if job.dist.is_main else None
    )
    if checkpoint is not None:
        state.restore(checkpoint)
    if job.dist.is_main:
        show_history(job.folder, state.history, label=job.label, say=job.progress.say)
    with state.watchers.training(lambda: train_start(task, state)):
        weights = _train_phases(task, state)
        if job.dist.is_main:
            about = {"identity": job.identity, HISTORY: to_metadata(state.history)}
            save_weights(task.final, weights, metadata=about)


def _train_phases(task: Task[RecordT, ResultT], state: TrainingState[RecordT]) -> dict[str, Tensor]:
    """Train what is left of all phases; the final weights."""
    job = task.job
    total = sum(images_until(phase.epochs, phase.steps) for phase in task.phases)
    devices = [job.device.index or 0] if job.device.type == "cuda" else []
    with (
        tracked(job.progress, job.label, total, done=state.images),
        torch.random.fork_rng(devices=devices),  # the caller's generators stay as they were
        memory_errors(task, state),
    ):
        _train_phase(task, state)
        while not state.is_over:
            state.next_phase()
            _train_phase(task, state)
        state.load_best()
        return task.final_weights()


def _train_phase(task: Task[RecordT, ResultT], state: TrainingState[RecordT]) -> None:
    task.enter_phase(state.phase)
    while not state.phase_is_over:
        epoch = state.epoch
        if state.step < epoch.last_step:  # else a fault came between the last step and the record
            _train_epoch(task, state, epoch)
        _follow_steps(task, state, epoch)
        _finish_epoch(task, state, epoch)
        if not state.is_over and task.job.dist.any(task.job.should_stop()):
            raise stopped(task, state)


def _train_epoch(task: Task[RecordT, ResultT], state: TrainingState[RecordT], epoch: Epoch) -> None:
    job = task.job
    batches = train_batches(
        task.split,
        resolution=epoch.resolution,
        batch_size=epoch.batch_size,
        augmentation=epoch.augmentation,
        seed=job.seed,
        epoch=sum(len(phase.epochs) for phase in task.phases[: state.phase]) + epoch.number,
        start=state.step - epoch.first_step,
        workers=job.workers,
        rank=job.dist.rank,
        world_size=job.dist.world_size,
        side_of=lambda batch: task.side_of(epoch, epoch.first_step + batch),
    )
    try:
        with task.during(epoch):
            take_steps(task, state, epoch, batches)
    finally:
        batches.close()


def _make_ready(task: Task[RecordT, ResultT], state: TrainingState[RecordT], epoch: Epoch) -> None:
    """What learns in an epoch, what is dropped, and whose statistics are used."""
    task.module.train()
    if epoch.dropout is not None:
        task.set_dropout(epoch.dropout)
    classifier = {id(weight) for weight in task.classifier.parameters()}
    for weight in task.module.parameters():
        weight.requires_grad_(not epoch.head_only or id(weight) in classifier)
    task.freeze_statistics(frozen=epoch.head_only or state.plan.recipe.batch_norm == "frozen")


def take_steps(
    task: Task[RecordT, ResultT], state: TrainingState[RecordT], epoch: Epoch, batches: Iterable[Batch]
) -> None:
    """Learn from an epoch's batches, with an eye on the loss and on those who wait for a stop.

    Raises:
        NonFiniteLossError: the loss became infinite or not a number.
        DataError: an image has gone or was damaged; a process that is alone writes a checkpoint.
        Stopped: `job.should_stop` asked for it; a checkpoint is written.
    """
    job, dist = task.job, task.job.dist
    _make_ready(task, state, epoch)
    began = job.clock()
    try:
        for batch in batches:
            take_step(task, state, epoch, batch)
            last = state.step == epoch.last_step
            check = last or state.step % _CHECK_EVERY == 0
            if check:
                check_finite(task, state)
            job.progress.advance(len(batch.labels) * dist.world_size, _words(task, state) if check else "")
            if state.watchers:
                state.watchers.step_end(step_end(task, state, epoch, with_loss=check))
            if check or dist.alone:  # several processes must agree on the step, which takes time
                # Before its end an epoch is not stopped: its record, a validation away, belongs to it.
                began = _look_up(task, state, began, may_stop=not last)
    except DataError:
        _rescue(task, state, began)
        raise
    state.seconds += job.clock() - began


def _follow_steps(task: Task[RecordT, ResultT], state: TrainingState[RecordT], epoch: Epoch) -> None:
    """What a task does between the steps of an epoch and its record; most do nothing."""
    job = task.job
    _make_ready(task, state, epoch)
    began = job.clock()
    try:
        with task.during(epoch):
            for number, _ in enumerate(task.after_steps(epoch), start=1):
                if job.dist.alone or number % _CHECK_EVERY == 0:
                    began = _look_up(task, state, began, may_stop=True)
    except DataError:
        _rescue(task, state, began)
        raise
    state.seconds += job.clock() - began


def _look_up(
    task: Task[RecordT, ResultT], state: TrainingState[RecordT], began: float, *, may_stop: bool
) -> float:
    """Write a checkpoint if one is due or somebody waits for a stop, and stop then; from when seconds count on."""
    job = task.job
    stop = may_stop and job.dist.any(job.should_stop())
    if stop or job.dist.any(job.dist.is_main and state.saving.is_due()):
        check_finite(task, state)
        state.seconds, began = state.seconds + job.clock() - began, job.clock()
        _write(task, state)
    if stop:
        raise stopped(task, state)
    return began


def _rescue(task: Task[RecordT, ResultT], state: TrainingState[RecordT], began: float) -> None:
    """Keep what was learned until the image that has gone.

    Of several processes only this one knows of it, and none can write without the others: there the last checkpoint
    stays.
    """
    if task.job.dist.alone:
        check_finite(task, state)
        state.seconds += task.job.clock() - began
        _write(task, state)


def take_step(
    task: Task[RecordT, ResultT], state: TrainingState[RecordT], epoch: Epoch, batch: Batch
) -> None:
    """Learn from one batch, in as many passes as the recipe's micro batches need."""
    job, recipe, optimizer = task.job, state.plan.recipe, state.optimizer
    lr = learning_rate(recipe, epoch, state.step)
    for group in optimizer.param_groups:
        group["lr"] = lr * group["scale"]
    seed_step(job.seed, task.seeds_per_step * state.steps, rank=job.dist.rank)
    optimizer.zero_grad(set_to_none=True)  # what takes no part in a step does not even decay
    task.start_step(epoch, state.step)
    for part in micro_batches(batch, recipe.execution.micro_batch):
        state.sums[:SUMS] += task.learn(part, epoch)
    average_gradients(job.dist, task.module.parameters())
    if recipe.clip:
        state.sums[SUMS] += nn.utils.clip_grad_norm_(task.module.parameters(), recipe.clip).double()
    optimizer.step()
    state.step += 1
    task.after_step(epoch, state.step)
    if recipe.ema or state.step == epoch.last_step:
        state.update_average()


def micro_batches(batch: Batch, most: int) -> Iterator[Batch]:
    """A batch in parts of at most so many images; whole where that is 0.

    Parts have nearly equal sizes: batch norm would make little of a rest of one or two images.
    """
    size = len(batch.labels)
    passes = -(-size // most) if most else 1
    if passes <= 1:
        yield batch
        return
    for number in range(passes):
        chosen = slice(number * size // passes, (number + 1) * size // passes)
        yield Batch._make(values[chosen] for values in batch)


def _finish_epoch(task: Task[RecordT, ResultT], state: TrainingState[RecordT], epoch: Epoch) -> None:
    """Validate the average, write the epoch's record and a checkpoint."""
    job = task.job
    began = job.clock()
    loss, correct, passes, _ = job.dist.all_reduce(state.sums).tolist()
    validation = task.validate(epoch)
    if not math.isfinite(validation.score.loss):
        raise diverged(task, state)
    if validation.counts:
        _remember_best(task, state, epoch, validation.score)
    train_seconds = state.seconds
    record = task.record(
        EpochSummary(
            phase=state.phase,
            epoch=epoch,
            epochs=len(state.plan.epochs),
            step=state.step,
            learning_rate=learning_rate(state.plan.recipe, epoch, state.step - 1),
            loss=loss / passes,
            accuracy=correct / passes,
            passes=round(passes),
            train_seconds=train_seconds,
            seconds=train_seconds + job.clock() - began,
        ),
        validation,
    )
    if job.dist.is_main:
        append_line(job.folder / METRICS, record.to_dict())
    try:
        state.watchers.epoch_end(EpochEnd(record=record, step=state.steps))
    finally:  # a callback that fails does not cost an epoch
        state.sums.zero_()
        state.recorded, state.seconds = state.recorded + 1, 0.0
        state.history.append(record)
        _write(task, state)


def _write(task: Task[RecordT, ResultT], state: TrainingState[RecordT]) -> None:
    """Write a checkpoint, of weights that are numbers; all processes must call it."""
    refuse_infinite_weights(task, state)
    state.write()


def _remember_best(
    task: Task[RecordT, ResultT], state: TrainingState[RecordT], epoch: Epoch, score: Score
) -> None:
    if (score.accuracy, -score.loss) <= (state.best.accuracy, -state.best.loss):
        return
    state.best = Best(epoch.number + 1, score.accuracy, score.loss)
    if state.plan.recipe.keep == "best" and task.job.dist.is_main:
        save_weights(best_file(task.job.folder / "checkpoints", state.phase), task.kept_weights())


def _words(task: Task[Any, Any], state: TrainingState[Any]) -> str:
    loss, correct, passes, _ = state.sums.tolist()
    phase = f"{state.plan.name}: " if len(task.phases) > 1 else ""
    return f"{phase}loss {loss / passes:.2f}, {correct / passes:.1%} correct{task.note()}"
