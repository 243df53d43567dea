"""Blocks that stand alone in their stage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from allometry.nn.foreign.equal_width import channels_of, own_forms, sibling_form
from allometry.nn.foreign.forms import BlockForm, new_block
from allometry.nn.foreign.identity import layers_that_run, make_identity
from allometry.nn.foreign.runs import BlockRun, Seen, after, has_layers, join_names
from allometry.nn.tracing.tracer import tensors_in

_MOST_FAILURES = 2  # of blocks of one class, before no more of them are tried
_MOST_SIBLINGS = 3


def lone_blocks(
    module: nn.Module, runs: Sequence[BlockRun], inputs: tuple[Any, ...], seen: Mapping[str, Seen]
) -> list[BlockRun]:
    """Blocks behind which more of their kind can stand, though there is one alone.

    Where blocks repeat those of the same classes, otherwise the outermost parts with a residual branch. A block that
    changes the shape is followed by one that does not: its own form without strides and with as many channels coming in
    as go out, or one of another stage with so many channels.

    Args:
        module: to look at.
        runs: of blocks that repeat, to which blocks can be added.
        inputs: that the module takes.
        seen: what its possible blocks were given, and gave.
    """
    kinds = {type(module.get_submodule(run.where)) for run in runs} - {nn.Sequential}
    taken = {name for run in runs for name in _blocks_of(module, run)}
    names = [name for name, part in module.named_modules() if name and _may_be_block(part, kinds)]
    shapes = [tuple(tensor.shape) for tensor in tensors_in(inputs)]
    found: dict[str, BlockRun] = {}
    failures: Counter[type[nn.Module]] = Counter()
    # Those that keep the shape come first: the others may take their form.
    for keeps in (True, False):
        siblings = {run.where: seen[run.where] for run in (*runs, *found.values()) if run.form is None}
        for name in names:
            known, kind = seen.get(name), type(module.get_submodule(name))
            if known is None or not _is_image_to_image(known, shapes) or _is_inside(name, (*taken, *found)):
                continue
            if (known.inputs[0].shape == known.output.shape) != keeps or failures[kind] == _MOST_FAILURES:
                continue
            run = _run_of(module, name, known, siblings)
            if run is None:
                failures[kind] += 1
            else:
                found[name] = run
    return [found[name] for name in names if name in found]


def _blocks_of(module: nn.Module, run: BlockRun) -> Iterator[str]:
    """The names of a run's blocks, and of the one before them that belongs to their stage."""
    keys = list(module.get_submodule(run.container)._modules)
    first = keys.index(run.names[0])
    for key in (*keys[first - run.before : first], *run.names):
        yield join_names(run.container, key)


def _may_be_block(part: nn.Module, kinds: Collection[type[nn.Module]]) -> bool:
    return type(part) in kinds if kinds else has_layers(part)


def _is_image_to_image(seen: Seen, shapes: Sequence[tuple[int, ...]]) -> bool:
    """Whether a block gives one tensor of as many dimensions as it is given, which is not the module's input."""
    if seen.times != 1 or not seen.inputs or not isinstance(seen.inputs[0], Tensor):
        return False
    given, output = seen.inputs[0], seen.output
    return isinstance(output, Tensor) and given.ndim == output.ndim and tuple(given.shape) not in shapes


def _is_inside(name: str, others: Collection[str]) -> bool:
    """Whether a part is one of others, is in one, or holds one."""
    return any(f"{name}.".startswith(f"{other}.") or other.startswith(f"{name}.") for other in others)


def _run_of(module: nn.Module, name: str, seen: Seen, siblings: Mapping[str, Seen]) -> BlockRun | None:
    """A block as a run; None where no more of its kind can stand behind it."""
    container, _, key = name.rpartition(".")
    inside = module.get_submodule(container)
    # What is called by its name stays one part; what is run through becomes longer.
    listed = isinstance(inside, nn.ModuleList) or type(inside).forward is nn.Sequential.forward
    run = BlockRun(container, (key,), 0, None, not listed)
    if seen.inputs[0].shape == seen.output.shape:
        same = BlockForm((name,))
        return run if _begins_as_identity(module, same, seen, name, seen, only_silence=True) else None
    forms = list(_forms(module, name, seen, siblings))
    # A shortcut that is a convolution can hand on what it is given; better is one that is none.
    for form, only_silence in (*((form, True) for form in forms), *((form, False) for form in forms[:1])):
        original = seen if form.parts == (name,) else siblings[form.parts[0]]
        if _begins_as_identity(module, form, after(seen), name, original, only_silence=only_silence):
            return run._replace(form=form)
    return None


def _forms(module: nn.Module, name: str, seen: Seen, siblings: Mapping[str, Seen]) -> Iterator[BlockForm]:
    yield from own_forms(module, name, seen)
    channels, block = channels_of(seen.output), module.get_submodule(name)
    alike = [other for other in siblings if type(module.get_submodule(other)) is type(block)]
    kernels = _kernels(block)
    alike.sort(
        key=lambda other: (_kernels(module.get_submodule(other)) != kernels, _far(siblings[other], channels))
    )
    for other in alike[:_MOST_SIBLINGS]:
        form = sibling_form(module, other, siblings[other].inputs[0], channels)
        if form is not None:
            yield form


def _kernels(block: nn.Module) -> list[tuple[int, ...]]:
    return sorted({part.kernel_size for part in block.modules() if isinstance(part, nn.modules.conv._ConvNd)})


def _far(seen: Seen, channels: int) -> float:
    """By which factor a block has other channels."""
    ratio = channels_of(seen.output) / channels
    return max(ratio, 1 / ratio)


def _begins_as_identity(
    module: nn.Module, form: BlockForm, seen: Seen, where: str, original: Seen, *, only_silence: bool
) -> bool:
    """Whether there are weights with which a block of that form gives what it is given."""
    try:
        block = new_block(module, form, seed=0)
        own = module.get_submodule(form.parts[0])
        if not layers_that_run(own, original) <= layers_that_run(block, seen):
            return False  # what was changed lets it leave out layers, and not add its input
        make_identity(block, seen, where, only_silence=only_silence)
    except Exception:  # whatever a user's code raises that does not bear what was changed
        return False
    return True
