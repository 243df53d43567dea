"""The trainings of a fit: all proportions a little, the better ones further, the best with several seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Protocol

import numpy as np

from allometry.arch import Network, digest
from allometry.base import Progress
from allometry.base.files import append_line, read_lines
from allometry.cost import count
from allometry.pipeline.arms import Arm, ArmResult
from allometry.search import Right

FILE = "trainings.jsonl"


class Trainer(Protocol):
    """Trains networks, here or elsewhere."""

    slots: int

    def train(self, arm: Arm) -> Future[ArmResult]:
        """Begin with one."""


@dataclass(frozen=True, slots=True)
class Trainings:
    """Trainings that are remembered: none is done twice, also by a later process.

    Attributes:
        trainer: does them.
        folder: of the fit; a line for each training in its `trainings.jsonl`.
        charge: told of what each training added: a name, seconds, images.
        progress: is told how far it is.
    """

    trainer: Trainer
    folder: Path
    charge: Callable[[str, float, int], None]
    progress: Progress

    def __call__(self, arms: Sequence[Arm], *, label: str) -> list[ArmResult]:
        """Train these, and give the results in their order.

        Raises:
            Stopped: the user asked for it.
            AllometryError: one of them could not be trained.
        """
        known = self._known()
        for arm in arms:
            if _key(arm) in known:  # a kill may have come before it was charged; nothing is charged twice
                self._charge(arm, known)
        left = [arm for arm in dict.fromkeys(arms) if _key(arm) not in known]
        show = self.trainer.slots > 1
        if show:
            self.progress.start(label, len(arms), len(arms) - len(left), unit="trainings")
        try:
            futures: dict[Future[ArmResult], Arm] = {}
            for arm in left:
                future = self.trainer.train(arm)
                futures[future] = arm
                if future.done():  # one after the other, in this process: written down at once
                    self._keep(futures.pop(future), future.result(), known)
            for future in as_completed(futures):
                self._keep(futures[future], future.result(), known)
                if show:
                    self.progress.advance(1)
        finally:
            if show:
                self.progress.stop()
        return [known[_key(arm)] for arm in arms]

    def _keep(self, arm: Arm, result: ArmResult, known: dict[str, ArmResult]) -> None:
        key = _key(arm)
        line = {"key": key, "training": _training(arm), "macs": count(arm.network).macs, **asdict(result)}
        append_line(self.folder / FILE, line)
        known[key] = result
        self._charge(arm, known)

    def _charge(self, arm: Arm, known: dict[str, ArmResult]) -> None:
        result, before = known[_key(arm)], self._before(arm, known)
        self.charge(
            f"{arm.network.name}, seed {arm.seed}, to epoch {arm.until}",
            result.seconds - (before.seconds if before else 0.0),
            result.images - (before.images if before else 0),
        )

    def _before(self, arm: Arm, known: dict[str, ArmResult]) -> ArmResult | None:
        """The same training when it had come less far."""
        earlier = (known.get(f"{_training(arm)} {epoch}") for epoch in range(arm.until - 1, 0, -1))
        return next((each for each in earlier if each is not None), None)

    def _known(self) -> dict[str, ArmResult]:
        lines = read_lines(self.folder / FILE)
        names = [field.name for field in fields(ArmResult)]
        return {
            line["key"]: ArmResult(**{name: line[name] for name in names if name in line}) for line in lines
        }


def arms_of(networks: Sequence[Network], seeds: Sequence[int], until: int) -> list[Arm]:
    """Each network with each seed.

    Example:
        >>> from allometry.zoo import get
        >>> len(arms_of([get("efficientnet-b0")], [0, 1], until=2))
        2
    """
    return [Arm(network=network, seed=seed, until=until) for network in networks for seed in seeds]


def right_of(results: Sequence[ArmResult], images: int) -> Right:
    """Which images each of these had right, [trainings, images]."""
    packed = [np.frombuffer(bytes.fromhex(result.right), np.uint8) for result in results]
    return np.stack([np.unpackbits(each, count=images).astype(bool) for each in packed])


def trained_macs(folder: Path) -> float:
    """MACs of all passes over images in the trainings of a fit; those that went on count once."""
    furthest: dict[str, float] = {}
    for line in read_lines(folder / FILE):
        furthest[line["training"]] = max(furthest.get(line["training"], 0.0), line["images"] * line["macs"])
    return sum(furthest.values())


def _training(arm: Arm) -> str:
    return f"{digest(arm.network)[:16]} {arm.seed}"


def _key(arm: Arm) -> str:
    return f"{_training(arm)} {arm.until}"
