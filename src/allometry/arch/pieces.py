"""The pieces that a network is made of: stem, blocks and head, each with what it reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from allometry.arch.blocks import Block, MBConv
from allometry.arch.network import Network
from allometry.arch.shapes import Shape
from allometry.arch.stages import Head, Stage, Stem
from allometry.base import NetworkError

Kind = Literal["stem", "block", "head"]


class Piece(NamedTuple):
    """A stem, a block or a head, and what it reads.

    Attributes:
        part: the layers.
        source: shape of its input.
        skip: shape of the input of the block before; None but for cells that read it.

    Example:
        >>> stem = Piece(Stem(channels=8), Shape(channels=3, size=32))
        >>> stem.kind, stem.source
        ('stem', Shape(channels=3, size=32))
    """

    part: Stem | Block | Head
    source: Shape
    skip: Shape | None = None

    @property
    def kind(self) -> Kind:
        """What the part is."""
        if isinstance(self.part, Stem):
            return "stem"
        return "head" if isinstance(self.part, Head) else "block"


def pieces(network: Network) -> Iterator[Piece]:
    """Stem, blocks and head of a network, each with what it reads.

    Example:
        >>> from allometry.catalog import get
        >>> parts = list(pieces(get("efficientnet-b0")))
        >>> len(parts), parts[-1].source
        (18, Shape(channels=320, size=7))
    """
    yield Piece(network.stem, Shape(network.in_channels, network.resolution))
    last = network.shapes()[0]
    for placed in network.blocks():
        yield Piece(placed.block, placed.source, placed.skip if placed.block.reads_skip else None)
        last = placed.out
    yield Piece(network.head, last)


def wrap_alone(piece: Piece) -> Network:
    """A small network in which a piece stands: as its stem, as its only block, or as its head.

    Raises:
        NetworkError: it is a cell that reads the input of the block before, too, and cannot stand alone.

    Example:
        >>> from allometry.catalog import get
        >>> *_, head = pieces(get("efficientnet-b0"))
        >>> list(pieces(wrap_alone(head)))[-1] == head
        True
    """
    source = piece.source
    if piece.skip is not None:
        raise NetworkError(
            f"{piece.part!r} reads the input of the block before it, too: it has no cost of its own to measure."
        )
    if isinstance(piece.part, Stem):
        block = MBConv(channels=piece.part.channels, expand_ratio=1, se_ratio=0)
        return Network(
            stem=piece.part,
            stages=(Stage(block=block),),
            head=Head(channels=None, classes=2),
            in_channels=source.channels,
            resolution=source.size,
        )
    stem = Stem(channels=source.channels, kernel=1, stride=1, activation=None)
    if isinstance(piece.part, Head):
        block = MBConv(channels=source.channels, expand_ratio=1, se_ratio=0)
        return Network(
            stem=stem, stages=(Stage(block=block),), head=piece.part, in_channels=1, resolution=source.size
        )
    return Network(
        stem=stem,
        stages=(Stage(block=piece.part),),
        head=Head(channels=None, classes=2),
        in_channels=1,
        resolution=source.size,
    )
