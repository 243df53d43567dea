"""Encodings of a space as numbers that a predictor reads."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from allometry.arch import Space, space_to_json
from allometry.base import InputError
from allometry.nas.encodings import ABSENT, Encodings

Features = npt.NDArray[np.float32]
"""[N, features]: for each choice in order and each of its options, 1 where it is taken and 0 where it is not."""


def encode_rows(space: Space, rows: Encodings) -> Features:
    """The rows as one-hot features, as `arch.encode` gives them, many at once: all zeros for an absent choice.

    Args:
        space: of the rows.
        rows: members, int8 [N, choices].

    Returns:
        float32 [N, features], with a feature for each option of each choice.

    Raises:
        InputError: the rows are not of this space.

    Source: Once-for-All (Cai et al. 2020), section 3.4 and Appendix A.

    Example:
        >>> from allometry.nas import encodings_of
        >>> from allometry.catalog import find_space, get
        >>> space = find_space("ofa-mobilenetv3-1.0")
        >>> features = encode_rows(space, encodings_of(space, [get("ofa-lg-24")]))
        >>> features.shape, int(features.sum()) == 1 + 5 + 15 * 2
        ((1, 160), True)
    """
    check_rows(space, rows)
    sizes = np.array([len(choice.options) for choice in space.choices])
    starts = np.cumsum(sizes) - sizes
    features = np.zeros((len(rows), int(sizes.sum())), np.float32)
    for start, column in zip(starts.tolist(), rows.T, strict=True):
        there = np.flatnonzero(column != ABSENT)
        features[there, start + column[there].astype(np.int64)] = 1
    return features


def check_rows(space: Space, rows: Encodings) -> None:
    """Refuse what are no rows of this space.

    Raises:
        InputError: their shape is another, or an option does not exist.

    Example:
        >>> from allometry.catalog import find_space
        >>> check_rows(find_space("fbnet"), np.zeros((2, 3), np.int8))
        Traceback (most recent call last):
            ...
        allometry.base.errors.InputError: Encodings of the space fbnet are [N, 28], not [2, 3]; take them from ...
    """
    name = space.name or "without a name"
    if rows.ndim != 2 or rows.shape[1] != len(space.choices):
        raise InputError(
            f"Encodings of the space {name} are [N, {len(space.choices)}], not {list(rows.shape)}; take them from "
            "sample_encodings or encodings_of with this space."
        )
    sizes = np.array([len(choice.options) for choice in space.choices])
    wrong = ((rows < ABSENT) | (rows >= sizes)).any(0)
    if wrong.any():
        choice = space.choices[int(wrong.argmax())]
        raise InputError(
            f"Some rows have an option of the choice {choice.name!r} that the space {name} does not have: it has "
            f"{len(choice.options)}, counted from 0; take rows from draw_rows or encodings_of with this space."
        )


def space_digest(space: Space) -> str:
    """A stable name for what rows of the space mean: 64 hexadecimal digits, whatever the space is called.

    Example:
        >>> from dataclasses import replace
        >>> from allometry.catalog import find_space
        >>> space = find_space("fbnet")
        >>> space_digest(space) == space_digest(replace(space, name="mine")), len(space_digest(space))
        (True, 64)
    """
    plain = replace(space, name="", template=replace(space.template, name=""))
    return hashlib.sha256(space_to_json(plain).encode()).hexdigest()
