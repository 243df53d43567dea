"""A smaller network with the weights of a larger one that matter most."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from allometry.arch import Network
from allometry.base import InputError, NetworkError, UnknownNameError
from allometry.nn.blocks import GraphBlock
from allometry.nn.build import ConvNet, build
from allometry.nn.channels import ChannelSpot, block_channels, named_tensors, written_by
from allometry.nn.growing.own import group_layers, weight_map_between
from allometry.nn.growing.weight_map import NEW, TensorSource, WeightMap, inherited

Importance = Literal["magnitude", "taylor", "uniform", "first"]
"""Which channels of a larger network stay in a smaller one."""
IMPORTANCES: tuple[Importance, ...] = get_args(Importance)


class Shrunk(NamedTuple):
    """A module that was made smaller.

    Attributes:
        module: with what it inherits, on the device and in the mode of the old one.
        weight_map: which entries of its tensors come from where; none is new.

    Example:
        >>> from allometry.catalog import get
        >>> network = get("efficientnet-b0")
        >>> Shrunk(build(network, seed=0), weight_map_between(network, network)).weight_map["stem.0.weight"].indices
        (None, None, None, None)
    """

    module: ConvNet
    weight_map: WeightMap


def shrink_module(
    old: ConvNet,
    network: Network,
    *,
    importance: Importance = "magnitude",
    batches: Iterable[tuple[Tensor, Tensor]] = (),
) -> Shrunk:
    """Make a module smaller: the channels that matter most stay, and the first layers of each stage.

    Channels that are counted together, as those of a residual sum, stay or go together. What is left computes something
    else than before: let batch norms be re-estimated (`training.recalibrate_batch_norm`), and train on.

    - `magnitude`: by the squares of all weights of a channel, each as a fraction of its tensor's mean.
    - `taylor`: by how much the loss would change, to first order, if the channel gave zero.
    - `uniform`: channels at equal distances.
    - `first`: the first channels.

    Args:
        old: a trained module.
        network: the same network with smaller widths, depths, kernels, expand ratios or resolution.
        importance: of the four.
        batches: inputs [N, C, H, W] and labels, [N] or [N, classes] of several labels, on the module's device; for
            `taylor`.

    Raises:
        NetworkError: the network is not the old one made smaller, or channels that are grouped or joined side by side
            would have to go.
        InputError: `taylor` has no batches.

    Source: by groups: Fang et al. 2023, *DepGraph*, section 3.3; `taylor`: Molchanov et al. 2019, *Importance
    estimation for neural network pruning*, equation 8; `uniform`: weight selection (Xu et al. 2024, arXiv:2311.18823),
    section 3.

    Example:
        >>> from allometry.arch import apply_multipliers
        >>> from allometry.catalog import get
        >>> large = build(get("efficientnet-b0"), seed=0).eval()
        >>> small = shrink_module(large, apply_multipliers(large.network, width=0.5)).module
        >>> small.network.stem.channels, small(torch.zeros(1, 3, 32, 32)).shape
        (16, torch.Size([1, 1000]))
    """
    if importance not in IMPORTANCES:
        raise UnknownNameError("importance of channels", importance, IMPORTANCES)
    weight_map = _shrinking_map(old, network, importance, batches)
    module = build(network, seed=0)
    held = {name: value.detach().cpu() for name, value in old.state_dict().items()}
    with torch.no_grad():
        for name, value in module.state_dict().items():
            source = weight_map[name]
            value.copy_(inherited(held[source.name], source, value))
    module.to(next(old.parameters()).device)
    return Shrunk(module.train(old.training), weight_map)


def _shrinking_map(
    old: ConvNet, network: Network, importance: Importance, batches: Iterable[tuple[Tensor, Tensor]]
) -> WeightMap:
    try:
        larger = weight_map_between(network, old.network, exact=False)
    except NetworkError as error:
        raise NetworkError(
            f"The new network is not the old one made smaller: {str(error).split(': ', 1)[1]}"
        ) from error
    with torch.device("meta"):
        smaller = ConvNet(network).state_dict()
    known = {source.name for source in larger.values()}
    if missing := next((name for name in smaller if name not in known), None):
        raise NetworkError(f"The new network is not the old one made smaller: that one has no {missing}.")
    shapes = {name: smaller[source.name].shape for name, source in larger.items()}
    tensors = {name: value.detach().cpu() for name, value in named_tensors(old)}
    changes = _changes(old, batches) if importance == "taylor" else {}
    kept: dict[ChannelSpot, tuple[int, ...]] = {}
    for axis in _axes(old, network):
        spots = [spot for spot in axis.spots if spot.name in shapes]
        sizes = {
            (tensors[spot.name].shape[spot.dimension], shapes[spot.name][spot.dimension]) for spot in spots
        }
        if len(sizes) != 1:
            raise NetworkError(
                f"The channels of {spots[0].name} differ in number from those that they are added to."
            )
        before, after = sizes.pop()
        if before != after:
            scores = _scores(axis, importance, tensors, changes, before, after)
            chosen = scores.argsort(descending=True, stable=True)[:after].sort().values
            kept |= dict.fromkeys(spots, tuple(chosen.tolist()))
    return {
        source.name: TensorSource(name, tuple(_taken(name, source, kept))) for name, source in larger.items()
    }


def _taken(
    name: str, source: TensorSource, kept: Mapping[ChannelSpot, tuple[int, ...]]
) -> Iterator[tuple[int, ...] | None]:
    """For each dimension of a smaller tensor the index in the larger one, of which `source` says how it would grow."""
    for dimension, indices in enumerate(source.indices):
        if indices is None:
            yield None
        elif dimension < 2:
            if ChannelSpot(name, dimension) not in kept:
                raise NetworkError(
                    f"Channels of {name} are grouped, shuffled or joined side by side, and cannot be left out one by "
                    "one; keep the width of this network."
                )
            yield kept[ChannelSpot(name, dimension)]
        else:
            yield tuple(place for place, index in enumerate(indices) if index != NEW)


class _Axis(NamedTuple):
    """Channels that stay or go together, with those of their spots that read them."""

    spots: tuple[ChannelSpot, ...]
    readers: tuple[ChannelSpot, ...]


def _axes(old: ConvNet, network: Network) -> Iterator[_Axis]:
    """All channels of the layers that stay: those inside of blocks, those between them, and those of the head."""
    running: list[list[ChannelSpot]] = [list(written_by(old.stem, "stem")), []]
    for theirs, ours in zip(group_layers(old.network), group_layers(network), strict=True):
        for stage, layer in theirs[: len(ours)]:
            prefix = f"stages.{stage}.{layer}"
            block = old.get_submodule(prefix)
            assert isinstance(block, GraphBlock)  # noqa: S101
            channels = block_channels(block)
            for axis in channels.inner:
                yield _Axis(*(_named(prefix, spots) for spots in axis))
            entering, leaving = channels.entering, channels.leaving
            running[0] += _named(prefix, entering.spots)
            running[1] += _named(prefix, entering.readers)
            if not channels.adds_input:
                yield from _ended(running)
                running = [list(_named(prefix, leaving.spots)), list(_named(prefix, leaving.readers))]
    yield from _head_axes(old, running)


def _head_axes(old: ConvNet, running: list[list[ChannelSpot]]) -> Iterator[_Axis]:
    """What the last block gives, and what convolution and hidden layer of the head give."""
    layers = [("head", "head.0.weight"), ("hidden", "hidden.0.weight")]
    for name, weight in [layer for layer in layers if list(old.get_submodule(layer[0]).parameters())]:
        running[0].append(ChannelSpot(weight, 1))
        running[1].append(ChannelSpot(weight, 1))
        yield from _ended(running)
        running = [list(written_by(old.get_submodule(name), name)), []]
    reader = ChannelSpot("classifier.weight", 1)
    yield from _ended([[*running[0], reader], [*running[1], reader]])


def _ended(running: list[list[ChannelSpot]]) -> Iterator[_Axis]:
    """The axis that has come to its end, unless grouped layers or none have it."""
    if running[0]:
        yield _Axis(tuple(dict.fromkeys(running[0])), tuple(dict.fromkeys(running[1])))


def _named(prefix: str, spots: Iterable[ChannelSpot]) -> tuple[ChannelSpot, ...]:
    return tuple(ChannelSpot(f"{prefix}.{spot.name}", spot.dimension) for spot in spots)


def _scores(
    axis: _Axis,
    importance: Importance,
    tensors: Mapping[str, Tensor],
    changes: Mapping[str, Tensor],
    before: int,
    after: int,
) -> Tensor:
    """How much each channel of an axis matters, float64 [channels]."""
    if importance == "taylor":
        total = sum(_along(changes[spot.name], spot.dimension + 1) for spot in axis.readers)
        assert isinstance(total, Tensor)  # noqa: S101
        return total.square().sum(0)
    scores = torch.zeros(before, dtype=torch.float64)
    if importance == "magnitude":
        for spot in axis.spots:
            weight = tensors[spot.name].double()
            if weight.ndim > 1:
                squares = _along(weight.square()[None], spot.dimension + 1)[0]
                scores += squares / squares.mean().clamp(min=1e-30)
    else:
        places = torch.arange(after)
        scores[places if importance == "first" else places * before // after] = 1
    return scores


def _along(values: Tensor, dimension: int) -> Tensor:
    """Sums [batches, channels] of values whose first dimension counts batches."""
    others = [other for other in range(1, values.ndim) if other != dimension]
    return values.sum(others) if others else values


def _changes(module: ConvNet, batches: Iterable[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """For each weight that reads channels its product with its gradient, for each batch: float64 [batches, ...]."""
    products: dict[str, list[Tensor]] = {}
    weights = {name: weight for name, weight in module.named_parameters() if weight.ndim > 1}
    modes = {part: part.training for part in module.modules()}
    learning = {weight: weight.requires_grad for weight in module.parameters()}
    try:
        module.eval().requires_grad_(requires_grad=True)
        for inputs, labels in batches:
            logits = module(inputs)
            loss = (
                F.binary_cross_entropy_with_logits(logits, labels.float())
                if labels.ndim > 1
                else F.cross_entropy(logits, labels.long())
            )
            gradients = torch.autograd.grad(loss, list(weights.values()))
            for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
                products.setdefault(name, []).append((gradient * weight.detach()).double().cpu())
    finally:
        for part, training in modes.items():
            part.training = training
        for weight, learns in learning.items():
            weight.requires_grad_(learns)
    if not products:
        raise InputError(
            "The importance 'taylor' needs batches of images with labels; give some, or take 'magnitude'."
        )
    return {name: torch.stack(values) for name, values in products.items()}
