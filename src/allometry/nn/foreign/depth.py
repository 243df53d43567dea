"""More blocks in runs that repeat, or fewer."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from allometry.base import InputError
from allometry.nn.channels import named_tensors
from allometry.nn.foreign.identity import make_identity, redraw
from allometry.nn.foreign.resize import bytes_of, check_memory, copied
from allometry.nn.foreign.runs import BlockRun, join_names, watch_blocks


@dataclass(frozen=True, slots=True)
class Insertion:
    """How many blocks a run shall have.

    Attributes:
        container: its name.
        blocks: names of the run's blocks, in the module as it was.
        repeats: how many blocks the run shall have.
    """

    container: str
    blocks: tuple[str, ...]
    repeats: int


def refusals(module: nn.Module, runs: Sequence[BlockRun], inputs: tuple[Any, ...]) -> dict[BlockRun, str]:
    """Why no blocks can be added to some runs without changing what the network computes."""
    seen = watch_blocks(module, inputs) if runs else {}
    result = {}
    for run in runs:
        where = join_names(run.container, run.names[-1])
        try:
            make_identity(copied(module.get_submodule(where)), seen[where], where)
        except InputError as error:
            result[run] = str(error)
    return result


def deepened(
    module: nn.Module, insertions: Sequence[Insertion], inputs: tuple[Any, ...]
) -> tuple[nn.Module, dict[str, str | None]]:
    """A copy of a module with more or fewer blocks in some runs, which computes the same where blocks are added.

    Args:
        module: stays as it is.
        insertions: how many blocks each run shall have.
        inputs: that the module takes, on which new blocks are seen to change nothing.

    Returns:
        The copy, and for each of its tensors the name of the one that it inherits; None where it is a new block's.

    Raises:
        InputError: no way was found to let a block change nothing.
    """
    seen = watch_blocks(module, inputs)
    origin = {name: name for name, _ in named_tensors(module)}
    result = copied(module)
    names: dict[str, str | None] = dict(origin)
    for insertion in _from_behind(module, insertions):
        container = result.get_submodule(insertion.container)
        run = insertion.blocks
        extra = insertion.repeats - len(run)
        template = container.get_submodule(run[-1])
        check_memory(module, bytes_of(result) + max(0, extra) * bytes_of(template))
        added: list[nn.Module] = []
        for number in range(extra):
            block = copy.deepcopy(template)
            if number:
                redraw(block, seed=number)  # or several new blocks would learn one and the same
            where = join_names(insertion.container, run[-1])
            make_identity(block, seen[where], where)
            added.append(block)
        names = _inherited_names(container, insertion, _replace(container, insertion, added), names)
    return result, names


def restructured(module: nn.Module, insertions: Sequence[Insertion]) -> tuple[nn.Module, dict[str, str]]:
    """A copy with as many blocks, whatever their weights are; and what its parts were called that are not new."""
    result = copied(module)
    called = {id(part): name for name, part in result.named_modules()}
    for insertion in _from_behind(module, insertions):
        container = result.get_submodule(insertion.container)
        template = container.get_submodule(insertion.blocks[-1])
        extra = insertion.repeats - len(insertion.blocks)
        check_memory(module, bytes_of(result) + max(0, extra) * bytes_of(template))
        _replace(container, insertion, [copy.deepcopy(template) for _ in range(extra)])
    return result, {name: called[id(part)] for name, part in result.named_modules() if id(part) in called}


def _from_behind(module: nn.Module, insertions: Sequence[Insertion]) -> list[Insertion]:
    """In an order in which none changes the names of another's blocks: the inmost and the last come first."""

    def place(insertion: Insertion) -> tuple[int, int]:
        keys = list(module.get_submodule(insertion.container)._modules)
        return insertion.container.count("."), keys.index(insertion.blocks[-1])

    return sorted(insertions, key=place, reverse=True)


def _replace(
    container: nn.Module, insertion: Insertion, added: list[nn.Module]
) -> list[tuple[str, str | None]]:
    """Put blocks behind the last of a run, or leave out the last ones; the new names of its children with the old."""
    children = [(key, part) for key, part in container._modules.items() if part is not None]
    keys = [key for key, _ in children]
    last = keys.index(insertion.blocks[-1])
    if insertion.repeats < len(insertion.blocks):
        dropped = len(insertion.blocks) - insertion.repeats
        kept = [*children[: last + 1 - dropped], *children[last + 1 :]]
        moved: list[tuple[str, str | None]] = [(key, key) for key, _ in kept]
    else:
        fresh = list(_new_keys(keys, insertion.blocks[-1], len(added)))
        new = list(zip(fresh, added, strict=True))
        kept = [*children[: last + 1], *new, *children[last + 1 :]]
        moved = [
            (key, key if number <= last or number > last + len(added) else None)
            for number, (key, _) in enumerate(kept)
        ]
    if all(key.isdigit() for key in keys):
        renamed = [(str(number), old) for number, (_, old) in enumerate(moved)]
    else:
        renamed = moved
    container._modules.clear()
    for (key, _), (_, block) in zip(renamed, kept, strict=True):
        container._modules[key] = block
    return renamed


def _inherited_names(
    container: nn.Module,
    insertion: Insertion,
    renamed: Sequence[tuple[str, str | None]],
    names: dict[str, str | None],
) -> dict[str, str | None]:
    """For each tensor the name of the one that it inherits, after the children of a container were renamed."""
    prefix = f"{insertion.container}." if insertion.container else ""
    result = {name: source for name, source in names.items() if not name.startswith(prefix)}
    inside = {name: source for name, source in names.items() if name not in result}
    for key, old in renamed:
        for name, _ in named_tensors(container.get_submodule(key)):
            result[f"{prefix}{key}.{name}"] = None if old is None else inside[f"{prefix}{old}.{name}"]
    own = {f"{prefix}{name}" for name, _ in (*container._parameters.items(), *container._buffers.items())}
    return {**result, **{name: source for name, source in inside.items() if name in own}}


def _new_keys(keys: Sequence[str], last: str, count: int) -> Iterator[str]:
    """Names for new blocks after the last: its number counted up, as far as such names are free."""
    stem = last.rstrip("0123456789")
    number = int(last[len(stem) :] or 0)
    taken = set(keys)
    for _ in range(count):
        number += 1
        while f"{stem}{number}" in taken:
            number += 1
        taken.add(f"{stem}{number}")
        yield f"{stem}{number}"
