"""The door to the data: a name or a folder in, a data set out."""

from __future__ import annotations

from pathlib import Path

from allometry.base import Progress, SilentProgress
from allometry.data.dataset import Dataset
from allometry.data.pictures.cache import CACHE_BYTES
from allometry.data.sources.folder import open_folder
from allometry.data.sources.icons import open_icons


def open_data(
    where: str | Path,
    *,
    index: Path | None = None,
    seed: int = 0,
    progress: Progress = SilentProgress(),
    cache_bytes: int = CACHE_BYTES,
) -> Dataset:
    """Open the built-in `icons` or a folder of class folders.

    A folder is either `D/<class>/**/image` or `D/train/<class>/**/image` with `D/test/...` and `D/val/...`.
    What is missing of val and test is cut out of the rest: 15 % of each class, at least one image, decided by
    seed and content. Identical files never lie in two splits. Hidden files are ignored; other files that
    cannot be used are listed in `rejected` with the reason.

    Args:
        where: `icons`, or a folder (`./icons` for a folder of that name).
        index: a JSON file that remembers the check of every image; only new and changed files are opened
            again.
        seed: of the splits that are cut.
        progress: told of each image that is checked.
        cache_bytes: memory for pictures that are kept between epochs.

    Raises:
        DataError: no such folder, it is not arranged as class folders, or a class has too few usable images.
        StorageError: the index cannot be written.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> folder = Path(tempfile.mkdtemp()) / "colours"
        >>> for name, level in [("dark", 0), ("light", 200)]:
        ...     (folder / name).mkdir(parents=True)
        ...     for number in range(4):
        ...         Image.new("L", (20, 10), level + number).save(folder / name / f"{number}.png")
        >>> open_data(folder)
        Dataset(colours: 2 classes, train 4, val 2, test 2)
    """
    if where == "icons":
        return open_icons()
    return open_folder(Path(where), index=index, seed=seed, progress=progress, cache_bytes=cache_bytes)
