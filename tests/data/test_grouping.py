"""Where the groups of images come from: folders, names, columns, fields; the same wherever they are asked for."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image
from torch.utils.data import Subset

from allometry.base import DataError, InputError
from allometry.data import Dataset, as_dataset, as_split, data_argument, data_name, open_data, settle_data
from allometry.data.sources.grouping import as_grouping

PATIENTS = [f"p{number}" for number in range(10)]


def pixels(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (8, 8), dtype=np.uint8)


def png(number: int) -> bytes:
    data = io.BytesIO()
    Image.fromarray(pixels(number)).save(data, "PNG")
    return data.getvalue()


def write(root: Path, names: Sequence[str]) -> Path:
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(number))
    return root


def names(pattern: str) -> list[str]:
    """Two images of each class for each patient."""
    return [
        pattern.format(label=label, patient=patient, shot=shot)
        for label in ("cat", "dog")
        for patient in PATIENTS
        for shot in range(2)
    ]


def groups(data: Dataset) -> set[str]:
    """The groups, none of which lies in two splits."""
    parts = [set(split.groups or ()) for split in data.splits.values()]
    assert sum(map(len, parts)) == len(set().union(*parts))
    return set().union(*parts)


@pytest.mark.parametrize(
    ("way", "path", "group"),
    [
        ("folder", "train/cat/ann/1.jpg", "ann"),
        ("folder", "train/cat/ann/left/1.jpg", "ann/left"),
        ("folder", "train/cat/1.jpg", ""),
        ("level:1", "train/cat/ann/1.jpg", "train"),
        ("level:3", "train/cat/ann/1.jpg", "ann"),
        ("level:-1", "train/cat/ann/1.jpg", "ann"),
        ("level:4", "train/cat/ann/1.jpg", ""),
        ("level:-4", "train/cat/ann/1.jpg", ""),
        ("{group}_*.jpg", "train/cat/ann_1_2.jpg", "ann"),
        ("{group}_*.jpg", "train/cat/ann_1.png", ""),
        ("{group}/*.jpg", "train/cat/ann/1.jpg", "ann"),
        ("img-??-{group}.*", "cat/img-07-ann.jpg", "ann"),
        ("{group}/**", "site/cat/ann/1.jpg", "ann"),
        ("[x]{group}.jpg", "cat/[x]ann.jpg", "ann"),
        (r"(\d+)_", "cat/v12_3.jpg", "12"),
        (r"(?P<group>a.)-(x)?", "cat/an-1.jpg", "an"),
        (r"(x)?cat", "cat/1.jpg", ""),
    ],
)
def test_a_path_tells_the_group(way: str, path: str, group: str) -> None:
    base = 2 if way == "folder" else 0
    expected = {"{group}/**": "site"}.get(way, group)
    assert as_grouping(way).of_path(path, base=base) == expected


@pytest.mark.parametrize(
    ("way", "problem"),
    [
        ("level:0", "counted from 1"),
        ("level:one", "cannot be understood. Possible: folder"),
        ("", "cannot be understood"),
        ("*.jpg", "cannot be understood"),
        ("{group}_{group}", "may stand in it once"),
        ("(a", "as a regular expression: "),
        ("(a)(b)", "it has 2 brackets"),
        ("(?:a)", "it has 0 brackets"),
        (["folder", "level:1"], "may be given once"),
        (["near-duplicates", "near-duplicates"], "may be given once"),
        (7, "text or several texts, not 7"),
        ([7], "text or several texts"),
    ],
)
def test_what_cannot_be_understood_is_told(way: Any, problem: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=problem.replace("(", r"\(")):
        open_data(tmp_path, group=way)


def test_folders_below_the_class_are_groups(tmp_path: Path) -> None:
    folder = write(tmp_path / "pets", names("{label}/{patient}/{shot}.png"))
    with pytest.raises(DataError, match=r"not clear which are the classes.*groups.*say --group folder"):
        open_data(folder)
    for way in ("folder", "level:2", "level:-1", "{group}/*.png", r"/(p\d)/"):
        data = open_data(folder, group=way)
        assert groups(data) == set(PATIENTS)
        assert data.grouped_by == (way,)
        assert open_data(f"{folder}#group={way}").fingerprint == data.fingerprint
    assert groups(
        open_data(write(tmp_path / "named", names("{label}/{patient}_{shot}.png")), group="{group}_*")
    )


def test_given_splits_keep_their_groups_apart(tmp_path: Path) -> None:
    folder = tmp_path / "pets"
    write(
        folder,
        [
            name
            for part in ("train", "test")
            for name in names(f"{part}/{{label}}/{part}-{{patient}}/{{shot}}.png")
        ],
    )
    for number, path in enumerate(sorted(folder.rglob("*.png"))):
        path.write_bytes(png(number))
    data = open_data(folder, group="folder")
    assert groups(data) == {f"{part}-{patient}" for part in ("train", "test") for patient in PATIENTS}
    (folder / "test/cat/test-p0").rename(folder / "test/cat/train-p0")
    with pytest.raises(DataError, match=r"Group 'train-p0' of .* has images in t.* and in t.*"):
        open_data(folder, group="folder")


def test_groups_that_help_nobody_are_told(tmp_path: Path) -> None:
    folder = write(tmp_path / "pets", [*names("{label}/{patient}/{shot}.png"), "cat/alone.png"])
    with pytest.raises(
        DataError, match=r"No image of .* has a group by 'x_\(\.\)'; the first is called 'cat/alone.png'"
    ):
        open_data(folder, group="x_(.)")
    with pytest.raises(DataError, match=r"By 'level:1' the groups of .* are its classes"):
        open_data(folder, group="level:1")
    with pytest.raises(DataError, match=r"come from too few groups, 1, to cut val and test"):
        open_data(folder, group="(png)")
    with pytest.raises(
        DataError, match=r"has no group 'patient': a folder has no columns. Possible: folder, level:N"
    ):
        open_data(folder, group="patient")
    with pytest.raises(DataError, match="The icons come in splits"):
        open_data("icons", group="folder")
    some = open_data(folder, group="folder")
    assert "1 of 41 images have no group by 'folder', and each is on its own: cat/alone.png" in some.remarks
    assert any("each image is a group of its own" in text for text in open_data(folder, group="(.*)").remarks)


def test_manifests_tell_by_any_column_or_by_the_path(tmp_path: Path) -> None:
    listed = names("{patient}/{label}-{shot}.png")
    write(tmp_path, listed)
    lines = [f"{name},{name.split('/')[1][:3]},{name[:2]},s{name[1]}" for name in listed]
    (tmp_path / "list.csv").write_text("\n".join(["path,label,Patient,group", *lines]))
    where = tmp_path / "list.csv"
    assert groups(open_data(where)) == {f"s{number}" for number in range(10)}
    for way in ("patient", "folder", "level:1"):
        assert groups(open_data(where, group=way)) == set(PATIENTS)
    with pytest.raises(
        DataError, match=r"no column 'site' for the group. Columns found: 'path', 'label', 'Patient', "
    ):
        open_data(where, group="site")


def write_tar(path: Path, members: Mapping[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            (info := tarfile.TarInfo(name)).size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def test_shards_tell_by_the_key_or_a_field(tmp_path: Path) -> None:
    members = {}
    for number, name in enumerate(names("{patient}_{label}{shot}")):
        about = {"label": name[3:6], "group": f"g{name[1]}", "site": int(name[1]), "odd": None}
        members |= {f"{name}.png": png(number), f"{name}.json": json.dumps(about).encode()}
    where = write_tar(tmp_path / "pets.tar", members)
    assert groups(open_data(where)) == {f"g{number}" for number in range(10)}
    assert groups(open_data(where, group="site")) == {str(number) for number in range(10)}
    assert groups(open_data(where, group="{group}_*.png")) == set(PATIENTS)
    for way in ("absent", "odd"):
        with pytest.raises(DataError, match=f"no group '{way}': no sample has a .json with such a field"):
            open_data(where, group=way)
    with pytest.raises(DataError, match="has a group by 'folder'"):
        open_data(where, group="folder")


def test_arrays_have_one_of_any_name(tmp_path: Path) -> None:
    images, labels = np.stack([pixels(number) for number in range(40)]), np.arange(40) // 2 % 2
    patients = np.arange(40) // 4
    np.savez(tmp_path / "data.npz", images=images, labels=labels, patient=patients)
    (tmp_path / "arrays").mkdir()
    for name, array in (("images", images), ("labels", labels), ("patient", patients)):
        np.save(tmp_path / "arrays" / f"{name}.npy", array)
    for where in ("data.npz", "arrays"):
        assert open_data(tmp_path / where).splits["train"].groups is None
        assert groups(open_data(tmp_path / where, group="patient")) == set(map(str, range(10)))
        with pytest.raises(DataError, match="it has no array of that name"):
            open_data(tmp_path / where, group="site")
    with pytest.raises(DataError, match="open_arrays takes groups"):
        as_dataset((images, labels), group="patient")
    with pytest.raises(InputError, match="groups of a Dataset are settled"):
        as_dataset(as_dataset((images, labels)), group="patient")


class Table:
    """What a `datasets.Dataset` has that is read."""

    def __init__(self, rows: list[dict[str, object]]) -> None:
        self.rows = rows
        self.features = dict.fromkeys(rows[0], "a column")
        self.column_names = list(rows[0])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, object]:
        return self.rows[index]


def test_items_tell_by_a_key_or_column() -> None:
    rows: list[dict[str, object]] = [
        {"image": pixels(n), "label": n // 2 % 2, "group": f"g{n // 4}", "site": np.int64(n // 8)}
        for n in range(40)
    ]
    for value in (rows, Table(rows)):
        assert groups(as_dataset(value)) == {f"g{number}" for number in range(10)}
        assert groups(as_dataset(value, group="site")) == set(map(str, range(5)))
        with pytest.raises(DataError, match=r"no (column|group) 'patient'"):
            as_dataset(value, group="patient")
    parts = {"train": rows[:24], "test": rows[24:]}
    assert groups(as_dataset(parts, group="site")) == set(map(str, range(5)))
    plain = [{key: value for key, value in row.items() if key != "group"} for row in rows]
    assert as_dataset(plain).splits["train"].groups is None
    with pytest.raises(DataError, match=r"The group of item 0 of .* must be text or a whole number"):
        as_dataset([{**row, "group": [1, 2]} for row in rows])


class Pairs:
    """A data set that knows the group of each item, as torchvision's know the classes."""

    def __init__(self) -> None:
        self.groups = [f"g{number // 4}" for number in range(40)]
        self.sites = np.arange(40) // 8

    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return pixels(index), index // 2 % 2


