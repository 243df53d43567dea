"""Latency predicted from a table: the seconds of each distinct block on one device, and a fitted correction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from allometry.arch import Network, Piece, digest, pieces, wrap_alone
from allometry.base import BudgetError, InputError
from allometry.base.checks import check_fields
from allometry.base.decoding import Count, Positive, decode
from allometry.base.files import write_json
from allometry.base.reading import UnreadableError, parse_json, read_text
from allometry.cost.budget import Budget
from allometry.cost.measures import LATENCY, MEASURES, Measure

FORMAT = "allometry.latency-table/1"
_SHARED = ("space", "fitted", "reference", "runtime_config", "machine_info", "correction")


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeConfig:
    """How a network is run where its latency is asked for.

    Attributes:
        runtime: `torch`, `torch.compile`, `onnxruntime` or `openvino`.
        threads: of the runtime.
        batch: images of a run.
        precision: `float32` or `bfloat16`.
        device: `cpu` or `cuda`.

    Raises:
        InputError: threads or batch are below 1.

    Example:
        >>> print(RuntimeConfig(threads=2))
        onnxruntime, 2 threads, batch 1, float32, cpu
    """

    runtime: str = "onnxruntime"
    threads: int = 1
    batch: int = 1
    precision: str = "float32"
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_fields(self, threads=1, batch=1)

    def __str__(self) -> str:
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        return f"{self.runtime}, {threads}, batch {self.batch}, {self.precision}, {self.device}"


def runtime_config_for(
    budget: Budget, *, runtime: str | None = None, threads: int = 1, precision: str = "float32"
) -> RuntimeConfig | None:
    """How networks are run to judge them by `budget`; None where no runtime is needed.

    A latency is always measured. Memory is counted, but measured along with a latency, or where a runtime is named.

    Raises:
        BudgetError: something is said of a runtime, and nothing would be measured in it.

    Example:
        >>> from allometry.cost.budget import parse_budget
        >>> print(runtime_config_for(parse_budget("latency<=20ms")))
        onnxruntime, 1 thread, batch 1, float32, cpu
        >>> runtime_config_for(parse_budget("macs<=1G, memory<=50MB")) is None
        True
    """
    config = RuntimeConfig(runtime=runtime or RuntimeConfig().runtime, threads=threads, precision=precision)
    if runtime is None and not budget.needs_runtime:
        if config != RuntimeConfig():
            raise BudgetError(
                f"The budget {budget} is counted, not measured, so threads and precision mean nothing: leave them out, "
                "name a runtime to measure memory in, or limit a latency."
            )
        return None
    if not any(measure.read for measure in budget.measures):
        possible = ", ".join(measure.name for measure in MEASURES if measure.read)
        raise BudgetError(
            f"A runtime tells {possible}, and the budget {budget} limits none of them: leave the runtime out, or limit "
            "one of them."
        )
    return config


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """From the sum of a table's lines to a whole network.

    A block alone starts and ends with what a network does once or not at all: a call, a change of the layout. So a
    network takes less than its blocks, by an amount for each block and for each number that passes between two.

    Attributes:
        base: seconds of a network, whatever is in it.
        scale: of the sum.
        per_piece: seconds for each block.
        per_element: seconds for each number that a block reads.

    Example:
        >>> Correction()
        Correction(base=0.0, scale=1.0, per_piece=0.0, per_element=0.0)
    """

    base: float = 0.0
    scale: float = 1.0
    per_piece: float = 0.0
    per_element: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LatencyTable:
    """What each distinct block of a space takes on a device.

    Attributes:
        measure: that it predicts.
        space: its name.
        runtime_config: how the blocks were run.
        machine_info: of the device.
        seconds: of each block, by its key.
        labels: of each block, readable, by its key.
        reference: seconds of the block that was measured again and again, to tell how fast the device was meanwhile.
        correction: from the sum to a network.
        fitted: networks that the correction was fitted to.

    Source: ProxylessNAS (Cai et al. 2019), section 3.3.1; Once-for-All (Cai et al. 2020), section 3.4.

    Example:
        >>> from allometry.catalog import get
        >>> b0 = get("efficientnet-b0")
        >>> table = LatencyTable(
        ...     space="b0 alone",
        ...     runtime_config=RuntimeConfig(),
        ...     machine_info={},
        ...     seconds={key_of(piece): 0.001 for piece in pieces(b0)},
        ...     labels={},
        ... )
        >>> round(table.predict(b0), 6)
        0.018
    """

    measure: ClassVar[Measure] = LATENCY

    space: str
    runtime_config: RuntimeConfig
    machine_info: Mapping[str, Any]
    seconds: Mapping[str, float]
    labels: Mapping[str, str]
    reference: float | None = None
    correction: Correction = Correction()
    fitted: int = 0

    def predict(self, network: Network) -> float:
        """The latency of a network of the space, in seconds.

        Raises:
            InputError: the table has no line for one of its blocks.
        """
        total, number, elements = self.features(network)
        fit = self.correction
        return fit.base + fit.scale * total + fit.per_piece * number + fit.per_element * elements

    def features(self, network: Network) -> tuple[float, int, int]:
        """The sum of its lines in seconds, how many they are, and how many numbers the blocks read.

        Raises:
            InputError: the table has no line for one of its blocks.
        """
        return self.features_of(pieces(network))

    def features_of(self, parts: Iterable[Piece]) -> tuple[float, int, int]:
        """The same of some pieces.

        Raises:
            InputError: the table has no line for one of them.
        """
        total, number, elements = 0.0, 0, 0
        for piece in parts:
            seconds = self.seconds.get(key_of(piece))
            if seconds is None:
                raise InputError(
                    f"The latency table of {self.space} has no line for {label_of(piece)}; build one of a space "
                    "that has it."
                )
            total, number = total + seconds, number + 1
            elements += piece.source.channels * piece.source.size**2
        return total, number, elements

    def save(self, path: Path) -> None:
        """Write it as JSON, in one step.

        Raises:
            StorageError: the file cannot be written.
        """
        shared = {name: getattr(self, name) for name in _SHARED}
        lines = [
            _Line(key=key, block=self.labels.get(key, ""), seconds=seconds)
            for key, seconds in self.seconds.items()
        ]
        write_json(path, asdict(_TableFields(format=FORMAT, **shared, lines=tuple(lines))))

    @classmethod
    def load(cls, path: Path) -> LatencyTable:
        """Read it.

        Raises:
            InputError: there is no such file, or it is no latency table.
        """
        try:
            plain = parse_json(read_text(path))
            written = plain.get("format", FORMAT) if isinstance(plain, dict) else FORMAT
            if written != FORMAT:
                raise InputError(
                    f"{path} has the format {written!r}; this version reads {FORMAT!r}. Build it anew."
                )
            return cls._of(decode(_TableFields, plain))
        except FileNotFoundError as error:
            raise InputError(
                f"There is no latency table {path}; `allometry table build` writes one."
            ) from error
        except OSError as error:
            raise InputError(f"Cannot read the latency table {path}: {error.strerror}.") from error
        except UnreadableError as error:
            raise InputError(f"{path} is no latency table ({error}); build it anew.") from error

    @classmethod
    def _of(cls, read: _TableFields) -> LatencyTable:
        shared = {name: getattr(read, name) for name in _SHARED}
        seconds = {line.key: line.seconds for line in read.lines}
        if len(seconds) < len(read.lines):
            raise UnreadableError("it has two lines for one block")
        return cls(**shared, seconds=seconds, labels={line.key: line.block for line in read.lines})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """What a table's file says of a block."""

    key: str
    block: str
    seconds: Positive


@dataclass(frozen=True, slots=True, kw_only=True)
class _TableFields:
    """A table as its file has it."""

    format: str
    space: str
    fitted: Count
    reference: Positive | None
    runtime_config: RuntimeConfig
    machine_info: Mapping[str, Any]
    correction: Correction
    lines: tuple[_Line, ...]


@lru_cache(maxsize=65536)
def key_of(piece: Piece) -> str:
    """A stable name for a block and what it reads: its kind and 16 hexadecimal digits.

    Example:
        >>> from allometry.catalog import get
        >>> key_of(next(pieces(get("efficientnet-b0"))))
        'stem 7c470c91287898c0'
    """
    return f"{piece.kind} {digest(wrap_alone(piece))[:16]}"


def label_of(piece: Piece) -> str:
    """A block and what it reads, readable.

    Example:
        >>> from allometry.catalog import get
        >>> label_of(next(pieces(get("efficientnet-b0"))))
        'Stem(32, k3, s2, silu) of 3 x 224 px'
    """
    return f"{piece.part!r} of {piece.source.channels} x {piece.source.size} px"
