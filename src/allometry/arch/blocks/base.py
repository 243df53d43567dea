"""What a block is: fields, the layers that follow from them, and the name under which JSON has it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from allometry.arch.checks import STRICT, check_integer, check_odd, check_one_of, kind_schema
from allometry.arch.convolutions import ACTIVATIONS, Activation
from allometry.arch.rounding import CHANNEL_MULTIPLE, widen
from allometry.arch.shapes import Padding, Shape, strided
from allometry.base import NetworkError
from allometry.base.plugins import Registry

if TYPE_CHECKING:
    from pydantic import ConfigDict, GetCoreSchemaHandler
    from pydantic_core import CoreSchema

    from allometry.arch.blocks.cell import Cell

INPUT, SKIP = "input", "skip"


class Block:
    """What a stage repeats: something between two feature maps.

    There are two sorts: a `RegularBlock` has channels and a stride as plain fields and says which layers follow from
    its fields, and a `Cell` is such a graph of layers itself.

    Attributes:
        kind: the name under which JSON has the block.
        stride: input pixels per output pixel, along one side.
        regular: its channels and stride can be set.
        reads_skip: it reads the input of the block before, too.
        passes: what the next block reads as `skip`: this one's `input`, or the `skip` that this one reads.
        label: what the stage table calls it.

    Example:
        >>> from allometry.arch import MBConv
        >>> isinstance(MBConv(channels=24), Block), MBConv(channels=24).label
        (True, 'MBConv6 3x3, SE')
    """

    __slots__ = ()
    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    regular: ClassVar[bool] = False
    kind: str

    @property
    @abstractmethod
    def stride(self) -> int:
        """Input pixels per output pixel, along one side."""

    @property
    @abstractmethod
    def label(self) -> str:
        """What the stage table calls it."""

    @property
    def reads_skip(self) -> bool:
        """Whether it reads the input of the block before, too."""
        return False

    @property
    def passes_skip(self) -> bool:
        """Whether the block after this one reads what this one could read as `skip`, and not its input."""
        return False

    @abstractmethod
    def cell(self, in_channels: int) -> Cell:
        """The block as a graph of layers, for an input of so many channels."""

    @abstractmethod
    def after(self, source: Shape, skip: Shape, padding: Padding) -> Shape:
        """The shape of the output."""

    @abstractmethod
    def has_residual(self, in_channels: int) -> bool:
        """Whether stochastic depth can drop something in it."""

    @abstractmethod
    def following(self) -> Self:
        """The block that a repetition has."""

    @abstractmethod
    def widened(self, width: float, multiple: int, min_fraction: float) -> Self:
        """The block with its channels multiplied."""

    @abstractmethod
    def adapted(
        self,
        *,
        activation: Activation | None = None,
        squeeze_excite: bool = True,
        counts_padding: bool | None = None,
    ) -> Self:
        """The block with other conventions, as far as it has to do with them.

        Args:
            activation: in the place of every other; None leaves them.
            squeeze_excite: whether it keeps those that it has.
            counts_padding: whether mean pools count the zeros of their padding; None leaves them.
        """

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Block], handler: GetCoreSchemaHandler) -> CoreSchema:
        """Read a block of any registered kind where any is meant, else one of this class."""
        if cls is not Block:
            return handler(source)
        return kind_schema(block_kinds(), handler)


class RegularBlock(Block):
    """A block whose output has the channels and the stride that its fields say; subclass it for a block of your own.

    Make it a frozen data class with keyword-only fields, give it the field `kind` and the method `cell`, and pass it to
    `register_block` so that files may name it. It then is counted, built, grown, trained, searched and put into
    supernets as all others are: everything follows from `cell`.

    Attributes:
        channels: of the output.
        stride: of the block's first spatial layer. `cell` gives an output of ceil(size / stride) pixels.
        kernel: if it has one; checked to be odd unless the class says `even_kernels`.
        activation: if it has one.

    Raises:
        NetworkError: a field cannot have that value.

    Example:
        >>> from dataclasses import dataclass
        >>> from typing import Literal
        >>> from allometry.arch import Cell, Conv, Depthwise
        >>> @dataclass(frozen=True, slots=True, kw_only=True)
        ... class Mixer(RegularBlock):
        ...     channels: int
        ...     stride: int = 1
        ...     kernel: int = 7
        ...     kind: Literal["mixer"] = "mixer"
        ...
        ...     def cell(self, in_channels):
        ...         spatial = Depthwise(kernel=self.kernel, stride=self.stride, norm=True)
        ...         mixing = Conv(channels=self.channels, activation="relu")
        ...         return Cell.chain({"depthwise": spatial, "mix": mixing})
        >>> block = Mixer(channels=16, stride=2)
        >>> block.label, block.after(Shape(8, 32), Shape(8, 32), "symmetric"), block.has_residual(16)
        ('mixer 7x7 /2', Shape(channels=16, size=16), False)
    """

    __slots__ = ()
    regular: ClassVar[bool] = True
    even_kernels: ClassVar[bool] = False
    channels: int
    stride: int

    def __post_init__(self) -> None:
        check_block(self)

    @property
    def label(self) -> str:
        """What the stage table calls it."""
        return f"{self.kind.replace('_', ' ')} {self.window}".strip()

    @property
    def window(self) -> str:
        """The kernel and the stride, as far as there are any to tell of."""
        kernel = getattr(self, "kernel", None)
        size = f"{kernel}x{kernel}" if isinstance(kernel, int) else ""
        return (size + (f" /{self.stride}" if self.stride > 1 else "")).strip()

    @property
    def channel_step(self) -> int:
        """The least by which the channels may change."""
        return CHANNEL_MULTIPLE

    def after(self, source: Shape, skip: Shape, padding: Padding) -> Shape:
        """The shape of the output."""
        del skip, padding
        return Shape(self.channels, strided(source.size, self.stride))

    def elastic_options(
        self, kernels: Sequence[int], expand_ratios: Sequence[float]
    ) -> Mapping[str, Sequence[int | float | None]]:
        """What may be open of the block in a space around its network, by the names of its fields; nothing by default.

        Args:
            kernels: that layers may have; none where kernels stay as they are.
            expand_ratios: that they may have, likewise.
        """
        del kernels, expand_ratios
        return {}

    def has_residual(self, in_channels: int) -> bool:
        """Whether stochastic depth can drop something in it."""
        return graph_of(self, in_channels).has_residual(in_channels)

    def following(self) -> Self:
        """The block that a repetition has: the same with stride 1."""
        return self if self.stride == 1 else self.with_stride(1)

    def with_channels(self, channels: int) -> Self:
        """The block with other channels."""
        return replace(self, channels=channels)  # type: ignore[type-var]

    def with_stride(self, stride: int) -> Self:
        """The block with another stride."""
        return replace(self, stride=stride)  # type: ignore[type-var]

    def widened(self, width: float, multiple: int, min_fraction: float) -> Self:
        """The block with its channels multiplied, rounded as `round_channels` does."""
        return self.with_channels(widen(self.channels, width, multiple, min_fraction))

    def adapted(
        self,
        *,
        activation: Activation | None = None,
        squeeze_excite: bool = True,
        counts_padding: bool | None = None,
    ) -> Self:
        """The block with other conventions, by its fields `activation` and `se_ratio` if it has them."""
        del counts_padding
        changes: dict[str, Any] = {} if activation is None else {"activation": activation}
        changes |= {} if squeeze_excite else {"se_ratio": 0.0}
        own = {name: value for name, value in changes.items() if hasattr(self, name)}
        return replace(self, **own) if own else self  # type: ignore[type-var]


def check_block(block: RegularBlock) -> None:
    """Check the fields that regular blocks share: channels, stride, and kernel, activation and kind where they are.

    Raises:
        NetworkError: one of them cannot have that value.

    Example:
        >>> from allometry.arch import MBConv
        >>> MBConv(channels=24, kernel=4)
        Traceback (most recent call last):
            ...
        allometry.base.errors.NetworkError: MBConv.kernel must be odd, not 4.
    """
    check_integer(block, "channels")
    check_integer(block, "stride")
    if hasattr(block, "kernel"):
        check_integer(block, "kernel") if block.even_kernels else check_odd(block, "kernel")
    if hasattr(block, "activation"):
        check_one_of(block, "activation", ACTIVATIONS)
    check_one_of(block, "kind", [kind_of(type(block))])


@lru_cache(maxsize=1 << 13)
def graph_of(block: Block, in_channels: int) -> Cell:
    """The graph of a block's layers, checked against what the block says of its output.

    Raises:
        NetworkError: the layers do not give the channels or the stride of the block's fields.

    Example:
        >>> from allometry.arch import MBConv
        >>> [node.name for node in graph_of(MBConv(channels=24), 24).nodes]
        ['expand', 'depthwise', 'squeeze_excite', 'project', 'drop_path', 'output']
    """
    cell = block.cell(in_channels)
    if block.regular:
        source = Shape(in_channels, 64 * block.stride)
        says, gives = block.after(source, source, "symmetric"), cell.after(source, source, "symmetric")
        if says != gives:
            raise NetworkError(
                f"{block!r} says that it gives {says.channels} channels of {says.size} pixels for {in_channels} of "
                f"{source.size}, but its layers give {gives.channels} of {gives.size}; correct its method cell."
            )
    return cell


@dataclass(frozen=True, slots=True)
class BlockKind:
    """A kind of block as it is registered; a class that is defined again, as in a notebook, is the same kind.

    Attributes:
        name: what JSON calls it.
        block: its class.
        home: module and name of the class.

    Example:
        >>> from allometry.arch import MBConv
        >>> BLOCKS.get("mbconv").block is MBConv
        True
    """

    name: str
    block: type[Block] = field(compare=False)
    home: tuple[str, str]


BLOCKS = Registry[BlockKind]("kind of block")
B = TypeVar("B", bound=Block)


def register_block(block: type[B]) -> type[B]:
    """Make a kind of block known to files of networks and spaces; use it as a decorator.

    Networks may hold blocks that are not registered. Only reading them from JSON needs it.

    Args:
        block: a frozen data class derived from `RegularBlock`, with a field `kind` that has a default.

    Raises:
        NetworkError: it is not of that form.
        InputError: another class has that kind.

    Example:
        >>> from allometry.arch import MBConv
        >>> register_block(MBConv) is MBConv  # once more does no harm
        True
    """
    given: Any = block
    frozen = isinstance(given, type) and issubclass(given, Block) and is_dataclass(given)
    if not frozen or not given.__dataclass_params__.frozen:
        raise NetworkError(f"A block is a frozen data class derived from RegularBlock, not {block!r}.")
    BLOCKS.register(BlockKind(kind_of(block), block, (block.__module__, block.__qualname__)))
    return block


def block_kinds() -> dict[str, type[Block]]:
    """The registered kinds of blocks, each with its class, in the order of their registration.

    Example:
        >>> "mbconv" in block_kinds()
        True
    """
    return {kind.name: kind.block for kind in BLOCKS}


def kind_of(block: type[Block]) -> str:
    """The name under which JSON has blocks of a class.

    Raises:
        NetworkError: the class has no field `kind` with a default.

    Example:
        >>> from allometry.arch import MBConv
        >>> kind_of(MBConv)
        'mbconv'
    """
    given: Any = block
    defaults = [part.default for part in fields(given) if part.name == "kind"]
    if not defaults or not isinstance(defaults[0], str):
        raise NetworkError(
            f"{block.__name__} has no field kind with a default; write kind: Literal['...'] = '...'."
        )
    return defaults[0]
