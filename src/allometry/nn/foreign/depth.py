"""Runs of blocks that repeat: more of them, or fewer."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from allometry.base import InputError
from allometry.nn.foreign.resize import bytes_of, check_memory, copied
from allometry.nn.tracing.tracer import tensors_in

_CLOSE = 1e-5  # relative difference of what an identity gives
_LEAST_LAYERS = 2  # of a block
_MOST_STEPS = 12  # layers of a block that are tried, from its end


class BlockRun(NamedTuple):
    """Blocks behind each other in one container, all alike.

    Attributes:
        container: its name.
        names: of the blocks, in order.
        before: how many blocks of the same class stand before them in the container: they belong to the same stage.

    Example:
        >>> net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2))
        >>> find_runs(net, torch.zeros(1, 4))
        []
    """

    container: str
    names: tuple[str, ...]
    before: int

    @property
    def blocks(self) -> int:
        """Of the stage."""
        return self.before + len(self.names)


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


@dataclass(slots=True)
class _Seen:
    inputs: Any
    keywords: Any
    output: Any
    times: int
    order: int


def find_runs(module: nn.Module, *inputs: Any) -> list[BlockRun]:  # noqa: ANN401 - whatever the module takes
    """The runs of blocks that repeat in a module.

    A block is a child of a `Sequential` or `ModuleList` with layers of its own, which gives what it is given the shape
    of. It is used once, after the one before it, and is of the same class; a block of that class right before the run
    that changes the shape belongs to its stage.

    Example:
        >>> from allometry.catalog import get
        >>> from allometry.nn import build
        >>> module = build(get("efficientnet-b0"), seed=0)
        >>> [(run.container, len(run.names), run.blocks) for run in find_runs(module, torch.zeros(1, 3, 32, 32))]
        [('stages.1', 1, 2), ('stages.2', 1, 2), ('stages.3', 2, 3), ('stages.4', 2, 3), ('stages.5', 3, 4)]
    """
    seen = _watch(module, inputs)
    runs: list[BlockRun] = []
    for name, part in module.named_modules():
        if isinstance(part, nn.Sequential | nn.ModuleList):
            runs += _runs_in(name, list(part.named_children()), seen)
    return [run for run in runs if not any(_holds(run, other) for other in runs)]


def _runs_in(
    container: str, children: Sequence[tuple[str, nn.Module]], seen: Mapping[str, _Seen]
) -> list[BlockRun]:
    runs = []
    before: list[tuple[str, nn.Module]] = []
    watched = [(key, part, seen.get(_join(container, key))) for key, part in children]
    for signature, members in groupby(watched, lambda item: _signature(item[1], item[2])):
        run = list(members)
        if signature is not None and _follow_each_other([found for _, _, found in run if found is not None]):
            stage = 0
            if before and type(before[-1][1]) is type(run[0][1]):
                stage = int(not _gives_its_shape(seen.get(_join(container, before[-1][0]))))
            if len(run) + stage > 1:
                runs.append(BlockRun(container, tuple(key for key, _, _ in run), stage))
        before += [(key, part) for key, part, _ in run]
    return runs


def _holds(run: BlockRun, other: BlockRun) -> bool:
    """Whether a block of a run holds another run, and so is a stage of its own."""
    return any(f"{other.container}.".startswith(f"{_join(run.container, name)}.") for name in run.names)


def _watch(module: nn.Module, inputs: tuple[Any, ...]) -> dict[str, _Seen]:
    seen: dict[str, _Seen] = {}
    handles = []
    children = {
        _join(name, key)
        for name, part in module.named_modules()
        if isinstance(part, nn.Sequential | nn.ModuleList)
        for key, _ in part.named_children()
    }

    def hook_for(name: str) -> Any:  # noqa: ANN401 - a hook
        def hook(_part: nn.Module, args: Any, kwargs: Any, output: Any) -> None:  # noqa: ANN401
            known = seen.get(name)
            seen[name] = _Seen(args, kwargs, output, known.times + 1 if known else 1, len(seen))

        return hook

    for name, part in module.named_modules():
        if name in children:
            handles.append(part.register_forward_hook(hook_for(name), with_kwargs=True))
    try:
        run_once(module, inputs)
    finally:
        for handle in handles:
            handle.remove()
    return seen


def run_once(module: nn.Module, inputs: tuple[Any, ...]) -> Any:  # noqa: ANN401 - whatever the module gives
    """What a module gives in evaluation mode; it is left in the mode in which it was.

    Raises:
        InputError: it does not run on these inputs.
    """
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        with torch.no_grad():
            return module(*inputs)
    except Exception as error:
        # Whatever a user's code raises: it is their module, and their input.
        shapes = ", ".join(" x ".join(map(str, tensor.shape)) for tensor in tensors_in(inputs)) or "no tensor"
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"{type(module).__name__} does not run on inputs of {shapes}: {reason}") from error
    finally:
        for part, training in modes.items():
            part.training = training


def _signature(block: nn.Module, seen: _Seen | None) -> Any:  # noqa: ANN401 - compared only
    """What is alike in blocks that repeat; None for what is no block."""
    if seen is None or seen.times != 1 or not _gives_its_shape(seen):
        return None
    layers = sum(1 for part in block.modules() if next(part.children(), None) is None)
    if layers < _LEAST_LAYERS or next(block.parameters(), None) is None:
        return None
    return type(block), tuple(tuple(tensor.shape) for tensor in tensors_in(seen.output))


def _gives_its_shape(seen: _Seen | None) -> bool:
    if seen is None:
        return False
    before, after = ([tuple(x.shape) for x in tensors_in(held)] for held in (seen.inputs, seen.output))
    # A block may be given more than it hands on, such as a mask or a position.
    return bool(after) and before[: len(after)] == after


def _follow_each_other(seen: Sequence[_Seen]) -> bool:
    return all(one.order < two.order for one, two in pairwise(seen))


def refusals(module: nn.Module, runs: Sequence[BlockRun], inputs: tuple[Any, ...]) -> dict[BlockRun, str]:
    """Why no blocks can be added to some runs without changing what the network computes."""
    seen = _watch(module, inputs) if runs else {}
    result = {}
    for run in runs:
        where = _join(run.container, run.names[-1])
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
    seen = _watch(module, inputs)
    origin = {name: name for name, _ in _tensors(module)}
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
                _redraw(block, seed=number)  # or several new blocks would learn one and the same
            where = _join(insertion.container, run[-1])
            make_identity(block, seen[where], where)
            added.append(block)
        names = _replace(container, insertion, added, names)
    return result, names


def restructured(module: nn.Module, insertions: Sequence[Insertion]) -> nn.Module:
    """A copy with as many blocks, whatever their weights are."""
    result = copied(module)
    names: dict[str, str | None] = {name: name for name, _ in _tensors(module)}
    for insertion in _from_behind(module, insertions):
        container = result.get_submodule(insertion.container)
        template = container.get_submodule(insertion.blocks[-1])
        extra = insertion.repeats - len(insertion.blocks)
        check_memory(module, bytes_of(result) + max(0, extra) * bytes_of(template))
        names = _replace(container, insertion, [copy.deepcopy(template) for _ in range(extra)], names)
    return result


def _from_behind(module: nn.Module, insertions: Sequence[Insertion]) -> list[Insertion]:
    """In an order in which none changes the names of another's blocks: the inmost and the last come first."""

    def place(insertion: Insertion) -> tuple[int, int]:
        keys = list(module.get_submodule(insertion.container)._modules)
        return insertion.container.count("."), keys.index(insertion.blocks[-1])

    return sorted(insertions, key=place, reverse=True)


