"""The controller: it draws members only, learns what is good, and repeats itself for a seed."""

import numpy as np
import pytest

from allometry.arch import Network
from allometry.base import InputError
from allometry.catalog import find_space, get, mbconv_space
from allometry.nas import Controller, ControllerConfig, Costs, encodings_of, network_of

SMALL = mbconv_space(
    Network(stages=get("efficientnet-b0").stages[:3], resolution=64),
    kernels=(3, 5, 7),
    depths=(1, 2),
    resolutions=(64, 96, 128),
)


def cheap(encodings):
    """Worth more the fewer MACs it has."""
    return -np.log(Costs(SMALL)(encodings)["macs"])


@pytest.mark.parametrize("space", [SMALL, find_space("mnasnet"), find_space("fbnet")])
def test_it_draws_members(space):
    encodings = Controller(space, seed=1).draw(12)
    for encoding in encodings:
        network = network_of(space, encoding)
        assert space.contains(network)
        assert (encodings_of(space, [network])[0] == encoding).all()


def test_it_learns_what_is_worth_more():
    controller = Controller(SMALL, seed=0)
    first = cheap(controller.draw(60)).mean()
    for _ in range(20):
        encodings = controller.draw(20)
        controller.learn(encodings, cheap(encodings))
    least = cheap(encodings_of(SMALL, [SMALL.smallest()])).item()
    last = cheap(controller.draw(60)).mean()
    assert last > first
    assert (least - last) < 0.5 * (least - first)


def test_it_repeats_itself_for_a_seed():
    drawn = []
    for seed in (3, 3, 4):
        controller = Controller(SMALL, seed=seed)
        for _ in range(3):
            encodings = controller.draw(5)
            controller.learn(encodings, cheap(encodings))
        drawn.append(controller.draw(8).tolist())
    assert drawn[0] == drawn[1] != drawn[2]


def test_what_is_worth_nothing_counts_as_the_worst():
    controller = Controller(SMALL, seed=0)
    encodings = controller.draw(4)
    controller.learn(encodings, np.array([1.0, -np.inf, 2.0, -np.inf]))
    controller.learn(encodings, np.full(4, -np.inf))
    assert all(value.isfinite().all() for value in controller._policy.state_dict().values())


def test_mistakes_are_told():
    controller = Controller(SMALL, seed=0)
    with pytest.raises(InputError, match="one number for each of 2 rows"):
        controller.learn(controller.draw(2), np.array([1.0]))
    with pytest.raises(InputError, match="must be at least 1"):
        ControllerConfig(hidden=0)
    with pytest.raises(InputError, match="memory of a controller"):
        ControllerConfig(memory=1)
