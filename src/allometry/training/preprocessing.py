"""From a batch of bytes to the network's input."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from allometry.base import RunFolderError
from allometry.base.decoding import Bounds, Positive, decode
from allometry.base.files import read_json, write_json
from allometry.base.reading import UnreadableError
from allometry.data import side_to_keep


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """What must happen to an image before the network sees it; it travels with the weights.

    Attributes:
        channels: 3 for color, 1 for gray.
        resolution: side of the input in pixels.
        crop: fraction of the shorter side that the view shows.
        mean: per channel, on the scale 0 to 1.
        std: per channel, on the scale 0 to 1.
        classes: what the network's outputs stand for, in order.
        thresholds: of an image with several labels, from which probability on it has each; None for one label.
        levels: of images with 16 bits, which values are black and white; None for 0 and 65,535.

    Example:
        >>> Preprocessing(
        ...     channels=1, resolution=32, crop=1.0, mean=(0.5,), std=(0.25,), classes=("cat", "dog")
        ... ).resolution
        32
    """

    channels: Annotated[int, Bounds(least=1)]
    resolution: Annotated[int, Bounds(least=1)]
    crop: Annotated[float, Bounds(above=0, most=1)]
    mean: tuple[float, ...]
    std: tuple[Positive, ...]
    classes: tuple[str, ...]
    thresholds: tuple[float, ...] | None = None
    levels: tuple[int, int] | None = None

    @property
    def kept_side(self) -> int:
        """The shorter side to which an image is shrunk as it is read, before the view is cut out."""
        return side_to_keep(self.resolution / self.crop)

    @property
    def multi_label(self) -> bool:
        """Whether an image may have several labels, or none."""
        return self.thresholds is not None

    def probabilities(self, logits: Tensor) -> Tensor:
        """What the network's outputs say, from 0 to 1: of one label, or of each of several by itself.

        Shape:
            [N, classes] -> [N, classes]

        Example:
            >>> fields = {"channels": 1, "resolution": 8, "crop": 1.0, "mean": (0.5,), "std": (0.5,)}
            >>> both = Preprocessing(**fields, classes=("a", "b"), thresholds=(0.5, 0.4))
            >>> both.probabilities(torch.zeros(1, 2)).tolist()
            [[0.5, 0.5]]
        """
        return logits.sigmoid() if self.multi_label else logits.softmax(1)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values; thresholds and levels only where there are some."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def save(self, path: Path) -> None:
        """Write it as JSON, in one step."""
        write_json(path, self.to_dict())

    @classmethod
    def load(cls, path: Path) -> Preprocessing:
        """Read it from JSON.

        Raises:
            RunFolderError: the file is missing or damaged.
        """
        plain = read_json(path)
        try:
            read = decode(cls, plain)
            _refuse_mismatch(read)
        except UnreadableError as error:
            raise RunFolderError(
                f"{path} does not describe a preprocessing ({error}); put a copy in its place, or train the run again."
            ) from error
        return read


def _refuse_mismatch(read: Preprocessing) -> None:
    """Refuse fields that do not go together."""
    for name, values, expected in (
        ("mean", read.mean, read.channels),
        ("std", read.std, read.channels),
        ("thresholds", read.thresholds, len(read.classes)),
    ):
        if values is not None and len(values) != expected:
            raise UnreadableError(f"field {name!r} has {len(values)} values instead of {expected}")
    if not read.classes:
        raise UnreadableError("field 'classes' names none")
    if read.levels is not None and not 0 <= read.levels[0] < read.levels[1] < 2**16:
        raise UnreadableError(f"field 'levels' is no range, but {read.levels}")


def to_input(images: np.ndarray, preprocessing: Preprocessing, device: torch.device) -> Tensor:
    """Normalize a batch on the device.

    Shape:
        uint8 [N, H, W, C] -> float32 [N, C, H, W], channels last in memory

    Example:
        >>> gray = Preprocessing(
        ...     channels=1, resolution=2, crop=1.0, mean=(0.5,), std=(0.5,), classes=("a", "b")
        ... )
        >>> to_input(np.full((1, 2, 2, 1), 255, np.uint8), gray, torch.device("cpu")).flatten().tolist()
        [1.0, 1.0, 1.0, 1.0]
    """
    return normalize(to_pixels(images, device), preprocessing)


def to_pixels(images: np.ndarray, device: torch.device) -> Tensor:
    """The pixels of a batch on the device, from 0 to 255.

    Shape:
        uint8 [N, H, W, C] -> float32 [N, C, H, W], channels last in memory

    Example:
        >>> pixels = to_pixels(np.full((1, 4, 6, 3), 255, np.uint8), torch.device("cpu"))
        >>> pixels.shape, pixels.max().item()
        (torch.Size([1, 3, 4, 6]), 255.0)
    """
    return torch.from_numpy(images).to(device, non_blocking=True).permute(0, 3, 1, 2).float()


def normalize(pixels: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Pixels from 0 to 255 as the network wants them, in place.

    Shape:
        [N, C, H, W] -> the same tensor

    Example:
        >>> gray = Preprocessing(
        ...     channels=1, resolution=1, crop=1.0, mean=(0.5,), std=(0.25,), classes=("a", "b")
        ... )
        >>> normalize(torch.tensor([0.0, 255.0]).view(2, 1, 1, 1), gray).flatten().tolist()
        [-2.0, 2.0]
    """
    mean = torch.tensor(preprocessing.mean, device=pixels.device).view(1, -1, 1, 1) * 255
    std = torch.tensor(preprocessing.std, device=pixels.device).view(1, -1, 1, 1) * 255
    return pixels.sub_(mean).div_(std)
