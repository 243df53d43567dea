"""What the folder of a supernet says, as values, and how they are read from its files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from allometry.arch import Network, Space, load_space
from allometry.base import InputError
from allometry.reports.parsing import read_object, read_part, read_parts, reader_of
from allometry.runs.phases import Phase, phases_from_json
from allometry.supernets import coupled_size


@dataclass(frozen=True, slots=True, kw_only=True)
class SupernetEpoch:
    """An epoch of a phase, from a line of `metrics.jsonl`.

    Attributes:
        phase: its number, from 1.
        epoch: its number in the phase, from 1.
        largest: validation accuracy of the phase's largest network; `smallest` alike.
        passes: images times subnets.
    """

    phase: int
    epoch: int
    largest: float | None = None
    smallest: float | None = None
    train_loss: float | None = None
    passes: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredSubnet:
    """A subnet that was run on the validation images, from a line of `accuracies.jsonl`."""

    accuracy: float
    macs: float | None = None
    params: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationBin:
    """Subnets next to each other in predicted accuracy; `spread` is the deviation of what was measured."""

    number: int
    predicted: float
    measured: float
    spread: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictorJudgment:
    """What a predictor of accuracy is worth, from `predictor.json`; errors are shares, as accuracies are.

    Attributes:
        number: of subnets that it was judged by.
        fitted: of subnets that it was fitted to.
        attainable: about the tau of a predictor that knew how good the subnets are.
    """

    number: int
    tau: float
    mean_absolute_error: float | None = None
    bias: float | None = None
    fitted: int | None = None
    attainable: float | None = None
    bins: tuple[CalibrationBin, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSubnet:
    """A subnet that was found for a budget, from its `found.json`.

    Attributes:
        macs: of one image; the other costs alike, latencies in seconds.
        validation_accuracy: as measured; it was among the reasons to choose the subnet.
        test_accuracy: on images that nothing was chosen by; `test_interval` is where it lies with 95 % confidence.
        measured: in what the latency was measured: `runtime`, `threads`, `batch` and others.
    """

    name: str
    budget: str
    macs: float
    params: float
    resolution: int | None = None
    latency: float | None = None
    predicted_latency: float | None = None
    predicted_accuracy: float | None = None
    validation_accuracy: float | None = None
    test_accuracy: float | None = None
    test_interval: tuple[float, float] | None = None
    measured: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontSubnet:
    """One of the subnets than which none is predicted to be both cheaper and better."""

    cost: float
    macs: float
    params: float
    resolution: int | None = None
    predicted_accuracy: float | None = None
    validation_accuracy: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFront:
    """A front, from its `front.json`; `measure` is what its subnets cost."""

    name: str = ""
    measure: str = "macs"
    budget: str | None = None
    subnets: tuple[FrontSubnet, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SupernetRecord:
    """All of a supernet; what is missing is None or empty.

    Attributes:
        size: how many subnets the last phase trains.
        coupled: whether width follows depth in them.
        phases: as planned.
    """

    space: Space | None = None
    size: int | None = None
    coupled: bool = False
    phases: tuple[Phase, ...] = ()
    epochs: tuple[SupernetEpoch, ...] = ()
    measured: tuple[MeasuredSubnet, ...] = ()
    judgment: PredictorJudgment | None = None
    found: tuple[FoundSubnet, ...] = ()
    fronts: tuple[FoundFront, ...] = ()

    @property
    def last(self) -> SupernetEpoch | None:
        """The latest epoch."""
        return self.epochs[-1] if self.epochs else None

    def smallest(self, phase: int) -> Network | None:
        """The smallest network of a phase, by its number from 1."""
        if self.space is None or not 0 < phase <= len(self.phases):
            return None
        part = self.phases[phase - 1].part_of(self.space)
        return self.space.network({name: options[0] for name, options in part.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Extracted:
    """Where a subnet was taken from, from the `result.json` of its run.

    Attributes:
        supernet: the folder that it was taken from.
        epochs: that it was trained further by itself.
        taken_accuracy: on the validation images, as it came out of the supernet.
        budget: for which it was found, if it was.
        latency: in seconds, as measured when it was found.
    """

    supernet: str = ""
    epochs: int = 0
    taken_accuracy: float | None = None
    validation_accuracy: float | None = None
    budget: str | None = None
    predicted_accuracy: float | None = None
    latency: float | None = None


def read_supernet(folder: Path, *, coupled: bool) -> SupernetRecord:
    """Read the folder of a supernet; a file that is missing or torn is absent."""
    space, phases = _space(folder / "space.json"), _phases(folder / "phases.json")
    subnets = folder / "subnets"
    return SupernetRecord(
        space=space,
        size=None if space is None else _size(space, phases, coupled=coupled),
        coupled=coupled,
        phases=phases,
        epochs=_epochs(folder / "metrics.jsonl"),
        measured=tuple(read_parts(MeasuredSubnet, folder / "accuracies.jsonl")),
        judgment=read_part(PredictorJudgment, folder / "predictor.json"),
        found=tuple(_found(subnets)),
        fronts=tuple(_fronts(subnets)),
    )


def read_extracted(folder: Path, *, supernet: str) -> Extracted:
    """Read where a subnet was taken from."""
    result = read_object(folder / "result.json") or {}
    found = result.get("found")
    found = found if isinstance(found, dict) else {}
    return reader_of(Extracted)({**found, **result, "supernet": supernet}) or Extracted(supernet=supernet)


def _space(path: Path) -> Space | None:
    try:
        return load_space(path)
    except InputError:
        return None


def _size(space: Space, phases: Sequence[Phase], *, coupled: bool) -> int:
    """Of the part of the space that the last phase opens: what lies outside is not trained."""
    if phases:
        part = phases[-1].part_of(space)
        space = replace(
            space, choices=tuple(replace(choice, options=part[choice.name]) for choice in space.choices)
        )
    return coupled_size(space) if coupled else space.size


def _phases(path: Path) -> tuple[Phase, ...]:
    try:
        return phases_from_json((read_object(path) or {}).get("phases"))
    except InputError:
        return ()


def _epochs(path: Path) -> tuple[SupernetEpoch, ...]:
    # A run that went on after a kill repeats the epoch it was in: the later line counts.
    latest = {(each.phase, each.epoch): each for each in read_parts(SupernetEpoch, path)}
    return tuple(latest[place] for place in sorted(latest))


def _found(folder: Path) -> Iterator[FoundSubnet]:
    for file in sorted(folder.glob("*/found.json")):
        found = read_part(FoundSubnet, file)
        if found is not None:
            yield found


def _fronts(folder: Path) -> Iterator[FoundFront]:
    for file in sorted(folder.glob("*/front.json")):
        found = read_part(FoundFront, file)
        if found is not None and found.subnets:
            yield FoundFront(
                name=file.parent.name, measure=found.measure, budget=found.budget, subnets=found.subnets
            )
