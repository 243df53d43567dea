"""Fitting a predictor of accuracy to a few hundred measured subnets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from allometry.arch import Space
from allometry.base import InputError
from allometry.nas.encodings import Encodings
from allometry.supernets.cost_features import cost_terms, groups_of, logarithms, scales_of, tabulated
from allometry.supernets.encoding import check_rows, encode_rows
from allometry.supernets.predictor import Predictor
from allometry.supernets.predictor_quality import Accuracies, checked_accuracies
from allometry.supernets.regression import Inputs, solve

_FEWEST = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class RegressionConfig:
    """What the predictor may use, and among what it chooses.

    Attributes:
        strengths: of pairs of options against single ones; 0 leaves pairs out.
        noises: variances of the noise against that of the accuracy.
        costs: whether the counts of a network are read too, where the space allows to tabulate them.
        most: measured networks by which strength and noise are chosen; all are fitted to.

    Raises:
        InputError: there is nothing to choose from, or a number is out of its range.
    """

    strengths: tuple[float, ...] = (0.0, 0.1, 0.3, 1.0, 3.0)
    noises: tuple[float, ...] = tuple(float(each) for each in np.geomspace(1e-3, 30, 16).round(6))
    costs: bool = True
    most: int = 1000

    def __post_init__(self) -> None:
        if not self.strengths or min(self.strengths) < 0:
            raise InputError(f"strengths must be one or more numbers of at least 0, not {self.strengths!r}.")
        if not self.noises or min(self.noises) <= 0:
            raise InputError(f"noises must be one or more numbers above 0, not {self.noises!r}.")
        if self.most < _FEWEST:
            raise InputError(f"most must be at least {_FEWEST} networks, not {self.most!r}.")


def fit_predictor(
    space: Space,
    rows: Encodings,
    accuracies: Accuracies,
    *,
    settings: RegressionConfig = RegressionConfig(),
    seed: int = 0,
) -> Predictor:
    """Fit a predictor of accuracy to measured subnets.

    It is a ridge regression on the options, on pairs of options of the same stage, and on the logarithms of MACs,
    params and activations with their powers; how much pairs and noise count is chosen by leaving out one network
    after the other, which has a closed form.

    Once-for-All's is a network of three layers of 400 units on the options, fitted to 16,000 subnets. From some
    hundreds this one puts more networks in the right order; `benchmarks/specializing.py` measures both, and
    `docs/results.md` has the figures under "Predicting and searching subnets".

    Args:
        space: of the rows.
        rows: measured members, [N, choices], of all sizes that matter: `sample_encodings` with `by="choice"`.
        accuracies: of these, [N], as shares from 0 to 1.
        settings: what it may use.
        seed: of the draw of networks by which it chooses, where there are very many.

    Raises:
        InputError: there are fewer than ten networks, or rows and accuracies do not fit the space or each other.

    Source: Once-for-All (Cai et al. 2020), section 3.4 and Appendix A, for the features and the constant; Hoerl &
    Kennard 1970 for the regression.

    Example:
        >>> from allometry.nas import Costs, sample_encodings
        >>> from allometry.supernets.predictor_quality import evaluate_predictor
        >>> from allometry.catalog import find_space
        >>> space = find_space("fbnet")
        >>> rows = sample_encodings(space, np.random.default_rng(0), 200)
        >>> accuracies = np.log(Costs(space)(rows)["macs"]) / 30
        >>> predictor = fit_predictor(space, rows[:100], accuracies[:100])
        >>> evaluate_predictor(predictor, rows[100:], accuracies[100:]).tau > 0.9
        True
    """
    check_rows(space, rows)
    measured = checked_accuracies(rows, accuracies)
    if len(rows) < _FEWEST:
        raise InputError(
            f"A predictor is fitted to {_FEWEST} subnets or more, not to {len(rows)}; measure more, best some hundreds."
        )
    logs = logarithms(tabulated(space) if settings.costs else None, rows)
    scales = scales_of(logs)
    found = solve(
        Inputs(encode_rows(space, rows).astype(np.float64), cost_terms(logs, scales)),
        measured,
        groups_of(space),
        strengths=settings.strengths,
        noises=settings.noises,
        most=settings.most,
        seed=seed,
    )
    return Predictor(
        space=space,
        constant=found.constant,
        weights=found.weights,
        scales=scales,
        fitted=len(rows),
        error=found.error,
    )
