import shutil

import numpy as np
import pytest

import allometry as al
from allometry.base import DataError, RunFolderError, UnknownNameError
from tests.images import shapes, write_photos


def test_a_run_that_carries_its_data_is_evaluated_on_it(trained):
    again = al.evaluate(trained, progress=False)
    assert again == trained.evaluation
    assert repr(again).startswith("Evaluation(test, ")
    val = al.evaluate(trained, split="val", progress=False)
    assert val.images == len(trained.dataset.splits["val"])
    assert al.evaluate(trained, split="train", progress=False).split == "train"


def test_a_run_from_disk_needs_the_arrays_again(trained, arrays):
    opened = al.open(trained.folder)
    with pytest.raises(DataError, match=r"were given in Python, as arrays@.* give them again with data="):
        al.evaluate(opened, progress=False)
    for run in (opened, trained.folder, str(trained.folder)):
        assert al.evaluate(run, data=arrays, progress=False) == trained.evaluation
    assert al.evaluate(opened, data=trained.dataset, progress=False) == trained.evaluation


def test_mistakes(trained, arrays, tmp_path):
    with pytest.raises(UnknownNameError, match="No split is named 'dev'"):
        al.evaluate(trained, split="dev", progress=False)
    images, labels = arrays
    with pytest.raises(
        DataError, match=r"does not know 3 classes of 36 images: 'kind 0', .* It knows '0', '1', '2'"
    ):
        al.evaluate(trained, data=(images, [f"kind {label}" for label in labels]), progress=False)
    photos = write_photos(tmp_path / "photos", per_class=4)
    with pytest.raises(
        DataError, match=r"photos: the network does not know 3 classes of 12 images: 'bar', 'disc'"
    ):
        al.evaluate(trained, data=photos, progress=False)
    with pytest.raises(RunFolderError, match="is no run folder"):
        al.evaluate(tmp_path / "none")
    unfinished = shutil.copytree(trained.folder, tmp_path / "unfinished")
    shutil.rmtree(unfinished / "checkpoints")
    with pytest.raises(RunFolderError, match="is not finished"):
        al.evaluate(unfinished)


def test_a_notebook_shows_the_metrics_and_the_classes(trained):
    shown = al.evaluate(trained, progress=False)._repr_html_()
    assert "balanced accuracy" in shown
    assert all(name in shown for name in trained.data.classes)


def test_of_other_arrays_all_images_count(trained):
    images, labels = shapes(3, size=24, seed=9)
    every = al.evaluate(trained, data=(images, labels), progress=False)
    assert (every.split, every.images) == ("all", 9)
    predictions = al.predict(trained, images)
    correct = [one.best == str(label) for one, label in zip(predictions, labels, strict=True)]
    assert every.accuracy == pytest.approx(np.mean(correct))
    few = al.evaluate(trained, data=(images[:1], labels[:1]), progress=False)
    assert few.images == 1
    pairs = [(image[..., 0], str(label)) for image, label in zip(images, labels, strict=True)]
    again = al.evaluate(trained, data=pairs, progress=False)
    assert (again.images, again.accuracy) == (9, every.accuracy)
    colored = al.evaluate(trained, data=(images.repeat(3, axis=3), labels), progress=False)
    assert colored.accuracy == every.accuracy
    with pytest.raises(
        DataError, match=r"does not know 1 class of 9 images: '7'. It knows '0', '1', '2'. Leave"
    ):
        al.evaluate(trained, data=(images, labels * 0 + 7), progress=False)
