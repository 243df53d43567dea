"""Small files that would take much: refused before they take it, by name, and the rest goes on."""

from __future__ import annotations

import os
import socket
import struct
import tarfile
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from allometry.base import DataError
from allometry.data import open_data, read_image
from allometry.data.images import limits, reading
from allometry.data.images.limits import MemoryBudget
from tests.image_files import chunk, png, saved, tiff

from .conftest import WriteImage


def wide_png(width: int, height: int, *, color: int = 0, bits: int = 8, rows: int | None = None) -> bytes:
    """A black PNG of very many pixels in few bytes; of some the first rows are enough."""
    bands = {0: 1, 2: 3, 6: 4}[color]
    packer, row = zlib.compressobj(9), bytes(1 + (width * bands * bits + 7) // 8)
    packed = b"".join(packer.compress(row) for _ in range(rows or height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def many_scans() -> bytes:
    """A progressive JPEG whose last refinement comes 3,000 times."""
    data = saved(Image.fromarray(np.full((64, 64, 3), 9, np.uint8)), "JPEG", progressive=True)
    start = data.rindex(b"\xff\xda")
    return data[:start] + data[start:-2] * 3000 + data[-2:]


def webp() -> bytes:
    """The header of a lossless WebP of 10,000 x 10,000 pixels, which is all that is looked at."""
    bits = (9_999 | 9_999 << 14).to_bytes(4, "little")
    body = b"VP8L" + struct.pack("<I", 3_800) + b"\x2f" + bits + bytes(3_795)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def overlapping_strips() -> bytes:
    """A TIFF with the same strip for 100 images, one above the other."""
    data = tiff(np.zeros((33, 32), np.uint8), t278=[32])
    start = struct.unpack_from("<I", data, 4)[0]
    place = start + 2 + 12 * 5
    assert struct.unpack_from("<H", data, place)[0] == 273
    strips = struct.pack("<HHII", 273, 4, 100, len(data))
    return data[:place] + strips + data[place + 12 :] + struct.pack("<100I", *[8] * 100)


def fields_in_one_another(*, large: bool = False) -> bytes:
    """A TIFF of 60,000 fields, each of which is the whole file."""
    if large:  # BigTIFF
        entries = (struct.pack("<HHQQ", number + 1, 1, 700_000, 16) for number in range(60_000))
        return b"II+\0" + struct.pack("<HHQQ", 8, 0, 16, 60_000) + b"".join(entries) + bytes(8)
    fields = b"".join(struct.pack("<HHII", number + 1, 1, 700_000, 8) for number in range(60_000))
    return b"II*\0" + struct.pack("<IH", 8, 60_000) + fields + bytes(4)


BOMBS = {
    "wide": (lambda: wide_png(1_000_000, 1), "1000000 x 1 pixels are more than 65,535"),
    "many": (lambda: wide_png(20_000, 20_000, rows=9), "limit of 100 million"),
    "webp": (webp, "would take 2,800,000,000 to decode"),
    "deep": (lambda: wide_png(7_000, 7_000, color=6, bits=16, rows=9), "would take 1,960,000,000 to decode"),
    "scans": (many_scans, r"in 3,\d\d\d scans"),
    "strips": (overlapping_strips, "cover the image many times"),
    "fields": (fields_in_one_another, "lie in one another"),
    "many fields": (lambda: fields_in_one_another(large=True), "lie in one another"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_before_it_goes_off(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make, words = BOMBS[name]
    data = make()
    for decoder in ("show", "decode_jpeg", "with_end"):
        monkeypatch.setattr(reading, decoder, lambda *_args, **_options: pytest.fail("it is decoded"))
    with pytest.raises(DataError, match=words):
        read_image(data, channels=3)


def test_what_is_blank_is_no_bomb() -> None:
    assert read_image(wide_png(5_000, 4_000), channels=1).shape == (4_000, 5_000, 1)
    page = saved(Image.new("1", (5_000, 7_000)), "TIFF", compression="group4")
    assert read_image(page, channels=1, min_side=50).shape == (70, 50, 1)


def test_one_bomb_costs_one_image(folder: Path, tmp_path: Path) -> None:
    (folder / "cat" / "wide.png").write_bytes(wide_png(1_000_000, 1))
    (folder / "dog" / "scans.jpg").write_bytes(many_scans())
    data = open_data(folder, cache_folder=tmp_path / "cache")
    assert [file.path for file in data.rejected] == ["cat/wide.png", "dog/scans.jpg"]
    assert sum(map(len, data.splits.values())) == 20


def test_too_little_memory_is_the_reason_of_one_file(
    folder: Path, write_image: WriteImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image("pets/cat/large.png", 200, (50, 40))
    show = reading.show

    def short(opened: Image.Image, **options: object) -> object:
        if opened.width == 50:
            raise MemoryError
        return show(opened, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(reading, "show", short)
    data = open_data(folder, cache_folder=tmp_path / "cache")
    assert [(file.path, file.reason) for file in data.rejected] == [
        ("cat/large.png", "there is too little memory to decode it")
    ]


def test_threads_share_their_memory() -> None:
    budget, most, now, lock = MemoryBudget(100), [], [0], threading.Lock()

    def work(amount: int) -> None:
        with budget.take(amount):
            with lock:
                now[0] += min(amount, 100)
                most.append(now[0])
            time.sleep(0.005)
            with lock:
                now[0] -= min(amount, 100)

    threads = [threading.Thread(target=work, args=(amount,)) for amount in (40, 60, 70, 500, 30, 90, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) <= 100
    assert budget.free == 100


def test_large_images_wait_for_memory_and_small_ones_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []

    class Told(MemoryBudget):
        def take(self, amount: int):  # type: ignore[no-untyped-def]
            taken.append(amount)
            return super().take(amount)

    monkeypatch.setattr(limits, "_BUDGET", Told(2**30))
    read_image(saved(Image.new("RGB", (64, 64)), "PNG"), channels=3)
    read_image(saved(Image.new("RGB", (64, 64)), "JPEG"), channels=3)
    assert not taken
    read_image(wide_png(4_000, 3_000), channels=1)
    read_image(saved(Image.new("RGB", (3_000, 2_500)), "JPEG"), channels=3)
    read_image(saved(Image.new("RGB", (3_000, 2_500)), "JPEG"), channels=3, min_side=100)  # decoded small
    assert taken == [36_000_000, 45_000_000]


def test_only_regular_files_of_a_bearable_size_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "socket.png"))
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    with (tmp_path / "huge.png").open("wb") as file:
        file.truncate(2**33)
    for path, words in {
        "/dev/zero": "not a regular file",
        tmp_path / "pipe.png": "not a regular file",
        tmp_path / "socket.png": "No such device|not a regular file",
        tmp_path / "loop.png": "symbolic links",
        tmp_path / "huge.png": "8,589,934,592 bytes are more than an image may have",
        "x" * 5000 + ".png": "name too long",
        "a\0b.png": "no name of a file",
    }.items():
        with pytest.raises(DataError, match=words):
            read_image(path, channels=3)
    server.close()


def test_a_header_of_a_tebibyte_takes_none(tmp_path: Path) -> None:
    header = tarfile.TarInfo("pax")
    header.type, header.size = b"x", 2**40
    (tmp_path / "one.tar").write_bytes(
        header.tobuf(tarfile.GNU_FORMAT) + b"9 a=b\n".ljust(512, b"\0") + bytes(1024)
    )
    with pytest.raises(DataError, match=r"one\.tar"):
        open_data(tmp_path / "one.tar", cache_folder=tmp_path / "cache")


def test_labels_in_a_pipe_are_no_labels(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "labels.npy")
    np.save(tmp_path / "images.npy", np.zeros((4, 8, 8), np.uint8))
    with pytest.raises(DataError, match="no regular file"):
        open_data(tmp_path)


def test_a_png_that_is_right_is_read_as_before() -> None:
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert (read_image(png(values, color=0, bits=8), channels=1)[..., 0] == values).all()
