"""A file with the program that shows its use, both verified on images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from torch import nn

from allometry.data import Split, part_of, view_batches
from allometry.data.images.pixels import Pixels
from allometry.deploy.export_config import ExportConfig
from allometry.deploy.formats import write_file
from allometry.deploy.script import write_script
from allometry.deploy.verification import verify
from allometry.runs import Verification
from allometry.training import Preprocessing

SCRIPT = "predict.py"
_VERIFIED = 256


def write_checked(
    module: nn.Module,
    path: Path,
    split: Split,
    preprocessing: Preprocessing,
    export_config: ExportConfig = ExportConfig(),
) -> Verification:
    """Write a module as a file, with the program that shows its use, and verify both on images of a split."""
    write_file(module, path, preprocessing=preprocessing, export_config=export_config)
    return check(module, path, split, preprocessing, export_config)


def check(
    module: nn.Module, path: Path, split: Split, preprocessing: Preprocessing, export_config: ExportConfig
) -> Verification:
    """Write the program that shows a file's use, and verify both on images of a split."""
    script = write_script(
        path.with_name(SCRIPT), model=path, preprocessing=preprocessing, export_config=export_config
    )
    chosen = np.linspace(0, len(split) - 1, min(_VERIFIED, len(split))).astype(np.int64)
    batch = next(views_of(part_of(split, chosen), preprocessing, batch_size=_VERIFIED))
    return verify(
        path, module, batch, script=script, preprocessing=preprocessing, export_config=export_config
    )


def views_of(split: Split, preprocessing: Preprocessing, *, batch_size: int) -> Iterator[Pixels]:
    """What a network sees of a split's images, uint8 [N, R, R, C] at a time."""
    side, crop = preprocessing.resolution, preprocessing.crop
    for batch in view_batches(split, resolution=side, batch_size=batch_size, crop=crop):
        yield batch.images
