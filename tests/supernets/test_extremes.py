"""The least of a space: what enumeration finds, and found where nobody can enumerate."""

import numpy as np
import pytest

from allometry.arch import Choice, Network, Space, distinct_blocks, members
from allometry.base import InputError
from allometry.catalog import find_space, get, mbconv_space
from allometry.cost import Correction, LatencyTable, RuntimeConfig, count, key_of
from allometry.nas import Costs, Latencies, encodings_of, network_of, sample_encodings
from allometry.supernets.extremes import least, least_counted, least_latency

MEASURES = ("params", "macs", "activations")
SMALL = mbconv_space(
    Network(stages=get("efficientnet-b0").stages[:3], resolution=32),
    kernels=(5, 3),
    depths=(2, 1),
    expand_ratios=(6, 4),
    resolutions=(64, 48, 33, 34),
)
WIDE = mbconv_space(
    Network(stages=get("efficientnet-b0").stages[:3], resolution=32), kernels=(3, 5), widths=(1.25, 0.75)
)
SHARED = Space(
    template=SMALL.template,
    choices=(
        Choice(name="depths", paths=("groups.1.depth", "groups.2.depth"), options=(2, 1)),
        Choice(name="kernels", paths=("stages.0.block.kernel", "stages.4.block.kernel"), options=(5, 3)),
        Choice(name="head", paths=("head.channels",), options=(64, 32)),
        Choice(name="drop", paths=("head.dropout",), options=(0.1, 0.2)),
    ),
)
SPACES = {"small": SMALL, "wide": WIDE, "shared": SHARED}


def table_of(space, seed=0):
    random = np.random.default_rng(seed)
    return LatencyTable(
        space="small",
        runtime_config=RuntimeConfig(),
        machine_info={},
        seconds={key_of(piece): float(random.uniform(1e-4, 1e-3)) for piece in distinct_blocks(space)},
        labels={},
        correction=Correction(base=1e-4, scale=0.9, per_piece=-1e-4, per_element=1e-10),
    )


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("measure", MEASURES)
def test_the_least_count_is_that_of_all_members(name, measure):
    space = SPACES[name]
    found = least_counted(space, measure)
    every = Costs(space)(encodings_of(space, list(members(space))))[measure]
    assert found.value == every.min()
    network = network_of(space, found.encoding)
    assert getattr(count(network), measure) == found.value
    assert (encodings_of(space, [network])[0] == found.encoding).all()


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("seed", range(3))
def test_the_least_latency_is_that_of_all_members(name, seed):
    space, table = SPACES[name], table_of(SPACES[name], seed)
    found = least_latency(space, table)
    seconds = Latencies(space, table)(encodings_of(space, list(members(space))))
    assert found.value == pytest.approx(seconds.min(), rel=1e-12)
    assert table.predict(network_of(space, found.encoding)) == pytest.approx(found.value, rel=1e-12)


@pytest.mark.parametrize(
    "name", ["ofa-mobilenetv3-1.0", "fbnet", "mnasnet", "efficientnetv2", "proxylessnas"]
)
def test_nothing_drawn_is_below_the_least(name):
    space = find_space(name)
    encodings = sample_encodings(space, np.random.default_rng(0), 2000, by="choice")
    found = Costs(space)(encodings)
    for measure in MEASURES:
        lowest = least_counted(space, measure)
        assert lowest.value <= found[measure].min()
        assert getattr(count(network_of(space, lowest.encoding)), measure) == lowest.value


def test_negative_prices_find_the_most():
    found = least(SMALL, lambda *_: -1.0)
    assert -found.value - 2 == max(network.depth for network in members(SMALL))


def test_what_is_no_sum_is_refused():
    with pytest.raises(
        InputError, match="'memory' is not known exactly; possible: params, macs, activations"
    ):
        least_counted(SMALL, "memory")
