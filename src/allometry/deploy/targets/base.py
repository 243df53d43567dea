"""What an export target is: one object that says all about a kind of file, by which everything else goes."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from allometry.base import InputError, UnknownNameError
from allometry.base.extras import load_extra
from allometry.runs import NoisyLayer

if TYPE_CHECKING:
    from torch import Tensor, nn

Inputs = npt.NDArray[np.generic]
OF_TENSORS = ("batch", "channels", "height", "width")
OF_PIXELS = ("batch", "height", "width", "channels")


@dataclass(frozen=True, slots=True)
class Precision:
    """An arithmetic, and how near to the network a file that computes in it must come.

    Attributes:
        name: as `precision=` takes it.
        max_difference: of any logit, as a fraction of the logits' range.
        min_agreement: fraction of images that must keep their top class.
        calibrated: whether the file is made from one in float32 with images, by `ExportTarget.quantize`.

    Example:
        >>> FLOAT32.max_difference, INT8.calibrated
        (0.001, True)
    """

    name: str
    max_difference: float = math.inf
    min_agreement: float = 0.95
    calibrated: bool = False


FLOAT32 = Precision("float32", max_difference=1e-3, min_agreement=0.99)
BFLOAT16 = Precision("bfloat16")
FLOAT16 = Precision("float16")
INT8 = Precision("int8", min_agreement=0.0, calibrated=True)  # what it costs is judged by labels, and told


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeSnippet:
    r"""The part of the delivered program that runs the file.

    Attributes:
        needs: the packages to install, in words.
        imports: the lines that import them; NumPy is there already, as `np`.
        code: sets `RUNTIME`, the runtime's name and version, and defines `open_model(path)`, which gives a function
            from inputs, as the file takes them, to logits, float32 [N, classes].

    Example:
        >>> code = 'RUNTIME = "none"\n\n\ndef open_model(path):\n    return lambda inputs: inputs.mean((2, 3))'
        >>> RuntimeSnippet(needs="nothing", imports="", code=code).needs
        'nothing'
    """

    needs: str
    imports: str
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteRequest:
    """What a target writes.

    Attributes:
        module: on the CPU, in evaluation mode; it takes `example` and gives logits, float32 [N, classes].
        example: an input, whose size is the file's.
        precision: one of the target's.
        axis_names: of the input's dimensions.
        dynamic_axes: those of its dimensions whose size stays open.
        metadata: text to put into the file, where it has a place for it.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> request = WriteRequest(module=nn.Flatten().eval(), example=torch.zeros(1, 3, 8, 8))
        >>> request.precision, request.dynamic_axes
        ('float32', ())
    """

    module: nn.Module
    example: Tensor
    precision: str = FLOAT32.name
    axis_names: Sequence[str] = OF_TENSORS
    dynamic_axes: Sequence[int] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)


class ExportTarget(ABC):
    """A kind of file that a network is delivered as: the one place that knows anything about it.

    A subclass is a frozen dataclass, whose fields are its options, if it has any. `export(run, to=MyTarget())` takes
    it as it is; `register_target` gives it a name for everybody, the command line included.

    Attributes:
        name: by which it is known.
        suffix: of its file, with the dot.
        precisions: arithmetics that it has, the usual one first.
        open_batch: whether the file can take any number of images.
        open_size: whether the file can take images of any size.
        pixels: whether the file can take pixels and normalize them itself.
        without: packages that the file does without; verified where they cannot be imported, as this library cannot.
        extra: of this package, that brings what writes and runs it; None where nothing is needed.
        measured_in: the runtime of `allometry measure` that runs its files; None where none does.

    Example:
        >>> @dataclass(frozen=True)
        ... class Weights(ExportTarget):
        ...     name = "weights"
        ...     suffix = ".npz"
        ...
        ...     def write(self, request: WriteRequest, path: Path) -> None:
        ...         np.savez(path, **{name: weight.numpy() for name, weight in request.module.state_dict().items()})
        ...
        ...     def snippet(self, precision: str) -> RuntimeSnippet:
        ...         return RuntimeSnippet(needs="nothing", imports="", code="...")
        >>> Weights() == Weights(), Weights().precision("float32") is FLOAT32
        (True, True)
    """

    name: ClassVar[str]
    suffix: ClassVar[str]
    precisions: ClassVar[tuple[Precision, ...]] = (FLOAT32,)
    open_batch: ClassVar[bool] = True
    open_size: ClassVar[bool] = True
    pixels: ClassVar[bool] = True
    without: ClassVar[tuple[str, ...]] = ("torch",)
    extra: ClassVar[str | None] = None
    measured_in: ClassVar[str | None] = None

    @abstractmethod
    def write(self, request: WriteRequest, path: Path) -> None:
        """Write the file, in one step (`allometry.base.files.placing`).

        Raises:
            MissingExtraError: its library is not installed.
            ExportError: the library cannot write this network.
            StorageError: the file cannot be written.
        """

    @abstractmethod
    def snippet(self, precision: str) -> RuntimeSnippet:
        """What runs the file in the program that is delivered with it, and when it is verified."""

    def quantize(
        self, request: WriteRequest, path: Path, *, float32: Path, batches: Sequence[Inputs]
    ) -> tuple[NoisyLayer, ...]:
        """Write a file of a calibrated precision; a target that has one defines this.

        Args:
            request: what is written.
            path: of the new file.
            float32: the same network as this target's file in float32.
            batches: inputs to calibrate with; as many images as the file takes at once in each.

        Returns:
            The layers, the one that suffers most first; none where that is not known.
        """
        raise NotImplementedError(f"{self.name} has no calibrated precision")

    def files(self, path: Path) -> tuple[Path, ...]:
        """All files of which `path` is the one that is opened."""
        return (path,)

    def bytes(self, path: Path) -> int:
        """The size of all files."""
        return sum(file.stat().st_size for file in self.files(path) if file.exists())

    def precision(self, name: str) -> Precision:
        """One of its precisions.

        Raises:
            UnknownNameError: it has none of that name.
        """
        for precision in self.precisions:
            if precision.name == name:
                return precision
        raise UnknownNameError(f"precision of {self.name}", name, [known.name for known in self.precisions])

    def check_shape(self, *, batch: int, any_size: bool, normalize_inside: bool) -> None:
        """Refuse what the file cannot take.

        Raises:
            InputError: any number of images, any size or pixels are asked for, and it has fixed ones.
        """
        fixed = [
            words
            for words, wrong in (
                ("a fixed batch: give the number of images", batch == 0 and not self.open_batch),
                ("a fixed size: leave out any size", any_size and not self.open_size),
                ("a normalized input: leave out normalize inside", normalize_inside and not self.pixels),
            )
            if wrong
        ]
        if fixed:
            raise InputError(f"{self.name} files have {'; and '.join(fixed)}.")

    def load(self, module: str) -> Any:  # noqa: ANN401 - a module
        """Import a library that the target's extra brings.

        Raises:
            MissingExtraError: it cannot be imported; the message names the extra.
        """
        return load_extra(module, extra=self.extra or self.name, asker=f"--to {self.name}")
