"""From a run folder to a `RunRecord`: strict about the folder, patient with each file in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from allometry.arch import load
from allometry.arch.any_space import load_any_space
from allometry.base import InputError, RunFolderError
from allometry.base.files import read_json
from allometry.base.units import plural
from allometry.runs import files
from allometry.runs.epochs import EpochMetrics
from allometry.runs.folder import find_run
from allometry.runs.record import RunRecord, SupernetRecord
from allometry.runs.results import RESULTS
from allometry.scaling import ScalingLaw

Value = TypeVar("Value")


def read_run(folder: str | Path) -> RunRecord:
    """Read what a run folder holds. A file that is missing or damaged is absent from the record.

    Args:
        folder: what a verb such as `train` made; the run need not be finished.

    Raises:
        RunFolderError: the folder does not exist, is no run folder, or was made by another version of this package.

    Example:
        >>> import tempfile
        >>> from allometry.runs.folder import open_run
        >>> folder = Path(tempfile.mkdtemp()) / "first"
        >>> with open_run(folder, command="train", arguments={}, device="cpu", seed=7):
        ...     pass
        >>> record = read_run(folder)
        >>> record.name, record.command, record.seed, record.network
        ('first', 'train', 7, None)
    """
    folder = Path(folder)
    info = find_run(folder).info
    elastic = info.command == "supernet train"
    explained = files.EXPLANATIONS.read(folder)
    return RunRecord(
        folder=folder,
        name=info.name or folder.resolve().name,
        command=info.command,
        arguments=info.arguments,
        versions=info.versions,
        device=info.device,
        seed=info.seed,
        started=info.started,
        finished=info.finished,
        data=files.DATA.read(folder),
        network=_read(load, folder / files.NETWORK),
        baseline=_read(load, folder / files.BASELINE),
        law=_read(ScalingLaw.load, folder / files.LAW),
        plan=files.PLAN.read(folder),
        growth=files.GROWTH.read(folder),
        law_trials=files.LAW_TRIALS.read(folder),
        search=files.SEARCH.read(folder),
        search_trials=files.SEARCH_TRIALS.read(folder),
        supernet=_supernet(folder, info.arguments) if elastic else None,
        history=() if elastic else _history(folder),
        costs=files.COSTS.read(folder),
        recipe=_read(read_json, folder / files.RECIPE) or {},
        evaluation=files.EVALUATION.read(folder),
        label_evaluation=files.LABEL_EVALUATION.read(folder),
        explanations=explained.explanations if explained else (),
        export=files.EXPORT.read(folder),
        result=files.read_result(folder, info.command),
        damaged=damaged_files(folder, info.command),
    )


def damaged_files(folder: Path, command: str) -> tuple[str, ...]:
    """What of a run cannot be read although it is there, each in a sentence; a run that goes on may not miss it.

    Args:
        folder: of the run.
        command: that made it.
    """
    kind = RESULTS.get(command)
    records = _RECORDS if kind is None else (*_RECORDS, files.RecordFile(files.RESULT, kind))
    told = [_why_damaged(folder / name, reader) for name, reader in _DESCRIPTIONS.items()]
    told += [_why_damaged(folder / file.name, partial(_load, file)) for file in records]
    for file in _lines_of(command):
        damaged = file.count(folder) - len(file.read(folder))
        if damaged > 0:
            told.append(f"{folder / file.name} has {plural(damaged, 'line')} that cannot be read: left out.")
    return tuple(sentence for sentence in told if sentence)


_DESCRIPTIONS: Mapping[str, Callable[[Path], object]] = {
    files.NETWORK: load,
    files.BASELINE: load,
    files.LAW: ScalingLaw.load,
    files.RECIPE: read_json,
    files.SPACE: load_any_space,
}

_RECORDS: tuple[files.RecordFile[Any], ...] = (
    files.DATA,
    files.PLAN,
    files.GROWTH,
    files.SEARCH,
    files.EVALUATION,
    files.LABEL_EVALUATION,
    files.EXPLANATIONS,
    files.EXPORT,
    files.PHASES,
    files.PREDICTOR_QUALITY,
)


def _lines_of(command: str) -> tuple[files.RecordLines[Any], ...]:
    """The files of lines that a command leaves."""
    elastic = command == "supernet train"
    return (
        files.SUPERNET_METRICS if elastic else files.METRICS,
        files.SEARCH_TRIALS if command == "search" else files.LAW_TRIALS,
        files.COSTS,
        files.ACCURACIES,
        files.MEMBER_LATENCIES,
    )


def _load(file: files.RecordFile[Any], path: Path) -> object:
    return file.load(path.parent)


def _why_damaged(path: Path, reader: Callable[[Path], object]) -> str:
    if not path.exists():
        return ""
    try:
        reader(path)
    except (InputError, RunFolderError) as error:
        return f"{path} cannot be read, and is left out: {error}"
    return ""


def _supernet(folder: Path, arguments: Mapping[str, Any]) -> SupernetRecord:
    plan = files.PHASES.read(folder)
    # A run that went on after a kill repeats the epoch it was in: the later line counts.
    latest = {(metrics.phase, metrics.epoch): metrics for metrics in files.SUPERNET_METRICS.read(folder)}
    return SupernetRecord(
        space=_read(load_any_space, folder / files.SPACE),
        size=plan.size if plan else None,
        coupled=bool(arguments.get("coupled")),
        phases=plan.phases if plan else (),
        history=tuple(latest[place] for place in sorted(latest)),
        measured=files.ACCURACIES.read(folder),
        predictor=files.PREDICTOR_QUALITY.read(folder),
        subnets=files.read_subnets(folder),
        fronts=files.read_fronts(folder),
    )


def _history(folder: Path) -> tuple[EpochMetrics, ...]:
    latest = {metrics.epoch: metrics for metrics in files.METRICS.read(folder)}
    return tuple(latest[number] for number in sorted(latest))


def _read(reader: Callable[[Path], Value], path: Path) -> Value | None:
    try:
        return reader(path)
    except (InputError, RunFolderError):
        return None
