from __future__ import annotations

import itertools
import json
from collections import Counter
from importlib.resources import files

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from allometry.data import Dataset, normalization, open_data, summarize
from allometry.data.images.pixels import Pixels


@pytest.fixture(scope="module")
def icons() -> Dataset:
    return open_data("icons")


def sources(icons: Dataset, *names: str) -> set[str]:
    return {each.split("/")[0] for name in names for each in icons.splits[name].names}


def test_counts(icons: Dataset) -> None:
    assert len(icons.classes) == 88
    assert {name: len(split) for name, split in icons.splits.items()} == {
        "train": 7359,
        "val": 862,
        "test": 1716,
    }
    assert (icons.name, icons.channels, icons.image_size, icons.rejected) == ("icons", 1, 96, ())


FAMILIES = (
    {"feather", "lucide", "meteor-icons"},
    {"heroicons", "heroicons-outline", "heroicons-solid", "zondicons", "sidekickicons"},
    {"ion", "famicons"},
    {"material-symbols", "material-symbols-light", "mdi", "memory", "eos-icons"},
    {"fluent", "fluent-mdl2"},
    {"icons8", "la", "wpf"},
    {"uil", "uim", "uis", "uit"},
)


def attributed() -> dict[str, dict[str, str]]:
    about: dict[str, dict[str, str]] = json.loads(
        (files("allometry.data") / "icons" / "sources.json").read_text()
    )
    return about


def test_no_author_and_no_fork_is_in_two_splits(icons: Dataset) -> None:
    authors = [{attributed()[name]["author"] for name in sources(icons, split)} for split in icons.splits]
    for one, other in itertools.combinations(authors, 2):
        assert not one & other
    for family in FAMILIES:
        assert sum(bool(family & sources(icons, split)) for split in icons.splits) == 1, family


def test_groups_are_families_of_sets(icons: Dataset) -> None:
    with np.load(str(files("allometry.data") / "icons" / "icons.npz")) as file:
        pairs = set(zip(file["source"].tolist(), file["group"].tolist(), strict=True))
        split, group = file["split"], file["group"]
        assert Counter(split.tolist()) == {"train": 7359, "val": 862, "test": 1716, "": 1816}
    assert len(pairs) == len({source for source, _ in pairs})
    for family in FAMILIES:
        assert len({name for source, name in pairs if source in family}) == 1
    for one, other in itertools.combinations(icons.splits, 2):
        assert not set(group[split == one]) & set(group[split == other])


def drawn_alone(image: Pixels, *, square: bool, side: int = 32) -> npt.NDArray[np.float32]:
    """What is drawn, side x side, as a unit vector."""
    left, top, width, height = cv2.boundingRect((image[..., 0] > 25).astype(np.uint8))
    drawing = image[top : top + height, left : left + width, 0]
    if square:
        rows, columns = max(drawing.shape) - height, max(drawing.shape) - width
        drawing = np.pad(drawing, ((rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2)))
    vector = cv2.resize(drawing, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32).ravel()
    vector -= vector.mean()
    unit: npt.NDArray[np.float32] = vector / max(1e-6, float(np.linalg.norm(vector)))
    return unit


@pytest.mark.parametrize("square", [False, True])
def test_no_drawing_is_nearly_the_same_in_two_splits(icons: Dataset, square: bool) -> None:
    vectors = {
        name: np.stack([drawn_alone(split.image(index), square=square) for index in range(len(split))])
        for name, split in icons.splits.items()
    }
    for one, other in itertools.combinations(vectors, 2):
        assert (vectors[one] @ vectors[other].T).max() < 0.95, (one, other)


def test_the_nearest_neighbor_is_right_as_often_as_is_told(icons: Dataset) -> None:
    train, test = (
        np.stack([drawn_alone(split.image(index), square=False, side=24) for index in range(len(split))])
        for split in (icons.splits["train"], icons.splits["test"])
    )
    nearest = icons.splits["train"].labels[(test @ train.T).argmax(1)]
    share = f"{(nearest == icons.splits['test'].labels).mean():.0%}".replace("%", " %")
    told = (files("allometry.data") / "icons" / "README.md").read_text()
    assert f"crops of 24 x 24 pixels is right for {share} of the test images" in told


def test_nearly_every_class_is_in_every_split(icons: Dataset) -> None:
    counts = {name: np.bincount(split.labels, minlength=88) for name, split in icons.splits.items()}
    assert counts["train"].min() == 32
    assert counts["test"].min() == 1
    # Hardly anybody draws these in a way of their own.
    lacking = [icons.classes[place] for place in np.flatnonzero(counts["val"] == 0)]
    assert lacking == ["minus", "pause", "plus"]


def test_every_set_is_attributed(icons: Dataset) -> None:
    assert sources(icons, "train", "val", "test") <= set(attributed())
    assert all(each["license"] and each["author"] for each in attributed().values())


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
    assert json.loads(json.dumps(summary.to_dict()))["per_class"]["train"]["least"] == 32


def test_normalization_is_near_that_of_all_images(icons: Dataset) -> None:
    train = icons.splits["train"]
    levels = np.stack([train.image(index) for index in range(0, len(train), 20)]) / 255
    mean, std = normalization(icons)
    assert mean == pytest.approx([levels.mean()], abs=0.02)
    assert std == pytest.approx([levels.std()], abs=0.02)
    assert normalization(icons) == normalization(icons)
    assert normalization(icons, seed=1) != normalization(icons)


def test_fingerprint_is_stable(icons: Dataset) -> None:
    assert icons.fingerprint == "430844628cc43a47ae06e1a9edb21ab1"
