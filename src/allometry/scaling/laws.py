"""Scaling laws: in what proportion depth, width and resolution grow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from allometry.arch import CHANNEL_MULTIPLE, Network, apply_multipliers
from allometry.base import LawError, UnknownNameError
from allometry.base.checks import is_number
from allometry.base.decoding import decode
from allometry.base.files import write_json
from allometry.base.reading import UnreadableError, is_file, parse_json, parse_number, read_text
from allometry.base.text import shown

_FORMAT = "allometry.law/1"


class Multipliers(NamedTuple):
    """What a law multiplies a network's dimensions by.

    Example:
        >>> COMPOUND.multipliers(1)
        Multipliers(depth=1.2, width=1.1, resolution=1.15)
    """

    depth: float
    width: float
    resolution: float


IDENTITY = Multipliers(1.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class ScalingLaw:
    """One step of growth multiplies depth by alpha, width by beta and resolution by gamma.

    The MACs of a network grow about by `alpha * beta**2 * gamma**2` in a step (`growth`).

    Attributes:
        alpha: depth, at least 1.
        beta: width, at least 1.
        gamma: resolution, at least 1.
        late_stage_bias: how much faster than the first stages the last ones get deeper, from 0 to below 1; see
            `apply_multipliers`.
        largest_resolution: where growth of the resolution ends, in pixels; None for nowhere. Depth and width go on.
        channel_multiple: what channels are rounded to; 8 in the papers, 16 or 32 where a device prefers that.

    Raises:
        LawError: a coefficient is below 1, or none is above 1; the others are out of their range.

    Source: EfficientNet (Tan & Le 2019), equation 3; `late_stage_bias` and `largest_resolution`: EfficientNetV2 (Tan &
    Le 2021), section 3.3.

    Example:
        >>> COMPOUND
        ScalingLaw(alpha=1.2, beta=1.1, gamma=1.15)
        >>> round(COMPOUND.growth, 3)
        1.92
    """

    alpha: float
    beta: float
    gamma: float
    late_stage_bias: float = 0.0
    largest_resolution: int | None = None
    channel_multiple: int = CHANNEL_MULTIPLE

    def __post_init__(self) -> None:
        for label in ("alpha", "beta", "gamma"):
            value = getattr(self, label)
            if not is_number(value) or not value >= 1:
                raise LawError(f"{label} must be a number of at least 1, not {shown(value)}.")
            object.__setattr__(self, label, float(value))
        if self.alpha == self.beta == self.gamma == 1:
            raise LawError("A law with alpha = beta = gamma = 1 grows nothing; one of them must be above 1.")
        if not is_number(self.late_stage_bias) or not 0 <= self.late_stage_bias < 1:
            raise LawError(
                f"late_stage_bias must be a number from 0 to below 1, not {shown(self.late_stage_bias)}."
            )
        object.__setattr__(self, "late_stage_bias", float(self.late_stage_bias))
        pixels = self.largest_resolution
        if pixels is not None and (type(pixels) is not int or pixels < 1):
            raise LawError(f"largest_resolution must be a positive integer or none, not {pixels!r}.")
        if type(self.channel_multiple) is not int or self.channel_multiple < 1:
            raise LawError(f"channel_multiple must be a positive integer, not {self.channel_multiple!r}.")

    def __repr__(self) -> str:
        words = [f"alpha={self.alpha!r}", f"beta={self.beta!r}", f"gamma={self.gamma!r}"]
        words += [f"late_stage_bias={self.late_stage_bias!r}"] if self.late_stage_bias else []
        words += [f"largest_resolution={self.largest_resolution}"] if self.largest_resolution else []
        if self.channel_multiple != CHANNEL_MULTIPLE:
            words.append(f"channel_multiple={self.channel_multiple}")
        return f"ScalingLaw({', '.join(words)})"

    def __str__(self) -> str:
        return f"alpha {self.alpha:g}, beta {self.beta:.3g}, gamma {self.gamma:g}"

    def ceiling(self, network: Network) -> int | None:
        """The resolution at which growth of `network` ends: never below the one it has.

        Example:
            >>> from allometry.catalog import get
            >>> V2.ceiling(get("efficientnetv2-s")), V2.ceiling(get("efficientnet-b7"))
            (480, 600)
        """
        return None if self.largest_resolution is None else max(self.largest_resolution, network.resolution)

    @property
    def growth(self) -> float:
        """About how many times the MACs one step costs: alpha * beta^2 * gamma^2."""
        return self.alpha * self.beta**2 * self.gamma**2

    def multipliers(self, phi: float, start: Multipliers = IDENTITY) -> Multipliers:
        """d, w and r after `phi` steps from `start`; phi may be negative or a fraction.

        Raises:
            LawError: phi is not a finite number or so large that the multipliers are not.

        Example:
            >>> DEPTH.multipliers(-1)
            Multipliers(depth=0.5, width=1.0, resolution=1.0)
        """
        if not is_number(phi):
            raise LawError(f"phi must be a finite number that a network can bear, not {shown(phi)}.")
        try:
            grown = Multipliers(
                start.depth * self.alpha**phi,
                start.width * self.beta**phi,
                start.resolution * self.gamma**phi,
            )
        except OverflowError:
            grown = Multipliers(math.inf, math.inf, math.inf)
        if not all(0 < number < math.inf for number in grown):
            raise LawError(f"phi must be a finite number that a network can bear, not {phi!r}.")
        return grown

    @classmethod
    def from_exponents(
        cls, *, depth: float, width: float, resolution: float, growth: float = 2.0
    ) -> ScalingLaw:
        """The law that spends a doubling of the MACs, or another growth, in these fractions.

        With shares e that sum to 1, s times the MACs multiply depth by s^e_d, width by s^(e_w / 2) and
        resolution by s^(e_r / 2); one step of the law is s = `growth`.

        Raises:
            LawError: the fractions are negative or do not sum to 1, or the growth is not above 1.

        Source: Dollar, Singh & Girshick 2021, *Fast and accurate model scaling*, section 4.

        Example:
            >>> ScalingLaw.from_exponents(depth=1, width=0, resolution=0) == DEPTH
            True
        """
        shares = (depth, width, resolution)
        if min(shares) < 0 or not math.isclose(sum(shares), 1):
            raise LawError(f"The shares of depth, width and resolution must sum to 1, not {shares!r}.")
        if not is_number(growth) or not growth > 1:
            raise LawError(f"The growth of a step must be a number above 1, not {shown(growth)}.")
        return cls(growth**depth, growth ** (width / 2), growth ** (resolution / 2))

    @classmethod
    def load(cls, path: str | Path) -> ScalingLaw:
        """Read a law from its JSON file.

        Raises:
            LawError: the file is missing or is no law.
        """
        try:
            plain = parse_json(read_text(Path(path)))
            written = plain.pop("format", None) if isinstance(plain, dict) else _FORMAT
            if written != _FORMAT:
                raise LawError(f"{path} is not a law: its format is {written!r}, not {_FORMAT!r}.")
            return decode(cls, plain)
        except OSError as error:
            raise LawError(f"Cannot read the law file {path}: {error.strerror}.") from error
        except UnreadableError as error:
            raise LawError(f"{path} is not a law: {error}.") from error

    def save(self, path: str | Path) -> None:
        """Write the law as a JSON file that every command takes.

        Example:
            >>> import tempfile
            >>> path = Path(tempfile.mkdtemp()) / "law.json"
            >>> FAST.save(path)
            >>> ScalingLaw.load(path) == FAST
            True
        """
        write_json(Path(path), {"format": _FORMAT, **self.to_dict()})

    def to_dict(self) -> dict[str, float]:
        """The numbers of the law, as its file and the records of a run have them: only what it sets.

        Example:
            >>> RESOLUTION.to_dict().keys() == {"alpha", "beta", "gamma"}
            True
            >>> V2.to_dict()["largest_resolution"]
            480
        """
        rest = {"late_stage_bias": self.late_stage_bias, "largest_resolution": self.largest_resolution}
        coefficients = {"alpha": self.alpha, "beta": self.beta, "gamma": self.gamma}
        if self.channel_multiple != CHANNEL_MULTIPLE:
            rest["channel_multiple"] = self.channel_multiple
        return coefficients | {name: value for name, value in rest.items() if value}


COMPOUND = ScalingLaw(1.2, 1.1, 1.15)
"""EfficientNet's law (paper, section 4)."""

