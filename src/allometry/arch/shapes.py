"""The shape of a feature map, and what a sliding window makes of it."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

from allometry.base import NetworkError

Padding = Literal["symmetric", "same", "valid"]
PADDINGS: tuple[Padding, ...] = get_args(Padding)


class Shape(NamedTuple):
    """A feature map: its channels and its side in pixels.

    Example:
        >>> Shape(32, 112).elements
        401408
    """

    channels: int
    size: int

    @property
    def elements(self) -> int:
        """Numbers in the feature map of one image."""
        return self.channels * self.size * self.size


def strided(size: int, stride: int) -> int:
    """Side of the output of a strided convolution that pads, by either rule.

    Example:
        >>> strided(224, 2), strided(75, 2)
        (112, 38)
    """
    return -(-size // stride)


def conv_output_size(size: int, kernel: int, stride: int, padding: Padding) -> int:
    """Side of the output of a window that slides over `size` pixels.

    Raises:
        NetworkError: without padding, the window is larger than the image; or an even kernel is to be padded
            symmetrically.

    Example:
        >>> conv_output_size(299, 3, 2, "valid"), conv_output_size(299, 3, 2, "same")
        (149, 150)
    """
    if padding == "symmetric" and kernel % 2 == 0:
        raise NetworkError(
            f"A kernel of {kernel} cannot be padded symmetrically; take an odd one or other padding."
        )
    if padding != "valid":
        return strided(size, stride)
    if size < kernel:
        raise NetworkError(
            f"A feature map of {size} pixels is too small for an unpadded kernel of {kernel}; raise the resolution."
        )
    return (size - kernel) // stride + 1
