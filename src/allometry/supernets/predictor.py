"""A predictor of accuracy from a subnet's options and costs: fitted to some hundreds of subnets, kept in a file."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from allometry.arch import ModuleSpace
from allometry.arch.any_space import AnySpace
from allometry.base import InputError, WeightsError
from allometry.base.checks import check_fields
from allometry.base.decoding import Count, decode
from allometry.base.files import replacing
from allometry.base.reading import parse_json
from allometry.nas.encodings import Encodings
from allometry.nas.lookup import Costs
from allometry.nas.module_costs import ModuleCosts, counts_of
from allometry.supernets.features import (
    Floats,
    check_encodings,
    cost_terms,
    encode_options,
    groups_of,
    logarithms,
    scales_of,
    space_digest,
    tabulated,
    terms_of,
)
from allometry.supernets.predictor_quality import Accuracies, checked_accuracies
from allometry.supernets.regression import Inputs, Weights, apply, solve

FORMAT = "allometry.predictor/1"
_CHUNK = 16_384  # encodings at once: their features stay in the processor's caches


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predictor:
    """Says which accuracy a subnet has, without running it; `fit_predictor` makes it.

    Attributes:
        space: of the encodings that it reads.
        constant: the accuracy to which all else is added.
        weights: of options, pairs of options, and costs.
        scales: mean, standard deviation, least and most of the logarithm of each cost, [4, 3]; [4, 0] without costs.
        fitted: networks that it was fitted to.
        error: root mean squared error on each of them, as told by the others.

    Raises:
        InputError: it reads costs, and the space is too large for their tables.

    Example:
        >>> from allometry.catalog import find_space
        >>> from allometry.nas import sample_encodings
        >>> space = find_space("ofa-mobilenetv3-1.0")
        >>> encodings = sample_encodings(space, np.random.default_rng(0), 40)
        >>> predictor = fit_predictor(space, encodings, 0.7 + encodings[:, 0] / 100)
        >>> predictor.fitted, predictor(encodings).shape
        (40, (40,))
    """

    space: AnySpace
    constant: float
    weights: Weights
    scales: Floats
    fitted: int
    error: float
    _costs: Costs | ModuleCosts | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_costs", counts_of(self.space) if self.scales.size else None)

    def __call__(self, encodings: Encodings) -> Accuracies:
        """The predicted accuracy of encodings [N, choices]: float64 [N].

        Raises:
            InputError: the encodings are not of its space.
        """
        check_encodings(self.space, encodings)
        groups, accuracies = groups_of(self.space), np.empty(len(encodings))
        for first in range(0, len(encodings), _CHUNK):
            some = encodings[first : first + _CHUNK]
            inputs = Inputs(
                encode_options(self.space, some), cost_terms(logarithms(self._costs, some), self.scales)
            )
            accuracies[first : first + _CHUNK] = apply(self.weights, inputs, groups)
        return self.constant + accuracies

    def save(self, path: str | Path) -> None:
        """Write it as one safetensors file, in one step.

        Raises:
            StorageError: the file cannot be written.
        """
        from safetensors.numpy import save

        arrays = {"options": self.weights.options, "costs": self.weights.costs, "scales": self.scales}
        arrays |= {f"pairs.{number}": pairs for number, pairs in enumerate(self.weights.pairs)}
        facts = {"constant": self.constant, "fitted": self.fitted, "error": self.error}
        about = {"format": FORMAT, "space": space_digest(self.space), "facts": json.dumps(facts)}
        with replacing(Path(path)) as beside:
            beside.write_bytes(
                save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, metadata=about)
            )

    @classmethod
    def load(cls, path: str | Path, space: AnySpace) -> Predictor:
        """Read it; nothing in the file is executed.

        Args:
            path: of a file that `save` wrote.
            space: that it was fitted in, whatever its name.

        Raises:
            WeightsError: the file is missing, damaged, or no predictor.
            InputError: it is a predictor of another space.

        Example:
            >>> import tempfile
            >>> from allometry.nas import sample_encodings
            >>> from allometry.supernets.predictor import fit_predictor
            >>> from allometry.catalog import find_space
            >>> space = find_space("fbnet")
            >>> encodings = sample_encodings(space, np.random.default_rng(0), 50)
            >>> predictor = fit_predictor(space, encodings, encodings.mean(1) / 100)
            >>> path = Path(tempfile.mkdtemp()) / "predictor.safetensors"
            >>> predictor.save(path)
            >>> bool((Predictor.load(path, space)(encodings) == predictor(encodings)).all())
            True
        """
        about, arrays = _read(Path(path))
        if about.get("space") != space_digest(space):
            raise InputError(
                f"{path} is a predictor of another space than {space.name or 'this one'}; give the space that its "
                "subnets were measured in, or fit a predictor anew."
            )
        pairs = tuple(arrays.get(f"pairs.{number}", np.empty(0)) for number in range(len(groups_of(space))))
        try:
            facts = decode(_Facts, parse_json(about["facts"]))
            weights = Weights(arrays["options"], pairs, arrays["costs"])
            _check(space, weights, arrays["scales"])
        except (KeyError, TypeError, ValueError) as problem:
            raise WeightsError(
                f"{path} is damaged: it lacks a part of a predictor ({problem}); fit it anew."
            ) from problem
        return cls(
            space=space,
            constant=facts.constant,
            weights=weights,
            scales=arrays["scales"],
            fitted=facts.fitted,
            error=facts.error,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What a predictor's file says beside its arrays."""

    constant: float
    fitted: Count
    error: float


