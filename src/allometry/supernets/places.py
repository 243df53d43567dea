"""Where the layers of a space's members stand, and all that can stand there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from allometry.arch import (
    Block,
    Head,
    Network,
    Padding,
    Piece,
    PlacedBlock,
    Shape,
    Space,
    Stem,
    walk,
    wrap_alone,
)
from allometry.base import InputError
from allometry.nn import ConvNet
from allometry.nn.blocks import make_block


class LayerPlace(NamedTuple):
    """A layer of the greatest network.

    Attributes:
        stage: of the template; -1 for the stem, the number of stages for the head.
        layer: of that stage.
    """

    stage: int
    layer: int


class LayerCandidate(NamedTuple):
    """Something that can stand in a place: with its weights' shapes, whatever the size of the image.

    Attributes:
        part: stem, block or head.
        channels: of its input.
        padding: of the network.
    """

    part: Stem | Block | Head
    channels: int
    padding: Padding

    @property
    def kind(self) -> str:
        """Candidates of one kind share their weights."""
        if isinstance(self.part, Stem):
            return "stem"
        return "head" if isinstance(self.part, Head) else self.part.kind


def candidates_of(space: Space) -> dict[LayerPlace, dict[LayerCandidate, Shape]]:
    """All that can stand in each place of a space, with the shape of the first input that it is given.

    Raises:
        InputError: a cell reads the input of the cell before, too.

    Example:
        >>> from allometry.catalog import find_space
        >>> places = candidates_of(find_space("ofa-mobilenetv3-1.0"))
        >>> len(places), len(places[LayerPlace(2, 0)])  # stem, block, 20 layers, head; 3 kernels, 3 ratios
        (23, 9)
    """
    places: dict[LayerPlace, dict[LayerCandidate, Shape]] = {}
    for number, site in enumerate(walk(space)):
        for step in site.steps:
            for layer, piece in enumerate(step.pieces):
                if piece.skip is not None:
                    raise InputError(
                        f"{space.name or 'The space'} has cells that read the input of the cell before, too; a "
                        "supernet holds layers that read the one before them."
                    )
                candidate = LayerCandidate(piece.part, piece.source.channels, step.after.padding)
                places.setdefault(LayerPlace(number - 1, layer), {}).setdefault(candidate, piece.source)
    return places


def skeleton(
    candidate: LayerCandidate, source: Shape, frame: Network, *, drop_rate: float = 0.0
) -> nn.Module:
    """The module of a candidate without any values: what is computed, for weights that are given with the input.

    Args:
        candidate: what stands there.
        source: an input that it may have.
        frame: of which the batch norm's constants are taken.
        drop_rate: stochastic depth of a block with a residual connection.
    """
    part = candidate.part
    with torch.device("meta"):
        if isinstance(part, Stem | Head):
            alone = ConvNet(
                replace(
                    wrap_alone(Piece(part, source)), batch_norm=frame.batch_norm, padding=candidate.padding
                )
            )
            return Entry(alone) if isinstance(part, Stem) else Exit(alone)
        out = part.after(source, source, candidate.padding)
        return make_block(
            PlacedBlock(part, source, source, out, 0, drop_rate),
            batch_norm=frame.batch_norm,
            padding=candidate.padding,
        )


class Entry(nn.Module):
    """The stem of a network by itself, its parameters named as in the whole."""

    def __init__(self, network: ConvNet) -> None:
        super().__init__()
        self.stem, self.pool = network.stem, network.pool

    def forward(self, x: Tensor) -> Tensor:
        """Convolve, and pool where there is a pool."""
        pooled: Tensor = self.pool(self.stem(x))
        return pooled


class Exit(nn.Module):
    """The head of a network by itself, its parameters named as in the whole."""

    def __init__(self, network: ConvNet) -> None:
        super().__init__()
        self.head, self.hidden, self.classifier = network.head, network.hidden, network.classifier
        self.dropout = network.dropout

    def forward(self, x: Tensor) -> Tensor:
        """Logits, [N, classes]."""
        logits: Tensor = self.classifier(self.dropout(self.hidden(self.head(x).mean((2, 3)))))
        return logits


def shapes_of(module: nn.Module) -> dict[str, torch.Size]:
    """The shapes of all that has values: parameters, and the statistics of batch norms."""
    named: Mapping[str, Tensor] = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return {name: value.shape for name, value in named.items() if value.is_floating_point()}
