"""Who tries the candidates of a search: this process, several beside it, or the machines of a Ray cluster."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from allometry.arch import to_json
from allometry.base import AllometryError, Progress
from allometry.base.errors import Stopped
from allometry.base.holding import refuse_lost
from allometry.nas.law_trials import GridTraining, GridTrainingResult, run_grid_training
from allometry.nas.trial_training import TrialConfig, candidate_to_dict, try_candidate
from allometry.nas.trials import TrialCandidate, TrialOutcome
from allometry.nas.workers import ProcessWorker, Worker, WorkerDiedError, as_workers
from allometry.training.images import Images

MOST_DEATHS = 3
"""Workers that one candidate may bring down before it counts as failed."""


def make_evaluator(
    workers: int | str,
    images: Images,
    settings: TrialConfig,
    *,
    folder: Path,
    max_pending: int,
    progress: Progress,
    should_stop: Callable[[], bool],
) -> HereEvaluator | PooledEvaluator:
    """What tries the candidates.

    Args:
        workers: 1 for this process, another number for so many beside it, `ray` or `ray://host:port`.
        images: to learn from.
        settings: of all trials.
        folder: of the search.
        max_pending: trials that may be under way at once.
        progress: is told of a single worker's trainings.
        should_stop: True stops trainings at a checkpoint.

    Raises:
        InputError: `workers` is none of these, or there is no such cluster.
        MissingExtraError: Ray is not installed.
    """
    workers = as_workers(workers)
    if workers == 1:
        return HereEvaluator(images, settings, folder=folder, progress=progress, should_stop=should_stop)
    if isinstance(workers, int):
        return PooledEvaluator(
            workers, lambda: ProcessWorker(settings), folder=folder, should_stop=should_stop
        )
    from allometry.nas.ray_cluster import RayCluster

    cluster = RayCluster(workers, settings)
    return PooledEvaluator(
        min(max_pending, cluster.slots),
        cluster.worker,
        folder=folder,
        should_stop=should_stop,
        closing=cluster.close,
    )


class HereEvaluator:
    """Tries candidates in this process, one after the other.

    Args:
        images: to learn from.
        settings: of all trials.
        folder: of the search.
        progress: is told how each training goes.
        should_stop: True stops a training at a checkpoint.
    """

    slots = 1

    def __init__(
        self,
        images: Images,
        settings: TrialConfig,
        *,
        folder: Path,
        progress: Progress,
        should_stop: Callable[[], bool],
    ) -> None:
        self._try = partial(
            try_candidate,
            images=images,
            settings=settings,
            folder=folder,
            progress=progress,
            should_stop=should_stop,
        )
        self._train = partial(
            run_grid_training,
            images=images,
            settings=settings,
            folder=folder,
            progress=progress,
            should_stop=should_stop,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held."""

    def start(self, candidate: TrialCandidate) -> Future[TrialOutcome]:
        """Try it, now."""
        return _done(lambda: self._try(candidate))

    def train(self, training: GridTraining) -> Future[GridTrainingResult]:
        """Train it, now."""
        return _done(lambda: self._train(training))


Result = TypeVar("Result")


def _done(work: Callable[[], Result]) -> Future[Result]:
    """What comes of some work that is done now."""
    future: Future[Result] = Future()
    try:
        future.set_result(work())
    except AllometryError as error:
        future.set_exception(error)
    return future


class PooledEvaluator:
    """Tries candidates with several workers; one that dies is replaced, and its candidate given out again.

    Args:
        slots: workers.
        opener: makes one.
        folder: of the search.
        should_stop: True asks the workers to stop at a checkpoint.
        closing: called once all workers have ended.
    """

    def __init__(
        self,
        slots: int,
        opener: Callable[[], Worker],
        *,
        folder: Path,
        should_stop: Callable[[], bool],
        closing: Callable[[], None] = lambda: None,
    ) -> None:
        self.slots, self._closing = slots, closing
        self._opener, self._folder, self._stopping = opener, folder, should_stop
        self._own = threading.local()
        self._lock = threading.Lock()
        self._workers: list[Worker] = []
        self._pool = ThreadPoolExecutor(slots, thread_name_prefix="trial")
        self._over, self._ending = threading.Event(), threading.Event()
        self._watch = threading.Thread(target=self._look_for_a_stop, daemon=True)
        self._watch.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._ask_to_stop()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._over.set()
        self._watch.join()
        for worker in self._workers:
            worker.close()
        self._closing()

    def start(self, candidate: TrialCandidate) -> Future[TrialOutcome]:
        """Try it with the next worker that is free."""
        return self._pool.submit(self._try, candidate)

    def train(self, training: GridTraining) -> Future[GridTrainingResult]:
        """Train it with the next worker that is free."""
        return self._pool.submit(self._train, training)

    def _try(self, candidate: TrialCandidate) -> TrialOutcome:
        try:
            return TrialOutcome.from_dict(self._ask({"candidate": candidate_to_dict(candidate)})["outcome"])
        except WorkerDiedError as error:
            return TrialOutcome(metrics=candidate.metrics, failed=str(error))

    def _train(self, training: GridTraining) -> GridTrainingResult:
        fields = {"network": to_json(training.network), "seed": training.seed}
        return GridTrainingResult.from_dict(self._ask({"training": fields})["training"])

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The answer of this thread's worker, or of the next one where it dies."""
        for _ in range(MOST_DEATHS):
            if self._ending.is_set():
                break
            refuse_lost(self._folder)  # a worker knows the folder by its name only
            try:
                answer = self._worker().ask({**request, "folder": str(self._folder)})
            except WorkerDiedError:
                self._bury()
                continue
            if answer.get("stopped"):
                break
            return answer
        else:
            raise WorkerDiedError(f"its training ended {MOST_DEATHS} workers, one after the other")
        raise Stopped("Stopped; the training goes on from its checkpoint.")

    def _worker(self) -> Worker:
        """This thread's own."""
        worker: Worker | None = getattr(self._own, "worker", None)
        if worker is None:
            worker = self._own.worker = self._opener()
            with self._lock:
                self._workers.append(worker)
                if self._ending.is_set():  # it was being started while the others were asked
                    worker.stop()
        return worker

    def _bury(self) -> None:
        worker: Worker | None = getattr(self._own, "worker", None)
        self._own.worker = None
        if worker is not None:
            with self._lock:
                self._workers.remove(worker)
            worker.close()

    def _look_for_a_stop(self) -> None:
        while not self._over.wait(0.2):
            if self._stopping():
                self._ask_to_stop()
                return

    def _ask_to_stop(self) -> None:
        with self._lock:
            self._ending.set()
            for worker in self._workers:
                worker.stop()
