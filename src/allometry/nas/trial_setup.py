"""What the short trainings of a search or a fit share: their images, recipe, folder and threads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from allometry.arch import Network, digest
from allometry.base import Progress
from allometry.nas.trials import Halving
from allometry.training import Job, Recipe, at_full_size, small
from allometry.training.devices import resolve_device
from allometry.training.images import Images

TRIAL_SHARE = 8  # a trial has an eighth of a full training's epochs
FEWEST_EPOCHS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialConfig:
    """What all trials of a search share; whoever has it and the images comes to the same results.

    Attributes:
        data: the images, as `open_data` takes them.
        seed: of weights, order and augmentation.
        device: a name, or None for a GPU if there is one.
        settings: changes to the recipe.
        epochs: of a trial that is not stopped; 0 for an eighth of a full training's.
        objectives: as they are written.
        halving: when a trial is stopped.
        threads: of a trial's arithmetic.
    """

    data: str
    seed: int
    device: str | None
    settings: tuple[str, ...]
    epochs: int
    objectives: tuple[str, ...]
    halving: Halving
    threads: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> TrialConfig:
        """Read what `to_dict` gave."""
        halving = Halving(**{**fields["halving"], "rungs": tuple(fields["halving"]["rungs"])})
        lists = {name: tuple(fields[name]) for name in ("settings", "objectives")}
        return cls(**{**fields, **lists, "halving": halving})


def trial_recipe(images: Images, network: Network, settings: Sequence[str], epochs: int = 0) -> Recipe:
    """The recipe of a short training.

    Trials see images of their full size throughout: smaller ones would favor networks that need fewer pixels.

    Args:
        images: to learn from.
        network: what is trained.
        settings: changes to the recipe.
        epochs: 0 for an eighth of a full training's, two at least.
    """
    recipe = images.recipe(small, network, settings)
    short = epochs or max(FEWEST_EPOCHS, round(recipe.epochs / TRIAL_SHARE))
    return at_full_size(replace(recipe, epochs=short, head_epochs=0))


def trial_folder(folder: Path, network: Network, seed: int) -> Path:
    """Where a trial is trained, below the folder of its search."""
    return folder / "trials" / f"{digest(network)[:12]}-{seed}"


def trial_job(
    network: Network, images: Images, settings: TrialConfig, *, folder: Path, progress: Progress
) -> Job:
    """The training of a network with the settings that all trials share.

    Args:
        network: what is trained.
        images: to learn from, and to be judged on: the validation split.
        settings: of all trials.
        folder: of their search.
        progress: is told how it goes.
    """
    recipe = trial_recipe(images, network, settings.settings, settings.epochs)
    return Job(
        network=network,
        dataset=images.dataset,
        preprocessing=images.preprocessing(network, recipe),
        recipe=recipe,
        folder=trial_folder(folder, network, settings.seed),
        seed=settings.seed,
        device=resolve_device(settings.device),
        progress=progress,
    )


@contextmanager
def threads(number: int) -> Iterator[None]:
    """With so many threads for torch's arithmetic."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
