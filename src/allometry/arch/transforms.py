"""Networks made from networks by rule."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from allometry.arch.cells import Cell, Node
from allometry.arch.layers import Activation, SqueezeExcite
from allometry.arch.network import Network
from allometry.arch.parts import Block

_LITE: Activation = "relu6"


def lite(network: Network, *, name: str | None = None) -> Network:
    """The network for integer hardware: no squeeze-excite, ReLU6 everywhere, stem and head that growth leaves alone.

    The first and the last stage keep their number of layers, too. Grow after, not before: what a network has
    grown already stays.

    Args:
        network: any, of cells too.
        name: label of the result; by default the network's own with `-lite`.

    Source: EfficientNet-Lite's README and `efficientnet_lite_builder.py` in the released code.

    Example:
        >>> from allometry.arch import apply_multipliers
        >>> from allometry.cost import count
        >>> from allometry.catalog import get
        >>> lite0 = lite(get("efficientnet-b0"))
        >>> count(lite0).params
        4652008
        >>> count(apply_multipliers(lite0, depth=1.8, width=1.4)).params == count(get("efficientnet-lite4")).params
        True
    """
    last = len(network.groups) - 1
    stages = tuple(
        replace(stage, block=_light(stage.block), fixed=stage.fixed or number in (0, last))
        for number, group in enumerate(network.groups)
        for stage in group
    )
    activation = _LITE if network.stem.activation else None
    return replace(
        network,
        stem=replace(network.stem, activation=activation, fixed=True),
        stages=stages,
        head=replace(network.head, activation=_LITE, fixed=True),
        name=f"{network.name}-lite".removeprefix("-") if name is None else name,
    )


def _light(block: Block) -> Block:
    if isinstance(block, Cell):
        return replace(block, nodes=tuple(_light_node(node) for node in block.nodes))
    changes: dict[str, Any] = {"activation": _LITE}
    if any(field.name == "se_ratio" for field in fields(block)):
        changes["se_ratio"] = 0.0
    return replace(block, **changes)


def _light_node(node: Node) -> Node:
    layers = []
    for layer in node.layers:
        if isinstance(layer, SqueezeExcite):
            continue
        kept: Any = layer
        for field in ("activation", "function"):
            if getattr(layer, field, None) in ("silu", "relu", "hard_swish"):
                kept = replace(kept, **{field: _LITE})
        layers.append(kept)
    return replace(node, layers=tuple(layers))
