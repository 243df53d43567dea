"""What every supernet can do, whether its members are networks as data or a torch module's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerOptions:
    """How the layers of a supernet compute.

    Attributes:
        dropout: before the classifier in training; None for the networks' own.
        drop_rates: stochastic depth of the layers, by the name of their holder; none for those that are not named.
        frozen_statistics: batch norms use the greatest network's statistics in training, too.
        synchronize: in training batch norms look at the images of all processes.
        recompute: keep only what goes from layer to layer, and compute the inside again on the way back.
        compile: let `torch.compile` write each layer.

    Example:
        >>> LayerOptions(dropout=0.1).frozen_statistics
        False
    """

    dropout: float | None = None
    drop_rates: Mapping[str, float] = field(default_factory=dict)
    frozen_statistics: bool = False
    synchronize: bool = False
    recompute: bool = False
    compile: bool = False


class ElasticNet(nn.Module, ABC):
    """Modules in one set of weights, of which each uses a part.

    A member is given as data, or as what `subnet` makes of that once, which has it as its `network`.

    Attributes:
        options: how layers compute.
    """

    options: LayerOptions

    @abstractmethod
    def forward(self, x: Tensor, subnet: Any, *, regularized: bool = True) -> Tensor:  # noqa: ANN401 - see above
        """Logits, [N, classes], of a member; with `regularized=False` nothing of it is dropped in training."""

    @abstractmethod
    def set_options(self, options: LayerOptions) -> None:
        """Let the layers compute in another way from now on."""

    @abstractmethod
    def subnet(self, member: Any) -> Any:  # noqa: ANN401
        """A member, by itself or by its decisions, ready to compute."""

    @abstractmethod
    def extract(self, member: Any) -> nn.Module:  # noqa: ANN401
        """The module of a member with a copy of its weights; nothing of the supernet is in it."""

    @abstractmethod
    def load_largest(self, module: nn.Module) -> None:
        """Take over the weights of a trained module of the largest member."""
