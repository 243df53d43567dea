"""Very many networks at once: encodings are the networks that they stand for, and the tables count them exactly."""

from random import Random

import numpy as np
import pytest

from allometry.arch import Choice, Network, Space, Stage, distinct_blocks, members, sample
from allometry.base import InputError
from allometry.catalog import find_space, get, mbconv_space, spaces
from allometry.cost import Correction, LatencyTable, RuntimeConfig, count, key_of
from allometry.nas import ABSENT, Costs, Latencies, encodings_of, network_of, sample_encodings

OFA = find_space("ofa-mobilenetv3-1.0")
SMALL = mbconv_space(get("efficientnet-b0"), kernels=(3, 5), depths=(1, 2), resolutions=(64, 96))


@pytest.mark.parametrize("name", [entry.name for entry in spaces()])
def test_costs_of_random_members_are_exact(name):
    space = find_space(name)
    encodings = sample_encodings(space, np.random.default_rng(0), 40)
    found = Costs(space)(encodings)
    for place, encoding in enumerate(encodings):
        expected = count(network_of(space, encoding)).to_dict()
        assert {measure: int(values[place]) for measure, values in found.items()} == expected


@pytest.mark.parametrize("space", [OFA, SMALL, find_space("fbnet"), find_space("mnasnet")])
def test_rows_and_networks_are_the_same_thing(space):
    draw = Random(0)
    networks = [sample(space, draw, by="choice") for _ in range(20)]
    encodings = encodings_of(space, networks)
    assert [network_of(space, encoding) for encoding in encodings] == networks
    drawn = sample_encodings(space, np.random.default_rng(0), 50, by="choice")
    assert (encodings_of(space, [network_of(space, encoding) for encoding in drawn]) == drawn).all()


def test_every_member_is_drawn_equally_often():
    tiny = mbconv_space(
        Network(stages=get("efficientnet-b0").stages[:2], resolution=32), kernels=(3, 5), depths=(1, 2)
    )
    every = {tuple(encoding) for encoding in encodings_of(tiny, list(members(tiny))).tolist()}
    encodings = sample_encodings(tiny, np.random.default_rng(0), 200 * len(every))
    seen, times = np.unique(encodings, axis=0, return_counts=True)
    assert {tuple(encoding) for encoding in seen.tolist()} == every
    assert times.min() > 130
    assert times.max() < 280


def test_drawn_by_choice_all_depths_are_equally_likely():
    encodings = sample_encodings(OFA, np.random.default_rng(0), 3000, by="choice")
    depths = encodings[:, [choice.name for choice in OFA.choices].index("stage 1 depth")]
    assert np.bincount(depths).min() > 900
    assert (sample_encodings(OFA, np.random.default_rng(0), 3000)[:, 1] == 2).mean() > 0.8  # most are deep
    assert (encodings == ABSENT).any()


def test_latencies_are_those_of_the_table():
    blocks = distinct_blocks(SMALL)
    table = LatencyTable(
        space="small",
        runtime_config=RuntimeConfig(),
        machine_info={},
        seconds={key_of(piece): 1e-5 * (1 + number) for number, piece in enumerate(blocks)},
        labels={},
        correction=Correction(base=1e-4, scale=0.9, per_piece=1e-6, per_element=1e-10),
    )
    encodings = sample_encodings(SMALL, np.random.default_rng(0), 30)
    expected = [table.predict(network_of(SMALL, encoding)) for encoding in encodings]
    assert np.allclose(Latencies(SMALL, table)(encodings), expected, rtol=1e-12)


def test_no_rows_have_no_costs():
    assert Costs(SMALL)(sample_encodings(SMALL, np.random.default_rng(0), 0))["macs"].shape == (0,)


def test_a_wrong_way_to_draw_and_too_many_options_are_refused():
    with pytest.raises(InputError, match="by must be 'network' or 'choice', not 'layer'"):
        sample_encodings(OFA, np.random.default_rng(0), 1, by="layer")
    sizes = Space(
        template=Network(stages=(Stage(block=get("efficientnet-b0").stages[0].block),)),
        choices=(Choice(name="resolution", paths=("resolution",), options=tuple(range(32, 232))),),
    )
    with pytest.raises(InputError, match="'resolution' has 200 options"):
        sample_encodings(sizes, np.random.default_rng(0), 1)


def test_cells_that_read_the_input_of_the_one_before_are_refused():
    network = get("nasnet-a-mobile")
    space = Space(
        template=network, choices=(Choice(name="resolution", paths=("resolution",), options=(192, 224)),)
    )
    with pytest.raises(InputError, match="no cost of its own"):
        Costs(space)


def test_a_layer_that_no_member_has_costs_nothing():
    stages = get("efficientnet-b0").stages[:1]
    template = Network(stages=(*stages, Stage(block=stages[0].block, continues=True)), resolution=32)
    space = Space(
        template=template,
        choices=(
            Choice(name="depth", paths=("groups.0.depth",), options=(1,)),
            Choice(name="resolution", paths=("resolution",), options=(32, 64)),
        ),
    )
    networks = list(members(space))
    assert Costs(space)(encodings_of(space, networks))["macs"].tolist() == [
        count(each).macs for each in networks
    ]
