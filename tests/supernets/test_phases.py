"""Progressive shrinking as data: what is open when, nested, written and read, and what cannot be."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allometry.base import RecipeError, RunFolderError
from allometry.catalog import find_space, get, mbconv_space
from allometry.catalog import spaces as published
from allometry.nas import narrow
from allometry.runs.phases import (
    ALL,
    DIMENSIONS,
    Phase,
    dimension_of,
    load_phases,
    phases_from_json,
    phases_to_json,
)
from allometry.supernets import (
    PLANS,
    at_once,
    bignas,
    coupled_shrinking,
    epochs_together,
    sandwich,
    shrinking,
)
from allometry.supernets.config import SupernetConfig
from allometry.training import Recipe

from .spaces import SMALL, choice, residual_space, space_of
from .test_sorting import INVERTED

SPACES = {entry.name: entry.make() for entry in published()} | SMALL
every_space = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)


def opened(space, phase: Phase) -> dict[str, int]:
    """How many options the choices of each dimension have."""
    part = phase.part_of(space)
    return {
        dimension: max(len(part[each.name]) for each in space.choices if dimension_of(each) == dimension)
        for dimension in dict.fromkeys(map(dimension_of, space.choices))
    }


# The plans


def test_the_default_plan_is_once_for_alls():
    space = find_space("ofa-mobilenetv3-1.0")
    phases = shrinking(space, epochs=180)
    assert [(each.name, each.epochs, each.subnets) for each in phases] == [
        ("largest", 180, 1),
        ("kernel", 125, 1),
        ("depth 1", 25, 2),
        ("depth 2", 125, 2),
        ("width 1", 25, 4),
        ("width 2", 125, 4),
    ]
    assert [opened(space, each) for each in phases] == [
        {"resolution": 25, "depth": depth, "kernel": kernel, "width": width}
        for depth, kernel, width in ((1, 1, 1), (1, 3, 1), (2, 3, 1), (3, 3, 1), (3, 3, 2), (3, 3, 3))
    ]
    assert [each.teacher for each in phases] == ["none", *["largest"] * 4, "average"]
    assert phases[0].lr_scale == 1
    assert all(0 < each.lr_scale < 1 for each in phases[1:])
    first, last = (each.part_of(space) for each in (phases[2], phases[4]))
    assert first["stage 1 depth"] == (3, 4)
    assert last["stage 1 layer 0 expand ratio"] == (4, 6)


@pytest.mark.parametrize(
    ("space", "names"),
    [
        (
            residual_space(),
            ["kernel", "depth 1", "depth 2", "width 1", "width 2", "channels 1", "channels 2"],
        ),
        (SMALL["fused"], ["kernel", "depth", "width", "channels"]),
        (find_space("fbnet"), ["depth 1", "depth 2", "depth 3", "block"]),
        (find_space("mnasnet"), ["kernel", "depth 1", "depth 2", "channels 1", "channels 2", "block"]),
        (mbconv_space(get("efficientnet-lite0"), resolutions=(128, 224)), []),
        (mbconv_space(get("efficientnet-lite0"), widths=(0.5, 1)), ["channels"]),
    ],
    ids=["residual", "fused", "fbnet", "mnasnet", "resolution", "widths"],
)
def test_only_what_a_space_leaves_open_has_phases(space, names):
    assert [each.name for each in shrinking(space, epochs=10)] == ["largest", *names]


@every_space
@pytest.mark.parametrize("plan", PLANS)
def test_the_phases_of_every_plan_lead_to_the_whole_space_and_contain_those_before(space, plan):
    phases = PLANS[plan](space, epochs=7)
    parts = [each.part_of(space) for each in phases]
    assert parts[-1] == {each.name: each.options for each in space.choices}
    for before, after in pairwise(parts):
        assert before != after
        assert all(after[name][-len(options) :] == options for name, options in before.items())
    assert len({each.name for each in phases}) == len(phases)
    assert all(each.epochs >= 1 for each in phases)
    assert phases[0].epochs == 7


@pytest.mark.parametrize("name", ["ofa-mobilenetv3-1.0", "residual", "mixed"])
def test_a_phases_part_is_a_space_with_the_same_largest_network(name):
    space = SPACES[name]
    phases = shrinking(space, epochs=3)
    parts = [narrow(space, each.part_of(space)) for each in phases]
    assert parts[-1].size == space.size
    for part in parts:
        assert part.largest() == space.largest()
    for before, after in pairwise(parts):
        assert after.size > before.size
        assert after.contains(before.smallest())
        assert not before.contains(after.smallest())


def test_resolutions_are_open_from_the_first_phase_on_and_nothing_else():
    space = SMALL["inverted"]
    phases = shrinking(space, epochs=3)
    assert phases[0].elastic == {"resolution": ALL}
    assert narrow(space, phases[0].part_of(space)).size == 2


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [
        (1, [1, 1, 1, 1, 1, 4]),
        (5, [5, 3, 1, 3, 1, 18]),
        (10, [10, 7, 1, 7, 1, 36]),
        (30, [30, 21, 4, 21, 4, 36]),
        (60, [60, 42, 8, 42, 8, 42]),
    ],
)
def test_few_epochs_leave_at_least_one_for_each_phase_and_more_for_the_last(epochs, expected):
    phases = shrinking(find_space("ofa-mobilenetv3-1.0"), epochs=epochs)
    assert [each.epochs for each in phases] == expected


def test_where_nothing_but_the_resolution_is_open_there_is_one_phase():
    (only,) = shrinking(mbconv_space(get("efficientnet-b0"), resolutions=(192, 224)), epochs=10)
    assert (only.name, only.epochs, only.lr_scale) == ("largest", 10, 1.0)


def test_with_coupling_depth_and_width_are_opened_together_and_the_last_phase_is_half_as_long():
    space = find_space("ofa-mobilenetv3-1.0")
    phases = coupled_shrinking(space, epochs=180)
    assert [(each.name, each.epochs, each.subnets) for each in phases] == [
        ("largest", 180, 1),
        ("kernel", 125, 1),
        ("depth and width 1", 25, 4),
        ("depth and width 2", 125, 4),
    ]
    assert [opened(space, each) for each in phases[2:]] == [
        {"resolution": 25, "depth": 3, "kernel": 3, "width": 3}
    ] * 2
    assert [each.teacher for each in phases] == ["none", "largest", "largest", "average"]
    assert phases[2].lr_scale < phases[3].lr_scale
    assert [each.epochs for each in coupled_shrinking(space, epochs=10)] == [10, 7, 1, 18]
    assert [each.epochs for each in coupled_shrinking(space, epochs=1)] == [1, 1, 1, 2]


def test_with_coupling_the_rest_is_opened_as_without():
    residual = [each.name for each in coupled_shrinking(residual_space(), epochs=10)]
    assert residual == [
        "largest",
        "kernel",
        "depth and width 1",
        "depth and width 2",
        "channels 1",
        "channels 2",
    ]
    nothing_to_couple = find_space("fbnet")
    assert coupled_shrinking(nothing_to_couple, epochs=10) == shrinking(nothing_to_couple, epochs=10)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (SupernetConfig(epochs=4), partial(bignas, epochs=4)),
        (SupernetConfig(), partial(bignas, epochs=40)),
        (SupernetConfig(coupled=True), partial(bignas, epochs=20)),
        (SupernetConfig(plan="at-once"), partial(at_once, epochs=40)),
        (SupernetConfig(plan="shrinking"), partial(shrinking, epochs=9)),
        (SupernetConfig(plan="shrinking", epochs=4, coupled=True), partial(coupled_shrinking, epochs=4)),
    ],
    ids=["epochs", "default", "coupled", "at once", "shrinking", "coupled shrinking"],
)
def test_settings_choose_the_plan_and_its_epochs(how, expected):
    space = find_space("ofa-mobilenetv3-1.0")
    assert how.phases(space, Recipe(epochs=9)) == expected(space)


@pytest.mark.parametrize(("epochs", "expected"), [(1, 4), (5, 22), (10, 45), (45, 45), (180, 180)])
def test_one_phase_has_more_epochs_than_a_network_by_itself_where_that_has_few(epochs, expected):
    assert epochs_together(epochs) == expected
    assert epochs_together(epochs, coupled=True) == round(expected / 2)


def test_the_other_plans_open_everything_in_one_phase():
    space = SMALL["residual"]
    (together,), (random,) = sandwich(space, epochs=3), at_once(space, epochs=3)
    (published,) = bignas(space, epochs=3)
    assert (together.sampling, together.teacher, together.subnets) == ("sandwich", "itself", 4)
    assert (random.sampling, random.teacher, random.subnets) == ("random", "none", 4)
    assert (published.distillation_weight, published.regularized, published.image_size) == (
        1.0,
        "largest",
        "subnet",
    )
    assert published == replace(together, distillation_weight=1.0, regularized="largest", image_size="subnet")
    assert {"shrinking": shrinking, "sandwich": sandwich, "bignas": bignas, "at-once": at_once} == PLANS


def test_every_choice_has_a_dimension():
    space = space_of(
        [[INVERTED]],
        [
            choice("size", "resolution", 8, 16),
            choice("stem", "stem.channels", 4, 8),
            choice("stem kernel", "stem.kernel", 1, 3),
            choice("head", "head.channels", 8, 12),
            choice("excite", "stages.0.block.se_ratio", 0, 0.25),
            choice("ratio", "stages.0.block.expand_ratio", 2, 3),
        ],
    )
    found = {each.name: dimension_of(each) for each in space.choices}
    assert found == {
        "size": "resolution",
        "stem": "channels",
        "stem kernel": "kernel",
        "head": "channels",
        "excite": "block",
        "ratio": "width",
    }
    assert {dimension_of(each) for other in SPACES.values() for each in other.choices} <= set(DIMENSIONS)


# Written and read


@st.composite
def any_phase(draw: st.DrawFn) -> Phase:
    sampling = draw(st.sampled_from(["random", "sandwich"]))
    teachers = ["none", "largest", "average", *(["itself"] if sampling == "sandwich" else [])]
    return Phase(
        name=draw(st.text(min_size=1, max_size=9)),
        epochs=draw(st.integers(1, 500)),
        elastic=draw(st.dictionaries(st.sampled_from(DIMENSIONS), st.integers(0, 9))),
        subnets=draw(st.integers(2 if sampling == "sandwich" else 1, 8)),
        lr_scale=draw(st.floats(0.001, 10)),
        sampling=sampling,
        teacher=(teacher := draw(st.sampled_from(teachers))),
        distillation_weight=draw(st.none() if teacher == "none" else st.none() | st.floats(0, 1)),
        regularized=draw(st.sampled_from(["all", *(["largest"] if sampling == "sandwich" else [])])),
        image_size=draw(st.sampled_from(["step", "subnet"])),
    )


@given(st.lists(any_phase(), min_size=1, max_size=4))
def test_phases_are_read_as_they_were_written(phases):
    text = json.dumps(phases_to_json(phases))
    assert phases_from_json(json.loads(text)) == tuple(phases)


@given(any_phase())
def test_what_is_open_is_the_largest_options(phase):
    space = SMALL["residual"]
    for name, options in phase.part_of(space).items():
        every = next(each for each in space.choices if each.name == name)
        number = phase.elastic.get(dimension_of(every), 1) or len(every.options)
        assert options == every.options[max(0, len(every.options) - number) :]


def test_a_file_of_phases(tmp_path):
    phases = shrinking(SMALL["residual"], epochs=5)
    path = tmp_path / "phases.json"
    path.write_text(json.dumps({"phases": phases_to_json(phases)}))
    assert load_phases(path) == phases
    path.write_text(json.dumps({"phase": []}))
    with pytest.raises(RecipeError, match="Phases are a list of one or more"):
        load_phases(path)
    path.write_text("{")
    with pytest.raises(RunFolderError):
        load_phases(path)
    with pytest.raises(RunFolderError):
        load_phases(tmp_path / "nowhere.json")


# Refusals


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"epochs": 0}, "epochs of a phase must be an integer of at least 1, not 0"),
        ({"epochs": True}, "epochs of a phase must be an integer"),
        ({"epochs": 1.5}, "epochs of a phase must be an integer"),
        ({"subnets": 0}, "subnets of a phase must be an integer of at least 1"),
        ({"subnets": 1, "sampling": "sandwich"}, "subnets of a phase must be an integer of at least 2"),
        ({"lr_scale": -1}, "the phase's lr_scale"),
        ({"lr_scale": float("nan")}, "the phase's lr_scale"),
        ({"lr_scale": "fast"}, "the phase's lr_scale"),
        ({"sampling": "all"}, "sampling of a phase must be one of random, sandwich, not 'all'"),
        ({"teacher": "b7"}, "teacher of a phase must be one of none, largest, average, itself"),
        ({"distillation_weight": 0.5}, "The phase 'p' has a distillation_weight, but no teacher"),
        (
            {"teacher": "largest", "distillation_weight": 1.5},
            "the phase's distillation_weight must be a number from 0",
        ),
        ({"regularized": "smallest"}, "regularized of a phase must be one of all, largest"),
        ({"regularized": "largest"}, "can regularize the largest network alone only if"),
        ({"image_size": 32}, "image_size of a phase must be one of step, subnet"),
        ({"teacher": "itself"}, "The phase 'p' cannot learn from the largest network of the same step"),
        ({"elastic": {"color": 2}}, "an elastic dimension of a phase must be one of resolution, kernel"),
        ({"elastic": {"depth": -1}}, "open options of depth must be an integer of at least 0"),
        ({"elastic": {"depth": True}}, "open options of depth must be an integer"),
        ({"elastic": ["depth"]}, "The field elastic of a phase must be an object"),
        ({"name": 3}, "The name of a phase must be a text"),
        ({"name": ""}, "The name of a phase must be a text"),
    ],
)
def test_what_a_phase_cannot_be_is_told_in_one_sentence(fields, message):
    with pytest.raises(RecipeError) as refused:
        Phase(**{"name": "p", "epochs": 1} | fields)
    assert message in str(refused.value)
    with pytest.raises(RecipeError, match=r"^These are no phases: [^\n]+$"):
        phases_from_json([{"name": "p", "epochs": 1} | fields])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "Phases are a list of one or more"),
        ({}, "Phases are a list of one or more"),
        (None, "Phases are a list of one or more"),
        ([3], "field 'phases.0' must be an object, not 3"),
        ([{"name": "p"}], "field 'phases.0.epochs' is missing"),
        ([{"epochs": 1}], "field 'phases.0.name' is missing"),
        (
            [{"name": "p", "epochs": 1}, {"name": "q", "epochs": 1, "epoch": 2}],
            "field 'phases.1.epoch' is not known (did you mean 'epochs'",
        ),
    ],
)
def test_what_phases_cannot_be_is_told_in_one_sentence(given, message):
    with pytest.raises(RecipeError) as refused:
        phases_from_json(given)
    assert message in str(refused.value)


def test_phases_are_values():
    phase = Phase(name="p", epochs=1, elastic={"depth": 2})
    assert replace(phase, epochs=2) != phase
    assert replace(phase) == phase
