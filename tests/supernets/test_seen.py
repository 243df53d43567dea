"""What was met before, beside a plain set."""

from __future__ import annotations

import numpy as np
import pytest

from allometry.supernets.evolution import SeenEncodings


@pytest.mark.parametrize("width", [1, 3, 46])
@pytest.mark.parametrize("options", [2, 127])
def test_it_tells_what_a_set_tells(width, options):
    random, seen, known = np.random.default_rng(0), SeenEncodings(width), set()
    for number in random.integers(0, 400, size=60):
        rows = random.integers(-1, options, size=(number, width)).astype(np.int8)
        rows = np.concatenate([rows, rows[: number // 3]])
        expected = []
        for place, row in enumerate(map(tuple, rows.tolist())):
            if row not in known:
                known.add(row)
                expected.append(place)
        assert seen.first(rows).tolist() == expected


def test_rows_that_differ_in_one_option_are_told_apart():
    rows = np.repeat(np.zeros((1, 46), np.int8), 46 * 126, axis=0)
    places = np.arange(len(rows))
    rows[places, places % 46] = 1 + places // 46
    assert len(SeenEncodings(46).first(rows)) == len(rows)


def test_no_rows_are_no_news():
    seen = SeenEncodings(2)
    assert seen.first(np.empty((0, 2), np.int8)).tolist() == []
    assert seen.first(np.zeros((1, 2), np.int8)).tolist() == [0]
    assert seen.first(np.empty((0, 2), np.int8)).tolist() == []
