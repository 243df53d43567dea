"""A delivered file in a process that has neither this library nor, where the target can do without it, torch."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from allometry.base import VerificationError
from allometry.base.processes import JsonProcess, Resource

_THIS_LIBRARY = "allometry"


class ProgramAnswer(NamedTuple):
    """What a delivered program says of an image file.

    Attributes:
        classes: the index of each class that it names, best first, and how probable it is.
        unreadable: why it cannot read the image; empty text where it can.
        view: what it sees of it, uint8 [R, R, C]; None where it cannot read it.
    """

    classes: tuple[tuple[int, float], ...]
    unreadable: str = ""
    view: npt.NDArray[np.uint8] | None = None


class IsolatedRuntime(Resource):
    """The delivered program, run by a process in which this library cannot be imported.

    Args:
        script: the program that `write_script` wrote.
        without: packages that its file does without, besides this library.

    Attributes:
        runtime: what runs the file, with its version.
        load_seconds: until the file was ready.
        without: packages that could not be imported there.

    Raises:
        VerificationError: the file does not load there.
    """

    def __init__(self, script: Path, *, without: Sequence[str] = ()) -> None:
        self.without = (_THIS_LIBRARY, *without)
        with ExitStack() as held:
            self._folder = Path(held.enter_context(tempfile.TemporaryDirectory()))
            child = Path(__file__).with_name("isolated_runner.py")
            self._child = held.enter_context(
                JsonProcess(
                    [sys.executable, "-P", "-W", "ignore", str(child), str(script.resolve()), *self.without],
                    name=f"{script.name} with its file, where there is no {' and no '.join(self.without)},",
                    failure=VerificationError,
                )
            )
            ready = self._child.listen()
            super().__init__(held.pop_all())
        self.runtime: str = ready["runtime"]
        self.load_seconds: float = ready["load_seconds"]

    def answer(self, image: Path) -> ProgramAnswer:
        """What the program says of an image file.

        Raises:
            VerificationError: it dies of it.
        """
        view_file = self._folder / "view.npy"
        told = self._child.ask({"image": str(image), "view": str(view_file)})
        if "unreadable" in told:
            return ProgramAnswer((), told["unreadable"] or "it does not say why")
        classes = tuple((place, probability) for place, probability in told["classes"])
        return ProgramAnswer(classes, view=np.load(view_file))

    def logits(self, inputs: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
        """The logits of some inputs, float32 [N, classes].

        Args:
            inputs: as the file takes them.
        """
        input_file, output_file = self._folder / "inputs.npy", self._folder / "logits.npy"
        np.save(input_file, inputs)
        self._child.ask({"inputs": str(input_file), "outputs": str(output_file)})
        logits: npt.NDArray[np.float32] = np.asarray(np.load(output_file), np.float32)
        return logits
