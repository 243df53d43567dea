"""A torch module with choices, as data: how wide its channels, how many its blocks, how large its images can be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from allometry.arch.module_checks import faults
from allometry.arch.module_parts import (
    NO_GROUP,
    Channels,
    ModuleChoice,
    ModuleGroup,
    ModuleProduct,
    ModuleRun,
    ModuleTensor,
)
from allometry.base import NetworkError
from allometry.base.decoding import Count, decode
from allometry.base.files import read_json, write_json
from allometry.base.reading import UnreadableError

SPACE_FORMAT, MEMBER_FORMAT = "allometry.module-space/1", "allometry.module-member/1"
RESOLUTION = "resolution"
ModuleDecisions: TypeAlias = Mapping[str, float]
"""Names of a module's choices, each with the option that is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleMember:
    """A module of a space, as data.

    Attributes:
        module: `package.module:factory` of the largest one, or its class.
        decisions: what was decided.
        params: trainable parameters.
        macs: multiply-accumulates for one image.
        name: for people.

    Example:
        >>> member = ModuleMember(module="nets:make", decisions={"resolution": 64}, params=500, macs=9000)
        >>> member.resolution, ModuleMember.from_dict(member.to_dict()) == member
        (64, True)
    """

    module: str
    decisions: ModuleDecisions
    params: Count
    macs: Count
    name: str = ""

    def __post_init__(self) -> None:
        side = self.decisions.get(RESOLUTION)
        if side is None or side != int(side) or side < 1:
            raise NetworkError(
                f"The decisions about {self.module or 'a module'} have a {RESOLUTION} of at least 1 pixel, a whole "
                f"number, not {side!r}."
            )

    @property
    def resolution(self) -> int:
        """Pixels of its input's side."""
        return int(self.decisions[RESOLUTION])

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {"format": MEMBER_FORMAT, **asdict(self), "decisions": dict(self.decisions)}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> ModuleMember:
        """Read what `to_dict` gave.

        Raises:
            NetworkError: it is no member of a module's space.
        """
        return _decoded(cls, plain, MEMBER_FORMAT, "module of a supernet")


