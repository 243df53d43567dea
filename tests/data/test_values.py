"""Data sets as values: arrays, tensors, PyTorch's data sets and Hugging Face's."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, IterableDataset, Subset, TensorDataset
from torch.utils.data import Dataset as TorchDataset

from allometry.base import DataError, UnknownNameError
from allometry.data import (
    ArraySplit,
    as_dataset,
    data_argument,
    data_name,
    image_pixels,
    is_value,
    open_arrays,
    settle_data,
    train_batches,
    view_batches,
)
from tests.images import CLASSES, shape, shapes


class Pictures(TorchDataset):
    """PIL images of different sizes, as a torchvision data set gives them."""

    classes = CLASSES

    def __init__(
        self, per_class: int = 8, *, color: bool = True, seed: int = 0, transform: Any = None
    ) -> None:
        random = np.random.default_rng(seed)
        self.transform = transform
        self.items = []
        for label in np.repeat(np.arange(3), per_class).tolist():
            image = shape(label, size=int(random.integers(20, 40)), random=random)
            tint = np.array([1, 0.8, 0.5]) if color else np.ones(3)
            self.items.append((Image.fromarray((image[..., None] * tint).astype(np.uint8)), label))

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        image, label = self.items[index]
        return (self.transform(image) if self.transform else image), label


class Table:
    """What a `datasets.Dataset` looks like from outside."""

    def __init__(
        self, pairs: TorchDataset, *, names: bool = True, columns: tuple[str, str] = ("img", "kind")
    ) -> None:
        self.pairs, self.columns = pairs, columns
        image = type("Image", (), {})()
        label = type("ClassLabel", (), {"names": list(CLASSES)})() if names else type("Value", (), {})()
        self.features = dict(zip(columns, (image, label), strict=True))
        self.column_names = list(columns)
        self.format = "torch"

    def __len__(self) -> int:
        return len(self.pairs)

    def with_format(self, kind: str | None) -> Table:
        made = Table(self.pairs, columns=self.columns)
        made.format = kind
        return made

    def __getitem__(self, index: int) -> dict[str, Any]:
        assert self.format is None
        return dict(zip(self.columns, self.pairs[index], strict=True))


def content(dataset):
    return {
        name: [(split.labels[place], split.image(place).tobytes()) for place in range(len(split))]
        for name, split in dataset.splits.items()
    }


def test_a_data_set_stays_and_a_name_is_opened():
    dataset = as_dataset("icons")
    assert as_dataset(dataset) is dataset
    assert settle_data("icons", seed=0) == data_argument("icons") == data_name("icons") == "icons"


def test_arrays_are_what_open_arrays_gives():
    images, labels = shapes(8, size=24, seed=0)
    dataset = as_dataset((images, labels), seed=3)
    assert content(dataset) == content(open_arrays(images, labels, seed=3))
    assert isinstance(dataset.splits["train"], ArraySplit)
    words = [CLASSES[label] for label in labels]
    assert as_dataset((images, words)).classes == CLASSES
    tensors = torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(labels)
    assert as_dataset(tensors, seed=3).fingerprint == dataset.fingerprint


def test_a_map_style_data_set_keeps_its_sizes_and_class_names():
    pictures = Pictures()
    dataset = as_dataset(pictures)
    assert (dataset.name, dataset.classes, dataset.channels) == ("pictures", CLASSES, 3)
    train = dataset.splits["train"]
    sizes = {train.size(index) for index in range(len(train))}
    assert len(sizes) > 1
    place = int(train.names[0])
    assert (train.image(0) == np.array(pictures.items[place][0])).all()
    assert train.labels[0] == pictures.items[place][1]
    assert min(train.image(0, min_side=10).shape[:2]) == 10
    assert as_dataset(Pictures(color=False)).channels == 1
    assert as_dataset(Pictures(color=False)).splits["train"].image(0).shape[2] == 1


def test_batches_do_not_depend_on_the_number_of_threads():
    dataset = as_dataset(Pictures())
    first, second = (
        [
            batch.images.tobytes()
            for batch in view_batches(dataset.splits["train"], resolution=16, batch_size=4, workers=workers)
        ]
        for workers in (1, 4)
    )
    assert first == second


def test_tensors_and_arrays_give_the_same_data_set():
    plain = as_dataset(Pictures())
    for transform in (
        np.array,
        lambda image: torch.from_numpy(np.array(image)).permute(2, 0, 1),
        lambda image: torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255,
        lambda image: torch.from_numpy(np.array(image)),
    ):
        assert as_dataset(Pictures(transform=transform)).fingerprint == plain.fingerprint


def test_subsets_tensor_data_sets_lists_and_pairs():
    pictures = Pictures()
    subset = Subset(pictures, range(len(pictures)))
    assert as_dataset(subset).fingerprint == as_dataset(pictures).fingerprint
    assert as_dataset(pictures.items).classes == ("0", "1", "2")
    images, labels = zip(*pictures.items, strict=True)
    assert content(as_dataset((list(images), list(labels)))) == content(as_dataset(pictures))
    gray, numbers = shapes(8, size=24, seed=0)
    tensors = TensorDataset(torch.from_numpy(gray).permute(0, 3, 1, 2), torch.from_numpy(numbers))
    assert as_dataset(tensors).splits["train"].image(0).shape == (24, 24, 1)


def test_splits_by_name_and_what_is_missing_is_cut():
    parts = {"train": Pictures(8), "test": Pictures(3, seed=1)}
    dataset = as_dataset(parts)
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 21, "val": 3, "test": 9}
    assert dataset.splits["test"].names[0] == "test/0"
    leaking = as_dataset({"train": Pictures(8), "test": Subset(Pictures(8), [0, 8, 16])})
    assert [file.path for file in leaking.rejected] == ["train/0", "train/8", "train/16"]
    whole = as_dataset(
        {"train": Pictures(8), "validation": Pictures(3, seed=1), "test": shapes(3, size=24, seed=2)}
    )
    assert len(whole.splits["val"]) == 9
    with pytest.raises(UnknownNameError, match="No split is named 'dev'"):
        as_dataset({"train": Pictures(8), "dev": Pictures(3)})


def test_hugging_faces_tables_and_their_dict():
    dataset = as_dataset(Table(Pictures()))
    assert (dataset.classes, dataset.name) == (CLASSES, "table")
    assert content(dataset) == content(as_dataset(Pictures()))
    assert as_dataset(Table(Pictures(), names=False, columns=("image", "label"))).classes == ("0", "1", "2")
    splits = as_dataset({"train": Table(Pictures(8)), "validation": Table(Pictures(4, seed=1))})
    assert len(splits.splits["val"]) == 12
    with pytest.raises(DataError, match="has no column called label; its columns are img, kind"):
        as_dataset(Table(Pictures(), names=False))


def test_a_value_is_remembered_by_its_fingerprint():
    images, labels = shapes(8, size=24, seed=0)
    dataset = settle_data((images, labels), seed=0)
    argument = data_argument(dataset)
    assert argument == f"arrays@{dataset.fingerprint}"
    assert is_value(argument)
    assert not is_value(data_argument("photos/arrays@" + "0" * 32))
    assert data_name(dataset) == "arrays"
    other = settle_data((255 - images, labels), seed=0)
    assert data_argument(other) != argument


def test_training_batches_of_items():
    from allometry.data import Augmentation

    train = as_dataset(Pictures()).splits["train"]
    options = {
        "resolution": 16,
        "batch_size": 4,
        "augmentation": Augmentation(rotation=10),
        "seed": 0,
        "epoch": 0,
    }
    assert next(train_batches(train, **options)).images.shape == (4, 16, 16, 3)


class Endless(IterableDataset):
    def __iter__(self):
        return iter([])


def flip(image):
    pixels = np.array(image)
    return pixels[:, ::-1].copy() if next(_coin) else pixels


_coin = itertools.cycle([False, True])

GRAY, LABELS = shapes(8, size=24, seed=0)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ((GRAY / 255, LABELS), r"must be uint8 .* not float64"),
        ((GRAY, LABELS[:5]), "24 images but 5 labels"),
        ((list(GRAY), LABELS[:5]), "24 images but 5 labels"),
        ((GRAY, LABELS * 0), "only one class"),
        ((GRAY, LABELS, CLASSES), r"as \(images, labels\), not as a tuple of 3"),
        (Endless(), "can only be iterated"),
        (iter([]), "can only be iterated"),
        (DataLoader(Pictures()), "give its data set: data=loader.dataset"),
        (7, "int is no data set"),
        ([], "is empty"),
        ({}, "empty dict"),
        ([1, 2, 3], "must be an image and its label, not int"),
        (Pictures(transform=str), "is of the type str. Possible: a PIL image"),
        (Pictures(transform=lambda image: np.array(image) / 255), r"float64 array \[.*\]. Possible"),
        (
            Pictures(transform=lambda image: torch.from_numpy(np.array(image)).permute(2, 0, 1) / 64 - 1),
            "Give the images without normalization",
        ),
        (Pictures(transform=lambda _image: 1 / 0), "Cannot read item 0 of pictures: ZeroDivisionError"),
        (Pictures(transform=flip), "another image each time"),
        ([(image, 0.5) for image in GRAY], "must be an integer or text, or 0 and 1 for each class, not 0.5"),
        (
            [(image, ["a", 1][place % 2]) for place, image in enumerate(GRAY)],
            "labels of several kinds or lengths",
        ),
    ],
)
def test_says_what_is_wrong(data, says):
    with pytest.raises(DataError, match=says):
        as_dataset(data)


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([b"a", b"b"] * 4, ("a", "b")),
        ([[1], [0]] * 4, ("0", "1")),
        ([True, False] * 4, ("0", "1")),
        ([2.0, 7.0] * 4, ("2", "7")),
    ],
)
def test_labels_beside_a_list_of_images_are_as_those_beside_an_array(labels, classes):
    images = np.arange(8, dtype=np.uint8).repeat(64).reshape(8, 8, 8)
    pairs = list(zip(images, labels, strict=True))
    for data in ((images, labels), (list(images), labels), pairs):
        assert as_dataset(data).classes == classes
    with pytest.raises(DataError, match="of several lengths or kinds"):
        as_dataset((list(images), [[1], [1, 0]] * 4))
    with pytest.raises(DataError, match="label of row 0 is missing"):
        as_dataset((list(images), [None, "a"] * 4))


@pytest.mark.parametrize("classes", [{"a": 1, "b": 0}, {"a", "b"}, 2])
def test_names_of_classes_have_an_order(classes):
    images = np.arange(8, dtype=np.uint8).repeat(64).reshape(8, 8, 8)
    with pytest.raises(DataError, match="classes must be a list of names in the order of their numbers, not"):
        open_arrays(images, [0, 1] * 4, classes=classes)


def test_a_size_that_changes_later_is_noticed():
    sizes = iter([False] * 32 + [True] * 100)
    pictures = Pictures(transform=lambda image: image.resize((9, 9)) if next(sizes) else image)
    dataset = as_dataset(pictures)
    with pytest.raises(DataError, match="without random"):
        dataset.splits["train"].image(0)


def test_pixels_of_an_image():
    red = Image.new("RGB", (6, 4), (255, 0, 0))
    assert image_pixels(red)[0, 0].tolist() == [255, 0, 0]
    assert image_pixels(Image.new("RGBA", (6, 4), (255, 0, 0, 0)))[0, 0].tolist() == [255, 255, 255]
    assert image_pixels(np.array(Image.new("RGBA", (6, 4))))[0, 0].tolist() == [255, 255, 255]
    turned = Image.new("L", (6, 4))
    turned.getexif()[0x0112] = 6
    assert image_pixels(turned).shape == (6, 4, 1)
    assert image_pixels(Image.fromarray(np.full((4, 6), 256 * 9, np.uint16)))[0, 0, 0] == 9
    assert image_pixels(torch.ones(1, 4, 6))[0, 0, 0] == 255
    with pytest.raises(DataError, match="32-bit"):
        image_pixels(Image.new("F", (6, 4)))
    with pytest.raises(DataError, match="no pixels"):
        image_pixels(Image.new("L", (0, 4)))
