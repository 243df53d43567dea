"""Which images go to val and test where splits are cut: of each class a share, by seed and content."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence

from allometry.base import DataError
from allometry.data.sources.records import SEPARATOR

SHARE = 0.15  # of each class's images, for each split that is cut out of the training images


def assign_splits(contents: Mapping[str, Sequence[str]], cuts: Sequence[str], *, seed: int) -> dict[str, str]:
    """Decide for each content whether it stays in `train` or goes to one of `cuts`.

    Of every class each cut gets 15 % of the images, at least one. The order is that of a hash of seed and
    content, so it is the same on every machine and hardly changes when images are added or renamed.

    Args:
        contents: for each class, the digest of each of its images, or the name of its group. Images of equal digest
            or name go together, also when they lie in several classes.
        cuts: names of the splits to cut, such as `val` and `test`.
        seed: another seed deals otherwise.

    Returns:
        The split of every digest.

    Raises:
        DataError: a class has too few different images to give one to every split; of groups, one to `train`.

    Example:
        >>> split_of = assign_splits({"cat": list("abcdef"), "dog": list("uvwxyz")}, ["val", "test"], seed=0)
        >>> [sum(split == name for split in split_of.values()) for name in ("train", "val", "test")]
        [8, 2, 2]
    """
    split_of: dict[str, str] = {}
    # The smallest class first: it has the least choice where classes share images.
    for name in sorted(contents, key=lambda class_name: (len(set(contents[class_name])), class_name)):
        _assign_class(name, contents[name], cuts, seed, split_of)
    return split_of


def _assign_class(
    name: str, digests: Sequence[str], cuts: Sequence[str], seed: int, split_of: dict[str, str]
) -> None:
    copies = Counter(digests)
    sizes = {digest: copies[digest] for digest in sorted(copies, key=lambda digest: _rank(digest, seed))}
    quota = max(1, round(SHARE * len(digests)))
    counts = dict.fromkeys(["train", *cuts], 0)
    free = [digest for digest in sizes if digest not in split_of]
    for digest, size in sizes.items():
        if digest in split_of:
            counts[split_of[digest]] += size
    for digest in free:
        fitting = (cut for cut in cuts if counts[cut] + sizes[digest] <= quota)
        split_of[digest] = next(fitting, "train")
        counts[split_of[digest]] += sizes[digest]
    grouped = any(digest.startswith(SEPARATOR) for digest in sizes)
    _fill_empty(name, [(sizes[digest], digest) for digest in free], counts, split_of, grouped=grouped)


def _fill_empty(
    name: str,
    free: Sequence[tuple[int, str]],
    counts: dict[str, int],
    split_of: dict[str, str],
    *,
    grouped: bool,
) -> None:
    """Give a split that got no image of this class one from the split that can spare it best.

    Where its images come in groups, it may go without: `_lacking` tells.
    """
    for split in [split for split, count in counts.items() if count == 0]:
        movable = [(size, digest) for size, digest in free if counts[split_of[digest]] > size]
        if not movable and split != "train" and grouped:
            continue
        if not movable:
            needed = f"at least {len(counts)} are needed, one for each of {', '.join(counts)}"
            raise DataError(
                f"Class {name!r} has too few different images: {needed}, and copies of one image count once. "
                "Add images to it or leave the class out."
            )
        size, digest = min(movable, key=lambda image: image[0])
        counts[split_of[digest]] -= size
        counts[split] += size
        split_of[digest] = split


def _rank(digest: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed}/{digest}".encode(), digest_size=16).digest()
