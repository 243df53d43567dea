"""Kills at any moment and at chosen operations: what is called again ends as if nothing had been, and loses nothing.

`ALLOMETRY_KILLS=200 pytest tests/kills -m slow -n 0 -s` does all of them, in all verbs that work in a run folder.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.killing import is_killed, preload

from .operations import Operations, die_after
from .verbs import VERBS, Verb, copy

KILLS = int(os.environ.get("ALLOMETRY_KILLS", "10"))
IN_A_ROW = 4
"""Kills of one run, at most, before it may come to its end."""
preload("tests.kills.verbs", "allometry.reports", "optuna", "onnxruntime")
_FEW = 50
_BY_NAME = {verb.name: verb for verb in VERBS}
_TIMES = ("started", "finished", "images_per_second", "run_id")


def work(
    name: str, folder: Path, last: int | None = None, seconds: float | None = None, torn: bool = False
) -> None:
    """Do the verb in this process, which may die of it; how many operations it took is written beside the folder."""
    operations = Operations(folder, last=last, torn=torn)
    if seconds is not None:
        die_after(seconds)
    began = time.monotonic()
    with operations.watched():
        _BY_NAME[name].work(folder)
    note = {"operations": operations.count, "seconds": time.monotonic() - began}
    (folder.parent / "note.json").write_text(json.dumps(note))


def prepare(name: str, folder: Path) -> None:
    before = _BY_NAME[name].before
    assert before is not None
    before(folder)


@dataclass
class Whole:
    """A run that nothing interrupts.

    Attributes:
        folder: that it leaves.
        facts: what is in it.
        operations: that it took.
        seconds: that it took.
    """

    folder: Path
    facts: dict[str, Any]
    operations: int
    seconds: float


def make_ready(verb: Verb, root: Path, before: Path | None) -> Path:
    """A folder to do a verb in."""
    root.mkdir()
    if before is not None:
        copy(before, root)
    return root / "run"


def whole_run(verb: Verb, root: Path, before: Path | None) -> Whole:
    folder = make_ready(verb, root, before)
    assert not is_killed(work, verb.name, folder)
    note = json.loads((root / "note.json").read_text())
    return Whole(folder, dict(facts(root)), note["operations"], note["seconds"])


@dataclass
class Tally:
    chosen: int = 0
    moments: int = 0
    runs: int = 0
    torn: int = 0
    unstable: set[str] = field(default_factory=set)

    @property
    def kills(self) -> int:
        return self.chosen + self.moments


def killed_run(
    verb: Verb, root: Path, before: Path | None, whole: Whole, random: Random, tally: Tally
) -> None:
    """Kill a run some times, let it come to its end, and compare."""
    folder, plans = make_ready(verb, root, before), []
    for number in range(random.randint(1, IN_A_ROW)):
        left = 1 + bool(number)  # what goes on has less to do
        by_choice = tally.chosen <= tally.moments
        torn = by_choice and random.random() < 0.3
        if by_choice:
            plan = {"last": random.randint(1, max(1, whole.operations // left)), "torn": torn}
        else:
            plan = {"seconds": random.uniform(0.0, whole.seconds / left)}
        plans.append(plan)
        if not is_killed(work, verb.name, folder, *_ordered(plan)):
            break
        tally.chosen, tally.moments = tally.chosen + by_choice, tally.moments + (not by_choice)
        tally.torn += torn
    assert not is_killed(work, verb.name, folder), plans
    found = dict(facts(root))
    told = f"{verb.name}, killed at {plans}, in {root}"
    assert found.keys() == whole.facts.keys(), told
    for name, fact in found.items():
        if name not in tally.unstable:
            assert fact == whole.facts[name], f"{name}: {told}"
    tally.runs += 1


def _ordered(plan: dict[str, Any]) -> tuple[Any, ...]:
    return plan.get("last"), plan.get("seconds"), plan.get("torn", False)


def facts(root: Path) -> Iterator[tuple[str, Any]]:
    """What is in the folders, by file, but for times."""
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_dir() or path.name in (".lock", "note.json"):
            continue
        if path.suffix == ".jsonl":
            lines = [scrubbed(json.loads(line)) for line in text_of(path, root).splitlines()]
            yield name, priced(lines) if path.name == "costs.jsonl" else lines
        elif path.suffix == ".json":
            yield name, scrubbed(json.loads(text_of(path, root)))
        elif path.suffix == ".db":
            yield name, list(tried(path))
        elif path.name not in ("driver", "report.html"):
            yield name, sha256(path.read_bytes()).hexdigest()
        else:
            yield name, "is there"


def priced(lines: list[dict[str, Any]]) -> list[str]:
    """The cost log in order; looks at subnets are charged by what is new since the last charge, so as one."""
    looks = sum(line["images"] for line in lines if line["phase"] == "look")
    return [*sorted(str(line) for line in lines if line["phase"] != "look"), f"{looks} images in looks"]


def text_of(path: Path, root: Path) -> str:
    """The text of a file, wherever its folder lies."""
    return path.read_text().replace(str(root), "ROOT")


def scrubbed(value: Any) -> Any:
    """JSON without what a clock says."""
    if isinstance(value, list):
        return [scrubbed(part) for part in value]
    if isinstance(value, dict):
        return {
            name: scrubbed(part)
            for name, part in value.items()
            if not name.endswith("seconds") and name not in _TIMES
        }
    return value


def tried(path: Path) -> Iterator[tuple[Any, ...]]:
    """The trials that came to an end: which network, and what it is worth; each once."""
    query = (
        "SELECT s.study_name, a.value_json, v.value FROM trials t JOIN studies s USING (study_id) "
        "JOIN trial_user_attributes a ON a.trial_id = t.trial_id AND a.key = 'encoding' "
        "JOIN trial_values v ON v.trial_id = t.trial_id WHERE t.state = 'COMPLETE' ORDER BY 1, 2"
    )
    with closing(sqlite3.connect(path)) as connection:
        yield from connection.execute(query)


def shares(kills: int) -> dict[str, int]:
    """How many kills each verb gets, by its share; few are for the first verbs only."""
    verbs = VERBS if kills >= _FEW else VERBS[:4]
    total, left = sum(verb.share for verb in verbs), kills
    wanted = {}
    for verb in verbs:
        wanted[verb.name] = min(left, max(1, round(kills * verb.share / total)))
        left -= wanted[verb.name]
    wanted[VERBS[0].name] += left
    return {name: number for name, number in wanted.items() if number}


@pytest.mark.slow
@pytest.mark.parametrize("name", shares(KILLS))
def test_what_is_killed_and_called_again_ends_as_if_nothing_had_been(name: str, tmp_path: Path) -> None:
    verb, wanted, tally = _BY_NAME[name], shares(KILLS)[name], Tally()
    before = None
    if verb.before is not None:
        before = tmp_path / "before"
        before.mkdir()
        assert not is_killed(prepare, name, before / "run")
    whole, other = (whole_run(verb, tmp_path / place, before) for place in ("whole", "other"))
    # What differs between two runs that nothing interrupts says nothing here; nothing of ours may.
    tally.unstable = {name for name, fact in whole.facts.items() if other.facts.get(name) != fact}
    assert {Path(name).suffix for name in tally.unstable} <= {".onnx"}, tally.unstable
    random = Random(f"{name} {wanted}")
    while tally.kills < wanted:
        killed_run(verb, tmp_path / str(tally.runs), before, whole, random, tally)
    print(  # noqa: T201 - the figures
        f"{name}: {tally.kills} kills, {tally.chosen} of them at a chosen one of {whole.operations} operations, "
        f"{tally.torn} of these with a torn file; {tally.runs} runs, all equal ({whole.seconds:.1f} s each)"
    )
