"""An average of a module's weights, grown or shrunk as the module was."""

from __future__ import annotations

import copy

from torch import nn
from torch.optim.swa_utils import AveragedModel

from allometry.base import InputError
from allometry.nn.foreign.fill import fill
from allometry.nn.foreign.resize import copied
from allometry.nn.foreign.scale import ScaledModule
from allometry.nn.foreign.widen import Resized


def grow_average(average: nn.Module, scaled: ScaledModule) -> nn.Module:
    """Make an average of a module's weights as large as the module became, so that both go on as one training.

    What is new has the weights that it has in the module, of which they are the average so far. So the larger average
    computes what the average did, as the larger module computes what the module did.

    Args:
        average: of the same class as the module that was scaled, or an `AveragedModel` of it; stays as it is.
        scaled: what `scale_module` or `solve_module` gave, before it is trained.

    Raises:
        InputError: the average is not one of the module that was scaled.

    Example:
        >>> import torch
        >>> from allometry.nn import scale_module
        >>> module = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
        >>> average = AveragedModel(module)
        >>> scaled = scale_module(module, torch.ones(1, 2), width=2)
        >>> larger = grow_average(average, scaled)
        >>> larger.module[0].out_features, torch.allclose(larger(torch.ones(1, 2)), average(torch.ones(1, 2)))
        (16, True)
    """
    result = copied(average)
    held = average.module if isinstance(average, AveragedModel) else average
    resized = Resized(copy.deepcopy(scaled.module), scaled.graph, {}, {}, scaled.weight_map)
    try:
        larger = fill(held, resized, method=scaled.method, seed=scaled.seed, begun=True)
    except (KeyError, IndexError, RuntimeError) as error:
        raise InputError(
            f"This {type(held).__name__} is no average of the module that was scaled: {error}."
        ) from error
    larger.train(held.training)
    if isinstance(result, AveragedModel):
        result.module = larger
        return result
    return larger
