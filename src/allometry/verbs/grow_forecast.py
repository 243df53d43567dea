"""`allometry grow --dry-run`: what a trained network would become, before anything of it is written."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from allometry.arch import Network
from allometry.base import Progress, SilentProgress
from allometry.base.progress import as_progress
from allometry.cost import Budget, Cost, count
from allometry.data import Data, Group
from allometry.nn.growing import GrowthMethod, Importance
from allometry.scaling import ScalingLaw, SizeChange, grows_into, size_changes
from allometry.training import Recipe
from allometry.training.forecast import Forecast, forecast
from allometry.training.recipes.settings import Setting
from allometry.training.recipes.specs import RecipeSpec
from allometry.training.session import open_session, read_data
from allometry.verbs.arguments import RunLike
from allometry.verbs.grow import grown_start, training_after
from allometry.verbs.grow_request import grow_request
from allometry.verbs.train import train_job


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowForecast:
    """What `allometry grow` would make of a trained network.

    Attributes:
        origin: the trained network.
        network: what it would become.
        before: what the origin costs.
        after: what the network costs.
        budget: that it keeps.
        law: by which it grows or shrinks.
        method: what new channels are; None where it shrinks.
        importance: of the channels that may go; None where it grows.
        changes: its sizes that are others.
        training: what would follow; None without data.
    """

    origin: Network
    network: Network
    before: Cost
    after: Cost
    budget: Budget
    law: ScalingLaw
    method: GrowthMethod | None
    importance: Importance | None
    changes: tuple[SizeChange, ...]
    training: Forecast | None

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {
            "origin": self.origin.name,
            "network": self.network.name,
            "budget": str(self.budget),
            "law": asdict(self.law),
            "method": self.method,
            "importance": self.importance,
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
            "changes": [change._asdict() for change in self.changes],
            "training": None if self.training is None else self.training.to_dict(),
        }


def forecast_grow(
    run: RunLike,
    *,
    budget: Budget | str,
    network: Network | str | Path | None = None,
    law: ScalingLaw | str | Path | None = None,
    method: GrowthMethod = "new",
    importance: Importance = "magnitude",
    data: Data | None = None,
    group: Group | None = None,
    recipe: Recipe | RecipeSpec | str | None = None,
    settings: Sequence[Setting] = (),
    runtime: str | None = None,
    threads: int = 1,
    seed: int | None = None,
    device: str | None = None,
    progress: Progress | bool = True,
) -> GrowForecast:
    """What `grow` with these arguments would make of a trained network, and what its training would cost here.

    The network is made and compared as `grow` does it, so that what is told here holds there; nothing is kept or
    trained. The arguments and errors are those of `grow`.

    Example, with a small `trained` run:
        >>> planned = forecast_grow(trained, budget="2x", progress=False)
        >>> planned.before.macs < planned.after.macs, planned.method, planned.training is None
        (True, 'new', True)
    """
    shown = as_progress(progress)
    request = grow_request(
        run,
        budget=budget,
        network=network,
        law=law,
        method=method,
        importance=importance,
        data=data,
        group=group,
        recipe=recipe,
        settings=settings,
        runtime=runtime,
        threads=threads,
        seed=seed,
        progress=shown,
    )
    origin, planned = request.module.network, None
    with (
        tempfile.TemporaryDirectory() as folder,
        open_session(
            Path(folder) / "forecast",
            command="grow",
            arguments={},
            seed=request.seed,
            device=device,
            progress=shown,
            should_stop=lambda: False,
        ) as session,
    ):
        images = None if request.data is None else read_data(session, request.data)
        made, path = grown_start(session, request, images)
        if images is not None:
            train_request = training_after(request, made, path, images)
            # Its messages would name files that go with this folder.
            quiet = replace(session, progress=SilentProgress())
            planned = forecast(train_job(quiet, train_request, images)[0])
    larger = grows_into(origin, made)
    return GrowForecast(
        origin=origin,
        network=made,
        before=count(origin),
        after=count(made),
        budget=request.budget,
        law=request.law,
        method=request.method if larger else None,
        importance=None if larger else request.importance,
        changes=size_changes(origin, made),
        training=planned,
    )
