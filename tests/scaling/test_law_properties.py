"""Laws as values, and solutions beside a plain scan along the law."""

import json
import math
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from allometry.arch import Head, MBConv, Network, Stage, Stem
from allometry.base import BudgetError, LawError, NetworkError, StorageError
from allometry.catalog import get
from allometry.cost import Budget, Limit, count
from allometry.scaling import COMPOUND, LAWS, ScalingLaw, as_law, fit_strides, scale, smallest, solve
from allometry.scaling.strides import adapt, feature_size
from tests.strategies import blocks, networks

B0 = get("efficientnet-b0")
TINY = Network(
    stem=Stem(channels=8),
    stages=(
        Stage(block=MBConv(channels=8, expand_ratio=1)),
        Stage(block=MBConv(channels=16, stride=2), repeats=2),
        Stage(block=MBConv(channels=24, stride=2, kernel=5), repeats=2),
    ),
    head=Head(channels=64, classes=10),
    resolution=48,
    name="tiny",
)
factors = st.floats(1, 2)


@st.composite
def laws(draw: st.DrawFn) -> ScalingLaw:
    alpha, beta, gamma = (draw(factors) for _ in range(3))
    assume(max(alpha, beta, gamma) > 1)
    return ScalingLaw(
        alpha,
        beta,
        gamma,
        late_stage_bias=draw(st.sampled_from([0.0, 0.15, 0.5])),
        largest_resolution=draw(st.none() | st.integers(32, 600)),
        channel_multiple=draw(st.sampled_from([4, 8, 16])),
    )


@given(laws())
def test_a_law_survives_its_file_and_its_text(tmp_path_factory, law):
    path = tmp_path_factory.mktemp("laws") / "law.json"
    law.save(path)
    assert as_law(path) == ScalingLaw.load(path) == law
    plain = json.loads(path.read_text())
    assert plain.pop("format") == "allometry.law/1"
    assert plain == law.to_dict()
    bare = ScalingLaw(law.alpha, law.beta, law.gamma)
    assert as_law(f"{law.alpha!r}, {law.beta!r}, {law.gamma!r}") == bare
    assert eval(repr(law), {"ScalingLaw": ScalingLaw}) == law  # noqa: S307
    assert str(law).startswith(f"alpha {law.alpha:g}, beta ")


@given(laws(), st.floats(-4, 4), st.floats(-4, 4))
def test_steps_add_up(law, one, other):
    together = law.multipliers(one + other)
    assert law.multipliers(one, law.multipliers(other)) == pytest.approx(together)
    assert law.multipliers(0) == (1, 1, 1)
    depth, width, resolution = law.multipliers(1)
    assert depth * width**2 * resolution**2 == pytest.approx(law.growth)


@given(laws(), st.floats(-2, 3))
def test_the_resolution_stops_where_the_law_says_and_never_below_what_there_is(law, phi):
    grown = scale(TINY, phi, law=law)
    ceiling = law.ceiling(TINY)
    if ceiling is None:
        assert grown.resolution == max(1, round(TINY.resolution * law.gamma**phi))
    else:
        assert grown.resolution <= ceiling
        assert ceiling >= TINY.resolution
    assert grown.name == f"tiny phi {phi:.4g}"


@settings(max_examples=30)
@given(laws(), st.floats(0.3, 8), st.sampled_from(["macs", "params", "activations", "memory"]))
def test_no_step_of_the_law_within_a_budget_is_larger_than_the_solution(law, factor, measure):
    limit = Limit(measure, int(factor * getattr(count(TINY), measure)))
    try:
        solution = solve(TINY, Budget((limit,)), law=law)
    except BudgetError:
        least = count(smallest(TINY, law=law))
        most = count(scale(TINY, 20, law=law))
        assert getattr(least, measure) > limit.most or getattr(most, measure) < limit.most
        return
    value = getattr(solution.cost, measure)
    assert value <= limit.most
    scanned = [getattr(count(scale(TINY, phi / 8, law=law)), measure) for phi in range(-40, 41)]
    assert value >= max([each for each in scanned if each <= limit.most], default=0)
    assert solution.use == value / limit.most
    assert solution.cost == count(solution.network)
    assert solution.law == law


@settings(max_examples=30)
@given(networks(), st.floats(0.5, 4), st.sampled_from(sorted(LAWS)))
def test_solutions_of_random_networks_keep_their_budget_and_everything_that_does_not_grow(
    network, factor, law
):
    budget = Budget((Limit("macs", max(1, int(factor * count(network).macs))),))
    try:
        solution = solve(network, budget, law=LAWS[law])
    except BudgetError as refused:
        assert "of this law" in str(refused) or "is not reached" in str(refused)  # noqa: PT017
        return
    assert budget.allows(count(solution.network))
    found = solution.network
    assert found.head.classes == network.head.classes
    assert (found.in_channels, found.padding) == (network.in_channels, network.padding)
    assert [stage.block.kernel for stage in found.stages] == [s.block.kernel for s in network.stages]
    if law in ("depth", "width"):
        assert found.resolution == network.resolution
    if law in ("width", "resolution"):
        assert found.depth == network.depth


