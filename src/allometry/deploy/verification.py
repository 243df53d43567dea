"""Running delivered files beside the original network: on images of the test split, in every shape left open."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from allometry.base import VerificationError
from allometry.data import Split, part_of, view_batches
from allometry.data.images.pixels import Pixels, resize
from allometry.deploy.answers import ExpectedAnswer, Logits, compare_answers, inputs_of
from allometry.deploy.export_config import ExportConfig
from allometry.deploy.isolated_runtime import IsolatedRuntime
from allometry.runs import Verification
from allometry.training import Preprocessing, to_input

_VERIFIED = 256
_BATCHES = 1, 7  # numbers of images at once, besides all
_FEW = 3  # images of other sizes
_LOOSE = 0.05  # of the logits' range: what the number of images at once may change where arithmetic is coarse


def verify(
    path: Path,
    module: nn.Module,
    views: Pixels,
    *,
    script: Path,
    preprocessing: Preprocessing,
    export_config: ExportConfig = ExportConfig(),
    files: Sequence[ExpectedAnswer] = (),
) -> Verification:
    """Run the delivered program and the module on the same images and compare.

    Where the file leaves the number of images or their size open, smaller, larger and oblong ones are compared, too. Of
    image files the program must see the pixels, and give the classes, that are expected (see `compare_answers`).

    Args:
        path: of the file.
        module: what it was made from, on the CPU.
        views: what the network sees of some images, uint8 [N, R, R, C].
        script: the program that was delivered with the file.
        preprocessing: of the network.
        export_config: what the file is like.
        files: image files, with what is expected of the program.

    Raises:
        VerificationError: it does not load, is further from the network than its precision allows (in float32, logits
            differ by more than 0.001 of their range, or fewer than 99 % of the top classes agree), or answers
            otherwise than expected.

    Example:
        >>> gray = Preprocessing(channels=1, resolution=2, crop=1.0, mean=(0.5,), std=(0.5,), classes=("a",))
        >>> views = np.zeros((1, 2, 2, 1), np.uint8)
        >>> script = Path("no-such-script.py")
        >>> verify(Path("model.onnx"), nn.Flatten(), views, script=script, preprocessing=gray)
        Traceback (most recent call last):
            ...
        allometry.base.errors.VerificationError: no-such-script.py with its file, where there is no ...
    """
    with IsolatedRuntime(script, without=export_config.target.without) as isolated:
        compared = _Compared(path.name, module.eval(), isolated, preprocessing, export_config)
        theirs, ours = compared.usual(views)
        batches = compared.batches(views, theirs)
        sizes = compared.sizes(views)
        difference = compare_answers(
            isolated, files, preprocessing, export_config, network=compared.network, script=script
        )
    return Verification(
        file=path.name,
        bytes=export_config.target.bytes(path),
        images=len(views),
        largest_difference=float(np.abs(theirs - ours).max()),
        agreement=agreement(theirs, ours, preprocessing),
        runtime=isolated.runtime,
        load_seconds=isolated.load_seconds,
        without=isolated.without,
        batches=batches,
        sizes=sizes,
        files=len(files),
        kinds=tuple(sorted({file.kind for file in files})),
        probability_difference=difference,
    )


@dataclass(frozen=True, slots=True)
class _Compared:
    """A file in its runtime beside the network."""

    name: str
    module: nn.Module
    isolated: IsolatedRuntime
    preprocessing: Preprocessing
    config: ExportConfig

    def usual(self, views: Pixels) -> tuple[Logits, Logits]:
        """The logits of views of the run's size, the file's and the network's."""
        theirs, ours = self._theirs(views), self.network(views)
        if theirs.shape != ours.shape:
            raise VerificationError(
                f"{self.name} gives logits of shape {theirs.shape}, the network {ours.shape}."
            )
        _refuse_others(self.name, theirs, ours, self.preprocessing, self.config)
        return theirs, ours

    def batches(self, views: Pixels, usual: Logits) -> tuple[int, ...]:
        """Numbers of images at once with which an image gives what it gives among all."""
        allowed = min(self.config.arithmetic.max_difference, _LOOSE) * _scale(usual)
        numbers = sorted({min(number, len(views)) for number in (*_BATCHES, len(views))})
        for number in numbers[:-1]:
            difference = _largest(self._theirs(views[:number]), usual[:number])
            if not difference <= allowed:
                raise VerificationError(
                    f"{self.name} gives other results for {number} images at once than for {len(views)}: logits differ "
                    f"by up to {difference:.2g} (allowed {allowed:.2g})."
                )
        return (self.config.batch,) if self.config.batch else tuple(numbers)

    def sizes(self, views: Pixels) -> tuple[str, ...]:
        """Sizes of images for which the file gives the network's results."""
        side = self.preprocessing.resolution
        sizes = [f"{side} x {side}"]
        if not self.config.any_size:
            return tuple(sizes)
        for height, width in _other_sizes(side):
            resized = np.stack([resize(view, height=height, width=width) for view in views[:_FEW]])
            try:
                ours = self.network(resized)
            except RuntimeError:
                continue  # too small for the network itself
            label = f"{height} x {width}"
            try:
                theirs = self._theirs(resized)
            except VerificationError as error:
                raise VerificationError(
                    f"{self.name} does not take images of {label} pixels: {error}"
                ) from error
            name = f"{self.name}, given images of {label} pixels,"
            _refuse_others(name, theirs, ours, self.preprocessing, self.config)
            sizes.append(label)
        return tuple(sizes)

    def _theirs(self, views: Pixels) -> Logits:
        return self.isolated.logits(inputs_of(views, self.preprocessing, self.config))

    def network(self, views: Pixels) -> Logits:
        """The network's logits."""
        with torch.inference_mode():
            logits: Logits = self.module(to_input(views, self.preprocessing, torch.device("cpu"))).numpy()
        return logits


