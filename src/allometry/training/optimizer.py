"""Optimizers: AdamW, and the RMSProp that the EfficientNet papers trained with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, overload

import torch
from torch import Tensor, nn

from allometry.training.batch_norm import batch_norms
from allometry.training.recipes import Recipe


class RMSPropTF(torch.optim.Optimizer):
    """RMSProp as TensorFlow computes it: epsilon under the root, squares that start at 1.

    The learning rate is inside the momentum, so that a falling learning rate does not shrink past steps.
    `torch.optim.RMSprop` does none of the three and trains EfficientNets differently.

    Source: EfficientNet (Tan & Le 2019), section 5: decay 0.9, momentum 0.9; released code: epsilon 1e-3.

    Example:
        >>> weight = nn.Parameter(torch.ones(1))
        >>> optimizer = RMSPropTF([weight], lr=0.1, momentum=0.0)
        >>> weight.grad = torch.ones(1)
        >>> optimizer.step()
        >>> round(weight.item(), 4)
        0.9
    """

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float,
        decay: float = 0.9,
        momentum: float = 0.9,
        epsilon: float = 1e-3,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {
            "lr": lr,
            "decay": decay,
            "momentum": momentum,
            "epsilon": epsilon,
            "weight_decay": weight_decay,
        }
        super().__init__(params, defaults)

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Take one step from the gradients."""
        if closure is not None:
            with torch.enable_grad():
                closure()
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if not weights:
                continue
            gradients: list[Tensor] = [weight.grad for weight in weights]
            if group["weight_decay"]:
                gradients = list(torch._foreach_add(gradients, weights, alpha=group["weight_decay"]))
            squares = [self._memory(weight, "square", torch.ones_like) for weight in weights]
            moments = [self._memory(weight, "moment", torch.zeros_like) for weight in weights]
            torch._foreach_mul_(squares, group["decay"])
            torch._foreach_addcmul_(squares, gradients, gradients, value=1 - group["decay"])
            roots = torch._foreach_add(squares, group["epsilon"])
            torch._foreach_sqrt_(roots)
            torch._foreach_mul_(moments, group["momentum"])
            torch._foreach_addcdiv_(moments, gradients, roots, value=group["lr"])
            torch._foreach_sub_(weights, moments)
        return None

    def _memory(self, weight: Tensor, name: str, make: Callable[[Tensor], Tensor]) -> Tensor:
        state = self.state[weight]
        if name not in state:
            state[name] = make(weight)
        memory: Tensor = state[name]
        return memory


def make_optimizer(
    module: nn.Module,
    recipe: Recipe,
    *,
    layers_above: Callable[[str], int] | None = None,
    decay_share: Callable[[str], float] | None = None,
) -> torch.optim.Optimizer:
    """The recipe's optimizer over the module's parameters.

    What decays is the recipe's `decayed`. Every group has a `scale`, the fraction of the learning rate that its
    layers get.

    Args:
        module: whose parameters it moves.
        recipe: of the training.
        layers_above: how many layers lie between a parameter, by its name, and the logits.
        decay_share: the fraction of the weight decay that a parameter, by its name, has if it decays; 1 by default.

    Example:
        >>> type(make_optimizer(nn.Linear(2, 2), Recipe(epochs=1, optimizer="rmsprop"))).__name__
        'RMSPropTF'
    """
    normed = {id(weight) for norm in batch_norms(module) for weight in norm.parameters(recurse=False)}
    kernels = recipe.decayed == "kernels"
    above = layers_above or partial(layers_above_in, module)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        decays = parameter.ndim > 1 if kernels else id(parameter) not in normed
        scale = recipe.layer_decay ** above(name) if recipe.layer_decay != 1 else 1.0
        share = float(decays and (decay_share(name) if decay_share else 1.0))
        groups.setdefault((scale, share), []).append(parameter)
    described = [
        {"params": weights, "weight_decay": recipe.weight_decay * share, "scale": scale}
        for (scale, share), weights in sorted(groups.items(), key=lambda item: (-item[0][0], -item[0][1]))
    ]
    if recipe.optimizer == "rmsprop":
        return RMSPropTF(described, lr=recipe.learning_rate)
    return torch.optim.AdamW(described, lr=recipe.learning_rate, betas=(0.9, 0.99), fused=True)


def layers_above_in(module: nn.Module, name: str) -> int:
    """How many layers of a network lie between a parameter and the logits."""
    body = getattr(module, "stages", None)
    return layers_above(name, stages=len(body) if isinstance(body, nn.Sequential) else 0)


def layers_above(name: str, *, stages: int) -> int:
    """How many layers, stages counted as one each, lie between a parameter and the logits, by its name.

    Example:
        >>> [layers_above(name, stages=5) for name in ("classifier.bias", "stages.4.0.weight", "stem.0.weight")]
        [0, 2, 7]
    """
    first, *rest = name.split(".")
    places = {"classifier": 0, "hidden": 1, "head": 1, "stem": 2 + stages}
    return 1 + stages - int(rest[0]) if first == "stages" else places.get(first, 0)
