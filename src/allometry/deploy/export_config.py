"""What a delivered file is like: its target, its arithmetic, and what it takes."""

from __future__ import annotations

from dataclasses import dataclass

from allometry.base import InputError, UnknownNameError
from allometry.base.checks import check_fields
from allometry.deploy.targets import TARGETS, ExportTarget, Precision
from allometry.deploy.targets.onnx import OnnxTarget

_ONNX = OnnxTarget()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportConfig:
    """What a file is to be like.

    Attributes:
        target: the kind of file; `as_target` gives one by its name.
        precision: of the arithmetic, one of the target's.
        batch: images that the file takes at once; 0 for any number.
        any_size: whether images of other sizes than the network's resolution may come.
        normalize_inside: whether the file takes pixels, uint8 [N, H, W, C], and normalizes them itself; otherwise it
            takes `image`, float32 [N, C, H, W], normalized.

    Raises:
        InputError: things do not go together.

    Example:
        >>> from allometry.deploy import as_target
        >>> ExportConfig(target=as_target("openvino"), precision="bfloat16").file
        'model.xml'
        >>> ExportConfig(target=as_target("torch"), precision="int8")
        Traceback (most recent call last):
            ...
        allometry.base.errors.InputError: int8 is delivered as onnx or openvino, not as torch.
    """

    target: ExportTarget = _ONNX
    precision: str = "float32"
    batch: int = 0
    any_size: bool = False
    normalize_inside: bool = False

    def __post_init__(self) -> None:
        check_fields(self)
        if self.batch < 0:
            raise InputError(f"batch must be at least 1, or 0 for any number of images, not {self.batch!r}.")
        _refuse_precision(self.target, self.precision)
        self.target.check_shape(
            batch=self.batch, any_size=self.any_size, normalize_inside=self.normalize_inside
        )

    @property
    def arithmetic(self) -> Precision:
        """The precision, with what it demands of a file."""
        return self.target.precision(self.precision)

    @property
    def file(self) -> str:
        """The usual name of the file."""
        return f"model{self.target.suffix}"

    @property
    def dynamic_axes(self) -> tuple[int, ...]:
        """The dimensions of the input whose size the file leaves open."""
        sides = ((1, 2) if self.normalize_inside else (2, 3)) if self.any_size else ()
        return (*(() if self.batch else (0,)), *sides)


def _refuse_precision(target: ExportTarget, precision: str) -> None:
    """Refuse a precision that the target does not have, and say which targets do."""
    own = {known.name for known in target.precisions}
    if precision in own:
        return
    having = [other.name for other in TARGETS if any(known.name == precision for known in other.precisions)]
    if having:
        raise InputError(f"{precision} is delivered as {' or '.join(having)}, not as {target.name}.")
    known = {known.name for other in TARGETS for known in other.precisions}
    raise UnknownNameError("precision", precision, sorted(known | own))
