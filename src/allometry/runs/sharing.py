"""What of a run folder is given to others: no image, no path of the machine that made it, nothing that is executed."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from allometry.runs.files import (
    BASELINE,
    DATA,
    EVALUATION,
    LABEL_EVALUATION,
    LAW,
    METRICS,
    NETWORK,
    PLAN,
    PREPROCESSING,
    RECIPE,
    RESULT,
    RUN,
    read_result,
    write_result,
)
from allometry.runs.folder import find_run
from allometry.runs.results import ExtractResult
from allometry.runs.values import Record

_AS_THEY_ARE = (NETWORK, PREPROCESSING, RECIPE, METRICS.name, BASELINE, LAW, PLAN.name, LABEL_EVALUATION.name)
_SCHEME = "hf://"
SHARED_FILES = (*_AS_THEY_ARE, RUN.name, DATA.name, EVALUATION.name, RESULT)
"""The files of a run folder that `write_shared` writes, weights apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubUpload(Record):
    """A run that was put on the Hugging Face hub.

    Attributes:
        repo: its name there, `owner/name`.
        url: of its page.
        commit: that put it there.
        files: that are in it now.

    Example:
        >>> HubUpload(repo="me/birds", url="https://huggingface.co/me/birds", commit="5f0c", files=("README.md",)).repo
        'me/birds'
    """

    repo: str
    url: str
    commit: str
    files: tuple[str, ...]


def is_on_hub(run: object) -> bool:
    """Whether a run is named by its place on the Hugging Face hub.

    Example:
        >>> is_on_hub("hf://me/birds"), is_on_hub("runs/birds")
        (True, False)
    """
    return isinstance(run, str) and run.startswith(_SCHEME)


def write_shared(run: Path, out: Path) -> None:
    """Write what others may have of a run folder into another folder.

    Left out are thumbnails of images and their names, files of the data that were rejected, and where data, teacher,
    supernet and weights to start from lie on this machine.

    Args:
        run: the run folder.
        out: where to write; the folder is there.

    Raises:
        RunFolderError: there is no run.
        StorageError: a file cannot be written.
    """
    info, data, evaluation = find_run(run).info, DATA.read(run), EVALUATION.read(run)
    images = {} if data is None else {"data": f"{data.name}@{data.fingerprint}"}
    RUN.write(out, replace(info, arguments={**images, "seed": info.seed}))
    if data is not None:
        DATA.write(out, replace(data, rejected=()))
    if evaluation is not None:
        EVALUATION.write(out, replace(evaluation, mistakes=()))
    result = read_result(run, info.command)
    if isinstance(result, ExtractResult):
        result = replace(result, supernet=Path(result.supernet).name)
    if result is not None:
        write_result(out, result)
    for name in _AS_THEY_ARE:
        if (run / name).exists():
            shutil.copyfile(run / name, out / name)
