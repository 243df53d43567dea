"""Images that are in memory already, of whatever kind PyTorch's and Hugging Face's users have, as 8-bit pixels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from allometry.base import DataError
from allometry.data.images.jpeg import upright
from allometry.data.images.pixels import Pixels, shrink
from allometry.data.images.reading import (
    Decoded,
    Levels,
    UnreadableImageError,
    read_image,
    to_pixels,
)
from allometry.data.images.showing import has_deep_gray, orientation_of, show

_SLACK = 1e-3  # interpolation leaves floats a little outside 0 to 1
_CHANNELS = (1, 3, 4)
_KINDS = (
    "Possible: a PIL image, a uint8 array [height, width] or [height, width, channels], or a tensor [channels, height, "
    "width], uint8 or float from 0 to 1; 1 channel is gray, 3 are color"
)


def image_pixels(image: object, *, name: str = "the image", levels: Levels | None = None) -> Pixels:
    """One image as uint8 [height, width, channels], 1 channel for gray and 3 for color.

    What a file would look like: a PIL image is turned upright by its EXIF, and transparency is laid over white.

    Args:
        image: a PIL image; a uint8 array [height, width] or [height, width, channels]; a tensor [height, width],
            [channels, height, width] or [height, width, channels], uint8, or float from 0 to 1.
        name: what it is called in messages.
        levels: of a PIL image with 16 bits, which values are black and white; None for 0 and 65,535.

    Raises:
        DataError: it is none of these.

    Example:
        >>> image_pixels(Image.new("RGB", (6, 4))).shape, image_pixels(np.zeros((4, 6), np.uint8)).shape
        ((4, 6, 3), (4, 6, 1))
        >>> image_pixels(np.zeros((4, 6, 3)))
        Traceback (most recent call last):
            ...
        allometry.base.errors.DataError: the image is a float64 array [4, 6, 3]. Possible: a PIL image, a uint8 ...
    """
    return decode_value(image, name=name, levels=levels).image


def decode_value(image: object, *, name: str, levels: Levels | None = None, exact: bool = False) -> Decoded:
    """One image that is in memory, as a file would be decoded; see `image_pixels` and `decode`."""
    if isinstance(image, Image.Image):
        return _of_pil(image, name, levels, exact=exact)
    pixels = _plain_pixels(image, name)
    return Decoded(pixels, *pixels.shape[:2])


def _plain_pixels(image: object, name: str) -> Pixels:
    if is_tensor(image):
        return _of_array(channels_last(tensor_pixels(image, name)), image, name)
    if isinstance(image, np.ndarray) and image.dtype == np.uint8:
        return _of_array(image, image, name)
    raise _refused(image, name)


def is_tensor(value: object) -> bool:
    """Whether this is a tensor of PyTorch, which is not loaded to find out."""
    return any(kind.__module__ == "torch" and kind.__name__ == "Tensor" for kind in type(value).__mro__)


def tensor_pixels(tensor: Any, name: str) -> npt.NDArray[np.uint8]:  # noqa: ANN401 - torch is not loaded here
    """A tensor, uint8 or float from 0 to 1, as a uint8 array of the same shape.

    Raises:
        DataError: it is of another kind, or its values lie elsewhere.
    """
    array: npt.NDArray[Any] = tensor.detach().cpu().numpy()
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind != "f" or not array.size:
        raise _refused(tensor, name)
    lowest, highest = float(array.min()), float(array.max())
    if not (lowest >= -_SLACK and highest <= 1 + _SLACK):
        raise DataError(
            f"{name} is a float tensor with values from {lowest:.3g} to {highest:.3g}, and pixels lie between 0 and 1. "
            "Give the images without normalization; the training normalizes them itself."
        )
    pixels: npt.NDArray[np.uint8] = np.clip(np.rint(array * 255), 0, 255).astype(np.uint8)
    return pixels


def channels_last(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Images of [..., channels, height, width] as [..., height, width, channels]; those that have that order stay.

    Example:
        >>> channels_last(np.zeros((3, 4, 6), np.uint8)).shape, channels_last(np.zeros((4, 6, 3), np.uint8)).shape
        ((4, 6, 3), (4, 6, 3))
    """
    if pixels.ndim >= 3 and pixels.shape[-3] in _CHANNELS and pixels.shape[-1] not in _CHANNELS:
        return np.ascontiguousarray(np.moveaxis(pixels, -3, -1))
    return pixels


