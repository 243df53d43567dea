"""What a source of images says it holds, before an image is opened, and with what it is opened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from allometry.base import Progress

SPLIT_OF_NAME = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
"""The words for a split, in folders, manifests and names of shards."""
SEPARATOR = "\x1f"
"""Between the labels of an image in a record; no name has it."""


class ImageRecord(NamedTuple):
    """An image of a class, not yet opened.

    Attributes:
        path: its name in the data set: its path inside the folder, with forward slashes.
        split: the split that it is given to; empty where splits are to be cut.
        class_name: its class; several labels are divided by `SEPARATOR`.
        size: in bytes.
        modified: in nanoseconds.
    """

    path: str
    split: str
    class_name: str
    size: int
    modified: int


class RejectedFile(NamedTuple):
    """What cannot be used, and why.

    Attributes:
        path: its name in the data set.
        reason: the second half of a sentence.
        split: where it would have belonged; empty where that is not known.
        class_name: the class it would have had; empty where that is not known.
    """

    path: str
    reason: str
    split: str = ""
    class_name: str = ""


class Layout(NamedTuple):
    """What a source holds.

    Attributes:
        place: of the source, for messages.
        classes: names, in the order of their labels.
        splits: those that the source comes with; none where all are to be cut.
        files: the images, sorted by path.
        refused: what is no image, in no class, or missing.
        multi_label: whether an image may have several labels, or none.
    """

    place: str
    classes: tuple[str, ...]
    splits: tuple[str, ...]
    files: tuple[ImageRecord, ...]
    refused: tuple[RejectedFile, ...]
    multi_label: bool = False

    def labels_of(self, class_name: str) -> tuple[str, ...]:
        """The labels that a record names."""
        if not self.multi_label:
            return (class_name,)
        return tuple(class_name.split(SEPARATOR)) if class_name else ()


def sorted_classes(names: set[str]) -> tuple[str, ...]:
    """Class names in the order of their labels: numbers by their value, anything else by the alphabet.

    Example:
        >>> sorted_classes({"10", "9", "0"}), sorted_classes({"10", "9", "cat"})
        (('0', '9', '10'), ('10', '9', 'cat'))
    """
    if all(name.isdecimal() for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOptions:
    """How a source is opened, whatever its kind.

    Attributes:
        cache_folder: where indexes and downloaded shards are kept.
        seed: of the splits that are cut.
        progress: told of each image that is checked.
        cache_bytes: memory for images that are kept between epochs.
    """

    cache_folder: Path
    seed: int
    progress: Progress
    cache_bytes: int
