"""Every result of a run comes back from JSON as it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import annotated_types as at
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import allometry.runs
from allometry.arch import ModuleMember, Network
from allometry.base import RunFolderError
from allometry.base.decoding import Bounds
from allometry.catalog import get
from allometry.cost import MEASURES, Cost, Limit, RuntimeConfig, count
from allometry.runs import FitResult, Record, Subnet, SupernetResult, TrainResult
from allometry.runs.results import RESULTS
from allometry.scaling import ScalingLaw

KINDS = sorted(
    (
        kind
        for kind in vars(allometry.runs).values()
        if isinstance(kind, type) and issubclass(kind, Record) and kind is not Record
    ),
    key=lambda kind: kind.__name__,
)


def _constraints(bounds: Bounds) -> Iterator[at.BaseMetadata]:
    """What a field may be, in the words that Hypothesis knows."""
    kinds = ((at.Ge, bounds.least), (at.Le, bounds.most), (at.Gt, bounds.above))
    yield from (kind(value) for kind, value in kinds if value is not None)


Bounds.__is_annotated_types_grouped_metadata__ = True  # type: ignore[attr-defined]
Bounds.__iter__ = _constraints  # type: ignore[attr-defined]
st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))
st.register_type_strategy(int, st.integers(-(2**70), 2**70))
st.register_type_strategy(Path, st.sampled_from([Path("runs/a"), Path("b.onnx")]))
MEMBER = ModuleMember(
    module="nets:make", decisions={"resolution": 32, "stem width": 0.5}, params=50, macs=900
)
st.register_type_strategy(ModuleMember, st.just(MEMBER))
st.register_type_strategy(Network, st.sampled_from([get("efficientnet-b0"), get("mobilenetv3-small")]))
finite = st.floats(allow_nan=False, allow_infinity=False)
whole = st.integers(-(2**70), 2**70)
st.register_type_strategy(
    Cost, st.builds(Cost, whole, whole, whole, whole, st.dictionaries(st.just("latency"), finite))
)
st.register_type_strategy(
    RuntimeConfig, st.builds(RuntimeConfig, threads=st.integers(1, 64), batch=st.integers(1, 64))
)
st.register_type_strategy(Limit, st.builds(Limit, st.sampled_from(tuple(MEASURES)), st.floats(1e-3, 1e15)))
st.register_type_strategy(
    ScalingLaw,
    st.builds(
        ScalingLaw,
        alpha=st.floats(1.1, 2),
        beta=st.floats(1, 2),
        gamma=st.floats(1, 2),
        largest_resolution=st.none() | st.integers(1, 800),
    ),
)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_record_comes_back_from_json(kind: type[Record], data: st.DataObject) -> None:
    record = data.draw(st.builds(kind))
    text = json.dumps(record.to_dict(), allow_nan=False)
    assert kind.from_dict(json.loads(text)) == record


def test_every_verb_has_its_kind_of_result() -> None:
    assert set(RESULTS.values()) < set(KINDS)


def _trained(**changes: object) -> TrainResult:
    fields = {
        "data": "photos",
        "network": "efficientnet-b0",
        "resolution": 224,
        "cost": count(get("efficientnet-b0")),
        "validation_accuracy": 0.9,
        "test_accuracy": 0.8,
        "test_interval": (0.7, 0.9),
        "test_images": 18,
    }
    return TrainResult(**{**fields, **changes})  # type: ignore[arg-type]


def test_costs_stand_beside_the_other_fields() -> None:
    plain = _trained().to_dict()
    assert (plain["macs"], plain["params"]) == (385814752, 5288548)
    assert "cost" not in plain
    assert "latency" not in plain
    assert _trained(cost=Cost(1, 2, 3, 4, {"latency": 0.5})).to_dict()["latency"] == 0.5


def test_a_field_that_is_missing_is_named() -> None:
    plain = _trained().to_dict()
    del plain["test_accuracy"]
    with pytest.raises(RunFolderError, match="no TrainResult: field 'test_accuracy' is missing"):
        TrainResult.from_dict(plain)


def test_a_law_that_cannot_be_is_refused() -> None:
    with pytest.raises(RunFolderError, match="FitResult"):
        FitResult.from_dict({**_trained().to_dict(), "law": {"alpha": 0.1, "beta": 1, "gamma": 1}})


def test_what_is_not_declared_is_ignored() -> None:
    assert TrainResult.from_dict({**_trained().to_dict(), "report": "runs/a/report.html"}) == _trained()


def test_a_size_keeps_its_digits() -> None:
    ends = {"params": 1, "macs": 2, "activations": 3, "memory": 4, "validation_accuracy": 0.5}
    plain = {"data": "a", "space": "b", "size": str(10**19), "largest": ends, "smallest": ends}
    result = SupernetResult.from_dict({**plain, "phases": 1, "epochs": 2, "seconds": 3.0, "images": 4})
    assert result.size == 10**19
    assert result.to_dict()["size"] == "10000000000000000000"


def test_a_subnet_tells_what_it_is() -> None:
    network = get("efficientnet-b0")
    subnet = Subnet(
        name="macs-1M",
        network=network,
        cost=count(network),
        predicted_accuracy=0.8,
        validation_accuracy=0.75,
        test_accuracy=0.7,
    )
    assert repr(subnet) == (
        "Subnet('macs-1M', 385,814,752 MACs, 5,288,548 params, 224 px, validation accuracy 75.00%, "
        "70.00% on test images)"
    )
    assert subnet.to_dict()["resolution"] == 224
