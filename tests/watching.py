"""A callback that keeps what it is told."""

from __future__ import annotations

from allometry.training import Callback, EpochEnd, StepEnd, TrainEnd, TrainStart


class Recorder(Callback):
    """Keeps everything, in order."""

    def __init__(self) -> None:
        self.starts: list[TrainStart] = []
        self.steps: list[StepEnd] = []
        self.epochs: list[EpochEnd] = []
        self.ends: list[TrainEnd] = []

    def on_train_start(self, start: TrainStart) -> None:
        self.starts.append(start)

    def on_step_end(self, step: StepEnd) -> None:
        self.steps.append(step)

    def on_epoch_end(self, epoch: EpochEnd) -> None:
        self.epochs.append(epoch)

    def on_train_end(self, end: TrainEnd) -> None:
        self.ends.append(end)

    @property
    def records(self):
        return [epoch.record for epoch in self.epochs]
