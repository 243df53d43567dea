"""Latency tables: each distinct block of a space measured once, and a correction fitted to whole networks."""

from __future__ import annotations

import random
import statistics
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from allometry.arch import Network, Piece, Space, distinct_blocks, sample, to_json, wrap_alone
from allometry.base import InputError, Progress, SilentProgress
from allometry.base.checks import check_fields
from allometry.base.processes import Resource
from allometry.base.progress import tracked
from allometry.base.reading import exists
from allometry.cost import Correction, LatencyTable, RuntimeConfig, count
from allometry.cost.latency import key_of, label_of
from allometry.profiling.latency_meter import network_to_measure
from allometry.profiling.machine import machine_info
from allometry.profiling.measured_network import MeasuredNetwork
from allometry.profiling.processes import specification, start_worker

_CHUNK = 32  # blocks that take turns with each other
_REFERENCE = "reference"
_MOST_LINES = 20_000
_REFERENCE_SECONDS = 0.03
_FEWEST_RUNS = 3
_LONGER = 4  # times as long a turn of a whole network as of a block
# A machine is slower for seconds or minutes, and not alike for all networks. Of a block that averages out in the sum;
# whole networks are measured in so many passes over all of them, minutes apart.
_PASSES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class TableConfig:
    """How much is measured for a table.

    Attributes:
        rounds: turns of each block.
        seconds: of a turn, about.
        networks: whole networks that the correction is fitted to.

    Raises:
        InputError: one of them is no number, or too small.

    Example:
        >>> TableConfig().rounds
        3
    """

    rounds: int = 3
    seconds: float = 0.03
    networks: int = 30

    def __post_init__(self) -> None:
        check_fields(self, rounds=1, networks=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableCheck:
    """How far predictions lie from measured whole networks.

    Attributes:
        networks: how many were measured.
        median_error: of the prediction, as a fraction of the measured latency.
        high_error: the 90th percentile of it.
        rank_correlation: Spearman's.
        drift: how many times as long the reference block takes now as when the table was built; what was measured is
            divided by it.
        measured: seconds of each network.
        predicted: seconds of each network.

    Example:
        >>> check = TableCheck(
        ...     networks=2,
        ...     median_error=0.02,
        ...     high_error=0.05,
        ...     rank_correlation=1.0,
        ...     drift=1.0,
        ...     measured=(0.010, 0.020),
        ...     predicted=(0.0102, 0.0196),
        ... )
        >>> check.to_dict()["median_error"]
        0.02
    """

    networks: int
    median_error: float
    high_error: float
    rank_correlation: float
    drift: float
    measured: tuple[float, ...]
    predicted: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return asdict(self)


def build_table(
    space: Space,
    *,
    runtime_config: RuntimeConfig = RuntimeConfig(),
    config: TableConfig = TableConfig(),
    path: Path | None = None,
    seed: int = 0,
    progress: Progress = SilentProgress(),
) -> LatencyTable:
    """Measure each distinct block of a space on this device, and fit the correction to random whole networks.

    Blocks take turns with each other and with one that is always the same: where the machine is slower for a while,
    that one tells by how much.

    Args:
        space: whose blocks.
        runtime_config: how they are run.
        config: how much is measured.
        path: where the table is written after every few blocks; lines that are there already are not measured again.
        seed: of the random networks.
        progress: is told of each block and network.

    Raises:
        InputError: the space has too many blocks, the runtime does not run like that, or `path` holds another table.
        MissingExtraError: the runtime is not installed.
        MeasurementError: the process that measures died.

    Example:
        >>> from allometry.catalog import get, mbconv_space
        >>> network = Network(stages=get("efficientnet-b0").stages[:2], resolution=32)
        >>> space = mbconv_space(network, kernels=(3, 5), name="tiny")
        >>> finished = LatencyTable(
        ...     space="tiny",
        ...     runtime_config=RuntimeConfig(),
        ...     machine_info=machine_info().to_dict(),
        ...     seconds={key_of(piece): 0.001 for piece in distinct_blocks(space)},
        ...     labels={},
        ...     fitted=TableConfig().networks,
        ... )
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     finished.save(Path(folder) / "table.json")
        ...     table = build_table(space, path=Path(folder) / "table.json")  # nothing is left to measure
        >>> round(table.predict(network), 6)
        0.005
    """
    pieces = distinct_blocks(space)
    if len(pieces) > _MOST_LINES:
        raise InputError(
            f"{space.name or 'This space'} has {len(pieces):,} distinct blocks, too many for a table (at most "
            f"{_MOST_LINES:,}); leave out some of its resolutions."
        )
    table = _begun(space, runtime_config, path)
    left = [piece for piece in pieces if key_of(piece) not in table.seconds]
    if not left and table.fitted == config.networks:
        return table
    label = f"measuring blocks in {runtime_config.runtime}"
    with (
        _Bench(runtime_config, _heaviest(pieces), usual=table.reference) as bench,
        tracked(progress, label, len(left), unit="blocks") as advance,
    ):
        for first in range(0, len(left), _CHUNK):
            chunk = left[first : first + _CHUNK]
            seconds = bench.pieces(chunk, config)
            table = replace(
                table,
                seconds={
                    **table.seconds,
                    **{key_of(piece): taken for piece, taken in zip(chunk, seconds, strict=True)},
                },
                reference=bench.usual,
                labels={**table.labels, **{key_of(piece): label_of(piece) for piece in chunk}},
            )
            if path is not None:
                table.save(path)
            advance(len(chunk))
    chosen = _networks(space, config.networks, seed)
    # In a fresh process, as networks run later: in one that has held a hundred blocks they take some percent more.
    with _Bench(runtime_config, _heaviest(pieces), usual=table.reference) as bench:
        measured = bench.networks(chosen, config, progress)
    table = replace(table, correction=fit_correction(table, chosen, measured), fitted=len(chosen))
    if path is not None:
        table.save(path)
    return table


def check_table(
    table: LatencyTable,
    space: Space,
    *,
    networks: int = 50,
    config: TableConfig = TableConfig(),
    seed: int = 1,
    progress: Progress = SilentProgress(),
) -> TableCheck:
    """Measure random whole networks and compare with what the table predicts.

    Args:
        table: of the space.
        space: where networks are drawn from.
        networks: how many; none of those that the correction was fitted to, unless the space is small.
        config: how much each is measured.
        seed: of the draw; another one than the table's.
        progress: is told of each network.

    Raises:
        InputError: the table is not finished, of another space, or of another device.

    Example:
        >>> from allometry.catalog import find_space
        >>> begun = LatencyTable(
        ...     space="fbnet", runtime_config=RuntimeConfig(), machine_info={}, seconds={}, labels={}
        ... )
        >>> check_table(begun, find_space("fbnet"))
        Traceback (most recent call last):
            ...
        allometry.base.errors.InputError: The table of fbnet is not finished: call `allometry table build` ...
    """
    if not table.fitted:
        raise InputError(
            f"The table of {table.space} is not finished: call `allometry table build` again with the same arguments."
        )
    here = machine_info(device=table.runtime_config.device)
    if table.machine_info.get("processor") != here.processor:
        raise InputError(
            f"The table was built on {table.machine_info.get('processor')!r}, and this is {here.processor!r}: "
            "figures of one say little of the other. Build a table here."
        )
    chosen = _networks(space, networks, seed)
    predicted = [table.predict(network) for network in chosen]
    with _Bench(table.runtime_config, _heaviest(distinct_blocks(space)), usual=table.reference) as bench:
        measured = bench.networks(chosen, config, progress)
        drift = bench.drift
    errors = [abs(guess - truth) / truth for guess, truth in zip(predicted, measured, strict=True)]
    return TableCheck(
        networks=len(chosen),
        median_error=statistics.median(errors),
        high_error=float(np.percentile(errors, 90)),
        rank_correlation=_rank_correlation(measured, predicted),
        drift=drift,
        measured=tuple(measured),
        predicted=tuple(predicted),
    )


def fit_correction(table: LatencyTable, networks: Sequence[Network], measured: Sequence[float]) -> Correction:
    """The correction with the least relative error; less of it where there are few networks.

    Args:
        table: with a line for every block.
        networks: that were measured.
        measured: seconds of each.
    """
    rows = np.array([[1.0, *table.features(network)] for network in networks])
    truth = np.asarray(measured)
    # One term more for every five networks: the sum alone, the base, the blocks, the numbers that they read.
    terms = [1, 0, 2, 3][: max(1, min(4, len(truth) // 5))]
    weighted = rows[:, terms] / truth[:, None]
    coefficients, *_ = np.linalg.lstsq(weighted, np.ones(len(truth)), rcond=None)
    base, scale, per_piece, per_element = (
        float(coefficients[terms.index(place)]) if place in terms else 0.0 for place in range(4)
    )
    return Correction(base=base, scale=scale, per_piece=per_piece, per_element=per_element)


def _begun(space: Space, runtime_config: RuntimeConfig, path: Path | None) -> LatencyTable:
    here = machine_info(device=runtime_config.device)
    if path is None or not exists(path):
        return LatencyTable(
            space=space.name,
            runtime_config=runtime_config,
            machine_info=here.to_dict(),
            seconds={},
            labels={},
        )
    table = LatencyTable.load(path)
    held = (table.space, table.runtime_config, table.machine_info.get("processor"))
    if held != (space.name, runtime_config, here.processor):
        raise InputError(
            f"{path} holds a table of {held[0]} in {held[1]} on {held[2]}, not of {space.name} in {runtime_config} on "
            f"{here.processor}; give another file."
        )
    return table


def _networks(space: Space, number: int, seed: int) -> list[Network]:
    """Random networks; by choices, which spreads their depths and sizes more evenly than by networks."""
    draw = random.Random(seed)
    return [sample(space, draw, by="choice") for _ in range(number)]


def _heaviest(pieces: Sequence[Piece]) -> Piece:
    return max(pieces, key=lambda piece: count(wrap_alone(piece)).macs)


def _rank_correlation(one: Sequence[float], other: Sequence[float]) -> float:
    first, second = (np.argsort(np.argsort(np.asarray(values))) for values in (one, other))
    return float(np.corrcoef(first, second)[0, 1])


class _Bench(Resource):
    """One process that holds many blocks, and runs them by turns, beside one that stays the same throughout."""

    def __init__(self, runtime_config: RuntimeConfig, reference: Piece, *, usual: float | None) -> None:
        self._runtime_config, self.usual, self.drift = runtime_config, usual, 1.0
        with ExitStack() as held:
            folder = Path(held.enter_context(tempfile.TemporaryDirectory()))
            name = f"the blocks in {runtime_config.runtime}"
            self._child = held.enter_context(start_worker(name, threads=runtime_config.threads))
            (made,) = self._made([reference], folder)
            self._runs = {_REFERENCE: self._load(_REFERENCE, made, folder, _REFERENCE_SECONDS)}
            super().__init__(held.pop_all())

    def pieces(self, chunk: Sequence[Piece], config: TableConfig) -> list[float]:
        """Seconds of each block."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            return self._by_turns(self._made(chunk, folder), folder, config)

    def networks(self, chosen: Sequence[Network], config: TableConfig, progress: Progress) -> list[float]:
        """Seconds of each network: the middle of several passes over all."""
        longer = replace(config, seconds=_LONGER * config.seconds)
        passes: list[list[float]] = []
        total = _PASSES * len(chosen)
        label = f"measuring networks in {self._runtime_config.runtime}"
        with (
            tempfile.TemporaryDirectory() as name,
            tracked(progress, label, total, unit="networks") as advance,
        ):
            ready = [self._exported(network, Path(name) / str(place)) for place, network in enumerate(chosen)]
            for _ in range(_PASSES):
                passes.append([])
                for candidate in ready:
                    passes[-1] += self._by_turns([candidate], Path(name), longer)
                    advance(1)
        return [statistics.median(seconds) for seconds in zip(*passes, strict=True)]

    def _exported(self, network: Network, folder: Path) -> MeasuredNetwork:
        """The network as the runtime reads it, exported once for all passes."""
        candidate = network_to_measure(network, self._runtime_config)
        folder.mkdir()
        file = specification(candidate, folder)["file"]
        return candidate if file is None else replace(candidate, network=None, file=Path(file))

    def _made(self, chunk: Sequence[Piece], folder: Path) -> list[MeasuredNetwork]:
        from allometry.profiling.pieces import export_parts

        files: list[Path | None] = [None] * len(chunk)
        if self._runtime_config.runtime in ("onnxruntime", "openvino"):
            files = list(export_parts(chunk, folder, batch=self._runtime_config.batch))
        return [_part(piece, file, self._runtime_config) for piece, file in zip(chunk, files, strict=True)]

    def _load(self, name: str, candidate: MeasuredNetwork, folder: Path, seconds: float) -> int:
        """Load it; how many runs take about so long."""
        self._child.ask({"name": name, "load": specification(candidate, folder)})
        warm: list[float] = self._child.ask({"name": name, "runs": _FEWEST_RUNS})["seconds"]
        return max(_FEWEST_RUNS, round(seconds / max(min(warm), 1e-6)))

    def _by_turns(
        self, networks: Sequence[MeasuredNetwork], folder: Path, config: TableConfig
    ) -> list[float]:
        """The quickest turn of each, at the speed that the machine had when the table was begun."""
        runs = {
            str(place): self._load(str(place), network, folder, config.seconds)
            for place, network in enumerate(networks)
        }
        turns: dict[str, list[float]] = {name: [] for name in (*self._runs, *runs)}
        for _ in range(config.rounds):
            for name, number in (*self._runs.items(), *runs.items()):
                seconds = self._child.ask({"name": name, "runs": number})["seconds"]
                turns[name].append(statistics.median(seconds))
        self._child.ask({"forget": list(runs)})
        now = min(turns[_REFERENCE])
        self.usual = self.usual or now
        self.drift = now / self.usual
        return [min(turns[name]) / self.drift for name in runs]


def _part(piece: Piece, file: Path | None, runtime_config: RuntimeConfig) -> MeasuredNetwork:
    which: dict[str, Any] = (
        {"file": file} if file else {"network": to_json(wrap_alone(piece)), "part": piece.kind}
    )
    return MeasuredNetwork(
        name=label_of(piece),
        channels=piece.source.channels,
        resolution=piece.source.size,
        **which,
        **asdict(runtime_config),
    )
