"""Images that a network is judged by: all of them, with few images or classes, matched by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from allometry.base import DataError
from allometry.data import NamedSplit, as_dataset, as_split

from .conftest import Told
from .test_shards import png, write_tar

WriteImage = Callable[..., Path]
PETS = ("cat", "cow", "dog")


def judged(
    data: object, *, classes: tuple[str, ...] = PETS, told: Told | None = None, **options: object
) -> NamedSplit:
    return as_split(data, classes=classes, channels=1, progress=told or Told(), **options)


@pytest.fixture
def sources(tmp_path: Path, write_image: WriteImage) -> dict[str, Path]:
    """Two dogs and a cat, as each kind of source."""
    rows, members = ["path,label"], {}
    for number, name in enumerate(("dog", "cat", "dog")):
        path = write_image(f"pets/{name}/{number}.png", 50 * number)
        rows.append(f"pets/{name}/{number}.png,{name}")
        members |= {f"{number}.png": path.read_bytes(), f"{number}.cls": name.encode()}
    (tmp_path / "pets.csv").write_text("\n".join(rows))
    write_tar(tmp_path / "pets.tar", members)
    images = np.arange(3, dtype=np.uint8).repeat(64).reshape(3, 8, 8)
    np.savez(tmp_path / "pets.npz", images=images, labels=["dog", "cat", "dog"])
    np.savez(tmp_path / "named.npz", images=images, labels=[0, 1, 0], classes=["dog", "cat"])
    return {name: tmp_path / name for name in ("pets", "pets.csv", "pets.tar", "pets.npz", "named.npz")}


@pytest.mark.parametrize("name", ["pets", "pets.csv", "pets.tar", "pets.npz", "named.npz"])
def test_all_images_count_and_classes_are_matched_by_name(sources: dict[str, Path], name: str) -> None:
    told = Told()
    named = judged(sources[name], told=told)
    assert named.name == "all"
    assert sorted(named.split.labels.tolist()) == [0, 2, 2]
    matched = next(line for line in told.lines if "matched" in line)
    assert matched.endswith(
        "classes are matched by their names; it has no image of 1 of the network's 3 classes ('cow'). "
        "It is judged by all 3 images."
    )
    assert [named.split.image(place).shape[2] for place in range(3)] == [1, 1, 1]
    with pytest.raises(
        DataError, match=r"does not know 1 class of 1 image: 'cat'. It knows 'cow', 'dog'. Leave"
    ):
        judged(sources[name], classes=("cow", "dog"))
    with pytest.raises(DataError, match=r"has no images for val. Leave the split out to judge by all"):
        judged(sources[name], split="val")


def test_one_class_is_enough(tmp_path: Path, write_image: WriteImage) -> None:
    path = write_image("d/dog/1.png")
    (tmp_path / "list.csv").write_text("path,label\nd/dog/1.png,dog\n")
    write_tar(tmp_path / "d.tar", {"1.png": path.read_bytes(), "1.cls": b"dog"})
    images = np.zeros((2, 8, 8), np.uint8)
    pairs = [(images[0], "dog")]
    for data in (tmp_path / "d", tmp_path / "list.csv", tmp_path / "d.tar", (images, ["dog", "dog"]), pairs):
        assert set(judged(data).split.labels.tolist()) == {2}


def test_a_part_that_is_marked_counts_alone(tmp_path: Path, write_image: WriteImage) -> None:
    rows = ["path,label,split"]
    for number, (split, name) in enumerate(
        (("train", "cat"), ("train", "dog"), ("val", "dog"), ("test", "cow"))
    ):
        write_image(f"d/{split}/{name}/{number}.png", number)
        rows.append(f"d/{split}/{name}/{number}.png,{name},{split}")
    (tmp_path / "list.csv").write_text("\n".join(rows))
    for data in (tmp_path / "d", tmp_path / "list.csv"):
        told = Told()
        named = judged(data, told=told)
        assert (named.name, named.split.labels.tolist()) == ("test", [1])
        assert "It is judged by the 1 for test of 4 images." in "\n".join(told.lines)
        assert judged(data, split="train").split.labels.tolist() == [0, 2]


@pytest.mark.parametrize("splits", [("val", "test"), ("Valid", "train"), ("test",), ("dev_test", "dev_val")])
def test_none_need_be_for_training(tmp_path: Path, write_image: WriteImage, splits: tuple[str, ...]) -> None:
    for number, split in enumerate(splits):
        path = write_image(f"d/{split}/dog/{number}.png", number)
        write_tar(tmp_path / f"shards/{split}/0.tar", {"1.png": path.read_bytes(), "1.txt": b"dog"})
        write_image(f"d/{split}/cat/{number}.png", 99 + number)
    folders = judged(tmp_path / "d")
    assert folders.name == ("all" if len(splits) == 1 or "train" in splits else "test")
    assert len(folders.split) == (2 if folders.name == "test" else 2 * len(splits))
    assert len(set(folders.split.names)) == len(folders.split)
    assert [folders.split.size(place) for place in range(len(folders.split))] == [(10, 12)] * len(
        folders.split
    )
    shards = judged(tmp_path / "shards")
    assert (shards.name, len(shards.split)) == (folders.name, len(folders.split) // 2)


def test_values_are_judged_as_files_are() -> None:
    images = np.arange(6, dtype=np.uint8).repeat(64).reshape(6, 8, 8)
    parts = {"train": (list(images[:4]), ["cat", "dog"] * 2), "test": (list(images[4:]), ["cow", "cat"])}
    assert judged(parts).split.labels.tolist() == [1, 0]

    class Pictures:
        """As torchvision's: numbers with names in an order of its own."""

        classes = ("dog", "cat")

        def __len__(self) -> int:
            return 6

        def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
            return images[index], index % 2

    assert judged(Pictures()).split.labels.tolist() == [2, 0] * 3
    dataset = as_dataset((np.concatenate([images] * 4), ["cat", "dog"] * 12))
    whole = replace(dataset, classes=("dog", "cat"))
    assert set(judged(whole).split.labels.tolist()) == {0, 2}
    assert judged(whole).name == "test"


