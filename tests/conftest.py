"""Settings that all tests share."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# No test depends on the clock's speed.
settings.register_profile(
    "steady", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("steady")
