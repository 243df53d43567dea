from __future__ import annotations

from collections import Counter
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allometry.base import RecipeError
from allometry.data import Augmentation, augment, center_view
from allometry.data.augment.augmentation import Policy
from allometry.data.augment.operations import FILL
from allometry.data.augment.policies import (
    IMAGENET_POLICY,
    Operation,
    Step,
    draw_steps,
    released_strength,
    take_steps,
    wide_strength,
)
from allometry.data.images.pixels import Pixels

OPERATIONS = get_args(Operation)
POLICIES = [policy for policy in get_args(Policy) if policy != "none"]
GEOMETRIC = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")


def drawn(number: int, **fields: Any) -> list[tuple[Step, ...]]:
    augmentation = Augmentation(**fields)
    return [draw_steps(augmentation, np.random.default_rng(seed)) for seed in range(number)]


def test_no_policy_takes_no_step() -> None:
    assert set(drawn(3)) == {()}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("channels", [1, 3])
@settings(deadline=None, max_examples=40)
@given(st.integers(0, 999), st.integers(1, 40), st.floats(0, 30))
def test_shape_type_and_determinism(
    policy: Policy, channels: int, seed: int, side: int, magnitude: float
) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (50, 40, channels), dtype=np.uint8)
    strengths = Augmentation(policy=policy, magnitude=magnitude, operations=3)
    one, two = (
        augment(image, resolution=side, augmentation=strengths, random=np.random.default_rng(seed))
        for _ in range(2)
    )
    assert one.shape == (side, side, channels)
    assert one.dtype == np.uint8
    assert one.flags.c_contiguous
    assert one.flags.writeable
    assert (one == two).all()


def test_a_policy_changes_nothing_else_that_is_drawn() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    fields: dict[str, Any] = {"crop": 0.5, "flip": True, "rotation": 10, "brightness": 0.3}
    # Brightness at level 5 is a factor of 1.0: the one operation of this policy that can be recognized as nothing.
    same = 0
    for seed in range(60):
        plain, varied = (
            augment(
                image,
                resolution=32,
                augmentation=Augmentation(**fields, **more),
                random=np.random.default_rng(seed),
            )
            for more in ({}, {"policy": "randaugment", "magnitude": 5, "operations": 1})
        )
        same += bool((plain == varied).all())
    assert same > 5


def test_randaugment_draws_every_operation_about_as_often_and_both_signs() -> None:
    steps = [step for each in drawn(2000, policy="randaugment", magnitude=9, operations=2) for step in each]
    counts = Counter(step.operation for step in steps)
    assert len(steps) == 4000
    assert set(counts) == set(OPERATIONS) - {"identity"}
    assert min(counts.values()) > 4000 / 16 * 0.75
    assert max(counts.values()) < 4000 / 16 * 1.25
    for operation in GEOMETRIC:
        strengths = {step.strength for step in steps if step.operation == operation}
        assert strengths == {sign * released_strength(operation, 9) for sign in (-1, 1)}
    assert {step.strength for step in steps if step.operation == "color"} == {released_strength("color", 9)}


def test_the_released_strengths() -> None:
    expected: dict[Operation, dict[float, float]] = {
        "rotate": {0: 0, 9: 27, 10: 30, 30: 90},
        "posterize": {0: 1, 2: 1, 9: 3, 10: 4, 30: 8},
        "solarize": {0: 0, 9: 230, 10: 256, 30: 256},
        "solarize_add": {0: 0, 10: 110, 30: 128},
        "color": {0: 0.1, 5: 1.0, 10: 1.9},
        "contrast": {10: 1.9},
        "brightness": {10: 1.9},
        "sharpness": {10: 1.9},
        "shear_x": {9: 0.27, 10: 0.3},
        "shear_y": {10: 0.3},
        "translate_x": {10: 100 / 380, 25: 250 / 380},
        "translate_y": {10: 100 / 380},
        "cutout": {10: 40 / 380},
        "invert": {9: 0},
    }
    for operation, strengths in expected.items():
        for level, strength in strengths.items():
            assert released_strength(operation, level) == pytest.approx(strength), (operation, level)


def test_the_wide_strengths_reach_from_nothing_to_their_ends() -> None:
    ends: dict[Operation, tuple[float, float]] = {
        "rotate": (0, 135),
        "posterize": (8, 2),
        "solarize": (256, 0),
        "color": (0.01, 2),
        "shear_x": (0, 0.99),
        "translate_y": (0, 32 / 224),
        "equalize": (0, 0),
    }
    for operation, (none, full) in ends.items():
        assert wide_strength(operation, 0) == pytest.approx(none)
        assert wide_strength(operation, 30) == pytest.approx(full)


