"""What must be right besides the numbers: padding, the constant of batch norm, and how images become inputs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any

from allometry.arch import Network, Padding
from allometry.arch.checks import LARGEST
from allometry.base import WeightsError
from allometry.base.checks import is_number
from allometry.base.decoding import Bounds, Positive, decode
from allometry.base.reading import UnreadableError, parse_json

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_OWN = "allometry"

_DEEPEST = 2**16 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Conventions:
    """What published weights expect of the network and of its input.

    Attributes:
        padding: of convolutions; None for the network's.
        epsilon: of batch norm; None for the network's.
        counts_padding: whether mean pools count the zeros of their padding; None for the network's.
        resolution: side of the input in pixels; None for the network's.
        mean: per channel, on the scale 0 to 1.
        std: per channel, on the scale 0 to 1.
        crop: fraction of the shorter side that the view shows.
        classes: names of the outputs, in order; empty where the file does not tell.
        levels: of images with 16 bits, which values are black and white; None for 0 and 65,535.

    Source: the released code of each layout's authors.

    Example:
        >>> Conventions(padding="same").mean
        (0.485, 0.456, 0.406)
    """

    padding: Padding | None = None
    epsilon: Positive | None = None
    counts_padding: bool | None = None
    resolution: Annotated[int, Bounds(least=1, most=LARGEST)] | None = None
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    crop: float = 0.875
    classes: tuple[str, ...] = ()
    levels: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if not all(is_number(value) for value in (*self.mean, *self.std)):
            raise WeightsError(f"Mean and deviation must be numbers, not {self.mean} and {self.std}.")
        if not self.mean or len(self.mean) != len(self.std) or min(self.std) <= 0:
            raise WeightsError(
                f"There must be one mean and one deviation above 0 a channel, not {self.mean} and {self.std}."
            )
        if not is_number(self.crop) or not 0 < self.crop <= 1:
            raise WeightsError(f"The crop must be a fraction above 0 and at most 1, not {self.crop!r}.")
        if self.levels is not None and not 0 <= self.levels[0] < self.levels[1] <= _DEEPEST:
            raise WeightsError(f"Black and white must be values of 16 bits, not {self.levels}.")

    def applied_to(self, network: Network) -> Network:
        """The network with these conventions."""
        epsilon = network.batch_norm.epsilon if self.epsilon is None else self.epsilon
        stages = network.stages
        if self.counts_padding is not None:
            stages = tuple(
                replace(stage, block=stage.block.adapted(counts_padding=self.counts_padding))
                for stage in stages
            )
        return replace(
            network,
            stages=stages,
            padding=self.padding or network.padding,
            batch_norm=replace(network.batch_norm, epsilon=epsilon),
            resolution=self.resolution or network.resolution,
        )


def from_metadata(metadata: Mapping[str, str], where: object) -> Conventions | None:
    """The conventions that one of our own files carries, or None where it carries none.

    Raises:
        WeightsError: they are there and cannot be read.
    """
    if _OWN not in metadata:
        return None
    try:
        return decode(Conventions, parse_json(metadata[_OWN]))
    except UnreadableError as error:
        raise WeightsError(f"{where} does not say how images become its input: {error}.") from error


def to_metadata(conventions: Conventions) -> dict[str, str]:
    """The conventions as a file of weights carries them.

    Example:
        >>> from_metadata(to_metadata(Conventions(crop=1.0)), "x").crop
        1.0
    """
    fields = asdict(conventions)
    if conventions.levels is None:
        del fields["levels"]
    return {_OWN: json.dumps(fields)}


def from_hub(config: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that a hub's `config.json` of timm says, by the names of `Conventions`.

    Raises:
        WeightsError: a field is there and cannot be read.

    Example:
        >>> from_hub({"pretrained_cfg": {"input_size": [3, 240, 240], "crop_pct": 1.0}})
        {'resolution': 240, 'crop': 1.0}
        >>> from_hub({"input_size": [3, 224, 224], "test_input_size": [3, 288, 288], "test_crop_pct": 0.95})
        {'resolution': 288, 'crop': 0.95}
    """
    pretrained_cfg = config.get("pretrained_cfg", config)
    pretrained_cfg = pretrained_cfg if isinstance(pretrained_cfg, Mapping) else {}
    try:
        return _fields(config, pretrained_cfg)
    except (ValueError, TypeError, LookupError) as error:
        raise WeightsError(
            f"The hub's config.json does not say how images become inputs: {error}."
        ) from error


def _fields(config: Mapping[str, Any], pretrained_cfg: Mapping[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    # Where timm tested at another size than it trained at, its published accuracy is that of the test.
    size = pretrained_cfg.get("test_input_size") or pretrained_cfg.get("input_size")
    crop = pretrained_cfg.get("test_crop_pct") or pretrained_cfg.get("crop_pct")
    if size:
        fields["resolution"] = int(size[-1])
    if crop:
        fields["crop"] = float(crop)
    for field in ("mean", "std"):
        if pretrained_cfg.get(field):
            fields[field] = tuple(float(value) for value in pretrained_cfg[field])
    names = config.get("label_names") or pretrained_cfg.get("label_names")
    if names:
        fields["classes"] = tuple(str(name) for name in names)
    return fields
