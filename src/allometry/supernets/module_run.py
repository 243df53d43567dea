"""The supernet of a torch module in its run folder: what was asked for, its recipe, its weights to start from."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from allometry.arch import ModuleSpace
from allometry.base import InputError
from allometry.base.text import first_few
from allometry.data import Dataset, Normalization, data_argument
from allometry.nn import (
    Conventions,
    ModuleElasticity,
    input_channels,
    module_space,
    open_module,
    save_weights,
    timm_config,
)
from allometry.runs.files import PRETRAINED, SPACE
from allometry.supernets.config import SupernetConfig
from allometry.supernets.module_task import ModuleSupernetJob, refuse_coupled
from allometry.training import Recipe, load_weights
from allometry.training.images import Images
from allometry.training.job import digest_of
from allometry.training.pretrained import RESOLUTION, for_channels, load_module_weights
from allometry.training.recipes.settings import Setting, setting_texts
from allometry.training.recipes.small import small_for
from allometry.training.recipes.specs import check_settings
from allometry.training.session import Session

_REASONS = 3  # that are told
_OF_NETWORKS = (
    "dropout", "stochastic_depth", "batch_norm_momentum", "residual_scale", "head_epochs", "layer_decay",
    "progressive.dropout", "execution.recompute", "execution.compile", "execution.memory",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleRequest:
    """What the training of a module's supernet was asked for.

    Attributes:
        module: as it begins; it is the supernet's from now on.
        factory: that gives it, `package.module:factory` or `timm:NAME`; None for a module that was given as a value,
            whose own weights are then what is started from.
        resolution: of the largest images, in pixels; None for what the module says, or 224.
        elasticity: how much of it is left open.
        data: the images, by their name or value.
        config: the phases.
        settings: changes to the recipe: `key=value`, or a loss.
        start: trained weights with the module's own names, a file or `hf://owner/name`; None for what it begins with.

    Raises:
        InputError: a setting is wrong, or width shall follow depth.
    """

    module: nn.Module
    factory: str | None
    resolution: int | None
    elasticity: ModuleElasticity
    data: Dataset | str
    config: SupernetConfig
    settings: tuple[Setting, ...]
    start: str | None = None

    def __post_init__(self) -> None:
        if self.resolution is not None and self.resolution < 1:
            raise InputError(f"resolution must be at least 1, not {self.resolution!r}.")
        refuse_coupled(self.config.coupled)
        check_settings(self.settings)

    @property
    def called(self) -> str:
        """The name of its factory, or of its class."""
        return self.factory or type(self.module).__name__

    def arguments(self) -> dict[str, Any]:
        """What decides the result, as the run folder remembers it."""
        elasticity = asdict(self.elasticity)
        return {
            "module": self.factory or f"{self.called}@{digest_of(self.module.state_dict())[:32]}",
            "resolution": self.resolution,
            **{
                name: list(value) if isinstance(value, tuple) else value for name, value in elasticity.items()
            },
            "data": data_argument(self.data),
            "settings": setting_texts(self.settings),
            "plan": self.config.plan,
            "epochs": self.config.epochs,
            "coupled": False,
            **({} if self.start is None else {"start": self.start}),
        }


def module_job(session: Session, request: ModuleRequest, images: Images) -> ModuleSupernetJob:
    """The training that was asked for; the module is looked at once, and its space kept in the folder.

    Raises:
        InputError: module, weights, phases or settings do not fit the images or each other.
    """
    module = request.module
    known = Conventions(**timm_config(module))
    channels = input_channels(module) or images.dataset.channels
    _refuse_other_channels(request.called, channels, images.dataset)
    start = _weights_to_start_from(session, request)
    if start is not None:
        mean, std = for_channels(known.mean, channels), for_channels(known.std, channels)
        images = replace(images, normal=Normalization(mean, std))
    recipe = module_recipe(images, request.settings)
    if kept := session.run.kept(SPACE):  # it goes on with what it began with
        space = ModuleSpace.load(kept)
    else:
        session.progress.say(f"looking at {request.called}")
        space = module_space(
            module,
            resolution=request.resolution or known.resolution or RESOLUTION,
            in_channels=channels,
            name=request.called,
            elasticity=request.elasticity,
        )
    for line in _open_and_kept(space):
        session.progress.say(line)
    return ModuleSupernetJob(
        space=space,
        module=module,
        dataset=images.dataset,
        preprocessing=images.preprocessing(space.largest(), recipe),
        recipe=recipe,
        phases=request.config.phases(space, recipe),
        folder=session.run.path,
        start=start,
        seed=session.seed,
        device=session.device,
        dist=session.dist,
        progress=session.progress,
        should_stop=session.should_stop,
        callbacks=session.callbacks,
    )


def _open_and_kept(space: ModuleSpace) -> Iterator[str]:
    """What is open in a module, and some of what stays; `space.json` has all of it."""
    for dimension, what in (
        ("depth", "depth"),
        ("width", "width inside of blocks"),
        ("channels", "channels"),
    ):
        names = [
            choice.name.removesuffix(f" {dimension}")
            for choice in space.choices
            if choice.dimension == dimension
        ]
        if names:
            yield f"open: {what}: {first_few(names)}"
    yield f"open: images: {', '.join(map(str, space.resolutions))} px"
    for reason in space.kept[:_REASONS]:
        yield f"stays: {reason}"


def _weights_to_start_from(session: Session, request: ModuleRequest) -> Mapping[str, Tensor] | None:
    """Trained weights, of which the folder keeps a copy, or those of a module that was given as a value."""
    if request.start is None:
        return None if request.factory else request.module.state_dict()
    if session.run.kept(PRETRAINED) is None:
        loaded = load_module_weights(copy.deepcopy(request.module), request.called, request.start)
        save_weights(session.run.path / PRETRAINED, loaded.state_dict())
    return load_weights(session.run.path / PRETRAINED)


def fresh_module(name: str, *, seed: int) -> nn.Module:
    """The module that a factory gives, with the same weights for the same seed where PyTorch draws them.

    Raises:
        InputError: there is no such factory.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return open_module(name)


def _refuse_other_channels(name: str, channels: int, dataset: Dataset) -> None:
    if channels != dataset.channels:
        raise InputError(
            f"{name} takes images of {channels} channels, and these have {dataset.channels}: let its factory make a "
            "module for those."
        )


def module_recipe(images: Images, settings: tuple[Setting, ...]) -> Recipe:
    """The recipe of a module, with the user's changes; what a module drops, and how it begins, is its own.

    Raises:
        InputError: a setting is of networks that are data.
    """
    small = small_for(len(images.dataset.splits["train"]), drawings=images.drawn)
    plain = replace(small, dropout=None, stochastic_depth=None, batch_norm_momentum=None, residual_scale=1.0)
    recipe = images.changed(plain, settings)
    before, after = plain.to_dict(), recipe.to_dict()
    for name in _OF_NETWORKS:
        if before[name] != after[name]:
            raise InputError(
                f"The setting {name} is of networks that are data: what a torch module does about it is in its own "
                "code. Leave it out."
            )
    return recipe


__all__ = [
    "ModuleRequest",
    "fresh_module",
    "module_job",
    "module_recipe",
]