def test_trivialaugment_takes_one_step_of_any_level() -> None:
    found = drawn(3000, policy="trivialaugment", magnitude=1)
    assert all(len(steps) == 1 for steps in found)
    counts = Counter(steps[0].operation for steps in found)
    assert set(counts) == set(OPERATIONS) - {"invert", "cutout", "solarize_add"}
    assert min(counts.values()) > 3000 / 14 * 0.7
    rotations = {abs(steps[0].strength) for steps in found if steps[0].operation == "rotate"}
    assert sorted(rotations) == pytest.approx([4.5 * level for level in range(31)])


def test_the_imagenet_policy_is_a_table_of_chances() -> None:
    assert len(IMAGENET_POLICY) == 25
    for pair in IMAGENET_POLICY:
        for chance in pair:
            assert chance.operation in OPERATIONS
            assert 0 <= chance.probability <= 1
            assert 0 <= chance.level <= 10


def test_autoaugment_follows_its_table() -> None:
    found = drawn(20_000, policy="autoaugment")
    assert max(map(len, found)) == 2
    steps = Counter(step.operation for each in found for step in each)
    for operation in OPERATIONS:
        expected = sum(
            chance.probability for pair in IMAGENET_POLICY for chance in pair if chance.operation == operation
        )
        assert steps[operation] == pytest.approx(expected * 20_000 / 25, rel=0.15, abs=20), operation
    turned = {step.strength for each in found for step in each if step.operation == "translate_y"}
    assert sorted(turned) == pytest.approx([sign * 0.9 * 250 / 380 for sign in (-1, 1)])


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_operation_keeps_the_view_as_it_was(operation: Operation, channels: int) -> None:
    view = np.random.default_rng(0).integers(20, 200, (33, 33, channels), dtype=np.uint8)
    before = view.copy()
    view.setflags(write=False)
    after = take_steps(view, (Step(operation, released_strength(operation, 9)),))
    assert after.shape == view.shape
    assert (view == before).all()
    gray = operation == "color" and channels == 1
    assert bool((after == view).all()) == (operation in ("identity", "solarize") or gray)


def drawings() -> list[Pixels]:
    """A photo of sorts, a dark and a bright one, white strokes on black, and black ones on white."""
    random = np.random.default_rng(0)
    photo = random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    strokes = np.zeros((32, 32, 1), np.uint8)
    strokes[14:18, 4:28] = strokes[4:28, 14:18] = 255
    return [photo, photo // 4, 192 + photo // 4, strokes, 255 - strokes]


@pytest.mark.parametrize("policy", ["randaugment", "autoaugment", "trivialaugment"])
def test_no_magnitude_leaves_a_blank_image(policy: Policy) -> None:
    views = drawings()
    for magnitude in range(31):
        for number, steps in enumerate(drawn(40, policy=policy, magnitude=magnitude, operations=2)):
            after = take_steps(views[number % len(views)], steps)
            assert after.min() < after.max(), (magnitude, steps)


@pytest.mark.parametrize("operation", [*GEOMETRIC, "cutout"])
def test_at_the_highest_magnitude_a_third_of_the_side_is_still_there(operation: Operation) -> None:
    for view in drawings():
        for sign in (1, -1):
            strength = released_strength(operation, 25)
            step = Step(operation, sign * strength if operation in GEOMETRIC else strength)
            uncovered = (take_steps(view, (step,)) == FILL).all(-1).mean()
            assert uncovered < 0.75, (operation, sign)


def test_a_step_that_would_leave_nothing_is_not_taken() -> None:
    strokes = drawings()[3]
    for step in (Step("brightness", 0.0), Step("translate_x", 1.0), Step("solarize_add", 255)):
        assert (take_steps(strokes, (step, Step("invert", 0))) == 255 - strokes).all()
    flat = np.full((8, 8, 1), 7, np.uint8)
    assert (take_steps(flat, (Step("invert", 0),)) == flat).all()


def test_a_policy_after_crop_and_flip_works_on_the_view() -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 90, 3), dtype=np.uint8)
    view = center_view(image, resolution=32)
    for seed in range(20):
        strong = Augmentation(policy="randaugment")
        random = np.random.default_rng(seed)
        varied = augment(image, resolution=32, augmentation=strong, random=random)
        random = np.random.default_rng(seed)
        random.random(23)
        assert (varied == take_steps(view, draw_steps(strong, random))).all()


@pytest.mark.parametrize(
    "fields",
    [
        {"policy": "auto"},
        {"operations": 0},
        {"operations": 17},
        {"operations": 2.0},
        {"operations": True},
        {"magnitude": 31},
        {"magnitude": True},
        {"mixup": -1},
        {"cutmix": 11},
    ],
)
def test_refuses_what_cannot_be(fields: dict[str, Any]) -> None:
    (name,) = fields
    with pytest.raises(RecipeError, match=f"Augmentation.{name} must be"):
        Augmentation(**fields)
