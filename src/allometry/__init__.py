"""Grow convolutional networks to fit a budget.

A network is data (`Network`). It is scaled, counted, built and trained by functions:

    >>> import allometry
    >>> b0 = allometry.get("efficientnet-b0")
    >>> allometry.count(b0).params
    5288548
    >>> allometry.solve(b0, "macs<=1G").cost.macs <= 10**9
    True

Everything is loaded when it is first used, and torch only by what needs it.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from allometry._version import __version__

# With its usual spinning, OpenMP makes training many times slower while other processes take the cores; with little
# of it, nearly as fast on a quiet machine (benchmarks/busy_machine.py). It is read when torch is first loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

if TYPE_CHECKING:
    from allometry.arch import Network
    from allometry.base import AllometryError
    from allometry.catalog import get
    from allometry.cost import Budget, Cost, count, parse_budget
    from allometry.nn import build
    from allometry.scaling import COMPOUND, ScalingLaw, solve
    from allometry.training import callbacks, losses
    from allometry.training.recipes import specs as recipes
    from allometry.verbs import supernet, table
    from allometry.verbs.evaluate import evaluate
    from allometry.verbs.explain import explain
    from allometry.verbs.export import export
    from allometry.verbs.fit import fit
    from allometry.verbs.grow import grow
    from allometry.verbs.hub import from_hub
    from allometry.verbs.info import info
    from allometry.verbs.measure import measure
    from allometry.verbs.open import Run, open  # noqa: A004 - as `allometry.open`
    from allometry.verbs.predict import predict
    from allometry.verbs.report import report
    from allometry.verbs.run import run
    from allometry.verbs.scale import scale
    from allometry.verbs.search import search
    from allometry.verbs.train import train
    from allometry.verbs.zoo import zoo

# Where each public name comes from; the imports above say the same to type checkers and editors.
_HOME = {
    "COMPOUND": "allometry.scaling",
    "AllometryError": "allometry.base",
    "Budget": "allometry.cost",
    "Cost": "allometry.cost",
    "Network": "allometry.arch",
    "ScalingLaw": "allometry.scaling",
    "build": "allometry.nn",
    "count": "allometry.cost",
    "get": "allometry.catalog",
    "parse_budget": "allometry.cost",
    "run": "allometry.verbs.run",
    "evaluate": "allometry.verbs.evaluate",
    "export": "allometry.verbs.export",
    "train": "allometry.verbs.train",
    "explain": "allometry.verbs.explain",
    "fit": "allometry.verbs.fit",
    "from_hub": "allometry.verbs.hub",
    "grow": "allometry.verbs.grow",
    "info": "allometry.verbs.info",
    "measure": "allometry.verbs.measure",
    "open": "allometry.verbs.open",
    "Run": "allometry.verbs.open",
    "predict": "allometry.verbs.predict",
    "report": "allometry.verbs.report",
    "scale": "allometry.verbs.scale",
    "search": "allometry.verbs.search",
    "solve": "allometry.scaling",
    "zoo": "allometry.verbs.zoo",
}
_NAMESPACES = {
    "callbacks": "allometry.training.callbacks",
    "losses": "allometry.training.losses",
    "recipes": "allometry.training.recipes.specs",
    "supernet": "allometry.verbs.supernet",
    "table": "allometry.verbs.table",
}

__all__ = [
    "COMPOUND",
    "AllometryError",
    "Budget",
    "Cost",
    "Network",
    "Run",
    "ScalingLaw",
    "__version__",
    "build",
    "callbacks",
    "count",
    "evaluate",
    "explain",
    "export",
    "fit",
    "from_hub",
    "get",
    "grow",
    "info",
    "losses",
    "measure",
    "open",
    "parse_budget",
    "predict",
    "recipes",
    "report",
    "run",
    "scale",
    "search",
    "solve",
    "supernet",
    "table",
    "train",
    "zoo",
]


if not TYPE_CHECKING:  # else a name that is not there would be no error to type checkers

    def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever that room exports
        if name in _NAMESPACES:
            value = import_module(_NAMESPACES[name])
        elif name in _HOME:
            value = getattr(import_module(_HOME[name]), name)
        else:
            raise AttributeError(f"module 'allometry' has no attribute {name!r}")
        globals()[name] = value  # found without this function from now on
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
