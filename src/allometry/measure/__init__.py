"""What a network costs on a device: latency with its spread, throughput, memory, measured by turns."""

from allometry.measure.candidates import PRECISIONS, RUNTIMES, Candidate, Precision, Runtime, candidates
from allometry.measure.machine import Fingerprint, fingerprint
from allometry.measure.measuring import measure
from allometry.measure.results import Latency, Measured, Measurements, Ratio
from allometry.measure.sampling import Effort
from allometry.measure.stopwatch import Stopwatch, solve_on_device
from allometry.measure.tables import TableCheck, TableEffort, build_table, check_table, fit_correction

__all__ = [
    "PRECISIONS",
    "RUNTIMES",
    "Candidate",
    "Effort",
    "Fingerprint",
    "Latency",
    "Measured",
    "Measurements",
    "Precision",
    "Ratio",
    "Runtime",
    "Stopwatch",
    "TableCheck",
    "TableEffort",
    "build_table",
    "candidates",
    "check_table",
    "fingerprint",
    "fit_correction",
    "measure",
    "solve_on_device",
]
