from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from allometry.base import DataError, MissingExtraError
from allometry.data import Dataset, Rejected, open_data, summarize
from allometry.data.sources.classes import class_name
from allometry.data.sources.manifest import read_table

WriteImage = Callable[..., Path]


def rows_of(folder: Path) -> list[tuple[str, str]]:
    paths = sorted(folder.glob("*/*.png"))
    return [(str(path.relative_to(folder.parent)), path.parent.name) for path in paths]


def write(path: Path, rows: list[tuple[str, ...]], header: str = "path,label") -> Path:
    path.write_text("\n".join([header, *(",".join(row) for row in rows)]) + "\n")
    return path


def members(dataset: Dataset) -> dict[str, list[str]]:
    return {name: sorted(split.names) for name, split in dataset.splits.items()}


@pytest.fixture
def manifest(folder: Path) -> Path:
    return write(folder.parent / "list.csv", rows_of(folder))


def test_it_is_the_folder_it_lists(folder: Path, manifest: Path) -> None:
    listed = open_data(manifest)
    assert (listed.name, listed.classes, listed.channels, listed.image_size) == (
        "list",
        ("cat", "dog"),
        1,
        10,
    )
    assert summarize(listed).images == summarize(open_data(folder)).images
    beside = write(
        folder / "beside.csv", [(f"./{path.partition('/')[2]}", label) for path, label in rows_of(folder)]
    )
    assert open_data(beside).fingerprint == open_data(folder).fingerprint


def test_the_order_of_rows_does_not_matter(folder: Path, manifest: Path) -> None:
    turned = write(folder.parent / "turned.csv", rows_of(folder)[::-1])
    assert open_data(turned).fingerprint == open_data(manifest).fingerprint


@pytest.mark.parametrize("path", ["path", "file", "filename", "image", "Path", " FILE "])
@pytest.mark.parametrize("label", ["label", "class", "category"])
def test_names_of_columns(folder: Path, path: str, label: str) -> None:
    manifest = write(
        folder.parent / "m.csv", [(b, "x", a) for a, b in rows_of(folder)], f"{label},more,{path}"
    )
    assert summarize(open_data(manifest)).images == {"train": 12, "val": 4, "test": 4}


def test_path_and_label_win_over_other_names(folder: Path) -> None:
    rows = [(str(number), label, path) for number, (path, label) in enumerate(rows_of(folder))]
    assert open_data(write(folder.parent / "m.csv", rows, "image,class,path")).classes == ("cat", "dog")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_kinds_of_csv(
    folder: Path, write_image: WriteImage, delimiter: str, encoding: str, ending: str
) -> None:
    write_image('pets/größe, "1"; 猫\t.png', 250)
    rows = [*rows_of(folder), ('pets/größe, "1"; 猫\t.png', "größe; 1, 猫")]
    rows += [(f"pets/extra {number}.png", "größe; 1, 猫") for number in range(3)]
    for number in range(3):
        write_image(f"pets/extra {number}.png", 220 + number)
    path = folder.parent / "m.csv"
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator=ending)
        writer.writerows([("path", "label"), *rows])
    dataset = open_data(path)
    assert dataset.classes == ("cat", "dog", "größe; 1, 猫")
    assert sum(summarize(dataset).images.values()) == 24


