from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from allometry.base import DataError
from allometry.data import Dataset, Rejected, image_files, normalization, open_data, summarize
from allometry.data.sources.folder import scan
from allometry.data.sources.records import split_of

WriteImage = Callable[..., Path]


def members(dataset: Dataset) -> dict[str, set[str]]:
    return {name: set(split.names) for name, split in dataset.splits.items()}


def test_cuts_every_class_70_15_15(tmp_path: Path, write_image: WriteImage) -> None:
    for number in range(40):
        write_image(f"d/a/{number}.png", number)
    for number in range(20):
        write_image(f"d/b/deep/er/{number}.png", 100 + number)
    dataset = open_data(tmp_path / "d")
    summary = summarize(dataset)
    assert summary.images == {"train": 42, "val": 9, "test": 9}
    assert summary.per_class["val"][0::2] == (3, 6)
    assert dataset.classes == ("a", "b")
    assert sum(len(names) for names in members(dataset).values()) == len(
        set().union(*members(dataset).values())
    )
    for split in dataset.splits.values():
        assert [name[0] for name in split.names] == ["ab"[label] for label in split.labels]


def test_cut_depends_on_seed_and_content_alone(folder: Path, tmp_path: Path) -> None:
    first = open_data(folder)
    assert members(open_data(folder)) == members(first)
    assert members(open_data(folder, seed=1)) != members(first)
    moved = tmp_path / "elsewhere"
    shutil.copytree(folder, moved)
    assert members(open_data(moved)) == members(first)


def test_three_images_are_enough(tmp_path: Path, write_image: WriteImage) -> None:
    for number in range(3):
        write_image(f"d/a/{number}.png", number)
        write_image(f"d/b/{number}.png", 9 + number)
    assert summarize(open_data(tmp_path / "d")).images == {"train": 2, "val": 2, "test": 2}


