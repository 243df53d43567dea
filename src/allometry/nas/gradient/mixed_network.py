"""One network with every candidate of each layer in it, and how a step mixes their outputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from allometry.arch import Network, PlacedBlock
from allometry.nas.encodings import network_of
from allometry.nas.gradient.choices import Choices, Group, Layer
from allometry.nas.gradient.costs import joint
from allometry.nas.gradient.distribution import Distribution
from allometry.nn import ConvNet, build, initialize
from allometry.nn.blocks import make_block
from allometry.training import Recipe


class MixedNetwork(nn.Module):
    """Every network of a space at once: each layer has one module per candidate block, with weights of its own.

    How much of it computes is said by the mixture that it is called with. Where a depth is open, what leaves a group
    of layers is the mixture of what its layers gave at the possible depths.

    Args:
        choices: what is decided.
        recipe: whose dropout, batch-norm momentum and stochastic depth hold; None for the network's own. That of the
            network is left out, since layers come and go anyway.

    Shape:
        [N, in_channels, resolution, resolution] -> [N, classes]

    Source: FBNet (Wu et al. 2019), section 3.3; ProxylessNAS (Cai et al. 2019), section 3.1.

    Example, with a small `network`:
        >>> from allometry.catalog import mbconv_space
        >>> from allometry.nas.gradient import OnePath, choices_of
        >>> choices = choices_of(mbconv_space(network, kernels=(3, 5), depths=(1, 2)))
        >>> supernet = MixedNetwork(choices)
        >>> options = (1, 0, 1)  # two layers, of kernels 3 and 5
        >>> supernet(torch.zeros(2, 3, 8, 8), OnePath(options)).shape
        torch.Size([2, 2])
    """

    def __init__(self, choices: Choices, *, recipe: Recipe | None = None) -> None:
        super().__init__()
        self.choices, self.recipe = choices, recipe
        frame = choices.frame if recipe is None else recipe.applied_to(choices.frame)
        # Its stem and head serve all members; the layers between are those below.
        self.frame = ConvNet(replace(frame, stochastic_depth=0.0))
        self.frame.stages = nn.Sequential()
        deepest = 0.0 if recipe is None else recipe.stochastic_depth or 0.0
        rates = (deepest * number / frame.depth for number in range(frame.depth))  # as in a network by itself
        self.groups = nn.ModuleList(
            nn.ModuleList(_candidates(layer, frame, next(rates)) for layer in group.layers)
            for group in choices.groups
        )

    def forward(self, x: Tensor, mixture: Mixture) -> Tensor:
        """Logits, [N, classes], of a path or of a mixture of paths."""
        x = self.frame.pool(self.frame.stem(x))
        for group, modules in zip(self.choices.groups, self.groups, strict=True):
            x = self._group(group, cast(nn.ModuleList, modules), x, mixture)
        return self.frame.forward_head(self.frame.head(x))

    def candidates(self) -> Iterator[nn.Module]:
        """The modules of all layers' candidate blocks."""
        for group in self.groups:
            for layer in cast(nn.ModuleList, group):
                yield from cast(nn.ModuleList, layer)

    def extract(self, encoding: npt.NDArray[np.int8]) -> ConvNet:
        """The module of a member by itself, with a copy of the weights that it has here.

        Args:
            encoding: of the space.

        Raises:
            NetworkError: the encoding is no member.
        """
        network = network_of(self.choices.space, encoding)
        if self.recipe is not None:
            network = self.recipe.applied_to(network)
        plain = build(network, seed=0)
        for name in ("stem", "head", "hidden", "classifier"):
            plain.get_submodule(name).load_state_dict(self.frame.get_submodule(name).state_dict())
        blocks = chain.from_iterable(cast("list[nn.Sequential]", plain.stages))
        for block, own in zip(blocks, self._standing(self.choices.options(encoding)), strict=True):
            block.load_state_dict(own.state_dict())
        return plain

    def _standing(self, options: Sequence[int]) -> list[nn.Module]:
        """The modules of a path's layers, in order."""
        standing = []
        for group, modules in zip(self.choices.groups, self.groups, strict=True):
            there = group.depths[0 if group.depth is None else options[group.depth]]
            for layer, candidates in zip(group.layers[:there], cast(nn.ModuleList, modules), strict=False):
                standing.append(cast(nn.ModuleList, candidates)[self.choices.candidate(layer, options)])
        return standing

    def _group(self, group: Group, modules: nn.ModuleList, x: Tensor, mixture: Mixture) -> Tensor:
        """What leaves a group: the mixture of what its layers give at the depths that count."""
        active, *others = [0] if group.depth is None else mixture.kept(group.depth)
        beyond = group.depths[active]
        outs = [x]
        for place, layer in enumerate(
            group.layers[: max(group.depths[option] for option in (active, *others))]
        ):
            # What only a path that is not taken needs is worked out for its value, not for its layers' gradients.
            inactive = isinstance(mixture, TwoPaths) and place >= beyond
            with torch.set_grad_enabled(torch.is_grad_enabled() and not inactive):
                outs.append(self._layer(layer, cast(nn.ModuleList, modules[place]), outs[-1], mixture))
        if not others or group.depth is None or isinstance(mixture, OnePath):
            return outs[beyond]
        weights = mixture.weights[group.depth]
        out = weights[active] * outs[beyond]
        for option in others:
            out = out + weights[option] * outs[group.depths[option]]
        return out

    def _layer(self, layer: Layer, modules: nn.ModuleList, x: Tensor, mixture: Mixture) -> Tensor:
        if len(modules) == 1:
            return cast(Tensor, modules[0](x))
        if isinstance(mixture, OnePath):
            return cast(Tensor, modules[self.choices.candidate(layer, mixture.options)](x))
        if isinstance(mixture, Relaxed):
            return _relaxed(layer, modules, x, mixture)
        return self._two_paths(layer, modules, x, mixture)

    def _two_paths(self, layer: Layer, modules: nn.ModuleList, x: Tensor, mixture: TwoPaths) -> Tensor:
        """The active candidate, and for every gate that could open the other one, which adds its gradient alone.

        The gates of what is not active are 0: it adds nothing, and nothing but the gates need its gradient. So it is
        computed without keeping what is inside.
        """
        taken = mixture.active
        active = self.choices.candidate(layer, taken)
        out = cast(Tensor, modules[active](x))
        result = out
        for number in layer.decisions:
            if mixture.other[number] is not None:
                result = result * mixture.weights[number][taken[number]]
        for number in layer.decisions:
            other = mixture.other[number]
            if other is None:
                continue
            flipped = (*taken[:number], other, *taken[number + 1 :])
            candidate = self.choices.candidate(layer, flipped)
            with torch.no_grad():
                value = out.detach() if candidate == active else modules[candidate](x)
            result = result + mixture.weights[number][other] * value
        return result


