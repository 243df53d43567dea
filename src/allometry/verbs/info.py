"""`allometry info`: what a network is made of and costs, part by part."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from allometry.arch import Network
from allometry.base import InputError, UnknownNameError
from allometry.base.html import html_table
from allometry.catalog import Growth, as_network, entry_of, names_module
from allometry.cost import Cost, StageCost, count, count_stages
from allometry.cost.measures import more_measures

if TYPE_CHECKING:
    from torch import nn

    from allometry.nn.modules import ModuleCost, ModulePart

_USUAL_SIDE, _COLOR = 224, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkInfo:
    """A network's stages and costs.

    Attributes:
        network: as data.
        cost: of one image.
        stages: what each costs, with stem and head.
        growth: how it came from its family's baseline, where it is a name of the zoo that was grown from one.
    """

    network: Network
    cost: Cost
    stages: tuple[StageCost, ...]
    growth: Growth | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        growth = self.growth
        return {
            "name": self.network.name,
            "resolution": self.network.resolution,
            **self.cost.to_dict(),
            "depth": growth.depth if growth else None,
            "width": growth.width if growth else None,
            "phi": growth.phi if growth else None,
            "stages": [stage._asdict() for stage in self.stages],
        }

    def __repr__(self) -> str:
        network, cost = self.network, self.cost
        return (
            f"NetworkInfo({network.name or 'network'}, {network.resolution} px, {len(network.stages)} stages, "
            f"{cost.macs:,} MACs, {cost.params:,} params)"
        )

    def _repr_html_(self) -> str:
        columns = ("", "layer", "input px", "channels", "repeats", "params", "MACs", "activations")
        return html_table(columns, self.stages, caption=repr(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleInfo:
    """The children and costs of a torch module that is not ours, by watching it work on one image.

    Attributes:
        name: of the module.
        resolution: side of the image, in pixels.
        cost: of one image.
        parts: what each child costs.
    """

    name: str
    resolution: int
    cost: ModuleCost
    parts: tuple[ModulePart, ...]

    @property
    def costs(self) -> dict[str, float]:
        """By the names of the measures: what is counted, and those that are sums over layers of it."""
        more = {
            measure.name: measure.count(self.cost)
            for measure in more_measures()
            if measure.additive and measure.count
        }
        return self.cost._asdict() | more

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        parts = [part._asdict() for part in self.parts]
        return {"name": self.name, "resolution": self.resolution, **self.costs, "parts": parts}

    def __repr__(self) -> str:
        return f"ModuleInfo({self.name}, {self.resolution} px, {self.cost.macs:,} MACs, {self.cost.params:,} params)"

    def _repr_html_(self) -> str:
        return html_table(("name", "layer", "params", "MACs"), self.parts, caption=repr(self))


def info(
    network: Network | nn.Module | str | Path, *, resolution: int | None = None
) -> NetworkInfo | ModuleInfo:
    """What a network is made of and costs: params, MACs, activations and memory, stage by stage.

    Args:
        network: a network, a name of the zoo, or a network's JSON file; or any torch module, `timm:NAME`, or
            `package.module:factory`.
        resolution: side of the input, in pixels; by default the network's own.

    Raises:
        InputError: there is no such network or module, or it does not run on such an input.

    Example:
        >>> info("efficientnet-b0")
        NetworkInfo(efficientnet-b0, 224 px, 7 stages, 385,814,752 MACs, 5,288,548 params)
        >>> info("efficientnet-b0").stages[1].layer
        'MBConv1 3x3, SE'
    """
    if isinstance(network, str) and names_module(network):
        from allometry.nn import open_module

        return _module_info(network, open_module(network), resolution)
    if not isinstance(network, Network | str | Path):
        return _module_info(type(network).__name__, _as_module(network), resolution)
    known = as_network(network)
    if resolution is not None:
        known = replace(known, resolution=resolution)
    growth = _growth(network) if isinstance(network, str) else None
    return NetworkInfo(network=known, cost=count(known), stages=count_stages(known), growth=growth)


def _as_module(value: object) -> nn.Module:
    from torch import nn

    if not isinstance(value, nn.Module):
        raise InputError(f"A network, its name or a torch module is expected, not a {type(value).__name__}.")
    return value


def _module_info(name: str, module: nn.Module, resolution: int | None) -> ModuleInfo:
    from allometry.nn import input_channels, timm_config, watch_module

    side = int(resolution or timm_config(module).get("resolution", _USUAL_SIDE))
    cost, parts, _ = watch_module(module, resolution=side, in_channels=input_channels(module) or _COLOR)
    return ModuleInfo(name=name, resolution=side, cost=cost, parts=parts)


def _growth(name: str) -> Growth | None:
    try:
        return entry_of(name).growth
    except UnknownNameError:
        return None
