"""What networks of a distribution cost on average: exact, and differentiable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from allometry.arch import Padding, Piece, Shape
from allometry.base import InputError
from allometry.cost import MEASURES, LatencyTable, Measure, as_measure, count_piece
from allometry.nas.gradient.choices import Choices, Group, Layer
from allometry.nas.lookup import PieceCostFn

_MICROSECOND = 1e-6


@dataclass(frozen=True, slots=True)
class LayerCost:
    """A cost of networks that is a sum over their stem, blocks and head.

    Attributes:
        name: such as `macs`.
        of: what a piece costs, given the network's padding.
        base: what every network costs besides.
        unit: what counts as 1 where a logarithm is taken.

    Example:
        >>> layers = LayerCost("layers", lambda piece, padding: 1.0)
        >>> layers.base
        0.0
    """

    name: str
    of: PieceCostFn
    base: float = 0.0
    unit: float = 1.0


def counted(measure: Measure | str) -> LayerCost:
    """A cost that is counted, of a measure that is a sum over layers.

    Raises:
        InputError: the measure is another; memory is no sum over layers.

    Example:
        >>> counted("macs").name
        'macs'
    """
    measure = as_measure(measure)
    of_counts = measure.count
    if of_counts is None or not measure.additive:
        possible = ", ".join(known.name for known in MEASURES if known.additive)
        raise InputError(
            f"A search by gradient can lower {possible} or a table's {LatencyTable.measure.name}, not "
            f"{measure.name!r}, which is no sum over layers."
        )
    return LayerCost(measure.name, lambda piece, padding: float(of_counts(count_piece(piece, padding))))


def predicted(table: LatencyTable) -> LayerCost:
    """The latency in seconds that a table predicts, with its correction; one microsecond is the unit.

    Source: ProxylessNAS (Cai et al. 2019), section 3.3.1; FBNet (Wu et al. 2019), section 3.2.

    Example:
        >>> from allometry.arch import pieces
        >>> from allometry.catalog import get
        >>> from allometry.cost import RuntimeConfig
        >>> from allometry.cost.latency import key_of
        >>> b0 = get("efficientnet-b0")
        >>> table = LatencyTable(
        ...     space="b0 alone",
        ...     runtime_config=RuntimeConfig(),
        ...     machine_info={},
        ...     seconds={key_of(piece): 0.001 for piece in pieces(b0)},
        ...     labels={},
        ... )
        >>> latency = predicted(table)
        >>> latency.name, round(sum(latency.of(piece, b0.padding) for piece in pieces(b0)), 6)
        ('latency', 0.018)
    """
    correction = table.correction

    def line(piece: Piece, _padding: Padding) -> float:
        seconds, number, elements = table.features_of((piece,))
        return correction.scale * seconds + correction.per_piece * number + correction.per_element * elements

    return LayerCost(table.measure.name, line, base=correction.base, unit=_MICROSECOND)


class ExpectedCost:
    """The expected cost of the networks of a distribution over decisions.

    Decisions are independent, a layer's input does not depend on them, and a cost is a sum over layers: so the
    expectation is the sum over layers of the probability that the layer is there, times the mean over its candidates,
    without any approximation.

    Args:
        choices: what is decided.
        cost: of each piece.
        device: of the distribution.

    Raises:
        InputError: a latency table lacks a line.

    Source: ProxylessNAS (Cai et al. 2019), section 3.3.1.

    Example:
        >>> from allometry.nas.gradient import choices_of
        >>> from allometry.catalog import find_space
        >>> choices = choices_of(find_space("fbnet"))
        >>> alike = [torch.full((len(one.options),), 1 / len(one.options)) for one in choices.decisions]
        >>> layers = ExpectedCost(choices, LayerCost("layers", lambda piece, padding: 1.0))
        >>> round(layers(alike).item(), 4)  # stem and head, 0.5 + 5 * 2.5 + 1 layers
        16.0
    """

    def __init__(
        self, choices: Choices, cost: LayerCost, *, device: torch.device = torch.device("cpu")
    ) -> None:
        frame = choices.frame
        padding = frame.padding
        stem = Piece(frame.stem, Shape(frame.in_channels, frame.resolution))
        head = Piece(frame.head, frame.shapes()[-1])
        self.choices, self.cost = choices, cost
        self.fixed = cost.base + cost.of(stem, padding) + cost.of(head, padding)
        self._groups = [
            (
                group,
                [_option_costs(layer, cost, padding, device) for layer in group.layers],
                _there(group, device),
            )
            for group in choices.groups
        ]

    def __call__(self, weights: Sequence[Tensor]) -> Tensor:
        """The mean cost, float64 [], under these weights of each decision's options, [options] each."""
        doubles = [weight.double() for weight in weights]
        total = doubles[0].new_tensor(self.fixed)
        for group, layer_costs, there in self._groups:
            means = torch.stack(
                [
                    cost @ joint(layer, doubles) if layer.decisions else cost[0]
                    for layer, cost in zip(group.layers, layer_costs, strict=True)
                ]
            )
            total = total + (means.sum() if group.depth is None else means @ (there @ doubles[group.depth]))
        return total

    def table(self) -> list[list[float]]:
        """The costs of every layer's options, and what all members share: what a search's identity depends on."""
        return [
            [self.fixed],
            *(cost.tolist() for _, layer_costs, _ in self._groups for cost in layer_costs),
        ]


def joint(layer: Layer, weights: Sequence[Tensor]) -> Tensor:
    """The weights of all combinations of the options that decide a layer, [combinations]."""
    first, *rest = layer.decisions
    product = weights[first]
    for number in rest:
        product = (product[:, None] * weights[number]).flatten()
    return product


def _option_costs(layer: Layer, cost: LayerCost, padding: Padding, device: torch.device) -> Tensor:
    """What each combination of a layer's options costs."""
    layer_costs = [cost.of(Piece(block, layer.source), padding) for block in layer.candidates]
    return torch.tensor([layer_costs[number] for number in layer.chosen], dtype=torch.float64, device=device)


def _there(group: Group, device: torch.device) -> Tensor:
    """Whether each layer is there with each depth, [layers, depths] of 0 and 1."""
    depths = torch.tensor(group.depths)
    layers = torch.arange(len(group.layers))
    return (layers[:, None] < depths).to(device, torch.float64)