def _of_array(pixels: npt.NDArray[np.uint8], value: object, name: str) -> Pixels:
    if pixels.ndim == 2 and pixels.size:
        return pixels[:, :, np.newaxis]
    if pixels.ndim == 3 and pixels.size and pixels.shape[2] in (1, 3):
        return pixels
    if pixels.ndim == 3 and pixels.size and pixels.shape[2] == 4:
        return _of_pil(Image.fromarray(pixels), name, None, exact=False).image
    raise _refused(value, name)


def _of_pil(image: Image.Image, name: str, levels: Levels | None, *, exact: bool) -> Decoded:
    if not (image.width and image.height):
        raise UnreadableImageError(name, f"it has no pixels ({image.width} x {image.height})")
    try:
        pixels, deep = show(image, levels=levels, exact=exact)
        orientation = orientation_of(image)
    except (OSError, ValueError) as error:  # of a file that Pillow has opened it reads the pixels only now
        raise UnreadableImageError(name, str(error).rstrip(".")) from error
    shown = upright(pixels[:, :, np.newaxis] if pixels.ndim == 2 else pixels, orientation)
    return Decoded(shown, shown.shape[0], shown.shape[1], deep)


def _refused(image: object, name: str) -> DataError:
    shape, dtype = getattr(image, "shape", None), getattr(image, "dtype", None)
    if shape is None or dtype is None:
        return DataError(f"{name} is of the type {type(image).__name__}. {_KINDS}.")
    kind = "tensor" if is_tensor(image) else "array"
    return DataError(f"{name} is a {str(dtype).removeprefix('torch.')} {kind} {list(shape)}. {_KINDS}.")


@dataclass(frozen=True, slots=True, eq=False)
class NamedImage:
    """An image file, or an image in memory.

    Attributes:
        name: of the file, or `image 0` and so on.
        source: the file; the pixels; or a PIL image whose 16 bits are still to be read.

    Example:
        >>> image = NamedImage("image 0", np.zeros((4, 6, 1), np.uint8))
        >>> image.pixels(channels=3).shape, image.pixels(channels=1, min_side=2).shape
        ((4, 6, 3), (2, 3, 1))
    """

    name: str
    source: Path | Pixels | Image.Image

    def pixels(self, *, channels: int, min_side: int | None = None, levels: Levels | None = None) -> Pixels:
        """The image as uint8 [height, width, channels], shrunk to a shorter side of `min_side` if larger.

        With `levels`, those are black and white where the image has 16 bits.

        Raises:
            DataError: the file is missing or unreadable.
        """
        if isinstance(self.source, Path):
            return read_image(self.source, channels=channels, min_side=min_side, levels=levels)
        known = self.source
        pixels = (
            known if isinstance(known, np.ndarray) else image_pixels(known, name=self.name, levels=levels)
        )
        return shrink(to_pixels(pixels, channels=channels), min_side)


def as_images(images: object) -> tuple[NamedImage, ...]:
    """The images that somebody means: one or many, files or values.

    Args:
        images: a file, a PIL image, an array or a tensor (see `image_pixels`); or an array [N, height, width] or
            [N, height, width, channels], a tensor [N, channels, height, width], or a sequence of images of any kind.

    Raises:
        DataError: there is none, or one is of another kind.

    Example:
        >>> [one.name for one in as_images(["cat.jpg", np.zeros((4, 6), np.uint8)])]
        ['cat.jpg', 'image 1']
        >>> len(as_images(np.zeros((5, 4, 6), np.uint8))), len(as_images(np.zeros((4, 6, 3), np.uint8)))
        (5, 1)
    """
    many: list[object]
    if isinstance(images, np.ndarray) or is_tensor(images):
        stack: Any = images
        many = list(stack) if _is_stack(stack) else [stack]
    elif isinstance(images, Iterable) and not isinstance(images, str | Image.Image | Path):
        many = list(images)
    else:
        many = [images]
    if not many:
        raise DataError("No image is given.")
    return tuple(_named(image, number) for number, image in enumerate(many))


def _named(image: object, number: int) -> NamedImage:
    if isinstance(image, str | Path):
        return NamedImage(str(image), Path(image))
    name = f"image {number}"
    pixels = image_pixels(image, name=name)
    return NamedImage(name, image if isinstance(image, Image.Image) and has_deep_gray(image) else pixels)


def _is_stack(images: Any) -> bool:  # noqa: ANN401 - an array or a tensor
    """Whether this is several images rather than one."""
    shape = tuple(images.shape)
    ends = (shape[0], shape[-1]) if is_tensor(images) else (shape[-1],)
    return len(shape) == 4 or (len(shape) == 3 and not set(ends) & set(_CHANNELS))
