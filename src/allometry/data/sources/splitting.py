"""Cutting splits out of a folder that does not come with them: seeded, per class, and without leaks."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence

from allometry.base import DataError

SHARE = 0.15  # of each class's images, for each split that is cut out of the training images


def deal(contents: Mapping[str, Sequence[str]], cuts: Sequence[str], *, seed: int) -> dict[str, str]:
    """Decide for each content whether it stays in `train` or goes to one of `cuts`.

    Of every class each cut gets 15 % of the images, at least one. The order is that of a hash of seed and
    content, so it is the same on every machine and hardly changes when images are added or renamed.

    Args:
        contents: for each class, the digest of each of its images. Images of equal digest go together, also
            when they lie in several classes.
        cuts: names of the splits to cut, such as `val` and `test`.
        seed: another seed deals otherwise.

    Returns:
        The split of every digest.

    Raises:
        DataError: a class has too few different images to give one to every split.

    Example:
        >>> dealt = deal({"cat": list("abcdef"), "dog": list("uvwxyz")}, ["val", "test"], seed=0)
        >>> [sum(split == name for split in dealt.values()) for name in ("train", "val", "test")]
        [8, 2, 2]
    """
    dealt: dict[str, str] = {}
    # The smallest class first: it has the least choice where classes share images.
    for name in sorted(contents, key=lambda each: (len(set(contents[each])), each)):
        _deal_class(name, contents[name], cuts, seed, dealt)
    return dealt


def _deal_class(
    name: str, digests: Sequence[str], cuts: Sequence[str], seed: int, dealt: dict[str, str]
) -> None:
    copies = Counter(digests)
    sizes = {digest: copies[digest] for digest in sorted(copies, key=lambda each: _rank(each, seed))}
    quota = max(1, round(SHARE * len(digests)))
    counts = dict.fromkeys(["train", *cuts], 0)
    free = [digest for digest in sizes if digest not in dealt]
    for digest, size in sizes.items():
        if digest in dealt:
            counts[dealt[digest]] += size
    for digest in free:
        fitting = (cut for cut in cuts if counts[cut] + sizes[digest] <= quota)
        dealt[digest] = next(fitting, "train")
        counts[dealt[digest]] += sizes[digest]
    _fill_empty(name, [(sizes[digest], digest) for digest in free], counts, dealt)


def _fill_empty(
    name: str, free: Sequence[tuple[int, str]], counts: dict[str, int], dealt: dict[str, str]
) -> None:
    """Give a split that got no image of this class one from the split that can spare it best."""
    for split in [each for each, count in counts.items() if count == 0]:
        movable = [(size, digest) for size, digest in free if counts[dealt[digest]] > size]
        if not movable:
            needed = f"at least {len(counts)} are needed, one for each of {', '.join(counts)}"
            raise DataError(
                f"Class {name!r} has too few different images: {needed}, and copies of one image count once. "
                "Add images to it or leave the class out."
            )
        size, digest = min(movable, key=lambda each: each[0])
        counts[dealt[digest]] -= size
        counts[split] += size
        dealt[digest] = split


def _rank(digest: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed}/{digest}".encode(), digest_size=16).digest()
