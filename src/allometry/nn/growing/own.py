"""What a larger one of our networks inherits from a smaller one of the same blocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NoReturn, TypeAlias

import torch
from torch import nn

from allometry.arch import Conv, Depthwise, Head, Layer, Network, RowColumn, Shuffle, SqueezeExcite
from allometry.base import NetworkError
from allometry.nn.blocks import GraphBlock
from allometry.nn.build import ConvNet
from allometry.nn.growing.weight_map import NEW, TensorSource, WeightMap

_Widths: TypeAlias = dict[str, int]


def weight_map_between(old: Network, new: Network, *, copies: bool = False, exact: bool = True) -> WeightMap:
    """Which entries of a larger network's tensors come from which of a smaller one's.

    Both have the same stages of the same kinds of blocks. Widths, expand ratios, numbers of layers, kernels and
    resolution may be larger in the new one: the first channels of each tensor and the first layers of each stage are
    the old ones, and an old kernel is in the middle of the new one.

    Args:
        old: the smaller network.
        new: the larger one.
        copies: new channels stand for old ones, in their order again and again, and new layers for the one before
            them, where there is one of their kind; else they stand for none.
        exact: the new network can compute what the old one does: its layers are the old ones but for their sizes, and
            it adds where that adds. Without, only the tensors have to be there.

    Raises:
        NetworkError: the new network is not the old one made larger; the message says where.

    Source: Net2Net (Chen et al. 2016), section 2.2, for channels that stand for others.

    Example:
        >>> from dataclasses import replace
        >>> from allometry.arch import Head
        >>> from allometry.catalog import get
        >>> old = get("efficientnet-b0")
        >>> source = weight_map_between(old, replace(old, head=Head(channels=1282)))["head.0.weight"]
        >>> source.name, source.indices[0][-3:], source.indices[1]
        ('head.0.weight', (1279, -1, -1), None)
    """
    _check_frame(old, new)
    with torch.device("meta"):
        before, after = ConvNet(old), ConvNet(new)
    held = before.state_dict()
    sources: dict[str, TensorSource] = {}
    blocks = _block_sources(before, after, copies=copies, exact=exact)
    for name, value in after.state_dict().items():
        prefix, rest = _split(name)
        origin = blocks.get(prefix, "") if prefix else ""
        if origin is None:
            continue
        theirs = f"{origin}{rest}"
        if theirs not in held and not exact:
            continue
        if theirs not in held:
            _refuse(f"{name} is new in a layer that was there")
        sources[name] = TensorSource(
            theirs, tuple(_indices(name, held[theirs].shape, value.shape, copies=copies))
        )
    return sources


def _split(name: str) -> tuple[str, str]:
    """The prefix of a tensor's block, such as `stages.0.1.`, and the rest of its name."""
    parts = name.split(".")
    if parts[0] != "stages":
        return "", name
    return ".".join(parts[:3]) + ".", ".".join(parts[3:])


def _indices(
    name: str, old: torch.Size, new: torch.Size, *, copies: bool
) -> Iterator[tuple[int, ...] | None]:
    """For each dimension of a tensor the old index of every new one: channels, then sides of a kernel."""
    for dimension, (before, after) in enumerate(zip(old, new, strict=True)):
        if before == after:
            yield None
        elif before > after:
            _refuse(f"{name} had {before} where it now has {after}")
        elif dimension < 2:
            yield tuple(
                index if index < before else index % before if copies else NEW for index in range(after)
            )
        else:
            first = (after - 1) // 2 - (before - 1) // 2  # where padding puts the old kernel's first row
            yield tuple(index - first if first <= index < first + before else NEW for index in range(after))


def _block_sources(before: ConvNet, after: ConvNet, *, copies: bool, exact: bool) -> dict[str, str | None]:
    """For each block of the new network the prefix of the old one that it inherits from; None for none."""
    theirs, ours = _placed(before), _placed(after)
    sources: dict[str, str | None] = {}
    groups = zip(group_layers(before.network), group_layers(after.network), strict=True)
    for number, (old_layers, new_layers) in enumerate(groups):
        if len(old_layers) > len(new_layers):
            _refuse(f"group {number} of stages has {len(new_layers)} layers and had {len(old_layers)}")
        for layer, place in enumerate(new_layers):
            origin = old_layers[min(layer, len(old_layers) - 1)]
            (block, widths), (old, old_widths) = ours[place], theirs[origin]
            sources[_prefix(place)] = _prefix(origin)
            if layer < len(old_layers) and not exact:
                continue
            if layer < len(old_layers):
                _check_block(f"stage {place[0]}, layer {place[1]}", old, block, (old_widths, widths))
            elif not copies or len(old_layers) == 1 or _form(old) != _form(block):
                sources[_prefix(place)] = None
    return sources


def group_layers(network: Network) -> list[list[tuple[int, int]]]:
    """The layers of each group of stages, by their stages' numbers and their own: what depth adds comes at the end.

    Example:
        >>> from allometry.catalog import get
        >>> group_layers(get("efficientnet-b0"))[:2]
        [[(0, 0)], [(1, 0), (1, 1)]]
    """
    groups: list[list[tuple[int, int]]] = []
    for number, stage in enumerate(network.stages):
        if not stage.continues:
            groups.append([])
        groups[-1] += [(number, layer) for layer in range(stage.repeats)]
    return groups


