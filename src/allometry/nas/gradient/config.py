"""How a search by gradient goes: its schedules, and how it weighs the cost."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import torch
from torch import Tensor

from allometry.base import InputError, RecipeError
from allometry.base.checks import check_choice, check_flag, check_integer, check_numbers

Way = Literal["paths", "reinforce", "gumbel"]
Form = Literal["none", "power", "sum", "logarithm"]
GRADIENT_SEARCHERS = ("proxylessnas", "fbnet")
LOSSES = ("budget", "paper")
"""How a search weighs the cost: by a pressure above the budget alone, or by the paper's loss, at its rates."""
_FORMS: dict[Form, str] = {
    "none": "loss",
    "power": "loss * (cost / target) ** weight",
    "sum": "loss + weight * cost / target",
    "logarithm": "loss * scale * (log(cost) / log(target)) ** weight",
}
_RANGES: dict[str, tuple[float, float]] = {
    "learning_rate": (0, 10),
    "weight_decay": (0, 1),
    "spread": (0, 1),
    "warmup": (0, 0.9),
    "held_out": (0.01, 0.9),
    "first_temperature": (1e-3, 1e3),
    "last_temperature": (1e-3, 1e3),
}
_TRAVEL = 10.0  # logits that lie so far apart are as good as decided
_FASTEST = 0.1
_PRESSURE = 1.0  # of the cost above the limit, as a power; below it only the accuracy counts


@dataclass(frozen=True, slots=True, kw_only=True)
class CostLoss:
    """How the expected cost enters the loss that architecture parameters lower.

    Attributes:
        form: `power`, loss * (cost / target) ^ weight; `sum`, loss + weight * cost / target; `logarithm`,
            loss * scale * (log cost / log target) ^ weight, where without a target log target counts as 1; or `none`.
        weight: how strong the pressure is; 0 for none.
        target: the cost that is aimed at, in its own unit: a number of MACs or params, seconds.
        scale: factor of the logarithm's form.
        above_only: below the target there is no pressure, so that the cost settles near it; else cheaper is better.

    Raises:
        RecipeError: a field cannot have that value.
        InputError: a target is missing.

    Source: MnasNet (Tan et al. 2019), equation 2, turned into a loss (`power`; `above_only` is its alpha of 0);
    ProxylessNAS (Cai et al. 2019), section 3.3.1 (`sum`), and released code (`logarithm` with a target); FBNet (Wu et
    al. 2019), section 3.2 (`logarithm` without one).

    Example:
        >>> import torch
        >>> half = CostLoss(form="power", weight=0.5, target=100)
        >>> half(torch.tensor(2.0), torch.tensor(400.0, dtype=torch.float64)).item()
        4.0
    """

    form: Form = "logarithm"
    weight: float = 0.6
    target: float | None = None
    scale: float = 1.0
    above_only: bool = False

    def __post_init__(self) -> None:
        check_choice("form", self.form, _FORMS)
        check_numbers(self, "", {"weight": (0, 1e6), "target": (1e-12, 1e18), "scale": (1e-12, 1e12)})
        check_flag("above_only", self.above_only)
        if self.target is None and (self.form in ("power", "sum") or self.above_only):
            raise InputError(f"The cost loss {_FORMS[self.form]} needs a target: the cost that is aimed at.")

    def __call__(self, loss: Tensor, cost: Tensor, *, unit: float = 1.0) -> Tensor:
        """The loss [] together with the cost [] in float64.

        Args:
            loss: cross-entropy.
            cost: the expected one.
            unit: of the cost, what counts as 1 where a logarithm is taken.

        Raises:
            InputError: a logarithm is not above 0.
        """
        if self.form == "none":
            return loss
        if self.above_only:
            cost = cost.clamp(min=self.target)
        if self.form == "logarithm":
            logarithm = (cost / unit).log()
            reference = 1.0 if self.target is None else math.log(self.target / unit)
            if reference <= 0 or logarithm.item() <= 0:
                raise InputError(
                    f"A cost of {cost.item():g} or a target of {self.target!r} lies below the unit {unit:g}, and its "
                    "logarithm is no measure of it; take the form power or sum."
                )
            return loss * (self.scale * (logarithm / reference) ** self.weight).to(loss)
        assert self.target is not None  # noqa: S101 - checked when it was made
        if self.form == "sum":
            return loss + (self.weight * cost / self.target).to(loss)
        return loss * ((cost / self.target) ** self.weight).to(loss)

    def reward(self, accuracy: Tensor, cost: Tensor, *, unit: float = 1.0) -> Tensor:
        """The accuracy [] together with the cost [], the larger the better: what is lowered turned into a reward.

        What multiplies the loss divides the accuracy, and what is added is taken off: `power` with a weight of 0.07 is
        MnasNet's accuracy * (cost / target) ^ -0.07.

        Args:
            accuracy: a fraction.
            cost: of one network.
            unit: of the cost, what counts as 1 where a logarithm is taken.

        Raises:
            InputError: a logarithm is not above 0.

        Source: ProxylessNAS (Cai et al. 2019), section 3.3.2; MnasNet (Tan et al. 2019), equation 2.

        Example:
            >>> import torch
            >>> hard = CostLoss(form="power", weight=1.0, target=100, above_only=True)
            >>> [hard.reward(torch.tensor(0.5), torch.tensor(cost)).item() for cost in (50.0, 200.0)]
            [0.5, 0.25]
        """
        if self.form == "sum":
            return accuracy - self(torch.zeros_like(accuracy), cost, unit=unit)
        return accuracy / self(torch.ones_like(accuracy), cost, unit=unit)


