from __future__ import annotations

import json
from importlib.resources import files

import numpy as np
import pytest

from allometry.data import Dataset, normalization, open_data, summarize


@pytest.fixture(scope="module")
def icons() -> Dataset:
    return open_data("icons")


def sources(icons: Dataset, *names: str) -> set[str]:
    return {each.split("/")[0] for name in names for each in icons.splits[name].names}


def test_counts(icons: Dataset) -> None:
    assert len(icons.classes) == 88
    assert {name: len(split) for name, split in icons.splits.items()} == {
        "train": 7901,
        "val": 1371,
        "test": 2481,
    }
    assert (icons.name, icons.channels, icons.image_size, icons.rejected) == ("icons", 1, 96, ())


def test_no_set_is_in_two_splits(icons: Dataset) -> None:
    train, val, test = (sources(icons, name) for name in icons.splits)
    assert not train & test
    assert not train & val
    assert not val & test


def test_every_set_is_attributed(icons: Dataset) -> None:
    attributed = json.loads((files("allometry.data") / "icons" / "sources.json").read_text())
    assert sources(icons, "train", "val", "test") == set(attributed)
    assert all(each["license"] and each["author"] for each in attributed.values())


def test_images_are_ink_on_paper(icons: Dataset) -> None:
    train = icons.splits["train"]
    image = train.image(0)
    assert image.shape == (96, 96, 1)
    assert image.dtype == np.uint8
    assert image.max() == 255
    assert image[0, 0] == 0
    assert train.image(0, min_side=32).shape == (32, 32, 1)
    assert train.labels.dtype == np.int64
    assert set(train.labels.tolist()) == set(range(88))


def test_labels_cannot_be_written(icons: Dataset) -> None:
    with pytest.raises(ValueError, match="read-only"):
        icons.splits["train"].labels[0] = 1


def test_summary(icons: Dataset) -> None:
    summary = summarize(icons)
    assert "88 classes, gray" in str(summary)
    assert json.loads(json.dumps(summary.to_dict()))["per_class"]["train"]["least"] == 38


def test_normalization_is_near_that_of_all_images(icons: Dataset) -> None:
    train = icons.splits["train"]
    levels = np.stack([train.image(index) for index in range(0, len(train), 20)]) / 255
    mean, std = normalization(icons)
    assert mean == pytest.approx([levels.mean()], abs=0.02)
    assert std == pytest.approx([levels.std()], abs=0.02)
    assert normalization(icons) == normalization(icons)
    assert normalization(icons, seed=1) != normalization(icons)


def test_fingerprint_is_stable(icons: Dataset) -> None:
    assert icons.fingerprint == "f24bf07e43fe6ab50c308f3456e952ea"
