"""Settings that tests and the examples in docstrings and documentation share."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

# What is kept between calls is kept apart from the user's, and starts empty.
_KEPT = tempfile.mkdtemp(prefix="allometry-tests-")
os.environ["XDG_CACHE_HOME"] = _KEPT
# Two test processes on two cores: PyTorch's own threads would only fight over them.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Killed processes lose nothing that the system holds; only where the power fails would files have to be on the disk.
os.fsync = lambda _file: None
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # no test needs the network

collect_ignore = ["docs/guide/whole_path.py"]  # a script, which a test runs in a folder of its own


@pytest.fixture(scope="session")
def example_values(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the examples of the verbs have at hand: a small network, arrays, a run, a folder to work in."""
    import numpy as np

    import allometry as al
    from allometry.arch import Head, MBConv, Network, Stage, Stem

    stage = Stage(block=MBConv(channels=8, expand_ratio=2, stride=2), repeats=2)
    network = Network(
        stem=Stem(channels=8), stages=(stage,), head=Head(channels=16, classes=2), resolution=24, name="small"
    )
    labels = np.arange(60) % 2  # dark noise, and the same with a light square
    images = np.random.default_rng(0).integers(0, 100, (60, 24, 24), np.uint8)
    images[labels == 1, 8:16, 8:16] += 150
    folder = tmp_path_factory.mktemp("examples")
    recipe = al.recipes.small(epochs=1, batch_size=16)
    run = al.train(network, data=(images, labels), recipe=recipe, out=folder / "a", progress=False)
    return {"network": network, "images": images, "labels": labels, "folder": folder, "trained": run}


@pytest.fixture(scope="session")
def job_values() -> dict[str, Any]:
    """What the examples of trainings have at hand: a small network, images for it, how both are used."""
    import numpy as np

    from allometry.arch import Head, MBConv, Network, Stage, Stem
    from allometry.data import as_dataset
    from allometry.training import Preprocessing, Recipe

    network = Network(
        stem=Stem(channels=8),
        stages=(Stage(block=MBConv(channels=8, expand_ratio=3), repeats=2),),
        head=Head(channels=8, classes=2),
        resolution=8,
    )
    pixels = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), np.uint8)
    dataset = as_dataset((pixels, np.arange(40) % 2))
    preprocessing = Preprocessing(
        channels=3, resolution=8, crop=1.0, mean=(0.5,) * 3, std=(0.25,) * 3, classes=dataset.classes
    )
    recipe = Recipe(epochs=2, batch_size=7)
    return {"network": network, "dataset": dataset, "preprocessing": preprocessing, "recipe": recipe}


_ROOMS = {
    "base/errors.py": "job_values",
    "verbs": "example_values",
    "training": "job_values",
    "supernets": "job_values",
    "nas/gradient": "job_values",
}


@pytest.fixture(autouse=True)
def _values_of_room(
    request: pytest.FixtureRequest,
    doctest_namespace: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    if not isinstance(request.node, pytest.DoctestItem):
        return
    doctest_namespace.clear()  # it is the whole session's
    for room, fixture in _ROOMS.items():
        if request.node.path.is_relative_to(Path(__file__).parent / "src/allometry" / room):
            doctest_namespace["folder"] = tmp_path_factory.mktemp("job")
            doctest_namespace.update(request.getfixturevalue(fixture))


def pytest_unconfigure() -> None:
    """Remove what the tests have kept."""
    shutil.rmtree(_KEPT, ignore_errors=True)