@dataclass(frozen=True, slots=True, kw_only=True)
class GradientConfig:
    """How the architecture is learned beside the weights.

    Attributes:
        way: `paths`, ProxylessNAS's: one path is trained, two are compared; `reinforce`, ProxylessNAS's other one: one
            path is trained, and of several that are drawn those above the average become likelier; `gumbel`, FBNet's:
            all are mixed.
        learning_rate: of the architecture parameters, by Adam.
        betas: of Adam.
        weight_decay: of the architecture parameters.
        spread: standard deviation of the first architecture parameters.
        warmup: fraction of the epochs, at the start, in which only weights are trained.
        every: steps of the weights for each step of the architecture; None for FBNet's turns of epochs: after the steps
            of an epoch, the architecture learns from each held-out image once.
        held_out: fraction of the training images that only the architecture learns from.
        members: networks that are drawn and judged in each step of `reinforce`.
        first_temperature: of the Gumbel softmax.
        last_temperature: in the last epoch; between the two it falls by one factor per epoch.
        cost_loss: how the cost counts.

    Raises:
        RecipeError: a field cannot have that value.

    Example:
        >>> GradientConfig(way="paths", learning_rate=0.006, warmup=0.25).warmup_epochs(120)
        30
    """

    way: Way
    learning_rate: float
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    spread: float = 1e-3
    warmup: float = 0.1
    every: int | None = 4
    held_out: float = 0.2
    members: int = 10
    first_temperature: float = 5.0
    last_temperature: float = 0.1
    cost_loss: CostLoss = field(default_factory=CostLoss)

    def __post_init__(self) -> None:
        check_choice("way", self.way, get_args(Way))
        if self.every is not None:
            check_integer("every", self.every, minimum=1)
        check_integer("members", self.members, minimum=2)
        check_numbers(self, "", _RANGES)
        if not all(0 <= beta < 1 for beta in self.betas):
            raise RecipeError(f"betas must be two numbers from 0 to below 1, not {self.betas!r}.")

    def temperature(self, epoch: int, epochs: int) -> float:
        """The temperature of an epoch, counted from 0, of so many.

        Example:
            >>> round(fbnet().temperature(1, 90) / fbnet().temperature(0, 90), 3)  # the paper's exp(-0.045)
            0.956
        """
        share = epoch / (epochs - 1) if epochs > 1 else 1.0
        factor = self.last_temperature / self.first_temperature
        return self.first_temperature * math.pow(factor, share)

    def warmup_epochs(self, epochs: int) -> int:
        """How many of the epochs train the weights only; at least one is left."""
        return min(round(self.warmup * epochs), epochs - 1)


def proxylessnas(
    *,
    cost_loss: CostLoss = CostLoss(form="none"),
    updates: int | None = None,
    reinforce: bool = False,
) -> GradientConfig:
    """ProxylessNAS's way: binary gates, two paths compared, weights and architecture apart.

    Published: 40 epochs of warm-up and 120 of search, one architecture step for five of the weights, Adam at 1e-3
    without momentum. Those settings take 120,000 steps; a short search would end before anything is decided.
    By REINFORCE there are 300 architecture steps in an epoch of 4,800, ten networks in each.

    Args:
        cost_loss: how the cost counts.
        updates: architecture steps of the search, if few: the rate is raised so that parameters can move by 10.
        reinforce: whether the architecture learns by REINFORCE, which needs no gradient of the cost.

    Source: ProxylessNAS (Cai et al. 2019), sections 3.2, 3.3.2 and 4.2, and released code; 50,000 of 1.28 million
    images are held out there, here a fifth as in FBNet, since data sets are smaller.

    Example:
        >>> proxylessnas().learning_rate, proxylessnas(updates=500).learning_rate
        (0.001, 0.02)
    """
    return GradientConfig(
        way="reinforce" if reinforce else "paths",
        learning_rate=_rate(1e-3, updates),
        betas=(0.0, 0.999),
        warmup=0.25,
        every=16 if reinforce else 5,
        cost_loss=cost_loss,
    )