def _read(path: Path) -> tuple[dict[str, str], dict[str, Floats]]:
    """What a file says about itself, and its arrays.

    Raises:
        WeightsError: there is none, or it is no predictor's.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise WeightsError(f"There is no file {path}.")
    try:
        with safe_open(path, framework="np") as file:
            names = list(file.keys())
            about, arrays = dict(file.metadata() or {}), {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise WeightsError(f"{path} is damaged or no safetensors file: {error}.") from error
    if about.get("format") != FORMAT:
        raise WeightsError(
            f"{path} is no predictor that this version reads: its format is {about.get('format')!r}, not {FORMAT!r}."
        )
    return about, arrays


def _check(space: AnySpace, weights: Weights, scales: Floats) -> None:
    """Refuse arrays of a shape or kind that no predictor of this space has, or with values that are not finite."""
    groups, features = groups_of(space), sum(len(choice.options) for choice in space.choices)
    terms = terms_of(scales.shape[1]) if scales.ndim == 2 else 0
    expected = [(features,), (terms,), *((len(group.columns),) * 2 for group in groups)]
    arrays = [weights.options, weights.costs, *weights.pairs]
    for array, shape in zip(arrays, expected, strict=True):
        if array.shape != shape:
            raise ValueError(f"an array is {list(array.shape)} instead of {list(shape)}")
    costs = 2 if isinstance(space, ModuleSpace) else 3
    if scales.shape not in ((4, 0), (4, costs)):
        raise ValueError(f"the scales are {list(scales.shape)}")
    for array in (*arrays, scales):
        if array.dtype != np.float64 or not np.isfinite(array).all():
            raise ValueError("an array holds something other than finite numbers of 64 bits")


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

    Example:
        >>> RegressionConfig(strengths=(0.0,)).most
        1000
        >>> RegressionConfig(strengths=())
        Traceback (most recent call last):
            ...
        allometry.base.errors.InputError: strengths must be one or more numbers of at least 0, not ().
    """

    strengths: tuple[float, ...] = (0.0, 0.1, 0.3, 1.0, 3.0)
    noises: tuple[float, ...] = tuple(float(noise) for noise in np.geomspace(1e-3, 30, 16).round(6))
    costs: bool = True
    most: int = 1000

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.strengths or min(self.strengths) < 0:
            raise InputError(f"strengths must be one or more numbers of at least 0, not {self.strengths!r}.")
        if not self.noises or min(self.noises) <= 0:
            raise InputError(f"noises must be one or more numbers above 0, not {self.noises!r}.")
        if self.most < _FEWEST:
            raise InputError(f"most must be at least {_FEWEST} networks, not {self.most!r}.")


def fit_predictor(
    space: AnySpace,
    encodings: Encodings,
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
        space: of the encodings.
        encodings: measured members, [N, choices], of all sizes that matter: `sample_encodings` with `by="choice"`.
        accuracies: of these, [N], as fractions from 0 to 1.
        settings: what it may use.
        seed: of the draw of networks by which it chooses, where there are very many.

    Raises:
        InputError: there are fewer than ten networks, or encodings and accuracies do not fit the space or each other.

    Source: Once-for-All (Cai et al. 2020), section 3.4 and Appendix A, for the features and the constant; Hoerl &
    Kennard 1970 for the regression.

    Example:
        >>> from allometry.nas import Costs, sample_encodings
        >>> from allometry.supernets.predictor_quality import evaluate_predictor
        >>> from allometry.catalog import find_space
        >>> space = find_space("fbnet")
        >>> encodings = sample_encodings(space, np.random.default_rng(0), 200)
        >>> accuracies = np.log(Costs(space)(encodings)["macs"]) / 30
        >>> predictor = fit_predictor(space, encodings[:100], accuracies[:100])
        >>> evaluate_predictor(predictor, encodings[100:], accuracies[100:]).tau > 0.9
        True
    """
    check_encodings(space, encodings)
    measured = checked_accuracies(encodings, accuracies)
    if len(encodings) < _FEWEST:
        raise InputError(
            f"A predictor is fitted to {_FEWEST} subnets or more, not to {len(encodings)}; measure more, "
            "best some hundreds."
        )
    logs = logarithms(tabulated(space) if settings.costs else None, encodings)
    scales = scales_of(logs)
    solution = solve(
        Inputs(encode_options(space, encodings).astype(np.float64), cost_terms(logs, scales)),
        measured,
        groups_of(space),
        strengths=settings.strengths,
        noises=settings.noises,
        most=settings.most,
        seed=seed,
    )
    return Predictor(
        space=space,
        constant=solution.constant,
        weights=solution.weights,
        scales=scales,
        fitted=len(encodings),
        error=solution.error,
    )