@pytest.mark.parametrize(
    ("labels", "classes", "known", "how"),
    [
        (
            [0, 2, 2],
            PETS,
            [0, 2, 2],
            "by their numbers, which are places among the network's classes (0 is 'cat')",
        ),
        ([0, 2, 10], ("0", "1", "2", "10"), [0, 2, 3], "by their names"),
        ([0, 2, 10], ("00", "01", "02", "10"), [0, 2, 3], "by their values"),
        (["01", "1"], ("0", "1"), [1, 1], "by their values"),
        ([1, 2, 3], ("1", "2", "3"), [0, 1, 2], "by their names"),
        ([True, False], ("no", "yes"), [1, 0], "by their numbers"),
    ],
)
def test_numbers_are_matched_by_value(
    labels: list[object], classes: tuple[str, ...], known: list[int], how: str
) -> None:
    told = Told()
    images = np.zeros((len(labels), 8, 8), np.uint8)
    assert judged((images, labels), classes=classes, told=told).split.labels.tolist() == known
    assert f"classes are matched {how}" in "\n".join(told.lines)


@pytest.mark.parametrize(
    ("labels", "classes", "message"),
    [
        ([1, 2, 3], PETS, r"does not know 1 class of 1 image: '3'"),
        ([0, 1, 3], ("0", "1", "2"), r"does not know 1 class of 1 image: '3'"),
        (["cat", "Dog", "emu"], PETS, r"does not know 2 classes of 2 images: 'Dog', 'emu'"),
        ([[1, 0, 1]] * 3, PETS, "trained on images with one label, and those of arrays have several"),
    ],
)
def test_other_classes_are_refused(labels: list[object], classes: tuple[str, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        judged((np.zeros((3, 8, 8), np.uint8), labels), classes=classes)


def test_several_labels_are_matched_by_name(tmp_path: Path, write_image: WriteImage) -> None:
    write_image("1.png")
    write_image("2.png", 9)
    (tmp_path / "list.csv").write_text("path,labels\n1.png,dog|cat\n2.png,\n")
    split = judged(tmp_path / "list.csv", multi_label=True).split
    assert split.labels.tolist() == [[1, 0, 1], [0, 0, 0]]
    images = np.zeros((2, 8, 8), np.uint8)
    for labels in (np.eye(3)[[0, 2]], np.eye(3, dtype=bool)[[0, 2]]):
        assert judged((images, labels), multi_label=True).split.labels.tolist() == [[1, 0, 0], [0, 0, 1]]
    with pytest.raises(DataError, match="does not know 2 classes of 2 images: '0', '1'"):
        judged((images, [[1, 1], [0, 1]]), multi_label=True)
    (tmp_path / "list.csv").write_text("path,labels\n1.png,dog|emu\n2.png,\n")
    with pytest.raises(DataError, match="does not know 1 class of 1 image: 'emu'"):
        judged(tmp_path / "list.csv", multi_label=True)


def test_nothing_to_judge_by(tmp_path: Path) -> None:
    (tmp_path / "d/cat").mkdir(parents=True)
    (tmp_path / "d/cat/1.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"d has no usable image: cat/1.png \(it is not an image"):
        judged(tmp_path / "d")
    (tmp_path / "d/cat/1.png").unlink()
    with pytest.raises(DataError, match="has no class folders"):
        judged(tmp_path / "d")
    write_tar(tmp_path / "d.tar", {"1.png": png(1)})
    with pytest.raises(DataError, match="has no sample that could be used"):
        judged(tmp_path / "d.tar")


def test_what_is_left_out_is_told(tmp_path: Path, write_image: WriteImage) -> None:
    write_image("d/cat/good.png")
    for number in range(7):
        (tmp_path / f"d/cat/{number}.png").write_bytes(b"no image")
    told = Told()
    assert len(judged(tmp_path / "d", told=told).split) == 1
    left_out = [line for line in told.lines if line.startswith("left out")]
    assert left_out[0].startswith("left out: cat/0.png: it is not an image")
    assert left_out[-1] == "left out: 2 more"


def test_copies_all_count(tmp_path: Path, write_image: WriteImage) -> None:
    for name in ("train/cat/1", "test/cat/1", "test/cat/2", "test/dog/1"):
        write_image(f"d/{name}.png", 7)
    assert len(judged(tmp_path / "d").split) == 3
