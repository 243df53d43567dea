"""What classes are called, whatever the images come from, and labels as people have them."""

from __future__ import annotations

import csv
import json
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from allometry.base import DataError
from allometry.data import as_dataset, open_arrays, open_data
from allometry.data.sources.classes import class_name, sorted_classes
from allometry.data.sources.folder import scan
from allometry.data.sources.labels import class_labels
from allometry.data.sources.manifest import read_manifest
from allometry.data.sources.tar import read_members

from .conftest import Told
from .test_shards import png, write_tar

WriteImage = Callable[..., Path]
NUMBERS = ("0", "1", "2", "10")


def pictures(number: int = 20) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (number, 8, 6), dtype=np.uint8)


@given(st.text(max_size=40))
def test_a_name_can_be_written_and_read_back(text: str) -> None:
    name = class_name(text)
    assert class_name(name) == name == unicodedata.normalize("NFC", name)
    assert json.loads(json.dumps(name)) == name.encode().decode()
    assert name.splitlines() in ([], [name])
    assert next(csv.reader([f'"{name.replace(chr(34), 2 * chr(34))}"']), []) == [name]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("  cat ", "cat"),
        ("cafe\u0301", "café"),
        (os.fsdecode(b"caf\xe9"), r"caf\xe9"),
        ("caf\u00e9".encode().decode("ascii", "surrogateescape"), "café"),
        ("a\x1fb", r"a\x1fb"),
        ("a\tb\nc", r"a\x09b\x0ac"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("a\u202eb", r"a\u202eb"),
        ("\ud83d", r"\ud83d"),
        ("[bold] :dog: <b>", "[bold] :dog: <b>"),
    ],
)
def test_signs_that_nobody_sees_are_made_visible(text: str, name: str) -> None:
    assert class_name(text) == name


def test_numbers_are_sorted_by_value() -> None:
    assert sorted_classes({"10", "9", "-1", "0.5"}) == ("-1", "0.5", "9", "10")
    assert sorted_classes({"1e5", "10", "9"}) == ("10", "1e5", "9")


def test_one_order_of_classes_for_every_kind_of_source(tmp_path: Path, write_image: WriteImage) -> None:
    rows, members = ["path,label"], {}
    labels = np.array([int(name) for name in NUMBERS] * 5)
    for number, label in enumerate(labels):
        path = write_image(f"folder/{label}/{number}.png", number)
        rows.append(f"folder/{label}/{number}.png,{label}")
        members |= {f"{number:03}.png": path.read_bytes(), f"{number:03}.cls": str(label).encode()}
    (tmp_path / "list.csv").write_text("\n".join(rows))
    write_tar(tmp_path / "shard.tar", members)
    np.savez(tmp_path / "arrays.npz", images=pictures(), labels=labels)
    np.savez(tmp_path / "texts.npz", images=pictures(), labels=labels.astype(str))
    np.savez(tmp_path / "bytes.npz", images=pictures(), labels=labels.astype("S"))
    for name in ("folder", "list.csv", "shard.tar", "arrays.npz", "texts.npz", "bytes.npz"):
        assert open_data(tmp_path / name).classes == NUMBERS, name
    pairs = [(Image.fromarray(image), int(label)) for image, label in zip(pictures(), labels, strict=True)]
    assert as_dataset(pairs).classes == NUMBERS