@given(
    st.lists(
        st.tuples(
            *[st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(str.strip)] * 2
        ),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from(",;\t"),
)
def test_any_text_comes_back_as_a_class_is_called(
    tmp_path_factory, rows: list[tuple[str, str]], delimiter: str
) -> None:
    path = tmp_path_factory.mktemp("m") / "m.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([("path", "label"), *rows])
    assert [(row.path, row.label) for row in read_table(path)] == [
        (a.strip(), class_name(b)) for a, b in rows
    ]


def test_numbers_as_classes_are_sorted_by_value(folder: Path, write_image: WriteImage) -> None:
    rows = [(path, {"cat": "10", "dog": "9"}[label]) for path, label in rows_of(folder)]
    assert open_data(write(folder.parent / "m.csv", rows)).classes == ("9", "10")


def test_given_splits_are_kept(folder: Path) -> None:
    words = ["train", "Validation", "test", "train", "val", "TEST", "train", "valid", "test", "train"]
    rows = [(path, label, words[number % 10]) for number, (path, label) in enumerate(rows_of(folder))]
    dataset = open_data(write(folder.parent / "m.csv", rows, "path,label,split"))
    assert members(dataset)["val"] == sorted(
        path for path, _, split in rows if split.lower().startswith("val")
    )
    assert summarize(dataset).images == {"train": 8, "val": 6, "test": 6}


def test_a_split_that_is_missing_is_cut(folder: Path) -> None:
    rows = [
        (path, label, "test" if number % 5 == 0 else "train")
        for number, (path, label) in enumerate(rows_of(folder))
    ]
    assert summarize(open_data(write(folder.parent / "m.csv", rows, "path,label,split"))).images == {
        "train": 14,
        "val": 2,
        "test": 4,
    }


def test_an_empty_split_column_is_none(folder: Path, manifest: Path) -> None:
    rows = [(*row, "") for row in rows_of(folder)]
    cut = open_data(write(folder.parent / "m.csv", rows, "path,label,split"))
    assert cut.fingerprint == open_data(manifest).fingerprint


def test_absolute_paths(folder: Path, tmp_path: Path) -> None:
    rows = [(str(folder.parent / path), label) for path, label in rows_of(folder)]
    (tmp_path / "else").mkdir()
    dataset = open_data(write(tmp_path / "else/m.csv", rows))
    assert dataset.splits["train"].image(0).shape == (10, 12, 1)


def test_what_cannot_be_used_is_listed(folder: Path, manifest: Path) -> None:
    (folder / "cat/1.png").unlink()
    (folder / "cat/2.png").write_bytes(b"no image")
    (folder / "dog/1.png").unlink()
    (folder / "dog/1.png").mkdir()
    with manifest.open("a") as file:
        file.write("pets/cat/3.png,cat\npets/cat/4.png,dog\n")
    assert open_data(manifest).rejected == (
        Rejected("pets/cat/1.png", "there is no such file"),
        Rejected(
            "pets/cat/2.png", "it is not an image of a known format (JPEG, PNG, WebP, BMP, GIF, TIFF or PPM)"
        ),
        Rejected("pets/cat/3.png", "line 22 lists it again after line 5"),
        Rejected("pets/cat/4.png", "line 23 lists it again after line 6, as something else"),
        Rejected("pets/dog/1.png", "not a regular file"),
    )


def test_a_class_without_images_is_named(folder: Path, manifest: Path) -> None:
    for path in (folder / "dog").iterdir():
        path.unlink()
    with pytest.raises(
        DataError, match=r"'dog' .* no usable image: pets/dog/0.png \(there is no such file\), .* and more"
    ):
        open_data(manifest)


def test_a_file_that_goes_later_is_named(folder: Path, manifest: Path) -> None:
    train = open_data(manifest).splits["train"]
    (folder.parent / train.names[0]).unlink()
    with pytest.raises(DataError, match=rf"{train.names[0]}: there is no such file"):
        train.image(0)
    (folder.parent / train.names[1]).write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    with pytest.raises(DataError, match=rf"{train.names[1]}: the file is"):
        train.image(1)


def test_only_changed_images_are_opened_again(folder: Path, manifest: Path, opened: list[str]) -> None:
    open_data(manifest)
    assert len(opened) == 20
    (folder / "cat/3.png").write_bytes((folder / "cat/3.png").read_bytes() + b"and more")
    open_data(manifest)
    assert opened[20:] == ["3.png"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "",
            r"m.csv has no column for the image: it may be called path, file, filename or image. Columns found: none",
        ),
        ("name,label\na.png,cat\n", r"no column for the image: .* Columns found: 'name', 'label'\."),
        (
            "path;id\na.png;cat\n",
            r"no column for the class: it may be called label, class or category. .* 'path', 'id'",
        ),
        ("path,label\n", r"m.csv has no rows. Add one"),
        ("path,label\n\n\n", r"m.csv has no rows"),
        ("path,label\na.png,cat\nb.png\n", r"m.csv, line 3: 1 cell, but the header has 2. Put quotes"),
        ("path,label\na.png,cat,x\n", r"m.csv, line 2: 3 cells, but the header has 2"),
        ("path,label\na.png,cat\n,dog\n", r"m.csv, line 3: the path is empty"),
        ("path,label\na.png,\n", r"m.csv, line 2: the label is empty"),
        ('path,label\na.png,"cat\nb.png,dog\n', r"m.csv, line 3: this is not CSV \(unexpected end of data\)"),
        ("path,label\na.png,cat\nb.png,cat\n", r"only one class, 'cat'"),
        (
            "path,label,split\na.png,cat,train\nb.png,dog,\n",
            r"line 3: no split, though others have one. Possible: train, val",
        ),
        ("path,label,label\na.png,cat,dog\n", r"has several columns called 'label'; keep one"),
        ("path,label,split\na.png,cat,train\nb.png,dog,dev\n", r"line 3: split 'dev'. Possible: train, val"),
        (
            "path,label,split\na.png,cat,val\nb.png,dog,test\n",
            r"gives images to test and val but none to train",
        ),
        ("path,label\na.png,cat\nb.png,dog\n", r"'cat' .* no usable image: a.png \(there is no such file\)"),
        ("path,label\na\0.png,cat\nb.png,dog\n", r"'cat' .* no usable image|this is not CSV"),
    ],
)
def test_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "m.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        open_data(path)


