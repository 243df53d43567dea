"""`allometry run`: the whole path, from images to a delivered network."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from allometry.arch import Network, save
from allometry.base import InputError, Progress, SilentProgress
from allometry.base.progress import as_progress
from allometry.base.reading import is_folder
from allometry.base.units import format_duration, plural
from allometry.catalog import as_network
from allometry.cost import Budget, RuntimeConfig, as_budget, count, runtime_config_for
from allometry.cost.measures import recorded_measure
from allometry.data import Data, Group, data_argument, data_name, group_numbers, settle_data
from allometry.nas import LawChoice, LawTrial, Point, try_laws
from allometry.nas.growth_plan import GrowthRequest, Plan, Prepared, RunForecast, estimate_seconds, prepare
from allometry.nas.law_trials import correct_text
from allometry.profiling.latency_meter import open_meter
from allometry.runs import GrowthPlan, GrowthResult, RivalLaw
from allometry.runs.arguments import law_argument, value_argument
from allometry.runs.files import BASELINE, LAW, NETWORK, PLAN, PREPROCESSING, write_recipe
from allometry.scaling import COMPOUND, Multipliers, ScalingLaw, Solution, as_law, solve
from allometry.training import predict, train
from allometry.training.callbacks import Callback
from allometry.training.forecast import forecast
from allometry.training.recipes.settings import Setting, setting_texts
from allometry.training.recipes.specs import check_settings
from allometry.training.session import Session, open_session
from allometry.verbs.arguments import RunLike, budget_slug, weights_argument
from allometry.verbs.grow_request import GrowRequest, grow_request
from allometry.verbs.open import Run, open_run
from allometry.verbs.run_pretrained import forecast_pretrained, run_pretrained
from allometry.verbs.stages import deliver, finish, is_finished, judge

BASELINE_NETWORK = "efficientnet-b0"
"""What shrinks and grows where nothing else is given."""


def forecast_run(
    *,
    data: Data = "icons",
    group: Group | None = None,
    baseline: Network | str | Path | None = None,
    budget: Budget | str = "10M",
    law: ScalingLaw | str | Path | None = None,
    seed: int = 0,
    device: str | None = None,
    settings: Sequence[Setting] = (),
    runtime: str | None = None,
    threads: int = 1,
    pretrained: RunLike | None = None,
    progress: Progress | bool = True,
) -> RunForecast:
    """What `run` with these arguments would do and cost here; nothing is written or trained.

    The arguments and errors are those of `run`.
    """
    shown = as_progress(progress)
    request = _request(
        baseline, data, group, budget, law, settings, runtime, threads, seed=seed, progress=shown
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        open_session(
            Path(folder) / "forecast",
            command="run",
            arguments={},
            seed=seed,
            device=device,
            progress=shown,
            should_stop=lambda: False,
        ) as session,
    ):
        if pretrained is not None:
            return forecast_pretrained(
                session, _from_weights(pretrained, baseline, budget, request, seed=seed)
            )
        prepared = prepare(session, request)
        plan, expected = prepared.plan, prepared.plan.expected
        training = forecast(
            session.job(expected.network, prepared.images, prepared.recipe, folder=session.run.path)
        )
        trials = estimate_seconds(
            plan,
            images=len(prepared.images.dataset.splits["train"]),
            recipe=prepared.recipe,
            trial_recipe=prepared.trial_recipe,
            device=session.device,
        ).trials
    return RunForecast(
        baseline=plan.baseline.network.name,
        baseline_macs=plan.baseline.cost.macs,
        laws=len(plan.points),
        trial_epochs=prepared.trial_recipe.epochs,
        trial_macs=max((point.cost.macs for point in plan.points), default=0),
        trial_seconds=trials,
        network=expected.network.name,
        resolution=expected.network.resolution,
        macs=expected.cost.macs,
        params=expected.cost.params,
        training=training,
        seconds=trials + training.seconds,
    )


def run(
    *,
    data: Data = "icons",
    group: Group | None = None,
    baseline: Network | str | Path | None = None,
    budget: Budget | str = "10M",
    law: ScalingLaw | str | Path | None = None,
    out: str | Path | None = None,
    seed: int = 0,
    device: str | None = None,
    settings: Sequence[Setting] = (),
    runtime: str | None = None,
    threads: int = 1,
    pretrained: RunLike | None = None,
    callbacks: Sequence[Callback | str] = (),
    progress: Progress | bool = True,
    should_stop: Callable[[], bool] = lambda: False,
) -> Run:
    """From images to a network that fits a budget: grown, trained, tested, exported, reported.

    Read the images; shrink the baseline to a quarter of the budget; try laws at twice its cost, unless one is given;
    grow it to the budget by the paper's, unless another is better by more than the noise; train; evaluate on the test
    split; export to ONNX and verify; write the report. Called again with the same folder it goes on where it stopped,
    and shows the result where it is finished.

    Args:
        data: `icons`, a folder of class folders, arrays, or whatever else `as_dataset` takes.
        group: what the images of a group have in common that stay in one split: `folder`, `level:2`, `{group}_*.jpg`, a
            column, `near-duplicates` (see `open_data`).
        baseline: a network, a name of the zoo, or a network's JSON file; by default `efficientnet-b0`.
        budget: what the final network may cost; `4x` is of the baseline as it is given.
        law: by which it grows: a law, a name, three numbers or a file, such as a fit's; by default, laws are tried.
        out: the run folder; by default `runs/DATA-BUDGET`.
        seed: of everything random.
        device: `cpu`, `cuda`, `cuda:1`; by default a GPU if there is one.
        settings: changes to the recipe: `key=value`, or a loss.
        runtime: where latency is measured if the budget limits it, and memory: `onnxruntime` by default.
        threads: of that runtime.
        pretrained: weights to start from: a run, whose network is then the baseline; or a file or `hf://owner/name`, of
            the baseline's. The network grows or shrinks from them to the budget, by the law that is given or the
            paper's, and is trained by the recipe `transfer`; no laws are tried.
        callbacks: are told of the final network's training, by value or name; not of the trials before it.
        progress: True for a bar or lines, False for silence, or whatever is to be told.
        should_stop: asked after each training step; True stops the run at a checkpoint.

    Returns:
        The run: its `network`, `law`, `evaluation`, `export` and `result` (`GrowthResult`).

    Raises:
        InputError: data, network, budget, recipe or folder are wrong.
        Stopped: `should_stop` asked for it.
        StorageError: the disk is full, read-only or forbidden.
        NonFiniteLossError: the training diverged.
        CallbackError: a callback failed.

    Source: EfficientNet (Tan & Le 2019), section 3.3, on the user's data.

    Example, with a small `network`, `images` and `labels`:
        >>> arguments = {"law": "compound", "settings": ["epochs=1"], "out": folder / "whole", "progress": False}
        >>> whole = run(data=(images, labels), baseline=network, budget="100k", **arguments)
        >>> whole.cost.macs <= 100_000, whole.law.alpha
        (True, 1.2)
    """
    shown = as_progress(progress)
    request = _request(
        baseline, data, group, budget, law, settings, runtime, threads, seed=seed, progress=shown
    )
    runtime_config, text = request.runtime_config, budget if isinstance(budget, str) else str(budget)
    folder = Path(out or Path("runs") / f"{data_name(request.data)}-{budget_slug(text)}")
    weights = None
    if pretrained is not None:
        weights = _from_weights(pretrained, baseline, budget, request, seed=seed)
    begun_from = value_argument(BASELINE_NETWORK if baseline is None else baseline)
    arguments = {
        "data": data_argument(request.data),
        **({} if _is_run(pretrained) else {"baseline": begun_from}),
        "budget": (weights or request).budget.exact(),
        "settings": setting_texts(settings),
        **({"law": law_argument(request.law)} if request.law else {}),
        **({"runtime": runtime_config.runtime, "threads": runtime_config.threads} if runtime_config else {}),
        **({} if pretrained is None else {"pretrained": weights_argument(pretrained)}),
    }
    with open_session(
        folder,
        command="run",
        arguments=arguments,
        seed=seed,
        device=device,
        progress=shown,
        should_stop=should_stop,
        callbacks=callbacks,
    ) as session:
        if not is_finished(session):
            _run(session, request) if weights is None else run_pretrained(session, weights)
    return open_run(folder, data=request.data)


def _request(
    baseline: Network | str | Path | None,
    data: Data,
    group: Group | None,
    budget: Budget | str,
    law: ScalingLaw | str | Path | None,
    settings: Sequence[Setting],
    runtime: str | None,
    threads: int,
    *,
    seed: int,
    progress: Progress,
) -> GrowthRequest:
    """What the arguments stand for, each of them checked."""
    network = as_network(BASELINE_NETWORK if baseline is None else baseline)
    limits = as_budget(budget, count(network))
    check_settings(settings)
    return GrowthRequest(
        network=network,
        data=settle_data(data, group=group, seed=seed, progress=progress),
        budget=limits,
        law=None if law is None else as_law(law),
        settings=tuple(settings),
        runtime_config=runtime_config_for(limits, runtime=runtime, threads=threads),
    )


def _from_weights(
    pretrained: RunLike,
    baseline: Network | str | Path | None,
    budget: Budget | str,
    request: GrowthRequest,
    *,
    seed: int,
) -> GrowRequest:
    """The same with weights to start from: a run knows its network, other weights are the baseline's."""
    of_run, where = _is_run(pretrained), request.runtime_config
    if of_run and baseline is not None:
        raise InputError(
            f"{weights_argument(pretrained)} is a run, whose network is the baseline: leave the baseline (--baseline) "
            "out, or give a file of weights."
        )
    return grow_request(
        pretrained,
        budget=budget,
        network=None if of_run else request.network,
        law=request.law,
        method="new",
        importance="magnitude",
        data=request.data,
        group=None,
        recipe=None,
        settings=request.settings,
        runtime=where.runtime if where else None,
        threads=where.threads if where else 1,
        seed=seed,
        progress=SilentProgress(),
    )


