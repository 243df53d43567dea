"""Ridge regression on options, on pairs of options of the same stage, and on costs: solved without a feature a pair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from allometry.supernets.features import Floats, Group

_STEPS, _TOLERANCE = 300, 1e-4


class Inputs(NamedTuple):
    """What networks are told apart by.

    Attributes:
        options: one-hot, [N, features].
        costs: standardized, [N, terms].
    """

    options: npt.NDArray[np.floating]
    costs: npt.NDArray[np.floating]


class Weights(NamedTuple):
    """Of a function that is linear in options, pairs of options of a group, and costs.

    Attributes:
        options: of each feature, [features].
        pairs: of each two features of a group, symmetric, [columns, columns] for each group.
        costs: of each term, [terms].
    """

    options: Floats
    pairs: tuple[Floats, ...]
    costs: Floats


class Solution(NamedTuple):
    """What was found.

    Attributes:
        weights: for any inputs.
        constant: to be added.
        strength: of the pairs, as chosen.
        noise: as chosen.
        error: root mean squared error on each of the networks, as told by the others.
    """

    weights: Weights
    constant: float
    strength: float
    noise: float
    error: float


def apply(weights: Weights, inputs: Inputs, groups: Sequence[Group]) -> Floats:
    """The function's value for each network, [N], without its constant."""
    values = inputs.options @ weights.options.astype(inputs.options.dtype)
    for pairs, group in zip(weights.pairs, groups, strict=True):
        some = inputs.options[:, group.columns]
        values += np.einsum("nf,nf->n", some @ pairs.astype(some.dtype), some)
    return values.astype(np.float64) + inputs.costs @ weights.costs


def solve(
    inputs: Inputs,
    accuracies: Floats,
    groups: Sequence[Group],
    *,
    strengths: Sequence[float],
    noises: Sequence[float],
    most: int,
    seed: int,
) -> Solution:
    """Fit the function, with the strength of the pairs and the noise that tell left-out networks best.

    Args:
        inputs: of N networks, float64.
        accuracies: [N].
        groups: whose pairs count.
        strengths: of pairs against single options, to choose from; 0 leaves them out.
        noises: variances against that of the function, to choose from.
        most: networks by which these two are chosen, since the work grows with their cube.
        seed: of the draw of these.

    Source: Hoerl & Kennard 1970, *Ridge regression*; leave-one-out in closed form: Allen 1974, *PRESS*.
    """
    number = len(accuracies)
    some = np.sort(np.random.default_rng(seed).permutation(number)[:most])
    part = Inputs(inputs.options[some], inputs.costs[some])
    error, strength, noise, dual = min(
        (_left_out(part, accuracies[some], groups, strength, noises) for strength in strengths),
        key=lambda fit: fit[0],
    )
    if len(some) < number:
        dual = _descend(inputs, accuracies, groups, strength, noise)
    weights = _weights(inputs, dual, groups, strength)
    constant = float(accuracies.mean() - apply(weights, inputs, groups).mean())
    return Solution(weights, constant, strength, noise, error)


def _kernel(inputs: Inputs, groups: Sequence[Group], strength: float) -> Floats:
    """How alike each two networks are, [N, N]: what the features of `Weights` have in common."""
    options = inputs.options
    alike = options @ options.T / options.shape[1] + inputs.costs @ inputs.costs.T
    for group in groups if strength else ():
        some = options[:, group.columns]
        alike += strength / len(groups) * (some @ some.T / group.choices) ** 2
    return np.asarray(alike, np.float64)


def _weights(inputs: Inputs, dual: Floats, groups: Sequence[Group], strength: float) -> Weights:
    """The weights of the features, from those of the networks: `apply` gives the kernel times `dual`."""
    options = inputs.options
    pairs = list[Floats]()
    for group in groups:
        some = options[:, group.columns]
        outer = np.asarray(some.T @ (dual[:, None] * some), np.float64)
        pairs.append(strength / len(groups) / group.choices**2 * outer)
    return Weights(options.T @ dual / options.shape[1], tuple(pairs), inputs.costs.T @ dual)


def _left_out(
    inputs: Inputs, accuracies: Floats, groups: Sequence[Group], strength: float, noises: Sequence[float]
) -> tuple[float, float, float, Floats]:
    """The least error on left-out networks, with this strength, its noise, and the weights of the networks."""
    alike = _kernel(inputs, groups, strength)
    alike = alike - alike.mean(0) - alike.mean(1)[:, None] + alike.mean()
    # The constant is free. Made the greatest direction of all, it is the last one, and takes no part in what follows.
    sizes, directions = np.linalg.eigh(alike + 2 * np.trace(alike) / len(alike) + 1)
    sizes, directions = np.maximum(sizes[:-1], 0), directions[:, :-1]
    along = directions.T @ (accuracies - accuracies.mean())
    fits = []
    for noise in noises:
        shrunk = 1 / (sizes + noise)
        dual = directions @ (shrunk * along)
        errors = dual / ((directions**2) @ shrunk)
        fits.append((float(np.sqrt((errors**2).mean())), strength, noise, dual))
    return min(fits, key=lambda fit: fit[0])


def _descend(
    inputs: Inputs, accuracies: Floats, groups: Sequence[Group], strength: float, noise: float
) -> Floats:
    """The weights of very many networks by conjugate gradients, without a number for each two of them.

    Source: Hestenes & Stiefel 1952, *Methods of conjugate gradients*.
    """

    def times(dual: Floats) -> Floats:
        product = apply(_weights(inputs, dual, groups, strength), inputs, groups)
        centered: Floats = product - product.mean() + noise * dual
        return centered

    left = accuracies - accuracies.mean()
    way, size = left, float(left @ left)
    dual: Floats = np.zeros_like(left)
    enough = _TOLERANCE**2 * size
    for _ in range(_STEPS):
        if size <= enough:
            break
        ahead = times(way)
        step = size / float(way @ ahead)
        dual, left = dual + step * way, left - step * ahead
        size, before = float(left @ left), size
        way = left + size / before * way
    return dual
