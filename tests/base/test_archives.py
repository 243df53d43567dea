"""Archives and tables that would take much more than they are: refused before they are unpacked."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from allometry.base import DataError, WeightsError
from allometry.base.archives import PackedError, check_zip
from allometry.data import open_data
from allometry.data.sources import array_files
from allometry.nn import read_weights
from allometry.nn.pretrained import files


def npy(shape: tuple[int, ...], kind: str = "|u1", held: bytes = b"") -> bytes:
    """An array's file with this header, and with what it holds."""
    header = repr({"descr": kind, "fortran_order": False, "shape": shape}).encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + held


def packed(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return path


def test_an_archive_is_measured_before_it_is_unpacked(tmp_path: Path) -> None:
    path = packed(tmp_path / "zeros.npz", images=bytes(5_000), labels=bytes(6_000))
    check_zip(path, most=11_000)
    with pytest.raises(PackedError, match="11,000 bytes unpacked"):
        check_zip(path, most=10_999)
    for other in (b"", b"PK\x03\x04", b"no archive"):
        path.write_bytes(other)
        check_zip(path, most=0)  # its reader will say what it is


def test_arrays_that_do_not_fit_are_refused_with_what_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "data.npz"
    images, labels = np.zeros((12, 8, 8), np.uint8), np.arange(12) % 2
    np.savez_compressed(path, images=images, labels=labels)
    monkeypatch.setattr(array_files, "memory", lambda: 1_000)
    with pytest.raises(
        DataError, match=r"more memory than there is.* room for 800\. Save images.npy and labels.npy"
    ):
        open_data(path, cache_folder=tmp_path / "cache")
    np.savez(tmp_path / "weights.npz", weight=np.zeros(10_000, np.float32))
    monkeypatch.setattr(files, "memory", lambda: 1_000)
    with pytest.raises(WeightsError, match="room for 800"):
        read_weights(tmp_path / "weights.npz")


@pytest.mark.parametrize("shape", [(10**11,), (10**6, 316, 316), (2**62, 4)])
def test_a_header_of_93_gibibytes_takes_none(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = packed(tmp_path / "data.npz", images=npy(shape), labels=npy((12,), "<i8", bytes(96)))
    with pytest.raises(DataError, match=r"data\.npz"):
        open_data(path, cache_folder=tmp_path / "cache")
    folder = tmp_path / "arrays"
    folder.mkdir()
    (folder / "images.npy").write_bytes(npy(shape))
    (folder / "labels.npy").write_bytes(npy((12,), "<i8", bytes(96)))
    with pytest.raises(DataError, match=r"images\.npy"):
        open_data(folder, cache_folder=tmp_path / "cache")
    (folder / "images.npy").write_bytes(npy((12, 8, 8), held=bytes(768)))
    (folder / "labels.npy").write_bytes(npy(shape, "<i8"))
    with pytest.raises(DataError, match=r"labels\.npy"):
        open_data(folder, cache_folder=tmp_path / "cache")
    with pytest.raises(WeightsError, match=r"weights\.npz"):
        read_weights(packed(tmp_path / "weights.npz", weight=npy(shape, "<f4")))


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_are_no_larger_than_their_file(tmp_path: Path, zipped: bool) -> None:
    path, one = tmp_path / "weights.pth", torch.zeros(4)
    shared = torch.zeros(1000)
    for tensors in (
        {"weight": one[:1].expand(10**13)},
        {"weight": torch.as_strided(one, (2**40, 2), (0, 1))},
        {f"weight{number}": shared for number in range(2000)},
    ):
        torch.save(tensors, path, _use_new_zipfile_serialization=zipped)
        with pytest.raises(WeightsError, match="tells of"):
            read_weights(path)
    torch.save({"weight": shared, "tied": shared, "part": shared[:10]}, path)
    assert len(read_weights(path).tensors) == 3


def test_a_packed_file_of_tensors_is_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(3_000_000)}, tmp_path / "plain.pth")
    with (
        zipfile.ZipFile(tmp_path / "plain.pth") as plain,
        zipfile.ZipFile(tmp_path / "packed.pth", "w", zipfile.ZIP_DEFLATED) as other,
    ):
        for name in plain.namelist():
            other.writestr(name, plain.read(name))
    assert (tmp_path / "packed.pth").stat().st_size < 50_000
    with pytest.raises(WeightsError, match="bytes unpacked"):
        read_weights(tmp_path / "packed.pth")


def test_a_table_that_repeats_one_row_is_refused(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "many.parquet"
    number = 300_000
    table = pyarrow.table({"path": ["a.png"] * number, "label": ["cat"] * number})
    parquet.write_table(table, path, compression="zstd")
    assert path.stat().st_size < 10_000
    with pytest.raises(DataError, match=r"300,000 rows in .* bytes, more than different images"):
        open_data(path, cache_folder=tmp_path / "cache")
    long = pyarrow.table({"path": ["x" * 2**20] * 50, "label": ["cat"] * 50})
    parquet.write_table(long, path, compression="zstd")
    with pytest.raises(DataError, match="more than different images"):
        open_data(path, cache_folder=tmp_path / "cache")
