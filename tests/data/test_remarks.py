"""Images that look right and are empty: 16 bits used in part, uniform images, one picture in two classes. Told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from allometry.data import as_dataset, as_split, open_arrays, open_data, read_image, with_levels
from allometry.data.dataset import Dataset
from tests.image_files import COLOR, png, tiff

from .conftest import Told, WriteImage

SCALES = {8: (1, (0, 255)), 10: (4, (0, 1023)), 12: (16, (0, 4095)), 16: (256, None)}


def narrow(number: int) -> np.ndarray:
    """An image of 8 bits, with 0 and 255 in it."""
    values = np.random.default_rng(number).integers(0, 256, (12, 10)).astype(np.uint16)
    values[0, :2] = 0, 255
    return values


def write_deep(root: Path, factor: int, *, offset: int = 0, color: bool = False, kind: str = "png") -> Path:
    for number in range(20):
        values = narrow(number) * factor + offset
        values = np.dstack([values, values[::-1], values]) if color else values
        path = root / ("cat" if number % 2 else "dog") / f"{number}.{kind}"
        path.parent.mkdir(parents=True, exist_ok=True)
        data = (
            png(values, color=2 if color else 0, bits=16)
            if kind == "png"
            else tiff(values, order=">", photometric=COLOR if color else 1)
        )
        path.write_bytes(data)
    return root


def opened(root: Path, tmp_path: Path) -> Dataset:
    return open_data(root, cache_folder=tmp_path / "cache")


@pytest.mark.parametrize("bits", SCALES)
@pytest.mark.parametrize("kind", ["png", "tif"])
@pytest.mark.parametrize("color", [False, True])
def test_images_of_16_bits_are_read_by_the_part_that_they_use(
    tmp_path: Path, bits: int, kind: str, color: bool
) -> None:
    factor, levels = SCALES[bits]
    data = opened(write_deep(tmp_path / "data", factor, color=color, kind=kind), tmp_path)
    assert data.levels == levels
    assert data.channels == (3 if color else 1)
    train = data.splits["train"]
    seen = train.image(0)[..., 0]
    assert (seen == narrow(int(Path(train.names[0]).stem))).all()
    assert (
        read_image(tmp_path / "data" / train.names[0], channels=1, levels=data.levels).max() == 255
    ) or color
    if levels is None:
        assert data.remarks == ()
    else:
        (remark,) = data.remarks
        assert (
            f"20 images have 16 bits, but the values of those to train lie between 0 and {255 * factor:,}"
            in remark
        )
        assert f"{levels[1]:,} as white" in remark
    again = opened(tmp_path / "data", tmp_path)  # from the index
    assert (again.levels, again.remarks, again.fingerprint) == (data.levels, data.remarks, data.fingerprint)


def test_a_narrow_band_far_above_black_is_widened(tmp_path: Path) -> None:
    data = opened(write_deep(tmp_path / "data", 8, offset=31_000), tmp_path)
    assert data.levels == (31_000, 31_000 + 255 * 8)
    assert "31,000 as black and 33,040 as white" in data.remarks[0]
    seen = data.splits["train"].image(0)
    assert (seen.min(), seen.max()) == (0, 255)


def test_the_images_to_train_decide_and_others_are_clipped(tmp_path: Path) -> None:
    for split, factor in (("train", 16), ("test", 64)):
        write_deep(tmp_path / "data" / split, factor)
    data = opened(tmp_path / "data", tmp_path)
    assert data.levels == (0, 4095)
    assert "20 images of val and test go beyond that and are clipped" in data.remarks[0]
    assert data.splits["test"].image(0).max() == 255


def test_a_network_sees_other_images_by_its_own_levels(tmp_path: Path) -> None:
    other = opened(write_deep(tmp_path / "other", 64), tmp_path).splits["test"]
    seen = with_levels(other, (0, 4095))
    assert with_levels(seen, (0, 4095)) is seen
    name = int(Path(other.names[0]).stem)
    assert (seen.image(0)[..., 0] == np.minimum(narrow(name) * 4, 255)).all()
    assert (other.image(0)[..., 0] == narrow(name)).all()


def test_pil_images_of_16_bits_are_read_by_the_part_that_they_use() -> None:
    pairs = [(Image.fromarray(narrow(number) * 16), number % 2) for number in range(20)]
    data = as_dataset(pairs)
    assert data.levels == (0, 4095)
    assert (data.splits["train"].image(0).max(), len(data.remarks)) == (255, 1)


@pytest.mark.parametrize("bits", [8, 10])
def test_pil_images_that_differ_in_their_lower_bits_alone_are_different(bits: int) -> None:
    factor, levels = SCALES[bits]
    pairs = [(Image.fromarray(narrow(number) * factor), number % 2) for number in range(20)]
    data = as_dataset(pairs)
    assert data.levels == levels
    assert sum(map(len, data.splits.values())) == 20
    split = data.splits["train"]
    assert len({split.digest(index) for index in range(len(split))}) == len(split)
    assert (split.image(0)[..., 0] == narrow(int(split.names[0]))).all()


def test_highest_values_that_are_faults_are_told(tmp_path: Path) -> None:
    root = write_deep(tmp_path / "data", 1)
    for number in range(20):
        path = root / ("cat" if number % 2 else "dog") / f"{number}.png"
        values = np.tile(narrow(number), (8, 8))
        values[1, 1] = 65_535
        path.write_bytes(png(values, color=0, bits=16))
    data = opened(root, tmp_path)
    assert data.levels is None
    assert "nearly black: 99 % of the pixels of each lie below" in data.remarks[0]


def test_uniform_images_are_told(folder: Path, write_image: WriteImage, tmp_path: Path) -> None:
    for number in range(10):  # the folder's own are uniform, too
        for name in ("cat", "dog"):
            Image.fromarray(narrow(number + 50 * (name == "cat")).astype(np.uint8)).save(
                folder / name / f"{number}.png"
            )
    assert opened(folder, tmp_path).remarks == ()
    write_image("pets/cat/black.png", 0)
    write_image("pets/dog/red.png", (200, 0, 0))
    (remark,) = opened(folder, tmp_path).remarks
    assert remark == "2 of 22 images show nothing, since all pixels are alike: cat/black.png, dog/red.png"


def test_uniform_arrays_are_told(tmp_path: Path) -> None:
    images = np.stack([narrow(number).astype(np.uint8) for number in range(20)])
    images[7] = 9
    labels = np.arange(20) % 2
    assert "1 of 20 images shows nothing" in open_arrays(images, labels).remarks[0]
    (tmp_path / "arrays").mkdir()
    np.save(tmp_path / "arrays" / "images.npy", images)
    np.save(tmp_path / "arrays" / "labels.npy", labels)
    for _ in range(2):
        (remark,) = opened(tmp_path / "arrays", tmp_path).remarks
        assert "shows nothing, since all pixels are alike: 07" in remark


def test_one_picture_in_two_classes_is_told_with_both_places(folder: Path, tmp_path: Path) -> None:
    values = narrow(3).astype(np.uint8)
    written = PngImagePlugin.PngInfo()
    written.add_text("comment", "other bytes, the same picture")
    Image.fromarray(values).save(folder / "cat" / "one.png")
    Image.fromarray(values).save(folder / "dog" / "same.png", pnginfo=written)
    Image.fromarray(values).save(folder / "dog" / "same.tif")
    (remark,) = (text for text in opened(folder, tmp_path).remarks if "two classes" in text)
    assert remark.startswith("2 pictures have two classes: ")
    assert "(cat)" in remark
    assert "(dog)" in remark
    (folder / "dog" / "same.png").unlink()
    (folder / "dog" / "same.tif").unlink()
    assert not any("two classes" in remark for remark in opened(folder, tmp_path).remarks)


def test_a_leak_into_another_class_is_told(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for number in range(8):
            path = tmp_path / "data" / split / ("cat" if number % 2 else "dog") / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(narrow(number + 9 * (split == "test")).astype(np.uint8)).save(path)
    copy = tmp_path / "data" / "test" / "dog" / "copy.png"
    copy.write_bytes((tmp_path / "data" / "train" / "cat" / "1.png").read_bytes())
    (leak,) = opened(tmp_path / "data", tmp_path).rejected
    assert leak.reason == (
        "the same image as test/dog/copy.png, which must stay unseen, and there is of another class (dog)"
    )


def test_few_of_many_are_named(folder: Path, tmp_path: Path) -> None:
    (remark,) = opened(folder, tmp_path).remarks
    assert remark.startswith("20 of 20 images show nothing, since all pixels are alike: ")
    assert remark.endswith("and 17 more")


def test_labels_instead_of_images_are_told(folder: Path, tmp_path: Path) -> None:
    for number in range(10):
        for name in ("cat", "dog"):
            masks = narrow(number + 50 * (name == "cat")).astype(np.uint8) // 64
            Image.fromarray(masks).save(folder / name / f"{number}.png")
    (remark,) = opened(folder, tmp_path).remarks
    assert remark.startswith("all images are nearly black: no level is above 3 of 255")
    masks = np.stack([narrow(number).astype(np.uint8) // 64 for number in range(20)])
    assert open_arrays(masks, np.arange(20) % 2).remarks == (remark,)


def test_what_is_odd_about_images_that_a_network_is_judged_by_is_told(tmp_path: Path) -> None:
    progress = Told()
    as_split(write_deep(tmp_path / "data", 16), classes=("cat", "dog"), channels=1, progress=progress)
    assert any("20 images have 16 bits with values between 0 and 4,080" in line for line in progress.lines)
