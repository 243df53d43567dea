"""Compound coupling: width follows depth, everything else stays open, and what is left is counted exactly."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allometry.arch import Choice, Network, Space, members
from allometry.base import InputError
from allometry.catalog import find_space, get, mbconv_space, spaces
from allometry.nas import ABSENT, encodings_of, network_of, sample_encodings
from allometry.supernets.coupling import couple_encodings, coupled_size

OFA = find_space("ofa-mobilenetv3-1.0")
B0 = get("efficientnet-b0")


def small(depths, ratios, kernels=(3,)):
    network = Network(stages=B0.stages[:3], resolution=32)
    return mbconv_space(network, kernels=kernels, depths=depths, expand_ratios=ratios, name="small")


SMALL = [
    small((1, 2), (3, 6)),
    small((1, 2), (3, 4, 6), (3, 5)),
    small((2, 1), (6, 4, 3)),
    small((1, 2, 3), (3, 6)),
    small((), (3, 4)),
    small((2,), (3, 4)),
]


@pytest.mark.parametrize("space", SMALL)
def test_the_size_is_that_of_all_coupled_members(space):
    encodings = encodings_of(space, list(members(space)))
    coupled = couple_encodings(space, encodings)
    kept = {tuple(encoding) for encoding in coupled.tolist()}
    assert coupled_size(space) == len(kept) <= space.size == len(encodings)
    assert kept <= {tuple(encoding) for encoding in encodings.tolist()}


@pytest.mark.parametrize("space", [entry.make() for entry in spaces()])
def test_a_coupled_space_is_never_larger(space):
    assert 0 < coupled_size(space) <= space.size


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32), by=st.sampled_from(["network", "choice"]))
def test_coupling_is_a_projection_onto_members_that_leaves_the_rest_open(seed, by):
    encodings = sample_encodings(OFA, np.random.default_rng(seed), 20, by=by)
    before, coupled = encodings.copy(), couple_encodings(OFA, encodings)
    assert (encodings == before).all()
    assert (couple_encodings(OFA, coupled) == coupled).all()
    ratios = np.array([choice.paths[0].endswith(".expand_ratio") for choice in OFA.choices])
    assert (coupled[:, ~ratios] == encodings[:, ~ratios]).all()
    assert ((coupled == ABSENT) == (encodings == ABSENT)).all()
    decisions = OFA.decisions_of(network_of(OFA, coupled[0]))
    for name, option in decisions.items():
        if name.endswith("expand ratio"):
            depth = decisions[f"{' '.join(name.split()[:2])} depth"]
            assert option == {2: 3, 3: 4, 4: 6}[depth]


def test_options_follow_by_rank_however_they_are_written():
    space = small((2, 1), (6, 4, 3))  # the other way round
    decisions = [
        space.decisions_of(network_of(space, encoding))
        for encoding in couple_encodings(
            space, sample_encodings(space, np.random.default_rng(0), 50, by="choice")
        )
    ]
    assert {(each["stage 1 depth"], each["stage 1 layer 0 expand ratio"]) for each in decisions} == {
        (1, 3),
        (2, 6),
    }


def test_without_open_depths_ratios_stay_open():
    encodings = sample_encodings(SMALL[4], np.random.default_rng(0), 20)
    assert (couple_encodings(SMALL[4], encodings) == encodings).all()
    assert coupled_size(SMALL[5]) == SMALL[5].size


def test_a_ratio_that_groups_of_two_depths_share_stays_open():
    space = small((1, 2), ())
    shared = Choice(
        name="ratio", paths=("stages.1.block.expand_ratio", "stages.3.block.expand_ratio"), options=(3, 6)
    )
    space = Space(template=space.template, choices=(*space.choices, shared))
    encodings = encodings_of(space, list(members(space)))
    assert (couple_encodings(space, encodings) == encodings).all()
    assert coupled_size(space) == space.size


def test_rows_of_another_space_are_refused():
    with pytest.raises(InputError, match=r"are \[N, 46\], not \[3, 5\]"):
        couple_encodings(OFA, np.zeros((3, 5), np.int8))
    with pytest.raises(InputError, match="'stage 1 depth'"):
        couple_encodings(OFA, np.full((3, 46), 5, np.int8))
    assert couple_encodings(replace(OFA, name=""), np.zeros((0, 46), np.int8)).shape == (0, 46)
