"""The training of a supernet: it learns, goes on exactly wherever it ended, and refuses what is not its own."""

from __future__ import annotations

import itertools
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from allometry.base import InputError, NonFiniteLossError, RunFolderError, Stopped
from allometry.base.files import read_lines
from allometry.data import ArraySplit, Batch
from allometry.runs import SupernetEpochMetrics
from allometry.runs.phases import Phase
from allometry.supernets import (
    PLANS,
    SupernetTask,
    at_once,
    bignas,
    build_supernet,
    extract_subnet,
    load_supernet,
    preprocessing_of,
    sandwich,
    shrinking,
    train_supernet,
)
from allometry.training import Callback, evaluate, latest_checkpoint, load_weights, run_task
from allometry.training.state import TrainingState
from tests.killing import is_killed, kill_myself, start
from tests.training.tasks import StopAfter

from .training import NAMES, PHASES, RECIPE, SIDE, SPACE, STEPS, asks_until, job_in, without_time

FINAL = "supernet.safetensors"


def same(one, other) -> bool:
    """Whether both folders hold the same supernet, bit for bit."""
    first, second = (load_weights(each / FINAL) for each in (one, other))
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A training that nothing interrupts: its folder and its result."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, train_supernet(job_in(folder))


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    """A training that is long enough to learn something."""
    job = job_in(
        tmp_path_factory.mktemp("learnt"), phases=shrinking(SPACE, epochs=3), recipe=replace(RECIPE, ema=0.8)
    )
    return job, train_supernet(job)


# What it does


def test_the_largest_and_the_smallest_learn(learnt):
    _, trained = learnt
    last = trained.history[-1]
    assert last.largest > 0.7  # of three classes
    assert last.smallest > 0.6
    assert last.train_loss < trained.history[0].train_loss
    assert not trained.supernet.training


def test_every_epoch_of_every_phase_is_recorded(whole):
    folder, trained = whole
    records = trained.history
    assert tuple(map(SupernetEpochMetrics.from_dict, read_lines(folder / "metrics.jsonl"))) == records
    expected = [
        (number, phase.name, epoch, phase.epochs)
        for number, phase in enumerate(PHASES, start=1)
        for epoch in range(1, phase.epochs + 1)
    ]
    assert [(each.phase, each.name, each.epoch, each.epochs) for each in records] == expected
    assert NAMES == ["largest", "kernel", "depth", "width", "channels"]
    subnets = {phase.name: phase.subnets for phase in PHASES}
    for record in records:
        assert record.images == STEPS * 16
        assert record.passes == record.images * subnets[record.name]
        assert 0 <= record.smallest <= 1
        assert record.learning_rate <= RECIPE.learning_rate
    assert trained.images == len(records) * STEPS * 16
    # The first phase has the largest network only, in two sizes.
    assert records[-1].step == STEPS * PHASES[-1].epochs


