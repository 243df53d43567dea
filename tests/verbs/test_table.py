"""`table` as functions of values: built, kept, gone on with, checked."""

import pytest

import allometry as al
from allometry.base import InputError, UnknownNameError
from allometry.catalog import mbconv_space
from allometry.cost import LatencyTable, RuntimeConfig
from allometry.profiling import TableConfig

QUICK = TableConfig(networks=2, seconds=0.002, rounds=2)


@pytest.fixture(scope="module")
def space(tiny):
    return mbconv_space(tiny, kernels=(3, 5), expand_ratios=(1, 2), name="mine")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("tables") / "table.json"


@pytest.fixture(scope="module")
def table(space, file):
    return al.table.build(space, file, config=QUICK, runtime="torch", progress=False)


@pytest.mark.slow
def test_a_space_gives_a_table_and_its_file(space, table, file):
    assert table.space == "mine"
    assert table.runtime_config == RuntimeConfig(runtime="torch")
    kept = LatencyTable.load(file)
    assert (kept.seconds, kept.correction) == (table.seconds, table.correction)
    assert table.predict(space.largest()) > 0


@pytest.mark.slow
def test_called_again_it_measures_nothing_anew(space, table, file):
    assert (
        al.table.build(space, str(file), config=QUICK, runtime="torch", progress=False).seconds
        == table.seconds
    )
    with pytest.raises(InputError, match="holds a table of mine"):
        al.table.build(space, file, config=QUICK, runtime="torch", threads=2, progress=False)


@pytest.mark.slow
def test_it_is_checked_on_networks_that_it_has_not_seen(space, table, file):
    check = al.table.check(file, space=space, networks=2, progress=False)
    assert check.networks == 2
    assert check.median_error >= 0


@pytest.mark.slow
def test_a_space_that_nobody_knows_is_told(table, file):
    with pytest.raises(UnknownNameError, match="space"):
        al.table.build("mnasnot", file, progress=False)
    for value in (table, file):
        with pytest.raises(UnknownNameError, match="mine"):
            al.table.check(value, progress=False)
