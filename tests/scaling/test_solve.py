import math
import random
import statistics
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allometry.base import BudgetError, LawError
from allometry.catalog import get
from allometry.cost import Budget, Limit, count, parse_budget
from allometry.scaling import COMPOUND, DEPTH, LAWS, RESOLUTION, ScalingLaw, smallest, solve

B0 = get("efficientnet-b0")
COST = count(B0)
COUNTED = ("macs", "params", "activations", "memory")


def shortfalls(measure: str, number: int, *, seed: int) -> list[float]:
    draw = random.Random(seed)
    found = []
    for _ in range(number):
        factor = math.exp(draw.uniform(math.log(0.02), math.log(150)))
        limit = Limit(measure, int(factor * getattr(COST, measure)))
        solution = solve(B0, Budget((limit,)))
        value = getattr(count(solution.network), measure)
        assert value <= limit.most, "over the budget"
        found.append(1 - value / limit.most)
    return sorted(found)


@pytest.mark.slow
@pytest.mark.parametrize("measure", COUNTED)
def test_many_random_budgets(measure):
    found = shortfalls(measure, 40, seed=7)
    assert statistics.median(found) < 0.01
    assert found[int(0.95 * len(found))] < 0.02


@pytest.mark.slow
@pytest.mark.parametrize("measure", COUNTED)
def test_a_few_random_budgets(measure):
    assert statistics.median(shortfalls(measure, 6, seed=8)) < 0.01


@settings(max_examples=15)
@given(
    st.lists(st.sampled_from(COUNTED), min_size=2, max_size=4, unique=True),
    st.lists(st.floats(0.2, 20), min_size=4, max_size=4),
    st.sampled_from(sorted(LAWS)),
)
def test_several_limits_hold_at_once(measures, factors, law):
    limits = tuple(
        Limit(measure, int(factor * getattr(COST, measure)))
        for measure, factor in zip(measures, factors, strict=False)
    )
    try:
        solution = solve(B0, Budget(limits), law=LAWS[law])
    except BudgetError:
        return  # one dimension alone cannot meet every mix of limits; the messages have tests of their own
    cost = count(solution.network)
    assert cost == solution.cost
    assert all(getattr(cost, limit.measure.name) <= limit.most for limit in limits)
    assert solution.use == max(getattr(cost, limit.measure.name) / limit.most for limit in limits)


def test_the_budget_of_b0_itself_gives_b0s_neighborhood():
    solution = solve(B0, Budget((Limit("macs", COST.macs),)))
    assert solution.use > 0.995
    assert solution.multipliers == pytest.approx((1, 1, 1), rel=0.05)


def test_the_answer_stays_near_the_law():
    solution = solve(B0, "8x")
    d, w, r = solution.multipliers
    laws = COMPOUND.multipliers(solution.phi)
    assert (d, w, r) == pytest.approx(laws, rel=0.2)


@pytest.mark.parametrize("name", sorted(LAWS))
def test_every_law_reaches_four_times(name):
    solution = solve(B0, "4x", law=LAWS[name])
    assert solution.budget == Budget((Limit("macs", 4 * COST.macs),))
    assert solution.use > 0.9
    if name == "depth":
        assert solution.network.resolution == 224
        assert solution.network.head.channels == 1280
    if name == "width":
        assert solution.network.depth == B0.depth


def test_shrinking_by_depth_only_keeps_the_rest():
    solution = solve(B0, "0.8x", law=DEPTH)
    assert solution.network.resolution == 224
    assert solution.network.stem.channels == 32
    assert solution.network.depth < B0.depth


def test_impossible_budgets_name_the_smallest_reachable_value():
    least = count(smallest(B0))
    with pytest.raises(BudgetError, match=f"{least.macs:,}"):
        solve(B0, "1k")
    with pytest.raises(BudgetError, match=f"{count(smallest(B0, law=DEPTH)).params:,}"):
        solve(B0, "params<=1M", law=DEPTH)
    at_the_edge = solve(B0, Budget((Limit("macs", least.macs),)))
    assert at_the_edge.cost.macs == least.macs
    with pytest.raises(BudgetError):
        solve(B0, Budget((Limit("macs", least.macs - 1),)))


