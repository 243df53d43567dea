"""The process in which candidates are tried: `python -m allometry.pipeline.trial_worker`.

It reads the settings of all trials, then one candidate after the other, a line of JSON each, and answers each with a
line of JSON. SIGTERM stops a training at a checkpoint, and so does the end of the process that asked.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from types import FrameType
from typing import Any

from allometry.base import AllometryError, InputError
from allometry.base.errors import Stopped
from allometry.pipeline.answering import answer
from allometry.pipeline.trying import TrialSettings, open_images


class _Wish:
    """Whether somebody wants this process to stop."""

    def __init__(self) -> None:
        self._asked, self._parent = False, os.getppid()
        signal.signal(signal.SIGTERM, self._ask)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the driver decides

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self._asked = True

    def __call__(self) -> bool:
        return self._asked or os.getppid() != self._parent


def main() -> int:
    """Serve until nobody asks any more."""
    stopping = _Wish()
    # Libraries that print something must not disturb the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def reply(content: dict[str, Any]) -> None:
        answers.write(json.dumps(content) + "\n")
        answers.flush()

    try:
        settings = TrialSettings.from_dict(json.loads(sys.stdin.readline())["settings"])
        images = open_images(settings.data, seed=settings.seed)
        reply({})
        for line in sys.stdin:
            reply(answer(json.loads(line), images, settings, stopping=stopping))
    except Stopped:
        reply({"stopped": True})
    except AllometryError as error:
        reply({"error": str(error), "input": isinstance(error, InputError)})
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
