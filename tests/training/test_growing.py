"""Networks that grow while they are trained."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from allometry.arch import ConvBlock, Head, MBConv, Network, Stage, Stem, apply_multipliers
from allometry.base import RunFolderError, Stopped
from allometry.base.files import read_lines
from allometry.nn import build
from allometry.nn.growing import grow_module, output_difference
from allometry.training import (
    ClassificationJob,
    Execution,
    GrowingTask,
    Progressive,
    Recipe,
    Trained,
    forecast,
    inherit_optimizer,
    latest_checkpoint,
    load_weights,
    make_optimizer,
    settle_new_statistics,
    train,
)
from allometry.training.events import train_start
from allometry.training.state import TrainingState
from tests.killing import is_killed, kill_myself

from .conftest import NETWORK, RECIPE, job_in
from .tasks import StopAfter, is_same, without_time

SMALL = replace(
    NETWORK,
    stem=Stem(channels=8),
    stages=(
        Stage(block=MBConv(channels=8, expand_ratio=2, stride=2), repeats=1),
        Stage(block=MBConv(channels=12, expand_ratio=2), repeats=1),
    ),
    head=Head(channels=16, classes=NETWORK.head.classes),
    resolution=16,
)
MIDDLE = replace(SMALL, head=NETWORK.head, resolution=20)
STEPS, EPOCH = 12, 4


def job(folder: Path, **options: object) -> ClassificationJob:
    """Three epochs of four steps, each with a network of its own."""
    changes = options.pop("recipe", {})
    assert isinstance(changes, dict)
    given = {"smaller": ((SMALL, 1), (MIDDLE, 1)), "workers": 1, "clock": lambda: 0.0, **options}
    return job_in(folder, recipe=replace(RECIPE, epochs=3, **changes), **given)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_weights(folder / "checkpoints" / "final.safetensors")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Trained]:
    """A training that nothing interrupts."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, train(job(folder))


def test_to_others_it_is_one_training_of_the_largest_network(whole: tuple[Path, Trained]) -> None:
    folder, trained = whole
    history = trained.history
    assert [(record.epoch, record.epochs, record.step) for record in history] == [
        (1, 3, 4),
        (2, 3, 8),
        (3, 3, 12),
    ]
    assert [record.phase for record in history] == [1, 2, 3]
    assert [record.resolution for record in history] == [16, 20, 24]
    assert trained.kept == 3
    assert is_same(trained.module.state_dict(), weights(folder))
    assert [line.get("phase", 1) for line in read_lines(folder / "metrics.jsonl")] == [1, 2, 3]
    rates = [record.learning_rate for record in history]
    plain = train(job(folder / "plain", smaller=()))
    assert rates == [record.learning_rate for record in plain.history]  # one schedule over all
    started = train_start(GrowingTask(job(folder)), TrainingState(GrowingTask(job(folder))))
    assert (started.epochs, started.steps) == (3, STEPS)


def test_stopped_at_the_edges_of_phases_it_ends_with_the_same_bytes(
    whole: tuple[Path, Trained], tmp_path: Path
) -> None:
    for asks in (EPOCH, EPOCH + 1):  # between two networks, and after the first step of the second
        with pytest.raises(Stopped, match="of the phase"):
            train(job(tmp_path, should_stop=StopAfter(asks)))
    final = "checkpoints/final.safetensors"
    assert without_time(train(job(tmp_path)).history) == without_time(whole[1].history)
    assert (tmp_path / final).read_bytes() == (whole[0] / final).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adamw", "rmsprop"])
def test_stopped_after_every_step_it_ends_with_the_same_weights(optimizer: str, tmp_path: Path) -> None:
    recipe = {
        "optimizer": optimizer,
        "learning_rate": 0.002,
        "keep": "best",
        "batch_norm": "re-estimated",
        "progressive": Progressive(stages=2, resolution=0.7, early=0.5),
        "execution": Execution(micro_batch=7, recompute=True),
    }
    expected = train(job(tmp_path / "whole", recipe=recipe))
    sessions, folder = 0, tmp_path / "parts"
    while not (folder / "checkpoints" / "final.safetensors").exists():
        try:
            result = train(job(folder, recipe=recipe, should_stop=lambda: True))
        except Stopped:
            sessions += 1
    assert sessions == STEPS - 1
    assert without_time(result.history) == without_time(expected.history)
    assert is_same(weights(folder), weights(tmp_path / "whole"))


def train_until_step(folder: Path, step: int) -> None:
    steps = itertools.count(1)
    train(job(folder, should_stop=lambda: kill_myself() if next(steps) == step else False, save_every=0.0))  # type: ignore[func-returns-value]


@pytest.mark.slow
@pytest.mark.parametrize("step", [EPOCH, EPOCH + 1, 2 * EPOCH + 2])
def test_killed_at_a_phases_edge_it_ends_with_the_same_weights(
    whole: tuple[Path, Trained], tmp_path: Path, step: int
) -> None:
    torch.set_num_threads(1)
    assert is_killed(train_until_step, tmp_path, step)
    train(job(tmp_path))
    assert is_same(weights(tmp_path), weights(whole[0]))


def test_another_way_to_grow_is_another_training(whole: tuple[Path, Trained]) -> None:
    for other in ({"smaller": ((SMALL, 2),)}, {"growth": "pairs"}, {"smaller": ()}):
        with pytest.raises(RunFolderError, match="another network, recipe"):
            train(job(whole[0], **other))


