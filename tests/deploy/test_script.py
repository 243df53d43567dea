import copy
import importlib.util
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from torch import nn

from allometry.data import ArraySplit, NamedImage, as_images, view_batches
from allometry.deploy import ExportConfig, write_file, write_script
from allometry.training import Preprocessing
from allometry.training.pretrained import Classifier
from allometry.verbs.predict import classify, view_of

CLASSES = ("bär", 'a "disc"', "frame\\")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder, draw = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    soft = Image.fromarray(draw.integers(0, 256, (9, 12, 3), np.uint8)).resize((97, 71))
    soft.save(folder / "wide.png")
    soft.resize((13, 30)).save(folder / "tiny.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    soft.save(folder / "turned.jpg", exif=turned, quality=95)
    glass = soft.convert("RGBA")
    glass.putalpha(Image.linear_gradient("L").resize(soft.size))
    glass.save(folder / "glass.png")
    soft.convert("L").save(folder / "gray.png")
    soft.resize((900, 700)).save(
        folder / "large.jpg", quality=95
    )  # decoded smaller, shrunk, and only then cut
    draw_large = Image.fromarray(draw.integers(0, 256, (60, 80, 3), np.uint8)).resize((640, 480))
    draw_large.save(folder / "large.png")
    return sorted(folder.iterdir())


def opened(script):
    specification = importlib.util.spec_from_file_location("predict", script)
    program = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(program)
    return program


@pytest.mark.parametrize("channels", [1, 3])
def test_the_program_sees_what_the_library_sees(images, tmp_path, channels):
    preprocessing = Preprocessing(
        channels=channels,
        resolution=24,
        crop=0.9,
        mean=(0.4,) * channels,
        std=(0.3,) * channels,
        classes=CLASSES,
    )
    script = write_script(
        tmp_path / "predict.py",
        model=tmp_path / "model.onnx",
        preprocessing=preprocessing,
        export_config=ExportConfig(),
    )
    program = opened(script)
    assert program.CLASSES == CLASSES
    for path in images:
        ours = view_of(Classifier(nn.Identity(), preprocessing), NamedImage(path.name, path))
        assert np.abs(program.view(path) - ours.astype(int)).max() <= (4 if path.suffix == ".jpg" else 1)


def test_predict_sees_what_is_evaluated():
    preprocessing = Preprocessing(
        channels=3, resolution=64, crop=0.875, mean=(0.4,) * 3, std=(0.3,) * 3, classes=CLASSES
    )
    pixels = np.random.default_rng(0).integers(0, 256, (1, 300, 400, 3), np.uint8)
    split = ArraySplit(images=pixels, labels=np.array([0]), names=("a",))
    evaluated = next(view_batches(split, resolution=64, batch_size=1, crop=0.875)).images[0]
    predicted = view_of(Classifier(nn.Identity(), preprocessing), NamedImage("a", pixels[0]))
    assert np.array_equal(evaluated, predicted)


@pytest.mark.slow
@pytest.mark.parametrize(
    "export_config", [ExportConfig(), ExportConfig(normalize_inside=True), ExportConfig(batch=3)]
)
def test_the_program_says_what_the_network_says(images, tmp_path, export_config, module):
    module = copy.deepcopy(module)
    module.classifier.weight.data.mul_(20)  # answers far apart
    preprocessing = Preprocessing(
        channels=1, resolution=24, crop=0.9, mean=(0.4,), std=(0.3,), classes=CLASSES
    )
    path = write_file(
        module, tmp_path / "model.onnx", preprocessing=preprocessing, export_config=export_config
    )
    script = write_script(
        tmp_path / "predict.py", model=path, preprocessing=preprocessing, export_config=export_config
    )
    printed = subprocess.run(
        [sys.executable, "-I", script, *images], check=True, capture_output=True, text=True, cwd="/"
    ).stdout.splitlines()
    expected = classify(Classifier(module, preprocessing), as_images(images))
    firsts = [f"{answer.image}: {answer.classes[0][0]} " for answer in expected]
    assert len(printed) == len(CLASSES) * len(images)
    assert all(line.startswith(first) for line, first in zip(printed[:: len(CLASSES)], firsts, strict=True))


def test_the_program_needs_nothing_else(tmp_path):
    preprocessing = Preprocessing(
        channels=1, resolution=8, crop=1.0, mean=(0.5,), std=(0.5,), classes=CLASSES
    )
    script = write_script(
        tmp_path / "predict.py",
        model=tmp_path / "model.onnx",
        preprocessing=preprocessing,
        export_config=ExportConfig(),
    )
    imported = {
        line.split()[1] for line in script.read_text().splitlines() if line.startswith(("import ", "from "))
    }
    assert imported - sys.stdlib_module_names == {"numpy", "onnxruntime", "PIL"}
