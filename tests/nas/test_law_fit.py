"""How sure a fit is, and how far it looks ahead."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allometry.base import InputError, LawError
from allometry.nas import extrapolate, grid, law_noise, rank_laws


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


def test_the_noise_of_laws_is_that_of_seeds_or_of_images_or_of_their_groups():
    lucky = [np.arange(1000)[None] < np.array([[700], [740]]) for _ in range(6)]  # seeds differ, laws do not
    assert law_noise(lucky) ** 0.5 == pytest.approx(0.04 / 2, rel=1e-6)
    images = [drawn(0.7, seeds=2, images=1000, seed=law) for law in range(6)]
    by_image = law_noise(images) ** 0.5
    assert 0.5 < by_image / (0.7 * 0.3 / 2000) ** 0.5 < 1.6
    alike = [np.repeat(drawn(0.7, seeds=2, images=20, seed=law), 50, axis=1) for law in range(6)]
    by_group = law_noise(alike, groups=np.repeat(np.arange(20), 50)) ** 0.5
    assert by_group > 3 * by_image
    same = np.ones((2, 100), bool)
    assert 0 < law_noise([same, same]) ** 0.5 < 0.01
    with pytest.raises(InputError, match="same seeds and images"):
        law_noise([same, np.ones((2, 50), bool)])
    with pytest.raises(InputError, match="same seeds and images"):
        law_noise([])


def test_the_noise_is_the_spread_of_means_when_seeds_are_drawn_again():
    random = np.random.default_rng(3)

    def trained(law):
        """Two seeds whose skill differs by 3 points, on 2,000 images."""
        return np.stack([random.random(2000) < 0.7 + random.normal(0, 0.03) for _ in range(2)])

    means = [trained(0).mean() for _ in range(300)]
    estimates = [law_noise([trained(law) for law in range(8)]) for _ in range(40)]
    assert np.mean(estimates) ** 0.5 == pytest.approx(np.std(means), rel=0.2)


def test_intervals_by_groups_are_wider():
    groups = np.repeat(np.arange(25), 20)
    alike = {name: np.repeat(drawn(0.7, images=25, seed=seed), 20, axis=1) for seed, name in enumerate("ab")}
    plain, grouped = (rank_laws(alike, groups=given, times=400) for given in (None, groups))
    assert all(
        np.subtract(*grouped[name].interval) < 2 * np.subtract(*plain[name].interval) < 0 for name in "ab"
    )
    sizes = [(1e6, alike["a"]), (2e6, alike["b"])]
    plain, grouped = (extrapolate(sizes, [4e6], groups=given, times=400)[0] for given in (None, groups))
    assert np.subtract(*grouped.interval) < 1.5 * np.subtract(*plain.interval)