@dataclass(frozen=True, kw_only=True, repr=False)  # without slots, for what is looked up again and again
class ModuleSpace:
    """A module with choices.

    Attributes:
        module: `package.module:factory`, or its class.
        choices: what is open.
        groups: of channels.
        runs: of blocks.
        resolutions: of the whole space, in pixels.
        products: multiply-accumulates.
        tensors: parameters.
        in_channels: of its images.
        classes: that it tells apart.
        kept: what stays as it is, and why.

    Example:
        >>> from allometry.arch.module_parts import TensorSide
        >>> size = ModuleChoice(name="resolution", dimension="resolution", options=(32, 64))
        >>> width = ModuleChoice(name="conv1 channels", dimension="channels", options=(0.5, 1.0))
        >>> space = ModuleSpace(
        ...     module="nets:make",
        ...     choices=(size, width),
        ...     groups=(
        ...         ModuleGroup(number=0, name="conv1.weight", choice=width.name, options=(0.5, 1.0), sizes=(8, 16)),
        ...     ),
        ...     runs=(),
        ...     resolutions=(32, 64),
        ...     products=(
        ...         ModuleProduct(
        ...             module="conv1", times=(9216, 36864), outputs=(Channels(0, 16),), inputs=(Channels(NO_GROUP, 3),)
        ...         ),
        ...     ),
        ...     tensors=(ModuleTensor(name="conv1.weight", shape=(16, 3, 3, 3), sides=(TensorSide(0, 0, 1),)),),
        ...     in_channels=3,
        ...     classes=2,
        ... )
        >>> space.size, space.smallest().macs, space.largest().params
        (4, 221184, 432)
    """

    module: str
    choices: tuple[ModuleChoice, ...]
    groups: tuple[ModuleGroup, ...]
    runs: tuple[ModuleRun, ...]
    resolutions: tuple[int, ...]
    products: tuple[ModuleProduct, ...]
    tensors: tuple[ModuleTensor, ...]
    in_channels: Count
    classes: Count
    kept: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        wrong = next(faults(self), None)
        if wrong is not None:
            raise NetworkError(f"The space of {self.module or 'a module'} does not fit together: {wrong}.")

    @property
    def name(self) -> str:
        """What people call it."""
        return self.module

    @property
    def size(self) -> int:
        """How many members there are."""
        return prod(len(choice.options) for choice in self.choices)

    def network(self, decisions: Mapping[str, Any]) -> ModuleMember:
        """The member that these decisions lead to.

        Raises:
            NetworkError: a choice is not decided, or has no such option.
        """
        taken = {choice.name: _taken(choice, decisions) for choice in self.choices}
        macs, params = self.counts(taken)
        return ModuleMember(module=self.module, decisions=taken, params=round(params), macs=round(macs))

    def smallest(self) -> ModuleMember:
        """The member of the first options."""
        return self.network({choice.name: choice.options[0] for choice in self.choices})

    def largest(self) -> ModuleMember:
        """The member of the last options."""
        return self.network({choice.name: choice.options[-1] for choice in self.choices})

    def decisions_of(self, member: ModuleMember) -> dict[str, float]:
        """What a member decides.

        Raises:
            NetworkError: it is none of this space; the message says why.
        """
        if member.module != self.module:
            raise NetworkError(f"{member.name or 'It'} is a {member.module}, not one of {self.module}.")
        unknown = sorted(member.decisions.keys() - {choice.name for choice in self.choices})
        if unknown:
            raise NetworkError(f"{self.module} has no choice {unknown[0]!r}.")
        return {choice.name: _taken(choice, member.decisions) for choice in self.choices}

    def sizes(self, decisions: ModuleDecisions) -> tuple[int, ...]:
        """How many channels each group has."""
        return tuple(group.sizes[group.options.index(decisions[group.choice])] for group in self.groups)

    def counts(self, decisions: Mapping[str, Any], look_up: Any = None) -> tuple[Any, Any]:  # noqa: ANN401 - arrays, too
        """Multiply-accumulates and parameters, exactly as the members are counted when they run.

        Args:
            decisions: by the names of choices: options; or, with `look_up`, whatever that takes.
            look_up: for decisions that are arrays: the values of a table at decisions, with all options of the table.
        """
        find = look_up or _at
        sizes = [find(decisions[group.choice], group.options, group.sizes) for group in self.groups]
        there = [self._there(run, decisions, find) for run in self.runs]
        macs: Any = 0
        for product, presence in zip(self.products, self._product_blocks, strict=True):
            value = self._product(product, decisions, sizes, find)
            macs = macs + (value if presence is None else value * there[presence[0]][presence[1]])
        params: Any = 0
        for tensor, presence in zip(self.tensors, self._tensor_blocks, strict=True):
            shape: list[Any] = list(tensor.shape)
            for side in tensor.sides:
                full = self.groups[side.group].sizes[-1]
                shape[side.dimension] = shape[side.dimension] + (sizes[side.group] - full) * side.times
            elements = prod(shape)
            params = params + (elements if presence is None else elements * there[presence[0]][presence[1]])
        return macs, params

    def macs_by_part(self, decisions: ModuleDecisions) -> dict[str, float]:
        """The multiply-accumulates of a member by the parts of the module in which they are."""
        sizes: list[Any] = list(self.sizes(decisions))
        there = [self._there(run, decisions, _at) for run in self.runs]
        macs: dict[str, float] = {}
        for product, presence in zip(self.products, self._product_blocks, strict=True):
            if presence is None or there[presence[0]][presence[1]]:
                value = self._product(product, decisions, sizes, _at)
                macs[product.module] = macs.get(product.module, 0.0) + value
        return macs

    def _product(
        self,
        product: ModuleProduct,
        decisions: Mapping[str, Any],
        sizes: list[Any],
        find: Any,  # noqa: ANN401 - see `counts`
    ) -> Any:  # noqa: ANN401
        value = find(decisions[RESOLUTION], self.resolutions, product.times)
        value = value * self._sum(product.outputs, sizes) * self._sum(product.inputs, sizes)
        for factor in product.factors:
            value = value * find(decisions[factor.choice], factor.options, factor.values)
        return value

    def _sum(self, channels: tuple[Channels, ...], sizes: list[Any]) -> Any:  # noqa: ANN401 - numbers or arrays
        total: Any = 0
        for group, number in channels:
            own = number if group == NO_GROUP else sizes[group] * (number // self.groups[group].sizes[-1])
            total = total + own
        return total

    def _there(self, run: ModuleRun, decisions: Mapping[str, Any], find: Any) -> list[Any]:  # noqa: ANN401
        """For each block of a run whether it is there: 1 or 0."""
        depths = tuple(range(run.before, run.before + len(run.blocks) + 1))
        return [
            find(decisions[run.choice], depths, tuple(int(depth - run.before > place) for depth in depths))
            for place in range(len(run.blocks))
        ]

    @cached_property
    def _product_blocks(self) -> tuple[tuple[int, int] | None, ...]:
        return tuple(self.block_of(product.module) for product in self.products)

    @cached_property
    def _tensor_blocks(self) -> tuple[tuple[int, int] | None, ...]:
        return tuple(self.block_of(tensor.name) for tensor in self.tensors)

    def block_of(self, name: str) -> tuple[int, int] | None:
        """In which run and at which place in it a part of the module or a tensor is; None where in none."""
        for number, run in enumerate(self.runs):
            for place, block in enumerate(run.blocks):
                path = f"{run.container}.{block}" if run.container else block
                if name == path or name.startswith(f"{path}."):
                    return number, place
        return None

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {"format": SPACE_FORMAT, **asdict(self)}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> ModuleSpace:
        """Read what `to_dict` gave.

        Raises:
            NetworkError: it is no space of a module.
        """
        return _decoded(cls, plain, SPACE_FORMAT, "space of a module")

    def save(self, path: str | Path) -> None:
        """Write it as JSON, in one step.

        Raises:
            StorageError: the file cannot be written.
        """
        write_json(Path(path), self.to_dict())

    @classmethod
    def load(cls, path: str | Path) -> ModuleSpace:
        """Read what `save` wrote.

        Raises:
            RunFolderError: there is no such file.
            NetworkError: it is no space of a module.
        """
        return cls.from_dict(read_json(Path(path)))

    def __repr__(self) -> str:
        return f"ModuleSpace({self.module}, {len(self.choices)} choices, {self.size:,} modules)"


Decoded = TypeVar("Decoded")


def _at(decision: float, options: tuple[float, ...], values: tuple[float, ...]) -> float:
    return values[options.index(decision)]


def _taken(choice: ModuleChoice, decisions: Mapping[str, Any]) -> float:
    if choice.name not in decisions:
        raise NetworkError(f"The choice {choice.name!r} is not decided.")
    option = decisions[choice.name]
    if option not in choice.options:
        possible = ", ".join(f"{known:g}" for known in choice.options)
        raise NetworkError(f"The choice {choice.name!r} cannot be {option!r}; possible: {possible}.")
    return choice.options[choice.options.index(option)]


def _decoded(kind: type[Decoded], plain: Mapping[str, Any], written: str, what: str) -> Decoded:
    if plain.get("format") != written:
        raise NetworkError(f"Not a {what}: its format is {plain.get('format')!r}, not {written!r}.")
    try:
        return decode(kind, {key: value for key, value in plain.items() if key != "format"})
    except UnreadableError as error:
        raise NetworkError(f"Not a {what}: {error}.") from error
