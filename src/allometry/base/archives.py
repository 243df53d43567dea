"""Archives of others: what they would take unpacked is known before anything is unpacked."""

from __future__ import annotations

import zipfile
from pathlib import Path

_MOST_MEMBERS = 1_000_000


class PackedError(ValueError):
    """An archive that would take too much; the message is the reason, for a sentence that names the file."""


def check_zip(path: Path, *, most: int) -> None:
    """Refuse a zip file whose members are more than `most` bytes unpacked; what is no zip file is left to its reader.

    Raises:
        PackedError: they are, or there are more than a million of them.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "zeros.npz"
        >>> with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        ...     file.writestr("images.npy", bytes(100_000))
        >>> check_zip(path, most=10_000)
        Traceback (most recent call last):
            ...
        allometry.base.archives.PackedError: it would be 100,000 bytes unpacked, and there is room for 10,000
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
        return
    whole = sum(member.file_size for member in members)
    if whole > most:
        raise PackedError(f"it would be {whole:,} bytes unpacked, and there is room for {most:,}")
    if len(members) > _MOST_MEMBERS:
        raise PackedError(f"it holds {len(members):,} files")
