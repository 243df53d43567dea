"""What a network costs on a device: latency with its spread, throughput, memory, measured by turns."""

from allometry.profiling.latency_meter import LatencyMeter, solve_on_device
from allometry.profiling.machine import MachineInfo, machine_info
from allometry.profiling.measure import measure
from allometry.profiling.measured_network import (
    PRECISIONS,
    RUNTIMES,
    MeasuredNetwork,
    Precision,
    Runtime,
    networks_to_measure,
)
from allometry.profiling.results import Latency, Measured, Measurements, Ratio
from allometry.profiling.sampling import MeasureConfig
from allometry.profiling.tables import TableCheck, TableConfig, build_table, check_table

__all__ = [
    "PRECISIONS",
    "RUNTIMES",
    "Latency",
    "LatencyMeter",
    "MachineInfo",
    "MeasureConfig",
    "Measured",
    "MeasuredNetwork",
    "Measurements",
    "Precision",
    "Ratio",
    "Runtime",
    "TableCheck",
    "TableConfig",
    "build_table",
    "check_table",
    "machine_info",
    "measure",
    "networks_to_measure",
    "solve_on_device",
]
