"""Networks with weights: published ones, and those of finished runs, ready to predict with or to train on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from allometry.arch import Network, load, weight_signature
from allometry.base import InputError, RunFolderError, WeightsError
from allometry.base.reading import is_folder
from allometry.base.text import first_few
from allometry.catalog import as_network, has_own_resolution, names_module
from allometry.nn import (
    Conventions,
    ConvNet,
    Pretrained,
    build,
    imagenet_classes,
    input_channels,
    load_pretrained,
    open_module,
    read_weights,
    save_pretrained,
    timm_config,
    watch_module,
)
from allometry.nn.pretrained.checkpoints import without_prefixes
from allometry.runs.files import MODULE_PLAN, NETWORK, PHASES, PREPROCESSING, PRETRAINED
from allometry.runs.folder import RunFolder, find_run
from allometry.training.checkpoint import load_weights
from allometry.training.preprocessing import Preprocessing
from allometry.training.session import Session
from allometry.training.task import FINAL

RESOLUTION = 224
"""Of modules that do not tell theirs, in pixels."""


@dataclass(frozen=True, slots=True)
class Classifier:
    """A network with weights, and how images become its input.

    Attributes:
        module: in evaluation mode, on the CPU.
        preprocessing: of its input, with the names of its classes.
    """

    module: nn.Module
    preprocessing: Preprocessing


def open_pretrained(network: Network | str | Path, weights: str) -> Classifier:
    """Put published weights into a network.

    Args:
        network: a network, a name of the zoo, a network's JSON file, `timm:NAME` or `package.module:factory`.
        weights: a file, `hf://owner/name`, or a run folder.

    Raises:
        InputError: network or weights are wrong.
    """
    if isinstance(network, str) and names_module(network):
        return _open_module(network, weights)
    loaded = _load(as_network(network), weights)
    made = loaded.network
    preprocessing = _preprocessing(
        loaded.conventions,
        channels=made.in_channels,
        resolution=made.resolution,
        outputs=made.head.classes,
    )
    return Classifier(loaded.module, preprocessing)


def start_from(
    session: Session, network: Network | str, weights: str, *, classes: int, in_channels: int
) -> Pretrained:
    """The weights that a training starts from, for its classes and channels.

    They are kept in the run folder: a training that goes on needs neither the file nor the hub again.

    Raises:
        InputError: network or weights are wrong.
        StorageError: the folder cannot be written.
    """
    known, kept = as_network(network), session.run.path / PRETRAINED
    if session.run.kept(PRETRAINED) is None:
        loaded = _load(known, weights, classes=classes, in_channels=in_channels, seed=session.seed)
        session.progress.say(f"weights: {weights}, by the names of {loaded.layout}")
        for change in loaded.changes:
            session.progress.say(change)
        made = loaded.network
        settled = replace(
            loaded.conventions,
            padding=made.padding,
            epsilon=made.batch_norm.epsilon,
            resolution=made.resolution,
        )
        save_pretrained(loaded.module, kept, settled)
    return load_pretrained(known, kept)


def _load(
    network: Network,
    weights: str,
    *,
    classes: int | None = None,
    in_channels: int | None = None,
    seed: int = 0,
) -> Pretrained:
    if not is_folder(weights):
        return load_pretrained(network, weights, classes=classes, in_channels=in_channels, seed=seed)
    run = open_finished(Path(weights))
    if weight_signature(run.network) != weight_signature(network):
        raise WeightsError(
            f"{weights} does not hold the weights of {network.name}: it has {run.network.name}."
        )
    # Padding, batch norm and size as the run had them, but for a size that somebody asked for.
    known = run.network
    if has_own_resolution(network):
        known = replace(known, resolution=network.resolution)
    loaded = load_pretrained(
        known, run.folder.path / "checkpoints" / FINAL, classes=classes, in_channels=in_channels, seed=seed
    )
    preprocessing = run.preprocessing
    same = loaded.network.head.classes == len(preprocessing.classes)
    return replace(
        loaded,
        conventions=replace(
            loaded.conventions,
            mean=preprocessing.mean,
            std=preprocessing.std,
            crop=preprocessing.crop,
            classes=preprocessing.classes if same else (),
            levels=preprocessing.levels,
        ),
    )


def _open_module(network: str, weights: str) -> Classifier:
    """A torch module that is not ours takes its own names only."""
    module = load_module_weights(open_module(network), network, weights)
    known = module_conventions(module)
    resolution, channels = known.resolution or RESOLUTION, len(known.mean)
    outputs = watch_module(module, resolution=resolution, in_channels=channels).outputs
    if outputs is None:
        raise InputError(f"{network} gives several tensors for an image, not one number for each class.")
    if not known.classes and outputs == len(imagenet_classes()):
        known = replace(known, classes=imagenet_classes())
    preprocessing = _preprocessing(known, channels=channels, resolution=resolution, outputs=outputs)
    return Classifier(module.eval(), preprocessing)


def module_conventions(module: nn.Module, *, resolution: int | None = None) -> Conventions:
    """What a torch module expects of its input: what it tells, and what it runs on.

    Args:
        module: any.
        resolution: of its images; by default what it tells, or 224.

    Example:
        >>> len(module_conventions(nn.Conv2d(1, 8, 3)).mean)
        1
    """
    known = Conventions(**timm_config(module))
    channels, side = input_channels(module), resolution or known.resolution or RESOLUTION
    if channels is None or channels == len(known.mean):
        return known
    try:
        watch_module(module, resolution=side, in_channels=len(known.mean))
    except InputError:
        return replace(known, mean=for_channels(known.mean, channels), std=for_channels(known.std, channels))
    return known


def for_channels(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    """Values of color images as those of images with another number of channels: their mean in each.

    Example:
        >>> for_channels((0.25, 0.5, 0.75), 1)
        (0.5,)
    """
    return values if len(values) == channels else (sum(values) / len(values),) * channels


def load_module_weights(module: nn.Module, name: str, weights: str) -> nn.Module:
    """Put weights into a torch module, by its own names; in place.

    Args:
        module: as its factory gives it.
        name: of the factory, for messages.
        weights: a file, or `hf://owner/name`.

    Raises:
        WeightsError: they are not its; the message names what is not in both.
    """
    wanted = _without_counters(module.state_dict())
    named = [one.tensors for one in without_prefixes(read_weights(weights).tensors)]
    tensors = min(named, key=lambda tensors: len(wanted ^ _without_counters(tensors)))
    wrong = sorted(wanted ^ _without_counters(tensors))
    if wrong:
        raise WeightsError(f"{weights} does not hold the weights of {name}: {first_few(wrong)} not in both.")
    try:
        module.load_state_dict({**module.state_dict(), **tensors})
    except RuntimeError as error:
        raise WeightsError(f"{weights} holds tensors of other shapes than {name} has.") from error
    return module


def _without_counters(names: Iterable[str]) -> set[str]:
    """Names of weights, without batch norm's counters."""
    return {name for name in names if not name.endswith("num_batches_tracked")}