def _relaxed(layer: Layer, modules: nn.ModuleList, x: Tensor, mixture: Relaxed) -> Tensor:
    """The sum of all candidates, each by its weight."""
    shares = joint(layer, mixture.weights)
    if len(shares) > len(modules):  # combinations that give one block share its module
        places = torch.tensor(layer.chosen, device=shares.device)
        numbers = torch.arange(len(modules), device=shares.device)
        shares = (places == numbers[:, None]).to(shares) @ shares
    out = shares[0] * modules[0](x)
    for number in range(1, len(modules)):
        out = out + shares[number] * modules[number](x)
    return cast(Tensor, out)


def _candidates(layer: Layer, frame: Network, drop_rate: float) -> nn.ModuleList:
    """The modules of all that can stand in a layer."""
    return nn.ModuleList(
        make_block(
            PlacedBlock(
                block,
                layer.source,
                layer.source,
                layer.out,
                layer.stage,
                drop_rate if block.has_residual(layer.source.channels) else 0.0,
            ),
            batch_norm=frame.batch_norm,
            padding=frame.padding,
        )
        for block in layer.candidates
    )


def build_mixed_network(choices: Choices, *, recipe: Recipe | None = None, seed: int) -> MixedNetwork:
    """A supernet with initial weights as `nn.build` draws them.

    Example, with a small `network`:
        >>> from allometry.catalog import mbconv_space
        >>> from allometry.nas.gradient import choices_of
        >>> supernet = build_mixed_network(choices_of(mbconv_space(network, kernels=(3, 5))), seed=0)
        >>> len(supernet.groups), all(bool(weight.isfinite().all()) for weight in supernet.parameters())
        (1, True)
    """
    with torch.device("meta"):
        module = MixedNetwork(choices, recipe=recipe)
    return cast(MixedNetwork, initialize(module.to_empty(device="cpu"), seed=seed))


@dataclass(frozen=True, slots=True)
class OnePath:
    """One member.

    Attributes:
        options: the number of the option of each decision.

    Example:
        >>> OnePath((1, 0, 1)).kept(2)
        (1,)
    """

    options: tuple[int, ...]

    def kept(self, decision: int) -> tuple[int, ...]:
        """The options of a decision that are computed."""
        return (self.options[decision],)


