"""What a source of images says it holds, before an image is opened, and with what it is opened."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from allometry.base import Progress
from allometry.data.sources.grouping import UNGROUPED, Grouping

_SPLIT_WORDS = {
    "train": ("train", "training", "trn"),
    "val": ("val", "valid", "validation", "validate", "eval", "evaluation"),
    "test": ("test", "testing", "tst", "holdout"),
}
_SPLIT_OF_WORD = {word: split for split, words in _SPLIT_WORDS.items() for word in words}
_BESIDES = frozenset({"set", "sets", "data", "dataset", "images", "image", "imgs", "img", "split", "part"})
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
SEPARATOR = "\x1f"
"""Between the labels of an image in a record; no name has it."""


def split_of(name: str) -> str:
    """The split that a name means, `train`, `val` or `test`; empty text where it means none.

    One list for folders, manifests, arrays and shards, in any case, with what people write beside it.

    Example:
        >>> [split_of(name) for name in ("Training", "test_set", "valImages2017", "VALID", "trainer", "train test")]
        ['train', 'test', 'val', 'val', '', '']
    """
    words = [word.lower() for word in _WORD.findall(name)]
    kept = [word for word in words if word not in _BESIDES]
    if len(kept) != 1 or not all(sign.isalnum() or sign in "-_. " for sign in name):
        return ""
    word = kept[0]
    return _SPLIT_OF_WORD.get(word) or _SPLIT_OF_WORD.get(word.removesuffix("set"), "")


def splits_of(names: Sequence[str]) -> dict[str, str]:
    """The split that each of some names means that stand beside each other; those that mean none are left out.

    Words that all of them begin or end with are looked over, if all mean a split without them.

    Example:
        >>> splits_of(["pets_train", "pets_test"]), splits_of(["train", "cat"])
        ({'pets_train': 'train', 'pets_test': 'test'}, {'train': 'train'})
    """
    plain = {name: split for name in names if (split := split_of(name))}
    if plain or len(names) < 2:
        return plain
    words = [_WORD.findall(name) for name in names]
    first, last = _common_words(words), _common_words([row[::-1] for row in words])
    rest = {
        name: split_of(" ".join(row[first : len(row) - last])) for name, row in zip(names, words, strict=True)
    }
    return rest if all(rest.values()) else {}


def _common_words(rows: Sequence[Sequence[str]]) -> int:
    """With how many words all begin."""
    common = 0
    for column in zip(*rows, strict=False):
        if len(set(column)) > 1:
            break
        common += 1
    return common


class ImageRecord(NamedTuple):
    """An image of a class, not yet opened.

    Attributes:
        path: its name in the data set: its path inside the folder, with forward slashes.
        split: the split that it is given to; empty where splits are to be cut.
        class_name: its class; several labels are divided by `SEPARATOR`.
        stamp: of the file, by which it is known again; empty where there is no file of its own.
        group: of images that are alike, and stay in one split; empty for an image on its own.
    """

    path: str
    split: str
    class_name: str
    stamp: str = ""
    group: str = ""


def stamp_of(status: os.stat_result) -> str:
    """What the system says of a file, by which a change shows: size and time of change, then when it became what it is.

    Programs can set the time of change back, as those that unpack and copy do. The system's own time and the file's
    number cannot be set: of two files that exchange their names, both show it.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> for name in ("a", "b"):
        ...     _ = (folder / name).write_text(name)
        ...     os.utime(folder / name, (1, 1))
        >>> a, b = (stamp_of((folder / name).stat()) for name in ("a", "b"))
        >>> a == b, a[:13]
        (False, '1/1000000000/')
    """
    return f"{status.st_size}/{status.st_mtime_ns}/{status.st_ctime_ns}/{status.st_ino}"


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
        base: how many parts of an image's path, from the first, are no folder of its group: split, class or shard.
    """

    place: str
    classes: tuple[str, ...]
    splits: tuple[str, ...]
    files: tuple[ImageRecord, ...]
    refused: tuple[RejectedFile, ...]
    multi_label: bool = False
    base: int = 0

    def labels_of(self, class_name: str) -> tuple[str, ...]:
        """The labels that a record names."""
        if not self.multi_label:
            return (class_name,)
        return tuple(class_name.split(SEPARATOR)) if class_name else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """A network that images are to judge, where they are not to learn from.

    Then nothing is cut, classes may be few or missing, and nothing is left out as the copy of something else.

    Attributes:
        channels: that the network takes, 1 or 3.
        multi_label: whether it gives several labels.
    """

    channels: int
    multi_label: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOptions:
    """How a source is opened, whatever its kind.

    Attributes:
        cache_folder: where indexes and downloaded shards are kept.
        seed: of the splits that are cut.
        progress: told of each image that is checked.
        cache_bytes: memory for images that are kept between epochs.
        partial: classes and splits need not be complete, since perhaps nothing is to learn from the images.
        grouping: what images have in common that stay in one split.
    """

    cache_folder: Path
    seed: int
    progress: Progress
    cache_bytes: int
    partial: bool = False
    grouping: Grouping = UNGROUPED
