from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from allometry.base import DataError, InputError
from allometry.data import (
    ArraySplit,
    Augmentation,
    Batch,
    batches_per_epoch,
    center_view,
    open_data,
    train_batches,
    view_batches,
)

STRONG = Augmentation(crop=0.5, rotation=20, flip=True, brightness=0.2, stroke=0.3, erase=0.5)


def batches(split: ArraySplit, **changes: Any) -> list[Batch]:
    options = {"resolution": 16, "batch_size": 5, "augmentation": STRONG, "seed": 7, "epoch": 2}
    return list(train_batches(split, **(options | changes)))


def same(one: list[Batch], two: list[Batch]) -> bool:
    pairs = zip(one, two, strict=True)
    return all((a == b).all() for first, second in pairs for a, b in zip(first, second, strict=True))


def threads() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.startswith("allometry-batches")]


def test_batch(split: ArraySplit) -> None:
    made = batches(split)
    assert len(made) == batches_per_epoch(split, 5) == 4
    for batch in made:
        assert batch.images.shape == (5, 16, 16, 3)
        assert batch.images.dtype == np.uint8
        assert batch.images.flags.c_contiguous
        assert batch.labels.dtype == batch.indices.dtype == np.int64
        assert (batch.labels == split.labels[batch.indices]).all()


@pytest.mark.parametrize("workers", [2, 4])
def test_any_number_of_workers_gives_the_same(split: ArraySplit, workers: int) -> None:
    assert same(batches(split, workers=workers), batches(split, workers=1))


@pytest.mark.parametrize(("start", "workers"), [(0, 1), (0, 4), (2, 2)])
def test_batches_of_several_sides(split: ArraySplit, start: int, workers: int) -> None:
    sides = [16, 8, 16, 12]
    made = batches(split, start=start, workers=workers, side_of=sides.__getitem__)
    assert [batch.images.shape[1:3] for batch in made] == [(side, side) for side in sides[start:]]
    for number, batch in enumerate(made, start=start):
        assert same([batch], batches(split, resolution=sides[number])[number : number + 1])


@pytest.mark.parametrize("start", range(6))
def test_going_on_gives_the_same(split: ArraySplit, start: int) -> None:
    assert same(batches(split, start=start), batches(split)[start:])


def test_epochs_and_seeds_differ(split: ArraySplit) -> None:
    assert same(batches(split), batches(split))
    for changes in ({"epoch": 3}, {"seed": 8}):
        other = batches(split, **changes)
        assert [batch.indices.tolist() for batch in other] != [
            batch.indices.tolist() for batch in batches(split)
        ]


def test_an_images_variant_depends_on_its_index_not_its_place(split: ArraySplit) -> None:
    small = {
        int(i): image
        for batch in batches(split)
        for i, image in zip(batch.indices, batch.images, strict=True)
    }
    (large,) = batches(split, batch_size=23)
    assert all((image == large.images[large.indices == index][0]).all() for index, image in small.items())


def test_every_image_gets_a_variant_of_its_own() -> None:
    image = np.random.default_rng(1).integers(0, 256, (1, 32, 32, 1), dtype=np.uint8)
    alike = ArraySplit(images=image.repeat(8, axis=0), labels=np.zeros(8, np.int64), names=("s/x",) * 8)
    (batch,) = batches(alike, batch_size=8)
    assert len(np.unique(batch.images.reshape(8, -1), axis=0)) == 8
    (later,) = batches(alike, batch_size=8, epoch=3)
    assert not (later.images[later.indices.argsort()] == batch.images[batch.indices.argsort()]).all()


def test_every_image_comes_once(split: ArraySplit) -> None:
    made = batches(split, drop_last=False)
    assert [len(batch.labels) for batch in made] == [5, 5, 5, 5, 3]
    assert sorted(np.concatenate([batch.indices for batch in made]).tolist()) == list(range(23))
    assert batches_per_epoch(split, 5, drop_last=False) == 5


def test_a_small_split_is_one_batch(split: ArraySplit) -> None:
    (batch,) = batches(split, batch_size=100)
    assert len(batch.labels) == 23
    assert batches_per_epoch(split, 100) == batches_per_epoch(split, 100, drop_last=False) == 1


def test_views_come_in_order(split: ArraySplit) -> None:
    made = list(view_batches(split, resolution=16, batch_size=10, crop=0.875, workers=3))
    assert np.concatenate([batch.indices for batch in made]).tolist() == list(range(23))
    image = made[1].images[4]
    assert (image == center_view(split.images[14], resolution=16, crop=0.875)).all()


def test_closing_early_ends_the_threads(split: ArraySplit) -> None:
    before = threads()
    making = train_batches(
        split, resolution=16, batch_size=2, augmentation=STRONG, seed=0, epoch=0, workers=3
    )
    next(making)
    assert len(threads()) > len(before)
    making.close()
    assert threads() == before


class CountingSplit(ArraySplit):
    """Waits for leave to give an image after the first few."""

    asked = 0

    def image(self, index: int, *, min_side: int | None = None) -> Any:
        type(self).asked += 1
        return super().image(index, min_side=min_side)


def test_few_batches_are_made_ahead(split: ArraySplit) -> None:
    counting = CountingSplit(
        images=np.zeros((400, 4, 4, 1), np.uint8), labels=np.zeros(400, np.int64), names=("s/x",) * 400
    )
    making = view_batches(counting, resolution=4, batch_size=2, workers=2)
    next(making)
    making.close()
    assert CountingSplit.asked <= 2 * 5


def test_a_deleted_file_is_named(folder: Path) -> None:
    train = open_data(folder).splits["train"]
    (folder / train.names[3]).unlink()
    before = threads()
    with pytest.raises(DataError, match=f"{train.names[3]}: there is no such file"):
        list(view_batches(train, resolution=8, batch_size=2))
    with pytest.raises(DataError, match=train.names[3]):
        list(
            train_batches(
                train,
                resolution=8,
                batch_size=2,
                augmentation=Augmentation(),
                seed=0,
                epoch=0,
                drop_last=False,
            )
        )
    assert threads() == before


def test_files_give_the_same_batches_from_the_cache(folder: Path) -> None:
    train = open_data(folder).splits["train"]
    kept = open_data(folder, cache_bytes=0).splits["train"]
    first, again, without = (
        list(view_batches(each, resolution=8, batch_size=4)) for each in (train, train, kept)
    )
    assert same(first, again)
    assert same(first, without)


@pytest.mark.parametrize(
    "changes",
    [{"batch_size": 0}, {"resolution": 0}, {"workers": 0}, {"start": -1}, {"seed": -1}, {"epoch": -1}],
)
def test_refuses_numbers_that_are_too_small(split: ArraySplit, changes: dict[str, int]) -> None:
    (name,) = changes
    with pytest.raises(InputError, match=f"{name} must be an integer of at least"):
        batches(split, **changes)


def test_refuses_a_crop_of_nothing(split: ArraySplit) -> None:
    with pytest.raises(InputError, match="crop must be a fraction"):
        view_batches(split, resolution=8, batch_size=2, crop=0)
