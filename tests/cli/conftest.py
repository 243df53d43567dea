from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from allometry.cli import main
from tests.images import write_photos


@dataclass(frozen=True)
class Result:
    status: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture
def call(capfd) -> Callable[..., Result]:
    """Run the command line in this process."""

    def run(*arguments: object) -> Result:
        capfd.readouterr()
        status = main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Result(status, out, err)

    return run


@pytest.fixture
def start() -> Callable[..., subprocess.Popen]:
    """Run the command line as a process of its own."""

    def run(*arguments: object, **options: object) -> subprocess.Popen:
        command = [sys.executable, "-m", "allometry", *map(str, arguments)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, env=environment, **(pipes | options))

    return run


@pytest.fixture(scope="session")
def photos(tmp_path_factory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos") / "three shapes", per_class=10)


# A network of three layers, which trains and is exported in a second.
BASELINE = ("--baseline", str(Path(__file__).with_name("three_stages.json")))
FAST = (*BASELINE, "--budget", "400k", "--set", "epochs=2", "--set", "batch_size=8")


@pytest.fixture(scope="session")
def finished(photos, tmp_path_factory) -> Path:
    """A finished run on photographs."""
    folder = tmp_path_factory.mktemp("runs") / "photos"
    assert main(["run", "--data", str(photos), "--out", str(folder), *FAST]) == 0
    return folder