def test_growing_on_from_a_solution_rounds_once():
    first = solve(B0, "2x")
    again = solve(B0, Budget((Limit("macs", first.cost.macs),)), start=first.multipliers)
    assert again.cost.macs == pytest.approx(first.cost.macs, rel=0.02)
    assert abs(again.phi) < 0.2


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"alpha": 0.5}, "alpha must be a number of at least 1, not 0.5"),
        ({"beta": "1.1"}, "beta must be a number of at least 1, not '1.1'"),
        ({"gamma": math.inf}, "gamma must be a number of at least 1"),
        ({"alpha": True}, "alpha must be a number"),
        ({"late_stage_bias": -0.1}, "late_stage_bias must be a number from 0 to below 1"),
        ({"largest_resolution": 0}, "largest_resolution must be a positive integer or none, not 0"),
        ({"largest_resolution": 224.0}, "largest_resolution"),
        ({"channel_multiple": 0}, "channel_multiple must be a positive integer, not 0"),
    ],
)
def test_a_law_that_cannot_be_names_its_field(fields, message):
    with pytest.raises(LawError, match=message):
        ScalingLaw(**{"alpha": 1.2, "beta": 1.1, "gamma": 1.15, **fields})


LAW = '{"format": "allometry.law/1", "beta": 1.1, "gamma": 1.15, "alpha": %s}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "Cannot read the law file .*No such file"),
        ("{", "is not a law: it is not JSON"),
        ("[]", "it must be an object"),
        ('{"alpha": 1.2}', "its format is None"),
        ('{"format": "allometry.law/9"}', "its format is 'allometry.law/9'"),
        ('{"format": "allometry.law/1", "alpha": 1.2, "beta": 1}', "field 'gamma' is missing"),
        (LAW % '"1.2"', "field 'alpha' must be a number, not '1.2'"),
        (LAW % "true", "field 'alpha' must be a number, not True"),
        (LAW % "1e400", "the number 1e400 is beyond all bounds"),
        (LAW % ("9" * 5000), "an integer of 5000 digits is beyond all bounds"),
        (
            LAW % '1.2, "late_stage_bais": 0.1',
            "field 'late_stage_bais' is not known .did you mean 'late_stage_bias'",
        ),
        ('{"format": "allometry.law/1", "alpha": 1, "beta": 1, "gamma": 1}', "grows nothing"),
    ],
)
def test_files_that_are_no_law(tmp_path, text, message):
    path = tmp_path / "law.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(LawError, match=message):
        as_law(path)


def test_a_law_is_written_in_one_step(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        COMPOUND.save(tmp_path / "file" / "law.json")


@given(st.sampled_from([(0.5, 0.5, 0.5), (-0.1, 0.6, 0.5), (1, 1, -1)]))
def test_shares_of_a_doubling_sum_to_one(shares):
    depth, width, resolution = shares
    with pytest.raises(LawError, match="must sum to 1"):
        ScalingLaw.from_exponents(depth=depth, width=width, resolution=resolution)


@settings(max_examples=40)
@given(networks(blocks), st.integers(1, 8))
def test_strides_are_taken_out_from_the_end_and_no_more_than_needed(network, least):
    fitted = fit_strides(network, min_feature_map=least)
    before = [stage.block.stride for stage in network.stages]
    after = [stage.block.stride for stage in fitted.stages]
    taken = [place for place, (one, other) in enumerate(zip(before, after, strict=True)) if one != other]
    assert all(after[place] == 1 for place in taken)
    if taken:
        # Every later stride is gone as well, but for those in cells; and with one stride more it would be too small.
        cells = [place for place, stage in enumerate(network.stages) if stage.block.kind == "cell"]
        assert all(after[place] == 1 for place in range(taken[0], len(after)) if place not in cells)
        stages = list(fitted.stages)
        stages[taken[0]] = network.stages[taken[0]]
        kept = replace(fitted, stages=tuple(stages), stem=network.stem)
        assert feature_size(kept) < least
    if fitted.stem != network.stem:
        assert feature_size(replace(fitted, stem=network.stem)) < least
    assert fitted.resolution == network.resolution


@settings(max_examples=40)
@given(networks(), st.integers(2, 20), st.integers(1, 4), st.integers(4, 64))
def test_adapting_sets_classes_channels_and_strides_and_keeps_the_resolution(
    network, classes, channels, size
):
    adapted = adapt(network, classes=classes, channels=channels, image_size=size)
    assert (adapted.head.classes, adapted.in_channels) == (classes, channels)
    assert adapted.resolution == network.resolution
    assert feature_size(replace(adapted, resolution=size)) >= min(4, size)
    assert adapt(adapted, classes=classes, channels=channels, image_size=size) == adapted
    with pytest.raises(NetworkError, match="smallest feature map must be a positive integer"):
        fit_strides(network, min_feature_map=0)


@pytest.mark.parametrize("phi", ["1", None, True, math.nan, math.inf, 10**400, 1e308])
def test_steps_are_a_finite_number(phi):
    with pytest.raises(LawError, match="phi must be a finite number that a network can bear, not"):
        COMPOUND.multipliers(phi)
