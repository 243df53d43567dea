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
        encodings = random.integers(-1, options, size=(number, width)).astype(np.int8)
        encodings = np.concatenate([encodings, encodings[: number // 3]])
        expected = []
        for place, encoding in enumerate(map(tuple, encodings.tolist())):
            if encoding not in known:
                known.add(encoding)
                expected.append(place)
        assert seen.first(encodings).tolist() == expected


def test_rows_that_differ_in_one_option_are_told_apart():
    encodings = np.repeat(np.zeros((1, 46), np.int8), 46 * 126, axis=0)
    places = np.arange(len(encodings))
    encodings[places, places % 46] = 1 + places // 46
    assert len(SeenEncodings(46).first(encodings)) == len(encodings)


def test_no_rows_are_no_news():
    seen = SeenEncodings(2)
    assert seen.first(np.empty((0, 2), np.int8)).tolist() == []
    assert seen.first(np.zeros((1, 2), np.int8)).tolist() == [0]
    assert seen.first(np.empty((0, 2), np.int8)).tolist() == []
