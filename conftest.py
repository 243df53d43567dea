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


@pytest.fixture(autouse=True)
def _examples_of_verbs(request: pytest.FixtureRequest, doctest_namespace: dict[str, Any]) -> None:
    path = request.node.path
    if isinstance(request.node, pytest.DoctestItem) and path.is_relative_to(
        Path(__file__).parent / "src/allometry/verbs"
    ):
        doctest_namespace.update(request.getfixturevalue("example_values"))


def pytest_unconfigure() -> None:
    """Remove what the tests have kept."""
    shutil.rmtree(_KEPT, ignore_errors=True)
