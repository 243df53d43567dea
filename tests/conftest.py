"""Settings that all tests share."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# No test depends on the clock's speed.
settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")

# Two test processes on two cores: PyTorch's own threads would only fight over them.
os.environ.setdefault("OMP_NUM_THREADS", "1")
