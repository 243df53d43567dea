"""Short text for stages whose blocks differ: `k5e6 k3e3` is two inverted bottlenecks."""

from __future__ import annotations

import re
from itertools import groupby
from typing import Any

from allometry.arch import MBConv, Stage
from allometry.base import NetworkError

_BLOCK = re.compile(r"k(?P<kernel>\d+)e(?P<expand>\d+)(g(?P<groups>\d+))?")


def mbconv_stages(channels: int, stride: int, text: str, **common: Any) -> tuple[Stage, ...]:  # noqa: ANN401
    """One stage in the papers' sense; the first block has the stride.

    Args:
        channels: of every block.
        stride: of the first block.
        text: `kKeE` for each block, kernel and expand ratio; `gG` after it for G groups.
        common: other fields of every block.

    Raises:
        NetworkError: a word is not of that form.

    Example:
        >>> mbconv_stages(40, 2, "k5e6 k3e3 k3e3", se_ratio=0, activation="relu")
        (1 x MBConv(40, k5, s2, e6, no se, relu), 2 x MBConv(40, k3, s1, e3, no se, relu), continues)
    """
    stages: list[Stage] = []
    for word, alike in groupby(text.split()):
        match = _BLOCK.fullmatch(word)
        if match is None:
            raise NetworkError(f"{word!r} is not a block such as k5e6 or k3e1g2.")
        block = MBConv(
            channels=channels,
            kernel=int(match["kernel"]),
            expand_ratio=int(match["expand"]),
            groups=int(match["groups"] or 1),
            stride=1 if stages else stride,
            **common,
        )
        stages.append(Stage(block=block, repeats=len(list(alike)), continues=bool(stages)))
    return tuple(stages)
