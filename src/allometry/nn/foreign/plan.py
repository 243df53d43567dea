"""What is done to a module to scale it, as data: saved, read, and done again without looking at the module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from allometry.base import InputError
from allometry.base.decoding import decode
from allometry.base.files import read_json, write_json
from allometry.nn.foreign.depth import Insertion, restructured
from allometry.nn.foreign.forms import AttributeChange
from allometry.nn.foreign.kernels import KernelChange, enlarged
from allometry.nn.foreign.resize import resize
from allometry.nn.tracing.traced_int import AttributeSpot

_FORMAT = "allometry.module-plan/1"


@dataclass(frozen=True, slots=True)
class GroupChange:
    """Channels that belong together, and how many there will be.

    Attributes:
        name: of the weights that give them first.
        before: how many there are.
        after: how many there will be.
        tensors: in how many they stand.
    """

    name: str
    before: int
    after: int
    tensors: int


@dataclass(frozen=True, slots=True)
class Kept:
    """Channels or blocks that stay as many, or a kernel that stays as it is, and why.

    Attributes:
        name: of the weights that give the channels, of the container of the blocks, or of the convolution.
        size: how many there are, or the kernel's largest side.
        reason: why they stay.
    """

    name: str
    size: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModulePlan:
    """What is done to a module to scale it.

    Attributes:
        insertions: blocks that are added or left out.
        kernels: that become larger, after that.
        shapes: of the tensors that change, after that.
        attributes: that change, after that.
        groups: of channels that change.
        kept: what stays, and why.

    Example:
        >>> plan = ModulePlan(shapes={"weight": (3, 4)})
        >>> apply_plan(nn.Linear(2, 3), plan)
        Linear(in_features=4, out_features=3, bias=True)
        >>> ModulePlan.from_dict(plan.to_dict()) == plan
        True
    """

    insertions: tuple[Insertion, ...] = ()
    kernels: tuple[KernelChange, ...] = ()
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    attributes: tuple[AttributeChange, ...] = ()
    groups: tuple[GroupChange, ...] = ()
    kept: tuple[Kept, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {"format": _FORMAT, **asdict(self)}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> ModulePlan:
        """The plan that `to_dict` gave.

        Raises:
            UnreadableError: it is none.
        """
        return decode(cls, {key: value for key, value in plain.items() if key != "format"})

    def save(self, path: str | Path) -> None:
        """Write it as JSON.

        Raises:
            StorageError: the disk is full, read-only or forbidden.
        """
        write_json(Path(path), self.to_dict())

    @classmethod
    def load(cls, path: str | Path) -> ModulePlan:
        """Read what `save` wrote.

        Raises:
            InputError: there is no such file, or it is no plan.
        """
        plain = read_json(Path(path))
        if plain.get("format") != _FORMAT:
            raise InputError(
                f"{path} is no plan of a module: its format is {plain.get('format')!r}, not {_FORMAT!r}."
            )
        return cls.from_dict(plain)


def apply_plan(module: nn.Module, plan: ModulePlan) -> nn.Module:
    """Scale a module as a plan says, without looking at what it does; the weights that change are zeros.

    Args:
        module: as the plan was made for, such as its factory gives it; stays as it is.
        plan: what to do.

    Raises:
        InputError: the module has no such tensors, containers or attributes.
    """
    try:
        deep, _ = restructured(module, plan.insertions)
        attributes = {
            AttributeSpot(change.module, change.attribute, change.index): change.value
            for change in plan.attributes
        }
        if plan.kernels:
            deep = enlarged(deep, plan.kernels)
        return resize(deep, plan.shapes, attributes)
    except (AttributeError, KeyError, ValueError, IndexError) as error:
        raise InputError(
            f"The plan is for another module than this {type(module).__name__}: {error}."
        ) from error