def _is_run(pretrained: RunLike | None) -> bool:
    """Whether weights are those of a run, which knows its network."""
    return pretrained is not None and is_folder(weights_argument(pretrained))


def _run(session: Session, request: GrowthRequest) -> None:
    began, runtime_config = time.monotonic(), request.runtime_config
    prepared = prepare(session, request)
    images, plan = prepared.images, prepared.plan
    _announce(session, prepared)
    session.run.record_cost("prepare", "data and plan", seconds=time.monotonic() - began)

    choice = _try_laws(session, prepared) if plan.law is None else None
    law, rival = plan.law or COMPOUND, None
    if choice is not None:
        law, rival = choice.point.law, _rival(choice)
    reason = f"law: {law}" + (f", {rival.reason}" if rival is not None else "")
    solution = _grow(session, plan, law, runtime_config, reason=reason)
    job = session.job(solution.network, images, prepared.recipe, folder=session.run.path)
    job.preprocessing.save(session.run.path / PREPROCESSING)
    trained = train(job)
    session.run.record_cost("train", solution.network.name, seconds=trained.seconds, images=trained.images)

    session.halt_if_requested()
    evaluation = judge(session, trained, job)
    session.halt_if_requested()
    deliver(session, trained, job)
    # The same run comes to the same result, whenever and however often it was interrupted: no seconds in it.
    result = GrowthResult(
        data=images.dataset.name,
        network=solution.network.name,
        resolution=solution.network.resolution,
        cost=solution.cost,
        validation_accuracy=trained.accuracy,
        test_accuracy=evaluation.accuracy,
        test_interval=evaluation.interval,
        test_images=evaluation.images,
        test_groups=evaluation.groups,
        budget=str(request.budget),
        law=law,
        trials=len(plan.points),
        rival=rival,
        measured=runtime_config,
    )
    finish(session, result)


