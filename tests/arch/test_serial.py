"""Networks as text: every field is in it, wrong ones are found wherever they stand, and what names stand for."""

import json
import math
import re
from dataclasses import fields, replace
from random import Random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from allometry.arch import (
    BatchNorm,
    Cell,
    Head,
    MBConv,
    Network,
    Stage,
    Stem,
    digest,
    from_json,
    load,
    save,
    to_json,
    weight_signature,
)
from allometry.base import NetworkError
from allometry.catalog import entries, get
from tests.strategies import blocks, inverted, networks

seeds = st.integers(0, 2**32)


def places(value: object, path: tuple = ()) -> list[tuple]:
    """The way to every value in plain JSON."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(each for key, part in inner for each in places(part, (*path, key)))]


def at(value, path: tuple):
    for key in path:
        value = value[key]
    return value


@given(networks(blocks))
def test_the_canonical_text_is_one_line_with_sorted_fields(network):
    text = to_json(network)
    assert "\n" not in text
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
    plain = json.loads(text)
    assert plain["format"] == "allometry.network/1"
    assert [stage["repeats"] for stage in plain["stages"]] == [stage.repeats for stage in network.stages]
    assert {stage["block"]["kind"] for stage in plain["stages"]} == {s.block.kind for s in network.stages}
    readable = to_json(network, indent=2)
    assert json.loads(readable) == plain
    assert next(iter(json.loads(readable))) == "format"


@settings(max_examples=50)
@given(networks(blocks))
def test_files_hold_the_network_and_its_name(tmp_path_factory, network):
    path = tmp_path_factory.mktemp("networks") / "network.json"
    save(replace(network, name="mine"), path)
    again = load(path)
    assert again == network
    assert again.name == "mine"
    assert path.read_text().endswith("}\n")


@given(networks(blocks), seeds)
def test_a_value_of_another_type_is_refused_wherever_it_stands(network, seed):
    plain = json.loads(to_json(network))
    path = Random(seed).choice([path for path in places(plain) if path and path != ("name",)])
    at(plain, path[:-1])[path[-1]] = {"no": "such"}
    with pytest.raises(NetworkError, match="Not a network") as refused:
        from_json(json.dumps(plain))
    assert "\n" not in str(refused.value)
    if path[0] == "stages" and len(path) > 1:
        assert f"stages.{path[1]}" in str(refused.value)
    elif path != ("format",):
        assert str(path[0]) in str(refused.value)


@given(networks(blocks), seeds)
def test_a_field_too_many_is_refused_and_named_wherever_it_stands(network, seed):
    plain = json.loads(to_json(network))
    inside = [path for path in places(plain) if isinstance(at(plain, path), dict)]
    at(plain, Random(seed).choice(inside))["unheard_of"] = 1
    with pytest.raises(NetworkError, match="unheard_of"):
        from_json(json.dumps(plain))


@given(networks(blocks), seeds)
def test_a_field_too_few_takes_its_default_or_is_refused_in_one_sentence(network, seed):
    plain = json.loads(to_json(network))
    inside = [path for path in places(plain) if path and isinstance(at(plain, path), dict)]
    part = at(plain, Random(seed).choice(inside))
    del part[Random(seed).choice(sorted(part))]
    try:
        assert len(from_json(json.dumps(plain)).stages) == len(network.stages)
    except NetworkError as refused:
        assert re.fullmatch(r"Not a network: [^\n]+", str(refused))  # noqa: PT017 - either may happen
        assert "field ''" not in str(refused)  # noqa: PT017


OTHER = {
    "resolution": lambda value: value + 1,
    "in_channels": lambda value: value + 1,
    "padding": lambda value: "same" if value == "symmetric" else "symmetric",
    "stochastic_depth": lambda value: value + 0.01,
    "channels": lambda value: (value or 0) + 8,
    "kernel": lambda value: value + 2,
    "stride": lambda value: value + 1,
    "activation": lambda value: "relu" if value != "relu" else "silu",
    "pool": lambda value: value + 3 if value == 0 else 0,
    "fixed": lambda value: not value,
    "hidden": lambda value: (value or 0) + 1,
    "hidden_bias": lambda value: not value,
    "dropout": lambda value: value + 0.01,
    "classes": lambda value: value + 1,
    "epsilon": lambda value: value * 2,
    "momentum": lambda value: value * 2,
    "expand_ratio": lambda value: value + 1,
    "se_ratio": lambda value: value + 0.5,
    "repeats": lambda value: value + 1,
}
# What says nothing about what the weights mean.
WITHOUT_WEIGHT = {
    "": {"resolution", "in_channels", "padding", "stochastic_depth"},
    "stem": {"fixed"},
    "head": {"fixed", "classes", "dropout"},
    "batch_norm": {"epsilon", "momentum"},
}


@given(networks())
def test_every_field_counts_in_the_digest_and_those_of_the_layers_in_the_signature(network):
    name, signature = digest(network), weight_signature(network)
    for part, without in WITHOUT_WEIGHT.items():
        whole = getattr(network, part) if part else network
        for field in fields(whole):
            if field.name not in OTHER:
                continue
            changed = replace(whole, **{field.name: OTHER[field.name](getattr(whole, field.name))})
            other = replace(network, **{part: changed}) if part else changed
            assert digest(other) != name, field.name
            same = weight_signature(other) == signature
            assert same == (field.name in without), field.name


@given(networks(), seeds)
def test_every_field_of_a_block_counts(network, seed):
    random = Random(seed)
    number = random.randrange(len(network.stages))
    block = network.stages[number].block
    field = random.choice([each.name for each in fields(block) if each.name in OTHER])
    changed = replace(block, **{field: OTHER[field](getattr(block, field))})
    stages = list(network.stages)
    stages[number] = replace(stages[number], block=changed)
    other = replace(network, stages=tuple(stages))
    assert digest(other) != digest(network)
    assert weight_signature(other) != weight_signature(network)


@given(networks(blocks), st.integers(2, 3))
def test_layers_mean_the_same_however_they_are_written_as_stages(network, repeats):
    first = network.stages[0]
    assume(not isinstance(first.block, Cell))
    together = replace(network, stages=(replace(first, repeats=repeats), *network.stages[1:]))
    rest = Stage(block=first.block.following(), repeats=repeats - 1, continues=True)
    apart = replace(network, stages=(replace(first, repeats=1), rest, *network.stages[1:]))
    assert apart.shapes() == together.shapes()
    assert weight_signature(apart) == weight_signature(together)
    assert digest(apart) != digest(together)


def test_networks_of_the_catalog_that_share_a_signature_differ_in_resolution_or_classes_only():
    signatures: dict[str, list[Network]] = {}
    for entry in entries():
        network = entry.make()
        signatures.setdefault(weight_signature(network), []).append(network)
    assert len({digest(entry.make()) for entry in entries()}) > len(signatures) - 1
    for first, *others in signatures.values():
        for other in others:
            assert replace(other, resolution=first.resolution).shapes() == first.shapes()


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e400"])
def test_numbers_that_are_none_are_refused(value):
    text = to_json(get("efficientnet-b0")).replace('"stochastic_depth":0.2', f'"stochastic_depth":{value}')
    with pytest.raises(NetworkError, match="stochastic_depth"):
        from_json(text)


def test_what_the_defaults_are_is_not_written_where_a_field_came_later():
    plain = json.loads(to_json(Network(stages=(Stage(block=MBConv(channels=8)),))))
    assert set(plain["stages"][0]) == {"block", "repeats"}
    assert {"groups", "gate", "expand_multiple"} & set(plain["stages"][0]["block"]) == set()
    assert {"pool", "padding", "fixed"} & set(plain["stem"]) == set()
    assert json.loads(to_json(from_json(json.dumps(plain)))) == plain


@given(inverted, st.floats(0, 0.9), st.sampled_from([1e-3, 1e-5]))
def test_floats_are_written_exactly(block, rate, epsilon):
    network = Network(
        stages=(Stage(block=block),),
        stem=Stem(channels=8),
        head=Head(dropout=rate),
        batch_norm=BatchNorm(epsilon=epsilon),
        stochastic_depth=rate,
    )
    again = from_json(to_json(network))
    assert (again.head.dropout, again.stochastic_depth) == (rate, rate)
    assert again.batch_norm.epsilon == epsilon
    assert math.isclose(again.stages[0].block.se_ratio, block.se_ratio, rel_tol=0)
