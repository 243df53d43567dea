"""The networks around a point of a law, where rounding has left gaps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from allometry.arch import Block, Network, RegularBlock, Stage, apply_multipliers, min_resolution
from allometry.cost import Budget, Cost, Pricing
from allometry.scaling.laws import Multipliers, ScalingLaw

_NEAR_ENOUGH = 0.995  # from this use on, closeness to the law counts more than the last bit of the budget
_WINDOW = 0.12  # how far depth and width may each leave the law, as a fraction
_STEPS = 40  # samples of a window on each side; a step is finer than the rounding of any usual network
_REFINED = 8  # this many of the nearest networks are filled up layer by layer
_STEP_DISTANCE = 0.01  # what a change of one layer counts as, beside the logarithms of the multipliers


@dataclass(frozen=True, slots=True)
class NearbyNetwork:
    """A network near the law, with its cost, its use of the budget and its distance from the law."""

    network: Network
    cost: Cost
    multipliers: Multipliers
    use: float
    distance: float


@dataclass(frozen=True, slots=True)
class Grower:
    """How multipliers become a network, with the resolution kept between its floor and its ceiling."""

    network: Network
    law: ScalingLaw
    largest_resolution: int | None
    floor: int

    @classmethod
    def of(cls, network: Network, law: ScalingLaw, largest_resolution: int | None) -> Grower:
        """The growth of `network` by `law`.

        The floor is one pixel of the last feature map, or more where layers without padding need it.
        """
        baseline = network.resolution
        floor = max(min(network.total_stride, baseline), min_resolution(network))
        return cls(network, law, largest_resolution, floor)

    def bounded(self, multipliers: Multipliers) -> Multipliers:
        """The multipliers, as far as floor and ceiling let the resolution go."""
        baseline = self.network.resolution
        ceilings = (self.law.ceiling(self.network), self.largest_resolution)
        most = min((pixels for pixels in ceilings if pixels is not None), default=math.inf)
        pixels = max(self.floor, min(most, baseline * multipliers.resolution))
        return multipliers._replace(resolution=pixels / baseline)

    def __call__(self, multipliers: Multipliers) -> Network:
        """The network with these multipliers, bounded."""
        return self.seeing(self.body(multipliers.depth, multipliers.width), multipliers)

    def body(self, depth: float, width: float) -> Network:
        """The network with these multipliers of its layers, at its own resolution."""
        return apply_multipliers(
            self.network,
            depth=depth,
            width=width,
            late_stage_bias=self.law.late_stage_bias,
            channel_multiple=self.law.channel_multiple,
        )

    def seeing(self, body: Network, multipliers: Multipliers) -> Network:
        """The body at the resolution of these multipliers, bounded."""
        resolution = self.bounded(multipliers).resolution
        pixels = max(1, round(body.resolution * resolution))
        return body if pixels == body.resolution else replace(body, resolution=pixels)


def best_near(
    network: Network, budget: Budget, law: ScalingLaw, center: Multipliers, grow: Grower, price: Pricing
) -> NearbyNetwork:
    """The best network that fits by its price, of those around `center`, which must itself fit."""
    networks = [nearby for nearby in _neighbors(network, budget, law, center, grow, price) if nearby.use <= 1]
    for nearby in sorted(networks, key=lambda nearby: nearby.distance)[:_REFINED]:
        networks.extend(_refinements(nearby, budget, law, price))
    return _best(networks)


def _neighbors(
    network: Network, budget: Budget, law: ScalingLaw, center: Multipliers, grow: Grower, price: Pricing
) -> Iterator[NearbyNetwork]:
    """Networks that fit, with depth and width near the law's, and for each the largest resolution that fits."""

    def candidate(multipliers: Multipliers, body: Network) -> NearbyNetwork:
        grown = grow.seeing(body, multipliers)
        cost = price(grown)
        distance = sum(abs(math.log(ours / laws)) for ours, laws in zip(multipliers, center, strict=True))
        return NearbyNetwork(grown, cost, grow.bounded(multipliers), budget.use(cost), distance)

    yield candidate(center, grow.body(center.depth, center.width))
    depths = _distinct(
        center.depth,
        law.alpha,
        lambda d: tuple(
            s.repeats for s in apply_multipliers(network, depth=d, late_stage_bias=law.late_stage_bias).stages
        ),
    )
    widths = _distinct(
        center.width,
        law.beta,
        lambda w: _widths(apply_multipliers(network, width=w, channel_multiple=law.channel_multiple)),
    )
    for depth in depths:
        for width in widths:
            multipliers, body = Multipliers(depth, width, center.resolution), grow.body(depth, width)
            if law.gamma == 1:
                nearby = candidate(multipliers, body)
            else:
                nearby = _sharpest(partial(candidate, body=body), multipliers, network.resolution)
            if nearby.use <= 1:
                yield nearby


