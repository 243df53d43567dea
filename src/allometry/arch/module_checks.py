"""What does not fit together in a module's space that comes from a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from allometry.arch.module_space import ModuleSpace

_UNKNOWN = (-1.0,)  # the options of a choice that is not there


def faults(space: ModuleSpace) -> Iterator[str]:
    """What does not fit together in a space, in words; what comes later takes what came before to be right."""
    yield from _of_choices(space)
    options = {choice.name: choice.options for choice in space.choices}
    yield from _of_parts(space, options)
    yield from _of_counts(space, options)


def _of_choices(space: ModuleSpace) -> Iterator[str]:
    names = {choice.name for choice in space.choices}
    if len(names) < len(space.choices) or "resolution" not in names:
        yield "its choices need names of their own, and one is the resolution"
    for choice in space.choices:
        if not choice.options or list(choice.options) != sorted({*choice.options}) or choice.options[0] < 0:
            yield f"the options of {choice.name!r} do not rise"
        if choice.name == "resolution" and not set(choice.options) <= set(space.resolutions):
            yield "it has resolutions for which nothing is counted"


def _of_parts(space: ModuleSpace, options: dict[str, tuple[float, ...]]) -> Iterator[str]:
    for group in space.groups:
        known = set(options.get(group.choice, _UNKNOWN)) <= set(group.options)
        if not known or len(group.options) != len(group.sizes) or min(group.sizes, default=0) < 1:
            yield f"the channels of {group.name} have no size for each option"
    for run in space.runs:
        depths = range(run.before, run.before + len(run.blocks) + 1)
        if not all(depth in depths for depth in options.get(run.choice, _UNKNOWN)):
            yield f"the blocks of {run.container or 'the module'} are not as many as their depth says"


def _of_counts(space: ModuleSpace, options: dict[str, tuple[float, ...]]) -> Iterator[str]:
    groups = range(len(space.groups))
    for product in space.products:
        sides = {channels.group for channels in (*product.outputs, *product.inputs)}
        if len(product.times) != len(space.resolutions) or not sides <= {-1, *groups}:
            yield f"the products of {product.module} are of other channels or resolutions"
        for factor in product.factors:
            known = set(options.get(factor.choice, _UNKNOWN)) <= set(factor.options)
            if not known or len(factor.options) != len(factor.values):
                yield f"the products of {product.module} have no factor for each option"
    for tensor in space.tensors:
        for side in tensor.sides:
            if side.dimension not in range(len(tensor.shape)) or side.group not in groups:
                yield f"{tensor.name} has no such dimension, or no such channels"