DEPTH = ScalingLaw(2, 1, 1)
"""Deeper only: a step doubles the layers."""

WIDTH = ScalingLaw(1, math.sqrt(2), 1)
"""Wider only: a step doubles the MACs."""

RESOLUTION = ScalingLaw(1, 1, math.sqrt(2))
"""Larger images only: a step doubles the pixels."""

FAST = ScalingLaw.from_exponents(depth=0.1, width=0.8, resolution=0.1)
"""Mostly wider, which costs few activations and so little time (Dollar et al. 2021: dWr, alpha = 0.8)."""

V2 = ScalingLaw(1.2, 1.1, 1.15, late_stage_bias=0.15, largest_resolution=480)
"""EfficientNetV2's way: as COMPOUND, but images stop at 480 pixels and the last stages get more of the layers.

The paper says so in words only (section 3.3) and prints no coefficients. The layers of S, M and L fit `late_stage_bias`
= 0.16 (S to M) and 0.09 (S to L) best, by least squares over the six stages; see the documentation on scaling."""

LAWS = {
    "compound": COMPOUND,
    "v2": V2,
    "depth": DEPTH,
    "width": WIDTH,
    "resolution": RESOLUTION,
    "fast": FAST,
}
"""The laws that have a name."""


def scale(network: Network, phi: float, *, law: ScalingLaw = COMPOUND) -> Network:
    """Grow `network` by `phi` steps of `law`; shrink it where phi is negative.

    Raises:
        LawError: phi is not a finite number.

    Source: EfficientNet (Tan & Le 2019), equation 3.

    Example:
        >>> from allometry.catalog import get
        >>> grown = scale(get("efficientnet-b0"), 3)
        >>> grown.resolution, grown.depth, grown.name
        (341, 31, 'efficientnet-b0 phi 3')
        >>> scale(get("efficientnet-b0"), 0) == get("efficientnet-b0")
        True
    """
    depth, width, resolution = law.multipliers(phi)
    ceiling = law.ceiling(network)
    if ceiling is not None:
        resolution = min(resolution, ceiling / network.resolution)
    name = f"{network.name} phi {phi:.4g}".strip()
    return apply_multipliers(
        network,
        depth=depth,
        width=width,
        resolution=resolution,
        late_stage_bias=law.late_stage_bias,
        channel_multiple=law.channel_multiple,
        name=name,
    )