def test_odd_names_are_the_same_for_every_kind_of_source(tmp_path: Path, write_image: WriteImage) -> None:
    odd, expected = ("a\u202eb", "cafe\u0301", "x\x1by"), ("a\\u202eb", "café", "x\\x1by")
    members = {}
    with (tmp_path / "list.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "label"])
        for number in range(18):
            name = odd[number % 3]
            path = write_image(f"folder/{name}/{number}.png", number)
            table.writerow([path.relative_to(tmp_path), name])
            members |= {f"{number:03}.png": path.read_bytes(), f"{number:03}.txt": name.encode()}
    write_tar(tmp_path / "shard.tar", members)
    labels = [odd[number % 3] for number in range(18)]
    np.savez(tmp_path / "arrays.npz", images=pictures(18), labels=labels)
    for name in ("folder", "list.csv", "shard.tar", "arrays.npz"):
        assert open_data(tmp_path / name).classes == tuple(sorted(expected)), name


def test_folders_whose_names_are_no_text(tmp_path: Path, write_image: WriteImage) -> None:
    for number in range(3):
        write_image(f"d/cat/{number}.png", number)
        write_image(f"d/other/{number}.png", 10 + number)
    (tmp_path / "d/other").rename(tmp_path / os.fsdecode(b"d/caf\xe9"))
    dataset = open_data(tmp_path / "d")
    assert dataset.classes == (r"caf\xe9", "cat")
    assert dataset.splits["train"].image(0).shape == (10, 12, 1)


def test_two_folders_of_one_name_are_refused(tmp_path: Path, write_image: WriteImage) -> None:
    for number, name in enumerate(("cafe\u0301", "café", "cat")):
        write_image(f"d/{name}/1.png", number)
    with pytest.raises(DataError, match=r"Two folders in .* are for one class, 'café'"):
        scan(tmp_path / "d")


@pytest.mark.parametrize("partial", [False, True])
def test_folders_that_hold_nothing_of_ours_are_no_classes(
    tmp_path: Path, write_image: WriteImage, partial: bool
) -> None:
    for number, name in enumerate(("cat", "dog")):
        for place in ("", "train/", "test/"):
            write_image(f"{place or 'd/'}{name}/1.png", number)
            write_image(f"{place or 'd/'}{name}/__MACOSX/2.png", number)
    for place in ("d", "train", "test"):
        write_image(f"{place}/__MACOSX/cat/1.png")
        write_image(f"{place}/$RECYCLE.BIN/1.png")
        write_image(f"{place}/.git/1.png")
        (tmp_path / place / "empty").mkdir()
    layout = scan(tmp_path / "d", partial=partial)
    assert layout.classes == ("cat", "dog")
    assert [file.path for file in layout.files] == ["cat/1.png", "dog/1.png"]
    assert {file.path: file.reason for file in layout.refused} == {
        "$RECYCLE.BIN": "a folder that a system or program has left",
        "__MACOSX": "a folder that a system or program has left",
        "empty": "an empty folder, which is taken for no class",
    }
    (tmp_path / "d").rename(tmp_path / "__MACOSX")
    layout = scan(tmp_path, partial=partial)
    assert (layout.classes, layout.splits) == (("cat", "dog"), ("test", "train"))
    assert len(layout.refused) == 7


def test_a_folder_around_the_folder_is_looked_into(tmp_path: Path, write_image: WriteImage) -> None:
    write_image("d/pets/cat/1.png")
    write_image("d/pets/dog/1.png")
    with pytest.raises(DataError, match=r"only one class, 'pets'.*the folders in .*d/pets, give that"):
        scan(tmp_path / "d")


@pytest.mark.parametrize(
    ("train", "test"),
    [("pets_train", "pets_test"), ("train_set_1", "test_set_1"), ("my-train-images", "my-val-images")],
)
def test_words_that_all_folders_share_are_looked_over(
    tmp_path: Path, write_image: WriteImage, train: str, test: str
) -> None:
    rows = ["path,label,split"]
    for number, folder in enumerate((train, test)):
        for name in ("cat", "dog"):
            write_image(f"d/{folder}/{name}/1.png", number)
            rows.append(f"d/{folder}/{name}/1.png,{name},{folder}")
    layout = scan(tmp_path / "d")
    assert layout.classes == ("cat", "dog")
    assert set(layout.splits) == {"train", "val" if "val" in test else "test"}
    (tmp_path / "list.csv").write_text("\n".join(rows))
    assert set(read_manifest(tmp_path / "list.csv").splits) == set(layout.splits)


def test_classes_that_share_a_word_stay_classes(tmp_path: Path, write_image: WriteImage) -> None:
    write_image("d/train station/1.png")
    write_image("d/test station/1.png")
    assert scan(tmp_path / "d").classes == ("test station", "train station")


@pytest.mark.parametrize(
    ("labels", "classes", "known"),
    [
        (LABELS := np.arange(20) % 2, None, ("0", "1")),
        (LABELS[:, None], None, ("0", "1")),
        (LABELS == 1, None, ("0", "1")),
        (LABELS.astype(float), None, ("0", "1")),
        (LABELS.astype(object), None, ("0", "1")),
        (LABELS.astype(np.uint64), None, ("0", "1")),
        (LABELS + 1, None, ("1", "2")),
        (LABELS * 10 + 5, None, ("5", "15")),
        (LABELS + 1, ["a", "b"], ("a", "b")),
        (np.eye(2)[LABELS], None, ("0", "1")),
        (np.eye(2, dtype=bool)[LABELS], ["a", "b"], ("a", "b")),
        (np.array(["a", "b"])[LABELS], None, ("a", "b")),
        (np.array(["a", "b"])[LABELS].astype(object), None, ("a", "b")),
        (np.array([b"a", b"b"])[LABELS], None, ("a", "b")),
        ([["a"], ["b"]] * 10, None, ("a", "b")),
    ],
)
def test_labels_of_every_kind(labels: object, classes: list[str] | None, known: tuple[str, ...]) -> None:
    given = class_labels(labels, classes, "arrays")
    assert given.classes == known
    assert given.labels.tolist() == LABELS.tolist()
    assert open_arrays(pictures(), labels, classes=classes).classes == known


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0.5, 1.0], "that of row 0 is 0.5"),
        ([0.0, float("nan")], "that of row 1 is missing"),
        ([0.0, float("inf")], "that of row 1 is inf"),
        ([0, -1], "label -1 of row 1 is no class; negative numbers mark images without one"),
        ([0, 10**30], "beyond all bounds"),
        ([0, 10**5000], "beyond all bounds"),
        (np.array([0, 2**64 - 1], np.uint64), "beyond all bounds"),
        (np.array([1j, 0]), r"not complex128 \[2\]"),
        (np.zeros(2, [("a", int)]), r"not \[\('a', '<i8'\)\] \[2\]"),
        (np.array(["2020", "2021"], "M8[Y]"), r"not datetime64\[Y\] \[2\]"),
        ([None, "a"], "label of row 0 is missing"),
        ([{}, {}], "objects of the type dict"),
        (["a", 1.5, None], "label of row 2 is missing"),
        ([[0, 1], [1]], "several lengths or kinds"),
        (np.array([[0.2, 0.8], [0.5, 0.5]]), "must be 0 and 1, one for each class"),
        (np.zeros((2, 2, 2)), r"not float64 \[2, 2, 2\]"),
        (np.zeros((2, 0)), r"not float64 \[2, 0\]"),
        (3, r"1 labels"),
        (["a", " "], "label of row 1 is empty"),
        (["a", "b" * 300], "label of row 1 has 300 characters"),
    ],
)
def test_labels_that_are_none(labels: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_arrays(pictures(2), labels)


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (LABELS + 1, "arrays: labels count from 1: 1 is 'a', and 2 is 'b'."),
        (np.eye(2)[LABELS], "arrays: each row of the labels has a single 1 (one-hot)"),
        (LABELS, ""),
    ],
)
def test_how_labels_are_taken_is_told(labels: np.ndarray, told: str) -> None:
    progress = Told()
    open_arrays(pictures(), labels, classes=["a", "b"], progress=progress)
    assert "".join(progress.lines).startswith(told)
    assert bool(progress.lines) == bool(told)


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ('{"label": 7}', "7"),
        ('{"label": 7.0}', "7"),
        ('{"class": "cat"}', "cat"),
        ('{"label": true}', "True"),
        (f'{{"label": {"9" * 5000}}}', "its .json cannot be read"),
        ('{"label": 1e400}', "its .json cannot be read"),
        ('{"label": "\\ud800"}', "its .json cannot be read"),
        ("[" * 9999, "its .json cannot be read"),
        (
            f'{{"label": "{"x" * 300}"}}',
            "the class in its .json has 300 characters, and a name has 255 at most",
        ),
        ('{"label": [1, 2]}', "its .json has no class"),
        ('{"label": {"name": "cat"}}', "its .json has no class"),
        ('{"label": 0.5}', "its .json has no class"),
        ('{"label": null}', "its .json has no class"),
        ("[[[]]]", "its .json has no class"),
    ],
)
def test_labels_in_shards(tmp_path: Path, text: str, outcome: str) -> None:
    path = write_tar(tmp_path / "d.tar", {"x.png": png(9), "x.json": text.encode()})
    members, refused = read_members(path)
    assert [member.label for member in members] + [file.reason for file in refused] == [outcome]
