"""Images that are nearly the same: saved anew, resized or brightened; found without comparing each with each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from allometry.data.images.pixels import Pixels
from allometry.data.images.thumbnails import NEUTRAL, thumbnail_levels

Pairs = npt.NDArray[np.int64]
LEAST_CORRELATION = 0.985
"""Of the light of two thumbnails."""
MOST_DIFFERENCE = 0.6
"""Of two pixels, in standard deviations of the thumbnail's light: a small part that differs tells two images apart."""
MOST_COLOR = 5
"""Of two thumbnails' colors, of 64 levels, at equal contrast."""
_LEAST_DEVIATION = 1.5  # of 64 levels: of an image with less all that it shows may be noise
_SCALE = 64  # steps of a standard deviation: whole numbers give the same sums on every machine
_BANDS, _BITS = 16, 16
_NEIGHBORS = (
    16  # of one band that an image is compared with: in large sets of alike images that is enough for a chain
)
_LEAST_ALIKE = 0.75  # of the bits; those of two random images agree in half
_WEIGHTS = np.array([2**32, 2**16, 1], np.uint64)
_AT_ONCE = 2**16
_ONES = (
    np.unpackbits(np.arange(2**16, dtype=np.uint16).view(np.uint8))
    .reshape(-1, 16)
    .sum(axis=1, dtype=np.uint8)
)


def near_duplicates(thumbnails: Sequence[str]) -> Pairs:
    """Pairs of images that are nearly the same, by their thumbnails.

    Copies that were saved with loss, resized, brightened or darkened are found; those that were cropped, turned or
    mirrored are not. Each image gets 256 bits, the signs of random projections of its thumbnail, in 16 bands of 16.
    Images that share a band are compared: by all bits, then by the pixels of their thumbnails. Of two copies with a
    correlation of 0.99 a bit differs in one case of 22, and all bands in one of 100,000.

    Args:
        thumbnails: of each image (see `thumbnail`); empty text for one that cannot be a duplicate.

    Returns:
        int64 [P, 2], places of images, the lower one first; among many alike images not all pairs, but enough to
        connect them.

    Example:
        >>> from allometry.data.images.thumbnails import thumbnail
        >>> one, other = np.random.default_rng(0).integers(40, 200, (2, 12, 12, 1), dtype=np.uint8)
        >>> near_duplicates([thumbnail(one), thumbnail(other), "", thumbnail(one // 2 + 30)]).tolist()
        [[0, 3]]
    """
    first_of: dict[str, int] = {}
    equal = [
        (first, place)
        for place, text in enumerate(thumbnails)
        if text and (first := first_of.setdefault(text, place)) != place
    ]
    light, color = thumbnail_levels(list(first_of))
    places = np.fromiter(first_of.values(), np.int64, len(first_of))
    telling = light.std(axis=1) >= _LEAST_DEVIATION if len(light) else np.zeros(0, bool)
    light, color, places = light[telling], color[telling], places[telling]
    known = set(places.tolist())
    found = [np.array([pair for pair in equal if pair[0] in known], np.int64).reshape(-1, 2)]
    if len(places) > 1:
        scaled = _scaled(light)
        found += [places[pairs] for pairs in _alike(light, color, scaled, _candidates(_bits(scaled)))]
    pairs = np.sort(np.concatenate(found), axis=1)
    ordered: Pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    return ordered


def clusters(number: int, pairs: Iterable[Sequence[int]]) -> list[int]:
    """For each of a number of images the first one that pairs connect it with.

    Example:
        >>> clusters(5, [(3, 4), (1, 3)])
        [0, 1, 2, 1, 1]
    """
    root = list(range(number))

    def find(place: int) -> int:
        while root[place] != place:
            root[place] = root[root[place]]
            place = root[place]
        return place

    for one, other in pairs:
        first, second = sorted((find(one), find(other)))
        root[second] = first
    return [find(place) for place in range(number)]


def _scaled(light: npt.NDArray[np.uint8]) -> npt.NDArray[np.int16]:
    """Thumbnails of equal brightness and contrast, in whole numbers."""
    scaled = np.empty(light.shape, np.int16)
    for start in range(0, len(light), _AT_ONCE):
        part = light[start : start + _AT_ONCE].astype(np.float64)
        part -= part.mean(axis=1, keepdims=True)
        part *= _SCALE / part.std(axis=1, keepdims=True)
        scaled[start : start + _AT_ONCE] = np.rint(part)
    return scaled


def _bits(scaled: npt.NDArray[np.int16]) -> npt.NDArray[np.uint16]:
    """The bands of each image, uint16 [N, 16]: the signs of its projections."""
    random = np.random.default_rng(0)
    signs = random.choice(np.array([-1, 1], np.float32), (scaled.shape[1], _BANDS * _BITS))
    bands = np.empty((len(scaled), _BANDS), np.uint16)
    for start in range(0, len(scaled), _AT_ONCE):  # sums of whole numbers, which 32 bits hold exactly
        projected = scaled[start : start + _AT_ONCE].astype(np.float32) @ signs
        bands[start : start + _AT_ONCE] = np.packbits(projected > 0, axis=1).view(np.uint16)
    return bands


def _candidates(bands: npt.NDArray[np.uint16]) -> Pairs:
    """Pairs that share a band and most of the bits."""
    known = np.empty(0, np.int64)
    for band in range(_BANDS):
        # Images of one band stand in the order of the next two, so that those that are most alike are neighbors.
        turned = np.roll(bands, -band, axis=1)[:, :3].astype(np.uint64)
        order = np.argsort(turned @ _WEIGHTS, kind="stable")
        key, found = bands[order, band], [known]
        for step in range(1, min(_NEIGHBORS, len(order) - 1) + 1):
            there = np.flatnonzero(key[step:] == key[:-step])
            if not len(there):
                break
            one, other = order[there], order[there + step]
            differing = _ONES[bands[one] ^ bands[other]].sum(axis=1, dtype=np.int64)
            near = differing <= (1 - _LEAST_ALIKE) * _BANDS * _BITS
            low, high = np.minimum(one, other)[near], np.maximum(one, other)[near]
            found.append(low * len(bands) + high)
        known = np.unique(np.concatenate(found))
    pairs: Pairs = np.stack(np.divmod(known, len(bands)), axis=1)
    return pairs


def _alike(light: Pixels, color: Pixels, scaled: npt.NDArray[np.int16], candidates: Pairs) -> Iterator[Pairs]:
    """Those of the pairs whose thumbnails are nearly the same; their colors at the lower one's contrast."""
    contrast, tint = light.std(axis=1), color.astype(np.float32) - NEUTRAL
    for start in range(0, len(candidates), _AT_ONCE):
        pairs = candidates[start : start + _AT_ONCE]
        one, other = (scaled[places].astype(np.int32) for places in pairs.T)
        products = [np.einsum("nd,nd->n", *both) for both in ((one, other), (one, one), (other, other))]
        correlation = products[0] / np.sqrt(products[1].astype(np.float64) * products[2])
        difference = np.abs(one - other).max(axis=1) / _SCALE
        less = contrast[pairs].min(axis=1)
        tints = [tint[places] * (less / contrast[places])[:, np.newaxis] for places in pairs.T]
        same_color = np.abs(tints[0] - tints[1]).max(axis=1) <= MOST_COLOR
        yield pairs[(correlation >= LEAST_CORRELATION) & (difference <= MOST_DIFFERENCE) & same_color]
