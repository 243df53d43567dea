"""What a supernet's training is told to cost, beside the subnets that its steps draw."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from allometry.cost import count
from allometry.nas import narrow
from allometry.supernets import PLANS
from allometry.supernets.config import step_cost
from allometry.supernets.job import drawn

from ..supernets.spaces import SMALL

SPACE = SMALL["inverted"]  # with two sizes of the input


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("coupled", [False, True])
def test_a_steps_activations_are_those_of_the_subnets_that_it_draws(plan, coupled):
    phases = PLANS[plan](SPACE, epochs=1)
    parts = [narrow(SPACE, phase.part_of(SPACE)) for phase in phases]
    job = SimpleNamespace(seed=0, coupled=coupled, phases=phases, spaces=parts)
    for number, (phase, part) in enumerate(zip(phases, parts, strict=True)):
        steps = [
            sum(count(part.network(decisions)).activations for decisions in drawn(job, number, step))
            for step in range(300)
        ]
        error = np.std(steps) / len(steps) ** 0.5
        said = step_cost(part, phase, coupled=coupled)
        # Subnets of a step share the size of their images, so their sums spread more than the mean is off.
        assert said == pytest.approx(np.mean(steps), abs=5 * error + 1e-9 * said)
