"""What a supernet's training is told to cost, beside the subnets that its steps draw."""

from __future__ import annotations

import numpy as np
import pytest

from allometry.cost import count
from allometry.pipeline.supernet.asked import step_activations
from allometry.supernet import PLANS
from allometry.supernet.steps import drawn

from ..supernet.training import SPACE, job_in


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("coupled", [False, True])
def test_a_steps_activations_are_those_of_the_subnets_that_it_draws(tmp_path, plan, coupled):
    phases = PLANS[plan](SPACE, epochs=1)
    job = job_in(tmp_path, phases=phases, coupled=coupled)
    for number, (phase, part) in enumerate(zip(phases, job.spaces, strict=True)):
        steps = [
            sum(count(part.network(decisions)).activations for decisions in drawn(job, number, step))
            for step in range(300)
        ]
        error = np.std(steps) / len(steps) ** 0.5
        said = step_activations(part, phase, coupled=coupled)
        # Subnets of a step share the size of their images, so their sums spread more than the mean is off.
        assert said == pytest.approx(np.mean(steps), abs=5 * error + 1e-9 * said)
