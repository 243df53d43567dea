"""Callbacks: what is told of a training while it goes on, and cannot change it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, TypeAlias

from allometry.arch import Network
from allometry.base.plugins import Registry
from allometry.runs.epochs import EpochRecord
from allometry.training.recipes import Recipe

Outcome: TypeAlias = Literal["finished", "stopped", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochEnd:
    """An epoch that has ended, validation included.

    Attributes:
        record: what `metrics.jsonl` has of it: losses, accuracies, rate, images, seconds.
        step: optimizer steps until its end, over all phases; `record.step` counts those of its phase.

    Example:
        >>> record = EpochRecord(
        ...     epoch=2, epochs=3, step=10, learning_rate=0.1, train_loss=1.5, train_accuracy=0.4, images=80, seconds=2
        ... )
        >>> EpochEnd(record=record, step=30).record.train_loss
        1.5
    """

    record: EpochRecord
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEnd:
    """An optimizer step that was taken.

    Attributes:
        step: its number, from 1, over all phases.
        steps: of the whole training, as it is planned.
        learning_rate: that it took.
        loss: mean over the epoch's images so far; None at most steps, as a GPU would have to wait for it.

    Example:
        >>> StepEnd(step=10, steps=200, learning_rate=0.1, loss=1.5).loss
        1.5
    """

    step: int
    steps: int
    learning_rate: float
    loss: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainStart:
    """A training that begins, or goes on where it stopped.

    Attributes:
        folder: of the training: the run folder.
        label: what the training is called.
        recipe: how it is trained.
        network: what is trained; None where that is more than one network.
        seed: of everything random.
        device: where it runs.
        epochs: of the whole training, as they are planned.
        steps: optimizer steps of the whole training, likewise.
        step: optimizer steps that were taken before; 0 for a new training.
        history: epochs that ended before.

    Example, with a `recipe` and a `folder`:
        >>> start = TrainStart(
        ...     folder=folder,
        ...     label="training",
        ...     recipe=recipe,
        ...     network=None,
        ...     seed=0,
        ...     device="cpu",
        ...     epochs=2,
        ...     steps=8,
        ... )
        >>> start.step, start.history
        (0, ())
    """

    folder: Path
    label: str
    recipe: Recipe
    network: Network | None
    seed: int
    device: str
    epochs: int
    steps: int
    step: int = 0
    history: tuple[EpochEnd, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainEnd:
    """A training that has ended, or was stopped.

    Attributes:
        outcome: `finished`; `stopped` where it goes on when it is called again; or `failed`.
        history: all epochs.

    Example:
        >>> TrainEnd(outcome="finished").history
        ()
    """

    outcome: Outcome
    history: tuple[EpochEnd, ...] = ()


class Callback:
    """Is told of a training; a subclass defines what it cares about.

    What it is given is frozen, and holds no weights: a training ends with the same ones, whoever watches. Of several
    processes that train together, the main one alone has callbacks. An error in a callback ends the training with one
    sentence; what was trained until then stays, as after every stop.

    An instance may watch one training after the other, each from `on_train_start` to `on_train_end`.

    Attributes:
        name: by which it is registered; needed for `register_callback` alone.

    Example:
        >>> class Printed(Callback):
        ...     def on_epoch_end(self, epoch: EpochEnd) -> None:
        ...         print(f"{epoch.record.epoch}: {epoch.record.train_loss:.1f}")
        >>> record = EpochRecord(
        ...     epoch=2, epochs=3, step=10, learning_rate=0.1, train_loss=1.5, train_accuracy=0.4, images=80, seconds=2
        ... )
        >>> Printed().on_epoch_end(EpochEnd(record=record, step=10))
        2: 1.5
    """

    name: ClassVar[str] = ""

    def on_train_start(self, start: TrainStart) -> None:
        """Before the first step, of a training that goes on, too."""

    def on_step_end(self, step: StepEnd) -> None:
        """After each optimizer step."""

    def on_epoch_end(self, epoch: EpochEnd) -> None:
        """After each epoch's validation, before its checkpoint."""

    def on_train_end(self, end: TrainEnd) -> None:
        """At the end, after errors and stops, too; not after a kill."""


CALLBACKS: Registry[Callback] = Registry("callback")
"""All callbacks that have a name, our own and those that are registered from outside."""


def register_callback(callback: Callback, *, replace: bool = False) -> Callback:
    """Give a callback its name, by which `callbacks=[NAME]` and `--callback NAME` take it from now on.

    Args:
        callback: the callback.
        replace: whether it takes the place of another one of its name.

    Raises:
        InputError: another callback has that name.

    Example:
        >>> register_callback(CALLBACKS.get("tensorboard")).name
        'tensorboard'
    """
    return CALLBACKS.register(callback, replace=replace)


def as_callbacks(callbacks: Sequence[Callback | str]) -> tuple[Callback, ...]:
    """Callbacks by their values or names.

    Raises:
        UnknownNameError: no callback has that name.

    Example:
        >>> [callback.name for callback in as_callbacks(["tensorboard"])]
        ['tensorboard']
    """
    return tuple(CALLBACKS.get(callback) if isinstance(callback, str) else callback for callback in callbacks)