def _sharpest(
    candidate: Callable[[Multipliers], NearbyNetwork], start: Multipliers, baseline: int
) -> NearbyNetwork:
    """The candidate with the largest resolution in the window that fits, or the smallest one if none does."""
    center = start.resolution * baseline
    low, high = max(1, math.floor(center * (1 - _WINDOW))), math.ceil(center * (1 + _WINDOW))
    best = candidate(start._replace(resolution=low / baseline))
    while low < high and best.use <= 1:
        middle = (low + high + 1) // 2
        tried = candidate(start._replace(resolution=middle / baseline))
        if tried.use <= 1:
            low, best = middle, tried
        else:
            high = middle - 1
    return best


def _distinct(center: float, coefficient: float, shape: Callable[[float], tuple[int, ...]]) -> list[float]:
    """Multipliers in the window that round to different shapes; of those that agree, the nearest to the law."""
    if coefficient == 1:
        return [center]
    multiplier_of: dict[tuple[int, ...], float] = {}
    for step in sorted(range(-_STEPS, _STEPS + 1), key=abs):
        value = center * (1 + _WINDOW * step / _STEPS)
        multiplier_of.setdefault(shape(value), value)
    return list(multiplier_of.values())


def _refinements(
    start: NearbyNetwork, budget: Budget, law: ScalingLaw, price: Pricing
) -> Iterator[NearbyNetwork]:
    """From a network that fits, enlarge single layers, each time by the step that uses most of the budget."""
    current = start
    while current.use < _NEAR_ENOUGH:
        larger = [
            replace(
                current,
                network=network,
                cost=cost,
                use=budget.use(cost),
                distance=current.distance + _STEP_DISTANCE,
            )
            for network in one_step_larger(current.network, start.network, law)
            if budget.allows(cost := price(network))
        ]
        better = max(larger, key=lambda candidate: candidate.use, default=current)
        if better.use <= current.use:
            return
        current = better
        yield current


def one_step_larger(network: Network, start: Network, law: ScalingLaw) -> Iterator[Network]:
    """Networks with one layer more in a stage, or a step more channels in one place, near where it started."""
    if law.beta > 1:
        yield from _one_step_wider(network, start, law.channel_multiple)
    for index, (stage, first) in enumerate(zip(network.stages, start.stages, strict=True)):
        if law.alpha > 1 and stage.deepens and stage.repeats == first.repeats:
            deeper = replace(stage, repeats=stage.repeats + 1)
            yield replace(network, stages=(*network.stages[:index], deeper, *network.stages[index + 1 :]))


def _one_step_wider(network: Network, start: Network, multiple: int) -> Iterator[Network]:
    stem, head = network.stem, network.head
    channels = stem.channels + multiple
    if not stem.fixed and _near(channels, start.stem.channels, multiple):
        yield replace(network, stem=replace(stem, channels=channels))
    if head.channels and start.head.channels and not head.fixed:
        channels = head.channels + multiple
        if _near(channels, start.head.channels, multiple):
            yield replace(network, head=replace(head, channels=channels))
    before: tuple[Stage, ...] = ()
    for group, first in zip(network.groups, start.groups, strict=True):
        after = network.stages[len(before) + len(group) :]
        wider = [_wider(stage, old.block, multiple) for stage, old in zip(group, first, strict=True)]
        if all(wider):
            yield replace(network, stages=(*before, *(stage for stage in wider if stage), *after))
        before += group


def _wider(stage: Stage, start: Block, multiple: int) -> Stage | None:
    """The stage with one step more channels, if it has a width and that is near where it started."""
    block = stage.block
    if not (isinstance(block, RegularBlock) and isinstance(start, RegularBlock)):
        return None
    channels = block.channels + math.lcm(multiple, block.channel_step)
    near = _near(channels, start.channels, multiple)
    return replace(stage, block=block.with_channels(channels)) if near else None


def _near(channels: int, start: int, multiple: int) -> bool:
    return channels <= start + max(multiple, _WINDOW * start)


def _best(fitting: list[NearbyNetwork]) -> NearbyNetwork:
    """Nearest to the law among those that use nearly all of the budget; else the one that uses most."""
    enough = [candidate for candidate in fitting if candidate.use >= _NEAR_ENOUGH]
    if enough:
        return min(enough, key=lambda candidate: (candidate.distance, -candidate.use))
    return max(fitting, key=lambda candidate: candidate.use)


def _widths(network: Network) -> tuple[int, ...]:
    blocks = (stage.block for stage in network.stages)
    widths = (block.channels for block in blocks if isinstance(block, RegularBlock))
    return (network.stem.channels, *widths, network.head.channels or 0)
