from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from allometry.arch import Head, MBConv, Network, Stage, Stem
from allometry.data import Augmentation
from allometry.training import Preprocessing, Recipe
from allometry.training.classification import ClassificationJob
from tests.images import CLASSES, shapes_dataset

NETWORK = Network(
    stem=Stem(channels=8),
    stages=(
        Stage(block=MBConv(channels=8, expand_ratio=2, stride=2), repeats=2),
        Stage(block=MBConv(channels=16, expand_ratio=3), repeats=2),
    ),
    head=Head(channels=32, classes=len(CLASSES)),
    in_channels=1,
    resolution=24,
    stochastic_depth=0.2,
)
RECIPE = Recipe(
    epochs=4,
    batch_size=16,
    learning_rate=0.01,
    ema=0.9,
    batch_norm_momentum=0.1,
    augmentation=Augmentation(rotation=10, translation=0.1),
)


@pytest.fixture(scope="session")
def dataset():
    return shapes_dataset()


def job_in(
    folder: Path, *, network: Network = NETWORK, recipe: Recipe = RECIPE, **options: object
) -> ClassificationJob:
    preprocessing = Preprocessing(
        channels=1, resolution=network.resolution, crop=1.0, mean=(0.2,), std=(0.3,), classes=CLASSES
    )
    given = {"dataset": shapes_dataset(), "preprocessing": preprocessing, "folder": folder, **options}
    return ClassificationJob(network=network, recipe=recipe, **given)


@pytest.fixture
def make_job(dataset, tmp_path) -> Callable[..., ClassificationJob]:
    def make(folder: str = "run", **options: object) -> ClassificationJob:
        return job_in(Path(tmp_path) / folder, **{"dataset": dataset, **options})

    return make
