"""What a delivered program is compared by: numbers and sizes of images that are left open, and image files."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from allometry.base import VerificationError
from allometry.data import as_dataset, as_images, open_data
from allometry.deploy import ExportConfig, ExportTarget, RuntimeSnippet, verify, write_script
from allometry.deploy.answers import ExpectedAnswer
from allometry.deploy.image_kinds import made_samples, samples_of
from allometry.deploy.targets import FLOAT32, INT8
from allometry.training import Preprocessing
from allometry.training.pretrained import Classifier
from allometry.verbs.predict import classify, view_of

COLOR = Preprocessing(
    channels=3, resolution=24, crop=0.875, mean=(0.5,) * 3, std=(0.25,) * 3, classes=("red", "green", "blue")
)
CODE = 'RUNTIME = "numpy"\n\n\ndef open_model(path):\n    return lambda inputs: RESULT'
# Rows count by their place, so that a turned image gives something else.
RIGHT = "20 * (inputs * np.linspace(0, 2, inputs.shape[2])[:, None]).mean((2, 3))"


class MeanColor(nn.Module):
    def forward(self, x):
        return 20 * (x * torch.linspace(0, 2, x.shape[2])[:, None]).mean((2, 3))


@dataclass(frozen=True)
class Target(ExportTarget):
    """What computes the mean color, or something else."""

    result: str = RIGHT

    name = "mean"
    suffix = ".mean"
    precisions = (FLOAT32, INT8)

    def write(self, request, path):
        del request
        path.write_bytes(b"")

    def quantize(self, request, path, *, float32, batches):
        raise NotImplementedError

    def snippet(self, precision):
        del precision
        return RuntimeSnippet(needs="nothing", imports="", code=CODE.replace("RESULT", self.result))


@pytest.fixture(scope="module")
def samples():
    return made_samples()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, samples):
    folder = tmp_path_factory.mktemp("files")
    for number, sample in enumerate(samples):
        (folder / str(number)).write_bytes(sample.data)
    return folder


def expected(folder, samples, known):
    classifier, paths = (
        Classifier(MeanColor(), known),
        [folder / str(number) for number in range(len(samples))],
    )
    places = {name: place for place, name in enumerate(known.classes)}
    images = as_images(paths)
    return [
        ExpectedAnswer(
            path=path,
            kind=sample.kind,
            view=view_of(classifier, image),
            classes={places[name]: value for name, value in prediction.classes},
        )
        for path, sample, image, prediction in zip(
            paths, samples, images, classify(classifier, images), strict=True
        )
    ]


def check(tmp_path, result=RIGHT, *, change=("", ""), files=(), known=COLOR, **options):
    config = ExportConfig(target=Target(result=result), **options)
    model = tmp_path / config.file
    model.write_bytes(b"1")
    script = write_script(tmp_path / "predict.py", model=model, preprocessing=known, export_config=config)
    text = script.read_text()
    assert change[0] in text
    script.write_text(text.replace(*change))
    views = np.random.default_rng(0).integers(0, 256, (9, 24, 24, 3), np.uint8)
    return verify(
        model, MeanColor(), views, script=script, preprocessing=known, export_config=config, files=files
    )


def test_what_was_compared_is_told(tmp_path, folder, samples):
    checked = check(tmp_path, files=expected(folder, samples, COLOR), any_size=True)
    assert checked.batches == (1, 7, 9)
    assert checked.sizes == ("24 x 24", "15 x 15", "37 x 37", "24 x 37", "37 x 15")
    assert checked.files == len(samples)
    assert {"PNG I;16", "JPEG CMYK", "PNG P transparent", "JPEG RGB orientation 6"} <= set(checked.kinds)
    assert checked.probability_difference < 0.05
    assert "9; 24 x 24" in checked.in_words()
    fixed = check(tmp_path, batch=4)
    assert (fixed.batches, fixed.sizes) == ((4,), ("24 x 24",))


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (f"{RIGHT} + (inputs.shape[2] > 24)", "37 x 37 pixels, does not give the network's results"),
        (f"{RIGHT} + (inputs.shape[2] < 24)", "15 x 15 pixels, does not give the network's results"),
        (f"{RIGHT} + 0 * inputs.reshape(-1, 3, 24, 24).sum()", "does not take images of 15 x 15 pixels"),
        (f"{RIGHT} + (len(inputs) == 1)", "other results for 1 images at once than for 9"),
        (f"{RIGHT} * np.where(inputs.shape[2] > 24, np.nan, 1)", "37 x 37 pixels, does not give"),
    ],
)
def test_every_size_and_number_that_is_left_open_counts(tmp_path, result, message):
    with pytest.raises(VerificationError, match=message):
        check(tmp_path, result, any_size=True)


def test_a_coarse_arithmetic_is_compared_in_shape_and_number(tmp_path):
    assert check(tmp_path, f"{RIGHT} * 0.9", precision="int8", any_size=True).sizes[1:]
    with pytest.raises(VerificationError, match="1 images at once"):
        check(tmp_path, f"{RIGHT} + 9 * (len(inputs) == 1)", precision="int8")
    with pytest.raises(VerificationError, match="given images of 15 x 15"):
        check(tmp_path, f"({RIGHT})[:, : inputs.shape[2] - 13]", precision="int8", any_size=True)


READ = "show(opened, again=lambda: open_bytes(data), levels=LEVELS)[0]"


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (
            (
                f"fromarray({READ}",
                f"fromarray(np.clip(opened, 0, 255).astype(np.uint8) if opened.mode == 'I;16' else {READ}",
            ),
            "PNG I;16",
        ),
        (("orientation_of(opened)", "1"), "JPEG RGB orientation 6"),
        (("KEPT = 128", "KEPT = 24"), "PNG"),
        (('ink.size, "white")', 'ink.size, "black")'), "transparent"),
    ],
)
def test_a_program_that_reads_otherwise_does_not_pass(tmp_path, folder, samples, precision, change, kind):
    files = expected(folder, samples, COLOR)
    with pytest.raises(VerificationError, match=rf"does not see what `predict` sees.*{kind}"):
        check(tmp_path, change=change, files=files, precision=precision)


def test_two_files_of_each_kind_that_the_data_has_are_compared(tmp_path, samples):
    random = np.random.default_rng(0)
    for number in range(40):
        pixels = random.integers(0, 256, (8, 9, 3), np.uint8)
        path = (
            tmp_path
            / "data"
            / ("cat" if number % 2 else "dog")
            / f"{number}.{'webp' if number < 6 else 'png'}"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels if number % 4 < 2 else pixels[..., 0]).save(path)
    found = samples_of(open_data(tmp_path / "data", cache_folder=tmp_path / "cache").splits)
    kinds = [sample.kind for sample in found[: -len(samples)]]
    assert sorted(kinds) == ["PNG L", "PNG L", "PNG RGB", "PNG RGB", "WEBP RGB", "WEBP RGB"]
    files = [path.read_bytes() for path in (tmp_path / "data").rglob("*.*")]
    assert all(sample.data in files for sample in found[: len(kinds)])
    assert found[len(kinds) :] == samples
    arrays = random.integers(0, 256, (20, 8, 8), np.uint8), np.arange(20) % 2
    assert samples_of(as_dataset(arrays).splits) == samples  # there are no files


def test_what_only_one_of_both_can_read_does_not_pass(tmp_path, folder, samples):
    (tmp_path / "text.png").write_text("no image")
    neither = ExpectedAnswer(path=tmp_path / "text.png", kind="text")
    assert check(tmp_path, files=[neither]).files == 1
    with pytest.raises(
        VerificationError, match=r"of a file of the kind PNG L it reads it, and `predict` cannot"
    ):
        check(tmp_path, files=[replace(neither, path=folder / "0", kind="PNG L")])
    first = expected(folder, samples, COLOR)[0]
    with pytest.raises(VerificationError, match=r"it cannot read it \(.*\), and `predict` can"):
        check(tmp_path, files=[replace(first, path=neither.path)])


def test_several_labels_are_compared_by_their_thresholds(tmp_path, folder, samples):
    known = replace(COLOR, thresholds=(0.5, 0.2, 0.8))
    files = expected(folder, samples, known)
    assert any(len(file.classes) != 1 for file in files)
    assert check(tmp_path, files=files, known=known).probability_difference < 0.05
    change = ("probabilities[place] >= THRESHOLDS[place]", "True")
    with pytest.raises(VerificationError, match="does not answer as `predict` does"):
        check(tmp_path, files=files, known=known, change=change)