@pytest.mark.parametrize("seed", range(8))
def test_identical_files_share_a_split(tmp_path: Path, write_image: WriteImage, seed: int) -> None:
    for number in range(24):
        write_image(f"d/a/{number}.png", number // 4)
        write_image(f"d/b/{number}.png", 3 + number // 3)  # three of its levels are also in the other class
    dataset = open_data(tmp_path / "d", seed=seed)
    seen: dict[str, str] = {}
    for name, split in dataset.splits.items():
        assert set(split.labels.tolist()) == {0, 1}
        for index in range(len(split)):
            assert seen.setdefault(split.digest(index), name) == name


def test_given_splits_are_kept(tmp_path: Path, write_image: WriteImage) -> None:
    for place, split in enumerate(("train", "valid", "test")):
        for number in range(3):
            write_image(f"d/{split}/a/{number}.png", 10 * place + number)
            write_image(f"d/{split}/b/{number}.png", 100 + 10 * place + number)
    write_image("d/train/stray.png")
    write_image("d/extra/some.png")
    dataset = open_data(tmp_path / "d")
    assert {name.split("/")[0] for name in dataset.splits["val"].names} == {"valid"}
    assert summarize(dataset).images == {"train": 6, "val": 6, "test": 6}
    assert dataset.rejected == (
        Rejected("extra", "not inside train, val or test"),
        Rejected("train/stray.png", "not inside a class folder"),
    )


@pytest.mark.parametrize("present", [["train"], ["train", "test"], ["train", "val"]])
def test_missing_splits_are_cut_from_train(
    tmp_path: Path, write_image: WriteImage, present: list[str]
) -> None:
    for place, split in enumerate(present):
        for number in range(20):
            write_image(f"d/{split}/a/{number}.png", 40 * place + number)
            write_image(f"d/{split}/b/{number}.png", 40 * place + 20 + number)
    summary = summarize(open_data(tmp_path / "d"))
    cut = [name for name in ("val", "test") if name not in present]
    assert all(summary.images[name] == 6 for name in cut)
    assert all(summary.images[name] == 40 for name in present[1:])
    assert summary.images["train"] == 40 - 6 * len(cut)


def test_train_images_that_are_also_in_test_are_left_out(tmp_path: Path, write_image: WriteImage) -> None:
    for number in range(4):
        for place, split in enumerate(("train", "test")):
            write_image(f"d/{split}/a/{number}.png", 10 * place + number)
            write_image(f"d/{split}/b/{number}.png", 100 + 10 * place + number)
    write_image("d/train/a/leak.png", 10)
    dataset = open_data(tmp_path / "d")
    (leak,) = dataset.rejected
    assert leak.path == "train/a/leak.png"
    assert "the same image as test/a/0.png" in leak.reason


def test_train_may_be_a_class(tmp_path: Path, write_image: WriteImage) -> None:
    for number in range(3):
        write_image(f"d/train/{number}.png", number)
        write_image(f"d/bus/{number}.png", 9 + number)
    assert open_data(tmp_path / "d").classes == ("bus", "train")


def test_unusable_files_are_listed_and_hidden_ones_ignored(folder: Path, write_image: WriteImage) -> None:
    whole = (folder / "cat/1.png").read_bytes()
    (folder / "cat/broken.png").write_bytes(whole[:40])
    (folder / "cat/empty.JPG").touch()
    (folder / "cat/notes.txt").write_text("no image")
    (folder / "dog/lost.png").symlink_to(folder / "nowhere.png")
    (folder / "cat/.hidden.png").write_text("hidden")
    write_image("pets/.cache/x.png")
    write_image("pets/loose.png")
    os.mkfifo(folder / "dog/pipe.png")
    dataset = open_data(folder)
    assert [each.path for each in dataset.rejected] == [
        "cat/broken.png",
        "cat/empty.JPG",
        "cat/notes.txt",
        "dog/lost.png",
        "dog/pipe.png",
        "loose.png",
    ]
    reasons = [each.reason for each in dataset.rejected]
    assert "truncated" in reasons[0] or "broken" in reasons[0]
    assert reasons[1:] == [
        "the file is empty",
        "not an image file",
        "a link to nothing",
        "not a regular file",
        "not inside a class folder",
    ]
    assert summarize(dataset).rejected == 6
    assert "left out: 6 files" in str(summarize(dataset))


def test_links_in_a_circle_end(folder: Path) -> None:
    (folder / "cat/again").symlink_to(folder / "cat")
    (folder / "cat/up").symlink_to(folder)
    (folder / "dog/self").symlink_to(folder / "dog/self")
    dataset = open_data(folder)
    names = [name for split in dataset.splits.values() for name in split.names]
    assert sum(name.startswith("dog/") for name in names) == 10


def test_names_of_any_language(tmp_path: Path, write_image: WriteImage) -> None:
    for number in range(3):
        write_image(f"d/größe 1/das bild {number}.png", number)
        write_image(f"d/猫/{number}.png", 9 + number)
    assert open_data(tmp_path / "d").classes == ("größe 1", "猫")
    assert len(open_data(tmp_path / "d").splits["train"]) == 2


def test_channels_and_size(folder: Path, write_image: WriteImage) -> None:
    gray = open_data(folder)
    assert (gray.channels, gray.image_size, gray.name) == (1, 10, "pets")
    write_image("pets/cat/gray as rgb.png", (7, 7, 7))
    assert open_data(folder).channels == 1
    write_image("pets/cat/red.png", (200, 7, 7))
    color = open_data(folder)
    assert color.channels == 3
    assert color.splits["train"].image(0).shape == (10, 12, 3)
    assert len(normalization(color).std) == 3


def test_deviation_is_never_zero(tmp_path: Path, write_image: WriteImage) -> None:
    for name in ("a", "b"):
        for number in range(3):
            write_image(f"d/{name}/{number}.png", 51, size=(8 + number + 10 * (name == "b"), 8))
    mean, std = normalization(open_data(tmp_path / "d"))
    assert mean == pytest.approx([0.2])
    assert std == (1e-3,)


def test_fingerprint_follows_content_and_cut(folder: Path, write_image: WriteImage) -> None:
    before = open_data(folder).fingerprint
    os.utime(folder / "cat/1.png", (1, 1))
    assert open_data(folder).fingerprint == before
    assert open_data(folder, seed=5).fingerprint != before
    write_image("pets/cat/1.png", 77)
    assert open_data(folder).fingerprint != before


def test_a_file_that_has_gone_is_named(folder: Path) -> None:
    train = open_data(folder).splits["train"]
    (folder / train.names[0]).unlink()
    with pytest.raises(DataError, match=train.names[0]):
        train.image(0)


def test_pictures_are_kept_within_the_limit(folder: Path) -> None:
    train = open_data(folder, cache_bytes=3 * 4 * 5).splits["train"]
    first = [train.image(index, min_side=4) for index in range(len(train))]
    again = [train.image(index, min_side=4) for index in range(len(train))]
    assert sum(one is two for one, two in zip(first, again, strict=True)) == 3
    assert all((one == two).all() for one, two in zip(first, again, strict=True))


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["1.png", "2.png"], r"holds images but no class folders. Put each class's images in a folder"),
        ([], r"has no class folders. Put each class"),
        (["a/1.png", "a/2.png"], r"only one class, 'a'"),
        (["train/1.png", "test/2.png"], r"train holds images directly. Put .*train/cat/1.jpg"),
        (["train/a/1.png", "train/b/1.png", "test/a/1.png"], r"different classes: 'b' only in train"),
        (
            ["train/a/1.png", "train/b/1.png", "test/a/2.png", "test/b/2.png"],
            r"'a' .* only 1 usable image in train",
        ),
        (
            ["a/1.png", "a/2.png", "a/3.png", "b/1.png", "b/2.png"],
            r"Class 'b' .* only 2 usable images, and at least 3",
        ),
        (
            ["a/1.png", "a/2.png", "a/3.png", "b/1.txt"],
            r"Class 'b' .* no usable image: b/1.txt \(not an image file\)",
        ),
        (
            ["train/a/1.png", "train/b/1.png", "val/a/1.png", "valid/a/1.png"],
            r"several folders for validation",
        ),
    ],
)
def test_says_what_is_wrong_with_the_folder(
    tmp_path: Path, write_image: WriteImage, paths: list[str], message: str
) -> None:
    (tmp_path / "d").mkdir()
    for level, path in enumerate(paths):
        if path.endswith(".txt"):
            (tmp_path / "d" / path).parent.mkdir(parents=True)
            (tmp_path / "d" / path).write_text("x")
        else:
            write_image(f"d/{path}", level)
    with pytest.raises(DataError, match=message):
        open_data(tmp_path / "d")


