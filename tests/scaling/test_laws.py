import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allometry.arch import apply_multipliers
from allometry.base import LawError, UnknownNameError
from allometry.catalog import get
from allometry.cost import count
from allometry.scaling import (
    COMPOUND,
    DEPTH,
    FAST,
    LAWS,
    RESOLUTION,
    V2,
    WIDTH,
    ScalingLaw,
    as_law,
    fit_strides,
    scale,
)
from allometry.scaling.strides import feature_size
from tests.strategies import networks

B0 = get("efficientnet-b0")
coefficients = st.floats(1, 2)
laws = st.builds(ScalingLaw, st.floats(1.01, 2), coefficients, coefficients)


def test_the_papers_law():
    assert COMPOUND.growth == pytest.approx(1.92027)
    assert COMPOUND.multipliers(2) == pytest.approx((1.44, 1.21, 1.3225))


@pytest.mark.parametrize("phi", range(8))
def test_scaling_b0_by_the_paper_is_the_zoos_formula(phi):
    assert scale(B0, phi) == get(f"efficientnet-b{phi}-formula")


@given(laws, st.floats(-5, 5), st.floats(-5, 5))
def test_growing_never_shrinks(law, one, other):
    low, high = sorted((one, other))
    smaller, larger = count(scale(B0, low, law=law)), count(scale(B0, high, law=law))
    assert smaller.macs <= larger.macs
    assert smaller.params <= larger.params


@given(laws)
def test_phi_zero_is_the_network_itself(law):
    assert scale(B0, 0, law=law) == B0


def test_one_dimension_laws_change_one_dimension():
    deeper, wider, sharper = (scale(B0, 1, law=law) for law in (DEPTH, WIDTH, RESOLUTION))
    assert deeper.depth == 2 * B0.depth
    assert deeper.resolution == B0.resolution
    assert deeper.head.channels == B0.head.channels
    assert wider.depth == B0.depth
    assert wider.head.channels == 1808
    assert (sharper.depth, sharper.head.channels, sharper.resolution) == (B0.depth, 1280, 317)
    for law in (DEPTH, WIDTH, RESOLUTION, FAST):
        assert law.growth == pytest.approx(2)


@given(st.floats(0, 1), st.floats(0, 1))
def test_exponents_share_a_doubling(depth, width):
    if depth + width > 1:
        depth, width = (1 - depth), (1 - width)
    rest = max(0.0, 1 - depth - width)
    law = ScalingLaw.from_exponents(depth=depth, width=width, resolution=rest)
    assert law.growth == pytest.approx(2)
    # s times the MACs multiply depth by s ** e_d and width by s ** (e_w / 2).
    assert law.multipliers(math.log2(10)).depth == pytest.approx(10**depth)
    assert law.multipliers(math.log2(10)).width == pytest.approx(10 ** (width / 2))


def test_v2s_law_stops_the_images_and_deepens_the_last_stages_more():
    small = get("efficientnetv2-s")
    grown = scale(small, 4, law=V2)
    assert grown.resolution == 480
    ratios = [
        after.repeats / before.repeats for before, after in zip(small.stages, grown.stages, strict=True)
    ]
    assert ratios[-1] == max(ratios)
    assert ratios[-1] > ratios[2]
    assert scale(small, 1, law=V2).resolution == round(384 * 1.15)
    assert scale(get("efficientnet-b7"), 1, law=V2).resolution == 600
    assert grown.depth == pytest.approx(scale(small, 4).depth, rel=0.1)


def test_late_growth_by_hand():
    grown = apply_multipliers(get("efficientnetv2-s"), depth=2, late_stage_bias=0.5)
    # 2 ** 0.5, 2 ** 0.7, ..., 2 ** 1.5 times 2, 4, 4, 6, 9, 15 layers, rounded up.
    assert [stage.repeats for stage in grown.stages] == [3, 7, 8, 13, 23, 43]


def test_fast_law_grows_mostly_wider_and_so_costs_fewer_activations():
    fast, compound = scale(B0, 3, law=FAST), scale(B0, 3)
    macs = count(fast).macs / count(compound).macs
    assert 0.8 < macs < 1.5
    assert count(fast).activations / count(compound).activations < 0.75 * macs


@pytest.mark.parametrize(
    "make",
    [
        lambda: ScalingLaw(0.9, 1.1, 1.1),
        lambda: ScalingLaw(1, 1, 1),
        lambda: ScalingLaw(1.2, 1.1, 1.15, late_stage_bias=1.0),
        lambda: ScalingLaw(1.2, 1.1, 1.15, largest_resolution=0),
        lambda: ScalingLaw(1.2, 1.1, float("nan")),
        lambda: ScalingLaw.from_exponents(depth=0.5, width=0.6, resolution=0.1),
        lambda: scale(B0, float("nan")),
        lambda: scale(B0, 1e6),
        lambda: as_law("1.2,abc,1"),
        lambda: as_law("missing.json"),
    ],
)
def test_what_is_no_law_is_refused(make):
    with pytest.raises(LawError):
        make()


def test_laws_by_name_number_and_file(tmp_path):
    for name, law in LAWS.items():
        assert as_law(name) == law
    path = tmp_path / "mine.json"
    V2.save(path)
    assert as_law(str(path)) == V2
    ScalingLaw(1.3, 1.05, 1.1).save(path)
    assert as_law(str(path)) == as_law("1.3,1.05,1.1")
    path.write_text('{"format": "allometry.law/1", "alpha": 1}')
    assert as_law(V2) is V2
    with pytest.raises(LawError, match="expected, not a float"):
        as_law(1.2)
    with pytest.raises(LawError, match="field 'beta' is missing"):
        as_law(str(path))
    with pytest.raises(UnknownNameError, match="'compound'"):
        as_law("compund")


@given(networks(), st.integers(1, 8))
def test_fitted_strides_leave_pixels(network, min_feature_map):
    fitted = fit_strides(network, min_feature_map=min_feature_map)
    assert feature_size(fitted) >= min(min_feature_map, network.resolution)
    assert fitted.total_stride <= network.total_stride
    if feature_size(network) >= min_feature_map:
        assert fitted == network


@pytest.mark.parametrize(
    ("size", "stride"), [(224, 32), (128, 32), (96, 16), (64, 16), (32, 8), (28, 8), (8, 2)]
)
def test_strides_of_b0_for_image_sizes(size, stride):
    assert fit_strides(replace(B0, resolution=size)).total_stride == stride