def test_other_encodings_are_told(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_bytes("path,label\na.png,cat\nb.png,größe\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"m.csv, line 3: the text is not UTF-8"):
        open_data(path)


def test_parquet_gives_the_same_as_csv(folder: Path, manifest: Path) -> None:
    paths, labels = zip(*rows_of(folder), strict=True)
    path = folder.parent / "list.parquet"
    parquet.write_table(pyarrow.table({"extra": range(20), "image": paths, "label": labels}), path)
    assert open_data(path).fingerprint == open_data(manifest).fingerprint


@pytest.mark.parametrize(
    "numbers",
    [
        pyarrow.int64(),
        pyarrow.uint8(),
        pyarrow.float64(),
        pyarrow.dictionary(pyarrow.int8(), pyarrow.string()),
    ],
)
def test_parquet_with_class_numbers(folder: Path, numbers: pyarrow.DataType) -> None:
    paths, labels = zip(*rows_of(folder), strict=True)
    path = folder.parent / "list.parquet"
    values = pyarrow.array([{"cat": "10", "dog": "9"}[label] for label in labels])
    split = ["train", "test"] * 10
    parquet.write_table(pyarrow.table({"file": paths, "class": values.cast(numbers), "split": split}), path)
    dataset = open_data(path)
    assert dataset.classes == ("9", "10")
    assert summarize(dataset).images == {"train": 8, "val": 2, "test": 10}


def test_what_is_wrong_with_parquet(tmp_path: Path) -> None:
    path = tmp_path / "m.parquet"
    path.write_bytes(b"PAR1 nothing")
    with pytest.raises(DataError, match=r"Cannot read .*m.parquet as Parquet: "):
        open_data(path)
    parquet.write_table(pyarrow.table({"name": ["a"], "label": ["b"]}), path)
    with pytest.raises(DataError, match=r"no column for the image: .* Columns found: 'name', 'label'"):
        open_data(path)
    parquet.write_table(pyarrow.table({"path": ["a.png", "b.png"], "label": ["x", None]}), path)
    with pytest.raises(DataError, match=r"m.parquet, row 2: the label is empty"):
        open_data(path)
    parquet.write_table(pyarrow.table({"path": ["a.png", "b.png"], "label": [1.5, 2]}), path)
    with pytest.raises(DataError, match=r"row 1: label is of type float; text or whole numbers can be used"):
        open_data(path)
    parquet.write_table(pyarrow.table({"image": [{"bytes": b"x", "path": "a"}], "label": [1]}), path)
    with pytest.raises(DataError, match=r"row 1: images inside a Parquet file are not read"):
        open_data(path)
    parquet.write_table(
        pyarrow.table({"path": pyarrow.array([], "string"), "label": pyarrow.array([], "string")}), path
    )
    with pytest.raises(DataError, match="has no rows"):
        open_data(path)


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    (tmp_path / "m.parquet").touch()
    with pytest.raises(
        MissingExtraError, match=r"m.parquet needs pyarrow.* pip install 'allometry\[parquet\]'"
    ):
        open_data(tmp_path / "m.parquet")
