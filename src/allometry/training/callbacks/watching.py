"""Telling the callbacks of a training what happens in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from allometry.base import AllometryError, CallbackError, Progress
from allometry.base.errors import Stopped
from allometry.training.callbacks.base import Callback, EpochEnd, Outcome, StepEnd, TrainEnd, TrainStart


class Watchers:
    """The callbacks of one training.

    Args:
        callbacks: in the order in which they are told.
        progress: is told of those that fail after the training has.
    """

    def __init__(self, callbacks: Sequence[Callback], progress: Progress) -> None:
        self._callbacks, self._progress = tuple(callbacks), progress
        self._started: list[Callback] = []
        self._history: tuple[EpochEnd, ...] = ()

    def __bool__(self) -> bool:
        return bool(self._callbacks)

    @contextmanager
    def training(self, start: Callable[[], TrainStart]) -> Iterator[None]:
        """Around the training; `start` is called where somebody watches.

        Raises:
            CallbackError: a callback failed.
        """
        if not self:
            yield
            return
        try:
            begun = start()
            self._history = begun.history
            for callback in self._callbacks:
                self._started.append(callback)
                _tell(callback, "on_train_start", lambda told: told.on_train_start(begun))
            yield
        except BaseException as error:
            self._end_after(error)
            raise
        end = self._end("finished")
        for callback in self._started:
            _tell(callback, "on_train_end", lambda told: told.on_train_end(end))

    def step_end(self, step: StepEnd) -> None:
        """A step was taken."""
        for callback in self._callbacks:
            _tell(callback, "on_step_end", lambda told: told.on_step_end(step))

    def epoch_end(self, epoch: EpochEnd) -> None:
        """An epoch has ended."""
        self._history = (*self._history, epoch)
        for callback in self._callbacks:
            _tell(callback, "on_epoch_end", lambda told: told.on_epoch_end(epoch))

    def _end(self, outcome: Outcome) -> TrainEnd:
        return TrainEnd(outcome=outcome, history=self._history)

    def _end_after(self, error: BaseException) -> None:
        """The error is what the user must hear of; another one of a callback is told beside it."""
        end = self._end("stopped" if isinstance(error, Stopped | KeyboardInterrupt) else "failed")
        for callback in self._started:
            try:
                _tell(callback, "on_train_end", lambda told: told.on_train_end(end))
            except AllometryError as other:
                self._progress.say(str(other))


def _tell(callback: Callback, method: str, tell: Callable[[Callback], None]) -> None:
    try:
        tell(callback)
    except AllometryError:
        raise
    except Exception as error:
        raise CallbackError(
            f"The callback {type(callback).__name__} failed in {method}: {type(error).__name__}: {error}. The training "
            "stays at its last checkpoint; the same command goes on from there."
        ) from error
