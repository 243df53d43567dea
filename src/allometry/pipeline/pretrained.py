"""Networks with published weights, ready to predict with or to train on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from allometry.arch import Network, form
from allometry.base import InputError, WeightsError
from allometry.nn import (
    Conventions,
    Pretrained,
    imagenet_classes,
    load_pretrained,
    open_module,
    read_weights,
    save_pretrained,
    timm_config,
    watch_module,
)
from allometry.nn.pretrained.files import some
from allometry.pipeline.common import Session
from allometry.pipeline.finished import open_finished
from allometry.pipeline.using import Answer, answer_images
from allometry.train import Preprocessing
from allometry.train.engine.loop import FINAL
from allometry.zoo import find as find_network
from allometry.zoo import has_own_resolution, names_module

_KEPT = "pretrained.safetensors"
_RESOLUTION = 224


@dataclass(frozen=True, slots=True)
class Ready:
    """A network with weights, and how pictures become its input.

    Attributes:
        module: in evaluation mode, on the CPU.
        preprocessing: of its input, with the names of its classes.
    """

    module: nn.Module
    preprocessing: Preprocessing


def predict_pretrained(
    network: str, weights: str, images: Sequence[Path], *, top: int = 5, crop: float | None = None
) -> tuple[Answer, ...]:
    """The most probable classes of some image files, by a network with published weights.

    Args:
        network: a name of the zoo, a network's JSON file, `timm:NAME` or `package.module:factory`.
        weights: a file, `hf://owner/name`, or a run folder.
        images: files of any kind that training takes.
        top: how many classes for each.
        crop: share of the shorter side that the view shows; by default what the weights expect.

    Raises:
        InputError: network, weights or crop are wrong.
        DataError: an image is missing or unreadable.
    """
    if crop is not None and not 0 < crop <= 1:
        raise InputError(f"The crop must be a share above 0 and at most 1, not {crop:g}.")
    ready = open_pretrained(network, weights)
    asked = ready.preprocessing if crop is None else replace(ready.preprocessing, crop=crop)
    return answer_images(ready.module, asked, images, top=top)


def open_pretrained(network: str, weights: str) -> Ready:
    """Put published weights into a network.

    Args:
        network: as in `predict_pretrained`.
        weights: as in `predict_pretrained`.

    Raises:
        InputError: network or weights are wrong.
    """
    if names_module(network):
        return _open_module(network, weights)
    loaded = _load(find_network(network), weights)
    made = loaded.network
    asked = _preprocessing(
        loaded.conventions,
        channels=made.in_channels,
        resolution=made.resolution,
        outputs=made.head.classes,
    )
    return Ready(loaded.module, asked)


def start_from(session: Session, network: str, weights: str, *, classes: int, in_channels: int) -> Pretrained:
    """The weights that a training starts from, for its classes and channels.

    They are kept in the run folder: a training that goes on needs neither the file nor the hub again.

    Raises:
        InputError: network or weights are wrong.
        StorageError: the folder cannot be written.
    """
    asked, kept = find_network(network), session.run.path / _KEPT
    if not kept.exists():
        loaded = _load(asked, weights, classes=classes, in_channels=in_channels, seed=session.seed)
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
    return load_pretrained(asked, kept)


def _load(
    network: Network,
    weights: str,
    *,
    classes: int | None = None,
    in_channels: int | None = None,
    seed: int = 0,
) -> Pretrained:
    if not Path(weights).is_dir():
        return load_pretrained(network, weights, classes=classes, in_channels=in_channels, seed=seed)
    run = open_finished(Path(weights))
    if form(run.network) != form(network):
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
    asked = run.preprocessing
    same = loaded.network.head.classes == len(asked.classes)
    return replace(
        loaded,
        conventions=replace(
            loaded.conventions,
            mean=asked.mean,
            std=asked.std,
            crop=asked.crop,
            classes=asked.classes if same else (),
        ),
    )


def _open_module(network: str, weights: str) -> Ready:
    """A torch module that is not ours takes its own names only."""
    module, tensors = open_module(network), read_weights(weights).tensors
    wanted = {name for name in module.state_dict() if not name.endswith("num_batches_tracked")}
    wrong = sorted(wanted ^ {name for name in tensors if not name.endswith("num_batches_tracked")})
    if wrong:
        raise WeightsError(f"{weights} does not hold the weights of {network}: {some(wrong)} not in both.")
    try:
        module.load_state_dict({**module.state_dict(), **tensors})
    except RuntimeError as error:
        raise WeightsError(f"{weights} holds tensors of other shapes than {network} has.") from error
    known = Conventions(**timm_config(module))
    resolution, channels = known.resolution or _RESOLUTION, len(known.mean)
    outputs = watch_module(module, resolution=resolution, in_channels=channels).outputs
    if not known.classes and outputs == len(imagenet_classes()):
        known = replace(known, classes=imagenet_classes())
    asked = _preprocessing(known, channels=channels, resolution=resolution, outputs=outputs)
    return Ready(module.eval(), asked)


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
    )