@dataclass(frozen=True, slots=True)
class TwoPaths:
    """Of each decision two options with binary gates: that of the active one is 1, the other's 0.

    Attributes:
        active: the option that is taken.
        other: the one that is compared with it; None where there is none.
        weights: the gates of each decision's options, [options] each, which gather gradients.

    Example:
        >>> gates = (torch.tensor([0.0, 1.0, 0.0]), torch.tensor([1.0]))
        >>> paths = TwoPaths(active=(1, 0), other=(2, None), weights=gates)
        >>> paths.kept(0), paths.kept(1)
        ((1, 2), (0,))
    """

    active: tuple[int, ...]
    other: tuple[int | None, ...]
    weights: tuple[Tensor, ...]

    def kept(self, decision: int) -> tuple[int, ...]:
        """The options of a decision that are computed, the active one first."""
        other = self.other[decision]
        return (self.active[decision],) if other is None else (self.active[decision], other)


@dataclass(frozen=True, slots=True)
class Relaxed:
    """All members, mixed in every layer.

    Attributes:
        weights: of each decision's options, [options] each, with a sum of 1.

    Example:
        >>> Relaxed((torch.tensor([0.25, 0.75]),)).kept(0)
        (0, 1)
    """

    weights: tuple[Tensor, ...]

    def kept(self, decision: int) -> tuple[int, ...]:
        """The options of a decision that are computed."""
        return tuple(range(len(self.weights[decision])))


Mixture = OnePath | TwoPaths | Relaxed


def draw_path(distribution: Distribution, random: np.random.Generator) -> OnePath:
    """One member by the distribution.

    Example:
        >>> from allometry.catalog import find_space
        >>> from allometry.nas.gradient import choices_of
        >>> even = Distribution(choices_of(find_space("fbnet")))
        >>> len(draw_path(even, np.random.default_rng(0)).options)
        28
    """
    return OnePath(tuple(_ranked(logs, random)[0] for logs in distribution.log_probabilities()))


def draw_two_paths(distribution: Distribution, random: np.random.Generator) -> TwoPaths:
    """Of each decision two different options by the distribution, and which of the two is active.

    Source: ProxylessNAS (Cai et al. 2019), section 3.2.1.

    Example:
        >>> from allometry.catalog import find_space
        >>> from allometry.nas.gradient import choices_of
        >>> even = Distribution(choices_of(find_space("fbnet")))
        >>> paths = draw_two_paths(even, np.random.default_rng(0))
        >>> all(active != other for active, other in zip(paths.active, paths.other, strict=True))
        True
    """
    active: list[int] = []
    other: list[int | None] = []
    gates: list[Tensor] = []
    for logs, logits in zip(distribution.log_probabilities(), distribution.logits, strict=True):
        first, *rest = _ranked(logs, random)[:2]
        beside = rest[0] if rest else None
        if beside is not None:
            # The pair is drawn; which of them is active is drawn again, by their probabilities alone.
            share = np.exp(logs[first] - np.logaddexp(logs[first], logs[beside]))
            if random.random() >= share:
                first, beside = beside, first
        gate = torch.zeros_like(logits, requires_grad=False)
        gate[first] = 1
        active.append(first)
        other.append(beside)
        gates.append(gate.requires_grad_(beside is not None))
    return TwoPaths(tuple(active), tuple(other), tuple(gates))


def draw_relaxed(distribution: Distribution, random: np.random.Generator, *, temperature: float) -> Relaxed:
    """The Gumbel softmax of each decision: a draw that the architecture parameters can be blamed for.

    Source: FBNet (Wu et al. 2019), section 3.3; Jang et al. 2017.

    Example:
        >>> from allometry.catalog import find_space
        >>> from allometry.nas.gradient import choices_of
        >>> even = Distribution(choices_of(find_space("fbnet")))
        >>> mixture = draw_relaxed(even, np.random.default_rng(0), temperature=5.0)
        >>> len(mixture.weights), round(mixture.weights[0].sum().item(), 4)
        (28, 1.0)
    """
    weights = []
    for logits in distribution.logits:
        noise = torch.from_numpy(random.gumbel(size=len(logits))).to(logits)
        weights.append(((logits + noise) / temperature).softmax(0))
    return Relaxed(tuple(weights))


def _ranked(logs: npt.NDArray[np.float64], random: np.random.Generator) -> list[int]:
    """All options, drawn one after the other without putting back: the order of their noisy logarithms."""
    order: list[int] = np.argsort(-(logs + random.gumbel(size=len(logs))), kind="stable").tolist()
    return order
