import json
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allometry.arch import (
    Head,
    MBConv,
    Network,
    Stage,
    Stem,
    apply_multipliers,
    digest,
    from_json,
    load,
    round_channels,
    save,
    to_json,
)
from allometry.arch.rounding import round_repeats
from allometry.base import NetworkError, StorageError
from allometry.catalog import get
from tests.strategies import networks


@given(networks())
def test_json_round_trip_gives_an_equal_network(network):
    again = from_json(to_json(network))
    assert again == network
    assert hash(again) == hash(network)
    assert digest(again) == digest(network)
    assert to_json(again) == to_json(network)
    assert from_json(to_json(network, indent=2)) == network


@given(networks(), networks())
def test_digests_differ_exactly_where_networks_do(one, other):
    assert (digest(one) == digest(other)) == (one == other)


def test_digest_is_the_same_in_another_process_and_for_ever():
    network = get("efficientnet-b0")
    code = "from allometry.arch import digest; from allometry.catalog import get; print(digest(get('efficientnet-b0')))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == digest(network)
    # A change of this value breaks every stored checkpoint and trial.
    assert digest(network) == "85d18d4a14be1e1a9d8ad84c072378a543f1bcdd60101b8367d1d998c33a82a7"


def test_label_is_no_part_of_what_a_network_is():
    network = get("efficientnet-b0")
    renamed = replace(network, name="other")
    assert renamed == network
    assert from_json(to_json(renamed)).name == "other"


def test_integers_and_floats_of_one_value_are_one_value():
    assert MBConv(channels=8, expand_ratio=6) == MBConv(channels=8, expand_ratio=6.0)


def test_repr_shows_every_stage_readably():
    text = repr(get("efficientnet-b0"))
    assert "2 x MBConv(40, k5, s2, e6, se0.25, silu)" in text
    assert "224 px" in text
    assert len(text.splitlines()) == 10


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: MBConv(channels=0), "MBConv.channels must be an integer of at least 1, not 0"),
        (lambda: MBConv(channels=8.5), "MBConv.channels"),
        (lambda: MBConv(channels=True), "MBConv.channels"),
        (lambda: MBConv(channels=8, kernel=4), "must be odd"),
        (lambda: MBConv(channels=8, stride=0), "MBConv.stride"),
        (lambda: MBConv(channels=8, expand_ratio=0.5), "MBConv.expand_ratio"),
        (lambda: MBConv(channels=8, expand_ratio=float("nan")), "MBConv.expand_ratio"),
        (lambda: MBConv(channels=8, activation="swishh"), "must be one of 'silu'"),
        (lambda: Stem(stride=-1), "Stem.stride"),
        (lambda: Head(dropout=1.0), "below 1"),
        (lambda: Stage(block="mbconv"), "Stage.block"),
        (lambda: Stage(block=MBConv(channels=8), repeats=0), "Stage.repeats"),
        (lambda: Network(stages=()), "one Stage or more"),
        (lambda: Network(stages=(Stage(block=MBConv(channels=8)),), padding="valid"), "Network.padding"),
    ],
)
def test_what_cannot_exist_is_refused_with_a_sentence(make, says):
    with pytest.raises(NetworkError, match=says.replace("(", r"\(")):
        make()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d.update(stagess=[]), "stagess"),
        (lambda d: d["stages"][2]["block"].update(kernel="five"), "stages.2.block.kernel"),
        (lambda d: d["stages"][2]["block"].update(kernel=4), "must be odd"),
        (lambda d: d["stages"][0]["block"].update(kind="transformer"), "kind"),
        (lambda d: d.pop("stages"), "stages"),
        (lambda d: d.update(resolution=0), "resolution"),
        (lambda d: d.update(resolution=3.7), "resolution"),
        (lambda d: d.update(format="allometry.network/99"), "allometry.network/99"),
    ],
)
def test_wrong_json_is_refused_and_the_field_is_named(change, says):
    fields = json.loads(to_json(get("efficientnet-b0")))
    change(fields)
    with pytest.raises(NetworkError, match=says):
        from_json(json.dumps(fields))


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '{"stages": 1}', '"x"'])
def test_other_text_is_refused(text):
    with pytest.raises(NetworkError, match="Not a network"):
        from_json(text)


def test_files(tmp_path):
    path = tmp_path / "deep" / "network.json"
    save(get("efficientnet-b3"), path)
    assert load(path) == get("efficientnet-b3")
    assert [entry.name for entry in path.parent.iterdir()] == ["network.json"]
    with pytest.raises(NetworkError, match="No such file"):
        load(tmp_path / "missing.json")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(NetworkError, match="not text"):
        load(tmp_path / "bytes.json")
    with pytest.raises(StorageError, match="in the way"):
        save(get("efficientnet-b0"), path / "below.json")


@given(st.floats(0.1, 1e6), st.sampled_from([4, 8, 16, 32]))
def test_channels_are_multiples_and_never_below_nine_tenths(channels, multiple):
    rounded = round_channels(channels, multiple=multiple)
    assert rounded % multiple == 0
    assert rounded >= max(multiple, 0.9 * channels)
    assert rounded <= max(multiple, channels + multiple)


@given(st.floats(0.1, 1e4), st.floats(0.1, 1e4))
def test_rounding_keeps_the_order(one, other):
    low, high = sorted((one, other))
    assert round_channels(low) <= round_channels(high)
    assert round_repeats(low) <= round_repeats(high)


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (1.1, {32: 32, 16: 16, 24: 24, 40: 48, 80: 88, 112: 120, 192: 208, 320: 352, 1280: 1408}),
        (1.2, {32: 40, 16: 24, 24: 32, 40: 48, 80: 96, 112: 136, 192: 232, 320: 384, 1280: 1536}),
    ],
)
def test_worked_examples_of_the_released_rounding(width, expected):
    assert {channels: round_channels(channels * width) for channels in expected} == expected


@settings(max_examples=50)
@given(networks())
def test_multiplying_by_one_changes_nothing(network):
    assert apply_multipliers(network) == network


@pytest.mark.parametrize("bad", [0, -1, float("inf"), float("nan")])
def test_multipliers_must_be_positive_numbers(bad):
    with pytest.raises(NetworkError, match="positive number"):
        apply_multipliers(get("efficientnet-b0"), width=bad)


def test_blocks_know_their_place():
    blocks = list(get("efficientnet-b0").blocks())
    assert len(blocks) == 16
    assert [placed.out.size for placed in blocks][::5] == [112, 14, 14, 7]
    # Stochastic depth grows linearly from 0 and acts only where there is a residual connection.
    rates = [placed.drop_rate for placed in blocks]
    assert rates[0] == 0
    assert rates[2] == pytest.approx(0.2 * 2 / 16)
    assert rates[1] == 0
    assert max(rates) < 0.2


@given(networks(), st.floats(0.2, 5))
def test_rounding_never_turns_growth_into_shrinking(network, width):
    before, after = network.stages, apply_multipliers(network, width=width).stages
    pairs = [(old.block.channels, new.block.channels) for old, new in zip(before, after, strict=True)]
    assert all(new >= old for old, new in pairs) if width > 1 else all(new <= old for old, new in pairs)
