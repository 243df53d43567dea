"""Experiments of paired trainings: what they train, how they tell a difference from chance, and that they go on."""

import compound_scaling
import numpy as np
import paired
import progressive
import pytest
from paired import Scale, Training

from allometry.cost import count
from allometry.data import open_arrays

SCALE = Scale(32, 0.5, 50, (100, 20, 20), 0.5, 0.3, 2, (0, 1))


def row(way, seed, *, test, foundries):
    return {"way": way, "seed": seed, "test": test, "foundries": foundries}


def rows_of(gains):
    """Two ways and two seeds on four foundries of 100 images; the first way has so many more of each right."""
    rows = []
    for seed in (0, 1):
        for way, more in (("new", gains), ("old", [0] * 4)):
            hits = {f"foundry {place}": [50 + seed + gain, 100] for place, gain in enumerate(more)}
            rows.append(row(way, seed, test=sum(hit for hit, _ in hits.values()) / 400, foundries=hits))
    return rows


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [([9, 10, 11, 10], "better"), ([-9, -10, -11, -10], "worse"), ([40, -10, 2, 1], "cannot be told")],
)
def test_a_difference_is_told_from_chance_where_seeds_and_foundries_agree(gains, verdict):
    found = paired.difference(rows_of(gains), "new", "old")
    assert found.mean == pytest.approx(sum(gains) / 400)
    assert found.verdict == verdict
    low, high = found.interval
    assert low < found.mean < high


def test_a_folder_holds_trainings_of_one_scale(tmp_path):
    paired.one_scale(tmp_path, SCALE._replace(classes=7), times=4.0)  # nothing was trained: it does not bind
    record = paired.one_scale(tmp_path, SCALE, times=4.0)
    (tmp_path / "training-0").mkdir()
    assert (record["size"], record["times"]) == (32, 4.0)
    assert paired.one_scale(tmp_path, SCALE._replace(seeds=(5,)), times=4.0)["seeds"] == [5]
    with pytest.raises(SystemExit, match="holds trainings with classes 50, not 60"):
        paired.one_scale(tmp_path, SCALE._replace(classes=60), times=4.0)


@pytest.mark.parametrize(
    "wrong",
    [["--epochs", "0"], ["--width", "nan"], ["--images", "9", "0", "9"], ["--seeds", "-1"], ["--times", "1"]],
)
def test_options_that_cannot_be_are_told(wrong, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["compound_scaling", "--folder", str(tmp_path / "new"), *wrong])
    with pytest.raises(SystemExit):
        compound_scaling.main()
    assert "must be" in capsys.readouterr().err or wrong[0] == "--seeds"
    assert not (tmp_path / "new").exists()


def test_seeds_that_only_one_way_has_are_left_out():
    rows = rows_of([10, 10, 10, 10])
    assert len(paired.difference(rows[:3], "new", "old").seeds) == 1
    assert paired.difference(rows[:1], "new", "old") is None


def test_all_grown_networks_have_the_same_macs_and_grow_where_they_are_named_for():
    found = compound_scaling.networks(Scale(64, 0.5, 100, (1, 1, 1), 0.5, 0.3, 1, (0,)), 4.0)
    base = found.pop("baseline")
    assert (base.depth, base.resolution) == (16, 64)
    assert 15e6 < count(base).macs < 20e6
    for network in found.values():
        assert 0.97 < count(network).macs / (4 * count(base).macs) <= 1
    assert found["depth"].depth > 50
    assert found["resolution"].resolution == pytest.approx(128, abs=2)
    assert found["width"].stem.channels == 2 * base.stem.channels
    assert found["dWr"].depth == 17
    assert base.depth < found["compound"].depth < found["depth"].depth


def test_the_best_single_dimension_is_chosen_by_validation_once_all_are_trained():
    rows = [
        {"way": way, "part": "first", "validation": value, "test": 1 - value}
        for way, value in (("depth", 0.3), ("width", 0.5), ("resolution", 0.4), ("compound", 0.9))
    ]
    assert compound_scaling.best_single(rows) == "width"
    assert compound_scaling.best_single(rows[:2]) is None
    kept = {"way": "depth", "part": "long", "validation": 0.1, "test": 0.1}
    assert compound_scaling.best_single([*rows, kept]) == "depth"


def test_the_four_ways_differ_in_what_grows_alone():
    chosen = {way: set(progressive.settings(way, SCALE, progressive.Strength())) for way in progressive.WAYS}
    grown = chosen[progressive.BOTH] - chosen[progressive.RISEN]
    assert grown == {"progressive.resolution=0.5"} == chosen[progressive.GROWN] - chosen[progressive.RISEN]
    risen = chosen[progressive.BOTH] - chosen[progressive.GROWN]
    assert risen == {"progressive.magnitude=5", "progressive.mixup=0", "progressive.dropout=0.1"}


@pytest.mark.slow
def test_a_training_is_written_once_and_its_test_images_are_counted_by_foundry(tmp_path, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (24, 16, 16, 3), np.uint8)
    data = open_arrays(
        images,
        np.arange(24) % 2,
        splits=["train"] * 12 + ["val"] * 4 + ["test"] * 8,
        groups=["one"] * 12 + ["two"] * 4 + ["three", "four"] * 4,
    )
    network = progressive.network(SCALE._replace(size=16, width=0.1, classes=2))
    training = Training("way", network, ("epochs=1",), 0, "first")
    paired.trained([training], data, tmp_path)
    monkeypatch.setattr(paired, "train", None)  # what has its line is not trained again
    paired.trained([training], data, tmp_path)
    (only,) = paired.read_rows(tmp_path)
    assert {name: number for name, (_, number) in only["foundries"].items()} == {"four": 4, "three": 4}
    assert sum(hits for hits, _ in only["foundries"].values()) == round(8 * only["test"])
    assert (only["way"], only["seed"], only["epochs"]) == ("way", 0, 1)
    assert paired.seconds_of([only, {**only, "processor_seconds": None}]) == [only["processor_seconds"]]
    assert paired.ways_table([only], ["way"], "way")[-1].startswith("| way | 16 | 16 |")
