"""How sure a fit is, and how far it looks ahead."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allometry.base import InputError, LawError
from allometry.nas import extrapolate, grid, rank_laws


def drawn(accuracy, *, seeds=3, images=500, seed=0):
    return np.random.default_rng(seed).random((seeds, images)) < accuracy


def test_the_better_one_is_the_best_in_nearly_all_resamples():
    found = rank_laws({"a": drawn(0.9, seed=1), "b": drawn(0.6, seed=2), "c": drawn(0.58, seed=3)})
    assert found["a"].best > 0.99
    assert found["a"].behind == (0.0, 0.0, 0.0)
    low, high = found["b"].behind[1:]
    assert 0.2 < low < found["b"].behind[0] < high < 0.4
    assert sum(each.best for each in found.values()) == pytest.approx(1)


def test_equal_networks_share_the_first_place():
    same = drawn(0.7)
    found = rank_laws({"a": same, "b": same})
    assert found["a"].best == found["b"].best == 0.5


@given(st.floats(0.1, 0.9), st.integers(1, 4))
def test_intervals_hold_the_accuracy(accuracy, seeds):
    right = drawn(accuracy, seeds=seeds, images=200)
    standing = rank_laws({"only": right}, times=200)["only"]
    assert standing.interval[0] <= standing.accuracy <= standing.interval[1]
    assert standing.accuracy == right.mean()


def test_what_does_not_compare_is_refused():
    with pytest.raises(InputError, match="same seeds and images"):
        rank_laws({"a": drawn(0.5), "b": drawn(0.5, seeds=2)})
    with pytest.raises(InputError, match="two sizes"):
        extrapolate([(1e6, drawn(0.5))], [2e6])


def test_an_outlook_follows_the_power_law():
    images = 4000
    exact = [(macs, np.arange(images) < images * (1 - macs**-0.1)) for macs in (1e6, 2e6, 4e6)]
    sizes = [(macs, np.stack([right] * 2)) for macs, right in exact]
    far = extrapolate(sizes, [8e6, 32e6], times=300)
    for each in far:
        assert each.accuracy == pytest.approx(1 - each.macs**-0.1, abs=0.003)
        assert each.interval[0] < each.accuracy < each.interval[1] <= 1
    near, further = (each.interval[1] - each.interval[0] for each in far)
    assert further > near


def test_grids_of_other_ratios():
    laws = grid((1, 2, 3), (1, 1.3), ratio=3)
    assert all(law.growth == pytest.approx(3, rel=0.01) for law in laws)
    assert max(law.alpha for law in laws) == 3
    with pytest.raises(LawError, match="above 2"):
        grid((3,), (1,))
