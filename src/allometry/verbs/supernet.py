"""`allometry supernet`: train one network with all the choices of a space, search it, extract what a device needs.

Example, with a small `network`, `images` and `labels`:
    >>> short = {"epochs": 1, "out": folder / "supernet", "progress": False}
    >>> family = train(network, data=(images, labels), budget="200k", **short)
    >>> few = {"subnets": 20, "held_out": 10, "least_tau": -1, "progress": False}
    >>> subnet = search(family, budget="macs<=150k", **few)
    >>> extracted = extract(family, subnet, progress=False)
    >>> extracted.cost.macs == subnet.cost.macs <= 150_000
    True
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from torch import nn

from allometry.arch import Network
from allometry.arch.any_space import AnyMember
from allometry.base import InputError, Progress
from allometry.base.checks import check_seed, replace_given
from allometry.base.progress import as_progress
from allometry.cost import Budget, LatencyTable, Measure, as_budget, as_measure
from allometry.data import Data, Dataset, Group, data_name
from allometry.nas.search_config import latency_runtime
from allometry.nas.search_spaces import SpaceLike
from allometry.nn import ModuleElasticity
from allometry.reports import write_report
from allometry.runs import Subnet, SubnetFront, read_run
from allometry.runs.arguments import value_name
from allometry.runs.folder import find_run
from allometry.supernets.accuracy_predictor import PredictorConfig
from allometry.supernets.config import SupernetConfig
from allometry.supernets.extraction import find_subnet
from allometry.supernets.module_run import ModuleRequest
from allometry.supernets.opened import OpenSupernet, open_supernet
from allometry.supernets.subnet_search import SubnetRequest, search_front, search_subnet
from allometry.supernets.training_run import (
    SupernetForecast,
    forecast_supernet,
    train_in_folder,
)
from allometry.training.callbacks import Callback
from allometry.training.recipes.settings import Setting
from allometry.training.recipes.specs import check_settings
from allometry.training.session import open_joint_session, open_session, read_data, read_in_turn
from allometry.verbs.arguments import RunLike, folder_of
from allometry.verbs.open import Run, open_run
from allometry.verbs.stages import finish, is_finished
from allometry.verbs.supernet_extract import take_out
from allometry.verbs.supernet_module import module_arguments
from allometry.verbs.supernet_request import job_of, request_of

__all__ = ["extract", "forecast_train", "front", "search", "train"]

_POINTS = 12


def train(
    space: SpaceLike | None = None,
    *,
    module: nn.Module | str | None = None,
    resolution: int | None = None,
    elasticity: ModuleElasticity | None = None,
    data: Data = "icons",
    group: Group | None = None,
    budget: Budget | str | None = None,
    plan: str | None = None,
    epochs: int | None = None,
    coupled: bool | None = None,
    config: SupernetConfig = SupernetConfig(),
    start: RunLike | None = None,
    out: str | Path | None = None,
    seed: int = 0,
    device: str | None = None,
    settings: Sequence[Setting] = (),
    callbacks: Sequence[Callback | str] = (),
    progress: Progress | bool = True,
    should_stop: Callable[[], bool] = lambda: False,
) -> Run:
    """Train a supernet on these images, from which `search` and `extract` take a subnet for each budget.

    Called again with the same folder it goes on where it stopped. Started by `torchrun`, the processes train together:
    the first one writes the folder, and all give the same run.

    Args:
        space: a space, its name or JSON file; or a network, for the space around it; None for a module.
        module: in place of a space a torch module, which is the largest subnet as it is, or `package.module:factory` of
            one, which takes no arguments; the package is imported, and so run. Of a module by value its weights are
            started from, and `search` and `extract` take the run, not its folder.
        resolution: side of a module's largest images, in pixels; by default what timm says of it, or 224.
        elasticity: how much of a module is left open.
        data: `icons`, a folder of class folders, arrays, or whatever else `as_dataset` takes.
        group: what the images of a group have in common that stay in one split: `folder`, `level:2`, `{group}_*.jpg`, a
            column, `near-duplicates` (see `open_data`).
        budget: counts that the largest network keeps; None for 10M MACs around a network, and for any size of a space
            that is given. A module has none.
        plan: `config.plan`, if given: `bignas`, `sandwich`, `shrinking`, `at-once` or a JSON file of phases.
        epochs: `config.epochs`, if given: of the plan's one phase, or of `shrinking`'s first.
        coupled: `config.coupled`, if given: whether width follows depth.
        config: the phases.
        start: trained weights from which the largest network inherits what it can: a run; or a file or
            `hf://owner/name`, of the network that is given as the space, or of the module, by its own names.
        out: the run folder; by default `runs/supernet-SPACE-DATA`.
        seed: of everything random.
        device: `cpu`, `cuda`, `cuda:1`; by default a GPU if there is one.
        settings: changes to the recipe: `key=value`, or a loss.
        callbacks: are told of the training: `allometry.callbacks.TensorBoard()`, others by value, or by name.
        progress: True for a bar or lines, False for silence, or whatever is to be told.
        should_stop: asked after each step; True stops at a checkpoint.

    Returns:
        The run: its `supernet`, and its `result` (`SupernetResult`) about the largest and the smallest network.

    Raises:
        InputError: space, data, budget, phases or settings are wrong.
        Stopped: `should_stop` asked for it.
        StorageError: the disk is full, read-only or forbidden.
        NonFiniteLossError: the training diverged.
        CallbackError: a callback failed.

    Source: Once-for-All (Cai et al. 2020).
    """
    shown = as_progress(progress)
    config = replace_given(config, plan=plan, epochs=epochs, coupled=coupled)
    own = module_arguments(space, module, resolution, elasticity)
    request = request_of(
        own or space, data, group, budget, config, settings, start, seed=seed, progress=shown
    )
    called = own.called if own else value_name(space or "")
    folder = Path(out or Path("runs") / f"supernet-{called}-{data_name(request.data)}")
    with open_joint_session(
        folder,
        command="supernet train",
        arguments=request.arguments(),
        seed=seed,
        device=device,
        progress=shown,
        should_stop=should_stop,
        callbacks=callbacks,
    ) as session:
        dist = session.dist
        if not dist.broadcast_object(dist.is_main and is_finished(session)):
            images = read_in_turn(session, request.data)
            result = train_in_folder(session, job_of(session, request, images), images)
            if result is not None:
                finish(session, result)
        run: Run = dist.broadcast_object(open_run(folder) if dist.is_main else None)
        return replace(
            run,
            dataset=request.data if isinstance(request.data, Dataset) else None,
            original=request.module if isinstance(request, ModuleRequest) and not request.factory else None,
        )


def forecast_train(
    space: SpaceLike | None = None,
    *,
    module: nn.Module | str | None = None,
    resolution: int | None = None,
    elasticity: ModuleElasticity | None = None,
    data: Data = "icons",
    group: Group | None = None,
    budget: Budget | str | None = None,
    plan: str | None = None,
    epochs: int | None = None,
    coupled: bool | None = None,
    config: SupernetConfig = SupernetConfig(),
    start: RunLike | None = None,
    seed: int = 0,
    device: str | None = None,
    settings: Sequence[Setting] = (),
    progress: Progress | bool = True,
) -> SupernetForecast:
    """What `train` with these arguments would do and cost here; nothing is written or trained.

    The arguments and errors are those of `train`.
    """
    shown = as_progress(progress)
    config = replace_given(config, plan=plan, epochs=epochs, coupled=coupled)
    own = module_arguments(space, module, resolution, elasticity)
    request = request_of(
        own or space, data, group, budget, config, settings, start, seed=seed, progress=shown
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        open_session(
            Path(folder) / "forecast",
            command="supernet train",
            arguments={},
            seed=seed,
            device=device,
            progress=shown,
            should_stop=lambda: False,
        ) as session,
    ):
        images = read_data(session, request.data)
        return forecast_supernet(job_of(session, request, images), images)


def search(
    run: RunLike,
    *,
    budget: Budget | str,
    subnets: int | None = None,
    held_out: int | None = None,
    least_tau: float | None = None,
    config: PredictorConfig = PredictorConfig(),
    table: LatencyTable | str | Path | None = None,
    runtime: str | None = None,
    threads: int = 1,
    device: str | None = None,
    progress: Progress | bool = True,
    should_stop: Callable[[], bool] = lambda: False,
) -> Subnet:
    """Find the subnet of a trained supernet that is predicted to be best within a budget, and confirm it.

    The first call measures subnets and fits a predictor, and builds a latency table where a latency is asked for. All
    of it stays in the supernet's folder, so that later budgets are answered at once.

    Args:
        run: what `train` gave, or its folder.
        budget: what the subnet keeps: `latency<=5ms`, `macs<=2M`, several joined by commas.
        subnets: `config.subnets`, if given: that are measured to fit the predictor.
        held_out: `config.held_out`, if given: that are measured to judge it.
        least_tau: `config.least_tau`, if given: below it the predictor is not trusted.
        config: how many subnets are measured, and how good the predictor must be.
        table: a latency table of the space; without one, it is built where a latency is asked for.
        runtime: where latency counts; ONNX Runtime by default.
        threads: of that runtime.
        device: `cpu`, `cuda`, `cuda:1`; by default a GPU if there is one.
        progress: True for a bar or lines, False for silence, or whatever is to be told.
        should_stop: True stops between two measurements, which stay.

    Returns:
        The subnet: its `network`, predicted and measured accuracy and latency; `extract` takes it.

    Raises:
        RunFolderError: there is no trained supernet.
        BudgetError: no subnet keeps the budget; the message names the nearest value that one has.
        InputError: the predictor cannot be trusted, or something does not go together.
        Stopped: `should_stop` asked for it.

    Source: Once-for-All (Cai et al. 2020), section 3.4.
    """
    limits = as_budget(budget)
    request = SubnetRequest(
        budget=limits,
        config=replace_given(config, subnets=subnets, held_out=held_out, least_tau=least_tau),
        table=table,
        runtime_config=latency_runtime([], limits, runtime=runtime, threads=threads),
    )
    with _opened(run, device, progress, should_stop) as opened:
        subnet = search_subnet(opened, limits, request)
        _write_report(opened)
        return subnet


def front(
    run: RunLike,
    *,
    cost: Measure | str = "macs",
    budget: Budget | str | None = None,
    points: int = _POINTS,
    subnets: int | None = None,
    held_out: int | None = None,
    least_tau: float | None = None,
    config: PredictorConfig = PredictorConfig(),
    table: LatencyTable | str | Path | None = None,
    runtime: str | None = None,
    threads: int = 1,
    device: str | None = None,
    progress: Progress | bool = True,
    should_stop: Callable[[], bool] = lambda: False,
) -> SubnetFront:
    """Find the subnets of a trained supernet than which none is predicted to be both cheaper and better.

    Some of them, evenly spaced by the logarithm of their cost, are measured and written down.

    Args:
        run: what `train` gave, or its folder.
        cost: a measure, or the name of one: `macs`, `params`, `activations`, `memory`, `latency` or your own.
        budget: what every subnet keeps besides; None for nothing.
        points: how many subnets are measured and written.
        subnets: `config.subnets`, if given: that are measured to fit the predictor.
        held_out: `config.held_out`, if given: that are measured to judge it.
        least_tau: `config.least_tau`, if given: below it the predictor is not trusted.
        config: how many subnets are measured for the predictor, and how good that must be.
        table: a latency table of the space; without one, it is built where a latency is asked for.
        runtime: where latency counts; ONNX Runtime by default.
        threads: of that runtime.
        device: `cpu`, `cuda`, `cuda:1`; by default a GPU if there is one.
        progress: True for a bar or lines, False for silence, or whatever is to be told.
        should_stop: True stops between two measurements, which stay.

    Returns:
        The front: its `subnets` with their costs, predicted and validation accuracies.

    Raises:
        RunFolderError: there is no trained supernet.
        BudgetError: no subnet keeps the budget.
        UnknownNameError: no such measure.
        InputError: the predictor cannot be trusted, or something does not go together.
        Stopped: `should_stop` asked for it.

    Source: Once-for-All (Cai et al. 2020), Figure 9.
    """
    measure = as_measure(cost)
    if points < 1:
        raise InputError(f"points must be at least 1, not {points}.")
    limits = None if budget is None else as_budget(budget)
    request = SubnetRequest(
        budget=limits,
        config=replace_given(config, subnets=subnets, held_out=held_out, least_tau=least_tau),
        table=table,
        runtime_config=latency_runtime([measure], limits, runtime=runtime, threads=threads),
    )
    with _opened(run, device, progress, should_stop) as opened:
        subnets_on_front = search_front(opened, measure, points, request)
        _write_report(opened)
        return subnets_on_front


def extract(
    run: RunLike,
    subnet: Subnet | AnyMember | str | Path,
    *,
    epochs: int = 0,
    out: str | Path | None = None,
    seed: int | None = None,
    device: str | None = None,
    settings: Sequence[Setting] = (),
    callbacks: Sequence[Callback | str] = (),
    progress: Progress | bool = True,
    should_stop: Callable[[], bool] = lambda: False,
) -> Run:
    """Take a subnet out of a trained supernet, as a run that `export`, `evaluate` and others take.

    Args:
        run: what `train` gave, or its folder.
        subnet: what `search` gave; or any member of the space: a network, the name of one that was searched, or a
            network's JSON file.
        epochs: of fine-tuning it by itself, from its weights in the supernet; 0 for none.
        out: the new run folder; by default beside the supernet's, with the subnet's name.
        seed: of the fine-tuning; by default the supernet's.
        device: `cpu`, `cuda`, `cuda:1`; by default a GPU if there is one.
        settings: changes to the recipe of the fine-tuning: `key=value`, or a loss.
        callbacks: are told of the fine-tuning, by value or name.
        progress: True for a bar or lines, False for silence, or whatever is to be told.
        should_stop: True stops the fine-tuning at a checkpoint; the same call goes on.

    Returns:
        The run: its `network`, `evaluation` and `result` (`ExtractResult`), with the validation accuracy before and
        after the fine-tuning. What that cost is in the run's cost log.

    Raises:
        RunFolderError: there is no trained supernet.
        UnknownNameError: no subnet of that name was found; the message lists those that were.
        NetworkError: the network is no member of the space; the message says what differs.
        InputError: epochs are negative, or settings, callbacks or a seed are given without any.
        Stopped: `should_stop` asked for it.

    Source: Once-for-All (Cai et al. 2020), section 4.1: 25 or 75 epochs of fine-tuning, if any.
    """
    if epochs < 0:
        raise InputError(f"epochs must be at least 0, not {epochs}.")
    if settings and not epochs:
        raise InputError("Settings change the recipe of a fine-tuning; give --epochs, too.")
    if callbacks and not epochs:
        raise InputError("Callbacks are told of a fine-tuning; give --epochs, too.")
    if seed is not None:
        check_seed(seed)
    if seed is not None and not epochs:
        raise InputError("A seed is that of a fine-tuning; give --epochs, too.")
    check_settings(settings)
    supernet = folder_of(run)
    find_run(supernet)
    network = find_subnet(supernet, subnet)
    called = value_name(network) if isinstance(network, Network) else value_name(network.name)
    folder = Path(out or supernet.parent / f"{supernet.name}-{called}")
    with _opened(run, device, progress, should_stop) as opened:
        take_out(
            opened,
            network,
            folder,
            epochs=epochs,
            seed=seed,
            device=device,
            settings=settings,
            callbacks=callbacks,
            should_stop=should_stop,
        )
    return open_run(folder, data=_data(run))


def _opened(
    run: RunLike, device: str | None, progress: Progress | bool, should_stop: Callable[[], bool]
) -> AbstractContextManager[OpenSupernet]:
    """The supernet of a run, with the images that it was trained on."""
    return open_supernet(
        folder_of(run),
        data=_data(run),
        module=run.original if isinstance(run, Run) else None,
        device=device,
        progress=as_progress(progress),
        should_stop=should_stop,
    )


def _data(run: RunLike) -> Dataset | None:
    """The data set that a supernet was made with, where that was a value."""
    return run.dataset if isinstance(run, Run) else None


def _write_report(opened: OpenSupernet) -> None:
    record = read_run(opened.session.run.path)
    write_report([record], out=record.report)