def as_law(value: ScalingLaw | str | Path) -> ScalingLaw:
    """The law that a user means: a law, its name, three numbers `alpha,beta,gamma`, or a JSON file.

    Args:
        value: the law itself, or what stands for it.

    Raises:
        UnknownNameError: no such name or file.
        LawError: the numbers or the file are not a law, or the value is of another type.

    Example:
        >>> as_law("1.2, 1.1, 1.15") == as_law("compound") == as_law(COMPOUND)
        True
    """
    if isinstance(value, ScalingLaw):
        return value
    if not isinstance(value, str | Path):
        raise LawError(f"A law, its name or its JSON file is expected, not a {type(value).__name__}.")
    text = str(value)
    if text.strip().lower() in LAWS:
        return LAWS[text.strip().lower()]
    parts = text.split(",")
    if len(parts) == 3:
        try:
            alpha, beta, gamma = (parse_number(part) for part in parts)
        except ValueError as error:
            raise LawError(f"Cannot read the law {text!r}: write three numbers, alpha,beta,gamma.") from error
        return ScalingLaw(alpha, beta, gamma)
    if Path(text).suffix == ".json" or is_file(text):
        return ScalingLaw.load(text)
    raise UnknownNameError("law", text, LAWS, "Three numbers alpha,beta,gamma or a JSON file are laws too.")