def _preprocessing(
    conventions: Conventions, *, channels: int, resolution: int, outputs: int
) -> Preprocessing:
    return Preprocessing(
        channels=channels,
        resolution=resolution,
        crop=conventions.crop,
        mean=conventions.mean,
        std=conventions.std,
        classes=conventions.classes or tuple(f"class {number}" for number in range(outputs)),
        levels=conventions.levels,
    )


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A trained network with what it needs to be used.

    Attributes:
        folder: of the run.
        network: the network as data.
        module: its trained module, in evaluation mode, on the CPU.
        preprocessing: how images become its input.
    """

    folder: RunFolder
    network: Network
    module: ConvNet
    preprocessing: Preprocessing

    @property
    def arguments(self) -> dict[str, Any]:
        """What the run was asked, `data` and `seed` among it."""
        return dict(self.folder.info.arguments)

    @property
    def seed(self) -> int:
        """The seed that its images were divided by."""
        return self.folder.info.seed


def open_finished(path: Path) -> FinishedRun:
    """Open a run folder whose training is finished.

    Raises:
        RunFolderError: there is no run, its training is not finished or leaves no single network, or a file is damaged.
    """
    folder = find_run(path)
    weights = path / "checkpoints" / FINAL
    if (path / MODULE_PLAN).exists():
        raise RunFolderError(
            f"{path} holds a torch module, which its own code makes: `apply_plan(make(), ModulePlan.load("
            f"{str(path / MODULE_PLAN)!r}))`, then `load_state_dict` of the weights beside it."
        )
    if not weights.exists():
        if folder.info.finished and (path / PHASES.name).exists():
            raise RunFolderError(
                f"{path} holds a supernet, no single network: take one out by `allometry supernet extract`, and give "
                "the folder that this makes."
            )
        raise RunFolderError(
            f"The training in {path} is not finished; run `allometry {folder.info.command}` with the same arguments "
            "to go on."
        )
    network = load(path / NETWORK)
    module = build(network)
    try:
        module.load_state_dict(load_weights(weights))
    except RuntimeError as error:
        raise RunFolderError(f"The weights {weights} are not those of {path / 'network.json'}.") from error
    preprocessing = Preprocessing.load(path / PREPROCESSING)
    ours = (network.head.classes, network.in_channels)
    if (len(preprocessing.classes), preprocessing.channels) != ours:
        raise RunFolderError(
            f"{path / PREPROCESSING} is not that of {path / NETWORK}: {len(preprocessing.classes)} classes and "
            f"{preprocessing.channels} channels, not {ours[0]} and {ours[1]}. Put a copy in its place."
        )
    return FinishedRun(folder, network, module.eval(), preprocessing)