def test_a_data_set_knows_the_groups_of_its_items() -> None:
    data = Pairs()
    assert groups(as_dataset(data)) == {f"g{number}" for number in range(10)}
    assert groups(as_dataset(data, group="sites")) == set(map(str, range(5)))
    part = Subset(data, range(24))  # type: ignore[arg-type]
    assert groups(as_dataset(part, group="sites")) == set(map(str, range(3)))
    with pytest.raises(DataError, match=r"no group 'patients': its items have no such column or key"):
        as_dataset(part, group="patients")


def test_a_parquet_tells_by_any_column(tmp_path: Path) -> None:
    listed = names("{patient}-{label}-{shot}.png")
    write(tmp_path, listed)
    table = {
        "path": listed,
        "label": [name[3:6] for name in listed],
        "site": [int(name[1]) for name in listed],
    }
    pyarrow.parquet.write_table(pyarrow.table(table), tmp_path / "list.parquet")
    assert groups(open_data(tmp_path / "list.parquet", group="site")) == set(map(str, range(10)))
    table["site"] = [None] * len(listed)
    pyarrow.parquet.write_table(pyarrow.table(table), tmp_path / "list.parquet")
    with pytest.raises(DataError, match=r"no group 'site': it tells a group of no image"):
        open_data(tmp_path / "list.parquet", group="site")


def test_a_name_keeps_its_groups(tmp_path: Path) -> None:
    folder = write(tmp_path / "pets", names("{label}/{patient}/{shot}.png"))
    settled = settle_data(folder, group=["level:-1", "near-duplicates"], seed=0)
    assert settled == f"{folder}#group=level:-1&group=near-duplicates"
    assert data_argument(settled) == settled
    assert data_name(settled) == "pets"
    assert groups(as_dataset(settled)) == set(PATIENTS)
    assert settle_data(settled, group=["level:-1", "near-duplicates"], seed=0) == settled
    with pytest.raises(InputError, match="names its groups already"):
        settle_data(settled, group="folder", seed=0)
    judged = as_split(folder, classes=("cat", "dog"), channels=1, group="folder").split
    assert len(judged) == 40
    assert set(judged.groups or ()) == set(PATIENTS)
