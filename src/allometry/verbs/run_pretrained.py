"""`allometry run --pretrained`: the whole path from weights that somebody has trained, at the size of the budget."""

from __future__ import annotations

from dataclasses import replace

from allometry.arch import save
from allometry.cost import count
from allometry.nas.growth_plan import RunForecast
from allometry.runs import GrowthResult
from allometry.runs.files import LAW, NETWORK, PREPROCESSING, write_recipe
from allometry.scaling.strides import SMALLEST_FEATURE_MAP
from allometry.training import ClassificationJob, train
from allometry.training.forecast import forecast
from allometry.training.images import Images
from allometry.training.recipes.specs import as_recipe
from allometry.training.session import Session, read_data
from allometry.verbs.grow import grown_start
from allometry.verbs.grow_request import GrowRequest
from allometry.verbs.stages import deliver, finish, judge
from allometry.verbs.train import TrainRequest, train_job


def run_pretrained(session: Session, request: GrowRequest) -> None:
    """Bring the network of the weights to the budget, train it by `transfer`, evaluate, export, report.

    Raises:
        InputError: the network cannot grow or shrink so.
        Stopped: the user asked for it.
        NonFiniteLossError: the training diverged.
    """
    folder = session.run.path
    job, images = _job(session, request)
    network = job.network
    save(network, folder / NETWORK)
    request.law.save(folder / LAW)
    job.preprocessing.save(folder / PREPROCESSING)
    write_recipe(folder, job.recipe.to_dict())
    session.halt_if_requested()
    trained = train(job)
    session.run.record_cost("train", network.name, seconds=trained.seconds, images=trained.images)
    session.halt_if_requested()
    evaluation = judge(session, trained, job)
    session.halt_if_requested()
    deliver(session, trained, job)
    result = GrowthResult(
        data=images.dataset.name,
        network=network.name,
        resolution=network.resolution,
        cost=count(network),
        validation_accuracy=trained.accuracy,
        test_accuracy=evaluation.accuracy,
        test_interval=evaluation.interval,
        test_images=evaluation.images,
        test_groups=evaluation.groups,
        budget=str(request.budget),
        law=request.law,
        trials=0,
        measured=request.runtime_config,
    )
    finish(session, result)


def forecast_pretrained(session: Session, request: GrowRequest) -> RunForecast:
    """What `run_pretrained` would do and cost here.

    Raises:
        InputError: the network cannot grow or shrink so.
    """
    job, _ = _job(session, request)
    cost, planned, origin = count(job.network), forecast(job), request.module.network
    return RunForecast(
        baseline=origin.name,
        baseline_macs=count(origin).macs,
        laws=0,
        trial_epochs=0,
        trial_macs=0,
        trial_seconds=0.0,
        network=job.network.name,
        resolution=job.network.resolution,
        macs=cost.macs,
        params=cost.params,
        training=planned,
        seconds=planned.seconds,
    )


def _job(session: Session, request: GrowRequest) -> tuple[ClassificationJob, Images]:
    assert request.data is not None  # noqa: S101
    images = read_data(session, request.data)
    origin = request.module.network
    # Larger inputs than the images would show nothing more; but the strides are those that the weights know.
    seen = max(images.dataset.image_size, SMALLEST_FEATURE_MAP * origin.total_stride)
    request.module.network = replace(origin, resolution=min(origin.resolution, seen))
    network, path = grown_start(session, request, images, may_stay=True)
    asked = TrainRequest(
        network=network,
        called=network.name,
        data=request.data,
        recipe=as_recipe(request.recipe or "transfer", settings=request.settings),
        pretrained=str(path),
        teacher=None,
    )
    return train_job(session, asked, images)
