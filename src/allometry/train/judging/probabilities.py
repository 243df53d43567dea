"""Figures of the probabilities that a network gives to the classes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_ROWS = 4096  # of probabilities looked at in one piece: 50,000 x 1000 of them would need temporary gigabytes


def ranks(probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How many classes come before the true one: those more probable, and equally probable ones with a lower index.

    Shape:
        [N, classes], int64 [N] -> int64 [N]

    Example:
        >>> ranks(np.array([[0.2, 0.5, 0.3], [0.4, 0.4, 0.2]]), np.array([2, 1])).tolist()
        [1, 1]
    """
    found = np.empty(len(labels), np.int64)
    columns = np.arange(probabilities.shape[1])
    for start in range(0, len(labels), _ROWS):
        piece, truth = probabilities[start : start + _ROWS], labels[start : start + _ROWS, None]
        own = np.take_along_axis(piece, truth, 1)
        found[start : start + _ROWS] = ((piece > own) | ((piece == own) & (columns < truth))).sum(1)
    return found


def brier_score(probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]) -> float:
    """The mean over the images of the summed squared differences between probabilities and truth.

    0 for a network that is always sure and right, 2 for one that is always sure and wrong.

    Shape:
        [N, classes], int64 [N] -> a number

    Source: Brier 1950, equation 2.

    Example:
        >>> round(brier_score(np.array([[0.8, 0.2], [0.4, 0.6]]), np.array([0, 0])), 6)
        0.4
    """
    squares = np.einsum("nc,nc->n", probabilities, probabilities, dtype=np.float64)
    own = np.take_along_axis(probabilities, labels[:, None], 1)[:, 0].astype(np.float64)
    return float((squares - 2 * own + 1).mean())
