"""Images that have something in common, such as a patient: one split for all of a group, wherever it is told."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

import allometry as al
from allometry.arch import Head, MBConv, Network, Stage, Stem
from allometry.base import DataError
from allometry.data import ArraySplit, Dataset, group_numbers, open_arrays, open_data, part_of
from allometry.data.subset import joined
from allometry.training import Predictions, fraction_interval, resamples, summarize, wilson_interval


def pictures(number: int) -> np.ndarray:
    """Images that are all different."""
    return np.random.default_rng(0).integers(0, 256, (number, 8, 8), dtype=np.uint8)


def check_apart(dataset: Dataset) -> None:
    """No group in two splits, and none lost."""
    groups = [set(split.groups or ()) for split in dataset.splits.values()]
    assert not groups[0] & groups[1] | groups[0] & groups[2] | groups[1] & groups[2]


@given(st.integers(8, 30), st.integers(1, 6), st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_a_group_stays_in_one_split(patients: int, most: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    groups = [
        f"patient {patient}" for patient in range(patients) for _ in range(random.integers(1, most + 1))
    ]
    # Each class has images of several patients, and some patients have images of both.
    labels = [int(group.split()[1]) % 2 if random.random() < 0.8 else 0 for group in groups]
    assume(min(labels.count(0), labels.count(1)) >= 3)
    data = open_arrays(pictures(len(groups)), labels, groups=groups, classes=["a", "b"], seed=seed)
    check_apart(data)
    assert sorted(group for split in data.splits.values() for group in split.groups or ()) == sorted(groups)
    numbers = group_numbers(data.splits["train"])
    assert numbers is None or len(set(numbers.tolist())) == len(set(data.splits["train"].groups or ()))


def test_equal_images_of_two_groups_tie_them() -> None:
    images = pictures(40)
    images[20] = images[0]
    groups = [f"g{row // 2}" for row in range(40)]
    data = open_arrays(images, [row % 2 for row in range(40)], groups=groups)
    home = {group: name for name, split in data.splits.items() for group in split.groups or ()}
    assert home["g0"] == home["g10"]


def test_images_without_a_group_are_on_their_own_and_cut_as_before() -> None:
    images, labels = pictures(40), np.arange(40) % 2
    plain = open_arrays(images, labels)
    assert plain.splits["train"].groups is None
    assert open_arrays(images, labels, groups=[""] * 40).fingerprint == plain.fingerprint
    some = open_arrays(images, labels, groups=["ann"] * 4 + [""] * 36)
    assert sum(len(set(split.groups or ())) for split in some.splits.values()) == 37


def test_groups_in_two_given_splits_are_refused() -> None:
    splits = ["train", "test", "val", "train"] * 10
    with pytest.raises(DataError, match=r"Group 'site' of arrays has images in train and in test.*no splits"):
        open_arrays(pictures(40), np.arange(40) // 4 % 2, splits=splits, groups=["site"] * 40)
    groups = [f"site {split}" for split in splits]
    assert (
        len(open_arrays(pictures(40), np.arange(40) // 4 % 2, splits=splits, groups=groups).splits["test"])
        == 10
    )


def test_too_few_groups_are_told() -> None:
    with pytest.raises(DataError, match=r"come from too few groups, 1, to cut val and test.*other groups"):
        open_arrays(pictures(40), np.arange(40) % 2, groups=["one"] * 40)
    lacking = open_arrays(pictures(80), [0] * 70 + [1] * 10, groups=[f"g{row // 7}" for row in range(80)])
    assert any("has no image of 1: too few groups" in remark for remark in lacking.remarks)
    with pytest.raises(DataError, match="40 images but 3 groups"):
        open_arrays(pictures(40), np.arange(40) % 2, groups=["a", "b", "c"])


def test_manifests_and_files_of_arrays_have_groups_too(tmp_path: Path) -> None:
    images, groups = pictures(40), [f"g{row // 2}" for row in range(40)]
    labels = np.array([row // 2 % 2 for row in range(40)])
    lines = ["path,label,group"]
    for row, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{row:02}.png")
        lines.append(f"{row:02}.png,{labels[row]},{groups[row]}")
    (tmp_path / "list.csv").write_text("\n".join(lines))
    np.savez(tmp_path / "data.npz", images=images, labels=labels, group=np.array(groups))
    (tmp_path / "arrays").mkdir()
    for name, array in (("images", images), ("labels", labels), ("group", np.array(groups))):
        np.save(tmp_path / "arrays" / f"{name}.npy", array)
    for where in ("list.csv", "data.npz", "arrays"):
        data = open_data(tmp_path / where)
        check_apart(data)
        assert sorted(group for split in data.splits.values() for group in split.groups or ()) == sorted(
            groups
        )


def test_parts_and_joined_splits_keep_their_groups() -> None:
    split = open_arrays(
        pictures(40), np.arange(40) // 2 % 2, groups=[f"g{r // 2}" for r in range(40)]
    ).splits["train"]
    assert part_of(split, np.array([3, 1])).groups == (split.groups or ())[3:0:-2]
    other = ArraySplit(images=pictures(2)[..., None], labels=np.zeros(2), names=("x", "y"))
    both = joined([split, other], labels=np.zeros(len(split) + 2), channels=1)
    assert both.groups == (*(split.groups or ()), "1/x", "1/y")
    assert joined([other], labels=np.zeros(2), channels=1).groups is None


def test_groups_of_one_image_each_are_none() -> None:
    split = ArraySplit(images=pictures(2)[..., None], labels=np.zeros(2), names=("x", "y"), groups=("a", "b"))
    assert group_numbers(split) is None


def test_intervals_by_groups_hold_the_truth_where_those_by_images_do_not() -> None:
    random = np.random.default_rng(0)
    held = {"groups": 0, "images": 0}
    for _ in range(400):
        shares = random.beta(8, 2, 25)  # of one group more, of another less is right; 0.8 on the whole
        sizes = random.integers(10, 60, 25)
        hits = np.concatenate(
            [random.random(size) < share for share, size in zip(shares, sizes, strict=True)]
        )
        groups = np.repeat(np.arange(25), sizes)
        for name, (low, high) in (
            ("groups", fraction_interval(hits, groups)),
            ("images", fraction_interval(hits)),
        ):
            held[name] += low <= 0.8 <= high
    assert 0.92 <= held["groups"] / 400 <= 0.985
    assert held["images"] / 400 < 0.75


def test_groups_of_one_image_give_about_wilsons_interval() -> None:
    hits = np.random.default_rng(1).random(500) < 0.7
    alone = wilson_interval(int(hits.sum()), 500)
    assert fraction_interval(hits) == alone
    assert fraction_interval(hits, np.arange(500)) == pytest.approx(alone, abs=1e-3)


def test_the_ends_of_intervals_by_groups() -> None:
    every = np.ones(50, bool)
    assert fraction_interval(every, np.zeros(50, np.int64)) == (0.0, 1.0)
    low, high = fraction_interval(every, np.arange(50) % 5)
    assert high == 1.0
    assert 0.3 < low < wilson_interval(50, 50)[0]


def test_resampled_groups_are_whole() -> None:
    groups = np.array([7, 7, 7, 3, 3, 9])
    drawn = np.stack(list(resamples(6, seed=0, times=200, groups=groups)))
    assert (drawn[:, 0] == drawn[:, 1]).all()
    assert (drawn[:, 3] == drawn[:, 4]).all()
    assert (drawn[:, [0, 3, 5]].sum(1) == 3).all()


def test_an_evaluation_says_by_how_many_groups_it_is() -> None:
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(10), 20)
    names = tuple(map(str, range(200)))
    labels = random.integers(0, 2, 200)
    right = np.repeat(random.random(10) < 0.7, 20)  # a group is right or wrong altogether
    answers = np.where(right, labels, 1 - labels)
    probabilities = np.where(answers[:, None] == np.arange(2), 0.8, 0.2).astype(np.float32)
    losses = -np.log(probabilities[np.arange(200), labels])
    split = ArraySplit(images=pictures(200)[..., None], labels=labels, names=names)
    one, other = (
        summarize(Predictions(labels, probabilities, losses, of), split, name="test", classes=("a", "b"))
        for of in (groups, None)
    )
    assert (one.groups, other.groups) == (10, None)
    assert (one.counted, other.counted) == ("200 images of 10 groups", "200 images")
    assert one.accuracy == other.accuracy
    for field in ("interval", "balanced_interval", "loss_interval"):
        (low, high), (near, far) = getattr(one, field), getattr(other, field)
        assert high - low > 2.5 * (far - near), field
    assert math.isclose(one.loss, other.loss)


def test_a_trained_run_says_by_how_many_groups_its_test_is(tmp_path: Path) -> None:
    images = pictures(48)
    images[24:] //= 2
    data = open_arrays(
        images, np.arange(48) // 24, groups=[f"g{row // 3}" for row in range(48)], classes=["a", "b"]
    )
    network = Network(
        stem=Stem(channels=4),
        stages=(Stage(block=MBConv(channels=4, expand_ratio=1, se_ratio=0)),),
        head=Head(channels=8, classes=2),
        resolution=8,
        in_channels=1,
    )
    recipe = al.recipes.small(epochs=1, batch_size=8)
    run = al.train(network, data=data, recipe=recipe, out=tmp_path / "run", progress=False)
    groups = len(set(data.splits["test"].groups or ()))
    assert run.result.test_groups == run.evaluation.groups == groups
    assert f"the {groups} groups" in (tmp_path / "run" / "report.html").read_text()
