"""Rows changed at random and crossed, very many at once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from allometry.arch import Space
from allometry.arch.sampling import rate_of_each
from allometry.base import InputError
from allometry.search.rows import ABSENT, Rows, cleared


def mutate_rows(
    space: Space,
    rows: Rows,
    random: np.random.Generator,
    *,
    rate: float | None = None,
    rates: Mapping[str, float] | None = None,
) -> Rows:
    """Members near others, as `arch.mutate` gives them, many at once.

    Layers that appear take options at random.

    Args:
        space: of all.
        rows: members, [N, knobs].
        random: where chance comes from.
        rate: with which each knob takes one of its other options; None for exactly one knob that sets something and
            has others.
        rates: other rates, by the name of the knob.

    Raises:
        InputError: a rate is out of its range, or rates are given without a rate.
        UnknownNameError: there is a rate of a knob that does not exist.

    Source: None: Real et al. 2019, section 3, one change for each child. A rate: released Once-for-All code.

    Example:
        >>> from allometry.search.rows import draw_rows
        >>> from allometry.zoo import find_space
        >>> space, random = find_space("ofa-mobilenetv3-1.0"), np.random.default_rng(0)
        >>> parents = draw_rows(space, random, 100)
        >>> children = mutate_rows(space, parents, random, rate=0.1, rates={"resolution": 0.5})
        >>> bool((mutate_rows(space, parents, random, rate=0.0) == parents).all())
        True
    """
    sizes = np.array([len(knob.options) for knob in space.knobs], np.float32)
    there = rows != ABSENT
    if rate is None:
        if rates:
            raise InputError("Rates by knob go with a rate for the others; give rate too.")
        changes = _one_each(there & (sizes > 1), random)
    else:
        each = np.array(list(rate_of_each(space, rate, rates or {}).values()))
        changes = (random.random(rows.shape, np.float32) < each) & there & (sizes > 1)
    children = np.where(there, rows, _below(sizes, rows.shape, random))
    _, knobs = places = np.nonzero(changes)
    steps = 1 + _below(sizes[knobs] - 1, knobs.shape, random).astype(np.int16)
    children[places] = (children[places] + steps) % sizes[knobs].astype(np.int16)
    return cleared(space, children)


def _one_each(possible: npt.NDArray[np.bool_], random: np.random.Generator) -> npt.NDArray[np.bool_]:
    """One of the possible places in each row, at random; none where none is possible."""
    score = random.random(possible.shape, np.float32)
    score[~possible] = -1
    chosen = np.zeros(possible.shape, bool)
    chosen[np.arange(len(possible)), score.argmax(1)] = possible.any(1)
    return chosen


def _below(
    sizes: npt.NDArray[np.float32], shape: tuple[int, ...], random: np.random.Generator
) -> npt.NDArray[np.int8]:
    """Integers from 0 to below these sizes, of at most 127, so evenly as floats of 24 bits allow, and quickly."""
    found: npt.NDArray[np.int8] = (random.random(shape, np.float32) * sizes).astype(np.int8)
    return found


def cross_rows(space: Space, ones: Rows, others: Rows, random: np.random.Generator) -> Rows:
    """Members between two each, as `arch.cross` gives them, many at once.

    Args:
        space: of all.
        ones: members, [N, knobs].
        others: as many.
        random: where chance comes from.

    Example:
        >>> from allometry.search.rows import draw_rows
        >>> from allometry.zoo import find_space
        >>> space, random = find_space("ofa-mobilenetv3-1.0"), np.random.default_rng(0)
        >>> mothers, fathers = draw_rows(space, random, 100), draw_rows(space, random, 100)
        >>> children = cross_rows(space, mothers, fathers, random)
        >>> bool(((children == mothers) | (children == fathers) | (children == -1)).all())
        True
    """
    taken = np.where(random.random(ones.shape, np.float32) < 0.5, ones, others)
    # A layer that only one of them has comes from it, should the depth make it be there.
    taken = np.where(ones == ABSENT, others, np.where(others == ABSENT, ones, taken))
    return cleared(space, taken)