def test_the_average_teaches_with_all_it_knows(tmp_path):
    """Its largest network answers, in whatever size the images have, and nothing of it is dropped."""
    phase = Phase(name="all", epochs=1, elastic={"resolution": 0, "depth": 0}, teacher="average")
    job = job_in(tmp_path, phases=(phase,), recipe=replace(RECIPE, dropout=0.5))
    task = SupernetTask(job)
    task.build()
    images = torch.randn(16, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    logits = task.teacher_logits(images)
    assert torch.equal(logits, task.teacher_logits(images))
    expected = task.average.extract(SPACE.largest()).train()
    for module in expected.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    torch.testing.assert_close(logits, expected(images))
    assert not logits.requires_grad
    other = SupernetTask(job_in(tmp_path, phases=(replace(phase, teacher="none"),)))
    other.build()
    assert other.teacher_logits(images) is None


def test_images_are_made_at_the_size_that_the_steps_subnets_are_for(tmp_path):
    seen: list[tuple[int, int]] = []

    class Watched(SupernetTask):
        def learn(self, batch, epoch):
            seen.extend((batch.images.shape[1], subnet.network.resolution) for subnet in self._subnets)
            return super().learn(batch, epoch)

    run_task(Watched(job_in(tmp_path, phases=PHASES[:2])))
    assert {made for made, _ in seen} == {8, SIDE}
    assert all(made == asked for made, asked in seen)


def test_in_the_first_phase_only_the_largest_networks_weights_change(tmp_path):
    trained = train_supernet(job_in(tmp_path, phases=PHASES[:1])).supernet
    for matrix in trained.matrices.values():
        assert torch.equal(matrix, torch.eye(len(matrix)))
    later = train_supernet(job_in(tmp_path / "kernel", phases=PHASES[:2])).supernet
    assert any(not torch.equal(matrix, torch.eye(len(matrix))) for matrix in later.matrices.values())


def test_the_supernets_statistics_are_those_of_the_largest_network(whole):
    folder, trained = whole
    job = job_in(folder)
    taken = extract_subnet(
        trained.supernet, SPACE.largest(), job.dataset.splits["train"], preprocessing=job.preprocessing
    ).state_dict()
    for name, value in trained.supernet.extract(SPACE.largest()).state_dict().items():
        if value.is_floating_point():
            assert torch.allclose(value, taken[name], atol=1e-5), name


# The sandwich as its papers have it

PUBLISHED = bignas(SPACE, epochs=1)


def published_step(tmp_path, **recipe):
    """The task in its first step, and the images of it."""
    task = SupernetTask(job_in(tmp_path, phases=PUBLISHED, recipe=replace(RECIPE, **recipe)))
    task.build()
    task.module.train()
    epoch = task.phases[0].epochs[0]
    task.start_step(epoch, 0)
    random = np.random.default_rng(0)
    labels = np.arange(16) % 3
    pixels = random.integers(0, 255, (16, SIDE, SIDE, 1), dtype=np.uint8)
    return task, epoch, Batch(pixels, labels, np.arange(16), labels, np.ones(16, np.float32))


def gradients(task, epoch, batch, subnets) -> dict[str, torch.Tensor]:
    task.module.zero_grad(set_to_none=True)
    task._subnets = subnets
    task.learn(batch, epoch)
    return {
        name: torch.zeros_like(weight) if weight.grad is None else weight.grad.clone()
        for name, weight in task.module.named_parameters()
    }


def test_only_the_largest_learns_from_labels(tmp_path):
    task, epoch, batch = published_step(tmp_path, dropout=0.0)
    other = batch._replace(labels=(batch.labels + 1) % 3)
    step, alone = task._subnets, task._subnets[:1]
    assert step[0].network == SPACE.largest()
    differ = {}
    for subnets in (step, alone):
        one, two = (gradients(task, epoch, labelled, subnets) for labelled in (batch, other))
        differ[len(subnets)] = {name: len(subnets) * (one[name] - two[name]) for name in one}
    for name, value in differ[4].items():
        torch.testing.assert_close(value, differ[1][name], atol=1e-5, rtol=1e-4)
    whole, first = (gradients(task, epoch, batch, subnets) for subnets in (step, alone))
    assert any(not torch.allclose(4 * whole[name], first[name], atol=1e-4) for name in whole)


def test_each_sees_the_same_images_at_its_own_size(tmp_path):
    seen: list[list[int]] = []
    sides: set[int] = set()

    class Watched(SupernetTask):
        def learn(self, batch, epoch):
            sides.add(batch.images.shape[1])
            layer = self.module._layer
            inputs = []

            def watched(part, x, regularized):
                if part.host == "stem":
                    inputs.append(x.shape[-1])
                return layer(part, x, regularized)

            self.module._layer = watched
            try:
                return super().learn(batch, epoch)
            finally:
                del self.module._layer
                assert inputs == [subnet.network.resolution for subnet in self._subnets]
                seen.append(inputs)

    run_task(Watched(job_in(tmp_path, phases=PUBLISHED)))
    assert sides == {SIDE}  # the largest is in every step
    assert all(inputs[:2] == [SIDE, 8] for inputs in seen)


def test_nothing_is_dropped_of_the_smaller_ones(tmp_path):
    task, _, batch = published_step(tmp_path, dropout=0.9, stochastic_depth=0.9)
    images = torch.randn(len(batch.labels), 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    largest, smallest = task._subnets[:2]
    assert not torch.equal(task.module(images, largest), task.module(images, largest))
    plain = [task.module(images, smallest, regularized=False) for _ in range(2)]
    assert torch.equal(*plain)


@pytest.mark.parametrize(("optimizer", "share"), [("adamw", 1.0), ("rmsprop", 0.25)])
def test_what_the_largest_does_not_use_does_not_decay(tmp_path, optimizer, share):
    task, _, _ = published_step(tmp_path, optimizer=optimizer)
    decays = {
        id(weight): group["weight_decay"]
        for group in TrainingState(task).optimizer.param_groups
        for weight in group["params"]
    }
    assert len(task.module.matrices) > 0
    for name, weight in task.module.named_parameters():
        expected = 0.0 if name.startswith("matrices") or weight.ndim < 2 else share * RECIPE.weight_decay
        assert decays[id(weight)] == pytest.approx(expected), name


def test_its_own_stochastic_depth_is_the_largests_unless_the_recipe_says_so(tmp_path):
    space = replace(SPACE, template=replace(SPACE.template, stochastic_depth=0.4))
    rates = {}
    for name, phases, rate in (
        ("own", PUBLISHED, None),
        ("ours", sandwich(SPACE, epochs=1), None),
        ("set", PUBLISHED, 0.1),
    ):
        recipe = replace(RECIPE, stochastic_depth=rate)
        task = SupernetTask(job_in(tmp_path / name, space=space, phases=phases, recipe=recipe))
        task.build()
        rates[name] = max(task.module.options.drop_rates.values(), default=0.0)
    assert rates["ours"] == 0
    assert rates["own"] == pytest.approx(4 * rates["set"])


@pytest.mark.parametrize("plan", PLANS)
def test_every_plan_trains_also_when_width_follows_depth(plan, tmp_path):
    phases = PLANS[plan](SPACE, epochs=1)
    trained = train_supernet(job_in(tmp_path, phases=phases, coupled=True))
    assert len(trained.history) == sum(phase.epochs for phase in phases)
    assert all(np.isfinite(record.train_loss) for record in trained.history)


@pytest.mark.slow
def test_together_they_learn_too(tmp_path):
    for plan in (sandwich, bignas, at_once):
        job = job_in(tmp_path / plan.__name__, phases=plan(SPACE, epochs=8), recipe=replace(RECIPE, ema=0.8))
        last = train_supernet(job).history[-1]
        assert last.largest > 0.6
        assert last.smallest > 0.6


# Going on


@pytest.mark.slow  # after each step of two phases: tests/training/test_every_task.py
def test_stopped_after_every_single_step_it_ends_with_the_same_supernet(whole, tmp_path):
    folder, expected = whole
    sessions = 0
    while not (tmp_path / FINAL).exists():
        try:
            trained = train_supernet(job_in(tmp_path, should_stop=lambda: True))
        except Stopped as stopped:
            sessions += 1
            assert "the same command goes on from there" in str(stopped)  # noqa: PT017 - each time
    assert sessions == asks_until(len(PHASES)) - 1  # after the last step there is nothing left to stop
    assert same(folder, tmp_path)
    assert without_time(trained.history) == without_time(expected.history)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asks", "where"),
    [
        pytest.param(2, "after 0 of 2 epochs of the phase 'largest', number 1 of 5", marks=pytest.mark.slow),
        (asks_until(1), "after 2 of 2 epochs of the phase 'largest'"),
        (asks_until(3) + 1, "after 0 of 1 epochs of the phase 'width', number 4 of 5"),
    ],
    ids=["in an epoch", "between phases", "in a later phase"],
)
def test_a_stop_says_where_and_loses_nothing(whole, tmp_path, asks, where):
    with pytest.raises(Stopped, match=where):
        train_supernet(job_in(tmp_path, should_stop=StopAfter(asks)))
    assert latest_checkpoint(tmp_path / "checkpoints").step == asks
    train_supernet(job_in(tmp_path))
    assert same(whole[0], tmp_path)


@pytest.mark.slow
def test_with_an_optimizer_that_remembers_and_a_sandwich_too(tmp_path):
    options = {
        "phases": (
            *sandwich(SPACE, epochs=1),
            replace(bignas(SPACE, epochs=1)[0], name="published"),
            Phase(name="more", epochs=1, elastic={"depth": 0}, subnets=3, teacher="average"),
        ),
        "recipe": replace(RECIPE, optimizer="rmsprop", learning_rate=0.005, ema=0.0),
    }
    train_supernet(job_in(tmp_path / "whole", **options))
    for asks in (2, 2 * STEPS + 1):
        with pytest.raises(Stopped):
            train_supernet(job_in(tmp_path / str(asks), **options, should_stop=StopAfter(asks)))
        train_supernet(job_in(tmp_path / str(asks), **options))
        assert same(tmp_path / "whole", tmp_path / str(asks))


def train_until_step(folder: Path, step: int) -> None:
    steps = itertools.count(1)

    def kill_after_step() -> bool:
        return kill_myself() if next(steps) == step else False

    train_supernet(job_in(folder, save_every=0.0, should_stop=kill_after_step))


def train_until_record(folder: Path, phase: int) -> None:
    class Killer(Callback):
        def on_epoch_end(self, epoch) -> None:
            if epoch.record.phase == phase:
                kill_myself()

    train_supernet(job_in(folder, save_every=0.0, callbacks=(Killer(),)))


def train_freely(folder: Path) -> None:
    train_supernet(job_in(folder, save_every=0.0))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("phase", "when"),
    [
        pytest.param(phase, when, marks=[] if (phase, when) == (3, "step") else pytest.mark.slow)
        for phase in range(1, len(PHASES) + 1)
        for when in ("step", "record")
    ],
)
def test_killed_in_any_phase_it_ends_with_the_same_supernet(whole, tmp_path, phase, when):
    folder = tmp_path / "killed"
    if when == "step":  # the second of the phase
        assert is_killed(train_until_step, folder, asks_until(phase - 1) + 2)
    else:  # with the first line of the phase written and no checkpoint of it
        assert is_killed(train_until_record, folder, phase)
    assert not (folder / FINAL).exists()
    records = read_lines(folder / "metrics.jsonl")
    assert (records[-1]["phase"] if records else 1) == (phase if when == "record" else max(1, phase - 1))
    trained = train_supernet(job_in(folder))
    assert same(whole[0], folder)
    assert without_time(trained.history) == without_time(whole[1].history)