def _announce(session: Session, prepared: Prepared) -> None:
    """Write down what the run will do, and tell what it will cost."""
    plan, recipe, trial_recipe = prepared.plan, prepared.recipe, prepared.trial_recipe
    number = len(prepared.images.dataset.splits["train"])
    save(plan.baseline.network, session.run.path / BASELINE)
    write_recipe(session.run.path, recipe.to_dict())
    seconds = sum(
        estimate_seconds(plan, images=number, recipe=recipe, trial_recipe=trial_recipe, device=session.device)
    )
    trials = f"{plural(len(plan.points), 'law')} to try for {trial_recipe.epochs} epochs each, then "
    session.progress.say(
        f"baseline: {plan.baseline.network.name}, {plan.baseline.cost.macs:,} MACs; {trials if plan.points else ''}"
        f"{recipe.epochs} epochs of training; "
        f"all of it about {format_duration(seconds)} here, less what is already done"
    )


def _try_laws(session: Session, prepared: Prepared) -> LawChoice:
    images, plan, recipe = prepared.images, prepared.plan, prepared.trial_recipe
    split = images.dataset.splits["val"]
    labels = {
        point: f"law {number} of {len(plan.points)}" for number, point in enumerate(plan.points, start=1)
    }

    def one(point: Point, seed: int, folder: Path) -> LawTrial:
        again = "" if seed == session.seed else ", once more"
        job = replace(session, seed=seed).job(
            point.network, images, recipe, folder=folder, label=labels[point] + again, watched=False
        )
        trained = train(job)
        predictions = predict(trained.module, split, preprocessing=job.preprocessing, device=job.device)
        session.run.record_cost("fit", folder.name, seconds=trained.seconds, images=trained.images)
        return LawTrial(
            point,
            seed,
            trained.accuracy,
            trained.loss,
            recipe.epochs,
            trained.seconds,
            trained.images,
            correct_text(predictions),
        )

    return try_laws(
        plan.points,
        one,
        folder=session.run.path,
        seeds=(session.seed, session.seed + 1),
        images=len(split),
        groups=group_numbers(split),
    )


