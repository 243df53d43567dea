"""The process in which one candidate runs: `python -m allometry.profiling.worker`.

It reads what to load and how often to run it, a line of JSON each, and answers with a line of JSON each. Between two
requests it sleeps, so that several such processes can take turns on the same cores.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any, TextIO

from allometry.base import AllometryError, InputError
from allometry.profiling.runtimes import Loaded, import_runtime, load

_KIBIBYTE = 1024  # what Linux counts in


def main() -> int:
    """Serve until nobody asks any more."""
    # Libraries that print something must not disturb the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        _serve(sys.stdin, answers)
    except AllometryError as error:
        _answer(answers, {"error": str(error), "input": isinstance(error, InputError)})
        return 1
    return 0


def _serve(requests: TextIO, answers: TextIO) -> None:
    """A request says `load` and gives a specification, or says how many `runs`; each names what it is about."""
    before = 0
    loaded: dict[str, Loaded] = {}
    for line in requests:
        request = json.loads(line)
        name = request.get("name", "")
        if "load" in request:
            if not loaded:
                import_runtime(request["load"])
                before = _resident()
            began = time.perf_counter()
            loaded[name] = load(request["load"])
            loading = time.perf_counter() - began
            first = loaded[name].run()
            _answer(answers, {"load_seconds": loading, "first_seconds": first, "bytes": loaded[name].bytes})
        elif "forget" in request:
            for name in request["forget"]:
                del loaded[name]
            _answer(answers, {})
        else:
            _answer(answers, {**_run(loaded[name], request["runs"]), "own_peak": _peak() - before})


def _run(loaded: Loaded, runs: int) -> dict[str, Any]:
    waited, used = _waited(), time.process_time()
    began = time.perf_counter()
    seconds = [loaded.run() for _ in range(runs)]
    return {
        "seconds": seconds,
        "wall": time.perf_counter() - began,
        "processor": time.process_time() - used,
        "waited": _waited() - waited,
        "peak": _peak(),
    }


def _answer(answers: TextIO, content: dict[str, Any]) -> None:
    answers.write(json.dumps(content) + "\n")
    answers.flush()


def _peak() -> int:
    """The most bytes of memory this process has had."""
    try:
        # Not `ru_maxrss`, in which Linux counts what the process was before it became this program.
        lines = Path("/proc/self/status").read_text().splitlines()
        peak = int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * _KIBIBYTE


def _resident() -> int:
    """Bytes of memory this process has now; on other systems than Linux, its peak so far."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return _peak()
    return pages * resource.getpagesize()


def _waited() -> float:
    """Seconds in which this thread was ready to run but had no core, by Linux's account; 0 elsewhere."""
    try:
        return int(Path("/proc/self/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


if __name__ == "__main__":
    raise SystemExit(main())
