"""Searches by gradient as the papers have them: losses, rates, turns of epochs, REINFORCE, drawn networks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from allometry.base import InputError, Stopped
from allometry.cost import count, parse_budget
from allometry.nas import network_of
from allometry.nas.gradient import (
    CostLoss,
    Distribution,
    GradientConfig,
    GradientJob,
    budget_config,
    choices_of,
    counted,
    derive,
    fbnet,
    paper_config,
    proxylessnas,
    sample,
    search_by_gradient,
)
from allometry.nas.gradient.reinforce import blame, one_hot
from allometry.nas.search_config import SearchConfig
from allometry.nas.space_costs import SpaceCosts
from allometry.training import Recipe, join
from tests.joining import together

from .textures import SPACE, job_in

TARGET = float(count(SPACE.largest()).macs)
SETTINGS: dict[str, GradientConfig] = {
    "turns of epochs": replace(paper_config("fbnet", target=TARGET), warmup=0.0),
    "REINFORCE": replace(
        paper_config("proxylessnas", target=TARGET, reinforce=True), every=2, warmup=0.0, members=3
    ),
}


def job(folder: Path, name: str, **options) -> GradientJob:
    recipe = Recipe(epochs=2, batch_size=16, learning_rate=0.01, batch_norm_momentum=0.1)
    return job_in(
        folder,
        **{"settings": SETTINGS[name], "cost": counted("macs"), "recipe": recipe, "clock": lambda: 0.0}
        | options,
    )


# Losses and rewards


def test_the_papers_have_their_losses_and_rates():
    settings = paper_config("fbnet", target=4e6)
    cost = torch.tensor(4e6, dtype=torch.float64)
    assert settings.cost_loss(torch.tensor(2.0), cost).item() == pytest.approx(
        2.0 * 0.2 * np.log(4e6) ** 0.6, rel=1e-6
    )
    assert (settings.learning_rate, settings.weight_decay, settings.every) == (0.01, 5e-4, None)
    assert settings.temperature(1, 90) == pytest.approx(5.0 * np.exp(-0.045))
    settings = paper_config("proxylessnas", target=4e6)
    assert settings.cost_loss(torch.tensor(2.0), cost * 2).item() == pytest.approx(2.0 + 0.1 * 2)
    assert (settings.learning_rate, settings.betas, settings.every) == (0.006, (0.0, 0.999), 5)
    settings = paper_config("proxylessnas", target=4e6, reinforce=True)
    reward = settings.cost_loss.reward(torch.tensor(0.5), cost * 2).item()
    assert reward == pytest.approx(0.5 * 2**-0.07)
    assert (settings.way, settings.learning_rate, settings.members) == ("reinforce", 0.01, 10)


@pytest.mark.parametrize("form", ["none", "power", "sum", "logarithm"])
def test_a_reward_falls_where_the_loss_rises(form):
    loss = CostLoss(form=form, weight=0.5, target=100.0)
    costs = [torch.tensor(cost, dtype=torch.float64) for cost in (50.0, 100.0, 200.0)]
    losses = [loss(torch.tensor(0.5), cost).item() for cost in costs]
    rewards = [loss.reward(torch.tensor(0.5), cost).item() for cost in costs]
    if form == "none":
        assert losses == rewards == [0.5, 0.5, 0.5]
    else:
        assert losses[0] < losses[1] < losses[2]
        assert rewards[0] > rewards[1] > rewards[2]


def test_what_was_above_the_average_becomes_likelier_by_the_slope_of_its_logarithm():
    choices = choices_of(SPACE)
    distribution = Distribution(choices, spread=1.0)
    options = distribution.draw(6, np.random.default_rng(0))
    advantages = np.linspace(-1, 1, 6)
    blame(distribution, options, advantages)
    there = choices.encodings(options) >= 0
    for place, (decision, logits) in enumerate(zip(choices.decisions, distribution.logits, strict=True)):
        plain = logits.detach().clone().requires_grad_()
        logs = plain.log_softmax(0)[torch.as_tensor(options[:, place])]
        counted_in = torch.as_tensor(advantages * there[:, decision.choices[0]]).float()
        (-(counted_in * logs).mean()).backward()
        assert torch.allclose(logits.grad, plain.grad, atol=1e-6)
    assert not there.all()  # a member without the layer said nothing of it
    assert [weights.argmax().item() for weights in one_hot(distribution, options[0])] == options[0].tolist()


@pytest.mark.slow
def test_reinforce_makes_cheap_networks_likelier_where_only_cost_tells(tmp_path):
    reward = CostLoss(form="power", weight=4.0, target=TARGET)
    settings = replace(
        proxylessnas(cost_loss=reward, reinforce=True), every=1, learning_rate=0.2, warmup=0.0, members=8
    )
    found = search_by_gradient(
        job(tmp_path, "REINFORCE", settings=settings, recipe=Recipe(epochs=4, batch_size=16))
    )
    costs = [record.expected_cost for record in found.history]
    assert costs[-1] < costs[0] < TARGET
    assert found.history[-1].held_accuracy is not None


# Turns of epochs


def test_in_turns_of_epochs_each_held_out_image_counts_once_in_a_warm_epoch(tmp_path):
    settings = replace(SETTINGS["turns of epochs"], warmup=0.5)
    found = search_by_gradient(job(tmp_path, "turns of epochs", settings=settings))
    assert [record.updates for record in found.history] == [0, 1]  # 16 images at once
    assert found.history[0].held_loss is None
    assert found.images == 2 * 64 + 16


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_stopped_after_every_step_it_ends_as_if_never_stopped(tmp_path, name):
    whole = search_by_gradient(job(tmp_path / "whole", name, should_stop=lambda: False))
    for _ in range(20):
        try:
            parts = search_by_gradient(job(tmp_path / "parts", name, should_stop=lambda: True))
            break
        except Stopped:
            continue
    assert parts.history == whole.history
    assert (parts.encoding == whole.encoding).all()
    for one, other in zip(parts.distribution.logits, whole.distribution.logits, strict=True):
        assert torch.equal(one, other)


def test_turns_of_epochs_can_be_stopped_within_the_architectures_turn(tmp_path):
    """Half of the images are held out, two batches of them: the second is left for the next session."""
    settings = replace(SETTINGS["turns of epochs"], held_out=0.4)
    calls = iter([False, False, True])  # two steps of the weights in an epoch, after the last nobody is asked

    def stop() -> bool:
        return next(calls, False)

    options = {"settings": settings, "recipe": Recipe(epochs=1, batch_size=16, batch_norm_momentum=0.1)}
    whole = search_by_gradient(job(tmp_path / "whole", "turns of epochs", **options))
    with pytest.raises(Stopped):
        search_by_gradient(job(tmp_path / "parts", "turns of epochs", should_stop=stop, **options))
    parts = search_by_gradient(job(tmp_path / "parts", "turns of epochs", **options))
    assert parts.history == whole.history
    assert parts.history[0].updates == 2


def still(folder: Path, name: str, **options) -> GradientJob:
    """A search whose steps are the same however many processes share the images: statistics are frozen."""
    recipe = Recipe(
        epochs=1, batch_size=16, optimizer="rmsprop", learning_rate=0.002, batch_norm="frozen", dropout=0.0
    )
    return job(folder, name, recipe=recipe, **options)


def learn_together(folder: Path, name: str) -> None:
    """What each of two processes does."""
    with join(torch.device("cpu")) as dist:
        place = folder if dist.is_main else folder / "nowhere"
        search_by_gradient(still(place, name, dist=dist))


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_two_processes_learn_what_one_does(tmp_path, name):
    together(learn_together, tmp_path / "two", name, count=2)
    one, two = (search_by_gradient(still(tmp_path / folder, name)) for folder in ("one", "two"))
    for mine, theirs in zip(one.distribution.logits, two.distribution.logits, strict=True):
        assert torch.allclose(mine, theirs, atol=1e-3)
    assert one.history[0].updates == two.history[0].updates > 0


# Networks that are drawn


def test_drawn_networks_differ_and_keep_the_budget():
    choices = choices_of(SPACE)
    distribution = Distribution(choices, spread=1.0, seed=2)
    macs = count(network_of(SPACE, derive(distribution).encoding)).macs
    budget = parse_budget(f"macs<={macs - 1}")
    allows = SpaceCosts(SPACE, None).within(budget)
    drawn = sample(distribution, 5, allows=allows)
    assert len({derived.encoding.tobytes() for derived in drawn}) == 5
    assert all(budget.allows(count(network_of(SPACE, derived.encoding))) for derived in drawn)
    again = sample(distribution, 5, allows=allows)
    assert [one.score for one in again] == [one.score for one in drawn]
    assert sample(distribution, 3)[0].score <= derive(distribution).score


def test_the_likeliest_networks_come_up_first_and_there_may_be_fewer_than_wanted():
    choices = choices_of(SPACE)
    sure = Distribution(choices)
    with torch.no_grad():
        for logits in sure.logits:
            logits[0] = 50.0
    (only,) = sample(sure, 6)
    assert (only.encoding == derive(sure).encoding).all()
    small = count(SPACE.smallest()).macs
    within = SpaceCosts(SPACE, None).within(parse_budget(f"macs<={small}"))
    with torch.no_grad():
        for logits in sure.logits:
            logits[:] = torch.arange(len(logits)) * 50.0
    (smallest,) = sample(sure, 2, allows=within, draws=200)  # none that is drawn is within the budget
    assert count(network_of(SPACE, smallest.encoding)).macs == small
    with pytest.raises(InputError, match="number must be an integer of at least 1"):
        sample(sure, 0)


# Mistakes


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"searcher": "fbnet", "loss": "papers"}, "loss must be one of budget, paper, not 'papers'"),
        ({"loss": "paper"}, "loss: only the searches by gradient"),
        ({"reinforce": True, "samples": 2}, "reinforce, samples: only the searches by gradient"),
        ({"searcher": "fbnet", "reinforce": True}, "fbnet has no variant by REINFORCE"),
        ({"searcher": "fbnet", "samples": 0}, "samples must be at least 1, not 0"),
    ],
)
def test_options_of_searches_by_gradient_are_checked(fields, message):
    with pytest.raises(InputError, match=message):
        SearchConfig(**fields)


def test_configs_of_what_there_is_not_are_refused():
    for config in (paper_config, budget_config):
        more = {"target": 1e6} if config is paper_config else {"limit": 1e6, "updates": 10}
        with pytest.raises(InputError, match="searcher must be one of"):
            config("darts", **more)
        with pytest.raises(InputError, match="REINFORCE is a variant of proxylessnas"):
            config("fbnet", reinforce=True, **more)
    with pytest.raises(InputError, match="members must be an integer of at least 2"):
        replace(fbnet(), members=1)
