"""Images with several labels, or none: arrays, data sets and manifests."""

from __future__ import annotations

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from allometry.base import DataError
from allometry.data import (
    Augmentation,
    as_dataset,
    as_split,
    open_arrays,
    open_data,
    part_of,
    summarize,
    train_batches,
)
from tests.images import two_shapes, write_two_shapes

IMAGES, LABELS = two_shapes(60, size=16, seed=0)
NAMES = ("bar", "disc", "frame")


def by_name(dataset):
    return {
        name: [label for name, label in enumerate(row)]
        for split in dataset.splits.values()
        for name, row in zip(split.names, split.labels.tolist(), strict=True)
    }


def test_arrays_keep_every_label_of_an_image():
    dataset = as_dataset((IMAGES, LABELS))
    assert dataset.multi_label
    assert dataset.classes == ("0", "1", "2")
    assert sum(len(split) for split in dataset.splits.values()) == 60
    for split in dataset.splits.values():
        assert split.labels.dtype == np.uint8
        assert not split.labels.flags.writeable
        for name, row in zip(split.names, split.labels, strict=True):
            assert (row == LABELS[int(name)]).all()
    assert (part_of(dataset.splits["val"], np.array([1])).labels == dataset.splits["val"].labels[1:2]).all()
    again = as_dataset((IMAGES, LABELS.astype(float)))
    assert again.fingerprint == dataset.fingerprint
    changed = LABELS.copy()
    changed[0] = 1 - changed[0]
    assert as_dataset((IMAGES, changed)).fingerprint != dataset.fingerprint


def test_every_label_is_in_every_split_that_is_cut():
    rare = LABELS.copy()
    rare[:, 2] = 0
    rare[:4, 2] = 1
    dataset = open_arrays(IMAGES, rare, classes=NAMES)
    for split in dataset.splits.values():
        assert (split.labels.sum(0) > 0).all()
    assert 6 <= len(dataset.splits["val"]) <= 20
    rare[2:4, 2] = 0
    with pytest.raises(DataError, match="Class 'frame' of arrays has only 2 usable images"):
        open_arrays(IMAGES, rare, classes=NAMES)


def test_images_without_a_label_are_images():
    some = LABELS.copy()
    some[:20] = 0
    dataset = as_dataset((IMAGES, some))
    without = {name: int((split.labels.sum(1) == 0).sum()) for name, split in dataset.splits.items()}
    assert sum(without.values()) == 20
    assert without["val"] == without["test"] == 3
    few = LABELS.copy()
    few[0] = 0
    assert (as_dataset((IMAGES, few)).splits["train"].labels.sum(1) == 0).sum() == 1


def test_what_is_no_set_of_labels_is_refused():
    for labels, message in [
        (LABELS * 2, "must be 0 and 1, one for each class"),
        (np.ones((60, 1)), "has only one class"),
        (np.full((60, 3), "a"), "or 0 and 1 .*, not <U1"),
        (LABELS[:10], "60 images but 10 labels"),
        (LABELS[..., None], "integers or text"),
    ]:
        with pytest.raises(DataError, match=message):
            as_dataset((IMAGES, labels))
    with pytest.raises(DataError, match="labels have 3 columns, but there are 2 classes"):
        open_arrays(IMAGES, LABELS, classes=("a", "b"))


def test_items_have_several_labels():
    torch = pytest.importorskip("torch")
    pairs = [(image, torch.tensor(row)) for image, row in zip(IMAGES, LABELS, strict=True)]
    dataset = as_dataset(pairs)
    assert dataset.multi_label
    assert dataset.splits["train"].labels.shape[1] == 3
    for few in (pairs[:7], (IMAGES[:7], LABELS[:7])):
        _, split = as_split(few, classes=NAMES, channels=1, multi_label=True)
        assert (split.labels == LABELS[:7]).all()
    with pytest.raises(DataError, match="several kinds or lengths"):
        as_dataset([*pairs, (IMAGES[0], torch.tensor([1, 0]))])
    with pytest.raises(DataError, match="0 and 1 for each class, not"):
        as_dataset([*pairs, (IMAGES[0], [2, 0, 1])])


def test_batches_mix_the_labels_of_two_images():
    dataset = as_dataset((IMAGES, LABELS))
    train = dataset.splits["train"]
    options = {"resolution": 16, "batch_size": 8, "seed": 0, "epoch": 0}
    batch = next(train_batches(train, augmentation=Augmentation(mixup=1.0), **options))
    assert (batch.labels == train.labels[batch.indices]).all()
    assert (batch.mixed_labels[0] == batch.labels[1]).all()
    assert (batch.mixed_labels[1] == batch.labels[0]).all()


def test_a_manifest_has_a_column_of_labels(tmp_path):
    manifest = write_two_shapes(tmp_path, 40)
    dataset = open_data(manifest)
    assert dataset.multi_label
    assert dataset.classes == NAMES
    rows = dict(line.split(",") for line in manifest.read_text().splitlines()[1:])
    for split in dataset.splits.values():
        for name, row in zip(split.names, split.labels, strict=True):
            assert {NAMES[place] for place in np.flatnonzero(row)} == set(rows[name].split("|")) - {""}
    assert "3 classes, several an image, gray images" in str(summarize(dataset))
    table = pyarrow.table(
        {"path": list(rows), "labels": [row.split("|") if row else [] for row in rows.values()]}
    )
    parquet.write_table(table, tmp_path / "list.parquet")
    assert open_data(tmp_path / "list.parquet").fingerprint == dataset.fingerprint


def test_given_splits_need_each_label_only_to_learn_from(tmp_path):
    manifest = write_two_shapes(tmp_path, 12)
    lines = manifest.read_text().splitlines()
    parts = ["train"] * 8 + ["val"] * 2 + ["test"] * 2
    labels = ["bar", "disc|frame"] * 4 + ["bar"] * 4
    rows = [
        f"{line.split(',')[0]},{label},{part}"
        for line, label, part in zip(lines[1:], labels, parts, strict=True)
    ]
    manifest.write_text("\n".join(["path,labels,split", *rows]))
    dataset = open_data(manifest)
    assert summarize(dataset).per_class["val"].least == 0
    assert dataset.splits["val"].labels.tolist() == [[1, 0, 0], [1, 0, 0]]


def test_one_class_and_no_column_are_refused(tmp_path):
    manifest = write_two_shapes(tmp_path, 4)
    paths = [line.split(",")[0] for line in manifest.read_text().splitlines()[1:]]
    for header, label, message in [
        ("path,labels", "bar", "only one class, 'bar'"),
        ("path,labels", "", "gives no image a label"),
        (
            "path,kind",
            "bar",
            r"no column for the class: .* labels, classes or tags, where an image has several",
        ),
        ("path,label", "", "the label is empty"),
    ]:
        manifest.write_text("\n".join([header, *(f"{path},{label}" for path in paths)]))
        with pytest.raises(DataError, match=message):
            open_data(manifest)
