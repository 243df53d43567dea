"""Trials on the machines of a Ray cluster."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from allometry.base import AllometryError, InputError
from allometry.base.errors import Stopped
from allometry.base.extras import load_extra
from allometry.base.plugins import VARIABLE
from allometry.nas.trial_training import TrialConfig
from allometry.nas.trial_worker import handle_request
from allometry.nas.workers import WorkerDiedError
from allometry.training.images import Images, open_images

CLIENT_PORT = 10001
"""Where the head of a Ray cluster answers programs outside of it, unless it was started with another."""


def _environment() -> dict[str, str]:
    """Of a worker: where Python looks for modules, and the user's own that register what a trial may name."""
    return {
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        VARIABLE: os.environ.get(VARIABLE, ""),
    }


class RayCluster:
    """A Ray cluster: the one at an address, the one that RAY_ADDRESS names, or one of this machine alone.

    Args:
        address: `ray`, or `ray://host:port`.
        settings: of all trials.

    Attributes:
        slots: trials that it has room for at once.

    Raises:
        MissingExtraError: Ray is not installed.
        InputError: the cluster cannot be reached.
    """

    def __init__(self, address: str, settings: TrialConfig) -> None:
        self._ray = load_extra("ray", extra="ray", asker=f"--workers {address}")
        self._settings = settings
        self._held = ExitStack()
        if address.startswith("ray://"):
            _check_reachable(address)
        if not self._ray.is_initialized():
            # What Ray prints of its own accord, from threads of its own, is no part of a command's answer.
            self._held.enter_context(_output_to_errors())
            self._held.callback(self._ray.shutdown)
            try:
                self._ray.init(
                    address=address if address.startswith("ray://") else None,
                    log_to_driver=False,
                    logging_level="ERROR",
                    runtime_env={"env_vars": _environment()},
                )
            except (ConnectionError, ValueError, RuntimeError) as error:
                self.close()
                raise InputError(f"There is no Ray cluster at {address}: {error}") from error
        gpu = (settings.device or "").startswith("cuda")
        self._needs = {"num_cpus": settings.threads, "num_gpus": int(gpu)}
        has = self._ray.cluster_resources()
        self.slots = int(has.get("GPU", 0) if gpu else has.get("CPU", 1) // settings.threads)
        if self.slots < 1:
            self.close()
            raise InputError(
                f"The Ray cluster has no room for a trial, which takes {settings.threads} CPUs"
                f"{' and a GPU' if gpu else ''}; it has {has.get('CPU', 0):g} and {has.get('GPU', 0):g} GPUs."
            )

    def worker(self) -> RayWorker:
        """A process somewhere in the cluster."""
        return RayWorker(self._ray, self._settings, self._needs)

    def close(self) -> None:
        """Leave the cluster."""
        self._held.close()


def _check_reachable(address: str) -> None:
    """Refuse an address where nothing answers at once: Ray itself tries for most of a minute."""
    try:
        parts = urlsplit(address)
        with socket.create_connection((parts.hostname or "", parts.port or CLIENT_PORT), timeout=10):
            pass
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(
            f"There is no Ray cluster at {address}: {why}. Give ray://host:port of a running cluster's head, "
            f"whose port is usually {CLIENT_PORT}."
        ) from error


@contextmanager
def _output_to_errors() -> Iterator[None]:
    """What is printed goes to the error stream."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


class RayWorker:
    """An actor: a process somewhere in the cluster that keeps the images.

    Args:
        ray: the library.
        settings: of all trials.
        needs: CPUs and GPUs of it.
    """

    def __init__(self, ray: Any, settings: TrialConfig, needs: Mapping[str, int]) -> None:  # noqa: ANN401 - a module
        self._ray = ray
        # Two calls at once: a training, and the wish that it stop.
        make = ray.remote(**needs, max_concurrency=2)(TrialActor)
        self._actor = make.remote(settings.to_dict())

    def ask(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """What came of a candidate."""
        try:
            answer: dict[str, Any] = self._ray.get(self._actor.handle_request.remote(dict(content)))
        except self._ray.exceptions.RayActorError as error:
            raise WorkerDiedError(f"A worker of the Ray cluster died: {error}") from error
        if "error" in answer:
            raise (InputError if answer["input"] else AllometryError)(answer["error"])
        return answer

    def stop(self) -> None:
        """Ask it to stop at a checkpoint."""
        self._actor.stop.remote()

    def close(self) -> None:
        """End it."""
        self._ray.kill(self._actor)


class TrialActor:
    """What runs in the cluster: trains candidates, one after the other.

    Args:
        settings: of all trials.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = TrialConfig.from_dict(settings)
        self._stop = threading.Event()
        self._images: Images | None = None

    def handle_request(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """What came of it, or that it was stopped, or the sentence of an error."""
        folder = self._folder(request["folder"])
        try:
            if self._images is None:
                self._images = open_images(self._settings.data, seed=self._settings.seed)
            answer = handle_request(
                {**request, "folder": folder}, self._images, self._settings, should_stop=self._stop.is_set
            )
        except Stopped:
            return {"stopped": True}
        except AllometryError as error:
            return {"error": str(error), "input": isinstance(error, InputError)}
        if "candidate" in request and folder != Path(request["folder"]):
            shutil.rmtree(folder, ignore_errors=True)  # what came of it is all that counts
        return answer

    def _folder(self, name: str) -> Path:
        """The search's folder where this machine has it, else one that no other search has."""
        folder = Path(name)
        if folder.is_dir():
            return folder
        own = sha256(json.dumps([name, self._settings.to_dict()], sort_keys=True).encode()).hexdigest()
        own_folder = Path(tempfile.gettempdir()) / f"allometry-{own[:16]}"
        own_folder.mkdir(exist_ok=True)
        return own_folder

    def stop(self) -> None:
        """Stop a training at a checkpoint."""
        self._stop.set()
