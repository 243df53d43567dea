"""Several labels an image, from the images to the delivered file: two shapes each, of three kinds."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import average_precision_score

import allometry
from allometry.arch import Head, MBConv, Network, Stage, Stem, save
from allometry.base import DataError, InputError, SilentProgress
from allometry.base.files import read_json, read_lines
from allometry.data import as_dataset
from allometry.profiling import MeasureConfig
from allometry.reports.model_card import model_card
from allometry.runs import MultiLabelEvaluation
from allometry.runs.sharing import write_shared
from allometry.training import BinaryCrossEntropy, CrossEntropy, join
from allometry.training.images import open_images
from allometry.training.validation import validate
from allometry.verbs.fit import fit
from allometry.verbs.search import search
from allometry.verbs.supernet import extract
from allometry.verbs.supernet import search as search_supernet
from allometry.verbs.supernet import train as train_supernet
from tests.images import two_shapes, write_two_shapes
from tests.joining import together
from tests.training import conftest as networks

SIDE = 24
DATA = two_shapes(600, size=SIDE, seed=0)
LAYER = MBConv(channels=12, expand_ratio=3, stride=2)
NETWORK = Network(
    stem=Stem(channels=8, stride=1),
    stages=(Stage(block=LAYER), Stage(block=replace(LAYER, channels=16), repeats=2)),
    head=Head(channels=48, classes=3),
    resolution=SIDE,
    name="tiny",
)
RECIPE = {"batch_size": 32, "augmentation": {"crop": 1.0, "flip": False, "erase": 0.0}}


def train(out, *, data=DATA, epochs=16, **options):
    recipe = allometry.recipes.small(epochs=epochs, **{**RECIPE, **options.pop("recipe", {})})
    return allometry.train(NETWORK, data=data, recipe=recipe, out=out, progress=False, **options)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(tmp_path_factory.mktemp("several") / "run")


@pytest.fixture(scope="module")
def briefly(tmp_path_factory):
    folder = tmp_path_factory.mktemp("briefly")
    return train(folder / "run", epochs=1, data=write_two_shapes(folder, 60, size=SIDE))


def test_it_learns_to_tell_both_shapes(run):
    evaluation = run.label_evaluation
    assert evaluation.mean_average_precision > 0.9
    assert evaluation.interval[0] < evaluation.mean_average_precision < evaluation.interval[1]
    assert run.evaluation is None
    assert run.metric == "mean average precision"
    assert run.result.test_accuracy == evaluation.mean_average_precision
    assert run.result.validation_accuracy == run.history[-1].val_accuracy
    assert read_json(run.folder / "recipe.json")["loss"] == "binary-cross-entropy"
    assert "test mean average precision 9" in repr(run)
    assert MultiLabelEvaluation.from_dict(evaluation.to_dict()) == evaluation


def test_the_evaluation_is_that_of_scikit_learn(run):
    evaluation = allometry.evaluate(run, split="val", progress=False)
    split = as_dataset(DATA).splits["val"]
    known = run.predict(split.images[split.rows], top=3)
    module, preprocessing = (
        run.module(),
        open_images(run.dataset, seed=0).preprocessing(run.network, networks.RECIPE),
    )
    pixels = torch.from_numpy(split.images[split.rows]).permute(0, 3, 1, 2) / 255
    normal = (pixels - preprocessing.mean[0]) / preprocessing.std[0]
    with torch.inference_mode():
        probabilities = module(normal).sigmoid().numpy()
    assert evaluation.mean_average_precision == pytest.approx(
        average_precision_score(split.labels, probabilities)
    )
    for place, label in enumerate(evaluation.per_class):
        own = average_precision_score(split.labels[:, place], probabilities[:, place])
        assert label.average_precision == pytest.approx(own)
        assert label.interval[0] <= own <= label.interval[1]
        given = probabilities[:, place] >= label.threshold
        assert label.predictions == given.sum() == sum(str(place) in dict(one.classes) for one in known)
        assert label.recall == pytest.approx((given & (split.labels[:, place] > 0)).sum() / label.images)
    exact = ((probabilities >= evaluation.thresholds) == (split.labels > 0)).all(1)
    assert evaluation.exact == pytest.approx(exact.mean())


def test_thresholds_were_chosen_on_the_validation_images(run):
    thresholds = read_json(run.folder / "preprocessing.json")["thresholds"]
    assert tuple(thresholds) == run.label_evaluation.thresholds
    ours = allometry.evaluate(run, split="val", progress=False)
    assert ours.thresholds == run.label_evaluation.thresholds
    assert ours.f1 > 0.8


def test_predictions_are_all_labels_above_their_thresholds(run, tmp_path):
    predictions = run.predict(DATA[0][:50])
    thresholds = dict(zip(("0", "1", "2"), run.label_evaluation.thresholds, strict=True))
    right = 0
    for one, row in zip(predictions, DATA[1][:50], strict=True):
        assert all(probability >= thresholds[name] for name, probability in one.classes)
        right += {int(name) for name, _ in one.classes} == set(np.flatnonzero(row).tolist())
    assert right > 30
    empty = run.predict(np.zeros((SIDE, SIDE), np.uint8))[0]
    assert (empty.best, empty.probability) == (("", 0.0) if not empty.classes else empty.classes[0])


@pytest.mark.slow
def test_the_delivered_program_gives_the_same_labels(run, tmp_path):
    exported = allometry.export(run, progress=False)
    assert exported.verification.agreement == 1.0
    for place in range(3):
        Image.fromarray(DATA[0][place][..., 0]).save(tmp_path / f"{place}.png")
    files = [str(tmp_path / f"{place}.png") for place in range(3)]
    done = subprocess.run(
        [sys.executable, str(run.folder / "predict.py"), *files], capture_output=True, text=True, check=True
    )
    ours = [
        f"{one.image}: {name} {probability:.1%}"
        for one in run.predict(files)
        for name, probability in one.classes
    ]
    assert [line.rpartition("/")[2] for line in done.stdout.splitlines()] == [
        line.rpartition("/")[2] for line in ours
    ]


@pytest.mark.slow
def test_int8_is_judged_by_the_precision(run, monkeypatch):
    quick = MeasureConfig(rounds=2, seconds=0.01, warm_up=0.1)
    monkeypatch.setattr("allometry.verbs.quantization._MEASURING", quick)
    quality = allometry.export(run, precision="int8", progress=False).int8
    assert quality.accuracy_before == pytest.approx(
        allometry.evaluate(run, split="val", progress=False).mean_average_precision
    )
    assert quality.accuracy_after > 0.85


def test_the_report_shows_each_label(run):
    page = run.report.read_text()
    assert "the mean average precision over the labels is 9" in page
    assert "Label by label" in page
    assert "test mean average precision" in page
    assert "mean average precision over the epochs" in page
    assert "Examples of mistakes" not in page
    shown = run._repr_html_()
    assert "test mean average precision" in shown
    assert "<td" in run.label_evaluation._repr_html_()
    compared = allometry.report(run, run, out=run.folder / "two.html").path.read_text()
    assert f"{100 * run.result.test_accuracy:.1f}" in compared


def test_what_is_shared_of_a_run_has_its_labels(run, tmp_path):
    write_shared(run.folder, tmp_path)
    assert allometry.open(tmp_path).label_evaluation == run.label_evaluation
    card = model_card(run, repo="me/shapes", license="mit")
    assert '"type": "mean_average_precision"' in card
    assert "| all labels right |" in card


def test_a_run_goes_on_and_keeps_its_thresholds(briefly):
    again = train(briefly.folder, epochs=1, data=briefly.arguments["data"])
    assert again.result == briefly.result
    (briefly.folder / "result.json").unlink()
    info = read_json(briefly.folder / "run.json")
    assert info["finished"]
    thresholds = read_json(briefly.folder / "preprocessing.json")["thresholds"]
    assert tuple(thresholds) == briefly.label_evaluation.thresholds


def test_the_command_line_shows_it(briefly, capsys):
    from allometry.cli import main

    for line in (["evaluate", str(briefly.folder)], ["evaluate", str(briefly.folder), "--json"]):
        assert main(line) == 0
    shown = capsys.readouterr().out
    assert "mean average precision" in shown
    assert '"mean_average_precision": ' in shown
    image = str(next(briefly.folder.parent.glob("*.png")))
    assert main(["predict", str(briefly.folder), image]) == 0
    assert main(["explain", str(briefly.folder), image, "--out", str(briefly.folder / "maps")]) == 0


def test_what_does_not_go_together_is_refused(run, briefly, tmp_path):
    single = (DATA[0], DATA[1].argmax(1))
    with pytest.raises(
        DataError, match="was trained on images with several labels, and those of arrays have one"
    ):
        allometry.evaluate(run, data=single, progress=False)
    with pytest.raises(InputError, match="cross-entropy is for one label an image, and these have several"):
        train(tmp_path / "run", epochs=1, recipe={"loss": CrossEntropy()})
    with pytest.raises(InputError, match="one has several labels an image"):
        train(tmp_path / "other", epochs=1, data=single, teacher=run)


def test_class_weights_and_a_teacher(run, tmp_path):
    weighted = BinaryCrossEntropy(class_weights="balanced", label_smoothing=0.1)
    student = train(tmp_path / "student", epochs=1, recipe={"loss": weighted}, teacher=run)
    recipe = read_json(student.folder / "recipe.json")
    assert len(recipe["loss.class_weights"]) == 3
    assert all(0.5 < weight < 1.5 for weight in recipe["loss.class_weights"])


def validate_together(folder):
    """What each of several processes sees of the validation images."""
    with join(torch.device("cpu")) as dist:
        dataset = as_dataset((DATA[0][:100], DATA[1][:100]))
        images = open_images(dataset, seed=0)
        job = networks.job_in(
            folder, dataset=dataset, preprocessing=images.preprocessing(NETWORK, networks.RECIPE), dist=dist
        )
        module = allometry.build(replace(NETWORK, in_channels=1), seed=0)
        joint, alone = validate(job, module), validate(networks.job_in(folder, **options(job)), module)
        assert joint.accuracy == pytest.approx(alone.accuracy, abs=1e-6)
        assert joint.loss == pytest.approx(alone.loss, abs=1e-6)


def options(job):
    return {"dataset": job.dataset, "preprocessing": job.preprocessing}


@pytest.mark.slow
def test_processes_judge_all_images_together(tmp_path):
    together(validate_together, tmp_path, count=2)


@pytest.mark.slow
def test_searches_fits_and_supernets_go_by_the_precision(tmp_path):
    network = tmp_path / "tiny.json"
    save(NETWORK, network)
    options = {"data": str(write_two_shapes(tmp_path, 120, size=SIDE)), "progress": SilentProgress()}
    settings = {"settings": ("batch_size=16",), "epochs": 1}
    found = search(str(network), trials=1, budget="300k", out=tmp_path / "search", **options, **settings)
    (trial,) = read_lines(tmp_path / "search" / "trials.jsonl")
    assert found.result.validation_accuracy == trial["metrics"]["accuracy"]
    assert found.metric == "mean average precision"
    laws = {"alphas": (1.0, 1.2), "gammas": (1.0,)}
    fitted = fit(NETWORK, out=tmp_path / "fit", **laws, **options, **settings)
    assert 0 < fitted.result.sizes[1].accuracy < 1
    supernet = train_supernet(
        NETWORK, budget="600k", plan="at-once", out=tmp_path / "net", **options, **settings
    )
    subnet = search_supernet(supernet, budget="500k", subnets=20, held_out=10, least_tau=-1, progress=False)
    assert subnet.test_interval[0] <= subnet.test_accuracy <= subnet.test_interval[1]
    taken = extract(supernet, subnet, out=tmp_path / "taken", progress=False)
    assert taken.label_evaluation.mean_average_precision == taken.result.test_accuracy
