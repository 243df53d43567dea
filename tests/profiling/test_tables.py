import json
import random
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch

from allometry.arch import (
    Head,
    MBConv,
    Network,
    Stage,
    Stem,
    distinct_blocks,
    pieces,
    sample,
    to_json,
    wrap_alone,
)
from allometry.base import InputError, NetworkError
from allometry.catalog import get, mbconv_space
from allometry.cost import LatencyTable, RuntimeConfig
from allometry.cost.latency import key_of
from allometry.profiling import TableConfig, build_table, check_table
from allometry.profiling import tables as module
from allometry.profiling.pieces import export_parts, part_module
from allometry.profiling.tables import fit_correction

NETWORK = Network(
    name="tiny",
    stem=Stem(channels=8),
    stages=(
        Stage(block=MBConv(channels=8, expand_ratio=3), repeats=2),
        Stage(block=MBConv(channels=16, stride=2)),
    ),
    head=Head(channels=16, classes=3),
    resolution=16,
)
QUICK = TableConfig(rounds=1, seconds=0.001, networks=3)


@pytest.fixture(scope="module")
def space():
    return mbconv_space(
        NETWORK, kernels=(3, 5), expand_ratios=(2, 3), depths=(1, 2), resolutions=(16, 24), name="mine"
    )


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["torch", "onnxruntime"])
def test_every_member_can_be_predicted_and_the_table_is_checked(space, tmp_path, runtime):
    path = tmp_path / "table.json"
    table = build_table(space, runtime_config=RuntimeConfig(runtime=runtime), config=QUICK, path=path)
    assert set(table.seconds) == {key_of(piece) for piece in distinct_blocks(space)}
    assert all(seconds > 0 for seconds in table.seconds.values())
    assert LatencyTable.load(path).seconds == dict(table.seconds)
    check = check_table(LatencyTable.load(path), space, networks=3, config=QUICK)
    assert check.networks == len(check.measured) == len(check.predicted) == 3
    assert check.median_error <= check.high_error
    assert json.loads(json.dumps(check.to_dict()))["drift"] > 0


@pytest.mark.slow
def test_what_was_measured_before_a_fault_is_not_measured_again(space, tmp_path, monkeypatch):
    path, measured = tmp_path / "table.json", []
    whole = module._Bench.pieces

    def dying(bench, chunk, config):
        if measured:
            raise KeyboardInterrupt
        measured.extend(chunk)
        return whole(bench, chunk, config)

    monkeypatch.setattr(module, "_CHUNK", 5)
    monkeypatch.setattr(module._Bench, "pieces", dying)
    with pytest.raises(KeyboardInterrupt):
        build_table(space, runtime_config=RuntimeConfig(runtime="torch"), config=QUICK, path=path)
    before = LatencyTable.load(path).seconds
    assert len(before) == 5

    monkeypatch.setattr(module._Bench, "pieces", whole)
    after = build_table(space, runtime_config=RuntimeConfig(runtime="torch"), config=QUICK, path=path)
    assert all(after.seconds[key] == seconds for key, seconds in before.items())
    assert set(after.seconds) == {key_of(piece) for piece in distinct_blocks(space)}
    assert all(seconds > 0 for seconds in after.seconds.values())

    # All is there: nothing is measured again, whole networks no more than blocks.
    monkeypatch.setattr(module, "_Bench", None)
    assert (
        build_table(space, runtime_config=RuntimeConfig(runtime="torch"), config=QUICK, path=path).correction
        == after.correction
    )
    with pytest.raises(InputError, match="is not finished"):
        check_table(replace(after, fitted=0), space, config=QUICK)
    with pytest.raises(InputError, match=r"holds a table of mine in torch.*not of other"):
        build_table(
            replace(space, name="other"),
            runtime_config=RuntimeConfig(runtime="torch"),
            config=QUICK,
            path=path,
        )
    with pytest.raises(InputError, match="holds a table of mine in torch"):
        build_table(space, runtime_config=RuntimeConfig(runtime="torch", threads=2), config=QUICK, path=path)
    with pytest.raises(InputError, match="Build a table here"):
        check_table(replace(after, machine_info={"processor": "abacus"}), space, config=QUICK)


def test_too_many_blocks_are_refused(space, monkeypatch):
    monkeypatch.setattr(module, "_MOST_LINES", 3)
    with pytest.raises(InputError, match="too many for a table"):
        build_table(space)


def test_the_correction_is_found_again(space):
    draw = random.Random(0)
    networks = [sample(space, draw, by="choice") for _ in range(40)]
    table = LatencyTable(
        space="mine",
        runtime_config=RuntimeConfig(),
        machine_info={},
        seconds={key_of(piece): 1e-4 * draw.uniform(1, 5) for piece in distinct_blocks(space)},
        labels={},
    )
    features = [table.features(network) for network in networks]
    truth = [1e-4 + 0.9 * total + 2e-5 * number + 1e-9 * elements for total, number, elements in features]
    correction = fit_correction(table, networks, truth)
    assert correction.scale == pytest.approx(0.9)
    assert [replace(table, correction=correction).predict(network) for network in networks] == pytest.approx(
        truth
    )


def test_parts_one_after_the_other_are_the_network():
    network = replace(NETWORK, stochastic_depth=0.0)
    image = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for piece in pieces(network):
            assert tuple(image.shape[1:]) == (piece.source.channels, piece.source.size, piece.source.size)
            image = part_module(to_json(wrap_alone(piece)), piece.kind)(image)
    assert image.shape == (2, 3)


def test_exported_parts_give_what_their_modules_give(tmp_path):
    # A block with a stride, a head, and, at the size of an icon, a stem with a pool and a bottleneck.
    parts = [*list(pieces(NETWORK))[2:], *list(pieces(replace(get("resnet-50"), resolution=32)))[:2]]
    for piece, path in zip(parts, export_parts(parts, tmp_path, batch=1), strict=True):
        shape = (1, piece.source.channels, piece.source.size, piece.source.size)
        image = np.random.default_rng(0).standard_normal(shape, np.float32)
        session = onnxruntime.InferenceSession(path)
        (given,) = session.get_inputs()
        with torch.no_grad():
            ours = part_module(to_json(wrap_alone(piece)), piece.kind)(torch.from_numpy(image)).numpy()
        assert session.run(None, {given.name: image})[0] == pytest.approx(
            ours, abs=1e-4 * float(np.abs(ours).max())
        )


def test_cells_that_read_two_inputs_cannot_stand_alone():
    with pytest.raises(NetworkError, match="reads the input of the block before"):
        wrap_alone(list(pieces(get("nasnet-a-mobile")))[2])
