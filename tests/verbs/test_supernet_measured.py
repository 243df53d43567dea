"""Which subnets of a supernet are measured, and what the cost log says about it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from allometry.arch import Space
from allometry.base import InputError, RunFolderError
from allometry.base.files import read_lines
from allometry.catalog import get, mbconv_space
from allometry.cost import Cost
from allometry.data import ArraySplit
from allometry.runs import MeasuredSubnet
from allometry.runs.files import ACCURACIES, RunInfo
from allometry.runs.folder import RunFolder
from allometry.supernets import couple_encodings
from allometry.supernets.accuracy_predictor import (
    PredictorConfig,
    part_sums,
    predictor_for,
    record_measurements,
    sample_subnets,
)


def opened_of(space: Space, *, seed: int = 0, coupled: bool = False) -> SimpleNamespace:
    transform = (lambda encodings: couple_encodings(space, encodings)) if coupled else None
    return SimpleNamespace(
        session=SimpleNamespace(seed=seed), space=space, coupled=coupled, transform=transform
    )


@pytest.fixture(scope="module")
def space() -> Space:
    return mbconv_space(get("efficientnet-b0"), kernels=(3, 5), expand_ratios=(3, 6), depths=(1, 2))


@pytest.mark.parametrize("coupled", [False, True])
def test_more_subnets_are_the_same_ones_and_others(space, coupled):
    opened = opened_of(space, seed=3, coupled=coupled)
    few, many = sample_subnets(opened, 60), sample_subnets(opened, 333)
    assert len(many) == len(np.unique(many, axis=0)) == 333
    assert (many[:60] == few).all()
    assert (not coupled) or (couple_encodings(space, many) == many).all()


def test_a_small_space_gives_all_it_has():
    few = mbconv_space(get("efficientnet-b0"), resolutions=(128, 160, 192))
    opened = opened_of(few)
    assert sorted(sample_subnets(opened, 100)[:, 0].tolist()) == [0, 1, 2]


def test_a_space_too_small_for_a_predictor_is_refused_before_anything_is_measured():
    few = mbconv_space(get("efficientnet-b0"), resolutions=(128, 160, 192))
    opened = opened_of(few)
    with pytest.raises(InputError, match=r"has \d+ subnets that differ; .* 20 at least, besides the 100"):
        predictor_for(opened, PredictorConfig())


@pytest.mark.parametrize("losses", [(1.0, 2.0), (1.0, 2.0, 3.0, 4.0), ()])
def test_subnets_that_were_measured_on_other_parts_are_refused(tmp_path: Path, losses):
    pixels = np.zeros((4, 8, 8, 1), np.uint8)
    split = ArraySplit(images=pixels, labels=np.arange(4) % 2, names=tuple("abcd"))
    measured = MeasuredSubnet(
        encoding=(0,),
        cost=Cost(1, 2, 3, 4),
        accuracy=0.5,
        loss=1.0,
        correct=(1, 1, 0, 0),
        losses=losses,
        seconds=1.5,
        images=100,
    )
    ACCURACIES.append(tmp_path, measured)
    images = SimpleNamespace(dataset=SimpleNamespace(splits={"val": split}))
    opened = SimpleNamespace(
        session=SimpleNamespace(seed=0, run=SimpleNamespace(path=tmp_path)), images=images
    )
    if len(losses) == 4:
        assert part_sums(opened, np.array([[0]], np.int8)).half(0).accuracies == pytest.approx(0.5)
        return
    with pytest.raises(RunFolderError, match="measured on other parts of the validation images"):
        part_sums(opened, np.array([[0]], np.int8))


def test_each_look_is_charged_once(tmp_path: Path):
    info = RunInfo(
        format=1, command="", name="", arguments={}, versions={}, device="some processor", seed=0, started=""
    )
    run = RunFolder(tmp_path, info)
    opened = SimpleNamespace(session=SimpleNamespace(run=run))
    measured = MeasuredSubnet(
        encoding=(0,),
        cost=Cost(1, 2, 3, 4),
        accuracy=0.5,
        loss=1.0,
        correct=(1,),
        losses=(2.0,),
        seconds=1.5,
        images=100,
    )
    for number in (3, 0, 2):
        for _ in range(number):
            ACCURACIES.append(tmp_path, measured)
        record_measurements(opened)
    lines = read_lines(tmp_path / "costs.jsonl")
    assert [(line["seconds"], line["images"]) for line in lines] == [(4.5, 300), (3.0, 200)]
