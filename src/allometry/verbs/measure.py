"""`allometry measure`: what networks cost on this device."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torch import nn

from allometry.arch import Network, from_json
from allometry.base import Progress
from allometry.base.progress import as_progress
from allometry.cost import LATENCY, Measure, Readings, count
from allometry.cost.measures import more_measures
from allometry.profiling import MeasureConfig, Measurements, networks_to_measure
from allometry.profiling import measure as measure_networks
from allometry.profiling.measured_network import MeasuredNetwork
from allometry.profiling.results import Measured
from allometry.verbs.arguments import InFolder, folder_of

Measurable = Network | nn.Module | InFolder | str | Path
"""A network, a torch module, a run, or the name or file of one."""


def measure(
    networks: Measurable | Sequence[Measurable],
    *,
    runtime: str | Sequence[str] = "torch",
    resolution: int | None = None,
    batch: int = 1,
    threads: int = 1,
    precision: str = "float32",
    device: str = "cpu",
    rounds: int = 15,
    seconds: float = 0.25,
    measures: Sequence[Measure] = (),
    progress: Progress | bool = True,
) -> Measurements:
    """Latency with its spread, throughput, memory, time to load and size, on this device.

    Each network runs in a process of its own, in every runtime; they take turns, so that a noisy machine disturbs all
    alike. A torch module is handed to its process as a graph of `torch.export`, or as an ONNX file where the runtime
    reads one.

    Args:
        networks: one or several: networks, torch modules, runs; names of the zoo, networks' JSON files, run folders,
            ONNX and OpenVINO files, `timm:NAME`, `package.module:factory`.
        runtime: one or several of `torch`, `torch.compile`, `onnxruntime`, `openvino`.
        resolution: side of the input, in pixels; by default each network's own.
        batch: images of a run.
        threads: of the runtime.
        precision: of the arithmetic: `float32` or `bfloat16`.
        device: `cpu` or `cuda`.
        rounds: turns of each network.
        seconds: of a turn, about.
        measures: that are told besides, next to those that are registered: of networks, not of modules and files,
            what is counted or has a function of its own.
        progress: True for a bar or lines, False for silence, or whatever is to be told.

    Returns:
        The figures of each network in each runtime, ratios to the first one, and reasons to doubt them.

    Raises:
        InputError: there is no such network, or things do not go together.
        MissingExtraError: a runtime is not installed.
        MeasurementError: a process died.

    Example:
        >>> import allometry as al
        >>> tiny = al.scale("efficientnet-b0", budget="1M")
        >>> measured = measure(tiny, resolution=32, rounds=1, seconds=0.01, progress=False)
        >>> measured.measured[0].name == tiny.name
        True
    """
    listed: list[Measurable] = [*networks] if isinstance(networks, list | tuple) else [networks]  # type: ignore[list-item]
    with tempfile.TemporaryDirectory(prefix="allometry-measure-") as folder:
        chosen = networks_to_measure(
            [_plain(one) for one in listed],
            folder=Path(folder),
            runtimes=[runtime] if isinstance(runtime, str) else runtime,
            resolution=resolution,
            batch=batch,
            threads=threads,
            precision=precision,
            device=device,
        )
        config = MeasureConfig(rounds=rounds, seconds=seconds)
        measurements = measure_networks(chosen, config=config, progress=as_progress(progress))
    own = tuple(dict.fromkeys((*more_measures(), *measures)))
    told = [
        replace(one, measures=_more(candidate, one, own))
        for candidate, one in zip(chosen, measurements.measured, strict=True)
    ]
    return replace(measurements, measured=tuple(told))


def _more(candidate: MeasuredNetwork, one: Measured, measures: Sequence[Measure]) -> Readings:
    """The values of measures beside the latency and the memory, which have their place."""
    network = None if candidate.network is None else from_json(candidate.network)
    if network is not None:
        network = replace(network, resolution=candidate.resolution)
    values: dict[str, float | None] = {}
    for measure in measures:
        if measure == LATENCY:
            continue
        if measure.measure is not None:
            values[measure.name] = None if network is None else measure.measured(network)
        elif measure.read is not None:
            values[measure.name] = measure.read(one.measurement)
        else:
            values[measure.name] = None if network is None else measure.of(count(network))
    return {name: value for name, value in values.items() if value is not None}


def _plain(one: Measurable) -> Network | nn.Module | str | Path:
    return one if isinstance(one, Network | nn.Module | str | Path) else folder_of(one)
