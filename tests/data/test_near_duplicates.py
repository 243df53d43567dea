"""Copies that were saved anew, resized or brightened are found, told and kept together; other images are not."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from allometry.base import SilentProgress
from allometry.data import Dataset, as_dataset, open_arrays, open_data
from allometry.data.images.thumbnails import no_color, one_tone, thumbnail
from allometry.data.sources import likeness
from allometry.data.sources.checking import index_file
from allometry.data.sources.near_duplicates import clusters, near_duplicates

KEPT = "near-duplicates"


def scene(number: int, side: int = 48, color: bool = False) -> np.ndarray:
    """An image of large and small shapes, another for each number."""
    random = np.random.default_rng(number)
    channels = 3 if color else 1
    image = np.zeros((side, side, channels))
    for coarse in (4, 8, 16):
        rough = random.normal(size=(coarse, coarse, channels)) / coarse
        image += cv2.resize(rough, (side, side), interpolation=cv2.INTER_CUBIC).reshape(image.shape)
    image -= image.min()
    return (image * (255 / image.max())).astype(np.uint8)


def jpeg(image: np.ndarray, quality: int = 60) -> np.ndarray:
    decoded = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], -1)
    return decoded.reshape(*decoded.shape[:2], -1)


def resized(image: np.ndarray, side: int) -> np.ndarray:
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA).reshape(side, side, -1)


COPIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "saved with loss": jpeg,
    "half": lambda image: resized(image, image.shape[0] // 2),
    "half, saved with loss": lambda image: jpeg(resized(image, image.shape[0] // 2)),
    "larger": lambda image: cv2.resize(image, None, fx=1.5, fy=1.5).reshape(144, 144, -1),
    "darker": lambda image: image // 2,
    "less contrast": lambda image: image // 2 + 60,
}


@pytest.mark.parametrize("copy", COPIES)
@pytest.mark.parametrize("color", [False, True])
def test_copies_are_found_and_other_images_are_not(copy: str, color: bool) -> None:
    images = [scene(number, side=96, color=color) for number in range(40)]
    found = near_duplicates([thumbnail(image) for image in [*images, *map(COPIES[copy], images)]])
    assert found.tolist() == [[place, place + 40] for place in range(40)]


def test_what_differs_in_a_telling_part_is_another_image() -> None:
    base = np.full((48, 48, 1), 250, np.uint8)
    base[8:40, 10:38] = 30
    dotted, moved = base.copy(), np.roll(base, 6, axis=1)
    dotted[20:26, 20:26] = 250
    images = [base, dotted, moved, 255 - base, base[:, ::-1].copy() // 2, np.rot90(scene(0)).copy(), scene(0)]
    assert near_duplicates([thumbnail(image) for image in images]).tolist() == [[0, 4]]
    red, green = (np.stack([scene(1)[..., 0], *(2 * [scene(1)[..., 0] // 4])], -1) for _ in range(2))
    green = green[..., [1, 0, 2]]
    green = (green * (red.mean() / green.mean())).clip(0, 255).astype(np.uint8)
    assert near_duplicates([thumbnail(red), thumbnail(green)]).tolist() == []


def test_images_that_show_next_to_nothing_are_no_duplicates() -> None:
    random = np.random.default_rng(0)
    faint = [thumbnail(random.integers(128, 131, (32, 32, 1), dtype=np.uint8)) for _ in range(20)]
    assert near_duplicates([*faint, "", ""]).tolist() == []
    assert near_duplicates([]).tolist() == []


def test_drawings_of_one_kind_are_seldom_taken_for_each_other() -> None:
    def digit(number: int) -> np.ndarray:
        random = np.random.default_rng(number)
        image = np.zeros((28, 28), np.uint8)
        x, lean, top = random.integers(10, 18), random.uniform(-5, 5), random.integers(2, 8)
        cv2.line(
            image,
            (int(x + lean), int(top)),
            (int(x - lean), 26 - int(top) // 2),
            255,
            int(random.integers(1, 4)),
        )
        return image[..., None]

    pairs = near_duplicates([thumbnail(digit(number)) for number in range(2000)])
    assert len(set(pairs.ravel().tolist())) < 2000  # strokes of one length and place are the same picture
    several = clusters(2000, pairs.tolist())
    assert max(np.bincount(several)) < 40


@given(st.integers(2, 60), st.lists(st.tuples(st.integers(0, 59), st.integers(0, 59)), max_size=80))
@settings(max_examples=40, deadline=None)
def test_clusters_are_what_pairs_connect(number: int, drawn: list[tuple[int, int]]) -> None:
    pairs = [(one % number, other % number) for one, other in drawn]
    first = clusters(number, pairs)
    assert all(first[one] == first[other] for one, other in pairs)
    reached = {place: {place} for place in range(number)}
    for _ in range(number):
        for one, other in pairs:
            reached[one] |= reached[other]
            reached[other] |= reached[one]
    assert first == [min(reached[place]) for place in range(number)]


def test_many_copies_of_one_image_are_one_cluster() -> None:
    random = np.random.default_rng(0)
    base = scene(3)
    noisy = [
        (base * random.uniform(0.6, 1) + random.normal(0, 2, base.shape)).clip(0, 255) for _ in range(400)
    ]
    found = near_duplicates([thumbnail(image.astype(np.uint8)) for image in noisy])
    assert set(clusters(400, found.tolist())) == {0}


# Every source: 24 images of two classes, of which 8 have a copy that was saved anew.
IMAGES = [scene(number) for number in range(24)] + [jpeg(scene(number), 80) for number in range(8)]
LABELS = [number % 2 for number in [*range(24), *range(8)]]


def png(image: np.ndarray) -> bytes:
    data = io.BytesIO()
    Image.fromarray(image[..., 0]).save(data, "PNG")
    return data.getvalue()


def write(root: Path, part_of: Callable[[int], str] = lambda _number: "") -> Path:
    for number, (image, label) in enumerate(zip(IMAGES, LABELS, strict=True)):
        path = root / part_of(number) / f"class{label}" / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(image))
    return root


def as_manifest(root: Path) -> Path:
    write(root / "images")
    lines = [f"images/class{label}/{number:02}.png,{label}" for number, label in enumerate(LABELS)]
    (root / "list.csv").write_text("\n".join(["path,label", *lines]))
    return root / "list.csv"


def as_shards(root: Path) -> Path:
    with tarfile.open(root / "data.tar", "w") as tar:
        for number, (image, label) in enumerate(zip(IMAGES, LABELS, strict=True)):
            for name, data in ((f"{number:02}.png", png(image)), (f"{number:02}.cls", str(label).encode())):
                (info := tarfile.TarInfo(name)).size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return root / "data.tar"


def as_npz(root: Path) -> Path:
    np.savez(root / "data.npz", images=np.stack(IMAGES), labels=LABELS)
    return root / "data.npz"


def as_npy(root: Path) -> Path:
    (root / "arrays").mkdir()
    np.save(root / "arrays/images.npy", np.stack(IMAGES))
    np.save(root / "arrays/labels.npy", np.array(LABELS))
    return root / "arrays"


SOURCES: dict[str, Callable[[Path], object]] = {
    "folder": lambda root: write(root / "pets"),
    "manifest": as_manifest,
    "shards": as_shards,
    "npz": as_npz,
    "npy": as_npy,
    "arrays": lambda _root: (np.stack(IMAGES), LABELS),
    "items": lambda _root: list(zip(IMAGES, LABELS, strict=True)),
}


def number_of(name: str) -> int:
    return int(name.rpartition("/")[2].partition(".")[0])


def apart(data: Dataset) -> int:
    """Of how many pairs of copies one is in train and the other is not."""
    home = {number_of(name): split for split, part in data.splits.items() for name in part.names}
    return sum((home[number] == "train") != (home[number + 24] == "train") for number in range(8))


def told(data: Dataset) -> list[str]:
    return [remark for remark in data.remarks if "near-duplicates of images to train" in remark]


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_tells_of_near_duplicates_and_keeps_them_together(source: str, tmp_path: Path) -> None:
    data = SOURCES[source](tmp_path)
    plain = as_dataset(data, seed=1)  # type: ignore[arg-type]
    assert apart(plain) > 0
    (remark,) = told(plain)
    assert " is like " in remark
    assert "keeps them together" in remark
    kept = as_dataset(data, group=KEPT, seed=1)  # type: ignore[arg-type]
    assert apart(kept) == 0
    assert told(kept) == []
    assert "near-duplicates are kept together: 8 clusters, the largest of 2 images" in kept.remarks
    assert kept.grouped_by == (KEPT,)
    assert sum(len(set(split.groups or split.names)) for split in kept.splits.values()) == 24
    assert as_dataset(data, group=KEPT, seed=1).fingerprint == kept.fingerprint  # type: ignore[arg-type]


def test_in_given_splits_they_are_told_and_stay(tmp_path: Path) -> None:
    folder = write(tmp_path / "pets", lambda number: "train" if number < 24 else "test")
    data = open_data(folder)
    (remark,) = told(data)
    assert remark.startswith("8 of 8 images of test are near-duplicates of images to train")
    assert "test/class0/24.png (test) is like train/class0/00.png" in remark
    assert "and 5 more; leave them out of one of the splits" in remark
    assert len(told(open_data(folder, group=KEPT))) == 1
    assert len(data.splits["test"]) == 8


def test_they_tie_other_groups() -> None:
    groups = [f"g{number // 2}" for number in range(32)]
    data = open_arrays(np.stack(IMAGES), LABELS, groups=groups, group=KEPT)
    home = {number_of(name): split for split, part in data.splits.items() for name in part.names}
    assert apart(data) == 0
    for number in range(8):  # 0 and 1, their copies 24 and 25
        assert len({home[number], home[number ^ 1], home[number + 24], home[(number ^ 1) + 24]}) == 1


def test_an_index_made_before_is_completed(tmp_path: Path) -> None:
    folder, kept = write(tmp_path / "pets"), tmp_path / "kept"
    before = open_data(folder, cache_folder=kept, seed=1)
    index = index_file(kept, str(folder))
    head, body, _ = index.read_text().split("\n")
    content = json.loads(body)
    del content["columns"]["thumbnail"]
    text = json.dumps(content)
    index.write_text(f"{head}\n{text}\n")
    again = open_data(folder, cache_folder=kept, seed=1)
    assert (again.fingerprint, again.remarks) == (before.fingerprint, before.remarks)
    assert len(told(again)) == 1
    assert "thumbnail" in json.loads(index.read_text().split("\n")[1])["columns"]


def test_large_sets_are_compared_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def find(thumbnails: list[str]) -> np.ndarray:
        calls.append(len(thumbnails))
        return near_duplicates(thumbnails)

    monkeypatch.setattr(likeness, "near_duplicates", find)
    monkeypatch.setattr(likeness, "_WORTH_KEEPING", 10)
    folder, kept = write(tmp_path / "pets"), tmp_path / "kept"
    first = open_data(folder, cache_folder=kept, seed=1, progress=SilentProgress())
    assert open_data(folder, cache_folder=kept, seed=1).remarks == first.remarks
    assert calls == [32]
    (folder / "class0/00.png").unlink()
    open_data(folder, cache_folder=kept, seed=1)
    assert calls == [32, 31]


@given(st.integers(1, 200), st.integers(1, 200), st.integers(0, 255), st.sampled_from([1, 3]))
@settings(max_examples=60, deadline=None)
def test_a_thumbnail_shows_no_tone_or_color_that_is_not_there(
    height: int, width: int, level: int, channels: int
) -> None:
    flat = np.full((height, width, channels), level, np.uint8)
    assert one_tone(thumbnail(flat))
    ramp = np.arange(height * width, dtype=np.uint8).reshape(height, width, 1).repeat(channels, axis=2)
    assert no_color(thumbnail(ramp))
    assert no_color(thumbnail(flat))
