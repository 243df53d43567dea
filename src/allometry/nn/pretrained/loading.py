"""`load_pretrained`: published weights in one of our networks, ready to predict or to train on."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from allometry.arch import Network, Padding, weight_signature
from allometry.base import WeightsError
from allometry.catalog import has_own_resolution, recognize
from allometry.nn.build import ConvNet, build
from allometry.nn.pretrained import hub
from allometry.nn.pretrained.conventions import Conventions, from_hub, from_metadata, to_metadata
from allometry.nn.pretrained.files import read_weights, save_weights
from allometry.nn.pretrained.layouts import OWN
from allometry.nn.pretrained.matching import match
from allometry.nn.pretrained.published import conventions_of

_IMAGENET_CLASSES = 1000
_FORM = "allometry.form"
_GENERAL = "Nobody published weights of this network: padding, batch norm and normalization are those of {} in general."


@dataclass(frozen=True, slots=True)
class Pretrained:
    """A network with published weights.

    Attributes:
        network: with the padding, batch norm constant, resolution, classes and input channels that it has now.
        module: its module with the weights, in evaluation mode, on the CPU.
        conventions: how images become its input, and the names of its classes.
        layout: whose names the file had.
        changes: sentences on what is not the file's: a new classifier, a stem for other channels, conventions
            that had to be guessed.

    Example:
        >>> import tempfile
        >>> from allometry.arch import Head, MBConv, Stage
        >>> tiny = Network(stages=(Stage(block=MBConv(channels=8)),), head=Head(classes=2), resolution=8)
        >>> path = Path(tempfile.mkdtemp()) / "weights.safetensors"
        >>> save_pretrained(build(tiny), path, Conventions())
        >>> ours = load_pretrained(tiny, path)
        >>> ours.network == tiny, ours.layout, ours.changes
        (True, 'allometry', ())
    """

    network: Network
    module: ConvNet
    conventions: Conventions
    layout: str
    changes: tuple[str, ...]


def load_pretrained(
    network: Network,
    source: str | Path,
    *,
    classes: int | None = None,
    in_channels: int | None = None,
    padding: Padding | None = None,
    epsilon: float | None = None,
    seed: int = 0,
) -> Pretrained:
    """Read published weights of `network`.

    Everything is read and checked before anything is built: a file that does not fit leaves nothing behind.

    Args:
        network: of the zoo, or any other that the weights fit. One with another resolution than the zoo's keeps it.
        source: a file (safetensors, PyTorch's, or .npz of a TensorFlow checkpoint's arrays), or
            `hf://owner/name` (needs the extra `hub`).
        classes: of the task. Where the file has another number only the classifier is new; None for the
            file's.
        in_channels: of the images. For one channel the kernels of the stem are summed over the colors, so that a gray
            image gives what it gave in color; for others their mean is repeated and scaled.
        padding: instead of the convention that is known of the layout.
        epsilon: of batch norm, likewise.
        seed: of the new classifier's weights.

    Raises:
        WeightsError: the file is missing, damaged, holds code, is not finite, or is of another network.
        MissingExtraError: a hub is named and its extra is not installed.

    Example:
        >>> import tempfile
        >>> from allometry.catalog import get
        >>> path = Path(tempfile.mkdtemp()) / "weights.safetensors"
        >>> small = get("mobilenetv3-small")
        >>> save_pretrained(build(small, seed=1), path, Conventions())
        >>> ours = load_pretrained(small, path, classes=10)
        >>> ours.layout, ours.network.head.classes, ours.changes
        ('allometry', 10, ('The classifier is new: 10 classes instead of 1000.',))
    """
    path, name, config = Path(source), Path(source).name, dict[str, Any]()
    if str(source).startswith(hub.SCHEME):
        path, config, name = hub.fetch(str(source))
    raw = read_weights(path)
    state, layout, missing, notes = match(network, raw.tensors, where=source)
    if missing and classes is None:
        raise WeightsError(
            f"{source} has no head, but a backbone alone, which cannot tell classes; train it on images: "
            "`allometry train NETWORK --data IMAGES --pretrained FILE`."
        )
    if raw.metadata.get(_FORM, weight_signature(network)) != weight_signature(network):
        raise WeightsError(
            f"{source} does not hold the weights of {network.name or 'this network'}: the shapes are equal, but "
            "not the strides or activations."
        )
    own = from_metadata(raw.metadata, source)
    conventions = replace(own or conventions_of(network, layout, name=name), **from_hub(config))
    if has_own_resolution(network):
        conventions = replace(conventions, resolution=network.resolution)
    if padding is not None:
        conventions = replace(conventions, padding=padding)
    if epsilon is not None:
        conventions = replace(conventions, epsilon=epsilon)
    guessed = layout != OWN.name and not config and recognize(network) is None
    changes = (*raw.notes, *notes, *((_GENERAL.format(layout),) if guessed else ()))
    held = len(state.get("classifier.bias", ())) or network.head.classes
    network = replace(
        conventions.applied_to(network),
        head=replace(network.head, classes=held if classes is None else classes),
        in_channels=state["stem.0.weight"].shape[1] if in_channels is None else in_channels,
    )
    conventions = conventions if missing else _named(conventions, held, source)
    return _built(network, state, conventions, layout, seed, changes)


def _built(
    network: Network,
    state: dict[str, Tensor],
    conventions: Conventions,
    layout: str,
    seed: int,
    notes: tuple[str, ...],
) -> Pretrained:
    module, changes = build(network, seed=seed), list(notes)
    available, classes = len(state.get("classifier.bias", ())), network.head.classes
    if not available:
        changes.append(f"The head is new, since the file has none: {classes} classes.")
        conventions = replace(conventions, classes=())
    elif available != classes:
        changes.append(f"The classifier is new: {classes} classes instead of {available}.")
        conventions = replace(conventions, classes=())
        for name in ("classifier.weight", "classifier.bias"):
            state[name] = module.state_dict()[name]
    colors = state["stem.0.weight"].shape[1]
    if colors != network.in_channels:
        changes.append(f"The stem takes {_channels(network.in_channels)} instead of {colors}.")
        state["stem.0.weight"] = _for_channels(state["stem.0.weight"], network.in_channels)
        conventions = replace(
            conventions,
            mean=_for_all(conventions.mean, network.in_channels),
            std=_for_all(conventions.std, network.in_channels),
        )
    # Nothing is missing but a head: `match` has seen to it. What else is not in the file are batch norm's counters.
    module.load_state_dict({**module.state_dict(), **state})
    return Pretrained(network, module.eval(), conventions, layout, tuple(changes))


def save_pretrained(module: torch.nn.Module, path: str | Path, conventions: Conventions) -> None:
    """Write a module's weights as one safetensors file that says how images become its input.

    Of a module made by `build` it says the network's form, too: no other network will take it.

    Args:
        module: made by `build`, or any other.
        path: of the file.
        conventions: what comes along.

    Raises:
        StorageError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "weights.safetensors"
        >>> save_pretrained(torch.nn.Linear(2, 1), path, Conventions(crop=1.0))
        >>> sorted(read_weights(path).tensors)
        ['bias', 'weight']
    """
    network = getattr(module, "network", None)
    known = {} if network is None else {_FORM: weight_signature(network)}
    save_weights(Path(path), module, metadata={**to_metadata(conventions), **known})


def imagenet_classes() -> tuple[str, ...]:
    """The names of ImageNet's 1000 classes, in the order that networks have.

    Source: WordNet 3.0; the synsets of ILSVRC 2012.

    Example:
        >>> names = imagenet_classes()
        >>> len(names), names[0], names[281]
        (1000, 'tench', 'tabby')
    """
    text = files("allometry.nn.pretrained").joinpath("imagenet.txt").read_text(encoding="utf-8")
    return tuple(line for line in text.splitlines() if line and not line.startswith("#"))


def _named(conventions: Conventions, held: int, source: object) -> Conventions:
    if conventions.classes and len(conventions.classes) != held:
        raise WeightsError(f"{source} has {len(conventions.classes)} names for {held} classes.")
    if not conventions.classes and held == _IMAGENET_CLASSES:
        return replace(conventions, classes=imagenet_classes())
    return conventions


def _channels(number: int) -> str:
    return "1 channel" if number == 1 else f"{number} channels"


def _for_channels(kernels: Tensor, channels: int) -> Tensor:
    """The kernels of a stem for other input channels; an image whose channels are alike gives the same."""
    total = kernels.sum(1, keepdim=True)
    return total if channels == 1 else total.repeat(1, channels, 1, 1) / channels


def _for_all(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    mean = math.fsum(values) / len(values)
    return (mean,) * channels
