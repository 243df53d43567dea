"""The whole path: images in, a grown, trained, checked, exported and reported network out."""

from allometry.pipeline.devices import describe_device, find_device
from allometry.pipeline.explain import explain_pretrained, explain_runs
from allometry.pipeline.exporting import export_run
from allometry.pipeline.finished import FinishedRun, open_finished
from allometry.pipeline.fit import FitSettings, fit
from allometry.pipeline.forecast import Forecast, Phase
from allometry.pipeline.plan import Plan, adapt, make_plan
from allometry.pipeline.preparing import RunForecast, forecast_whole_run
from allometry.pipeline.pretrained import Ready, open_pretrained, predict_pretrained
from allometry.pipeline.run import RunResult, run
from allometry.pipeline.search import SearchSettings, search
from allometry.pipeline.supernet import (
    LookSettings,
    PhaseForecast,
    SupernetForecast,
    SupernetSettings,
    forecast_supernet,
    supernet_extract,
    supernet_front,
    supernet_search,
    supernet_train,
)
from allometry.pipeline.training import forecast_run, train_run
from allometry.pipeline.using import Answer, evaluate_run, predict_images
from allometry.pipeline.views import Explained, Explanation

__all__ = [
    "Answer",
    "Explained",
    "Explanation",
    "FinishedRun",
    "FitSettings",
    "Forecast",
    "LookSettings",
    "Phase",
    "PhaseForecast",
    "Plan",
    "Ready",
    "RunForecast",
    "RunResult",
    "SearchSettings",
    "SupernetForecast",
    "SupernetSettings",
    "adapt",
    "describe_device",
    "evaluate_run",
    "explain_pretrained",
    "explain_runs",
    "export_run",
    "find_device",
    "fit",
    "forecast_run",
    "forecast_supernet",
    "forecast_whole_run",
    "make_plan",
    "open_finished",
    "open_pretrained",
    "predict_images",
    "predict_pretrained",
    "run",
    "search",
    "supernet_extract",
    "supernet_front",
    "supernet_search",
    "supernet_train",
    "train_run",
]
