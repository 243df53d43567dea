"""The delivered program's parts for images, sizes and names of all kinds; and which files there can be."""

import importlib.util
import io
import os
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from allometry.base import DataError, InputError, StorageError
from allometry.data import center_view, read_image
from allometry.deploy import TARGETS, ExportConfig, inputs_of, write_script
from allometry.deploy.writing import OfPixels, example_of
from allometry.training import Preprocessing, to_input
from tests.image_files import odd_kinds, refused_kinds

names = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=8)
in_a_folder = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


def preprocessing(
    channels: int = 1, resolution: int = 8, crop: float = 1.0, classes=("a", "b")
) -> Preprocessing:
    mean, std = (0.4, 0.5, 0.6)[:channels], (0.2, 0.3, 0.4)[:channels]
    return Preprocessing(
        channels=channels, resolution=resolution, crop=crop, mean=mean, std=std, classes=tuple(classes)
    )


def program(folder: Path, known: Preprocessing, config: ExportConfig = ExportConfig()):
    """The delivered program as a module; its file is opened by `main` only."""
    script = write_script(
        folder / "predict.py", model=folder / config.file, preprocessing=known, export_config=config
    )
    specification = importlib.util.spec_from_file_location("predict", script)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@in_a_folder
@given(st.lists(names, min_size=1, max_size=5), st.integers(1, 3), st.floats(0.1, 1))
def test_every_name_and_number_arrives_in_the_program(tmp_path, classes, channels, crop):
    channels = 1 if channels == 2 else channels
    known = preprocessing(channels=channels, crop=crop, classes=classes)
    predict = program(tmp_path, known, ExportConfig(batch=3))
    assert tuple(predict.CLASSES) == tuple(classes)
    assert (channels, crop, 3, False) == (predict.CHANNELS, predict.CROP, predict.BATCH, predict.PIXELS)
    assert (tuple(predict.MEAN), tuple(predict.STD)) == (known.mean, known.std)
    assert tmp_path / "model.onnx" == predict.MODEL


@in_a_folder
@given(st.integers(1, 40), st.integers(1, 40), st.integers(4, 24), st.sampled_from([0.5, 0.875, 1.0]))
def test_the_program_sees_an_image_of_any_size_as_the_library_does(tmp_path, width, height, resolution, crop):
    random = np.random.default_rng(width * 41 + height)
    path = tmp_path / "image.png"
    Image.fromarray(random.integers(0, 256, (height, width, 3), np.uint8)).save(path)
    predict = program(tmp_path, preprocessing(channels=3, resolution=resolution, crop=crop))
    ours = center_view(read_image(path, channels=3, min_side=128), resolution=resolution, crop=crop)
    assert np.abs(predict.view(path).astype(int) - ours.astype(int)).max() <= 1


@in_a_folder
@given(st.integers(1, 50), st.integers(1, 30))
def test_pixels_count_by_their_share_and_all_together_once(tmp_path, side, resolution):
    weights = program(tmp_path, preprocessing()).weigh(side, resolution)
    assert weights.shape == (resolution, side)
    assert (weights >= 0).all()
    assert weights.sum(1) == pytest.approx(np.ones(resolution), abs=1e-4)
    if side > resolution:  # by area: every pixel counts alike in all
        assert weights.sum(0) == pytest.approx(np.full(side, resolution / side), abs=1e-4)
    if side == resolution:
        assert weights == pytest.approx(np.eye(side))


@in_a_folder
@given(st.sampled_from([1, 3]), st.integers(1, 4), st.booleans())
def test_the_program_prepares_views_as_the_library_does(tmp_path, channels, number, pixels):
    known, config = preprocessing(channels=channels), ExportConfig(normalize_inside=pixels)
    views = np.random.default_rng(number).integers(0, 256, (number, 8, 8, channels), np.uint8)
    ready = program(tmp_path, known, config).prepare(list(views))
    assert ready.dtype == (np.uint8 if pixels else np.float32)
    assert ready == pytest.approx(inputs_of(views, known, config), abs=1e-6)


