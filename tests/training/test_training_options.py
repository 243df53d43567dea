"""What the loop can do besides learning: less memory, other statistics, teachers, stopping by itself."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from allometry.base import Stopped
from allometry.catalog import get
from allometry.nn import build
from allometry.training import (
    ClassificationTask,
    CrossEntropy,
    Distillation,
    Progressive,
    Teacher,
    latest_checkpoint,
    recalibrate_batch_norm,
    recompute_blocks,
    train,
)
from allometry.training.loop import take_step, take_steps
from allometry.training.state import TrainingState
from allometry.training.task import FINAL

from .conftest import NETWORK, RECIPE
from .tasks import StopAfter
from .test_loop import final, same, without_time

QUIET = replace(RECIPE, epochs=3, dropout=0.0, stochastic_depth=0.0)


@pytest.mark.parametrize(
    "name", ["efficientnet-b0", "efficientnetv2-b0", "mobilenetv3-small", "resnet-18", "nasnet-a-mobile"]
)
def test_recomputing_changes_nothing_but_memory(name):
    network = replace(get(name), stochastic_depth=0.3)
    plain = build(network, seed=0)
    forgetting = copy.deepcopy(plain)
    recompute_blocks(forgetting)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    held = []
    for module in (plain, forgetting):
        torch.manual_seed(5)
        kept = {}

        def pack(tensor, kept=kept):
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss = module(images).square().mean()
        held.append(sum(kept.values()))
        torch.autograd.backward(loss)
    for (key, one), (_, other) in zip(plain.named_parameters(), forgetting.named_parameters(), strict=True):
        assert torch.equal(one.grad, other.grad), key
    assert same(dict(plain.state_dict()), dict(forgetting.state_dict()))
    assert held[1] < held[0]


def test_frozen_statistics_stay_and_re_estimated_ones_are_the_datas(make_job):
    start = build(NETWORK, seed=3).state_dict()
    frozen = make_job("frozen", recipe=replace(QUIET, batch_norm="frozen"), start=start)
    train(frozen)
    for name, tensor in final(frozen).items():
        if "running" in name:
            assert torch.equal(tensor, start[name]), name
    again = make_job("again", recipe=replace(QUIET, batch_norm="re-estimated"))
    trained = train(again)
    assert trained.accuracy > 0.3
    plain = make_job("plain", recipe=QUIET)
    train(plain)
    differing = [n for n, t in final(again).items() if not torch.equal(t, final(plain)[n])]
    assert differing
    assert all("running" in name for name in differing)


def test_re_estimated_statistics_are_mean_and_variance_over_all_pixels():
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1), nn.BatchNorm2d(2)
    )
    batches = [torch.randn(n, 3, 9, 9) for n in (5, 3, 8)]
    expected = copy.deepcopy(module).train()
    before = {name: value.clone() for name, value in module.named_parameters()}
    assert recalibrate_batch_norm(module, batches) == 16
    firsts, seconds = [], []
    with torch.no_grad():
        for batch in batches:
            first = expected[0](batch)
            firsts.append(first)
            seconds.append(expected[3](expected[2](expected[1](first))))
    for norm, values in ((module[1], firsts), (module[4], seconds)):
        flat = torch.cat([value.transpose(0, 1).flatten(1) for value in values], dim=1).double()
        assert torch.allclose(norm.running_mean.double(), flat.mean(1), atol=1e-6)
        assert torch.allclose(norm.running_var.double(), flat.var(1), atol=1e-5)
        assert norm.track_running_stats
    assert not module.training
    assert all(torch.equal(before[name], value) for name, value in module.named_parameters())


def test_layers_learn_at_their_share_of_the_rate(make_job):
    task = ClassificationTask(make_job(recipe=replace(RECIPE, layer_decay=0.5)))
    state = TrainingState(task)
    scales = {}
    for group in state.optimizer.param_groups:
        for weight in group["params"]:
            name = next(n for n, each in task.module.named_parameters() if each is weight)
            scales[name.split(".")[0] + (name.split(".")[1] if name.startswith("stages") else "")] = group[
                "scale"
            ]
    assert scales == {"classifier": 1, "head": 0.5, "stages1": 0.25, "stages0": 0.125, "stem": 0.0625}


def test_the_best_epoch_is_kept_and_patience_ends_a_training(make_job):
    # A rate that grows worse and worse after the first epochs.
    recipe = replace(
        RECIPE, epochs=30, ema=0.0, learning_rate=0.05, schedule="constant", warmup=0, keep="best", patience=3
    )
    whole = make_job("whole", recipe=recipe)
    trained = train(whole)
    accuracies = [record.val_accuracy for record in trained.history]
    keys = [(record.val_accuracy, -record.val_loss) for record in trained.history]
    best = keys.index(max(keys))
    assert trained.kept == best + 1
    assert trained.accuracy == max(accuracies)
    assert len(trained.history) in (30, best + 4)
    assert len(trained.history) < 30
    assert [path.name for path in (whole.folder / "checkpoints").iterdir()] == [FINAL]
    again = train(whole)
    assert (again.kept, again.accuracy) == (trained.kept, trained.accuracy)
    job = make_job("parts", recipe=recipe)
    for step in (3, 9, 14):
        with pytest.raises(Stopped):
            train(replace(job, should_stop=StopAfter(step - job_step(job))))
    assert without_time(train(job).history) == without_time(trained.history)
    assert same(final(job), final(whole))


def job_step(job):
    kept = latest_checkpoint(job.folder / "checkpoints")
    return kept.step if kept else 0


@pytest.mark.slow
def test_a_student_learns_from_its_teacher_alone(make_job, dataset):
    teaching = make_job("teacher", recipe=replace(RECIPE, epochs=20))
    taught = train(teaching)
    assert taught.accuracy > 0.7
    teacher = Teacher(taught.module.eval(), teaching.preprocessing)
    recipe = replace(RECIPE, epochs=20, distillation=Distillation(weight=1.0, temperature=2.0))
    smaller = replace(NETWORK, resolution=20)
    # Labels that say nothing: whatever the student knows, it knows from the teacher.
    train_split = dataset.splits["train"]
    wrong = replace(train_split, labels=np.zeros(len(train_split), np.int64))
    blind = replace(dataset, splits={**dataset.splits, "train": wrong})
    student = make_job("student", network=smaller, recipe=recipe, teacher=teacher, dataset=blind)
    assert train(student).accuracy > 0.7
    short = replace(recipe, epochs=2)
    with_labels = make_job("labels", network=smaller, recipe=short, dataset=blind)
    assert train(with_labels).accuracy < 0.5
    assert student.identity != make_job("labels", network=smaller, recipe=recipe, dataset=blind).identity


def test_distillation_is_a_divergence_times_the_squared_temperature():
    generator = torch.Generator().manual_seed(0)
    scores, answers = torch.randn(6, 5, generator=generator), torch.randn(6, 5, generator=generator)
    for temperature in (1.0, 3.0):
        loss = CrossEntropy().distillation(scores, answers, temperature=temperature)
        p = (answers / temperature).double().softmax(1)
        q = (scores / temperature).double().softmax(1)
        expected = temperature**2 * (p * (p.log() - q.log())).sum(1)
        assert torch.allclose(loss.double(), expected, atol=1e-6)


def test_dropout_follows_its_schedule(make_job):
    recipe = replace(
        RECIPE, dropout=0.4, progressive=Progressive(stages=4, early=0.75, resolution=0.5, dropout=0.1)
    )
    job = make_job(recipe=recipe)
    task = ClassificationTask(job)
    state = TrainingState(task)
    seen = []
    for epoch in job.epochs:
        take_steps(task, state, epoch, [])
        seen.append(round(task.module.dropout.p, 6))
    assert seen == [0.1, 0.2, 0.3, 0.4]
    assert [epoch.resolution for epoch in job.epochs] == [12, 16, 20, 24]
    records = train(job).history
    assert [record.resolution for record in records] == [12, 16, 20, 24]


def test_losses_are_those_of_plain_pytorch(make_job):
    """Three steps beside a loop that anybody would write."""
    job = make_job(recipe=replace(QUIET, ema=0.0, clip=0.0))
    task = ClassificationTask(job)
    state = TrainingState(task)
    epoch = job.epochs[0]
    take_steps(task, state, epoch, [])
    module = build(job.recipe.applied_to(NETWORK), seed=0)
    decayed = [w for w in module.parameters() if w.ndim > 1]
    others = [w for w in module.parameters() if w.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}],
        betas=(0.9, 0.99),
    )
    from allometry.data import train_batches
    from allometry.training import learning_rate

    batches = train_batches(
        job.dataset.splits["train"],
        resolution=24,
        batch_size=16,
        augmentation=RECIPE.augmentation,
        seed=0,
        epoch=0,
    )
    for number, batch in zip(range(3), batches, strict=False):
        before = state.sums.clone()
        take_step(task, state, epoch, batch)
        images = (torch.from_numpy(batch.images).permute(0, 3, 1, 2).float() / 255 - 0.2) / 0.3
        loss = nn.functional.cross_entropy(
            module(images), torch.from_numpy(batch.labels), label_smoothing=0.1
        )
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(job.recipe, epoch, number)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        assert (state.sums - before)[0].item() / 16 == pytest.approx(loss.item(), rel=1e-4)
