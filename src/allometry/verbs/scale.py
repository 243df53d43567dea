"""`allometry scale`: networks grown and shrunk, by steps of a law, to a budget, or by hand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from allometry.arch import Network, apply_multipliers
from allometry.arch import lite as to_lite
from allometry.base import InputError, Progress
from allometry.base.checks import is_number
from allometry.base.progress import as_progress
from allometry.base.text import shown
from allometry.catalog import as_network
from allometry.cost import Budget, Cost, RuntimeConfig, as_budget, count, runtime_config_for
from allometry.scaling import Multipliers, ScalingLaw, Solution, as_law, solve
from allometry.scaling import scale as scale_by_law

if TYPE_CHECKING:
    from torch import nn

    from allometry.nn.growing import GrowthMethod
    from allometry.training.batch_norm import Inputs


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaledNetwork:
    """A network that was grown or shrunk, with all that is known about it.

    Attributes:
        network: what came of it.
        origin: what it was before.
        multipliers: of its depth, width and resolution.
        cost: of one image; with the latency and memory that were measured, where they were; of a backbone without the
            head.
        phi: steps of the law; None where no law was used.
        runtime: where latency and memory were measured, if they were.
    """

    network: Network
    origin: Network
    multipliers: Multipliers
    cost: Cost
    phi: float | None = None
    runtime: RuntimeConfig | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {
            "name": self.network.name,
            "resolution": self.network.resolution,
            **self.cost.to_dict(),
            **({"runtime_config": asdict(self.runtime)} if self.runtime else {}),
            "depth": self.multipliers.depth,
            "width": self.multipliers.width,
            "phi": self.phi,
            "resolution_multiplier": self.multipliers.resolution,
        }


@overload
def scale(
    network: Network | str | Path,
    phi: float | None = None,
    *,
    budget: Budget | str | None = None,
    depth: float | None = None,
    width: float | None = None,
    resolution: float | None = None,
    law: ScalingLaw | str | Path | None = None,
    channel_multiple: int | None = None,
    lite: bool = False,
    runtime: str | None = None,
    threads: int = 1,
    precision: str = "float32",
    features_only: bool = False,
    progress: Progress | bool = True,
) -> Network: ...
@overload
def scale(
    network: nn.Module,
    phi: float | None = None,
    *,
    example_input: Any,  # noqa: ANN401 - whatever the module takes
    budget: Budget | str | None = None,
    depth: float | None = None,
    width: float | None = None,
    kernel_size: int | None = None,
    law: ScalingLaw | str | Path | None = None,
    channel_multiple: int | None = None,
    method: GrowthMethod = "new",
    batches: Iterable[Inputs] | None = None,
    seed: int = 0,
) -> nn.Module: ...
def scale(
    network: Network | str | Path | nn.Module,
    phi: float | None = None,
    *,
    budget: Budget | str | None = None,
    depth: float | None = None,
    width: float | None = None,
    resolution: float | None = None,
    law: ScalingLaw | str | Path | None = None,
    channel_multiple: int | None = None,
    lite: bool = False,
    runtime: str | None = None,
    threads: int = 1,
    precision: str = "float32",
    features_only: bool = False,
    progress: Progress | bool = True,
    example_input: Any = None,
    kernel_size: int | None = None,
    method: GrowthMethod = "new",
    batches: Iterable[Inputs] | None = None,
    seed: int = 0,
) -> Network | nn.Module:
    """Grow or shrink a network: by steps of a law, to a budget, or by its three dimensions.

    Nothing is trained: the result is a `Network` as any other. `solve` gives all figures of a budget's solution. A
    latency is measured on this machine, network by network, until one fits: a minute or two.

    Of a torch module, whoever wrote it, comes a module of the same classes with the weights that it has: it computes
    the same until it is trained. `allometry.nn.scale_module` and `solve_module` give its plan as well.

    Args:
        network: a network, a name of the zoo, a network's JSON file, or a torch module with an `example_input`.
        phi: steps of the law; negative shrinks, fractions are fine.
        budget: what the result may cost, such as `macs<=400M, params<=5M`, `latency<=20ms` or `4x`.
        depth: multiplier of the layers.
        width: multiplier of the channels.
        resolution: multiplier of the input's side.
        law: in what proportion `phi` and `budget` grow: a law, its name, three numbers or a JSON file; by default
            `compound`.
        channel_multiple: channels are rounded to multiples of this; by default the law's.
        lite: first give it the form for integer hardware: no squeeze-excite, ReLU6, fixed stem and head.
        runtime: where a latency is measured: `onnxruntime` (the default), `openvino`, `torch` or `torch.compile`.
        threads: of that runtime.
        precision: of its arithmetic.
        features_only: the budget is that of a backbone, so of the network without its head; it is counted.
        progress: True for a bar or lines, False for silence, or whatever is to be told.
        example_input: that a torch module takes, or a tuple of all that it takes: a batch of one image will do.
        kernel_size: side of the kernels of all convolutions of a module that look at fewer neighbors.
        method: what new channels of a module are: `new` ones that nobody reads at first, `copies`, or `pairs` that
            cancel each other.
        batches: inputs of a module that give new channels their batch-norm statistics, and all channels where they are
            of another size than the example, or the module shrinks.
        seed: of a module's new weights.

    Raises:
        InputError: there is no such network or law, or not exactly one of phi, budget and multipliers is given, or the
            budget of a backbone would be measured; or nothing of a module can be scaled, or not without changing what
            it computes: the message says what, where and why.
        BudgetError: no network of the law is within the budget.

    Source: EfficientNet (Tan & Le 2019), equations 2 and 3.

    Example:
        >>> from allometry.cost import count
        >>> scale("efficientnet-b0", 1).name
        'efficientnet-b0 phi 1'
        >>> count(scale("efficientnet-b0", budget="20M")).macs <= 20_000_000
        True
        >>> scale("efficientnet-b0", depth=2).depth
        32
        >>> count(scale("efficientnet-b0", budget="20M", features_only=True), features_only=True).macs <= 20_000_000
        True
    """
    if isinstance(network, str | Path | Network):
        chosen = None if method == "new" else method
        _refuse_for_data(example_input=example_input, kernel_size=kernel_size, method=chosen, batches=batches)
        return scale_in_full(
            network,
            phi,
            budget=budget,
            depth=depth,
            width=width,
            resolution=resolution,
            law=law,
            channel_multiple=channel_multiple,
            lite=lite,
            runtime=runtime,
            threads=threads,
            precision=precision,
            features_only=features_only,
            progress=progress,
        ).network
    from allometry.verbs.scale_module import scale_module_in_full

    _refuse_for_modules(
        resolution=resolution, lite=lite or None, runtime=runtime, features_only=features_only or None
    )
    return scale_module_in_full(
        network,
        phi,
        example_input=example_input,
        budget=budget,
        depth=depth,
        width=width,
        kernel_size=kernel_size,
        law=law,
        channel_multiple=channel_multiple,
        method=method,
        batches=batches,
        seed=seed,
    ).module


def _refuse_for_data(**given: object) -> None:
    """Refuse what only torch modules have."""
    wrong = [name for name, value in given.items() if value is not None]
    if wrong:
        raise InputError(
            f"{wrong[0]} is for torch modules; a network that is data has no weights (`allometry.grow` takes a trained "
            "one)."
        )


def _refuse_for_modules(**given: object) -> None:
    """Refuse what only networks that are data have."""
    wrong = [name for name, value in given.items() if value is not None]
    if wrong:
        raise InputError(
            f"{wrong[0]} is for networks that are data; a torch module has depth, width and budgets."
        )


def scale_in_full(
    network: Network | str | Path,
    phi: float | None = None,
    *,
    budget: Budget | str | None = None,
    depth: float | None = None,
    width: float | None = None,
    resolution: float | None = None,
    law: ScalingLaw | str | Path | None = None,
    channel_multiple: int | None = None,
    lite: bool = False,
    runtime: str | None = None,
    threads: int = 1,
    precision: str = "float32",
    features_only: bool = False,
    progress: Progress | bool = True,
) -> ScaledNetwork:
    """What `scale` does, with multipliers, cost and where that was measured; arguments and errors are the same.

    Example:
        >>> scale_in_full("efficientnet-b0", 1).multipliers.depth
        1.2
    """
    origin = to_lite(as_network(network)) if lite else as_network(network)
    by_hand = _multipliers(depth, width, resolution)
    if lite and phi is None and budget is None and by_hand is None:
        phi = 0.0
    _check(phi, budget, by_hand, law=law, measured=(runtime, threads, precision) != (None, 1, "float32"))
    chosen, price = as_law(law or "compound"), partial(count, features_only=features_only)
    if channel_multiple is not None:
        chosen = replace(chosen, channel_multiple=channel_multiple)
    if phi is not None:
        grown = scale_by_law(origin, phi, law=chosen)
        return ScaledNetwork(
            network=grown, origin=origin, multipliers=chosen.multipliers(phi), cost=price(grown), phi=phi
        )
    if by_hand is not None:
        label = " ".join(f"{name[0]}{value:g}" for name, value in by_hand._asdict().items())
        grown = apply_multipliers(
            origin,
            **by_hand._asdict(),
            channel_multiple=chosen.channel_multiple,
            name=f"{origin.name} {label}".strip(),
        )
        return ScaledNetwork(network=grown, origin=origin, multipliers=by_hand, cost=price(grown))
    limits = as_budget(budget or "", price(origin))
    where = runtime_config_for(limits, runtime=runtime, threads=threads, precision=precision)
    if features_only and where is not None:
        raise InputError(
            f"The budget {limits} of a backbone is counted, but only whole networks are measured: limit its macs, "
            "params, activations or memory, and leave the runtime out."
        )
    solution = (
        solve(origin, limits, law=chosen, features_only=features_only)
        if where is None
        else _solve_on_device(origin, limits, chosen, where, as_progress(progress))
    )
    return ScaledNetwork(
        network=solution.network,
        origin=origin,
        multipliers=solution.multipliers,
        cost=solution.cost,
        phi=solution.phi,
        runtime=where,
    )


def _multipliers(depth: float | None, width: float | None, resolution: float | None) -> Multipliers | None:
    values = (depth, width, resolution)
    if all(value is None for value in values):
        return None
    for name, value in zip(Multipliers._fields, values, strict=True):
        if value is not None and not is_number(value):
            raise InputError(f"{name} must be a finite number, not {shown(value)}.")
    return Multipliers(*(1.0 if value is None else value for value in values))


def _check(
    phi: float | None,
    budget: Budget | str | None,
    by_hand: Multipliers | None,
    *,
    law: ScalingLaw | str | Path | None,
    measured: bool,
) -> None:
    """Refuse what does not go together."""
    if sum((phi is not None, budget is not None, by_hand is not None)) != 1:
        raise InputError("Give one of phi, budget, or multipliers (depth, width, resolution).")
    if by_hand is not None and law is not None:
        raise InputError(
            "A law says in what proportion to grow, and so do depth, width and resolution: give one or the other."
        )
    if budget is None and measured:
        raise InputError(
            "runtime, threads and precision say where a budget is measured; give a budget, such as latency<=20ms."
        )


def _solve_on_device(
    origin: Network, limits: Budget, law: ScalingLaw, where: RuntimeConfig, progress: Progress
) -> Solution:
    from allometry.profiling import solve_on_device

    solution, warnings = solve_on_device(origin, limits, law=law, runtime_config=where, progress=progress)
    for warning in warnings:
        progress.say(f"warning: {warning}")
    return solution
