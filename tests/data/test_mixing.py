from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allometry.base import InputError
from allometry.data import ArraySplit, Augmentation, Batch, train_batches
from allometry.data.augment.mixing import box, mix, mix_pair

Pixels = npt.NDArray[np.uint8]
BOTH = Augmentation(mixup=0.4, cutmix=1.0, flip=True, crop=0.5)


def made(split: ArraySplit, **changes: Any) -> list[Batch]:
    options = {"resolution": 16, "batch_size": 6, "augmentation": BOTH, "seed": 7, "epoch": 2}
    return list(train_batches(split, **(options | changes)))


def same(one: list[Batch], two: list[Batch]) -> bool:
    pairs = zip(one, two, strict=True)
    return all((a == b).all() for first, second in pairs for a, b in zip(first, second, strict=True))


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 99), st.floats(0, 1))
def test_mix_is_the_weighted_mean(seed: int, fraction: float) -> None:
    one, other = np.random.default_rng(seed).integers(0, 256, (2, 9, 9, 3), dtype=np.uint8)
    expected = one * fraction + other * (1 - fraction)
    assert np.abs(mix(one, other, fraction) - expected).max() <= 0.501


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 99), st.floats(0, 1), st.floats(0, 0.9999), st.floats(0, 0.9999))
def test_the_box_lies_within_the_image_and_is_no_larger(
    side: int, fraction: float, x: float, y: float
) -> None:
    rows, columns = box(side, fraction, x=x, y=y)
    for span, center in ((rows, y), (columns, x)):
        assert 0 <= span.start <= span.stop <= side
        assert span.stop - span.start <= side * (1 - fraction) ** 0.5 + 1
        assert span.start - 1 <= center * side <= span.stop + 1


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 999), st.sampled_from([(0.0, 1.0), (0.3, 0.0), (1.0, 1.0), (10.0, 0.0), (0.01, 0.01)]))
def test_a_pair_keeps_the_share_that_is_told(seed: int, alphas: tuple[float, float]) -> None:
    black, white = np.zeros((40, 40, 1), np.uint8), np.full((40, 40, 1), 255, np.uint8)
    mixup, cutmix = alphas
    fraction = mix_pair(black, white, mixup=mixup, cutmix=cutmix, random=np.random.default_rng(seed))
    assert 0 <= fraction <= 1
    assert 1 - black.mean() / 255 == pytest.approx(fraction, abs=0.002)
    assert white.mean() / 255 == pytest.approx(fraction, abs=0.002)
    if not mixup:
        assert 1 - black.mean() / 255 == pytest.approx(fraction, abs=1e-9)


def test_shares_are_beta_distributed_and_half_of_the_pairs_go_either_way() -> None:
    fractions, boxes = [], 0
    for seed in range(800):
        black, white = np.zeros((2, 16, 16, 1), np.uint8) + np.array([0, 255], np.uint8).reshape(2, 1, 1, 1)
        fractions.append(mix_pair(black, white, mixup=2, cutmix=2, random=np.random.default_rng(seed)))
        boxes += bool(set(np.unique(black)) <= {0, 255})
    assert 330 < boxes < 470
    only = [
        mix_pair(
            np.zeros((8, 8, 1), np.uint8),
            np.zeros((8, 8, 1), np.uint8),
            mixup=0.2,
            cutmix=0,
            random=np.random.default_rng(seed),
        )
        for seed in range(800)
    ]
    assert np.mean(only) == pytest.approx(0.5, abs=0.06)
    assert np.var(only) == pytest.approx(0.25 / 1.4, abs=0.02)


def test_batches_say_what_was_mixed(split: ArraySplit) -> None:
    plain = made(split, augmentation=Augmentation(crop=0.5, flip=True), drop_last=False)
    mixed = made(split, augmentation=Augmentation(crop=0.5, flip=True, mixup=1), drop_last=False)
    for before, after in zip(plain, mixed, strict=True):
        assert (before.labels == after.labels).all()
        assert (before.indices == after.indices).all()
        assert (before.mixed_labels == before.labels).all()
        assert (before.mix_weights == 1).all()
        assert after.mix_weights.dtype == np.float32
        assert after.mixed_labels.dtype == np.int64
        for place in range(0, len(after.labels) - 1, 2):
            one, other, fraction = before.images[place], before.images[place + 1], after.mix_weights[place]
            assert fraction == after.mix_weights[place + 1]
            assert (
                after.mixed_labels[place : place + 2].tolist()
                == after.labels[place : place + 2][::-1].tolist()
            )
            assert np.abs(after.images[place] - (one * fraction + other * (1 - fraction))).max() <= 0.51
            assert np.abs(after.images[place + 1] - (other * fraction + one * (1 - fraction))).max() <= 0.51
    assert len(mixed[-1].labels) == 5
    assert mixed[-1].mix_weights[-1] == 1
    assert mixed[-1].mixed_labels[-1] == mixed[-1].labels[-1]
    assert (mixed[-1].images[-1] == plain[-1].images[-1]).all()


def test_mixing_is_the_same_for_any_workers_and_after_a_stop(split: ArraySplit) -> None:
    assert same(made(split, workers=4), made(split, workers=1))
    assert same(made(split, start=2), made(split)[2:])
    assert not same(made(split, epoch=3), made(split))
    fractions = np.concatenate([batch.mix_weights[::2] for batch in made(split)])
    assert len(set(fractions.tolist())) == len(fractions)


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("batch_size", [6, 7, 23, 40])
@pytest.mark.parametrize("drop_last", [True, False])
def test_the_ranks_together_make_the_batches_of_one(
    split: ArraySplit, world_size: int, batch_size: int, drop_last: bool
) -> None:
    if batch_size == 7 and not drop_last and world_size > 1:
        batch_size = 9  # its last batch has pairs enough
    options: dict[str, Any] = {"batch_size": batch_size, "drop_last": drop_last}
    whole = made(split, **options)
    parts = [made(split, rank=rank, world_size=world_size, **options) for rank in range(world_size)]
    for number, batch in enumerate(whole):
        together = [part[number] for part in parts]
        assert all(len(part.labels) > 0 for part in together)
        assert all(len(part.labels) % 2 == 0 for part in together[:-1])
        for name, expected in zip(Batch._fields, batch, strict=True):
            assert (np.concatenate([getattr(part, name) for part in together]) == expected).all(), name


def test_too_many_ranks_are_refused_before_the_first_batch(split: ArraySplit) -> None:
    options: dict[str, Any] = {"resolution": 8, "augmentation": BOTH, "seed": 0, "epoch": 0}
    with pytest.raises(InputError, match="A batch of 6 images has 3 pairs, too few for 4 processes"):
        train_batches(split, batch_size=6, world_size=4, **options)
    with pytest.raises(InputError, match="A batch of 1 images has 1 pairs, too few for 2 processes"):
        train_batches(split, batch_size=11, world_size=2, drop_last=False, **options)
    with pytest.raises(InputError, match=r"rank must be below world_size \(2\), not 2"):
        train_batches(split, batch_size=6, rank=2, world_size=2, **options)
    for changes in ({"rank": -1}, {"world_size": 0}):
        with pytest.raises(InputError, match="must be an integer of at least"):
            train_batches(split, batch_size=6, **changes, **options)