def _rival(choice: LawChoice) -> RivalLaw | None:
    if choice.rival is None or choice.difference is None:
        return None
    ahead, noise = choice.difference
    return RivalLaw(
        law=choice.rival.law, ahead=ahead, noise=noise, seeds=choice.seeds, chosen=choice.switched
    )


def _grow(
    session: Session, plan: Plan, law: ScalingLaw, runtime_config: RuntimeConfig | None, *, reason: str
) -> Solution:
    began = time.monotonic()
    with open_meter(session, runtime_config) as measure:
        solution = solve(
            plan.origin,
            plan.budget,
            law=law,
            start=plan.baseline.multipliers,
            largest_resolution=plan.largest_resolution,
            measure=measure,
        )
    if runtime_config is not None:
        session.run.record_cost("measure", str(runtime_config), seconds=time.monotonic() - began)
    _write_plan(session.run.path, plan, solution, runtime_config)
    readings = solution.cost.readings
    took = "".join(f", {recorded_measure(name).describe(value)}" for name, value in readings.items())
    session.progress.say(
        f"{reason}; grown to {solution.cost.macs:,} MACs, {solution.cost.params:,} params, "
        f"{solution.network.resolution} px{took}"
    )
    return solution


def _write_plan(folder: Path, plan: Plan, solution: Solution, runtime_config: RuntimeConfig | None) -> None:
    save(solution.network, folder / NETWORK)
    solution.law.save(folder / LAW)
    start = plan.baseline.multipliers
    relative = Multipliers(
        *(value / before for value, before in zip(solution.multipliers, start, strict=True))
    )
    growth = GrowthPlan(
        budget=plan.budget.limits,
        cost=solution.cost,
        law=solution.law,
        phi=solution.phi,
        multipliers=relative,
        measured=runtime_config,
    )
    PLAN.write(folder, growth)
