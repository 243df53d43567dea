"""The process in which candidates are tried: `python -m allometry.nas.trial_worker`.

It reads the settings of all trials, then one candidate after the other, a line of JSON each, and answers each with a
line of JSON. SIGTERM stops a training at a checkpoint, and so does the end of the process that asked.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from allometry.arch import from_json
from allometry.base import AllometryError, InputError, Progress, SilentProgress
from allometry.base.errors import Stopped
from allometry.base.holding import hold
from allometry.nas.law_trials import GridTraining, run_grid_training
from allometry.nas.trial_training import TrialConfig, candidate_from_dict, try_candidate
from allometry.training.images import Images, open_images


def handle_request(
    request: Mapping[str, Any],
    images: Images,
    settings: TrialConfig,
    *,
    progress: Progress = SilentProgress(),
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Do what is asked for, in this process or another: try a candidate, or train a network of a grid.

    Raises:
        Stopped: `should_stop` asked for it.
        StorageError: the folder of the search has gone.
        AllometryError: a network of a grid could not be trained.
    """
    with hold(Path(request["folder"])):
        return _handle(request, images, settings, progress, should_stop)


def _handle(
    request: Mapping[str, Any],
    images: Images,
    settings: TrialConfig,
    progress: Progress,
    should_stop: Callable[[], bool],
) -> dict[str, Any]:
    work: dict[str, Any] = {
        "folder": Path(request["folder"]),
        "progress": progress,
        "should_stop": should_stop,
    }
    if "candidate" in request:
        candidate = candidate_from_dict(request["candidate"])
        return {"outcome": try_candidate(candidate, images, settings, **work).to_dict()}
    training = GridTraining(**{**request["training"], "network": from_json(request["training"]["network"])})
    return {"training": run_grid_training(training, images, settings, **work).to_dict()}


class _StopRequest:
    """Whether somebody wants this process to stop."""

    def __init__(self) -> None:
        self._wanted, self._parent = False, os.getppid()
        signal.signal(signal.SIGTERM, self._want)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the driver decides

    def _want(self, _number: int, _frame: FrameType | None) -> None:
        self._wanted = True

    def __call__(self) -> bool:
        return self._wanted or os.getppid() != self._parent


def main() -> int:
    """Serve until nobody asks any more."""
    should_stop = _StopRequest()
    # Libraries that print something must not disturb the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def reply(content: dict[str, Any]) -> None:
        answers.write(json.dumps(content) + "\n")
        answers.flush()

    try:
        settings = TrialConfig.from_dict(json.loads(sys.stdin.readline())["settings"])
        images = open_images(settings.data, seed=settings.seed)
        reply({})
        for line in sys.stdin:
            reply(handle_request(json.loads(line), images, settings, should_stop=should_stop))
    except Stopped:
        reply({"stopped": True})
    except AllometryError as error:
        reply({"error": str(error), "input": isinstance(error, InputError)})
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
