"""A predictor of accuracy: it learns from few subnets, is judged by others, and comes back from its file."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from allometry.arch import Choice, Space, encode, sample
from allometry.base import InputError, WeightsError
from allometry.catalog import find_space, get, mbconv_space
from allometry.nas import ABSENT, Costs, encodings_of, sample_encodings
from allometry.supernets.features import encode_options
from allometry.supernets.predictor import Predictor, RegressionConfig, fit_predictor
from allometry.supernets.predictor_quality import (
    evaluate_predictor,
    kendall_tau,
    refuse_unreliable,
    split_encodings,
)

OFA = find_space("ofa-mobilenetv3-1.0")
SMALL = mbconv_space(
    get("efficientnet-b0"),
    kernels=(3, 5),
    expand_ratios=(3, 6),
    depths=(1, 2),
    resolutions=(64, 96),
    name="small",
)


def truth(space, *, seed=0, pairs=0.004):
    """Accuracies that saturate in MACs, with something for each option and for pairs in succession."""
    random = np.random.default_rng(seed)
    costs, most = Costs(space), max(len(choice.options) for choice in space.choices)
    single = random.normal(0, 0.004, (len(space.choices), most))
    double = random.normal(0, pairs, (len(space.choices), most, most))

    def accuracy(encodings):
        macs = np.log(costs(encodings)["macs"].astype(float))
        found = 0.8 - 0.1 * np.exp(-(macs - 18))
        for place in range(encodings.shape[1]):
            there = encodings[:, place] != ABSENT
            found += np.where(there, single[place, encodings[:, place]], 0)
            found += np.where(
                there & (encodings[:, place - 1] != ABSENT),
                double[place, encodings[:, place], encodings[:, place - 1]],
                0,
            )
        return found

    return accuracy


def measured(space, number, *, seed=0, noise=0.005):
    random = np.random.default_rng(seed)
    encodings = sample_encodings(space, random, number, by="choice")
    return encodings, truth(space)(encodings) + random.normal(0, noise, number)


@pytest.fixture(scope="module")
def fitted():
    encodings, accuracies = measured(SMALL, 400)
    return fit_predictor(SMALL, encodings, accuracies)


def test_features_are_those_of_a_network():
    networks = [sample(OFA, Random(seed), by="choice") for seed in range(5)]
    features = encode_options(OFA, encodings_of(OFA, networks))
    assert features.dtype == np.float32
    assert [tuple(encoding) for encoding in features.tolist()] == [
        encode(OFA, network) for network in networks
    ]


def test_it_orders_networks_that_it_has_not_seen(fitted):
    encodings, accuracies = measured(SMALL, 500, seed=1, noise=0)
    found = evaluate_predictor(fitted, encodings, accuracies)
    assert found.tau > 0.8
    assert found.rmse < 0.005
    assert abs(found.bias) < 0.002
    refuse_unreliable(found)
    assert fitted.error == pytest.approx(np.hypot(found.rmse, 0.005), rel=0.2)
    assert fitted(encodings).dtype == np.float64


def test_pairs_and_costs_are_worth_their_place():
    encodings, accuracies = measured(SMALL, 400)
    new, known = measured(SMALL, 500, seed=1, noise=0)

    def tau(**choices):
        predictor = fit_predictor(SMALL, encodings, accuracies, settings=RegressionConfig(**choices))
        return evaluate_predictor(predictor, new, known).tau

    best = tau()
    assert best > tau(strengths=(0.0,)) + 0.01
    assert best > tau(costs=False)


def test_very_many_networks_are_fitted_to_as_few_are():
    encodings, accuracies = measured(SMALL, 400)
    new, _ = measured(SMALL, 200, seed=1)
    one = {"strengths": (0.3,), "noises": (0.5,)}
    exactly = fit_predictor(SMALL, encodings, accuracies, settings=RegressionConfig(**one))
    descended = fit_predictor(SMALL, encodings, accuracies, settings=RegressionConfig(most=50, **one))
    assert np.allclose(exactly(new), descended(new), atol=1e-4)
    assert descended.fitted == 400


def test_the_same_seed_gives_the_same_predictor():
    encodings, accuracies = measured(SMALL, 120)
    settings = RegressionConfig(most=60)
    found = [
        fit_predictor(SMALL, encodings, accuracies, settings=settings, seed=3)(encodings) for _ in range(2)
    ]
    assert (found[0] == found[1]).all()


def test_equal_accuracies_are_predicted_everywhere():
    encodings, _ = measured(SMALL, 30)
    predictor = fit_predictor(SMALL, encodings, np.full(30, 0.75))
    assert np.allclose(predictor(measured(SMALL, 50, seed=1)[0]), 0.75)
    assert predictor(encodings[:0]).shape == (0,)


def test_a_space_whose_costs_are_not_tabulated_and_one_without_stages():
    cells = Space(
        template=get("nasnet-a-mobile"),
        choices=(Choice(name="resolution", paths=("resolution",), options=(128, 160, 192, 224)),),
    )
    encodings = sample_encodings(cells, np.random.default_rng(0), 40)
    predictor = fit_predictor(cells, encodings, 0.6 + 0.05 * encodings[:, 0])
    assert np.allclose(predictor(encodings), 0.6 + 0.05 * encodings[:, 0], atol=0.01)


def test_it_comes_back_from_its_file(fitted, tmp_path):
    path = tmp_path / "predictor.safetensors"
    fitted.save(path)
    again = Predictor.load(path, replace(SMALL, name="another name"))
    encodings, _ = measured(SMALL, 100, seed=2)
    assert (again(encodings) == fitted(encodings)).all()
    assert (again.fitted, again.error) == (fitted.fitted, fitted.error)
    with pytest.raises(InputError, match=r"another space than ofa-mobilenetv3-1\.0"):
        Predictor.load(path, OFA)


def test_what_is_no_predictor_is_refused(fitted, tmp_path):
    path = tmp_path / "predictor.safetensors"
    with pytest.raises(WeightsError, match="There is no file"):
        Predictor.load(path, SMALL)
    fitted.save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-50])
    with pytest.raises(WeightsError, match="damaged"):
        Predictor.load(path, SMALL)
    path.write_bytes(whole.replace(b"options", b"0ptions"))
    with pytest.raises(WeightsError, match=r"damaged.*fit it anew"):
        Predictor.load(path, SMALL)
    path.write_bytes(whole.replace(b"error", b"err0r"))
    with pytest.raises(WeightsError, match="'error'"):
        Predictor.load(path, SMALL)
    path.write_bytes(whole[:-8] + np.float64(np.nan).tobytes())
    with pytest.raises(WeightsError, match="finite"):
        Predictor.load(path, SMALL)
    save_file({"weight": np.zeros(3)}, path)
    with pytest.raises(WeightsError, match="its format is None"):
        Predictor.load(path, SMALL)


def test_wrong_input_is_refused(fitted):
    encodings, accuracies = measured(SMALL, 20)
    with pytest.raises(InputError, match="10 subnets or more, not to 5"):
        fit_predictor(SMALL, encodings[:5], accuracies[:5])
    with pytest.raises(InputError, match="one accuracy for each of the 20 rows"):
        fit_predictor(SMALL, encodings, accuracies[:5])
    with pytest.raises(InputError, match="1 of 20 accuracies is not finite"):
        fit_predictor(SMALL, encodings, np.where(np.arange(20) == 3, np.nan, accuracies))
    with pytest.raises(InputError, match=r"Encodings of the space small are"):
        fitted(encodings[:, :-1])
    for wrong in ({"strengths": ()}, {"strengths": (-1.0,)}, {"noises": (0.0,)}, {"most": 3}):
        with pytest.raises(InputError, match="must be"):
            RegressionConfig(**wrong)


def test_judging():
    encodings = np.arange(40, dtype=np.int8)[:, None]
    found = evaluate_predictor(
        lambda encodings: encodings[:, 0] / 100 + 0.1, encodings, encodings[:, 0] / 100, bins=8
    )
    assert (found.tau, round(found.spearman, 9), found.number) == (1, 1, 40)
    assert found.bias == found.mean_absolute_error == pytest.approx(0.1)
    assert [each.number for each in found.bins] == [5] * 8
    assert all(each.predicted == pytest.approx(each.measured + 0.1) for each in found.bins)
    constant = evaluate_predictor(
        lambda encodings: np.zeros(len(encodings)), encodings, encodings[:, 0] / 100
    )
    assert (constant.tau, constant.spearman) == (0, 0)
    with pytest.raises(
        InputError, match=r"tau is 0\.00 on 40 networks.*0\.60 is needed. Measure more subnets"
    ):
        refuse_unreliable(constant)
    refuse_unreliable(constant, least_tau=0.0)
    with pytest.raises(InputError, match="3 networks or more"):
        evaluate_predictor(lambda encodings: encodings[:, 0], encodings[:2], encodings[:2, 0])


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=12))
def test_tau_is_what_the_definition_says(pairs):
    one, other = np.array(pairs, float).T
    signs = [
        (np.sign(one[i] - one[j]), np.sign(other[i] - other[j])) for i in range(len(one)) for j in range(i)
    ]
    both = sum(a * b for a, b in signs)
    norm = np.sqrt(sum(a != 0 for a, _ in signs) * sum(b != 0 for _, b in signs))
    assert kendall_tau(one, other) == pytest.approx(both / norm if norm else 0)
    assert -1 - 1e-9 <= kendall_tau(one, other) <= 1 + 1e-9


@given(seed=st.integers(0, 99), share=st.floats(0.01, 0.99))
def test_a_split_is_a_partition_that_keeps_equal_networks_together(seed, share):
    encodings = sample_encodings(SMALL, np.random.default_rng(seed), 15, by="choice")
    encodings = np.concatenate([encodings, encodings[:5]])
    parts = split_encodings(encodings, np.arange(20) / 20, held_out=share, seed=seed)
    assert sorted([*parts.accuracies, *parts.held_accuracies]) == list(np.arange(20) / 20)
    ours = {encoding.tobytes() for encoding in parts.encodings}
    theirs = {encoding.tobytes() for encoding in parts.held_encodings}
    assert ours
    assert theirs
    assert not ours & theirs


def test_a_split_that_cannot_be_is_refused():
    encodings = np.zeros((5, 3), np.int8)
    with pytest.raises(InputError, match="1 different networks cannot be split"):
        split_encodings(encodings, np.zeros(5))
    with pytest.raises(InputError, match="held_out must be a fraction"):
        split_encodings(encodings, np.zeros(5), held_out=1.0)
