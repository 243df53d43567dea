"""Where the bytes of images lie: in files of their own, or inside shards."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from allometry.data.images.reading import UnreadableImageError, read_file


@dataclass(frozen=True, eq=False, slots=True)
class FileStore:
    """Images that are files of their own.

    Attributes:
        root: what the names start from.
        names: the files.
    """

    root: Path
    names: tuple[str, ...]

    def place(self, index: int) -> str:
        """The file's path, for messages."""
        return str(self.root / self.names[index])

    def read(self, index: int) -> bytes:
        """The file's bytes.

        Raises:
            DataError: there is no such file, or it cannot be read.
        """
        return read_file(self.root / self.names[index])


@dataclass(frozen=True, eq=False, slots=True)
class ShardStore:
    """Images that are members of uncompressed tar files.

    A shard is opened for each image: that costs a hundredth of what decoding does, threads need not share anything,
    and thousands of shards do not use up the files that a process may hold open.

    Attributes:
        shards: the tar files.
        members: the images' names in the data set.
        shard: int32 [N], in which of `shards` each image is.
        offset: int64 [N], where its bytes begin.
        length: int64 [N], how many they are.
    """

    shards: tuple[Path, ...]
    members: tuple[str, ...]
    shard: npt.NDArray[np.int32]
    offset: npt.NDArray[np.int64]
    length: npt.NDArray[np.int64]

    def place(self, index: int) -> str:
        """The member and its shard, for messages."""
        return f"{self.members[index]} in {self.shards[self.shard[index]]}"

    def read(self, index: int) -> bytes:
        """The member's bytes.

        Raises:
            DataError: the shard has gone, cannot be read, or ends before the member does.
        """
        length = int(self.length[index])
        try:
            data = read_part(self.shards[self.shard[index]], int(self.offset[index]), length)
        except OSError as error:
            raise UnreadableImageError(self.place(index), _reason(error)) from error
        if len(data) < length:
            raise UnreadableImageError(self.place(index), "the shard has been cut short")
        return data


def read_part(path: Path, offset: int, length: int) -> bytes:
    """Up to `length` bytes of a file from `offset`; fewer where it ends before.

    Raises:
        OSError: the file cannot be read.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe that nobody writes to would never open
    try:
        parts = []
        while length > 0 and (part := os.pread(handle, length, offset)):
            parts.append(part)
            offset, length = offset + len(part), length - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)
    finally:
        os.close(handle)


def _reason(error: OSError) -> str:
    return "there is no such file" if isinstance(error, FileNotFoundError) else error.strerror or str(error)
