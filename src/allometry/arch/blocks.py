"""The blocks that stages are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

from allometry.arch.checks import STRICT, check_integer, check_number, check_odd, check_one_of

if TYPE_CHECKING:
    from pydantic import ConfigDict

Activation = Literal["silu", "relu", "relu6", "hard_swish"]
ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)


@dataclass(frozen=True, slots=True, kw_only=True)
class MBConv:
    """The mobile inverted bottleneck: expand 1x1, depthwise k x k, squeeze-excite, project 1x1.

    With an expand ratio of 1 there is no expansion convolution. A block of stride 1 whose input has as many
    channels as its output adds its input (and stochastic depth may drop the rest in training).

    Attributes:
        channels: output channels.
        kernel: side of the depthwise kernel, odd.
        stride: of the depthwise convolution.
        expand_ratio: inner channels per input channel, at least 1.
        se_ratio: squeezed channels per *input* channel of the block (not per expanded one); 0 for no
            squeeze-excite.
        activation: after the expansion, the depthwise convolution and the squeeze.

    Raises:
        NetworkError: a field cannot have that value.

    Source: MobileNetV2 (Sandler et al. 2018); EfficientNet (Tan & Le 2019), section 4 and released code.

    Example:
        >>> MBConv(channels=24, kernel=5, stride=2)
        MBConv(24, k5, s2, e6, se0.25, silu)
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    channels: int
    kernel: int = 3
    stride: int = 1
    expand_ratio: float = 6.0
    se_ratio: float = 0.25
    activation: Activation = "silu"
    kind: Literal["mbconv"] = "mbconv"

    def __post_init__(self) -> None:
        check_integer(self, "channels")
        check_odd(self, "kernel")
        check_integer(self, "stride")
        check_number(self, "expand_ratio", least=1)
        check_number(self, "se_ratio", least=0)
        check_one_of(self, "activation", ACTIVATIONS)
        check_one_of(self, "kind", ["mbconv"])

    def expanded(self, in_channels: int) -> int:
        """Channels inside the block, of the depthwise convolution.

        Example:
            >>> MBConv(channels=24).expanded(16)
            96
        """
        return round(in_channels * self.expand_ratio)

    def squeezed(self, in_channels: int) -> int:
        """Channels of the squeeze, at least 1; 0 where the block has no squeeze-excite.

        Example:
            >>> MBConv(channels=24).squeezed(16), MBConv(channels=24, se_ratio=0).squeezed(16)
            (4, 0)
        """
        return max(1, int(in_channels * self.se_ratio)) if self.se_ratio else 0

    def has_residual(self, in_channels: int) -> bool:
        """Whether the block adds its input to its output.

        Example:
            >>> MBConv(channels=24).has_residual(24), MBConv(channels=24, stride=2).has_residual(24)
            (True, False)
        """
        return self.stride == 1 and self.channels == in_channels

    def __repr__(self) -> str:
        se = f"se{self.se_ratio:g}" if self.se_ratio else "no se"
        parts = f"{self.channels}, k{self.kernel}, s{self.stride}, e{self.expand_ratio:g}, {se}, {self.activation}"
        return f"MBConv({parts})"


# Every kind of block; a network's JSON names the kind.
Block = MBConv
