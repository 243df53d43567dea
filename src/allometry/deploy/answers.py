"""What a delivered program says of image files, beside what `predict` says of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from allometry.base import VerificationError
from allometry.data.images.pixels import Pixels
from allometry.deploy.export_config import ExportConfig
from allometry.deploy.isolated_runtime import IsolatedRuntime, ProgramAnswer
from allometry.training import Preprocessing, to_input

Logits = npt.NDArray[np.floating]
TOLERANCE = 0.05  # of a probability: pixels may differ by one of 256 levels, which networks see
_LEVELS = 2.0  # by which the pixels that the program sees may differ on the average


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedAnswer:
    """An image file, and what `predict` says of it.

    Attributes:
        path: of the file.
        kind: of the file, for messages.
        view: what the network sees of it, uint8 [R, R, C]; None where it cannot be read.
        classes: the probability of each class, or of the labels that reach their thresholds, by index.

    Example:
        >>> ExpectedAnswer(path=Path("a.png"), kind="PNG L").classes
        {}
    """

    path: Path
    kind: str
    view: Pixels | None = None
    classes: Mapping[int, float] = field(default_factory=dict)


def compare_answers(
    isolated: IsolatedRuntime,
    files: Sequence[ExpectedAnswer],
    preprocessing: Preprocessing,
    export_config: ExportConfig,
    *,
    network: Callable[[Pixels], Logits],
    script: Path,
) -> float:
    """Have the program answer for image files, and compare.

    It must see the pixels that `predict` sees, make of them what the network makes of them, and so answer as `predict`
    does. Only where no pixel differs by more than a level, as by rounding, may the answer, if the network itself gives
    it for these pixels. Of a coarse arithmetic, such as int8, the reading alone is compared.

    Args:
        isolated: the program.
        files: image files, with what is expected.
        preprocessing: of the network.
        export_config: what the delivered file is like.
        network: gives the network's logits of views.
        script: the program's path, for messages.

    Returns:
        The largest difference of a probability from what `predict` says.

    Raises:
        VerificationError: pixels or an answer are others; the message names the kind of file.
    """
    exact, largest = math.isfinite(export_config.arithmetic.max_difference), 0.0

    def given(view: Pixels) -> dict[int, float]:
        one = view[np.newaxis]
        logits = network(one) if exact else isolated.logits(inputs_of(one, preprocessing, export_config))
        return _probabilities(logits, preprocessing)

    for file in files:
        told = isolated.answer(file.path)
        _refuse_one_sided(told, file, script=script)
        if file.view is None or told.view is None:
            continue
        theirs = dict(told.classes)
        _refuse_another(theirs, given(told.view), preprocessing, script=script, kind=file.kind)
        if _levels_apart(told.view, file, script=script) > 1:
            ours = file.classes if exact else given(file.view)
            _refuse_another(theirs, ours, preprocessing, script=script, kind=file.kind)
        known = [abs(theirs[place] - file.classes[place]) for place in theirs if place in file.classes]
        largest = max(largest, *known, 0.0)
    return largest


def _refuse_one_sided(told: ProgramAnswer, file: ExpectedAnswer, *, script: Path) -> None:
    """Refuse to read what `predict` does not read, and the other way round."""
    if (file.view is None) != bool(told.unreadable):
        what = f"cannot read it ({told.unreadable})" if told.unreadable else "reads it"
        raise VerificationError(
            f"{script.name} does not answer as `predict` does: of a file of the kind {file.kind} it {what}, "
            f"and `predict` {'cannot' if file.view is None else 'can'}."
        )


def _levels_apart(theirs: Pixels, file: ExpectedAnswer, *, script: Path) -> int:
    """By how many of 256 levels a pixel differs from what the library sees, which must be few on the average."""
    assert file.view is not None  # noqa: S101
    same_shape = theirs.shape == file.view.shape
    apart = np.abs(theirs.astype(int) - file.view) if same_shape else np.full(1, 255)
    if apart.mean() > _LEVELS:
        raise VerificationError(
            f"{script.name} does not see what `predict` sees: its pixels of a file of the kind {file.kind} are others."
        )
    return int(apart.max())


def inputs_of(
    views: Pixels, preprocessing: Preprocessing, export_config: ExportConfig
) -> np.ndarray[Any, np.dtype[np.generic]]:
    """Views, uint8 [N, R, R, C], as a delivered file takes them.

    Example:
        >>> gray = Preprocessing(channels=1, resolution=2, crop=1.0, mean=(0.5,), std=(0.5,), classes=("a",))
        >>> views = np.full((1, 2, 2, 1), 255, np.uint8)
        >>> inputs_of(views, gray, ExportConfig(normalize_inside=False)).tolist()
        [[[[1.0, 1.0], [1.0, 1.0]]]]
    """
    if export_config.normalize_inside:
        return views
    image = to_input(views, preprocessing, torch.device("cpu"))
    inputs: np.ndarray[Any, np.dtype[np.generic]] = np.ascontiguousarray(image.contiguous().numpy())
    return inputs


def _probabilities(logits: Logits, preprocessing: Preprocessing) -> dict[int, float]:
    """Of each class, or of the labels that reach their thresholds."""
    values = preprocessing.probabilities(torch.from_numpy(logits.astype(np.float64)))[0].tolist()
    limits = preprocessing.thresholds or (0.0,) * len(values)
    return {place: value for place, value in enumerate(values) if value >= limits[place]}


def _refuse_another(
    theirs: Mapping[int, float],
    ours: Mapping[int, float],
    preprocessing: Preprocessing,
    *,
    script: Path,
    kind: str,
) -> None:
    """Refuse another best class or other labels, but where they are on the verge, and other probabilities."""
    limits = preprocessing.thresholds
    if limits is None:
        best = max(theirs, key=lambda place: theirs[place])
        same = ours[best] >= max(ours.values()) - 2 * TOLERANCE
    else:
        others = [(place, {**theirs, **ours}[place]) for place in theirs.keys() ^ ours.keys()]
        same = all(abs(value - limits[place]) <= TOLERANCE for place, value in others)
    same = same and all(abs(theirs[place] - ours[place]) <= TOLERANCE for place in theirs if place in ours)
    if not same:
        raise VerificationError(
            f"{script.name} does not answer as `predict` does: of a file of the kind {kind} it says "
            f"{_said(theirs, preprocessing)}, and `predict` {_said(ours, preprocessing)}."
        )


def _said(classes: Mapping[int, float], preprocessing: Preprocessing) -> str:
    first = sorted(classes.items(), key=lambda pair: -pair[1])[:2]
    return " and ".join(f"{preprocessing.classes[place]} {value:.1%}" for place, value in first) or "nothing"
