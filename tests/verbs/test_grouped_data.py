"""What belongs together is kept by the run: its record, its report, its evaluation, and every call that goes on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import allometry as al
from allometry.arch import Head, MBConv, Network, Stage, Stem
from allometry.base import InputError, RunFolderError, SilentProgress
from allometry.verbs.open import Run

NETWORK = Network(
    stem=Stem(channels=4),
    stages=(Stage(block=MBConv(channels=4, expand_ratio=1, se_ratio=0)),),
    head=Head(channels=8, classes=2),
    resolution=8,
    in_channels=1,
)
GROUP = ["folder", "near-duplicates"]


class Told(SilentProgress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def write(root: Path, number: int) -> Path:
    """Images of two classes by so many patients; what a patient has in one class he has, darker, in the other."""
    random = np.random.default_rng(0)
    for patient in range(number):
        for shot in range(2):
            image = random.integers(100, 256, (8, 8), dtype=np.uint8)
            for label, shade in (("cat", 1), ("dog", 2)):
                path = root / label / f"p{patient}" / f"{shot}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image // shade).save(path)
    return root


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("data") / "pets", 10)


@pytest.fixture(scope="module")
def run(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(folder, GROUP, tmp_path_factory.mktemp("runs") / "run")


def train(folder: Path, group: list[str] | str | None, out: Path) -> Run:
    recipe = al.recipes.small(epochs=1, batch_size=8)
    return al.train(NETWORK, data=folder, group=group, recipe=recipe, out=out, progress=False)


def test_the_run_says_how_its_images_are_grouped(run: Run, folder: Path) -> None:
    arguments = json.loads((run.folder / "run.json").read_text())["arguments"]
    assert arguments["data"] == f"{folder}#group=folder&group=near-duplicates"
    data = json.loads((run.folder / "data.json").read_text())
    assert data["grouped_by"] == GROUP
    assert sum(data["groups"].values()) == 10
    assert run.evaluation.groups == data["groups"]["test"]
    (remark,) = (text for text in data["remarks"] if "kept together" in text)
    assert remark.startswith("near-duplicates are kept together: 20 clusters, the largest of 2 images")
    report = (run.folder / "report.html").read_text()
    assert "near-duplicates are kept together" in report
    assert "folder and near-duplicates" in report


def test_evaluating_reads_the_same(run: Run, folder: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(folder, tmp_path / "moved")
    for data in (None, folder, str(folder), f"{folder}#group=folder&group=near-duplicates"):
        assert al.evaluate(run.folder, data=data, progress=False) == run.evaluation
    told = Told()
    assert al.evaluate(run.folder, data=moved, progress=told) == run.evaluation
    assert "moved: the images that the run was trained with, which are cut as they were." in told.lines
    assert len([line for line in told.lines if "near-duplicates are kept" in line]) <= 1
    with pytest.raises(InputError, match="grouped as it was then; group goes with other data"):
        al.evaluate(run.folder, group="folder", progress=False)


def test_other_data_has_groups_of_its_own(run: Run, tmp_path: Path) -> None:
    other = write(tmp_path / "other", 3)
    for group, groups in (("level:2", 3), (None, 3), (r"/p\d/(\d)", 2)):
        evaluation = al.evaluate(run.folder, data=other, group=group, progress=False)
        assert (evaluation.images, evaluation.groups) == (12, groups)
    for path in list(other.rglob("*.png")):
        path.rename(path.parents[1] / f"{path.parent.name}-{path.name}")
    shutil.rmtree(other / "cat/p0")
    assert al.evaluate(run.folder, data=other, progress=False).groups is None


def test_going_on_needs_the_same_groups(run: Run, folder: Path) -> None:
    assert train(folder, GROUP, run.folder).evaluation == run.evaluation
    for group in ("level:2", GROUP[0], None):
        with pytest.raises(RunFolderError, match="data"):
            train(folder, group, run.folder)
