"""Run a delivered file as a stranger would: `python -P isolated_runner.py PREDICT.PY PACKAGE...`.

Started by its path, not as a part of the package: the packages that are named cannot be imported in this process. It
opens the file as the delivered program does, and then reads lines of JSON and answers each with a line. They name
`inputs` and `outputs`, each the path of a NumPy file; or `image`, an image file of which the program says what it
shows, and `view`, a NumPy file for what it sees of it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from typing import Any, TextIO


def main(script: str, forbidden: list[str]) -> None:
    """Serve until nobody asks any more."""
    # Libraries that print something must not disturb the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    for name in forbidden:
        sys.modules[name] = None  # type: ignore[assignment] # which makes its import fail
    import numpy as np

    program = _opened(script)
    began = time.perf_counter()
    run = program.open_model(program.MODEL)
    _answer(answers, {"runtime": program.RUNTIME, "load_seconds": time.perf_counter() - began})
    for line in sys.stdin:
        request = json.loads(line)
        if "image" in request:
            _answer(answers, _shown(program, run, request))
        else:
            np.save(request["outputs"], program.logits_of(run, np.load(request["inputs"])))
            _answer(answers, {"done": True})


def _shown(program: Any, run: Any, request: dict[str, str]) -> dict[str, Any]:  # noqa: ANN401 - a module, what it runs
    """What the program answers for an image file; what it sees of it goes into `view`."""
    try:
        seen = program.view(request["image"])
    except Exception as error:  # what the program itself reports
        return {"unreadable": str(error)}
    program.np.save(request["view"], seen)
    return {"classes": [[int(place), float(probability)] for place, probability in program.answer(run, seen)]}


def _opened(script: str) -> Any:  # noqa: ANN401 - a module
    specification = importlib.util.spec_from_file_location("predict", script)
    assert specification is not None  # noqa: S101
    assert specification.loader is not None  # noqa: S101
    program = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(program)
    return program


def _answer(answers: TextIO, content: dict[str, Any]) -> None:
    answers.write(json.dumps(content) + "\n")
    answers.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
