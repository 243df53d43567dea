"""From a run folder to a `RunRecord`: strict about the folder, patient with each file in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from allometry.arch import Network, load
from allometry.base import NetworkError, RunFolderError
from allometry.reports.parsing import read_object, read_part, read_parts, reader_of
from allometry.reports.record import (
    Data,
    Epoch,
    Evaluation,
    Export,
    Fit,
    LedgerLine,
    Look,
    Plan,
    RunRecord,
    Search,
    SearchTrial,
    Trial,
)
from allometry.reports.supernet_record import read_extracted, read_supernet

_ADVICE = (
    "Give the folder that `allometry run` or `allometry train` made; it holds a file named run.json. "
    "`allometry run --help` shows how to make one."
)


def read_run(folder: Path) -> RunRecord:
    """Read what a run folder says. A file that is missing or torn is absent from the record.

    Args:
        folder: what `allometry run` or `allometry train` made.

    Raises:
        RunFolderError: the folder does not exist or holds no readable `run.json`.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp()) / "first"
        >>> folder.mkdir()
        >>> _ = (folder / "run.json").write_text('{"command": "train", "seed": 7}')
        >>> record = read_run(folder)
        >>> record.name, record.command, record.seed, record.network
        ('first', 'train', 7, None)
    """
    folder = Path(folder)
    header = _header(folder)
    elastic, taken = header.command == "supernet train", header.command == "supernet extract"
    return RunRecord(
        folder=folder,
        name=header.name or folder.resolve().name,
        command=header.command,
        arguments=header.arguments,
        versions={library: str(version) for library, version in header.versions.items()},
        device=header.device or "",
        seed=header.seed,
        started=header.started,
        finished=header.finished,
        data=_data(folder / "data.json"),
        network=_network(folder / "network.json"),
        baseline=_network(folder / "baseline.json"),
        plan=read_part(Plan, folder / "plan.json"),
        trials=tuple(read_parts(Trial, folder / "trials.jsonl")),
        fit=read_part(Fit, folder / "fit.json"),
        search=read_part(Search, folder / "search.json"),
        tried=tuple(read_parts(SearchTrial, folder / "trials.jsonl")),
        supernet=(read_supernet(folder, coupled=bool(header.arguments.get("coupled"))) if elastic else None),
        extracted=(
            read_extracted(folder, supernet=str(header.arguments.get("supernet") or "")) if taken else None
        ),
        epochs=() if elastic else _epochs(folder / "metrics.jsonl"),
        ledger=tuple(read_parts(LedgerLine, folder / "costs.jsonl")),
        recipe=read_object(folder / "recipe.json") or {},
        evaluation=read_part(Evaluation, folder / "evaluation.json"),
        looks=tuple(_looks(folder / "explain.json")),
        export=read_part(Export, folder / "export.json"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    name: str = ""
    command: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, Any] = field(default_factory=dict)
    device: str | None = None
    seed: int | None = None
    started: str | None = None
    finished: str | None = None


def _header(folder: Path) -> _Header:
    if not folder.is_dir():
        raise RunFolderError(f"There is no run folder {folder}. {_ADVICE}")
    path = folder / "run.json"
    if not path.is_file():
        raise RunFolderError(f"{folder} is not a run folder: it holds no run.json. {_ADVICE}")
    header = read_part(_Header, path)
    if header is None:
        raise RunFolderError(f"{path} is not readable: it is no JSON object. {_ADVICE}")
    return header


def _data(path: Path) -> Data | None:
    fields = read_object(path)
    if fields is None:
        return None
    # The summary of a data set and a report of it name these differently; both are understood.
    spread = fields.get("per_class")
    train = spread.get("train") if isinstance(spread, dict) else None
    train = train if isinstance(train, dict) else {}
    rejected = fields.get("rejected")
    known = {
        "splits": fields.get("images"),
        "smallest_class": train.get("least"),
        "largest_class": train.get("most"),
        "left_out": len(rejected) if isinstance(rejected, list) else rejected,
    }
    present = {name: value for name, value in known.items() if value is not None}
    return reader_of(Data)(present | fields)


def _network(path: Path) -> Network | None:
    try:
        return load(path)
    except NetworkError:
        return None


def _looks(path: Path) -> Iterator[Look]:
    entries = (read_object(path) or {}).get("looks")
    read = reader_of(Look)
    for fields in entries if isinstance(entries, list) else ():
        look = read(fields) if isinstance(fields, dict) else None
        if look is not None:
            yield look


def _epochs(path: Path) -> tuple[Epoch, ...]:
    # A run that went on after a kill repeats the epoch it was in: the later line counts.
    latest = {epoch.epoch: epoch for epoch in read_parts(Epoch, path)}
    return tuple(latest[number] for number in sorted(latest))