@in_a_folder
@given(st.integers(0, 5), st.integers(1, 12))
def test_a_file_of_a_fixed_batch_gets_whole_batches(tmp_path, batch, number):
    predict = program(tmp_path, preprocessing(), ExportConfig(batch=batch))
    sizes = []

    def run(inputs):
        sizes.append(len(inputs))
        return inputs.sum((1, 2, 3))[:, None] * np.array([1.0, 2.0])

    inputs = np.random.default_rng(0).standard_normal((number, 1, 8, 8), np.float32)
    assert predict.logits_of(run, inputs) == pytest.approx(run(inputs), abs=1e-4)
    assert set(sizes[:-1]) == {batch or number}
    assert len(sizes) - 1 == -(-number // (batch or number))


def test_the_program_prints_the_five_best_classes(tmp_path, monkeypatch, capsys):
    classes = [f"class {number}" for number in range(7)]
    predict = program(tmp_path, preprocessing(classes=classes))
    path = tmp_path / "image.png"
    Image.new("L", (9, 9), 77).save(path)
    logits = np.log([[0.02, 0.4, 0.05, 0.3, 0.03, 0.1, 0.1]])
    monkeypatch.setattr(
        predict, "open_model", lambda _model: lambda inputs: np.repeat(logits, len(inputs), 0)
    )
    monkeypatch.setattr("sys.argv", ["predict.py", str(path), str(path)])
    predict.main()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 * 5
    assert lines[:2] == [f"{path}: class 1 40.0%", f"{path}: class 3 30.0%"]
    assert lines[5:] == lines[:5]


def test_the_program_writes_names_that_no_terminal_can_show(tmp_path, monkeypatch):
    predict = program(tmp_path, preprocessing(classes=("caf\u00e9", "\U0001f436")))
    image, broken = (tmp_path / os.fsdecode(name) for name in (b"\x1b[31m\xff.png", b"caf\xe9\n.png"))
    Image.new("L", (4, 4)).save(tmp_path / "image.png")
    (tmp_path / "image.png").rename(image)
    broken.write_bytes(b"no image")
    monkeypatch.setattr(predict, "open_model", lambda _: lambda inputs: np.zeros((len(inputs), 2)))
    monkeypatch.setattr("sys.argv", ["predict.py", str(image), str(broken)])
    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(f"sys.{stream}", io.TextIOWrapper(io.BytesIO(), "ascii"))
    assert predict.main() == 1
    lines = []
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        lines += stream.buffer.getvalue().decode("ascii").splitlines()
    assert [line.removeprefix(f"{tmp_path}/") for line in lines[:2]] == [
        r"\x1b[31m\udcff.png: \U0001f436 50.0%",
        r"\x1b[31m\udcff.png: caf\xe9 50.0%",
    ]
    assert len(lines) == 3
    assert rf"{tmp_path}/caf\udce9\n.png: " in lines[2]


@pytest.mark.parametrize("target", list(TARGETS), ids=lambda target: target.name)
def test_the_program_of_each_target_names_what_it_needs(tmp_path, target):
    config = ExportConfig(target=target, batch=1)
    path = write_script(
        tmp_path / "predict.py",
        model=tmp_path / config.file,
        preprocessing=preprocessing(),
        export_config=config,
    )
    text = path.read_text()
    runtime = {"onnx": "onnxruntime"}.get(target.name, target.name)
    assert f"Needs {runtime}, NumPy and Pillow" in text
    assert f"import {'torch' if target.name == 'executorch' else runtime}" in text
    assert config.file in text
    assert "allometry." not in text.partition('"""')[2].partition('"""')[2]  # nothing of ours is imported
    compile(text, "predict.py", "exec")


def test_a_program_is_written_in_one_step(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        program(tmp_path / "file", preprocessing())


# Which files there can be

POSSIBLE = {
    ("onnx", "float32"),
    ("onnx", "int8"),
    ("openvino", "float32"),
    ("openvino", "bfloat16"),
    ("openvino", "int8"),
    ("torch", "float32"),
    ("executorch", "float32"),
    ("ncnn", "float32"),
    ("ncnn", "float16"),
}
PRECISIONS = ("float32", "bfloat16", "float16", "int8")


@pytest.mark.parametrize(("target", "precision"), list(product(TARGETS, PRECISIONS)), ids=str)
@pytest.mark.parametrize("batch", [0, 2])
@pytest.mark.parametrize("any_size", [False, True])
def test_a_file_is_what_its_target_can_be_or_refused_in_a_sentence(target, precision, batch, any_size):
    fits = (batch or target.name != "executorch") and not (any_size and target.name in ("executorch", "ncnn"))
    options = {"target": target, "precision": precision, "batch": batch, "any_size": any_size}
    if (target.name, precision) in POSSIBLE and fits:
        config = ExportConfig(**options)
        assert config.file.startswith("model.")
        open_sides = 2 if any_size else 0
        assert len(config.dynamic_axes) == open_sides + (batch == 0)
    else:
        with pytest.raises(InputError, match=r"is delivered as|files have a fixed"):
            ExportConfig(**options)


@given(st.integers(0, 5), st.booleans(), st.booleans(), st.sampled_from([1, 3]))
def test_open_dimensions_are_the_batch_and_the_sides(batch, any_size, inside, channels):
    config = ExportConfig(batch=batch, any_size=any_size, normalize_inside=inside)
    example = example_of(preprocessing(channels=channels), config)
    assert example.dtype == (torch.uint8 if inside else torch.float32)
    assert example.shape[3 if inside else 1] == channels
    for axis in config.dynamic_axes:
        assert example.shape[axis] != channels or axis == 0
    assert (0 in config.dynamic_axes) == (batch == 0)
    assert len(example) == (batch or len(example))


@given(st.sampled_from([1, 3]), st.integers(1, 4))
def test_a_file_of_pixels_normalizes_as_training_does(channels, number):
    known = preprocessing(channels=channels)
    views = np.random.default_rng(number).integers(0, 256, (number, 8, 8, channels), np.uint8)
    inside = OfPixels(torch.nn.Identity(), known)(torch.from_numpy(views))
    assert torch.allclose(inside, to_input(views, known, torch.device("cpu")), atol=1e-5)


def picture_kinds():
    random = np.random.default_rng(3)
    color, deep = (
        random.integers(0, 256, (17, 23, 3), np.uint8),
        random.integers(0, 2**16, (17, 23), np.uint16),
    )
    image, exif = Image.fromarray(color), Image.Exif()
    exif[0x0112] = 6
    clear = image.convert("RGBA")
    clear.putalpha(Image.fromarray(color[:, :, 0]))
    palette = image.quantize(16)
    return {
        "color.png": (image, {}),
        "gray.png": (image.convert("L"), {}),
        "one-bit.png": (image.convert("1"), {}),
        "deep.png": (Image.fromarray(deep), {}),
        "deep.tif": (Image.fromarray(deep), {}),
        "palette.png": (palette, {}),
        "palette-clear.png": (palette, {"transparency": 3}),
        "clear.png": (clear, {}),
        "gray-clear.png": (clear.convert("LA"), {}),
        "cmyk.jpg": (image.convert("CMYK"), {"quality": 95}),
        "rotated.jpg": (image, {"exif": exif, "quality": 95}),
        "picture.webp": (clear, {"lossless": True}),
        "animated.gif": (palette, {"save_all": True, "append_images": [palette.rotate(90)]}),
        "picture.bmp": (image, {}),
        "picture.ppm": (image, {}),
    }


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", odd_kinds())
@pytest.mark.parametrize("levels", [None, (0, 4095)])
def test_the_program_reads_odd_files_as_the_library_does(tmp_path, name, channels, levels):
    (tmp_path / name).write_bytes(odd_kinds()[name])
    known = replace(preprocessing(channels=channels, resolution=11, crop=0.9), levels=levels)
    predict = program(tmp_path, known)
    ours = center_view(read_image(tmp_path / name, channels=channels, levels=levels), resolution=11, crop=0.9)
    assert np.abs(predict.view(tmp_path / name).astype(int) - ours.astype(int)).max() <= 3


@pytest.mark.parametrize("name", refused_kinds())
def test_what_the_library_refuses_the_program_refuses(tmp_path, name):
    (tmp_path / name).write_bytes(refused_kinds()[name])
    with pytest.raises(DataError, match=r"not supported|truncated"):
        read_image(tmp_path / name, channels=3)
    with pytest.raises((ValueError, OSError, SyntaxError, UserWarning)):
        program(tmp_path, preprocessing(channels=3)).view(tmp_path / name)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", picture_kinds())
def test_the_program_reads_every_kind_of_file_as_the_library_does(tmp_path, name, channels):
    image, options = picture_kinds()[name]
    path = tmp_path / name
    image.save(path, **options)
    predict = program(tmp_path, preprocessing(channels=channels, resolution=11, crop=0.9))
    ours = center_view(read_image(path, channels=channels), resolution=11, crop=0.9)
    # The library decodes JPEGs by another path, which may differ by a few levels.
    allowed = 3 if name.endswith(".jpg") else 1
    assert np.abs(predict.view(path).astype(int) - ours.astype(int)).max() <= allowed


def test_the_program_answers_for_what_it_can_read(tmp_path, monkeypatch, capsys):
    predict = program(tmp_path, preprocessing(classes=["a", "b"]))
    paths = [tmp_path / name for name in ("good.png", "broken.png", "none.png", "float.tif", "also.png")]
    for path in (paths[0], paths[4]):
        Image.new("L", (9, 9), 77).save(path)
    paths[1].write_bytes(paths[0].read_bytes()[:40])
    Image.fromarray(np.ones((9, 9), np.float32)).save(paths[3])
    answer = np.array([[1.0, 0.0]])
    monkeypatch.setattr(
        predict, "open_model", lambda _model: lambda inputs: np.repeat(answer, len(inputs), 0)
    )
    monkeypatch.setattr("sys.argv", ["predict.py", *map(str, paths)])
    assert predict.main() == 1
    out, err = capsys.readouterr()
    assert [line.partition(":")[0] for line in out.splitlines()] == [str(paths[0])] * 2 + [str(paths[4])] * 2
    assert [line.split(": ")[0] for line in err.splitlines()] == [
        f"Cannot read {path}" for path in paths[1:4]
    ]
