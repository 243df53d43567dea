"""Grow convolutional networks to fit a budget.

A network is data (`Network`). It is scaled, counted, built and trained by functions:

    >>> import allometry
    >>> b0 = allometry.get("efficientnet-b0")
    >>> allometry.count(b0).params
    5288548
    >>> allometry.solve(b0, "macs<=1G").cost.macs <= 10**9
    True

Whatever needs torch is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from allometry._version import __version__
from allometry.arch import Network
from allometry.base import AllometryError
from allometry.catalog import get
from allometry.cost import Budget, Cost, count, parse_budget
from allometry.scaling import COMPOUND, ScalingLaw, scale, solve

if TYPE_CHECKING:
    from allometry.nn import build
    from allometry.verbs.run import run

_LATER = {"build": "allometry.nn", "run": "allometry.verbs.run"}

__all__ = [
    "COMPOUND",
    "AllometryError",
    "Budget",
    "Cost",
    "Network",
    "ScalingLaw",
    "__version__",
    "build",
    "count",
    "get",
    "parse_budget",
    "run",
    "scale",
    "solve",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever that room exports
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module 'allometry' has no attribute {name!r}")