@pytest.mark.slow
def test_killed_at_many_moments_it_ends_with_the_same_supernet(whole, tmp_path):
    """From outside, as soon as a phase is seen."""
    folder = tmp_path / "killed"
    for phase in range(1, len(PHASES)):
        process = start(train_freely, folder)
        while process.is_alive():
            seen = read_lines(folder / "metrics.jsonl")
            if seen and seen[-1]["phase"] >= phase:
                process.kill()
                break
            time.sleep(0.005)
        process.join()
    train_supernet(job_in(folder))
    assert same(whole[0], folder)


# What is finished, and what is not its own


def test_a_finished_training_is_not_repeated(whole):
    folder, trained = whole
    before = (folder / FINAL).stat().st_mtime_ns
    again = train_supernet(job_in(folder, should_stop=lambda: pytest.fail("trained again")))
    assert again.history == trained.history
    assert (folder / FINAL).stat().st_mtime_ns == before
    assert again.images == trained.images
    for supernet in (again.supernet, load_supernet(job_in(folder))):
        for name, value in trained.supernet.state_dict().items():
            assert torch.equal(value, supernet.state_dict()[name])
    assert not list((folder / "checkpoints").glob("step-*"))


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 3},
        {"recipe": replace(RECIPE, learning_rate=0.01)},
        {"phases": PHASES[:2]},
        {"phases": (*PHASES[:-1], replace(PHASES[-1], teacher="none"))},
        {"coupled": True},
        {"space": replace(SPACE, choices=SPACE.choices[:-1])},
    ],
    ids=["seed", "recipe", "fewer phases", "phases", "coupled", "space"],
)
def test_another_training_in_the_folder_is_refused(whole, tmp_path, other):
    with pytest.raises(RunFolderError, match="holds the training of another supernet"):
        train_supernet(job_in(whole[0], **other))
    with pytest.raises(Stopped):
        train_supernet(job_in(tmp_path, should_stop=StopAfter(1)))
    with pytest.raises(RunFolderError, match="holds the training of another supernet"):
        train_supernet(job_in(tmp_path, **other))


