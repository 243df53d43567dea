"""Emoji of three vendors as a data set: which kind of thing is drawn, on things that were never drawn in training.

Made of three npm packages, fetched with `npm pack emoji-datasource-google emoji-datasource-twitter
@lobehub/fluent-emoji-3d` into one folder: Noto Emoji by Google (Apache License 2.0), Twemoji by Twitter and others
(CC BY 4.0), Fluent Emoji by Microsoft (MIT). Classes are Unicode's subgroups, such as `animal-mammal` or `clothing`, of
16 emoji or more; flags are left out, and so are variations of skin. All drawings of one emoji are a group, and lie in
one split.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from allometry.data import Dataset, open_arrays

PACKAGES = ("emoji-datasource-google", "emoji-datasource-twitter", "lobehub-fluent-emoji-3d")
SIZE = 64
_FEWEST = 16  # emoji of a class
_SHARES = (("test", 0.25), ("val", 0.2))


def emoji(folder: Path) -> Dataset:
    """The data set, of the packages' files in a folder; it is the same wherever it is made.

    Args:
        folder: where `npm pack` has put the packages.

    Raises:
        SystemExit: a package is missing.
    """
    kinds = _kinds(folder)
    images, labels, groups, names, splits = [], [], [], [], []
    for package in PACKAGES:
        for code, picture in _pictures(_archive(folder, package)):
            if code not in kinds:
                continue
            images.append(_pixels(picture))
            labels.append(kinds[code])
            groups.append(code)
            names.append(f"{package}/{code}")
            splits.append(_split(code))
    classes = sorted(set(labels))
    return open_arrays(
        np.stack(images),
        [classes.index(label) for label in labels],
        classes=classes,
        names=names,
        groups=groups,
        splits=splits,
        name="emoji",
    )


def _archive(folder: Path, package: str) -> Path:
    found = sorted(folder.glob(f"{package}-[0-9]*.tgz"))
    if not found:
        raise SystemExit(f"{folder} lacks {package}: fetch it there with `npm pack`.")
    return found[-1]


def _kinds(folder: Path) -> dict[str, str]:
    """The class of each emoji that is part of the data set, by its code points."""
    with tarfile.open(_archive(folder, PACKAGES[0])) as archive:
        file = archive.extractfile("package/emoji.json")
        assert file is not None  # noqa: S101
        known: Sequence[dict[str, Any]] = json.load(file)
    drawn = [entry for entry in known if entry["category"] not in ("Flags", "Component")]
    sizes = Counter(entry["subcategory"] for entry in drawn)
    return {
        _code(entry["image"]): entry["subcategory"]
        for entry in drawn
        if sizes[entry["subcategory"]] >= _FEWEST
    }


def _code(file: str) -> str:
    """The code points of an emoji, from a file's name; how it is to be shown is left out, as vendors disagree."""
    return "-".join(part for part in Path(file).stem.lower().split("-") if part != "fe0f")


def _pictures(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Every emoji of a package, by its code points."""
    with tarfile.open(archive) as opened:
        for member in opened:
            if "/64/" in member.name or member.name.endswith(".webp"):
                file = opened.extractfile(member)
                if file is not None:
                    yield _code(member.name), file.read()


def _pixels(picture: bytes) -> npt.NDArray[np.uint8]:
    """An emoji on white, uint8 [SIZE, SIZE, 3]."""
    drawn = Image.open(io.BytesIO(picture)).convert("RGBA").resize((SIZE, SIZE), Image.Resampling.BOX)
    paper = Image.new("RGBA", drawn.size, "white")
    return np.asarray(Image.alpha_composite(paper, drawn).convert("RGB"))


def _split(code: str) -> str:
    """Decided by the emoji alone."""
    place = int(hashlib.sha256(code.encode()).hexdigest()[:8], 16) / 2**32
    for split, share in _SHARES:
        if place < share:
            return split
        place -= share
    return "train"
