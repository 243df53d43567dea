"""Export to ONNX, and proof that the file gives the network's results."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from allometry.base import VerificationError
from allometry.base.files import replacing
from allometry.train import Preprocessing

_LARGEST_DIFFERENCE = 1e-3
_LEAST_AGREEMENT = 0.99


@dataclass(frozen=True, slots=True)
class Verification:
    """What came of comparing an exported file with its network.

    Attributes:
        file: name of the file.
        bytes: its size.
        images: how many were compared.
        largest_difference: of any score, absolute.
        agreement: share of images with the same top class.
        runtime: what ran the file.
    """

    file: str
    bytes: int
    images: int
    largest_difference: float
    agreement: float
    runtime: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return asdict(self)


def export_onnx(module: nn.Module, path: Path, *, preprocessing: Preprocessing) -> Path:
    """Write `module` as an ONNX file, batch norm folded, for any batch size.

    The input is `image`, float32 [N, C, R, R], normalised; the output `scores`, float32 [N, classes]. Class
    names, mean, std, resolution and crop are in the file's metadata as JSON under `allometry`.

    Args:
        module: on the CPU; it is put into evaluation mode.
        path: of the file.
        preprocessing: size and normalisation of the input, and the class names.

    Raises:
        StorageError: the file cannot be written.
    """
    size = preprocessing.resolution
    example = torch.zeros(2, preprocessing.channels, size, size)
    metadata = {"allometry": json.dumps(asdict(preprocessing))}
    return write_onnx(module, path, example=example, any_batch=True, metadata=metadata)


def write_onnx(
    module: nn.Module,
    path: Path,
    *,
    example: torch.Tensor,
    any_batch: bool = False,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write any module that maps `image` to `scores` as an ONNX file, batch norm folded.

    Args:
        module: on the CPU; it is put into evaluation mode.
        path: of the file.
        example: an input, [N, C, H, W]; its size is the file's.
        any_batch: whether the file takes any number of images, not the example's alone.
        metadata: written into the file.

    Raises:
        StorageError: the file cannot be written.
    """
    import onnx

    with _quiet():
        program = torch.onnx.export(
            module.eval(),
            (example,),
            dynamo=True,
            verbose=False,
            input_names=["image"],
            output_names=["scores"],
            dynamic_shapes=({0: torch.export.Dim("batch")},) if any_batch else None,
        )
    if program is None:
        raise AssertionError("the exporter returned no program")
    model = program.model_proto
    onnx.helper.set_model_props(model, dict(metadata or {}))
    onnx.checker.check_model(model)
    with replacing(path) as beside:
        beside.write_bytes(model.SerializeToString())
    return path


def verify_onnx(path: Path, module: nn.Module, inputs: np.ndarray) -> Verification:
    """Run the file and the module on the same inputs and compare.

    Args:
        path: of the ONNX file.
        module: what it was made from, on the CPU.
        inputs: normalised images, float32 [N, C, R, R].

    Raises:
        VerificationError: scores differ by more than 0.001 of their range, or fewer than 99 % of the top classes agree.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    theirs = np.asarray(session.run(None, {"image": inputs})[0])
    with torch.inference_mode():
        ours = module.eval()(torch.from_numpy(inputs)).numpy()
    difference = float(np.abs(theirs - ours).max())
    agreement = float((theirs.argmax(1) == ours.argmax(1)).mean())
    result = Verification(
        file=path.name,
        bytes=path.stat().st_size,
        images=len(inputs),
        largest_difference=difference,
        agreement=agreement,
        runtime=f"onnxruntime {onnxruntime.__version__}",
    )
    allowed = _LARGEST_DIFFERENCE * max(1.0, float(np.abs(ours).max()))
    if not difference <= allowed or agreement < _LEAST_AGREEMENT:
        raise VerificationError(
            f"{path} does not give the network's results: scores differ by up to {difference:.2g} "
            f"(allowed {allowed:.2g}) and {agreement:.1%} of the top classes agree "
            f"(least {_LEAST_AGREEMENT:.0%})."
        )
    return result


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's remarks on its own internals from the user's screen."""
    names = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")
    before = {name: logging.getLogger(name).level for name in names}
    try:
        for name in names:
            logging.getLogger(name).setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
