"""What a module that has grown takes over from its training: the optimizer's memory and batch norm's statistics."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from allometry.base import InputError
from allometry.base.text import first_few
from allometry.nn.foreign.oracle import outputs_gap
from allometry.nn.foreign.runs import run_once
from allometry.nn.growing import LARGEST_ERROR, TensorSource, WeightMap, inherited
from allometry.nn.growing.weight_map import NEW
from allometry.training.batch_norm import Inputs, as_inputs, recalibrate_batch_norm

_Memory: TypeAlias = Mapping[str, Mapping[str, Any]]
# What a step is divided by, or is: with zeros the first steps of new entries would be as long as can be, or none.
_MAGNITUDES = (
    "exp_avg_sq", "max_exp_avg_sq", "square", "square_avg", "exp_inf", "sum", "acc_delta", "step_size",
)  # fmt: skip


def inherit_optimizer(
    old: torch.optim.Optimizer | Mapping[str, Any],
    new: torch.optim.Optimizer,
    old_module: nn.Module,
    new_module: nn.Module,
    weight_map: WeightMap,
) -> None:
    """Let an optimizer go on with what another one remembers of the weights that its weights inherit, in place.

    New entries begin with a momentum of zero, and with the mean of the tensor's second moments: with zeros, divided by
    whose root, their first steps would be as long as a step can be, many times those of their neighbors. A weight that
    is new altogether begins as in a new training. Steps are counted on; learning rates are those of the new optimizer.

    Args:
        old: of the module before it grew or shrank; or its `state_dict`.
        new: of the same kind, of the other module; it has taken no step.
        old_module: whose weights `old` moves.
        new_module: whose weights `new` moves.
        weight_map: which entries come from which: that of a `Grown`, a `Shrunk` or a `ScaledModule`.

    Raises:
        InputError: the optimizers are of two kinds, or do not move these modules' weights, or the old one remembers
            something else than one value for each entry of a weight, as Adafactor does.

    Example:
        >>> from allometry.nn import scale_module
        >>> module = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
        >>> old = torch.optim.AdamW(module.parameters())
        >>> module(torch.ones(1, 2)).sum().backward()
        >>> old.step()
        >>> scaled = scale_module(module, torch.ones(1, 2), width=2)
        >>> new = torch.optim.AdamW(scaled.module.parameters())
        >>> inherit_optimizer(old, new, module, scaled.module, scaled.weight_map)
        >>> first, larger = old.state[module[0].bias]["exp_avg"], new.state[scaled.module[0].bias]["exp_avg"]
        >>> len(larger), bool((larger[:8] == first).all()), larger[8:].any().item()
        (16, True, False)
    """
    if isinstance(old, torch.optim.Optimizer) and type(old) is not type(new):
        raise InputError(
            f"What {type(old).__name__} remembers is nothing to {type(new).__name__}: make the new optimizer of the "
            "same kind."
        )
    weights = dict(old_module.named_parameters())
    memory = _memory(old, weights)
    moved = {id(weight) for group in new.param_groups for weight in group["params"]}
    named = {name: weight for name, weight in new_module.named_parameters() if id(weight) in moved}
    if len(named) != len(moved):
        raise InputError("The new optimizer moves weights that the new module does not have.")
    for name, weight in named.items():
        source = weight_map.get(name)
        if source is None:
            continue
        for key, value in memory.get(source.name, {}).items():
            if not isinstance(value, Tensor) or not value.ndim:
                new.state[weight][key] = copy.deepcopy(value)
                continue
            if value.shape != weights[source.name].shape:
                raise InputError(
                    f"The optimizer remembers of {source.name} {key!r} of {tuple(value.shape)}, not one value for each "
                    f"entry of {tuple(weights[source.name].shape)}: begin with a new one."
                )
            begin = torch.zeros_like(weight)
            if key in _MAGNITUDES:
                begin.fill_(value.mean().item())
            new.state[weight][key] = inherited(value, source, begin)


def _memory(old: torch.optim.Optimizer | Mapping[str, Any], weights: Mapping[str, Tensor]) -> _Memory:
    """What an optimizer remembers of each weight, by the weight's name."""
    if isinstance(old, torch.optim.Optimizer):
        names = {id(weight): name for name, weight in weights.items()}
        held = [weight for group in old.param_groups for weight in group["params"]]
        if not all(id(weight) in names for weight in held):
            raise InputError("The old optimizer moves weights that the old module does not have.")
        return {names[id(weight)]: state for weight, state in old.state.items()}
    try:
        groups, state = old["param_groups"], old["state"]
        numbers = [number for group in groups for number in group["params"]]
        told = [name for group in groups for name in group.get("param_names", ())]
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError("This is no state_dict of a torch optimizer.") from error
    if not told:
        if len(groups) > 1:
            raise InputError(
                "The optimizer's state_dict does not name its weights, which are in several groups: give the optimizer "
                "itself, or one made of named_parameters()."
            )
        told = list(weights)
    unknown = [name for name in told if name not in weights]
    if unknown or len(told) != len(numbers):
        odd = first_few(unknown) if unknown else f"{len(numbers)} weights and not {len(told)}"
        raise InputError(f"The optimizer's state_dict is not for this module: it has {odd}.")
    return {name: state[number] for name, number in zip(told, numbers, strict=True) if number in state}