def test_says_why_no_image_of_a_class_is_usable(folder: Path) -> None:
    for path in (folder / "cat").iterdir():
        path.write_bytes(b"")
    with pytest.raises(
        DataError, match=r"'cat' .*: cat/0.png \(the file is empty\), .* and more. Add images"
    ):
        open_data(folder)


def test_copies_of_one_image_are_not_enough(tmp_path: Path, write_image: WriteImage) -> None:
    for number in range(5):
        write_image(f"d/a/{number}.png", number)
        write_image(f"d/b/{number}.png", 100)
    with pytest.raises(DataError, match="Class 'b' has too few different images"):
        open_data(tmp_path / "d")


def test_suggests_what_was_meant(folder: Path) -> None:
    with pytest.raises(DataError, match=r"no folder .*pest. Did you mean .*pets\?"):
        open_data(folder.parent / "pest")
    with pytest.raises(DataError, match=r"Did you mean icons, the built-in set"):
        open_data("iconz")
    with pytest.raises(DataError, match=r"Give a folder of class folders, or icons"):
        open_data(folder / "no" / "such")
    with pytest.raises(DataError, match=r"1.png is a file; give the folder"):
        open_data(folder / "cat/1.png")


def test_sizes_are_those_of_the_upright_pictures(tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 6
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(4):
            image = Image.new("RGB", (40, 20), (number, 50, len(name)))
            options = {"exif": turned} if number == 0 else {}
            image.save(tmp_path / name / f"{number}.jpg", **options)
    dataset = open_data(tmp_path)
    for split in dataset.splits.values():
        for index in range(len(split)):
            assert split.size(index) == split.image(index).shape[:2]
    sizes = {split.size(index) for split in dataset.splits.values() for index in range(len(split))}
    assert sizes == {(20, 40), (40, 20)}


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("Train", "Test"),
        ("Training", "Testing"),
        ("training_set", "test_set"),
        ("train", "Val"),
        ("train", "eval"),
        ("TRAIN_IMAGES", "validation-images"),
        ("train2017", "val2017"),
    ],
)
def test_folders_of_splits_are_never_classes(
    tmp_path: Path, write_image: WriteImage, train: str, test: str
) -> None:
    for folder in (train, test):
        for class_name in ("cat", "dog"):
            for number in range(6):
                write_image(f"{folder}/{class_name}/{number}.png", number + 10 * len(folder))
    layout = scan(tmp_path)
    assert layout.classes == ("cat", "dog")
    assert layout.splits == tuple(split_of(name) for name in sorted((train, test)))
    assert set(layout.splits) == {"train", "test"} if "est" in test else {"train", "val"}


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (("val", "test"), "has folders for test and val but none for training"),
        (("summer", "winter"), r"summer and winter in .* all hold the same folders \(cat, dog\)"),
        (("Train", "training"), "several folders for training, Train and training"),
    ],
)
def test_folders_that_all_hold_the_classes_are_no_classes(
    tmp_path: Path, write_image: WriteImage, folders: tuple[str, ...], message: str
) -> None:
    for number, folder in enumerate(folders):
        for class_name in ("cat", "dog"):
            write_image(f"{folder}/{class_name}/1.png", number)
    with pytest.raises(DataError, match=message):
        scan(tmp_path)


