"""A larger network that computes what a smaller one does."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from allometry.arch import Act, Conv, Depthwise, Network
from allometry.base import NetworkError, UnknownNameError
from allometry.nn.blocks import GraphBlock, last_norm
from allometry.nn.build import ConvNet, build
from allometry.nn.growing.filling import GROWTH_METHODS, GrowthMethod, filled
from allometry.nn.growing.own import group_layers, weight_map_between
from allometry.nn.growing.weight_map import WeightMap

LARGEST_ERROR = 1e-4
"""How far the outputs of a grown module may lie from the old ones, as a fraction of their largest."""
_IDEMPOTENT = ("relu", "relu6")


class Grown(NamedTuple):
    """A module that was made larger.

    Attributes:
        module: with what it inherits, on the device and in the mode of the old one.
        weight_map: which entries of its tensors come from where.

    Example:
        >>> from allometry.catalog import get
        >>> network = get("efficientnet-b0")
        >>> Grown(build(network, seed=0), weight_map_between(network, network)).weight_map["stem.0.weight"].name
        'stem.0.weight'
    """

    module: ConvNet
    weight_map: WeightMap


def grow_module(old: ConvNet, network: Network, *, method: GrowthMethod = "new", seed: int = 0) -> Grown:
    """Make a module larger, so that it computes what it did: in evaluation mode, for images of the same size.

    What new channels are `filled` says. New layers come at the end of their stage and change nothing at first: the
    last batch norm of their residual branch has the scale zero; where a block has no residual, its kernels are
    identities, which its activation must let through.

    Args:
        old: a trained module.
        network: the same network with larger widths, depths, kernels, expand ratios or resolution.
        method: what new channels are: `new`, `copies` or `pairs`.
        seed: of what is new.

    Raises:
        NetworkError: the network is not the old one made larger, or cannot compute the same.

    Source: Net2Net (Chen et al. 2016), section 2; zero last scales: Goyal et al. 2017, section 5.1.

    Example:
        >>> from allometry.arch import apply_multipliers
        >>> from allometry.catalog import get
        >>> small = build(get("efficientnet-b0"), seed=0).eval()
        >>> large = grow_module(small, apply_multipliers(small.network, depth=1.2, width=1.1)).module
        >>> images = torch.rand(2, 3, 64, 64)
        >>> large.network.depth, torch.allclose(large(images), small(images), rtol=1e-4, atol=1e-6)
        (23, True)
    """
    if method not in GROWTH_METHODS:
        raise UnknownNameError("method of growth", method, GROWTH_METHODS)
    check_growth(old.network, network)
    weight_map = weight_map_between(old.network, network, copies=method == "copies")
    module = build(network, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    held = {name: value.detach().cpu() for name, value in old.state_dict().items()}
    with torch.no_grad():
        for name, value in module.state_dict().items():
            source = weight_map.get(name)
            if source is not None:
                value.copy_(filled(held[source.name], source, value, method=method, generator=generator))
        _start_new_layers(old.network, module)
    device = next(old.parameters()).device
    error = output_difference(old, module.to(device))
    if not error <= LARGEST_ERROR:
        raise NetworkError(
            f"The grown network computes something else than the old one (outputs differ by {error:.1e} of the "
            "largest); keep the kernels, or leave the layers that change out of the growth."
        )
    return Grown(module.train(old.training), weight_map)


def check_growth(old: Network, new: Network) -> None:
    """Refuse a network that another one cannot grow into without a change of what it computes.

    Raises:
        NetworkError: the new network is not the old one made larger, or has a layer that cannot begin as the identity.

    Example:
        >>> from allometry.catalog import get
        >>> check_growth(get("efficientnet-b1"), get("efficientnet-b0"))
        Traceback (most recent call last):
            ...
        allometry.base.errors.NetworkError: The new network is not the old one made larger: group 0 of stages has ...
    """
    weight_map_between(old, new)
    with torch.device("meta"):
        module = ConvNet(new)
    for place, block, before in _new_layers(old, module):
        if not _begins_silent(block) and not _passes_on(block, before):
            raise NetworkError(
                f"A new layer {place} ({block.cell.label}) cannot begin as one that changes nothing: it does not add "
                "its input to its output. Grow this network in width or resolution."
            )


def output_difference(old: ConvNet, new: ConvNet, *, images: int = 2, seed: int = 0) -> float:
    """How far the outputs of two networks lie apart for random images of the old one's size, in evaluation mode.

    Returns:
        The largest difference as a fraction of the largest output.

    Example:
        >>> from allometry.catalog import get
        >>> module = build(get("efficientnet-b0"), seed=0)
        >>> output_difference(module, module), module.training
        (0.0, True)
    """
    shape = (images, old.network.in_channels, *[old.network.resolution] * 2)
    batch = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    outputs = [_outputs(module, batch.to(next(module.parameters()).device)) for module in (old, new)]
    largest = outputs[0].abs().max().item()
    difference = (outputs[1] - outputs[0]).abs().max().item()
    return difference / largest if largest > 0 else difference


def _outputs(module: nn.Module, images: Tensor) -> Tensor:
    modes = {part: part.training for part in module.modules()}
    try:
        with torch.no_grad():
            outputs: Tensor = module.eval()(images)
    finally:
        for part, training in modes.items():
            part.training = training
    return outputs.float().cpu()


def _new_layers(old: Network, new: ConvNet) -> Iterator[tuple[str, GraphBlock, GraphBlock]]:
    """The layers that a larger network has and a smaller one has not, each with its name and the one before it."""
    for theirs, ours in zip(group_layers(old), group_layers(new.network), strict=True):
        for before, place in list(pairwise(ours))[len(theirs) - 1 :]:
            name, *_ = names = [f"stages.{stage}.{layer}" for stage, layer in (place, before)]
            block, last = (new.get_submodule(part) for part in names)
            assert isinstance(block, GraphBlock)  # noqa: S101
            assert isinstance(last, GraphBlock)  # noqa: S101
            yield name, block, last


def _begins_silent(block: GraphBlock) -> bool:
    """Whether a block changes nothing where the last batch norm of its residual branch has the scale zero."""
    return last_norm(block) is not None and _adds_its_input(block)


def _start_new_layers(old: Network, new: ConvNet) -> None:
    """Let the layers that the old network has not change nothing, in place."""
    for _, block, before in _new_layers(old, new):
        norm = last_norm(block)
        if norm is not None and _begins_silent(block):
            nn.init.zeros_(norm.weight)
            nn.init.zeros_(norm.bias)
        else:
            _become_identity(block, before)


def _adds_its_input(block: GraphBlock) -> bool:
    """Whether a block with a silent residual branch gives its input, which an activation before it has gone through."""
    output = block.cell.nodes[-1]
    lets_through = all(isinstance(layer, Act) and layer.function in _IDEMPOTENT for layer in output.layers)
    return output.join == "add" and sorted(output.inputs) == ["drop_path", "input"] and lets_through


def _passes_on(block: GraphBlock, before: GraphBlock) -> bool:
    """Whether a chain of convolutions can be the identity for what the block before it gives."""
    last = before.cell.nodes[-1].layers[-1:]
    function = getattr(last[0], "activation", None) if last else None
    convolutions = [part for part in block.modules() if isinstance(part, nn.Conv2d)]
    layers = [layer for node in block.cell.nodes for layer in node.layers]
    return (
        function in _IDEMPOTENT
        and all(isinstance(layer, Conv | Depthwise) and layer.norm for layer in layers)
        and all(layer.activation == function for layer in layers if isinstance(layer, Conv | Depthwise))
        and all(len(node.inputs) == 1 for node in block.cell.nodes)
        and all(
            conv.in_channels == conv.out_channels
            and conv.stride == (1, 1)
            and conv.groups in (1, conv.in_channels)
            and all(side % 2 for side in conv.kernel_size)
            for conv in convolutions
        )
    )


def _become_identity(block: GraphBlock, before: GraphBlock) -> None:
    """Let a chain of convolutions give its input, in place.

    Its batch norms get the statistics that the block before it should give, as if what its last batch norm gives were
    normal, and scales and shifts that take them back: so batches in training change little, too.
    """
    last = [part for part in before.modules() if isinstance(part, nn.BatchNorm2d)][-1]
    mean, variance = _moments_after_relu(last.weight, last.bias)
    for part in block.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.zeros_(part.weight)
            middle = [(side - 1) // 2 for side in part.kernel_size]
            channels = torch.arange(part.out_channels)
            part.weight[channels, channels if part.groups == 1 else 0, middle[0], middle[1]] = 1
        elif isinstance(part, nn.BatchNorm2d):
            assert part.running_mean is not None  # noqa: S101
            assert part.running_var is not None  # noqa: S101
            part.running_mean.copy_(mean)
            part.running_var.copy_(variance)
            part.weight.copy_((variance + part.eps).sqrt())
            part.bias.copy_(mean)


def _moments_after_relu(scale: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of the positive parts of normal values with that mean and that standard deviation."""
    scale = scale.abs().clamp(min=1e-3)
    place = shift / scale
    below = 0.5 * (1 + torch.erf(place / math.sqrt(2)))
    density = torch.exp(-0.5 * place.square()) / math.sqrt(2 * math.pi)
    mean = shift * below + scale * density
    squares = (shift.square() + scale.square()) * below + shift * scale * density
    return mean, (squares - mean.square()).clamp(min=1e-3)
