from __future__ import annotations

import numpy as np
import pytest

import allometry as al
from allometry.arch import Head, MBConv, Network, Stage, Stem
from tests.images import shapes

TINY = Network(
    name="tiny",
    stem=Stem(channels=8),
    stages=(Stage(block=MBConv(channels=8, expand_ratio=2, stride=2)),),
    head=Head(channels=16, classes=7),
    resolution=24,
)
FAST = al.recipes.small(epochs=2, batch_size=8)


@pytest.fixture(scope="session")
def tiny() -> Network:
    """A network so small that training it takes a second."""
    return TINY


@pytest.fixture(scope="session")
def arrays() -> tuple[np.ndarray, np.ndarray]:
    """Images and labels."""
    return shapes(12, size=24, seed=0)


@pytest.fixture(scope="session")
def trained(tiny, arrays, tmp_path_factory):
    """A run that was trained on arrays."""
    out = tmp_path_factory.mktemp("runs") / "trained"
    return al.train(tiny, data=arrays, recipe=FAST, out=out, progress=False)
