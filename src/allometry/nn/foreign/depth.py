"""More blocks in runs that repeat, or fewer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import nn

from allometry.base import InputError
from allometry.nn.channels import named_tensors
from allometry.nn.foreign.forms import BlockForm, new_block
from allometry.nn.foreign.identity import make_identity, redraw
from allometry.nn.foreign.resize import bytes_of, check_memory, copied
from allometry.nn.foreign.runs import BlockRun, Seen, after, join_names, watch_blocks


@dataclass(frozen=True, slots=True)
class Insertion:
    """How many blocks a run shall have.

    Attributes:
        container: its name.
        blocks: names of the run's blocks, in the module as it was.
        repeats: how many blocks the run shall have.
        form: what a new block is; None where it is a copy of the last of them.
        wrapped: new blocks stand with the last of them in a `Sequential` in its place.
    """

    container: str
    blocks: tuple[str, ...]
    repeats: int
    form: BlockForm | None = None
    wrapped: bool = False

    @property
    def where(self) -> str:
        """The name of the last block."""
        return join_names(self.container, self.blocks[-1])

    @property
    def extra(self) -> int:
        """How many blocks are added; negative where some are left out."""
        return self.repeats - len(self.blocks)


class Deepened(NamedTuple):
    """A module with other numbers of blocks.

    Attributes:
        module: with its weights.
        names: for each of its tensors the name of the one that it inherits; None where it is a new block's.
        blocks: for each insertion the parts that were blocks of its run, in their order, and then those that are new.
        called: the names of its parts that are not new, with what they were called.
    """

    module: nn.Module
    names: dict[str, str | None]
    blocks: tuple[tuple[nn.Module, ...], ...]
    called: dict[str, str]


def inserted(run: BlockRun, repeats: int) -> Insertion:
    """A run with so many blocks."""
    return Insertion(run.container, run.names, repeats, run.form, run.wrapped)


def refusals(module: nn.Module, runs: Sequence[BlockRun], seen: Mapping[str, Seen]) -> dict[BlockRun, str]:
    """Why no blocks can be added to some runs without changing what the network computes."""
    result = {}
    for run in runs:
        insertion = inserted(run, len(run.names) + 1)
        try:
            make_identity(_copy_of_last(module, insertion), _given(seen, insertion), run.where)
        except InputError as error:
            result[run] = str(error)
    return result


def deepened(
    module: nn.Module,
    insertions: Sequence[Insertion],
    inputs: tuple[Any, ...],
    *,
    seen: Mapping[str, Seen] | None = None,
) -> Deepened:
    """A copy of a module with more or fewer blocks in some runs, which computes the same where blocks are added.

    Args:
        module: stays as it is.
        insertions: how many blocks each run shall have.
        inputs: that the module takes, on which new blocks are seen to change nothing.
        seen: what its blocks are given for these inputs, where that is known.

    Raises:
        InputError: no way was found to let a block change nothing.
    """
    given = seen
    if given is None:
        where = {insertion.where for insertion in insertions}
        given = watch_blocks(module, inputs, where) if insertions else {}

    def block_of(insertion: Insertion, number: int) -> nn.Module:
        block = _copy_of_last(module, insertion)
        if number:
            redraw(block, seed=number)  # or several new blocks would learn one and the same
        make_identity(block, _given(given, insertion), insertion.where)
        return block

    return _built(module, insertions, block_of)


def restructured(module: nn.Module, insertions: Sequence[Insertion]) -> tuple[nn.Module, dict[str, str]]:
    """A copy with as many blocks, whatever their weights are; and what its parts were called that are not new."""
    built = _built(module, insertions, lambda insertion, _: _copy_of_last(module, insertion))
    return built.module, built.called


def _built(
    module: nn.Module, insertions: Sequence[Insertion], block_of: Callable[[Insertion, int], nn.Module]
) -> Deepened:
    result = copied(module)
    names = {id(tensor): name for name, tensor in named_tensors(result)}
    parts = {id(part): name for name, part in result.named_modules()}
    blocks: dict[Insertion, tuple[nn.Module, ...]] = {}
    for insertion in _from_behind(module, insertions):
        container = result.get_submodule(insertion.container)
        old = [container.get_submodule(name) for name in insertion.blocks]
        size = bytes_of(_copy_of_last(module, insertion)) if insertion.extra > 0 else 0
        check_memory(module, bytes_of(result) + max(0, insertion.extra) * size)
        added = [block_of(insertion, number) for number in range(insertion.extra)]
        blocks[insertion] = (*old, *added)
        put = _wrap if insertion.wrapped else _replace
        put(container, insertion, added)
    origin = {name: names.get(id(tensor)) for name, tensor in named_tensors(result)}
    called = {name: parts[id(part)] for name, part in result.named_modules() if id(part) in parts}
    return Deepened(result, origin, tuple(blocks[insertion] for insertion in insertions), called)


def _copy_of_last(module: nn.Module, insertion: Insertion) -> nn.Module:
    """What a new block of a run is, with whatever weights."""
    return new_block(module, insertion.form or BlockForm((insertion.where,)), seed=0)


def _given(seen: Mapping[str, Seen], insertion: Insertion) -> Seen:
    """What a new block of a run will be given."""
    last = seen.get(insertion.where)
    if last is None:
        raise InputError(f"{insertion.where}: did not run on these inputs.")
    if insertion.form is None:
        return last
    return after(last)


def _from_behind(module: nn.Module, insertions: Sequence[Insertion]) -> list[Insertion]:
    """In an order in which none changes the names of another's blocks: the inmost and the last come first."""

    def place(insertion: Insertion) -> tuple[int, int]:
        keys = list(module.get_submodule(insertion.container)._modules)
        return len(insertion.container.split(".")) * bool(insertion.container), keys.index(
            insertion.blocks[-1]
        )

    return sorted(insertions, key=place, reverse=True)


def _replace(container: nn.Module, insertion: Insertion, added: Sequence[nn.Module]) -> None:
    """Put blocks behind the last of a run, or leave out the last ones."""
    children = [(key, part) for key, part in container._modules.items() if part is not None]
    keys = [key for key, _ in children]
    last = keys.index(insertion.blocks[-1])
    dropped = max(0, -insertion.extra)
    new = list(zip(_new_keys(keys, insertion.blocks[-1], len(added)), added, strict=True))
    kept = [*children[: last + 1 - dropped], *new, *children[last + 1 :]]
    if all(key.isdigit() for key in keys):
        kept = [(str(number), part) for number, (_, part) in enumerate(kept)]
    container._modules.clear()
    container._modules.update(kept)


def _wrap(container: nn.Module, insertion: Insertion, added: Sequence[nn.Module]) -> None:
    """Put blocks behind the last of a run in its own place."""
    key = insertion.blocks[-1]
    last = container.get_submodule(key)
    wrapped = nn.Sequential(last, *added)
    wrapped.training = last.training
    container._modules[key] = wrapped


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
