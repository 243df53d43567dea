import numpy as np
import pytest

from allometry.data import ArraySplit, Dataset, is_line_art, open_data


def made_of(images):
    split = ArraySplit(
        images=images, labels=np.zeros(len(images), np.int64), names=tuple(map(str, range(len(images))))
    )
    splits = {"train": split, "val": split, "test": split}
    return Dataset(
        name="x", classes=("a", "b"), channels=images.shape[3], image_size=20, splits=splits, rejected=()
    )


def test_icons_are_drawings():
    assert is_line_art(open_data("icons"))


@pytest.mark.parametrize("channels", [1, 3])
def test_photographs_are_not(channels):
    random = np.random.default_rng(0)
    assert not is_line_art(made_of(random.integers(0, 256, (20, 20, 20, channels), dtype=np.uint8)))


def test_ink_on_paper_is_drawn_only_in_one_color():
    random = np.random.default_rng(0)
    scans = 255 - 240 * random.integers(0, 2, (20, 20, 20, 1), dtype=np.uint8)
    assert is_line_art(made_of(scans))
    assert not is_line_art(made_of(scans.repeat(3, axis=3)))