def test_a_damaged_checkpoint_is_told_in_one_sentence(tmp_path):
    with pytest.raises(Stopped):
        train_supernet(job_in(tmp_path, should_stop=StopAfter(asks_until(1) + 1)))
    checkpoints = tmp_path / "checkpoints"
    step = max(checkpoints.glob("step-*"))
    for other in checkpoints.glob("step-*"):
        if other != step:
            shutil.rmtree(other)
    # What a checkpoint of any task holds: tests/training/test_every_task.py.
    for path, ways in (
        (checkpoints / "largest.safetensors", 3),
        (step / "state.pt", 1),
        (step / "weights.safetensors", 1),
    ):
        kept = path.read_bytes()
        for damaged in (None, kept[:100], b"")[:ways]:
            if damaged is None:
                path.unlink()
            else:
                path.write_bytes(damaged)
            with pytest.raises(RunFolderError, match=r"damaged|missing") as refused:
                train_supernet(job_in(tmp_path))
            assert "\n" not in str(refused.value)
        path.write_bytes(kept)
    train_supernet(job_in(tmp_path))


def test_a_damaged_result_is_told_in_one_sentence(tmp_path):
    job = job_in(tmp_path, phases=PHASES[:1])
    train_supernet(job)
    metrics = (tmp_path / "metrics.jsonl").read_text()
    (tmp_path / "metrics.jsonl").unlink()
    with pytest.raises(RunFolderError, match=r"metrics\.jsonl of supernet training is missing or damaged"):
        train_supernet(job)
    (tmp_path / "metrics.jsonl").write_text(metrics)
    (tmp_path / FINAL).write_bytes((tmp_path / FINAL).read_bytes()[:200])
    with pytest.raises(RunFolderError, match="damaged"):
        train_supernet(job)
    with pytest.raises(RunFolderError, match="damaged"):
        load_supernet(job)
    (tmp_path / FINAL).unlink()
    with pytest.raises(RunFolderError, match="the training is not finished"):
        load_supernet(job)


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_checkpoint(tmp_path):
    # The decay multiplies the weights by a million in each step of the second phase.
    recipe = replace(RECIPE, learning_rate=1000.0, clip=0.0, weight_decay=1000.0, warmup=0.0)
    phases = (replace(PHASES[0], lr_scale=1e-9), replace(PHASES[1], epochs=9, lr_scale=1.0))
    with pytest.raises(
        NonFiniteLossError,
        match=r"of the phase 'kernel', number 2 of 2\. The checkpoint of step \d+ is kept\. Try",
    ):
        train_supernet(job_in(tmp_path, recipe=recipe, phases=phases, save_every=0.0))
    kept = latest_checkpoint(tmp_path / "checkpoints")
    assert kept.step >= asks_until(1)
    assert all(value.isfinite().all() for value in kept.weights.values())
    assert not (tmp_path / FINAL).exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"phases": ()}, "A supernet is trained in one phase or more"),
        ({"phases": PHASES[1:]}, "The first phase, 'kernel', cannot learn from the largest network"),
        (
            {"recipe": replace(RECIPE, epochs=2, head_epochs=1)},
            "must be below epochs, which is 1",
        ),
        (
            {"space": replace(SPACE, template=replace(SPACE.template, in_channels=3))},
            "The largest network's in_channels is 3, but that of the images 1; set it in the space",
        ),
        (
            {
                "space": replace(
                    SPACE, template=replace(SPACE.template, head=replace(SPACE.template.head, classes=9))
                )
            },
            "The largest network's head.classes is 9, but that of the images 3",
        ),
    ],
)
def test_what_cannot_be_trained_is_refused(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        job_in(tmp_path, **options)


# Members with statistics of their own


def test_a_taken_subnet_has_its_own_statistics_and_is_better_for_them(learnt):
    job, trained = learnt
    network = SPACE.network({**SPACE.decisions_of(SPACE.smallest()), "resolution": SIDE})
    preprocessing = preprocessing_of(network, job.preprocessing)
    assert preprocessing.resolution == network.resolution
    dark = {}
    for name in ("train", "test"):  # other images: dark and pale
        split = job.dataset.splits[name]
        dark[name] = ArraySplit(images=split.images // 4 + 150, labels=split.labels, names=split.names)
    before = {name: value.clone() for name, value in trained.supernet.state_dict().items()}
    parts = trained.supernet.extract(network).eval()
    own = extract_subnet(trained.supernet, network, dark["train"], preprocessing=job.preprocessing)
    assert not own.training
    differs = {
        name for name, value in own.state_dict().items() if not torch.equal(value, parts.state_dict()[name])
    }
    assert differs
    assert all("running" in name or "num_batches" in name for name in differs)
    scores = [
        evaluate(each, dark["test"], preprocessing=preprocessing, device=job.device).accuracy
        for each in (parts, own)
    ]
    assert scores[1] > scores[0]
    after = trained.supernet.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_statistics_follow_from_seed_and_number_of_images():
    job = job_in(None)
    supernet = build_supernet(SPACE, seed=0)
    split = job.dataset.splits["train"]

    def mean(**options):
        module = extract_subnet(supernet, SPACE.largest(), split, preprocessing=job.preprocessing, **options)
        return module.stem[1].running_mean

    assert torch.equal(mean(images=16), mean(images=16))
    assert not torch.equal(mean(images=16), mean(images=16, seed=1))
    assert torch.allclose(mean(), mean(seed=1), atol=1e-6)  # all of them
