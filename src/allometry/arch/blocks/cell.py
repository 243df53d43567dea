"""A block as a small graph, for the networks whose blocks are not of a regular kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from allometry.arch.blocks.base import INPUT, SKIP, Block, register_block
from allometry.arch.checks import LATER, STRICT, ByKind, check_one_of
from allometry.arch.convolutions import Activation
from allometry.arch.layers import DropPath, Layer, SqueezeExcite, adapted_layer
from allometry.arch.shapes import Padding, Shape
from allometry.base import NetworkError

if TYPE_CHECKING:
    from pydantic import ConfigDict


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """Some inputs, joined, and the layers that they go through.

    Attributes:
        name: of the node in its cell, an identifier.
        inputs: names of nodes before it; `input`, the output of the block before; or `skip`, what the block
            before had as its input.
        layers: in order; none where the node only joins.
        join: how several inputs become one.

    Example:
        >>> from allometry.arch import Conv
        >>> Node(name="left", inputs=("input",), layers=(Conv(channels=8, kernel=3),)).join
        'add'
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    name: str
    inputs: tuple[str, ...]
    layers: tuple[Annotated[Layer, ByKind()], ...] = ()
    join: Literal["add", "concat"] = "add"

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", tuple(self.inputs))
        object.__setattr__(self, "layers", tuple(self.layers))
        check_one_of(self, "join", ("add", "concat"))
        if not self.name.isidentifier() or self.name in (INPUT, SKIP):
            raise NetworkError(
                f"Node.name must be an identifier other than input and skip, not {self.name!r}."
            )
        if not self.inputs:
            raise NetworkError(f"The node {self.name!r} has no input; give it one or more.")

    def joined(self, shapes: list[Shape]) -> Shape:
        """The shape of the inputs taken together.

        Raises:
            NetworkError: they do not fit together.
        """
        channels = {shape.channels for shape in shapes}
        if len({shape.size for shape in shapes}) > 1 or (self.join == "add" and len(channels) > 1):
            sizes = " and ".join(f"{shape.channels} x {shape.size} px" for shape in shapes)
            raise NetworkError(f"The node {self.name!r} cannot {self.join} {sizes}.")
        return shapes[0] if self.join == "add" else Shape(sum(s.channels for s in shapes), shapes[0].size)


