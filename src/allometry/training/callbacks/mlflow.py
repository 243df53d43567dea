"""A training's records for MLflow."""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from allometry.base import RunFolderError
from allometry.base.extras import load_extra
from allometry.base.files import read_json, write_json
from allometry.training.callbacks.base import Callback, EpochEnd, TrainEnd, TrainStart, register_callback
from allometry.training.callbacks.values import logged_recipe, logged_values

_REMEMBERED = "mlflow.json"
_DATABASE = "mlflow.db"
_STATUS = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}


class MLflow(Callback):
    """Writes a training's recipe and each epoch's record to MLflow, as one run of it.

    A training that goes on writes into the same run, which `mlflow.json` in its folder remembers; an epoch that is
    trained anew is not written twice. Epochs that ended before anybody wrote them down are added.

    Args:
        folder: that holds `mlflow.db`; by default what MLFLOW_TRACKING_URI says, or else the working folder, where
            `mlflow ui` looks, too.
        experiment: that the run belongs to.

    Raises:
        MissingExtraError: the training begins, and the extra `mlflow` is not installed.

    Example:
        >>> MLflow("logs", experiment="birds").name
        'mlflow'
    """

    name = "mlflow"

    def __init__(self, folder: str | Path | None = None, *, experiment: str = "allometry") -> None:
        self._folder, self._experiment = folder, experiment
        self._client: Any = None
        self._run = ""
        self._logged: set[int] = set()

    def on_train_start(self, start: TrainStart) -> None:
        """Begin a run, or go on with the one of this training."""
        tracking = load_extra("mlflow.tracking", extra=self.name, asker=f"callback {self.name}")
        with _quiet():
            self._client = tracking.MlflowClient(tracking_uri=self._uri())
            self._run = self._known(start.folder) or self._new(start)
            history = self._client.get_metric_history(self._run, "train_loss")
        self._logged = {value.step for value in history}
        for epoch in start.history:
            self.on_epoch_end(epoch)

    def on_epoch_end(self, epoch: EpochEnd) -> None:
        """Write its values."""
        if epoch.step in self._logged:
            return
        self._logged.add(epoch.step)
        entities = load_extra("mlflow.entities", extra=self.name, asker=f"callback {self.name}")
        now = round(1000 * time.time())
        metrics = [
            entities.Metric(name, value, now, epoch.step)
            for name, value in logged_values(epoch.record).items()
        ]
        with _quiet():
            self._client.log_batch(self._run, metrics=metrics)

    def on_train_end(self, end: TrainEnd) -> None:
        """End the run; a training that was stopped takes it up again."""
        if self._client is not None and self._run:
            with _quiet():
                self._client.set_terminated(self._run, status=_STATUS[end.outcome])
        self._client, self._run = None, ""

    def _uri(self) -> str:
        if self._folder is None and os.environ.get("MLFLOW_TRACKING_URI"):
            return os.environ["MLFLOW_TRACKING_URI"]
        folder = Path(self._folder or ".").resolve()
        folder.mkdir(parents=True, exist_ok=True)
        return f"sqlite:///{folder / _DATABASE}"

    def _known(self, folder: Path) -> str:
        """The run that an earlier part of this training has begun; empty where there is none, or in another place."""
        try:
            run = str(read_json(folder / _REMEMBERED)["run_id"])
            self._client.update_run(run, status="RUNNING")
        except (
            RunFolderError,
            KeyError,
            load_extra("mlflow.exceptions", extra=self.name, asker="").MlflowException,
        ):
            return ""
        return run

    def _new(self, start: TrainStart) -> str:
        known = self._client.get_experiment_by_name(self._experiment)
        experiment = (
            self._client.create_experiment(self._experiment) if known is None else known.experiment_id
        )
        tags = {"allometry.folder": str(start.folder.resolve()), "allometry.label": start.label}
        run = self._client.create_run(experiment, run_name=start.folder.resolve().name, tags=tags).info.run_id
        network = start.network.name if start.network is not None else ""
        settings = {
            "network": network,
            "seed": str(start.seed),
            "device": start.device,
            **logged_recipe(start.recipe),
        }
        for name, value in settings.items():
            self._client.log_param(run, name, value)
        write_json(start.folder / _REMEMBERED, {"run_id": run})
        return str(run)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep MLflow's remarks on its own database from the user's screen."""
    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic")]
    before = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.WARNING)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


register_callback(MLflow())
