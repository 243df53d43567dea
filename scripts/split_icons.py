"""The splits of the built-in icons: no author, no fork and no near-duplicate in two of them.

`split_drawings` gives each drawing a family, the sets of one author and their forks, and each family to one split.
Simple things, a tick or a minus, are drawn alike by everybody: of two drawings in different splits that correlate
by 0.95 or more, cropped to what is drawn, one is left out: none of train, and of validation only those like train's.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

FORKS = (
    ("feather", "lucide"),  # grew out of it
    ("feather", "meteor-icons"),  # redraws it
    ("heroicons", "sidekickicons"),  # made to go with it
    ("heroicons", "zondicons"),  # by one of its two authors
    ("ion", "famicons"),  # began as a copy
    ("material-symbols", "eos-icons"),  # extends it
    ("material-symbols", "mdi"),  # began with Google's
)
"""Sets that come from each other under other authors' names, as their own pages say."""

ALIKE = 0.95
INK, SIDES = (0, 127), (24, 40)  # what counts as drawn, of 255, and the sides that crops are compared at
LARGEST_FAMILY = 300  # larger ones are for training: a test on a few authors would say little
TEST, VAL = 2900, 1500  # drawings at most, before those that are alike go
ORDERS, ENOUGH = 300, 3  # orders of the families that are looked at, and drawings of a class that are enough
LEFT_OUT = ""
AT_ONCE = 1000
Pixels = npt.NDArray[np.uint8]


class Splits(NamedTuple):
    """The family of each drawing, [N], and its split, [N], which is empty for those that are left out."""

    family: npt.NDArray[np.str_]
    split: npt.NDArray[np.str_]


def split_drawings(
    images: Pixels,
    labels: npt.NDArray[np.integer[Any]],
    sources: npt.NDArray[np.str_],
    authors: Mapping[str, str],
) -> Splits:
    """Families and splits of drawings; the same drawings give the same ones.

    Families are dealt to test and validation in an order that hashes decide, of some orders the one that leaves most
    classes with a few drawings in both: a plus or a minus is hardly ever drawn in a way of its own. No training and no
    score takes part.

    Args:
        images: uint8 [N, height, width], ink = 255.
        labels: int [N].
        sources: the set of each drawing, [N].
        authors: of each set.
    """
    families = families_of(authors)
    family = np.array([families[source] for source in sources])
    pairs = alike_pairs(cropped(images))
    best, best_score = np.array([""]), -1
    for salt in range(ORDERS):
        dealt = _dealt(family, salt)
        split = np.array([dealt[name] for name in family])
        split = np.where(_alike_elsewhere(pairs, split), LEFT_OUT, split)
        counts = [np.bincount(labels[split == part], minlength=labels.max() + 1) for part in ("test", "val")]
        score = sum(int(np.minimum(count, ENOUGH).sum()) for count in counts)
        if score > best_score:
            best, best_score = split, score
    return Splits(family, best)


def families_of(authors: Mapping[str, str]) -> dict[str, str]:
    """The family of each set, named by its alphabetically first set."""
    first_of: dict[str, str] = {}
    pairs = [
        *FORKS,
        *((name, first_of.setdefault(authors[name].casefold(), name)) for name in sorted(authors)),
    ]
    family = {name: name for name in authors}
    for one, other in pairs:
        kept, gone = sorted((family[one], family[other]))
        family = {name: kept if held == gone else held for name, held in family.items()}
    return family


def cropped(images: Pixels) -> tuple[npt.NDArray[np.float32], ...]:
    """What is drawn, filling the frame, as unit vectors [N, side * side]: one array for each way of cropping.

    Several ways, so that no drawing is alike by one of them only because another cuts a faint edge off.
    """
    return tuple(
        _vectors([frame(_crop(image, ink)) for image in images], side)
        for ink in INK
        for frame in (_as_it_is, _square)
        for side in SIDES
    )


def _crop(image: Pixels, ink: int) -> Pixels:
    rows, columns = (np.flatnonzero(image.max(axis) > ink) for axis in (1, 0))
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _as_it_is(image: Pixels) -> Pixels:
    return image


def _square(image: Pixels) -> Pixels:
    height, width = image.shape
    side = max(height, width)
    padded = np.zeros((side, side), np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    padded[top : top + height, left : left + width] = image
    return padded


def _vectors(images: Sequence[Pixels], side: int) -> npt.NDArray[np.float32]:
    small = [
        np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR), np.float32)
        for image in images
    ]
    vectors = np.stack(small).reshape(len(small), -1)
    vectors -= vectors.mean(1, keepdims=True)
    unit: npt.NDArray[np.float32] = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
    return unit


def _dealt(family: npt.NDArray[np.str_], salt: int) -> dict[str, str]:
    """The split of each family."""
    sizes = Counter(family.tolist())
    limits, filled = {"test": TEST, "val": VAL}, Counter[str]()
    dealt = dict.fromkeys(sizes, "train")
    small = [name for name, size in sizes.items() if size <= LARGEST_FAMILY]
    for name in sorted(small, key=lambda name: hashlib.sha256(f"{salt}:{name}".encode()).hexdigest()):
        open_parts = [part for part, limit in limits.items() if filled[part] + sizes[name] <= limit]
        if open_parts:
            dealt[name] = min(open_parts, key=lambda part: filled[part] / limits[part])
            filled[dealt[name]] += sizes[name]
    return dealt


def alike_pairs(crops: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.int64]:
    """Which drawings are alike, [pairs, 2], the first before the second."""
    found = []
    for start in range(0, len(crops[0]), AT_ONCE):
        near = np.zeros((AT_ONCE, 0), np.bool_)
        for vectors in crops:
            these = vectors[start : start + AT_ONCE] @ vectors.T >= ALIKE
            near = these if near.shape[1] == 0 else near | these
        rows, columns = np.nonzero(near)
        later = columns > rows + start
        found.append(np.stack([rows[later] + start, columns[later]], axis=1))
    return np.concatenate(found)


def _alike_elsewhere(pairs: npt.NDArray[np.int64], split: npt.NDArray[np.str_]) -> npt.NDArray[np.bool_]:
    """Which drawings of validation and test are like one of another split that stays."""
    out = np.zeros(len(split), np.bool_)
    for mine, theirs in (("test", "train"), ("val", "train"), ("val", "test")):
        for one, other in (pairs.T, pairs.T[::-1]):
            out[one[(split[one] == mine) & (split[other] == theirs) & ~out[other]]] = True
    return out
