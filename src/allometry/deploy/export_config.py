"""What a delivered file is like: its format, its arithmetic, and what it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from allometry.base import InputError, UnknownNameError

Format = Literal["onnx", "openvino", "torch", "executorch"]
Precision = Literal["float32", "bfloat16", "int8"]
FORMATS: tuple[Format, ...] = get_args(Format)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

FILES: Mapping[Format, str] = {
    "onnx": "model.onnx",
    "openvino": "model.xml",
    "torch": "model.pt2",
    "executorch": "model.pte",
}
_OF_PRECISION: Mapping[Precision, tuple[Format, ...]] = {
    "float32": FORMATS,
    "bfloat16": ("openvino",),
    "int8": ("onnx", "openvino"),
}
_FIXED: tuple[Format, ...] = ("executorch",)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportConfig:
    """What a file is to be like.

    Attributes:
        format: of the file: `onnx`, `openvino`, `torch` (`torch.export`), `executorch`.
        precision: of the arithmetic. `bfloat16` is OpenVINO's, `int8` comes from calibration.
        batch: images that the file takes at once; 0 for any number.
        any_size: whether images of other sizes than the network's resolution may come.
        normalize_inside: whether the file takes pixels, uint8 [N, H, W, C], and normalizes them itself; otherwise it
            takes `image`, float32 [N, C, H, W], normalized.

    Raises:
        InputError: things do not go together.

    Example:
        >>> ExportConfig(format="openvino", precision="bfloat16").file
        'model.xml'
        >>> ExportConfig(format="torch", precision="int8")
        Traceback (most recent call last):
            ...
        allometry.base.errors.InputError: int8 is delivered as onnx or openvino, not as torch.
    """

    format: Format = "onnx"
    precision: Precision = "float32"
    batch: int = 0
    any_size: bool = False
    normalize_inside: bool = False

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise UnknownNameError("export format", self.format, FORMATS)
        if self.precision not in PRECISIONS:
            raise UnknownNameError("precision", self.precision, PRECISIONS)
        if self.batch < 0:
            raise InputError(f"batch must be at least 1, or 0 for any number of images, not {self.batch!r}.")
        possible = _OF_PRECISION[self.precision]
        if self.format not in possible:
            raise InputError(
                f"{self.precision} is delivered as {' or '.join(possible)}, not as {self.format}."
            )
        if self.format in _FIXED and (self.any_size or self.batch == 0):
            raise InputError(
                f"{self.format} files have a fixed size and batch: give the batch, and leave out any size."
            )

    @property
    def file(self) -> str:
        """The usual name of the file."""
        return FILES[self.format]

    @property
    def dynamic_axes(self) -> tuple[int, ...]:
        """The dimensions of the input whose size the file leaves open."""
        sides = ((1, 2) if self.normalize_inside else (2, 3)) if self.any_size else ()
        return (*(() if self.batch else (0,)), *sides)
