"""`allometry supernet`: train one network with all the choices of a space, then take from it what a device needs."""

from allometry.pipeline.supernet.asked import SupernetSettings
from allometry.pipeline.supernet.extracting import supernet_extract
from allometry.pipeline.supernet.front import supernet_front
from allometry.pipeline.supernet.predicting import LookSettings
from allometry.pipeline.supernet.searching import supernet_search
from allometry.pipeline.supernet.training import (
    PhaseForecast,
    SupernetForecast,
    forecast_supernet,
    supernet_train,
)

__all__ = [
    "LookSettings",
    "PhaseForecast",
    "SupernetForecast",
    "SupernetSettings",
    "forecast_supernet",
    "supernet_extract",
    "supernet_front",
    "supernet_search",
    "supernet_train",
]