@register_block
@dataclass(frozen=True, slots=True, kw_only=True)
class Cell(Block):
    """A block as a graph of nodes. The last node is the output; a cell is repeated as it is.

    A cell can be counted, built and measured as every block can. It does not say which of its channels follow
    from which, so growth leaves its width alone.

    Attributes:
        nodes: each after the nodes that it reads.
        label: what the stage table calls it.
        passes: what the next block reads as `skip`: this one's `input`, or the `skip` that this one reads.

    Raises:
        NetworkError: a node reads what is not there, or two nodes have one name.

    Source: cells as in NASNet (Zoph et al. 2018), section 3.

    Example:
        >>> from allometry.arch import Conv
        >>> dense = Cell(
        ...     nodes=(
        ...         Node(name="new", inputs=("input",), layers=(Conv(channels=32, kernel=3, activation="relu"),)),
        ...         Node(name="all", inputs=("input", "new"), join="concat"),
        ...     ),
        ...     label="dense",
        ... )
        >>> dense.after(Shape(64, 56), Shape(64, 56), "symmetric")
        Shape(channels=96, size=56)
    """

    nodes: tuple[Node, ...]
    label: str = "cell"
    passes: Literal["input", "skip"] = field(default="input", metadata=LATER)
    kind: Literal["cell"] = "cell"

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", tuple(self.nodes))
        check_one_of(self, "passes", (INPUT, SKIP))
        check_one_of(self, "kind", ["cell"])
        known = [INPUT, SKIP]
        for node in self.nodes:
            missing = [name for name in node.inputs if name not in known]
            if missing or node.name in known:
                wrong = f"reads {missing[0]!r}, which is not before it" if missing else "is there twice"
                raise NetworkError(f"In the cell {self.label!r} the node {node.name!r} {wrong}.")
            known.append(node.name)
        if not self.nodes:
            raise NetworkError(f"The cell {self.label!r} has no nodes; give it one or more.")

    @classmethod
    def chain(
        cls,
        layers: Mapping[str, Layer | tuple[Layer, ...] | None],
        *,
        label: str = "cell",
        add_input: bool = False,
        shortcut: Layer | None = None,
    ) -> Self:
        """Make a cell of layers one after the other.

        Args:
            layers: by the names of their nodes; several layers may be one node, and None is passed over.
            label: what the stage table calls it.
            add_input: the input is added to the output, and stochastic depth may drop the rest in training.
            shortcut: what the input goes through before it is added; None for nothing.

        Example:
            >>> from allometry.arch import Conv
            >>> cell = Cell.chain({"first": Conv(channels=8, kernel=3), "gate": None}, add_input=True)
            >>> [(node.name, node.inputs) for node in cell.nodes]
            [('first', ('input',)), ('drop_path', ('first',)), ('output', ('drop_path', 'input'))]
        """
        nodes, last = list[Node](), INPUT
        for name, value in layers.items():
            if value is not None:
                inner = value if isinstance(value, tuple) else (value,)
                nodes.append(Node(name=name, inputs=(last,), layers=inner))
                last = name
        if add_input:
            nodes.append(Node(name="drop_path", inputs=(last,), layers=(DropPath(),)))
            if shortcut is not None:
                nodes.append(Node(name="shortcut", inputs=(INPUT,), layers=(shortcut,)))
            nodes.append(Node(name="output", inputs=("drop_path", "shortcut" if shortcut else INPUT)))
        return cls(nodes=tuple(nodes), label=label)

    def cell(self, in_channels: int) -> Cell:
        """The block as a graph of layers: itself."""
        del in_channels
        return self

    @property
    def passes_skip(self) -> bool:
        """Whether the block after this one reads what this one could read as `skip`, and not its input.

        Example:
            >>> Cell(nodes=(Node(name="same", inputs=("input",)),), passes="skip").passes_skip
            True
        """
        return self.passes == SKIP

    @property
    def reads_skip(self) -> bool:
        """Whether a node reads the input of the block before."""
        return any(SKIP in node.inputs for node in self.nodes)

    @property
    def stride(self) -> int:
        """Pixels of the input per pixel of the output, along one side."""
        strides = {INPUT: 1}
        for node in self.nodes:
            known = [strides[name] for name in node.inputs if name in strides]
            if known:
                stride = known[0]
                for layer in node.layers:
                    stride *= getattr(layer, "stride", 1)
                strides[node.name] = stride
        return strides.get(self.nodes[-1].name, 1)

    def shapes(self, source: Shape, skip: Shape, padding: Padding) -> dict[str, Shape]:
        """The shape of every node's output, of `input` and of `skip`.

        Raises:
            NetworkError: shapes do not fit together.
        """
        shapes = {INPUT: source, SKIP: skip}
        for node in self.nodes:
            shape = node.joined([shapes[name] for name in node.inputs])
            for layer in node.layers:
                shape = layer.after(shape, padding)
            shapes[node.name] = shape
        return shapes

    def after(self, source: Shape, skip: Shape, padding: Padding) -> Shape:
        """The shape of the output.

        Raises:
            NetworkError: shapes do not fit together.
        """
        try:
            return self.shapes(source, skip, padding)[self.nodes[-1].name]
        except NetworkError as error:
            raise NetworkError(f"In the cell {self.label!r}: {error}") from error

    def has_residual(self, in_channels: int) -> bool:
        """Whether stochastic depth can drop something in it."""
        del in_channels
        return any(isinstance(layer, DropPath) for node in self.nodes for layer in node.layers)

    def following(self) -> Self:
        """The block that a repetition has: the same."""
        return self

    def widened(self, width: float, multiple: int, min_fraction: float) -> Self:
        """Refuse: which channels may grow is not known.

        Raises:
            NetworkError: always.
        """
        del width, multiple, min_fraction
        raise NetworkError(
            f"The cell {self.label!r} has fixed channels: a network of cells grows in depth and resolution only."
        )

    def adapted(
        self,
        *,
        activation: Activation | None = None,
        squeeze_excite: bool = True,
        counts_padding: bool | None = None,
    ) -> Self:
        """The cell with other conventions in all its layers."""

        def layers_of(node: Node) -> Iterator[Layer]:
            for layer in node.layers:
                if squeeze_excite or not isinstance(layer, SqueezeExcite):
                    yield adapted_layer(layer, activation=activation, counts_padding=counts_padding)

        nodes = tuple(replace(node, layers=tuple(layers_of(node))) for node in self.nodes)
        return replace(self, nodes=nodes)

    def __repr__(self) -> str:
        return f"Cell({self.label}, {len(self.nodes)} nodes)"
