"""Runs of blocks that repeat in a module, and what each block is given and gives."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from allometry.base import InputError
from allometry.nn.foreign.forms import BlockForm
from allometry.nn.tracing.tracer import tensors_in, without_fast_path

_LEAST_LAYERS = 2  # of a block


class BlockRun(NamedTuple):
    """Blocks behind each other in one container, all alike.

    Attributes:
        container: its name.
        names: of the blocks, in order.
        before: how many blocks of the same class stand before them in the container: they belong to the same stage.
        form: what a new block is; None where it is a copy of the last of them.
        wrapped: new blocks stand with the last of them in a `Sequential` in its place, and not behind it in the
            container.

    Example:
        >>> net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2))
        >>> find_runs(net, torch.zeros(1, 4))
        []
    """

    container: str
    names: tuple[str, ...]
    before: int
    form: BlockForm | None = None
    wrapped: bool = False

    @property
    def where(self) -> str:
        """The name of the last block."""
        return join_names(self.container, self.names[-1])

    @property
    def blocks(self) -> int:
        """Of the stage."""
        return self.before + len(self.names)


@dataclass(slots=True)
class Seen:
    """What a block was given and gave, how often it was called, and in which order."""

    inputs: Any
    keywords: Any
    output: Any
    times: int
    order: int


def after(seen: Seen) -> Seen:
    """What a block that stands behind another one is given.

    Raises:
        InputError: the other one gives no single tensor.
    """
    if not isinstance(seen.output, Tensor):
        raise InputError(f"it gives a {type(seen.output).__name__}, and no tensor.")
    return replace(seen, inputs=(seen.output, *seen.inputs[1:]))


def find_runs(module: nn.Module, *inputs: Any) -> list[BlockRun]:  # noqa: ANN401 - whatever the module takes
    """The runs of blocks that repeat in a module: see `runs_among`.

    Example:
        >>> from allometry.catalog import get
        >>> from allometry.nn import build
        >>> module = build(get("efficientnet-b0"), seed=0)
        >>> [(run.container, len(run.names), run.blocks) for run in find_runs(module, torch.zeros(1, 3, 32, 32))]
        [('stages.1', 1, 2), ('stages.2', 1, 2), ('stages.3', 2, 3), ('stages.4', 2, 3), ('stages.5', 3, 4)]
    """
    return runs_among(module, watch_blocks(module, inputs))


def runs_among(module: nn.Module, seen: Mapping[str, Seen]) -> list[BlockRun]:
    """The runs of blocks that repeat among what was seen of a module's parts.

    A block is a child of a `Sequential` or `ModuleList` with layers of its own, which gives what it is given the shape
    of. It is used once, after the one before it, and is of the same class; a block of that class right before the run
    that changes the shape belongs to its stage.
    """
    runs: list[BlockRun] = []
    for name, part in module.named_modules():
        if isinstance(part, nn.Sequential | nn.ModuleList):
            runs += _runs_in(name, list(part.named_children()), seen)
    stages = [run for run in runs if not any(_holds(run, other) and len(other.names) > 1 for other in runs)]
    # What repeats once inside of blocks that repeat, such as two layers of a kind, is a part of these blocks.
    return [run for run in stages if not any(_holds(other, run) for other in stages)]


def _runs_in(
    container: str, children: Sequence[tuple[str, nn.Module]], seen: Mapping[str, Seen]
) -> list[BlockRun]:
    runs = []
    before: list[tuple[str, nn.Module]] = []
    watched = [(key, part, seen.get(join_names(container, key))) for key, part in children]
    for signature, members in groupby(watched, lambda item: _signature(item[1], item[2])):
        run = list(members)
        if signature is not None and _follow_each_other([found for _, _, found in run if found is not None]):
            stage = 0
            if before and type(before[-1][1]) is type(run[0][1]):
                stage = int(not _gives_its_shape(seen.get(join_names(container, before[-1][0]))))
            if len(run) + stage > 1:
                runs.append(BlockRun(container, tuple(key for key, _, _ in run), stage))
        before += [(key, part) for key, part, _ in run]
    return runs


def _holds(run: BlockRun, other: BlockRun) -> bool:
    """Whether a block of a run holds another run, and so is a stage of its own."""
    return any(f"{other.container}.".startswith(f"{join_names(run.container, name)}.") for name in run.names)


def watch_blocks(
    module: nn.Module, inputs: tuple[Any, ...], names: Collection[str] | None = None
) -> dict[str, Seen]:
    """Run a module and see its parts of these names; by default whatever may be a block.

    That is every child of its containers, and every part with several layers that have weights.
    """
    seen: dict[str, Seen] = {}
    handles = []
    chosen = _possible_blocks(module) if names is None else names

    def hook_for(name: str) -> Any:  # noqa: ANN401 - a hook
        def hook(_part: nn.Module, args: Any, kwargs: Any, output: Any) -> None:  # noqa: ANN401
            known = seen.get(name)
            seen[name] = Seen(args, kwargs, output, known.times + 1 if known else 1, len(seen))

        return hook

    for name, part in module.named_modules():
        if name in chosen:
            handles.append(part.register_forward_hook(hook_for(name), with_kwargs=True))
    try:
        run_once(module, inputs)
    finally:
        for handle in handles:
            handle.remove()
    return seen


def _possible_blocks(module: nn.Module) -> set[str]:
    children = {
        join_names(name, key)
        for name, part in module.named_modules()
        if isinstance(part, nn.Sequential | nn.ModuleList)
        for key, _ in part.named_children()
    }
    return children | {name for name, part in module.named_modules() if name and has_layers(part)}


def has_layers(part: nn.Module) -> bool:
    """Whether a part is more than one layer with weights, and no mere container of others."""
    weights = sum(isinstance(layer, nn.modules.conv._ConvNd | nn.Linear) for layer in part.modules())
    return weights >= _LEAST_LAYERS and not isinstance(part, nn.Sequential | nn.ModuleList | nn.ModuleDict)


def run_once(module: nn.Module, inputs: tuple[Any, ...]) -> Any:  # noqa: ANN401 - whatever the module gives
    """What a module gives in evaluation mode; it is left in the mode in which it was.

    Raises:
        InputError: it does not run on these inputs.
    """
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        with torch.no_grad(), without_fast_path():
            return module(*inputs)
    except Exception as error:
        # Whatever a user's code raises: it is their module, and their input.
        shapes = ", ".join(" x ".join(map(str, tensor.shape)) for tensor in tensors_in(inputs)) or "no tensor"
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        reason = reason.removesuffix(", but expected one of:")  # what follows is in other lines
        raise InputError(f"{type(module).__name__} does not run on inputs of {shapes}: {reason}") from error
    finally:
        for part, training in modes.items():
            part.training = training


def _signature(block: nn.Module, seen: Seen | None) -> Any:  # noqa: ANN401 - compared only
    """What is alike in blocks that repeat; None for what is no block."""
    if seen is None or seen.times != 1 or not _gives_its_shape(seen):
        return None
    layers = sum(1 for part in block.modules() if next(part.children(), None) is None)
    if layers < _LEAST_LAYERS or next(block.parameters(), None) is None:
        return None
    return type(block), tuple(tuple(tensor.shape) for tensor in tensors_in(seen.output))


def _gives_its_shape(seen: Seen | None) -> bool:
    if seen is None:
        return False
    before, after = ([tuple(x.shape) for x in tensors_in(held)] for held in (seen.inputs, seen.output))
    # A block may be given more than it hands on, such as a mask or a position.
    return bool(after) and before[: len(after)] == after


def _follow_each_other(seen: Sequence[Seen]) -> bool:
    """Whether blocks run one after the other, and are no branches that are given one and the same."""

    def follows(one: Seen, two: Seen) -> bool:
        first, output, second = (tensors_in(held)[:1] for held in (one.inputs, one.output, two.inputs))
        same = bool(first and second and first[0] is second[0])
        # A block that changes in place what it is given hands on the same tensor.
        return one.order < two.order and not (same and not (output and output[0] is second[0]))

    return all(follows(one, two) for one, two in pairwise(seen))


def join_names(prefix: str, name: str) -> str:
    """The name of a part, from that of what holds it and its own there."""
    return f"{prefix}.{name}" if prefix else name