@pytest.mark.parametrize("growth", ["new", "copies", "pairs"])
def test_the_next_network_goes_on_with_weights_average_and_memory(tmp_path: Path, growth: str) -> None:
    same_images = ((replace(SMALL, resolution=20), 1), (MIDDLE, 1))
    with pytest.raises(Stopped):
        train(job(tmp_path, growth=growth, smaller=same_images, should_stop=StopAfter(EPOCH)))
    task = GrowingTask(job(tmp_path, growth=growth, smaller=same_images))
    state = TrainingState(task)
    checkpoint = latest_checkpoint(tmp_path / "checkpoints")
    assert checkpoint is not None
    state.restore(checkpoint)
    before = [build(SMALL) for _ in range(2)]
    before[0].load_state_dict(checkpoint.weights)
    before[1].load_state_dict(checkpoint.average)
    memory = {id(weight): dict(state.optimizer.state[weight]) for weight in task.module.parameters()}
    named = dict(task.module.named_parameters())
    state.next_phase()
    assert output_difference(before[0], task.module) < 1e-5
    assert output_difference(before[1], task.average) < 1e-5
    assert not is_same(task.module.state_dict(), task.average.state_dict())
    weight = dict(task.module.named_parameters())["head.0.weight"]
    moments, old = state.optimizer.state[weight], memory[id(named["head.0.weight"])]
    first = len(old["exp_avg"])
    assert torch.equal(moments["exp_avg"][:first], old["exp_avg"])
    assert moments["step"] == old["step"] == EPOCH
    if growth != "copies":
        assert moments["exp_avg"][first:].abs().sum() == 0
        assert torch.allclose(moments["exp_avg_sq"][first:], old["exp_avg_sq"].mean())
    statistics = task.average.state_dict()["head.1.running_var"]
    assert not statistics[first:].eq(1).any()  # as images give it, and not as it was initialized


@pytest.mark.parametrize("optimizer", ["adamw", "rmsprop"])
def test_growth_does_not_make_the_first_step_a_leap(optimizer: str) -> None:
    recipe = Recipe(epochs=1, optimizer=optimizer, learning_rate=1e-3, weight_decay=0)
    old = build(SMALL, seed=0)
    generator = torch.Generator().manual_seed(0)

    def step(module: nn.Module, moved: torch.optim.Optimizer) -> None:
        images = torch.rand(8, 1, 16, 16, generator=generator)
        moved.zero_grad()
        module(images).logsumexp(1).mean().backward()
        moved.step()

    optimizers = [make_optimizer(old, recipe)]
    for _ in range(30):
        step(old, optimizers[0])
    grown = grow_module(old, replace(SMALL, head=NETWORK.head))
    optimizers.append(make_optimizer(grown.module, recipe))
    inherit_optimizer(optimizers[0], optimizers[1], old, grown.module, grown.weight_map)
    weight = grown.module.classifier.weight
    before = weight.detach().clone()
    step(grown.module, optimizers[1])
    moved = (weight - before).abs()
    assert moved[:, 16:].max() < 5 * moved[:, :16].max()


def test_statistics_of_what_is_new_are_measured_and_the_others_stay() -> None:
    old = build(SMALL, seed=0).eval()
    with torch.no_grad():
        for name, value in old.named_buffers():
            if "running" in name:
                value.add_(0.5)
    grown = grow_module(old, replace(SMALL, head=NETWORK.head))
    settle_new_statistics(grown.module, grown.weight_map, [torch.rand(16, 1, 16, 16)])
    assert output_difference(old, grown.module) < 1e-5
    mean = grown.module.head[1].running_mean
    assert mean[:16].eq(0.5).all()
    assert not mean[16:].eq(0).any()


def test_new_layers_of_a_chain_hand_on_their_input_with_measured_statistics() -> None:
    chain = replace(SMALL, stages=(Stage(block=ConvBlock(channels=8, stride=2)),))
    old = build(chain, seed=0).eval()
    grown = grow_module(
        old, replace(chain, stages=(Stage(block=ConvBlock(channels=8, stride=2), repeats=3),))
    )
    settle_new_statistics(grown.module, grown.weight_map, [torch.rand(16, 1, 16, 16)])
    assert output_difference(old, grown.module) < 1e-5


def test_larger_images_give_all_channels_other_statistics() -> None:
    old = build(SMALL, seed=0).train()
    grown = grow_module(old, MIDDLE)
    settle_new_statistics(grown.module, grown.weight_map, [torch.rand(16, 1, 20, 20)], everywhere=True)
    assert grown.module.training
    assert not grown.module.stem[1].running_mean.eq(0).any()


def test_the_forecast_tells_each_network(tmp_path: Path) -> None:
    planned = forecast.forecast(job(tmp_path))
    assert [(phase.epochs, phase.resolution) for phase in planned.phases] == [(1, 16), (1, 20), (1, 24)]
    assert [phase.macs for phase in planned.phases] == sorted({phase.macs for phase in planned.phases})
    assert (planned.epochs, planned.steps) == (3, STEPS)


def test_head_epochs_and_the_best_epoch_go_with_growth(tmp_path: Path) -> None:
    trained = train(job(tmp_path, recipe={"head_epochs": 2, "keep": "best", "patience": 1}))
    assert trained.kept == 3
    assert len(trained.history) == 3
    network: Network = apply_multipliers(NETWORK, width=1)
    assert sum(value.numel() for value in trained.module.parameters()) == sum(
        value.numel() for value in build(network).parameters()
    )
