"""From a run folder to a `RunRecord`: strict about the folder, patient with each file in it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from allometry.arch import Network, load
from allometry.base import NetworkError, RunFolderError
from allometry.report.record import (
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

Part = TypeVar("Part")

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
        plan=_part(Plan, folder / "plan.json"),
        trials=tuple(_parts(Trial, folder / "trials.jsonl")),
        fit=_part(Fit, folder / "fit.json"),
        search=_part(Search, folder / "search.json"),
        tried=tuple(_parts(SearchTrial, folder / "trials.jsonl")),
        epochs=_epochs(folder / "metrics.jsonl"),
        ledger=tuple(_parts(LedgerLine, folder / "ledger.jsonl")),
        recipe=_object(folder / "recipe.json") or {},
        evaluation=_part(Evaluation, folder / "evaluation.json"),
        looks=tuple(_looks(folder / "explain.json")),
        export=_part(Export, folder / "export.json"),
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
    header = _part(_Header, path)
    if header is None:
        raise RunFolderError(f"{path} is not readable: it is no JSON object. {_ADVICE}")
    return header


def _data(path: Path) -> Data | None:
    fields = _object(path)
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
    return _reader(Data)(present | fields)


def _network(path: Path) -> Network | None:
    try:
        return load(path)
    except NetworkError:
        return None


def _looks(path: Path) -> Iterator[Look]:
    entries = (_object(path) or {}).get("looks")
    read = _reader(Look)
    for fields in entries if isinstance(entries, list) else ():
        look = read(fields) if isinstance(fields, dict) else None
        if look is not None:
            yield look


def _epochs(path: Path) -> tuple[Epoch, ...]:
    # A run that went on after a kill repeats the epoch it was in: the later line counts.
    latest = {epoch.epoch: epoch for epoch in _parts(Epoch, path)}
    return tuple(latest[number] for number in sorted(latest))


def _part(kind: type[Part], path: Path) -> Part | None:
    fields = _object(path)
    return None if fields is None else _reader(kind)(fields)


def _parts(kind: type[Part], path: Path) -> Iterator[Part]:
    read = _reader(kind)
    for line in _text(path).splitlines():
        fields = _parsed(line)
        part = None if fields is None else read(fields)
        if part is not None:
            yield part


def _object(path: Path) -> dict[str, Any] | None:
    return _parsed(_text(path))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        value: Any = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _reader(kind: type[Part]) -> Callable[[dict[str, Any]], Part | None]:
    """What reads fields as `kind`, without those that cannot be read; `None` if one of them is needed."""
    # Pydantic takes a tenth of a second to load, which `allometry --help` need not pay.
    from pydantic import TypeAdapter, ValidationError

    adapter = TypeAdapter(kind)

    def read(fields: dict[str, Any]) -> Part | None:
        known = {name: value for name, value in fields.items() if not _not_a_number(value)}
        try:
            return adapter.validate_python(known)
        except ValidationError as error:
            unreadable = {each["loc"][0] for each in error.errors(include_url=False) if each["loc"]}
        try:
            return adapter.validate_python({name: known[name] for name in known.keys() - unreadable})
        except ValidationError:
            return None

    return read


def _not_a_number(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
