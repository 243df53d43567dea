from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import braceexpand
import numpy as np
import pytest
import webdataset
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from allometry.base import DataError
from allometry.data import Dataset, Rejected, open_data, summarize
from allometry.data.sources.naming import expand

Samples = Mapping[str, bytes]


def png(level: int, color: bool = False) -> bytes:
    data = io.BytesIO()
    Image.new("RGB" if color else "L", (12, 10), (level, 0, 0) if color else level).save(data, "PNG")
    return data.getvalue()


def write_tar(path: Path, members: Mapping[str, bytes], format: int = tarfile.PAX_FORMAT) -> Path:  # noqa: A002
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=format) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def samples(first: int, number: int = 10) -> dict[str, bytes]:
    """Alternating cats and dogs, each with another level."""
    members = {}
    for level in range(first, first + number):
        members[f"{level:06}.png"] = png(level)
        members[f"{level:06}.cls"] = b"cat" if level % 2 else b"dog\n"
    return members


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Three shards of ten samples each."""
    for number in range(3):
        write_tar(tmp_path / f"pets/pets-{number:03}.tar", samples(10 * number))
    return tmp_path / "pets"


def test_a_folder_a_pattern_and_single_shards(shards: Path, tmp_path: Path) -> None:
    folder = open_data(shards)
    assert repr(folder) == "Dataset(pets: 2 classes, train 22, val 4, test 4)"
    assert (folder.classes, folder.channels, folder.image_size) == (("cat", "dog"), 1, 10)
    pattern = open_data(str(shards / "pets-{000..002}.tar"))
    assert pattern.fingerprint == folder.fingerprint
    assert pattern.name == "pets"
    assert set(folder.splits["train"].names) < {
        f"pets-{number // 10:03}.tar/{number:06}.png" for number in range(30)
    }
    assert summarize(open_data(shards / "pets-001.tar")).images == {"train": 6, "val": 2, "test": 2}


def test_images_are_read_from_their_places(shards: Path) -> None:
    for split in open_data(shards).splits.values():
        for index, name in enumerate(split.names):
            level = int(name.rpartition("/")[2].removesuffix(".png"))
            assert (split.image(index) == level).all()
            assert split.labels[index] == (level % 2 == 0)
            assert split.size(index) == split.image(index).shape[:2] == (10, 12)


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
@pytest.mark.parametrize(
    "label",
    [
        lambda number: {"cls": str(number).encode()},
        lambda number: {"txt": f" {number}\n".encode()},
        lambda number: {"json": json.dumps({"label": number}).encode()},
        lambda number: {"json": json.dumps({"class": str(number), "more": [1]}).encode()},
        lambda number: {"txt": b"a caption", "cls": str(number).encode(), "json": b'{"label": "other"}'},
    ],
)
def test_kinds_of_labels(tmp_path: Path, label: Callable[[int], Samples], format: int) -> None:  # noqa: A002
    members = {}
    for number in range(9):
        members[f"{'a' * 60}/{'b' * 60}/{number}.PNG"] = png(number)
        for kind, data in label(number % 3 * 5).items():
            members[f"{'a' * 60}/{'b' * 60}/{number}.{kind}"] = data
    dataset = open_data(write_tar(tmp_path / "s.tar", members, format))
    assert dataset.classes == ("0", "5", "10")
    assert dataset.rejected == ()


@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)  # theirs
def test_it_reads_what_webdataset_writes_and_sees_the_same(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    with webdataset.TarWriter(str(tmp_path / "w.tar")) as writer:
        for number in range(12):
            image = random.integers(0, 256, (8, 9, 3), dtype=np.uint8)
            writer.write({"__key__": f"dir.x/{number:04}", "png": image, "cls": number % 3, "note.txt": "x"})
    dataset = open_data(tmp_path / "w.tar")
    ours = {
        name: (int(dataset.classes[split.labels[index]]), split.image(index))
        for split in dataset.splits.values()
        for index, name in enumerate(split.names)
    }
    theirs = (
        webdataset.WebDataset(str(tmp_path / "w.tar"), shardshuffle=False)
        .decode("rgb8")
        .to_tuple("__key__", "png", "cls")
    )
    seen = 0
    for key, image, label in theirs:
        name = f"w.tar/{key}.png"
        assert ours[name][0] == label
        assert (ours[name][1] == image).all()
        seen += 1
    assert seen == len(ours) == 12


@given(
    st.lists(
        st.one_of(
            st.sampled_from(["a", "-", "/x", ".tar"]),
            st.sampled_from(["{0..3}", "{08..11}", "{3..1}", "{a,b}", "{x,}"]),
        ),
        max_size=4,
    )
)
def test_patterns_are_those_of_the_shell(parts: list[str]) -> None:
    pattern = "".join(parts)
    assert list(expand(pattern)) == list(braceexpand.braceexpand(pattern))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["pets-train-0.tar", "pets-val-0.tar", "pets-test-0.tar"], {"train": 10, "val": 10, "test": 10}),
        (["train/0.tar", "validation/0.tar", "test/0.tar"], {"train": 10, "val": 10, "test": 10}),
        (["Train_0.tar", "Train_1.tar", "valid.tar"], {"train": 16, "val": 10, "test": 4}),
    ],
)
def test_splits_by_name(tmp_path: Path, names: list[str], expected: dict[str, int]) -> None:
    for number, name in enumerate(names):
        write_tar(tmp_path / "d" / name, samples(10 * number))
    dataset = open_data(tmp_path / "d")
    assert summarize(dataset).images == expected
    pattern = str(tmp_path / "d" / ("{" + ",".join(names) + "}"))
    assert open_data(pattern).fingerprint == dataset.fingerprint


def test_images_of_test_are_kept_out_of_train(tmp_path: Path) -> None:
    write_tar(tmp_path / "d/train.tar", samples(0))
    write_tar(tmp_path / "d/test.tar", samples(9))
    (leak,) = open_data(tmp_path / "d").rejected
    assert leak == Rejected(
        "train.tar/000009.png", "the same image as test.tar/000009.png, which must stay unseen"
    )


def test_the_folders_above_a_pattern_are_no_splits(tmp_path: Path) -> None:
    for number in range(2):
        write_tar(tmp_path / f"test/d-{number}.tar", samples(10 * number))
    assert len(open_data(str(tmp_path / "test/d-{0..1}.tar")).splits["train"]) == 12


def test_what_cannot_be_used_is_listed(tmp_path: Path) -> None:
    members = {
        **samples(0, 8),
        "broken.png": b"no image",
        "broken.cls": b"cat",
        "unlabeled.png": png(50),
        "lone.cls": b"cat",
        "two.png": png(51),
        "two.jpg": png(52),
        "two.cls": b"cat",
        "odd.png": png(53),
        "odd.json": b'{"label": 1.5}',
        "torn.png": png(54),
        "torn.json": b'{"label": ',
        "empty.png": png(55),
        "empty.cls": b" \n",
        "binary.png": png(56),
        "binary.cls": b"\xff\xfe",
        "long.png": png(57),
        "long.txt": b"x" * 70_000,
        ".hidden.png": b"hidden",
        "../up.png": png(58),
        "/root.png": png(59),
    }
    path = write_tar(tmp_path / "d.tar", members)
    with tarfile.open(path, "a") as tar:
        for kind, name in (
            (tarfile.SYMTYPE, "sym.png"),
            (tarfile.LNKTYPE, "hard.png"),
            (tarfile.CHRTYPE, "device.png"),
            (tarfile.DIRTYPE, "folder"),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "000001.png"
            tar.addfile(info)
        info = tarfile.TarInfo("000001.png")
        tar.addfile(info)
    before = sorted(tmp_path.iterdir())
    dataset = open_data(path)
    assert {each.path.removeprefix("d.tar/"): each.reason for each in dataset.rejected} == {
        "broken.png": "it is not an image of a known format (JPEG, PNG, WebP, BMP, GIF, TIFF or PPM)",
        "unlabeled.png": "the sample has no label (.cls, .json or .txt)",
        "lone": "the sample has no image, only .cls",
        "two": "the sample has several images",
        "odd.png": "its .json has no class",
        "torn.png": "its .json cannot be read",
        "empty.png": "its .cls has no class",
        "binary.png": "its .cls cannot be read",
        "long.png": "its .txt is too long for a label",
        "../up.png": "its name leads out of the shard",
        "/root.png": "its name leads out of the shard",
        "sym.png": "a link",
        "hard.png": "a link",
        "device.png": "not a regular file",
        "000001.png": "a member of that name came before",
    }
    assert sorted(tmp_path.iterdir()) == before
    assert open_data(path).fingerprint == dataset.fingerprint


@pytest.mark.parametrize("rest", [100, 512, 700, 1024, 1500])
def test_of_a_shard_that_is_cut_short_the_whole_images_are_used(tmp_path: Path, rest: int) -> None:
    path = write_tar(tmp_path / "d.tar", samples(0))
    with tarfile.open(path) as tar:
        start = tar.getmember("000008.png").offset
    path.write_bytes(path.read_bytes()[: start + rest])
    dataset = open_data(path)
    assert sum(summarize(dataset).images.values()) == 8
    reasons = {each.path: each.reason for each in dataset.rejected}
    assert reasons["d.tar"] == "the shard has no end mark and may be cut short; what is whole is used"
    assert {each.rejected for each in [open_data(path)]} == {dataset.rejected}


def test_only_changed_shards_are_read_again(shards: Path, tmp_path: Path, opened: list[str]) -> None:
    for number, path in enumerate(sorted(shards.iterdir())):
        os.utime(path, (number, number))
    first = open_data(shards).fingerprint
    assert len(opened) == 30
    assert open_data(shards).fingerprint == first
    assert len(opened) == 30
    write_tar(shards / "pets-003.tar", samples(30))
    os.utime(shards / "pets-001.tar", (50, 50))
    (shards / "pets-000.tar").unlink()
    assert open_data(shards).fingerprint != first
    assert len(opened) == 50


def test_shards_that_are_exchanged_or_whose_times_were_set_back_are_noticed(
    shards: Path, tmp_path: Path
) -> None:
    one, other = sorted(shards.iterdir())[:2]
    for path in shards.iterdir():
        os.utime(path, (1, 1))
    open_data(shards)
    one.rename(tmp_path / "beside")
    other.rename(one)
    (tmp_path / "beside").rename(other)
    assert open_data(shards).fingerprint == open_data(shards, cache_folder=tmp_path / "new").fingerprint
    one.write_bytes(other.read_bytes())
    os.utime(one, (1, 1))
    assert open_data(shards).fingerprint == open_data(shards, cache_folder=tmp_path / "newer").fingerprint


def test_a_sample_of_the_contents_is_compared(
    shards: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in shards.iterdir():
        os.utime(path, (1, 1))
    first = open_data(shards).fingerprint
    one, other = sorted(shards.iterdir())[:2]
    changed = one.read_bytes()
    monkeypatch.setattr("allometry.data.sources.shards.stamp_of", lambda _status: "1/1/1/1")
    open_data(shards)
    del opened[:]
    one.write_bytes(other.read_bytes())  # nothing that the system says shows it
    assert open_data(shards).fingerprint != first
    assert len(opened) == 30
    one.write_bytes(changed)
    assert open_data(shards).fingerprint == first


def test_an_image_that_is_too_large_to_be_read_does_not_make_the_others_be_read_again(
    shards: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    large = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40), np.uint8)).save(large, "PNG")
    monkeypatch.setattr("allometry.data.sources.shards.MAX_FILE", 1000)
    path = write_tar(
        shards / "pets-000.tar", {**samples(0), "large.png": large.getvalue(), "large.cls": b"cat"}
    )
    os.utime(path, (1, 1))
    first = open_data(path)
    assert [file.path for file in first.rejected] == ["pets-000.tar/large.png"]
    assert len(opened) == 10
    assert open_data(path).fingerprint == first.fingerprint
    assert len(opened) == 10


def test_a_shard_that_goes_or_is_cut_short_later_is_named(shards: Path) -> None:
    train = open_data(shards).splits["train"]
    last = max(range(len(train)), key=lambda index: train.names[index])
    shard = shards / train.names[last].partition("/")[0]
    shard.write_bytes(shard.read_bytes()[:1000])
    with pytest.raises(
        DataError, match=rf"{train.names[last]} in .*{shard.name}: the shard has been cut short"
    ):
        train.image(last)
    shard.write_bytes(bytes(50_000))
    with pytest.raises(DataError, match=rf"{train.names[last]} in .*: it is not an image"):
        train.image(last, min_side=4)
    shard.unlink()
    with pytest.raises(DataError, match=rf"{train.names[last]} in .*: there is no such file"):
        train.image(last)


def test_a_folder_with_class_folders_beside_a_tar_is_a_folder(folder: Path) -> None:
    write_tar(folder / "original.tar", samples(0))
    assert open_data(folder).classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (
            "pets/pets-{000..004}.tar",
            r"no shard .*pets-003.tar, and 1 more of the 5 are missing. Check the pattern",
        ),
        ("pets/pets-{00..x}.tar", r"\{00..x\} in .* cannot be understood. Write \{000..012\} to count"),
        ("pets/pets-{0..9}{0..999999}.tar", r"stands for more than 1,000,000 names"),
        ("pets/pets-{0..9000000}.tar", r"stands for more than 1,000,000 names"),
        ("pets/{a,b}.csv", r"a.csv is no shard: a pattern with braces stands for .tar files"),
        (
            "pets/{a,b}.tar.gz",
            r"a.tar.gz is compressed, and inside a compressed file no image can be reached",
        ),
        ("pets/pets-00.tar", r"no file .*pets-00.tar. Did you mean .*pets-00\d.tar\?"),
        ("s3://bucket/{0..2}.tar", r"of addresses only http and https are read"),
        ("https://host/list.csv", r"https://host/list.csv is no shard"),
    ],
)
def test_says_what_is_wrong(shards: Path, where: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_data(where if "://" in where else str(shards.parent / where))


def test_says_what_is_wrong_inside(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(b"hello" * 500)
    with pytest.raises(DataError, match=r"x.tar is not a tar file"):
        open_data(path)
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"x.tar is not a tar file"):
        open_data(path)
    write_tar(path, {})
    with pytest.raises(DataError, match=r"no sample that could be used. A sample is an image and a label"):
        open_data(path)
    write_tar(path, {"n01440764_1.jpg": png(1)})
    with pytest.raises(
        DataError, match=r"no sample that could be used \(x.tar/n01440764_1.jpg: the sample has no label"
    ):
        open_data(path)
    write_tar(path, {"1.jpg": png(1), "1.cls": b"cat"})
    with pytest.raises(DataError, match=r"only one class, 'cat'"):
        open_data(path)
    for ending, mode in ((".tar.gz", "w:gz"), (".tar", "w:gz"), (".tgz", "w:gz"), (".tar.xz", "w:xz")):
        packed = tmp_path / f"packed{ending}"
        with tarfile.open(packed, mode) as tar:
            tar.add(path, "x")
        with pytest.raises(
            DataError, match=r"is compressed.* no image can be reached without reading all before"
        ):
            open_data(packed)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["train.tar", "other.tar"],
            r"name of train.tar in .* tells its split, but that of other.tar does not",
        ),
        (["val.tar", "test.tar"], r"shards for test and val but none for train"),
    ],
)
def test_mixed_splits(tmp_path: Path, names: list[str], message: str) -> None:
    for number, name in enumerate(names):
        write_tar(tmp_path / "d" / name, samples(10 * number))
    with pytest.raises(DataError, match=message):
        open_data(tmp_path / "d")


def test_color(tmp_path: Path) -> None:
    members = {**samples(0), "red.png": png(200, color=True), "red.cls": b"cat"}
    dataset: Dataset = open_data(write_tar(tmp_path / "d.tar", members))
    assert dataset.channels == 3
    assert dataset.splits["train"].image(0).shape == (10, 12, 3)
