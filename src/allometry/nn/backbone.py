"""A network without its head: the module that gives feature maps, for detectors, segmentation and the like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from allometry.arch import FeatureMap, Network, feature_indices, feature_maps
from allometry.nn.blocks import make_block
from allometry.nn.layers import ConvNorm, make_pool

_HEAD = ("head.", "hidden.", "classifier.")  # a classifier's modules that a backbone has no use for


class Trunk(nn.Module):
    """Stem, pool and stages of a network: what a classifier and a backbone have in common, by the same names.

    Args:
        network: what to build.
        end: the feature map after which nothing is built; None for all stages.

    Attributes:
        network: what it was built from.
    """

    def __init__(self, network: Network, *, end: FeatureMap | None = None) -> None:
        super().__init__()
        self.network = network
        norm, stem, padding = network.batch_norm, network.stem, network.padding
        self.stem = ConvNorm(
            network.in_channels,
            stem.channels,
            kernel=stem.kernel,
            stride=stem.stride,
            activation=stem.activation,
            batch_norm=norm,
            padding=stem.padding or padding,
        )
        pools = stem.pool and (end is None or end.module != "stem")
        self.pool = make_pool("max", stem.pool, stride=2, padding=padding) if pools else nn.Identity()
        stages: list[list[nn.Module]] = [[] for _ in network.stages]
        for placed in network.blocks():
            blocks = stages[placed.stage]
            if end is not None and (placed.stage, len(blocks)) > (end.stage, end.block):
                break
            blocks.append(make_block(placed, batch_norm=norm, padding=padding))
        self.stages = nn.Sequential(*(nn.Sequential(*blocks) for blocks in stages if blocks))
        self.reads_skip = any(getattr(block, "reads_skip", False) for blocks in stages for block in blocks)


@dataclass(frozen=True, slots=True)
class FeatureInfo:
    """What the feature maps of a backbone are, as timm's class of this name tells it.

    Attributes:
        maps: all that the network has, from fine to coarse.
        out_indices: those of them that the backbone gives.

    Example:
        >>> from allometry.catalog import get
        >>> info = FeatureInfo(feature_maps(get("resnet-18")), (1, 4))
        >>> info.channels(), info.reduction(), info.module_name()
        ([64, 512], [4, 32], ['stages.0.1', 'stages.3.1'])
    """

    maps: tuple[FeatureMap, ...]
    out_indices: tuple[int, ...]

    def channels(self) -> list[int]:
        """Channels of each map that the backbone gives."""
        return [self.maps[index].channels for index in self.out_indices]

    def reduction(self) -> list[int]:
        """Input pixels per pixel of each map that the backbone gives, along one side."""
        return [self.maps[index].reduction for index in self.out_indices]

    def module_name(self) -> list[str]:
        """The name of the module that gives each map."""
        return [self.maps[index].module for index in self.out_indices]

    def get_dicts(self, keys: Sequence[str] = ("num_chs", "reduction", "module")) -> list[dict[str, Any]]:
        """The same, a dictionary for each map, by timm's names.

        Example:
            >>> from allometry.catalog import get
            >>> FeatureInfo(feature_maps(get("resnet-18")), (1,)).get_dicts()
            [{'num_chs': 64, 'reduction': 4, 'module': 'stages.0.1'}]
        """
        values = zip(self.channels(), self.reduction(), self.module_name(), strict=True)
        named = [dict(zip(("num_chs", "reduction", "module"), entry, strict=True)) for entry in values]
        return [{key: entry[key] for key in keys} for entry in named]


class Backbone(Trunk):
    """A network without its head, that gives feature maps; made by `build(network, features_only=True)`.

    Nothing behind the last of these maps is built. Weights load from the state of the network's own classifier: what
    belongs to the head, or to stages that are not there, is passed over, and all else must fit exactly.

    Args:
        network: what to build.
        out_indices: which feature maps to give, see `feature_maps`; None for all, one for each resolution.

    Attributes:
        feature_info: channels, reductions and module names of the maps.

    Shape:
        [N, in_channels, H, W] -> a list of [N, channels, H / reduction, W / reduction]

    Raises:
        InputError: the network has no such map.

    Source: `features_only` of PyTorch Image Models (timm).

    Example:
        >>> from allometry.catalog import get
        >>> backbone = Backbone(get("efficientnet-b0"), out_indices=(2, 4))
        >>> backbone.feature_info.channels()
        [40, 320]
        >>> [tuple(map.shape) for map in backbone.eval()(torch.zeros(1, 3, 64, 64))]
        [(1, 40, 8, 8), (1, 320, 2, 2)]
    """

    def __init__(self, network: Network, out_indices: Sequence[int] | None = None) -> None:
        maps = feature_maps(network)
        indices = feature_indices(len(maps), out_indices)
        super().__init__(network, end=maps[indices[-1]])
        self.feature_info = FeatureInfo(maps, indices)
        self._given = {(maps[index].stage, maps[index].block) for index in indices}
        self.register_load_state_dict_pre_hook(_pass_over_head)  # type: ignore[no-untyped-call]

    def forward(self, x: Tensor) -> list[Tensor]:
        """The feature maps, from fine to coarse."""
        x = self.stem(x)
        maps = [x] if (-1, 0) in self._given else []
        x = skip = self.pool(x)
        maps += [x] if (-1, 1) in self._given else []
        for number, stage in enumerate(cast("list[nn.Sequential]", self.stages)):
            for index, block in enumerate(stage):
                before = skip if getattr(block, "passes_skip", False) else x
                x, skip = block(x, skip) if getattr(block, "reads_skip", False) else block(x), before
                maps += [x] if (number, index) in self._given else []
        return maps


def _pass_over_head(module: nn.Module, state: dict[str, Any], prefix: str, *_rest: object) -> None:
    """Before weights are loaded: take out of a classifier's state what a backbone does not have."""
    assert isinstance(module, Backbone)  # noqa: S101
    own = module.state_dict()
    others = [name for name in state if name.startswith(prefix) and name.removeprefix(prefix) not in own]
    if not others:
        return
    with torch.device("meta"):
        trunk = Trunk(module.network).state_dict()
    for name in others:
        plain = name.removeprefix(prefix)
        if plain.startswith(_HEAD) or plain in trunk:
            del state[name]