def test_a_law_that_does_not_change_the_measure_is_refused():
    with pytest.raises(BudgetError, match="does not change params enough"):
        solve(B0, "params<=1B", law=RESOLUTION)


def test_resolution_stops_where_the_images_end():
    solution = solve(B0, "4x", largest_resolution=240)
    assert solution.network.resolution <= 240
    assert solution.multipliers.resolution == pytest.approx(solution.network.resolution / 224, abs=0.5 / 224)
    assert solution.use > 0.98
    with pytest.raises(BudgetError, match="take strides out"):
        solve(B0, "4x", largest_resolution=20)


@pytest.mark.parametrize(
    ("law", "largest", "message"),
    [
        (
            RESOLUTION,
            96,
            r"stops at 96 px, as large as the images are.* has macs 7\d\.\dM, .* larger images or",
        ),
        (
            replace(RESOLUTION, largest_resolution=320),
            None,
            r"stops at 320 px, where .* a smaller budget or a law",
        ),
        (RESOLUTION, None, ""),
    ],
)
def test_where_the_resolution_stops_it_is_not_the_laws_fault(law, largest, message):
    if not message:
        assert solve(B0, "4x", law=law, largest_resolution=largest).network.resolution > 400
        return
    with pytest.raises(BudgetError, match=message):
        solve(B0, "4x", law=law, largest_resolution=largest)


def test_growing_on_rounds_once():
    quarter = solve(B0, "0.01x")
    assert quarter.network.depth == 7
    # A fifth of four layers and a quarter of them are both one layer; the larger is what growth starts from.
    assert quarter.multipliers.depth == 0.25
    law = ScalingLaw(1.2, 1.1, 1.15)
    grown = solve(B0, "0.02x", law=law, start=quarter.multipliers)
    assert grown.use > 0.98


def test_names_say_what_was_asked():
    assert solve(B0, parse_budget("macs<=1G")).network.name == "efficientnet-b0 within macs <= 1.00G"


@pytest.mark.parametrize("multiple", [16, 32])
@pytest.mark.parametrize("text", ["40M", "1G"])
def test_channels_follow_the_multiple(multiple, text):
    network = solve(B0, text, law=ScalingLaw(1.2, 1.1, 1.15, channel_multiple=multiple)).network
    widths = [network.stem.channels, network.head.channels, *(s.block.channels for s in network.stages)]
    original = [B0.stem.channels, B0.head.channels, *(s.block.channels for s in B0.stages)]
    # Rounding never turns shrinking into growth: what was below a multiple stays.
    assert all(width % multiple == 0 or width == old for width, old in zip(widths, original, strict=True)), (
        widths
    )


def test_a_multiple_is_part_of_the_law(tmp_path):
    law = ScalingLaw(1.2, 1.1, 1.15, channel_multiple=16)
    law.save(tmp_path / "law.json")
    assert ScalingLaw.load(tmp_path / "law.json") == law
    with pytest.raises(LawError, match="channel_multiple must be a positive integer, not 0"):
        ScalingLaw(1.2, 1.1, 1.15, channel_multiple=0)


def test_the_largest_images_are_an_answer_where_they_nearly_fill_the_budget():
    largest = replace(B0, resolution=96)
    macs = count(largest).macs
    solution = solve(B0, f"macs<={round(1.04 * macs)}", law=LAWS["resolution"], largest_resolution=96)
    assert count(solution.network) == count(largest)
    assert solution.use == pytest.approx(1 / 1.04, rel=1e-4)
    assert solution.multipliers.resolution == pytest.approx(96 / 224, rel=0.01)
    with pytest.raises(BudgetError, match="stops at 96 px"):
        solve(B0, f"macs<={round(1.06 * macs)}", law=LAWS["resolution"], largest_resolution=96)
