"""What is odd about a data set's pixels, seen while each image is checked: told, and put right where that is sure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from allometry.base.text import first_few
from allometry.base.units import plural
from allometry.data.images.reading import Levels
from allometry.data.sources.check import Check
from allometry.data.sources.records import SEPARATOR, ImageRecord

_WHITE = 2**16 - 1
_NARROW = 16  # times that the values fit into the whole range: then not even the first of them is black
_NEARLY_ALL_BELOW = 4  # bits that nearly all pixels lie below the highest ones
_DARK = 16  # levels of 255
_SHOWN = 3
_SHOWN_NAME = 80  # characters


def levels_of(checks: Iterable[Check]) -> Levels | None:
    """Which values of 16 bits are black and white in these images; None where they use the whole range.

    Cameras and scanners write 10 or 12 bits into 16: there white is the highest value of so many bits. Where all values
    lie in a narrow band somewhere above, its ends are black and white.

    Example:
        >>> def deep(low, high):
        ...     return Check("", 8, 8, gray=True, reason="", low=low, high=high)
        >>> levels_of([deep(0, 3_000), deep(5, 4_080)]), levels_of([deep(0, 3_000), deep(0, 65_000)])
        ((0, 4095), None)
        >>> levels_of([deep(31_000, 32_000), deep(31_500, 34_000)])
        (31000, 34000)
    """
    ranges = [(check.low, check.high) for check in checks if check.high >= 0]
    if not ranges:
        return None
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    if low == high:
        return None
    white = 2 ** high.bit_length() - 1
    if low > 0 and (high - low + 1) * _NARROW <= white + 1:
        return low, high
    return None if white >= _WHITE else (0, white)


def remarks_of(
    splits: Mapping[str, Sequence[ImageRecord]],
    checks: Mapping[str, Check],
    levels: Levels | None,
    shown: Callable[[str], str] = str,
) -> tuple[str, ...]:
    """What a person should know of these images before they are learned from, in sentences.

    Args:
        splits: the images of each.
        checks: what is known of each.
        levels: by which those of 16 bits are read.
        shown: what the image of a path is called.
    """
    files = [file for chosen in splits.values() for file in chosen]
    train = [checks[file.path] for file in splits["train"]]
    rest = [checks[file.path] for name in splits if name != "train" for file in splits[name]]
    found = (
        _about_levels(train, rest, levels) if train else _about_range(rest),
        _about_darkness(train or rest),
        _about_uniform(sorted(shown(file.path) for file in files if checks[file.path].uniform), len(files)),
        _about_classes(files, checks, shown),
    )
    return tuple(remark for remark in found if remark)


def _about_levels(train: Sequence[Check], rest: Sequence[Check], levels: Levels | None) -> str:
    deep = [check for check in train if check.high >= 0]
    if not deep:
        return ""
    low, high = min(check.low for check in deep), max(check.high for check in deep)
    if levels is None:
        below = max(check.common for check in deep)
        if low == high or below.bit_length() + _NEARLY_ALL_BELOW > high.bit_length():
            return ""
        return (
            f"images with 16 bits are nearly black: 99 % of the pixels of each lie below {below + 1:,}, though some "
            f"reach {high:,}; if those are faults of the camera, clip the images to what they show"
        )
    black, white = levels
    beyond = sum(check.high >= 0 and (check.high > white or check.low < black) for check in rest)
    also = f"; {plural(beyond, 'image')} of val and test go beyond that and are clipped" if beyond else ""
    scale = f"{black:,} as black and {white:,} as white" if black else f"{white:,} as white"
    return (
        f"{plural(len(deep) + sum(check.high >= 0 for check in rest), 'image')} have 16 bits, but the values of those "
        f"to train lie between {low:,} and {high:,}: all are read with {scale}, and so is whatever the network is "
        f"shown later{also}"
    )


def _about_range(judged: Sequence[Check]) -> str:
    """Of images that a network is judged by, which reads them as those that it was trained on."""
    deep = [check for check in judged if check.high >= 0]
    if levels_of(deep) is None:
        return ""
    low, high = min(check.low for check in deep), max(check.high for check in deep)
    return (
        f"{plural(len(deep), 'image')} have 16 bits with values between {low:,} and {high:,}; they are read with the "
        "black and white of the images that the network was trained on"
    )


def _about_darkness(checks: Sequence[Check]) -> str:
    levels = [check.brightest for check in checks]
    brightest = max(levels, default=_DARK)
    if brightest >= _DARK or min(levels) < 0 or all(check.uniform for check in checks):
        return ""
    return (
        f"all images are nearly black: no level is above {brightest} of 255; if they hold the numbers of classes or "
        "objects, they may not be the images that you mean"
    )


def _about_uniform(names: Sequence[str], number: int) -> str:
    if not names:
        return ""
    verb = "shows" if len(names) == 1 else "show"
    return f"{len(names):,} of {plural(number, 'image')} {verb} nothing, since all pixels are alike: {_some(names)}"


def _about_classes(
    files: Sequence[ImageRecord], checks: Mapping[str, Check], shown: Callable[[str], str]
) -> str:
    """Pictures that are there under two classes; the same pixels count, whatever the files' bytes are."""
    first_of: dict[str, ImageRecord] = {}
    pairs = []
    for file in files:
        check = checks[file.path]
        if check.uniform:
            continue
        first = first_of.setdefault(check.picture or check.digest, file)
        if first.class_name != file.class_name:
            pairs.append(f"{_named(first, shown)} is {_named(file, shown)}")
    if not pairs:
        return ""
    what = "picture has" if len(pairs) == 1 else "pictures have"
    return f"{len(pairs):,} {what} two classes: {_some(pairs)}; keep each under the one that is right"


def _named(file: ImageRecord, shown: Callable[[str], str]) -> str:
    return f"{_short(shown(file.path))} ({_short(file.class_name.replace(SEPARATOR, ', ') or 'no label')})"


def _short(name: str) -> str:
    return name if len(name) <= _SHOWN_NAME else f"{name[:_SHOWN_NAME]}..."


def _some(names: Sequence[str]) -> str:
    return first_few([_short(name) for name in names], _SHOWN)
