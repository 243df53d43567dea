"""What the processes that train for a search or a fit are asked, and their answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from allometry.arch import from_json
from allometry.base import Progress, SilentProgress
from allometry.pipeline.arms import Arm, train_arm
from allometry.pipeline.candidates import candidate_from_dict, try_candidate
from allometry.pipeline.common import Images
from allometry.pipeline.trying import TrialSettings


def answer(
    request: Mapping[str, Any],
    images: Images,
    settings: TrialSettings,
    *,
    progress: Progress = SilentProgress(),
    stopping: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Do what is asked for, in this process or another: try a candidate, or train a network of a grid.

    Raises:
        Stopped: `stopping` asked for it.
        AllometryError: a network of a grid could not be trained.
    """
    how: dict[str, Any] = {"folder": Path(request["folder"]), "progress": progress, "stopping": stopping}
    if "candidate" in request:
        candidate = candidate_from_dict(request["candidate"])
        return {"outcome": try_candidate(candidate, images, settings, **how).to_dict()}
    arm = Arm(**{**request["arm"], "network": from_json(request["arm"]["network"])})
    return {"arm": asdict(train_arm(arm, images, settings, **how))}
