"""Search by gradient: exact expectations, true paths, learning, pressure, going on after a kill, refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from allometry.arch import Choice, Space, distinct_blocks
from allometry.base import (
    BudgetError,
    InputError,
    NonFiniteLossError,
    RunFolderError,
    UnknownNameError,
)
from allometry.catalog import find_space, get, mbconv_space
from allometry.cost import Correction, LatencyTable, RuntimeConfig, count, key_of, parse_budget
from allometry.data import Dataset, part_of
from allometry.nas import Costs, Latencies, network_of, sample_encodings
from allometry.nas.gradient import (
    CostLoss,
    Distribution,
    ExpectedCost,
    GradientConfig,
    GradientJob,
    LayerCost,
    OnePath,
    build_mixed_network,
    choices_of,
    counted,
    derive,
    draw_path,
    draw_relaxed,
    draw_two_paths,
    fbnet,
    narrow,
    predicted,
    proxylessnas,
    search_by_gradient,
    with_fixed_shapes,
)
from allometry.nas.gradient.architecture import pass_on
from allometry.nas.space_costs import SpaceCosts
from allometry.training import FINAL, Recipe
from tests.watching import Recorder

from .textures import SPACE, images, job_in, tiny_space

SPACES = {
    "tiny": SPACE,
    "fbnet": find_space("fbnet"),
    "proxylessnas": find_space("proxylessnas"),
    "mnasnet": with_fixed_shapes(find_space("mnasnet")),
    "efficientnetv2": with_fixed_shapes(find_space("efficientnetv2")),
    "around b0": mbconv_space(get("efficientnet-b0"), kernels=(3, 5), expand_ratios=(4, 6), depths=(1, 2, 3)),
}


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return images()


@pytest.fixture
def make_job(dataset, tmp_path):
    def make(folder: str = "search", **options) -> GradientJob:
        return job_in(tmp_path / folder, **{"dataset": dataset} | options)

    return make


def spread(choices, seed: int = 0) -> Distribution:
    return Distribution(choices, spread=1.0, seed=seed)


def certain(choices, options) -> list[torch.Tensor]:
    """The distribution that has one member only."""
    return [
        torch.nn.functional.one_hot(torch.tensor(option), len(decision.options)).float()
        for option, decision in zip(options, choices.decisions, strict=True)
    ]


# What is decided


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_members_are_the_same_as_decisions_and_as_rows(space):
    choices = choices_of(space)
    encodings = sample_encodings(space, np.random.default_rng(0), 30, by="choice")
    options = np.array([choices.options(encoding) for encoding in encodings])
    assert (choices.encodings(options) == encodings).all()


def test_choices_of_one_layer_are_one_decision_and_a_shared_choice_is_one_for_its_layers():
    choices = choices_of(SPACE)
    named = [tuple(SPACE.choices[place].name for place in each.choices) for each in choices.decisions]
    assert named == [("depth",), ("kernel 0", "ratio 0"), ("kernel 1",), ("shared ratio",)]
    layers = [layer for group in choices.groups for layer in group.layers]
    assert [len(layer.candidates) for layer in layers] == [6, 4, 2]
    assert [layer.decisions for layer in layers] == [(1,), (2, 3), (3,)]


# Costs


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
@pytest.mark.parametrize("measure", ["macs", "params"])
def test_the_cost_of_one_member_is_its_count(space, measure):
    choices = choices_of(space)
    expected = ExpectedCost(choices, counted(measure))
    for encoding in sample_encodings(space, np.random.default_rng(1), 5, by="choice"):
        weights = certain(choices, choices.options(encoding))
        assert expected(weights).item() == getattr(count(network_of(space, encoding)), measure)


@pytest.mark.parametrize("name", ["tiny", "mnasnet", "fbnet"])
def test_the_cost_of_a_distribution_is_the_mean_over_its_members(name):
    choices = choices_of(SPACES[name])
    distribution = spread(choices)
    macs = Costs(choices.space)(choices.encodings(distribution.draw(40_000, np.random.default_rng(0))))[
        "macs"
    ]
    mean = ExpectedCost(choices, counted("macs"))(distribution.probabilities()).item()
    assert abs(mean - macs.mean()) < 5 * macs.std() / np.sqrt(len(macs))


def test_a_latency_is_the_tables_with_its_correction():
    table = LatencyTable(
        space="tiny",
        runtime_config=RuntimeConfig(),
        machine_info={},
        seconds={key_of(piece): 1e-5 * (1 + place) for place, piece in enumerate(distinct_blocks(SPACE))},
        labels={},
        correction=Correction(base=1e-4, scale=0.9, per_piece=1e-6, per_element=1e-10),
    )
    choices = choices_of(SPACE)
    expected = ExpectedCost(choices, predicted(table))
    encodings = sample_encodings(SPACE, np.random.default_rng(0), 10)
    found = [expected(certain(choices, choices.options(encoding))).item() for encoding in encodings]
    assert np.allclose(found, Latencies(SPACE, table)(encodings), rtol=1e-12)
    allows = SpaceCosts(SPACE, table).within(parse_budget("latency<=1ms"))
    assert allows(encodings).tolist() == (np.array(found) <= 1e-3).tolist()


# The supernet


@pytest.mark.parametrize("space", [SPACE, tiny_space(depths=(2, 0))], ids=["tiny", "no layers"])
def test_a_path_is_the_network_that_it_stands_for(space):
    # A depth of 0 leaves the stem's output as it is, which has as many channels as the stage.
    choices = choices_of(space)
    supernet = build_mixed_network(choices, seed=0).eval()
    images = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    for encoding in sample_encodings(space, np.random.default_rng(0), 12):
        plain = supernet.extract(encoding).eval()
        assert plain.network == network_of(space, encoding)
        assert torch.equal(plain(images), supernet(images, OnePath(choices.options(encoding))))


def test_mixtures_that_are_certain_are_paths():
    choices = choices_of(SPACE)
    distribution, random = spread(choices), np.random.default_rng(0)
    supernet = build_mixed_network(choices, seed=0).eval()
    images = torch.randn(3, 1, 8, 8)
    with torch.no_grad():
        for _ in range(5):
            gates = draw_two_paths(distribution, random)
            assert torch.equal(supernet(images, gates), supernet(images, OnePath(gates.active)))
            cold = draw_relaxed(distribution, random, temperature=1e-4)
            options = tuple(int(each.argmax()) for each in cold.weights)
            assert torch.allclose(supernet(images, cold), supernet(images, OnePath(options)), atol=1e-4)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("decision", range(4), ids=["depth", "one layer", "with another", "two layers"])
def test_a_gates_gradient_is_the_slope_along_it(decision, seed):
    """Also where paths that are not taken are computed without keeping what is inside."""
    choices = choices_of(SPACE)
    supernet = build_mixed_network(choices, seed=0).eval().double()
    drawn = draw_two_paths(spread(choices), np.random.default_rng(seed))
    gates = replace(drawn, weights=tuple(each.detach().double().requires_grad_() for each in drawn.weights))
    images = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(seed)).double()
    supernet(images, gates)[:, 0].sum().backward()
    if gates.weights[decision].grad is None:
        assert decision == 2  # of a layer that the path does not have
        return
    found = gates.weights[decision].grad[gates.other[decision]].item()

    def at(share: float) -> float:
        weights = [each.detach().clone() for each in gates.weights]
        weights[decision][gates.other[decision]] = share
        with torch.no_grad():
            return supernet(images, replace(gates, weights=tuple(weights)))[:, 0].sum().item()

    assert found == pytest.approx((at(1e-6) - at(-1e-6)) / 2e-6, rel=1e-4, abs=1e-6)


def test_gates_pass_their_gradients_on_as_the_softmax_of_two():
    choices = choices_of(SPACE)
    distribution = spread(choices)
    mixture = draw_two_paths(distribution, np.random.default_rng(0))
    for gates in mixture.weights:
        gates.grad = torch.arange(len(gates)).float()
    pass_on(distribution, mixture)
    for logits, active, other in zip(distribution.logits, mixture.active, mixture.other, strict=True):
        assert other is not None
        share = torch.sigmoid(logits[active] - logits[other]).item()
        slope = share * (1 - share) * (active - other)
        expected = torch.zeros(len(logits))
        expected[active], expected[other] = slope, -slope
        assert torch.allclose(logits.grad, expected, atol=1e-6)


def test_draws_follow_the_distribution():
    choices = choices_of(SPACE)
    distribution, random = spread(choices), np.random.default_rng(0)
    shares = [each.detach().numpy() for each in distribution.probabilities()]
    paths = np.array([draw_path(distribution, random).options for _ in range(3000)])
    for place, expected in enumerate(shares):
        found = np.bincount(paths[:, place], minlength=len(expected)) / len(paths)
        assert np.abs(found - expected).max() < 0.04
    pairs = [draw_two_paths(distribution, random) for _ in range(50)]
    assert all(one != other for each in pairs for one, other in zip(each.active, each.other, strict=True))


def test_one_path_is_computed_and_a_second_only_for_its_value():
    choices = choices_of(SPACE)
    supernet = build_mixed_network(choices, seed=0)
    called: list[tuple[int, bool]] = []
    layers = [layer for group in supernet.groups for layer in group]
    for place, candidates in enumerate(layers):
        for candidate in candidates:
            candidate.register_forward_hook(
                lambda _module, _inputs, out, place=place: called.append((place, out.requires_grad))
            )
    images, distribution = torch.zeros(2, 1, 8, 8), spread(choices)
    for seed in range(10):
        random = np.random.default_rng(seed)
        called.clear()
        supernet(images, draw_path(distribution, random))
        assert len({place for place, _ in called}) == len(called)
        called.clear()
        gates = draw_two_paths(distribution, random)
        supernet(images, gates)
        for place, decisions in enumerate((1, 2, 1)):  # that choose among a layer's candidates
            calls = [kept for where, kept in called if where == place]
            assert len(calls) <= 1 + decisions
            assert sum(calls) <= 1


def test_what_is_not_on_the_path_stays_as_it_is(make_job):
    job = make_job(recipe=Recipe(epochs=1, batch_size=64, batch_norm_momentum=0.1, warmup=0))
    found = search_by_gradient(replace(job, settings=replace(job.settings, every=9)))
    assert found.history[0].step == 1
    before = build_mixed_network(job.choices, recipe=job.recipe, seed=0)
    for now, then in zip(
        (layer for group in found.supernet.groups for layer in group),
        (layer for group in before.groups for layer in group),
        strict=True,
    ):
        changed = [
            any(
                not torch.equal(one, other) for one, other in zip(a.parameters(), b.parameters(), strict=True)
            )
            for a, b in zip(now, then, strict=True)
        ]
        assert sum(changed) <= 1


# Searching


def test_the_option_that_can_see_is_found_by_both_ways(make_job):
    """Kernels of 1 see single pixels, of which both classes have the same."""
    space = narrow(tiny_space(depths=(1,)), {"ratio 0": (2,), "shared ratio": (2,), "kernel 1": (1,)})
    *before, last = space.template.stages
    blind = replace(last, block=replace(last.block, kernel=1))
    space = replace(space, template=replace(space.template, stages=(*before, blind)))
    for settings in (
        replace(proxylessnas(), every=1, learning_rate=0.1),
        replace(fbnet(cost_loss=CostLoss(form="none")), every=1, learning_rate=0.1),
    ):
        recipe = Recipe(epochs=8, batch_size=16, learning_rate=0.02, batch_norm_momentum=0.1)
        found = search_by_gradient(make_job(settings.way, space=space, settings=settings, recipe=recipe))
        assert found.network.stages[0].block.kernel == 3
        assert found.probabilities["kernel 0"][1] > 0.7
        assert found.history[-1].entropy < found.history[0].entropy


@pytest.mark.slow
@pytest.mark.parametrize(("form", "weight"), [("power", 5.0), ("sum", 5.0), ("logarithm", 50.0)])
@pytest.mark.parametrize("way", [proxylessnas, fbnet])
def test_pressure_makes_cheap_options_likelier(make_job, way, form, weight):
    loss = CostLoss(form=form, weight=weight, target=float(count(SPACE.smallest()).macs))
    settings = replace(way(cost_loss=loss), every=1, learning_rate=0.1, warmup=0.0)
    found = search_by_gradient(make_job(settings=settings, cost=counted("macs")))
    costs = [record.expected_cost for record in found.history]
    assert found.expected_cost == costs[-1] < 0.9 * costs[0]
    assert count(found.network).macs < found.expected_cost


def test_a_search_says_what_it_has_done(make_job):
    recorder = Recorder()
    job = make_job(cost=counted("macs"), callbacks=(recorder,))
    before = torch.get_rng_state()
    found = search_by_gradient(job)
    assert torch.equal(torch.get_rng_state(), before)
    assert SPACE.contains(found.network)
    records = recorder.records
    assert list(found.history) == records
    assert [record.epoch for record in records] == [1, 2, 3]
    assert records[0].held_loss is None  # the warm-up
    assert 0 <= records[-1].held_accuracy <= 1
    assert found.images == sum(record.images for record in records)
    weights, architecture = job.splits
    assert len(weights) == 64
    assert len(architecture) == 16
    assert not set(weights.names) & set(architecture.names)
    assert found.images == 3 * 64 + records[-1].updates * 16


# Deriving


def test_the_most_probable_options_are_the_best_by_score():
    choices = choices_of(SPACE)
    distribution = spread(choices, seed=3)
    options = distribution.draw(500, np.random.default_rng(0), flatness=1e9)
    best = distribution.scores(np.array([distribution.mode()]))[0]
    assert best >= distribution.scores(options).max()
    derived = derive(distribution)
    assert not derived.budgeted
    assert derived.score == best


def test_a_hard_budget_is_met_by_the_most_probable_network_within_it():
    choices = choices_of(SPACE)
    distribution = spread(choices, seed=1)
    macs = count(network_of(SPACE, derive(distribution).encoding)).macs
    budget = parse_budget(f"macs<={macs - 1}")
    derived = derive(distribution, allows=SpaceCosts(SPACE, None).within(budget))
    assert derived.budgeted
    assert budget.allows(count(network_of(SPACE, derived.encoding)))
    every = np.unique(distribution.draw(5000, np.random.default_rng(0), flatness=1e9), axis=0)
    allowed = every[SpaceCosts(SPACE, None).within(budget)(choices.encodings(every))]
    assert derived.score == distribution.scores(allowed).max()
    with pytest.raises(BudgetError, match="none is within the budget"):
        derive(distribution, allows=SpaceCosts(SPACE, None).within(parse_budget("macs<=1")), draws=100)


def test_the_score_does_not_prefer_short_networks():
    """What a depth leaves out is not held against the long ones, of which more is decided."""
    distribution = Distribution(choices_of(SPACE))
    encodings = distribution.draw(100, np.random.default_rng(0))
    assert np.ptp(distribution.scores(encodings)) < 1e-9


# Narrowing


def test_fixed_shapes_leave_members_of_the_whole_space():
    whole = find_space("mnasnet")
    narrowed = SPACES["mnasnet"]
    assert {len(choice.options) for choice in narrowed.choices if "channels" in choice.name} == {1}
    for encoding in sample_encodings(narrowed, np.random.default_rng(0), 10):
        assert whole.contains(network_of(narrowed, encoding))
    ofa = with_fixed_shapes(find_space("ofa-mobilenetv3-1.0"))
    assert ofa.choices[0].options == (find_space("ofa-mobilenetv3-1.0").template.resolution,)
    depth = next(choice for choice in SPACES["efficientnetv2"].choices if choice.name == "stage 6 depth")
    assert depth.options == (1, 2, 3, 4)
    assert with_fixed_shapes(SPACE) == SPACE


# Mistakes


def test_spaces_that_cannot_be_searched_are_refused():
    with pytest.raises(InputError, match="'resolution' sets something of the whole network"):
        choices_of(find_space("ofa-mobilenetv3-1.0"))
    with pytest.raises(InputError, match="'stage 1 channels' changes the shape"):
        choices_of(find_space("mnasnet"))
    v2 = find_space("efficientnetv2")
    with pytest.raises(InputError, match="With 0 layers the choice 'stage 6 depth' changes the shape"):
        choices_of(v2)
    many = tuple(range(1, 41, 2))
    with pytest.raises(InputError, match="have 400 combinations"):
        choices_of(mbconv_space(get("efficientnet-b0"), kernels=many, expand_ratios=many))
    resolution = Choice(name="resolution", paths=("resolution",), options=(32, 64))
    with pytest.raises(InputError, match="nothing is left"):
        with_fixed_shapes(Space(template=SPACE.template, choices=(resolution,)))
    with pytest.raises(UnknownNameError, match="No choice is named 'kernal 0'"):
        narrow(SPACE, {"kernal 0": (3,)})
    with pytest.raises(InputError, match="give some of 1, 3"):
        narrow(SPACE, {"kernel 0": (5,)})
    with pytest.raises(InputError, match="no sum over layers"):
        counted("memory")
    with pytest.raises(BudgetError, match="give a latency table"):
        SpaceCosts(SPACE, None).within(parse_budget("latency<=1ms"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"way": "chance"}, "way must be one of paths, reinforce, gumbel"),
        ({"every": 0}, "every must be an integer of at least 1"),
        ({"warmup": 1.0}, "warmup must be a number from 0 to 0.9"),
        ({"held_out": 0.0}, "held_out must be"),
        ({"betas": (0.9, 1.0)}, "betas must be"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(InputError, match=message):
        GradientConfig(**{"way": "paths", "learning_rate": 0.1} | settings)


def test_above_the_target_only_there_is_pressure():
    for form in ("power", "sum", "logarithm"):
        loss = CostLoss(form=form, weight=2.0, target=100.0, above_only=True)
        for cost, pressed in ((50.0, False), (150.0, True)):
            given = torch.tensor(cost, dtype=torch.float64, requires_grad=True)
            loss(torch.tensor(1.0), given).backward()
            assert (given.grad > 0) == pressed


def test_cost_losses_are_checked():
    with pytest.raises(InputError, match="form must be one of"):
        CostLoss(form="cube")
    with pytest.raises(InputError, match="needs a target"):
        CostLoss(form="power")
    with pytest.raises(InputError, match="needs a target"):
        CostLoss(above_only=True)
    with pytest.raises(InputError, match="below the unit"):
        CostLoss()(torch.tensor(1.0), torch.tensor(0.5, dtype=torch.float64))


def test_jobs_are_checked(make_job, dataset):
    with pytest.raises(InputError, match="no cost is given"):
        make_job(settings=fbnet())
    with pytest.raises(InputError, match=r"head\.classes is 1000, but that of the images 2"):
        make_job(space=SPACES["fbnet"])
    with pytest.raises(InputError, match="resolution is 16, but that of the images 8"):
        make_job(space=replace(SPACE, template=replace(SPACE.template, resolution=16)))
    one = {name: part_of(split, np.arange(1)) for name, split in dataset.splits.items()}
    with pytest.raises(InputError, match="two training images at least"):
        replace(make_job(), dataset=replace(dataset, splits=one))


def test_another_search_and_a_damaged_checkpoint_are_refused(make_job):
    job = make_job(recipe=Recipe(epochs=1, batch_size=32))
    search_by_gradient(job)
    with pytest.raises(RunFolderError, match="holds a search of another"):
        search_by_gradient(replace(job, seed=1))
    (job.folder / "checkpoints" / FINAL).write_bytes(b"no checkpoint")
    with pytest.raises(RunFolderError, match="damaged"):
        search_by_gradient(job)


def test_a_loss_that_is_no_number_ends_the_search(make_job):
    job = make_job(recipe=Recipe(epochs=1, batch_size=16, learning_rate=1e3, clip=0, warmup=0))
    cost = LayerCost("broken", lambda _piece, _padding: float("nan"))
    settings = replace(job.settings, cost_loss=CostLoss(form="sum", target=1.0), warmup=0.0)
    with pytest.raises(NonFiniteLossError, match="not a number"):
        search_by_gradient(replace(job, cost=cost, settings=settings))