def _replace(
    container: nn.Module, insertion: Insertion, added: list[nn.Module], names: dict[str, str | None]
) -> dict[str, str | None]:
    """Put blocks behind the last of a run, or leave out the last ones; the names of what moved."""
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
    prefix = f"{insertion.container}." if insertion.container else ""
    result = {name: source for name, source in names.items() if not name.startswith(prefix)}
    inside = {name: source for name, source in names.items() if name not in result}
    for (key, old), (_, block) in zip(renamed, kept, strict=True):
        for name, _ in _tensors(block):
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


def _tensors(module: nn.Module) -> list[tuple[str, Tensor]]:
    return [*module.named_parameters(), *module.named_buffers()]


def _redraw(block: nn.Module, *, seed: int) -> None:
    """Draw the weights of a block anew, as widely spread as they are; in place."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in block.parameters():
            if tensor.ndim > 1 and tensor.is_floating_point():
                drawn = torch.randn(tensor.shape, generator=generator)
                tensor.copy_(drawn.to(tensor) * tensor.float().std(correction=0).to(tensor))


def make_identity(block: nn.Module, seen: _Seen, where: str) -> None:
    """Change a block's weights so that it gives what it is given: in place.

    Tried are zeros in one of the last layers, then in as few as leave nothing of several residual branches, then layers
    that hand on what they are given.

    Raises:
        InputError: none of it helps.
    """
    # What a block is given may have been changed by it in place: the values after it serve as well as any.
    inputs, keywords = seen.inputs, seen.keywords
    kept = {name: tensor.clone() for name, tensor in _tensors(block)}
    for layers in _ends(block, inputs, keywords):
        _set(layers, {})
        if _is_identity(block, inputs, keywords):
            return
        _restore(block, kept)
    if _silence_all(block, inputs, keywords, kept):
        return
    with torch.no_grad():
        _hand_on(block)
    if _is_identity(block, inputs, keywords):
        return
    _restore(block, kept)
    raise InputError(
        f"{where}: no weights were found with which a {type(block).__name__} gives what it is given, so no more of "
        "them can be added without changing what the network computes."
    )


def _silence_all(block: nn.Module, inputs: Any, keywords: Any, kept: dict[str, Tensor]) -> bool:  # noqa: ANN401
    """Put zeros into as few layers as leave nothing of several residual branches, such as attention and its MLP.

    Whether there are such layers; if not the block is as it was.
    """
    silent: list[list[Tensor]] = []
    for tensors in _ends(block, inputs, keywords):
        silent.append(tensors)
        _set(tensors, {})
        if _is_identity(block, inputs, keywords):
            break
    else:
        _restore(block, kept)
        return False
    values = {id(tensor): kept[name] for name, tensor in _tensors(block)}
    for tensors in silent[:-1]:
        _set(tensors, values)
        if not _is_identity(block, inputs, keywords):
            _set(tensors, {})
    return True


def _set(tensors: Sequence[Tensor], values: Mapping[int, Tensor]) -> None:
    """Give tensors their values, in place; zeros where there are none."""
    with torch.no_grad():
        for tensor in tensors:
            tensor.copy_(values[id(tensor)]) if id(tensor) in values else tensor.zero_()


def _ends(block: nn.Module, inputs: Any, keywords: Any) -> Iterator[list[Tensor]]:  # noqa: ANN401
    """The tensors of the block's last layers, from the last on, and those that are no layer's."""
    order: list[nn.Module] = []
    handles = [
        part.register_forward_hook(lambda part, _inputs, _output: order.append(part))
        for part in block.modules()
        if part._parameters
    ]
    try:
        _call(block, inputs, keywords)
    finally:
        for handle in handles:
            handle.remove()
    for part in block.modules():
        bare = [tensor for tensor in part._parameters.values() if tensor is not None]
        if bare and part not in order and not isinstance(part, nn.modules.batchnorm._NormBase):
            yield [bare[-1]]
    if block._parameters:
        for tensor in block._parameters.values():
            if tensor is not None:
                yield [tensor]
    for part in list(dict.fromkeys(reversed(order)))[:_MOST_STEPS]:
        yield [tensor for tensor in part._parameters.values() if tensor is not None]


def _hand_on(block: nn.Module) -> None:
    for part in block.modules():
        if isinstance(part, nn.modules.conv._ConvNd) and not part.transposed:
            part.weight.zero_()
            if all(size % 2 for size in part.kernel_size) and part.weight.shape[0] >= part.weight.shape[1]:
                nn.init.dirac_(part.weight, groups=part.groups)
            if part.bias is not None:
                part.bias.zero_()
        elif isinstance(part, nn.modules.batchnorm._NormBase) and part.running_var is not None:
            if part.running_mean is not None:
                part.running_mean.zero_()
            part.running_var.fill_(1.0 - part.eps)
            if part.affine:
                part.weight.fill_(1.0)
                part.bias.zero_()


def _is_identity(block: nn.Module, inputs: Any, keywords: Any) -> bool:  # noqa: ANN401
    before = tensors_in((inputs, keywords))[0].clone()
    try:
        after = tensors_in(_call(block, inputs, keywords))[0]
    except RuntimeError:
        return False
    return same(before, after)


def same(one: Tensor, two: Tensor) -> bool:
    """Whether two tensors are the same but for rounding."""
    return one.shape == two.shape and difference(one, two) < _CLOSE


def difference(one: Tensor, two: Tensor) -> float:
    """The largest difference of two tensors, relative to the largest entry of the first.

    Example:
        >>> difference(torch.tensor([2.0, 1.0]), torch.tensor([2.0, 1.5]))
        0.25
    """
    scale = float(one.abs().max()) if one.numel() else 0.0
    gap = float((one - two).abs().max()) if one.numel() else 0.0
    if not math.isfinite(gap):
        return math.inf
    return gap / scale if scale else gap


def _call(block: nn.Module, inputs: Any, keywords: Any) -> Any:  # noqa: ANN401
    block.eval()
    with torch.no_grad():
        return block(*_cloned(inputs), **_cloned(keywords))


def _cloned(held: Any) -> Any:  # noqa: ANN401 - whatever a block takes
    if isinstance(held, Tensor):
        return held.clone()
    if isinstance(held, dict):
        return {key: _cloned(value) for key, value in held.items()}
    if type(held) in (list, tuple):
        return type(held)(_cloned(value) for value in held)
    return held


def _restore(block: nn.Module, kept: dict[str, Tensor]) -> None:
    with torch.no_grad():
        for name, tensor in _tensors(block):
            tensor.copy_(kept[name])


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name