def _other_sizes(side: int) -> Iterator[tuple[int, int]]:
    """Smaller, larger and oblong ones."""
    smaller, larger = max(1, side * 5 // 8), side * 3 // 2 + 1
    yield from ((smaller, smaller), (larger, larger), (side, larger), (larger, smaller))


def agreement(
    theirs: npt.NDArray[np.floating], ours: npt.NDArray[np.floating], preprocessing: Preprocessing
) -> float:
    """The fraction of images with the same top class; with several labels, of labels that are given alike.

    Args:
        theirs: logits, [N, classes].
        ours: as many.
        preprocessing: that knows the thresholds of several labels.

    Example:
        >>> gray = Preprocessing(channels=1, resolution=2, crop=1.0, mean=(0.5,), std=(0.5,), classes=("a", "b"))
        >>> agreement(np.array([[1.0, 0], [0, 1]]), np.array([[2.0, 0], [2, 1]]), gray)
        0.5
    """
    if preprocessing.thresholds is None:
        return float((theirs.argmax(1) == ours.argmax(1)).mean())
    probable = np.clip(preprocessing.thresholds, 1e-12, 1 - 1e-12)
    limits = np.log(probable / (1 - probable))
    return float(((theirs >= limits) == (ours >= limits)).mean())


def _refuse_others(
    name: str, theirs: Logits, ours: Logits, preprocessing: Preprocessing, export_config: ExportConfig
) -> None:
    arithmetic = export_config.arithmetic
    allowed, difference = arithmetic.max_difference * _scale(ours), _largest(theirs, ours)
    agreeing = agreement(theirs, ours, preprocessing) if theirs.shape == ours.shape else 0.0
    if not difference <= allowed or agreeing < arithmetic.min_agreement:
        raise VerificationError(
            f"{name} does not give the network's results: logits differ by up to {difference:.2g} "
            f"(allowed {allowed:.2g}) and {agreeing:.1%} of the answers agree (least {arithmetic.min_agreement:.0%})."
        )


def _scale(logits: Logits) -> float:
    return max(1.0, float(np.abs(logits).max()))


def _largest(theirs: Logits, ours: Logits) -> float:
    """The largest difference; NaN where a number is none, or the shapes differ."""
    if theirs.shape != ours.shape or not np.isfinite(theirs).all():
        return float("nan")
    return float(np.abs(theirs - ours).max())


def views_of(split: Split, preprocessing: Preprocessing, *, batch_size: int) -> Iterator[Pixels]:
    """What a network sees of a split's images, uint8 [N, R, R, C] at a time."""
    side, crop = preprocessing.resolution, preprocessing.crop
    for batch in view_batches(split, resolution=side, batch_size=batch_size, crop=crop):
        yield batch.images


def views_to_check(split: Split, preprocessing: Preprocessing) -> Pixels:
    """What a network sees of up to 256 images from all over a split."""
    chosen = np.linspace(0, len(split) - 1, min(_VERIFIED, len(split))).astype(np.int64)
    return next(views_of(part_of(split, chosen), preprocessing, batch_size=_VERIFIED))
