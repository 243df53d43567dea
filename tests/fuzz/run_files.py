"""The files of run folders: each is changed in a folder where the others are right."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from allometry.base import RunFolderError
from allometry.base.files import read_json
from allometry.runs import files
from allometry.runs.files import RecordFile, RecordLines
from allometry.runs.reading import read_run
from allometry.verbs.open import open_run
from tests.reports.supernets import write_supernet
from tests.run_folders import contents

from .inputs import written_folder
from .mutations import mutated_json, mutated_lines
from .readers import LINES, Target


def seen(path: Path) -> object:
    """Whatever people look at of a run."""
    run = open_run(path.parent)
    json.dumps(run.to_dict(), allow_nan=False)
    return repr(run), run._repr_html_()


def seen_supernet(path: Path) -> object:
    return repr(read_run(path.parent))


def run_targets() -> Iterator[Target]:
    yield LINES
    plain = {name: text.encode() for name, text in contents(("cat", "dog"), "net", "2026-11-22").items()}
    elastic = written_folder(write_supernet)
    for name, content in plain.items():
        others = {other: text for other, text in plain.items() if other != name}
        mutate = mutated_lines if name.endswith(".jsonl") else mutated_json
        yield Target(f"run {name}", (content,), mutate, seen, file=name, beside=others)
    for name in ("phases.json", "accuracies.jsonl", "predictor.json", "metrics.jsonl", "run.json"):
        others = {other: text for other, text in elastic.items() if other != name}
        mutate = mutated_lines if name.endswith(".jsonl") else mutated_json
        yield Target(f"supernet {name}", (elastic[name],), mutate, seen_supernet, file=name, beside=others)
    yield from record_targets(plain, elastic)


def record_targets(*folders: dict[str, bytes]) -> Iterator[Target]:
    """Every kind of record by itself: what is taken reads back the same."""
    for name, kind in vars(files).items():
        folder = next((known for known in folders if getattr(kind, "name", None) in known), None)
        if folder is None or not isinstance(kind, RecordFile | RecordLines):
            continue
        if isinstance(kind, RecordFile):
            yield Target(
                f"record {name}",
                (folder[kind.name],),
                mutated_json,
                lambda path, kind=kind: kind.load(path.parent).to_dict(),
                json.dumps,
                file=kind.name,
            )
            continue
        first = right_line(kind, folders)
        if first is None:
            continue
        yield Target(
            f"record {name}",
            (first,),
            mutated_json,
            lambda path, kind=kind: line(kind, path),
            json.dumps,
            file="line.json",
        )


def right_line(kind: RecordLines[Any], folders: tuple[dict[str, bytes], ...]) -> bytes | None:
    """A line of that kind; files of one name hold several kinds."""
    for folder in folders:
        text = folder.get(kind.name, b"").split(b"\n")[0]
        try:
            kind.kind.from_dict(json.loads(text or "{}"))
        except RunFolderError:
            continue
        return text
    return None


def line(kind: RecordLines[Any], path: Path) -> object:
    return kind.kind.from_dict(read_json(path)).to_dict()