def fbnet(*, cost_loss: CostLoss | None = None, updates: int | None = None) -> GradientConfig:
    """FBNet's way: all candidates mixed by a Gumbel softmax that gets ever colder.

    Published: 90 epochs, the first ten without the architecture, weights on 80% of the images and the architecture on
    20% (here in turns of four steps and one; `paper_config` has the paper's turns of epochs), Adam at 0.01 with a decay
    of 5e-4, temperature 5 times exp(-0.045) each epoch.

    Args:
        cost_loss: how the cost counts; by default the paper's: scale 0.2, weight 0.6. The paper's unit of latency
            is not printed; see `PieceCost.unit` for ours.
        updates: architecture steps of the search, if few: the rate is raised so that parameters can move by 10.

    Source: FBNet (Wu et al. 2019), sections 3.2, 3.3 and 4.1; some numbers from re-implementations.

    Example:
        >>> fbnet().learning_rate, fbnet().cost_loss.weight
        (0.01, 0.6)
    """
    return GradientConfig(
        way="gumbel",
        learning_rate=_rate(1e-2, updates),
        weight_decay=5e-4,
        warmup=10 / 90,
        every=4,
        first_temperature=5.0,
        last_temperature=5.0 * math.exp(-0.045 * 89),
        cost_loss=cost_loss or CostLoss(form="logarithm", weight=0.6, scale=0.2),
    )


def paper_config(searcher: str, *, target: float, reinforce: bool = False) -> GradientConfig:
    """A searcher as its paper has it: its loss with the cost in it, and its rates.

    FBNet: CE * 0.2 * log(cost)^0.6, where cheaper is always better; Adam at 0.01; in each epoch first the weights, then
    the architecture. ProxylessNAS: CE + 0.1 * E[cost] / target, whose factor is the released code's, and Adam at 0.006;
    by REINFORCE the reward accuracy * (cost / target)^-0.07, and 0.01. The paper's third term, the decay of the
    weights, is the recipe's.

    Args:
        searcher: `proxylessnas` or `fbnet`.
        target: the cost that is aimed at, in its own unit; FBNet's loss has none.
        reinforce: ProxylessNAS's variant without a gradient of the cost.

    Raises:
        InputError: there is no such searcher, or it has no such variant.

    Source: FBNet (Wu et al. 2019), equation 2 and section 4.1; ProxylessNAS (Cai et al. 2019), equation 7, sections
    3.3.2 and 4.1 (on images of 32 px; on ImageNet the rate is 0.001), and released code.

    Example:
        >>> paper_config("fbnet", target=4e6).every is None, paper_config("proxylessnas", target=4e6).learning_rate
        (True, 0.006)
    """
    check_choice("searcher", searcher, GRADIENT_SEARCHERS)
    if searcher == "fbnet":
        if reinforce:
            raise InputError("REINFORCE is a variant of proxylessnas; fbnet has none: leave it out.")
        return replace(fbnet(), every=None)
    if reinforce:
        reward = CostLoss(form="power", weight=0.07, target=target)
        return replace(proxylessnas(cost_loss=reward, reinforce=True), learning_rate=0.01)
    added = CostLoss(form="sum", weight=0.1, target=target)
    return replace(proxylessnas(cost_loss=added), learning_rate=0.006)


def budget_config(searcher: str, *, limit: float, updates: int, reinforce: bool = False) -> GradientConfig:
    """A searcher with a pressure above a limit alone: the loss, or the reward, by the excess.

    Below the limit only the accuracy counts, so that the cost settles near it, and the rates are such that few steps
    can decide something.

    Args:
        searcher: `proxylessnas` or `fbnet`.
        limit: of the cost, in its own unit.
        updates: architecture steps of the search.
        reinforce: ProxylessNAS's variant without a gradient of the cost.

    Raises:
        InputError: there is no such searcher, or it has no such variant.

    Example:
        >>> budget_config("fbnet", limit=4e6, updates=500).cost_loss.above_only
        True
    """
    check_choice("searcher", searcher, GRADIENT_SEARCHERS)
    loss = CostLoss(form="power", weight=_PRESSURE, target=limit, above_only=True)
    if searcher == "proxylessnas":
        return proxylessnas(cost_loss=loss, updates=updates, reinforce=reinforce)
    if reinforce:
        raise InputError("REINFORCE is a variant of proxylessnas; fbnet has none: leave it out.")
    return fbnet(cost_loss=loss, updates=updates)


def _rate(published: float, updates: int | None) -> float:
    """The published rate, or more where few steps are to decide."""
    return published if updates is None else max(published, min(_FASTEST, _TRAVEL / max(1, updates)))