def _prefix(place: tuple[int, int]) -> str:
    return f"stages.{place[0]}.{place[1]}."


def _form(block: GraphBlock) -> list[tuple[object, ...]]:
    """What a block computes, but for the sizes."""
    return [(node.name, node.inputs, node.join) for node in block.cell.nodes]


def _placed(module: ConvNet) -> dict[tuple[int, int], tuple[GraphBlock, _Widths]]:
    """The blocks of a network by stage and layer, each with the channels that its nodes give."""
    blocks: dict[tuple[int, int], tuple[GraphBlock, _Widths]] = {}
    within: dict[int, int] = {}
    for placed in module.network.blocks():
        layer = within.get(placed.stage, 0)
        within[placed.stage] = layer + 1
        block = module.get_submodule(f"stages.{placed.stage}.{layer}")
        assert isinstance(block, GraphBlock)  # noqa: S101
        shapes = block.cell.shapes(placed.source, placed.skip, module.network.padding)
        blocks[placed.stage, layer] = block, {name: shape.channels for name, shape in shapes.items()}
    return blocks


def _check_frame(old: Network, new: Network) -> None:
    """Refuse a network that differs in something that growth does not change."""
    head, stem = replace(old.head, dropout=new.head.dropout, fixed=new.head.fixed), old.stem
    same = {
        "number of groups of stages": (len(old.groups), len(new.groups)),
        "in_channels": (old.in_channels, new.in_channels),
        "padding": (old.padding, new.padding),
        "batch_norm.epsilon": (old.batch_norm.epsilon, new.batch_norm.epsilon),
        "stem": (
            replace(stem, channels=new.stem.channels, kernel=new.stem.kernel, fixed=new.stem.fixed),
            new.stem,
        ),
        "head": (_head_without_sizes(head), _head_without_sizes(new.head)),
    }
    for what, (before, after) in same.items():
        if before != after:
            _refuse(f"its {what} was {before} and is {after}")
    if stem.kernel != new.stem.kernel and "valid" in (stem.padding, old.padding):
        _refuse("a stem without padding has another kernel")


def _head_without_sizes(head: Head) -> Head:
    return replace(head, channels=head.channels and 1, hidden=head.hidden and 1)


def _check_block(place: str, old: GraphBlock, new: GraphBlock, widths: tuple[_Widths, _Widths]) -> None:
    """Refuse a block that computes something else than the old one with more channels or a larger kernel."""
    if _form(old) != _form(new):
        names = [", ".join(node.name for node in block.cell.nodes) for block in (old, new)]
        _refuse(f"{place} was {names[0]} and is {names[1]}")
    for before, after in zip(old.cell.nodes, new.cell.nodes, strict=True):
        grown = any(widths[0][name] != widths[1][name] for name in before.inputs)
        if before.join == "concat" and len(before.inputs) > 1 and grown:
            _refuse(f"{place} joins channels side by side in {before.name}, and their numbers grow")
        if len(before.layers) != len(after.layers):
            _refuse(f"{place}, {before.name}: {len(before.layers)} layers are {len(after.layers)}")
        for was, now in zip(before.layers, after.layers, strict=True):
            if isinstance(was, Shuffle) and grown:
                _refuse(f"{place}, {before.name}: channels that are shuffled grow in number")
            _check_layer(f"{place}, {before.name}", was, now)
    for (name, theirs), ours in zip(old.named_modules(), new.modules(), strict=True):
        if isinstance(theirs, nn.Conv2d) and isinstance(ours, nn.Conv2d):
            _check_groups(f"{place}, {name}", theirs, ours)


def _check_layer(place: str, old: Layer, new: Layer) -> None:
    changed: Layer = old
    if isinstance(old, Conv) and isinstance(new, Conv):
        changed = replace(old, channels=new.channels, kernel=new.kernel, groups=new.groups)
    elif isinstance(old, RowColumn) and isinstance(new, RowColumn):
        changed = replace(old, channels=new.channels, kernel=new.kernel)
    elif isinstance(old, Depthwise) and isinstance(new, Depthwise):
        changed = replace(old, kernel=new.kernel)
    elif isinstance(old, SqueezeExcite) and isinstance(new, SqueezeExcite):
        changed = replace(old, ratio=new.ratio, multiple=new.multiple)
    if changed != new:
        _refuse(f"{place}: {old} is {new}")
    if _kernel(old) != _kernel(new) and getattr(new, "padding", None) == "valid":
        _refuse(f"{place}: a layer without padding has another kernel")


def _check_groups(place: str, old: nn.Conv2d, new: nn.Conv2d) -> None:
    """Refuse groups of other sizes: there the first channels of the whole are not the first of each group."""
    if max(old.groups, new.groups) == 1:
        return
    sizes = [(conv.in_channels // conv.groups, conv.out_channels // conv.groups) for conv in (old, new)]
    if sizes[0] != sizes[1] or (old.groups > new.groups and sizes[0] != (1, 1)):
        _refuse(
            f"{place}: a convolution in {old.groups} groups of {sizes[0][0]} is one in {new.groups} of {sizes[1][0]}"
        )


def _kernel(layer: Layer) -> object:
    return getattr(layer, "kernel", None)


def _refuse(why: str) -> NoReturn:
    raise NetworkError(f"The new network is not the old one made larger: {why}.")
