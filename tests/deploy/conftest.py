from __future__ import annotations

import numpy as np
import pytest

from allometry.arch import Head, MBConv, Network, Stage, Stem
from allometry.nn import build
from allometry.training import Preprocessing

NETWORK = Network(
    stem=Stem(channels=8),
    stages=(Stage(block=MBConv(channels=8, expand_ratio=2), repeats=1),),
    head=Head(channels=16, classes=3),
    in_channels=1,
    resolution=24,
)

PREPROCESSING = Preprocessing(
    channels=1, resolution=24, crop=0.9, mean=(0.2,), std=(0.3,), classes=("bär", 'a "disc"', "frame\\")
)


@pytest.fixture(scope="session")
def module():
    return build(NETWORK, seed=0).eval()


@pytest.fixture
def views():
    return np.random.default_rng(0).integers(0, 256, (7, 24, 24, 1), np.uint8)
