"""EfficientNet-B0 to B7: as released, and by the paper's formula."""

from __future__ import annotations

from dataclasses import dataclass, replace

from allometry.arch import Head, MBConv, Network, Stage, Stem, multiply

ALPHA, BETA, GAMMA = 1.2, 1.1, 1.15


@dataclass(frozen=True, slots=True)
class Coefficients:
    """What one released EfficientNet multiplies B0 by; they are not alpha, beta and gamma to the power of phi."""

    width: float
    depth: float
    resolution: int
    dropout: float


# Source: released EfficientNet code, `efficientnet_builder.py`.
RELEASED = (
    Coefficients(1.0, 1.0, 224, 0.2),
    Coefficients(1.0, 1.1, 240, 0.2),
    Coefficients(1.1, 1.2, 260, 0.3),
    Coefficients(1.2, 1.4, 300, 0.3),
    Coefficients(1.4, 1.8, 380, 0.4),
    Coefficients(1.6, 2.2, 456, 0.4),
    Coefficients(1.8, 2.6, 528, 0.5),
    Coefficients(2.0, 3.1, 600, 0.5),
)


def baseline() -> Network:
    """EfficientNet-B0, the network that the family grows from (paper, Table 1)."""
    return Network(
        name="efficientnet-b0",
        stem=Stem(channels=32),
        stages=(
            Stage(block=MBConv(channels=16, kernel=3, stride=1, expand_ratio=1), repeats=1),
            Stage(block=MBConv(channels=24, kernel=3, stride=2), repeats=2),
            Stage(block=MBConv(channels=40, kernel=5, stride=2), repeats=2),
            Stage(block=MBConv(channels=80, kernel=3, stride=2), repeats=3),
            Stage(block=MBConv(channels=112, kernel=5, stride=1), repeats=3),
            Stage(block=MBConv(channels=192, kernel=5, stride=2), repeats=4),
            Stage(block=MBConv(channels=320, kernel=3, stride=1), repeats=1),
        ),
        head=Head(channels=1280),
        resolution=224,
    )


def released(number: int) -> Network:
    """EfficientNet-B`number` with the coefficients of the released models."""
    coefficients = RELEASED[number]
    network = multiply(
        baseline(), depth=coefficients.depth, width=coefficients.width, name=f"efficientnet-b{number}"
    )
    return replace(
        network,
        resolution=coefficients.resolution,
        head=replace(network.head, dropout=coefficients.dropout),
    )


def formula(phi: int) -> Network:
    """B0 grown by d = 1.2^phi, w = 1.1^phi, r = 1.15^phi (paper, equation 3)."""
    return multiply(
        baseline(),
        depth=ALPHA**phi,
        width=BETA**phi,
        resolution=GAMMA**phi,
        name=f"efficientnet-b{phi}-formula",
    )
