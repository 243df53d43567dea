"""The parts of a network around and between its blocks: stem, stage, head, batch norm."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from allometry.arch.blocks import Block
from allometry.arch.checks import (
    LATER,
    STRICT,
    check_flag,
    check_integer,
    check_number,
    check_odd,
    check_one_of,
)
from allometry.arch.convolutions import ACTIVATIONS, Activation
from allometry.arch.shapes import PADDINGS, Padding, conv_output_size
from allometry.base import NetworkError

if TYPE_CHECKING:
    from pydantic import ConfigDict


@dataclass(frozen=True, slots=True, kw_only=True)
class Stem:
    """The first convolution with batch norm and activation, and a max pool of stride 2 where there is one.

    Attributes:
        channels: output channels.
        kernel: side of the kernel, odd.
        stride: of the convolution.
        activation: None for none.
        padding: None for the network's.
        pool: side of the max pool's kernel, odd; 0 for no pool.
        fixed: growth leaves the channels as they are.

    Example:
        >>> Stem()
        Stem(32, k3, s2, silu)
        >>> Stem(channels=64, kernel=7, activation="relu", pool=3)
        Stem(64, k7, s2, relu, max pool 3)
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    channels: int = 32
    kernel: int = 3
    stride: int = 2
    activation: Activation | None = "silu"
    padding: Padding | None = field(default=None, metadata=LATER)
    pool: int = field(default=0, metadata=LATER)
    fixed: bool = field(default=False, metadata=LATER)

    def __post_init__(self) -> None:
        check_integer(self, "channels")
        check_odd(self, "kernel")
        check_integer(self, "stride")
        check_one_of(self, "activation", (None, *ACTIVATIONS))
        check_one_of(self, "padding", (None, *PADDINGS))
        if self.pool != 0:
            check_odd(self, "pool")
        check_flag(self, "fixed")

    def convolved(self, resolution: int, padding: Padding) -> int:
        """Side of the convolution's output.

        Raises:
            NetworkError: the image is too small for a kernel without padding.
        """
        return conv_output_size(resolution, self.kernel, self.stride, self.padding or padding)

    def out_size(self, resolution: int, padding: Padding) -> int:
        """Side of the stem's output.

        Raises:
            NetworkError: the image is too small for a kernel without padding.

        Example:
            >>> Stem(channels=64, kernel=7, pool=3).out_size(224, "symmetric")
            56
        """
        size = self.convolved(resolution, padding)
        return conv_output_size(size, self.pool, 2, padding) if self.pool else size

    def __repr__(self) -> str:
        extras = [f"max pool {self.pool}"] if self.pool else []
        extras += ["fixed"] if self.fixed else []
        words = [f"{self.channels}", f"k{self.kernel}", f"s{self.stride}", self.activation or "no activation"]
        return f"Stem({', '.join([*words, *extras])})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A block, repeated. The first repetition has the block's stride, the others stride 1.

    Attributes:
        block: of any kind.
        repeats: how many of it.
        continues: it goes on with the stage before, with another block: growth in depth counts both together.
        fixed: growth leaves the number of repeats as it is.

    Raises:
        NetworkError: a field cannot have that value, or a stage that continues has a stride.

    Example:
        >>> from allometry.arch import MBConv
        >>> Stage(block=MBConv(channels=40, kernel=5, stride=2), repeats=2)
        2 x MBConv(40, k5, s2, e6, se0.25, silu)
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    block: Block
    repeats: int = 1
    continues: bool = field(default=False, metadata=LATER)
    fixed: bool = field(default=False, metadata=LATER)

    def __post_init__(self) -> None:
        if not isinstance(self.block, Block):
            raise NetworkError(f"Stage.block must be a block such as MBConv, not {self.block!r}.")
        check_integer(self, "repeats")
        check_flag(self, "continues")
        check_flag(self, "fixed")
        if self.continues and self.block.stride != 1:
            raise NetworkError(f"A stage that continues another has stride 1, not {self.block.stride}.")

    @property
    def deepens(self) -> bool:
        """Whether growth in depth changes it: not if it is fixed, and of cells only those that are repeated already.

        What a cell gives need not be what it can read: one that halves the image, or joins two sizes, stands alone.
        """
        return not self.fixed and (self.repeats > 1 or self.block.regular)

    def __repr__(self) -> str:
        extras = "".join(f", {word}" for word in ("continues", "fixed") if getattr(self, word))
        return f"{self.repeats} x {self.block!r}{extras}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """1x1 convolution with batch norm and activation, global average pool, dropout, linear classifier.

    Attributes:
        channels: of the convolution; None for no convolution.
        activation: after the convolution, and after the hidden layer.
        hidden: outputs of a linear layer between pool and classifier; None for no such layer.
        hidden_bias: whether that layer has a bias.
        hidden_norm: whether batch norm follows that layer.
        dropout: fraction of the classifier's inputs that training drops.
        classes: outputs of the classifier.
        fixed: growth leaves the channels as they are.

    Source: EfficientNet (Tan & Le 2019), Table 1; `hidden`: MobileNetV3 (Howard et al. 2019), section 5.1;
    `hidden_norm`: released MobileNetV4 code.

    Example:
        >>> Head(classes=10)
        Head(1280, silu, dropout 0.2, 10 classes)
        >>> Head(channels=None, dropout=0)
        Head(no convolution, dropout 0, 1000 classes)
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    channels: int | None = 1280
    activation: Activation = "silu"
    hidden: int | None = field(default=None, metadata=LATER)
    hidden_bias: bool = field(default=True, metadata=LATER)
    hidden_norm: bool = field(default=False, metadata=LATER)
    dropout: float = 0.2
    classes: int = 1000
    fixed: bool = field(default=False, metadata=LATER)

    def __post_init__(self) -> None:
        if self.channels is not None:
            check_integer(self, "channels")
        if self.hidden is not None:
            check_integer(self, "hidden")
        check_one_of(self, "activation", ACTIVATIONS)
        check_number(self, "dropout", minimum=0, below=1)
        check_integer(self, "classes")
        check_flag(self, "hidden_bias")
        check_flag(self, "hidden_norm")
        check_flag(self, "fixed")

    def features(self, in_channels: int) -> int:
        """Inputs of the classifier, where the last block has `in_channels`.

        Example:
            >>> Head().features(320), Head(channels=None).features(2048), Head(channels=960, hidden=1280).features(160)
            (1280, 2048, 1280)
        """
        return self.hidden or self.channels or in_channels

    def __repr__(self) -> str:
        words = [f"{self.channels}, {self.activation}" if self.channels else "no convolution"]
        words += [f"hidden {self.hidden}"] if self.hidden else []
        words += [f"dropout {self.dropout:g}", f"{self.classes} classes"]
        return f"Head({', '.join(words)}{', fixed' if self.fixed else ''})"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchNorm:
    """Constants of every batch norm; `momentum` is the weight of the new batch (PyTorch's convention).

    Source: released EfficientNet code: epsilon 1e-3, momentum 0.99 of the old, so 0.01 of the new.

    Example:
        >>> BatchNorm()
        BatchNorm(epsilon=0.001, momentum=0.01)
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    epsilon: float = 1e-3
    momentum: float = 0.01

    def __post_init__(self) -> None:
        check_number(self, "epsilon", minimum=0)
        check_number(self, "momentum", minimum=0)
