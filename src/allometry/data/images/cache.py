"""Shrunk images kept in memory, within a limit, so that later epochs need not decode them again."""

from __future__ import annotations

import threading

import numpy as np

from allometry.data.images.pixels import Pixels

_MOST, _SHARE = 2 * 2**30, 8


def image_memory(whole: int) -> int:
    """Bytes to keep images in on a machine with so much memory: 2 GiB, or an eighth where that is less.

    Example:
        >>> [image_memory(gibibytes * 2**30) // 2**20 for gibibytes in (4, 16, 64)]
        [512, 2048, 2048]
    """
    return min(_MOST, whole // _SHARE)


class PixelCache:
    """Keeps images by name and size; threads may share it.

    Every epoch visits every image once, in another order, so dropping the least recently used would drop each image
    just before its turn. What is in stays in; only images of another size make room.

    Example:
        >>> cache = PixelCache(limit=100)
        >>> cache.put("a", 8, np.zeros((8, 8, 1), np.uint8))
        >>> cache.put("b", 8, np.zeros((8, 8, 1), np.uint8))  # no room
        >>> cache.get("a", 8) is None, cache.get("b", 8) is None, cache.used
        (False, True, 64)
        >>> cache.put("b", 9, np.zeros((9, 9, 1), np.uint8))  # the other size makes room
        >>> cache.get("a", 8) is None, cache.used
        (True, 81)
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._images: dict[int, dict[str, Pixels]] = {}
        self._used = 0
        self._lock = threading.Lock()

    @property
    def used(self) -> int:
        """Bytes that the kept images take."""
        return self._used

    def get(self, name: str, size: int) -> Pixels | None:
        """The image, or None."""
        with self._lock:
            return self._images.get(size, {}).get(name)

    def put(self, name: str, size: int, pixels: Pixels) -> None:
        """Keep an image if there is room; it becomes read-only."""
        if pixels.nbytes > self.limit:
            return
        # A view would keep the larger array that it looks into.
        if isinstance(pixels.base, np.ndarray) and pixels.base.nbytes > pixels.nbytes:
            pixels = pixels.copy()
        pixels.setflags(write=False)
        with self._lock:
            self._make_room(pixels.nbytes, size)
            shelf = self._images.setdefault(size, {})
            if name not in shelf and self._used + pixels.nbytes <= self.limit:
                shelf[name] = pixels
                self._used += pixels.nbytes

    def _make_room(self, needed: int, size: int) -> None:
        for other in [other for other in self._images if other != size]:
            shelf = self._images[other]
            while shelf and self._used + needed > self.limit:
                _, dropped = shelf.popitem()
                self._used -= dropped.nbytes
            if not shelf:
                del self._images[other]
