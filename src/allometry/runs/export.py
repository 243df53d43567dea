"""An exported file and how it was verified, as values: `export.json` of a run folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from allometry.base.decoding import Amount, Count
from allometry.base.html import html_table
from allometry.base.units import format_quantity, plural
from allometry.runs.values import FLAT, Record, Share


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification(Record):
    """What came of comparing an exported file with its network.

    Attributes:
        file: name of the file.
        bytes: its size, with that of the file of weights beside it.
        images: how many were compared.
        largest_difference: of any logit, absolute.
        agreement: fraction of images with the same top class; of several labels, of those that are given alike.
        runtime: what ran the file.
        load_seconds: until the runtime was ready.
        without: packages that could not be imported where it ran.
        batches: numbers of images at once that were compared.
        sizes: of the images that were compared, `height x width`.
        files: how many image files the delivered program answered for.
        kinds: of these files, such as `PNG I;16`, as Pillow calls them.
        probability_difference: of any class of any of these files, from what `predict` says.

    Example:
        >>> checked = Verification(
        ...     file="model.onnx", bytes=1_640_000, images=64, largest_difference=2e-6, agreement=1.0,
        ...     runtime="onnxruntime", load_seconds=0.05, without=("torch",),
        ... )
        >>> checked.agreement, checked.without
        (1.0, ('torch',))
    """

    file: str
    bytes: Count
    images: Count
    largest_difference: Amount
    agreement: Share
    runtime: str
    load_seconds: Amount
    without: tuple[str, ...]
    batches: tuple[Count, ...] = ()
    sizes: tuple[str, ...] = ()
    files: Count = 0
    kinds: tuple[str, ...] = ()
    probability_difference: Share = 0.0

    def in_words(self) -> str:
        """Sizes, batches and kinds of files that were compared.

        Example:
            >>> Verification(
            ...     file="model.onnx", bytes=9, images=64, largest_difference=2e-6, agreement=1.0, runtime="none",
            ...     load_seconds=0.05, without=(), batches=(1, 64), sizes=("24 x 24",),
            ... ).in_words()
            'batches of 1, 64; 24 x 24 pixels'
        """
        words = [f"batches of {', '.join(map(str, self.batches))}"] if self.batches else []
        words += [f"{', '.join(self.sizes)} pixels"] if self.sizes else []
        words += [f"{self.files} image files of {plural(len(self.kinds), 'kind')}"] if self.files else []
        return "; ".join(words)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoisyLayer(Record):
    """A layer that suffers from 256 levels.

    Attributes:
        name: of the module and its operation.
        noise: the root of the rounding error's power over the output's; 0.01 is 40 dB.

    Example:
        >>> NoisyLayer(name="stages.0.depthwise", noise=0.05).to_dict()
        {'name': 'stages.0.depthwise', 'noise': 0.05}
    """

    name: str
    noise: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizationQuality(Record):
    """What int8 costs and saves, on validation images.

    Attributes:
        images: that it was judged by.
        calibration: training images that it was calibrated with.
        accuracy_before: of float32.
        accuracy_after: of int8.
        agreement: fraction of images with the same top class; of several labels, of those that are given alike.
        latency_before: seconds of a run with one thread, in float32; None where its runtime is not measured.
        latency_after: the same of int8.
        layers: those that suffer most.
        warning: what speaks against the file and what to do about it; empty where nothing does.

    Example:
        >>> int8 = QuantizationQuality(
        ...     images=200, calibration=128, accuracy_before=0.82, accuracy_after=0.81, agreement=0.97,
        ...     latency_before=0.004, latency_after=0.002, layers=(NoisyLayer(name="head", noise=0.05),),
        ... )
        >>> int8.layers[0].name, int8.latency_before / int8.latency_after
        ('head', 2.0)
    """

    images: Count
    calibration: Count
    accuracy_before: Share
    accuracy_after: Share
    agreement: Share
    latency_before: Amount | None
    latency_after: Amount | None
    layers: tuple[NoisyLayer, ...]
    warning: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Export(Record):
    """A network as a file for another runtime.

    Attributes:
        verification: how it was verified; its fields stand beside the others in JSON.
        format: of the file, such as `onnx`.
        precision: of its arithmetic.
        batch: images that it takes at once; 0 for any number.
        any_size: whether images of other sizes than the network's resolution may come.
        normalize_inside: whether it takes pixels and normalizes them itself.
        int8: what quantization cost, where the precision is int8.
        path: of the file.
        script: of the program that shows its use.

    Example:
        >>> Export(
        ...     verification=Verification(
        ...         file="model.onnx", bytes=1_640_000, images=64, largest_difference=2e-6, agreement=1.0,
        ...         runtime="onnxruntime", load_seconds=0.05, without=("torch",),
        ...     )
        ... )
        Export('model.onnx', onnx in float32, 1,640,000 bytes, top class agrees on 100.0% of 64 images)
    """

    verification: Annotated[Verification, FLAT]
    format: str = "onnx"
    precision: str = "float32"
    batch: Count = 0
    any_size: bool = False
    normalize_inside: bool = False
    int8: QuantizationQuality | None = None
    path: Path | None = None
    script: Path | None = None

    def __repr__(self) -> str:
        checked = self.verification
        return (
            f"Export({str(self.path or checked.file)!r}, {self.format} in {self.precision}, {checked.bytes:,} bytes, "
            f"top class agrees on {checked.agreement:.1%} of {checked.images:,} images)"
        )

    def _repr_html_(self) -> str:
        checked, int8 = self.verification, self.int8
        rows = [
            ("file", self.path or checked.file),
            ("format", f"{self.format} in {self.precision}"),
            ("size", format_quantity(checked.bytes, unit="B")),
            ("top class", f"agrees on {checked.agreement:.1%} of {checked.images:,} images"),
            ("largest difference", f"{checked.largest_difference:.1e}"),
            ("checked with", checked.in_words()),
        ]
        if self.script is not None:
            rows.append(("how to use it", self.script))
        if int8 is not None:
            accuracies = f"{int8.accuracy_before:.2%} before, {int8.accuracy_after:.2%} after"
            rows += [("validation accuracy", accuracies), ("warning", int8.warning)]
        return html_table(("", ""), rows)