def test_classes_with_folders_of_their_own_stay_classes(tmp_path: Path, write_image: WriteImage) -> None:
    for number, path in enumerate(("cat/summer/1.png", "cat/winter/1.png", "dog/summer/1.png", "dog/2.png")):
        write_image(path, number)
    assert scan(tmp_path).classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (
            ("train/cat", "train/dog", "dev/cat", "dev/dog"),
            "train and dev in .* hold the same folders .cat, dog.",
        ),
        (
            ("train/cat", "train/dog", "docs"),
            "not clear whether train in .* holds the images to train on or is a class",
        ),
        (("val/cat", "val/dog", "test/cat"), "has folders for test and val but none for training"),
        (("val", "test"), "has folders for test and val but none for training"),
        (("training", "validation", "other"), "training holds images directly"),
        (
            ("cat/train", "cat/test", "dog/train", "dog/test"),
            "cat and dog in .* each hold test and train. Put the splits",
        ),
    ],
)
def test_where_it_is_not_clear_what_is_a_class_nothing_is_guessed(
    tmp_path: Path, write_image: WriteImage, paths: tuple[str, ...], message: str
) -> None:
    for number, path in enumerate(paths):
        write_image(f"{path}/1.png", number)
    with pytest.raises(DataError, match=message):
        scan(tmp_path)


@pytest.mark.parametrize(
    "paths", [("train/2019", "train/2020", "bus/2020"), ("train", "bus"), ("train/old", "bus")]
)
def test_a_class_of_vehicles_stays_one(
    tmp_path: Path, write_image: WriteImage, paths: tuple[str, ...]
) -> None:
    for number, path in enumerate(paths):
        write_image(f"{path}/1.png", number)
    assert scan(tmp_path).classes == ("bus", "train")


def test_images_are_known_by_many_endings_and_without_one_by_their_content(
    folder: Path, write_image: WriteImage, tmp_path: Path
) -> None:
    names = ["a.jfif", "b.JPE", "c", "d41d8cd98f00b204", "2019-01-02 10.11.12", "photo.jpg_large"]
    for number, name in enumerate(names):
        write_image("pets/cat/new.png", 50 + number).rename(folder / "cat" / name)
    (folder / "cat" / "README").write_text("no image")
    os.mkfifo(folder / "cat" / "pipe")
    data = open_data(folder, cache_folder=tmp_path / "cache")
    listed = {name for split in data.splits.values() for name in split.names}
    assert {f"cat/{name}" for name in names} <= listed
    assert [(file.path, file.reason) for file in data.rejected] == [
        ("cat/README", "not an image file"),
        ("cat/pipe", "not an image file"),
    ]
    assert {path.name for path in image_files(folder / "cat")} >= set(names)
