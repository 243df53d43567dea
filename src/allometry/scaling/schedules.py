"""Growth in steps during one training: which network from which epoch on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from allometry.arch import Network, RegularBlock, graph_of
from allometry.base import InputError
from allometry.base.reading import UnreadableError, parse_integer
from allometry.base.text import shown
from allometry.base.units import format_quantity
from allometry.cost import Budget, Cost, MeasureFn, count, parse_budget
from allometry.scaling.laws import COMPOUND, ScalingLaw
from allometry.scaling.neighborhood import Grower, one_step_larger
from allometry.scaling.solving import solve

_STEP = re.compile(r"(?P<budget>[^@]*)@(?P<epoch>[^@]*)")
_EXAMPLE = "Write budgets with the epochs that they begin at, such as '5M@2, 10M@5' or '2x@4'."


class GrowthStep(NamedTuple):
    """A network of a training that grows.

    Attributes:
        budget: of the network.
        epoch: that it begins at, counted from 1.

    Example:
        >>> from allometry.cost import parse_budget
        >>> GrowthStep(parse_budget("5M"), 2).epoch
        2
    """

    budget: Budget
    epoch: int


def parse_growth(text: str, reference: Cost | None = None) -> tuple[GrowthStep, ...]:
    """Read in what steps a network grows: budgets, each with the epoch that it begins at.

    Args:
        text: such as `5M@2, 10M@5`, `2x@4` or `macs<=5M, params<=1M@3`.
        reference: cost of the first network, of which `2x` is a multiple.

    Raises:
        InputError: the text cannot be read, or its epochs do not follow each other.
        BudgetError: one of its budgets cannot be read.

    Example:
        >>> [(str(step.budget), step.epoch) for step in parse_growth("5M@2, macs<=10M, params<=1M@5")]
        [('macs <= 5.00M', 2), ('macs <= 10.0M, params <= 1.00M', 5)]
        >>> parse_growth("5M")
        Traceback (most recent call last):
            ...
        allometry.base.errors.InputError: Cannot read the growth '5M': '5M' has no epoch. Write budgets with ...
    """
    if not isinstance(text, str):
        raise InputError(f"A growth is a text, not a {type(text).__name__}. {_EXAMPLE}")
    steps = [
        GrowthStep(parse_budget(budget, reference), _epoch(text, epoch))
        for budget, epoch in _budgets_and_epochs(text)
    ]
    last = 1
    for step in steps:
        if not step.budget.is_counted:
            raise InputError(
                f"The growth {shown(text)} limits what is measured on a device, {step.budget}: a training grows by "
                "counts, such as 10M, params<=5M or 2x."
            )
        if step.epoch <= last:
            before = (
                "the first network has epoch 1" if last == 1 else f"the step before begins at epoch {last}"
            )
            raise InputError(
                f"The growth {shown(text)} begins a network at epoch {step.epoch}, but {before}; let the epochs rise."
            )
        last = step.epoch
    return tuple(steps)


def _budgets_and_epochs(text: str) -> Iterator[tuple[str, str]]:
    """The parts of a growth: a budget may have commas of its own, and ends with its epoch."""
    limits: list[str] = []
    for part in text.split(","):
        match = _STEP.fullmatch(part)
        limits.append(match["budget"] if match else part)
        if match:
            yield ",".join(limits), match["epoch"]
            limits = []
    if limits:
        raise InputError(
            f"Cannot read the growth {shown(text)}: {shown(','.join(limits).strip())} has no epoch. {_EXAMPLE}"
        )


def _epoch(text: str, epoch: str) -> int:
    try:
        return parse_integer(epoch.strip())
    except UnreadableError as error:
        raise InputError(
            f"Cannot read the growth {shown(text)}: the epoch {shown(epoch.strip())} is no whole number. {_EXAMPLE}"
        ) from error


def growth_networks(
    network: Network,
    steps: Sequence[GrowthStep],
    *,
    law: ScalingLaw = COMPOUND,
    largest_resolution: int | None = None,
) -> tuple[Network, ...]:
    """The networks of a training that grows, after the first, each of which the one before grows into.

    They are the largest networks of the law within their budgets, as `solve` finds them. Where one of these is
    narrower, shallower or sees smaller images than the one before, as may be where budgets are near each other, the
    network before is grown layer by layer and step by step instead.

    Args:
        network: the first one.
        steps: budgets in the order of their epochs.
        law: by which it grows.
        largest_resolution: the resolution stops growing here.

    Raises:
        BudgetError: no network of the law is within a budget.
        InputError: a network is not larger than the one before.

    Example:
        >>> from allometry.catalog import get
        >>> networks = growth_networks(get("efficientnet-b0"), parse_growth("600M@2, 1G@4"))
        >>> [network.resolution for network in networks]
        [224, 238]
    """
    networks: list[Network] = []
    for step in steps:
        before = networks[-1] if networks else network
        problem = _Step(network, before, step.budget, law, largest_resolution)
        networks.append(_settled(problem, step.epoch))
    return tuple(networks)


def resized_network(
    network: Network,
    budget: Budget,
    *,
    law: ScalingLaw = COMPOUND,
    largest_resolution: int | None = None,
    measure: MeasureFn | None = None,
) -> Network:
    """The network of a law within a budget that a trained one grows or shrinks into; itself where it has that size.

    Args:
        network: the trained one.
        budget: of the new one.
        law: by which it grows or shrinks.
        largest_resolution: the resolution stops growing here.
        measure: says what a network takes on a device, where the budget limits that.

    Raises:
        BudgetError: no network of the law is within the budget.
        InputError: the network would grow in one dimension and shrink in another.

    Example:
        >>> from allometry.catalog import get
        >>> from allometry.cost import parse_budget
        >>> b0 = get("efficientnet-b0")
        >>> sizes = [resized_network(b0, parse_budget(text)).depth for text in ("100M", "1G")]
        >>> sizes[0] < b0.depth < sizes[1]
        True
    """
    solution = solve(network, budget, law=law, largest_resolution=largest_resolution, measure=measure)
    if solution.network == network:
        return network

    def inherits(new: Network) -> bool:
        return grows_into(network, new) or shrinks_into(network, new)

    if inherits(solution.network):
        return solution.network
    exact = Grower.of(network, law, largest_resolution)(law.multipliers(solution.phi))
    if inherits(exact):
        if measure is None:
            exact = _refined(exact, budget, law, largest_resolution, inherits)
        return replace(exact, name=solution.network.name)
    if measure is None and budget.allows(count(network)):
        (found,) = growth_networks(
            network, (GrowthStep(budget, 2),), law=law, largest_resolution=largest_resolution
        )
        return found
    raise InputError(
        f"Within {budget} this law makes {network.name or 'the network'} larger in one dimension and smaller in "
        "another; take a budget further away, or a law of one dimension (depth, width, resolution)."
    )


class _Step(NamedTuple):
    """What a network grows to next.

    Attributes:
        first: network of the training.
        before: the network that grows.
        budget: of the next one.
        law: by which it grows.
        largest_resolution: the resolution stops growing here.
    """

    first: Network
    before: Network
    budget: Budget
    law: ScalingLaw
    largest_resolution: int | None


def _settled(step: _Step, epoch: int) -> Network:
    """The network of a step."""
    solution = None
    for origin in (step.first, step.before):
        solution = solve(origin, step.budget, law=step.law, largest_resolution=step.largest_resolution)
        if grows_into(step.before, solution.network):
            return solution.network
    assert solution is not None  # noqa: S101
    was, now = count(step.before).macs, solution.cost.macs
    exact = Grower.of(step.first, step.law, step.largest_resolution)(step.law.multipliers(solution.phi))
    larger = partial(grows_into, step.before)
    found = [
        _refined(start, step.budget, step.law, step.largest_resolution, larger)
        for start in (step.before, exact)
        if step.budget.allows(count(start)) and (start == step.before or larger(start))
    ]
    fitting = [one for one in found if grows_into(step.before, one)]
    if fitting:
        best = max(fitting, key=lambda one: step.budget.use(count(one)))
        return replace(best, name=solution.network.name)
    if now <= was:
        raise InputError(
            f"The network of {step.budget} at epoch {epoch} has {format_quantity(now)} MACs and the one before it "
            f"{format_quantity(was)}: a training grows from small to large; raise the budget."
        )
    raise InputError(
        f"{step.before.name or 'The network'} does not grow to {step.budget} with its weights: some blocks would add "
        "their input that do not now, or the other way around. Take a larger budget, another law, or another first "
        "network."
    )


def _refined(
    start: Network,
    budget: Budget,
    law: ScalingLaw,
    largest_resolution: int | None,
    inherits: Callable[[Network], bool],
) -> Network:
    """A network, single layers of which are enlarged as long as they fit and it inherits."""
    current = start
    while True:
        larger = list(one_step_larger(current, start, law))
        if law.gamma > 1 and current.resolution < (largest_resolution or current.resolution + 1):
            larger.append(replace(current, resolution=current.resolution + 1))
        fitting = [one for one in larger if budget.allows(count(one)) and inherits(one)]
        if not fitting:
            return current
        current = max(fitting, key=lambda one: budget.use(count(one)))


def grows_into(old: Network, new: Network) -> bool:
    """Whether a network is another one made larger, block by block, so that it can inherit its weights.

    Example:
        >>> from allometry.catalog import get
        >>> from allometry.arch import apply_multipliers
        >>> b0 = get("efficientnet-b0")
        >>> wide, deep = apply_multipliers(b0, width=1.5), apply_multipliers(b0, depth=2)
        >>> grows_into(b0, wide), grows_into(wide, deep)
        (True, False)
    """
    sizes = [_sizes(network) for network in (old, new)]
    if len(sizes[0]) != len(sizes[1]) or any(before > after for before, after in zip(*sizes, strict=True)):
        return False
    forms = [_forms(network) for network in (old, new)]
    return old != new and all(forms[1].get(place) == form for place, form in forms[0].items())


def shrinks_into(old: Network, new: Network) -> bool:
    """Whether a network is another one made smaller: in no dimension larger, and in one smaller.

    Example:
        >>> from allometry.catalog import get
        >>> shrinks_into(get("efficientnet-b1"), get("efficientnet-b0"))
        True
    """
    sizes = [_sizes(network) for network in (old, new)]
    same_form = len(sizes[0]) == len(sizes[1]) and len(old.groups) == len(new.groups)
    return old != new and same_form and all(before >= after for before, after in zip(*sizes, strict=True))


def _sizes(network: Network) -> list[int]:
    """Everything that only grows."""
    blocks = [group[0].block for group in network.groups]
    widths = [block.channels if isinstance(block, RegularBlock) else 0 for block in blocks]
    head = [network.head.channels or 0, network.head.hidden or 0]
    repeats = [sum(stage.repeats for stage in group) for group in network.groups]
    return [network.resolution, network.stem.channels, *head, *widths, *repeats]


def _forms(network: Network) -> dict[tuple[int, int], tuple[str, ...]]:
    """The names of each block's nodes, by group of stages and layer in it."""
    forms: dict[tuple[int, int], tuple[str, ...]] = {}
    group, layer, last = -1, 0, -1
    for placed in network.blocks():
        if placed.stage != last and not network.stages[placed.stage].continues:
            group, layer = group + 1, 0
        cell = graph_of(placed.block, placed.source.channels)
        forms[group, layer] = tuple(node.name for node in cell.nodes)
        layer, last = layer + 1, placed.stage
    return forms
