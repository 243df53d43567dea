"""A process of ours that answers, one line of JSON in, one line of JSON out; and what holds such things."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import IO, Any, Self

from allometry.base.errors import AllometryError, InputError

_SPOKEN = 400  # characters of what a process said last


class Resource:
    """What holds processes, files and folders until it is closed, or until the end of its `with`.

    Args:
        held: all of that.

    Example:
        >>> told = []
        >>> held = ExitStack()
        >>> _ = held.callback(told.append, "closed")
        >>> with Resource(held):
        ...     pass
        >>> told
        ['closed']
    """

    def __init__(self, held: ExitStack) -> None:
        self._held = held

    def close(self) -> None:
        """Give it all back."""
        self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class JsonProcess(Resource):
    r"""A process that reads requests and answers each, until it is closed.

    An answer with `error` is raised; one with `input` besides is the user's mistake.

    Args:
        command: how it is started.
        name: what it is called in messages.
        failure: what is raised where it does not come through.
        environment: of the process; by default, this one's.

    Example:
        >>> import sys
        >>> echo = "import sys\nfor line in sys.stdin: print(line, end='', flush=True)"
        >>> with JsonProcess([sys.executable, "-c", echo], name="echo", failure=AllometryError) as child:
        ...     child.ask({"runs": 3})
        {'runs': 3}
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        name: str,
        failure: type[AllometryError],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._name, self._failure = name, failure
        super().__init__(ExitStack())
        self._errors: IO[bytes] = self._held.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - closed with the rest
        self._process = subprocess.Popen(  # noqa: S603 - our own programs
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment,
        )
        self._held.callback(self._end)

    def ask(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """What it answers.

        Raises:
            InputError: it refuses what the user asked for.
            AllometryError: of the kind that was given, where it failed or died.
        """
        assert self._process.stdin is not None  # noqa: S101
        try:
            self._process.stdin.write(json.dumps(content) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it has died, and its last words tell why
        return self.listen()

    def listen(self) -> dict[str, Any]:
        """What it says next; see `ask`."""
        assert self._process.stdout is not None  # noqa: S101
        line = self._process.stdout.readline()
        if not line:
            raise self._failure(f"{self._name} did not come through: {self._last_words()}.")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise (InputError if answer.get("input") else self._failure)(answer["error"])
        return answer

    def signal(self, number: int) -> None:
        """Send it a signal, if it still lives."""
        self._process.send_signal(number)

    def _last_words(self) -> str:
        status = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return (lines[-1][-_SPOKEN:] if lines else f"its process ended with status {status}").rstrip(".")

    def _end(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue  # it has died, and what was not read yet goes with it
        self._process.kill()
        self._process.wait()