def settle_new_statistics(
    module: nn.Module, weight_map: WeightMap, batches: Iterable[Inputs], *, everywhere: bool = False
) -> None:
    """Give the channels that are new in a grown module their statistics, in place; the others keep theirs.

    What the module computes stays: where a new layer hands on what it is given, its scales and shifts follow.

    Args:
        module: that has grown, or shrunk.
        weight_map: what of it is inherited.
        batches: inputs, normalized, on the module's device; a tuple of all where it takes several.
        everywhere: give all channels other statistics, which images of another size need, and a module that shrank.

    Source: statistics at the size of the images: Touvron et al. 2019, *Fixing the train-test resolution discrepancy*,
    section 4.2.

    Example:
        >>> module = nn.Sequential(nn.BatchNorm2d(2))
        >>> known = {"0.running_mean": TensorSource("0.running_mean", ((0, -1),))}
        >>> settle_new_statistics(module, known, [torch.full((2, 2, 1, 1), 5.0)])
        >>> module[0].running_mean
        tensor([0., 5.])
    """
    if everywhere:
        training = module.training
        recalibrate_batch_norm(module, batches)
        module.train(training)
        return
    sources = {
        name: weight_map.get(name)
        for name, value in module.named_buffers()
        if value.is_floating_point() and value.ndim
    }
    if not any(source is None or NEW in (source.indices[0] or ()) for source in sources.values()):
        return
    remaining = iter(batches)
    first = next(remaining, None)
    if first is None:
        return
    measured = copy.deepcopy(module)
    recalibrate_batch_norm(measured, chain([first], remaining))
    values = dict(measured.named_buffers())
    output = run_once(module, as_inputs(first))
    affine = _affine_maps(module, [name for name, source in sources.items() if source is None])
    with torch.no_grad():
        for name, source in sources.items():
            value = module.get_buffer(name)
            measure = values[name]
            value.copy_(measure if source is None else inherited(value, _in_place(source), measure))
    if affine and outputs_gap(output, run_once(module, as_inputs(first))) > LARGEST_ERROR:
        _keep_affine_maps(affine)


def _affine_maps(module: nn.Module, names: Iterable[str]) -> list[tuple[_BatchNorm, Tensor, Tensor]]:
    """The batch norms with these statistics, with the factors and the offsets that they come to."""
    parts = [module.get_submodule(name.rpartition(".")[0]) for name in names if name.endswith("running_var")]
    maps = []
    for part in parts:
        if isinstance(part, _BatchNorm) and part.affine and part.running_var is not None:
            assert part.running_mean is not None  # noqa: S101
            factor = part.weight.detach() / (part.running_var + part.eps).sqrt()
            maps.append((part, factor, part.bias.detach() - factor * part.running_mean))
    return maps


def _keep_affine_maps(maps: Iterable[tuple[_BatchNorm, Tensor, Tensor]]) -> None:
    """Give batch norms scales and shifts with which they come to the same factors and offsets as before, in place."""
    with torch.no_grad():
        for part, factor, offset in maps:
            assert part.running_mean is not None  # noqa: S101
            assert part.running_var is not None  # noqa: S101
            part.weight.copy_(factor * (part.running_var + part.eps).sqrt())
            part.bias.copy_(offset + factor * part.running_mean)


def _in_place(source: TensorSource) -> TensorSource:
    """The source of a tensor that has what it inherits already: each old entry from its own place."""
    return TensorSource(
        source.name,
        tuple(
            None
            if indices is None
            else tuple(NEW if old == NEW else place for place, old in enumerate(indices))
            for indices in source.indices
        ),
    )
