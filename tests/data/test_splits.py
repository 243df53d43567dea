from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allometry.base import DataError
from allometry.data.sources.cutting import assign_splits

CUTS = ["val", "test"]


def test_the_cut_is_the_same_on_every_machine() -> None:
    split_of = assign_splits({"a": [f"content-{number}" for number in range(20)]}, CUTS, seed=0)
    assert {cut: sorted(key for key, split in split_of.items() if split == cut) for cut in CUTS} == {
        "val": ["content-16", "content-2", "content-8"],
        "test": ["content-0", "content-13", "content-7"],
    }


@given(st.integers(3, 60), st.integers(0, 5))
def test_shares(count: int, seed: int) -> None:
    sizes = Counter(assign_splits({"a": [str(number) for number in range(count)]}, CUTS, seed=seed).values())
    assert sizes["val"] == sizes["test"] == max(1, round(0.15 * count))
    assert sizes["train"] >= 1


@given(st.lists(st.integers(0, 30), min_size=6, max_size=60).filter(lambda each: len(set(each)) >= 3))
def test_copies_never_leave_a_split_empty(contents: list[int]) -> None:
    digests = [str(each) for each in contents]
    split_of = assign_splits({"a": digests, "b": ["x", "y", "z"]}, CUTS, seed=0)
    assert {split_of[digest] for digest in digests} == {"train", "val", "test"}


def test_an_added_image_moves_few_others() -> None:
    before = assign_splits({"a": [str(number) for number in range(100)]}, CUTS, seed=0)
    after = assign_splits({"a": [str(number) for number in range(101)]}, CUTS, seed=0)
    assert sum(before[key] != after[key] for key in before) <= 4


def test_classes_that_share_all_images_share_their_cut() -> None:
    split_of = assign_splits({"a": ["x", "y", "z"], "b": ["z", "y", "x", "w"]}, CUTS, seed=0)
    assert {split_of[key] for key in "xyz"} == {"train", "val", "test"}


def test_too_few_contents() -> None:
    with pytest.raises(DataError, match="'a' has too few different images: at least 3"):
        assign_splits({"a": ["x", "y", "y"]}, CUTS, seed=0)
