import numpy as np
import pytest
import torch
from PIL import Image

import allometry as al
from allometry.arch import Head, MBConv, Network, Stage, Stem
from allometry.base import DataError, InputError
from allometry.nn import Conventions, build, save_pretrained

COLORS = ("red", "green", "blue", "white")
TINY = Network(
    name="tiny",
    stem=Stem(channels=8),
    stages=(Stage(block=MBConv(channels=8, stride=2)),),
    head=Head(channels=16, classes=4),
    resolution=24,
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    file = tmp_path_factory.mktemp("weights") / "w.safetensors"
    save_pretrained(build(TINY, seed=1), file, Conventions(classes=COLORS))
    return {"network": TINY, "pretrained": file}


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 30, 3), np.uint8)).save(path)
    return path


def test_a_file_an_image_an_array_and_a_tensor_are_the_same_to_it(weights, picture):
    image = Image.open(picture)
    array = np.array(image)
    tensor = torch.from_numpy(array).permute(2, 0, 1)
    by_file = al.predict(images=picture, **weights)[0]
    for value in (
        str(picture),
        image,
        array,
        tensor,
        tensor.float() / 255,
        [image],
        array[None],
        tensor[None],
    ):
        (one,) = al.predict(images=value, **weights)
        assert one.classes == by_file.classes
    assert by_file.image == str(picture)
    assert al.predict(images=[array, image], **weights)[1].image == "image 1"


def test_what_a_prediction_says(weights, picture):
    answers = al.predict(images=[picture] * 3, top=2, **weights)
    one = answers[0]
    assert len(answers) == 3
    assert len(one.classes) == 2
    assert one.best in COLORS
    assert one.probability == one.classes[0].probability > one.classes[1].probability
    assert sum(
        probability for _, probability in al.predict(images=picture, **weights)[0].classes
    ) == pytest.approx(1)
    assert one.best in repr(one)
    assert repr(answers).startswith(f"Predictions(3 images: {one.best}")
    assert answers.to_dict()["predictions"][0]["classes"][0] == {
        "name": one.best,
        "probability": one.probability,
    }
    assert one.best in answers._repr_html_()
    assert answers[1:].predictions == answers.predictions[1:]


def test_many_images_are_predicted_in_parts_and_in_order(weights):
    images = np.random.default_rng(0).integers(0, 255, (70, 24, 24, 3), np.uint8)
    answers = al.predict(images=images, **weights)
    assert len(answers) == 70
    for place in (0, 63, 64, 69):
        alone = al.predict(images=images[place], **weights)[0]
        assert alone.best == answers[place].best
        assert alone.probability == pytest.approx(answers[place].probability, abs=1e-5)


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"network": "efficientnet-b0"}, InputError, "go together"),
        ({}, InputError, "Give a run, or a network"),
        ({"run": "x", "crop": 0.5}, InputError, "crop goes with network"),
        ({"run": "runs/none"}, InputError, "is no run folder"),
        ({"run": "x", "top": 0}, InputError, "top must be at least 1"),
    ],
)
def test_mistakes_in_the_arguments(arguments, error, says):
    with pytest.raises(error, match=says):
        al.predict(images=np.zeros((24, 24, 3), np.uint8), **arguments)


@pytest.mark.parametrize(
    ("images", "says"),
    [
        ([], "No image is given"),
        ("none.png", "none.png"),
        (np.zeros((24, 24, 3)), "float64 array"),
        ([7], "image 0 is of the type int"),
        (torch.full((3, 24, 24), 2.0), "between 0 and 1"),
    ],
)
def test_mistakes_in_the_images(weights, images, says):
    with pytest.raises(DataError, match=says):
        al.predict(images=images, **weights)


def test_a_crop_above_1(weights, picture):
    with pytest.raises(InputError, match="above 0"):
        al.predict(images=picture, crop=2, **weights)


def test_explain_draws_values_too(weights, picture, tmp_path):
    image = Image.open(picture)
    maps = al.explain(images=[picture, image], out=tmp_path / "maps", **weights)
    assert [one.image for one in maps] == [str(picture), "image 1"]
    assert maps[0].predicted == al.predict(images=picture, **weights)[0].best
    assert (maps[0].map == maps[1].map).all()
    assert {path.name for path in (tmp_path / "maps").iterdir()} == {
        "noise-tiny.png",
        "image-1-tiny.png",
        "explain.png",
    }
    assert "base64" in maps._repr_html_()
    assert maps.to_dict()["explanations"][0]["class"] == maps[0].explained
    assert repr(maps[0]).startswith(f"ClassMap(tiny on {picture}: ")
    asked = al.explain(images=image, class_name="blue", out=tmp_path / "blue", **weights)
    assert asked[0].explained == "blue"
    with pytest.raises(InputError, match="Give a run, or a network"):
        al.explain(images=image)


def test_one_broken_image_does_not_lose_the_answers_of_the_others(weights, picture, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(picture.read_bytes()[:60])
    answers = al.predict(images=[picture, broken, tmp_path / "none.jpg", picture], **weights)
    assert [bool(one.error) for one in answers] == [False, True, True, False]
    assert answers[0].classes == answers[3].classes == al.predict(images=picture, **weights)[0].classes
    assert "broken.png" in answers[1].error
    assert answers[1].classes == ()
    assert [one.image for one in answers.failed] == [str(broken), str(tmp_path / "none.jpg")]
    assert answers.to_dict()["predictions"][2]["error"] == answers[2].error
    assert "none.jpg" in repr(answers)
    assert "broken.png" in answers._repr_html_()
    with pytest.raises(DataError, match=r"broken\.png"):
        al.predict(images=broken, **weights)


def test_images_that_show_hardly_anything_are_told(weights, picture, tmp_path):
    dark = tmp_path / "dark.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 1024, (40, 30)).astype(np.uint16)).save(dark)
    good, odd = al.predict(images=[picture, dark], **weights)
    assert (good.remark, odd.error) == ("", "")
    assert odd.classes
    assert "of 255, so that the answer means little" in odd.remark
    assert "remark" in odd.to_dict()
    assert "remark" not in good.to_dict()


def test_folders_stand_for_the_images_in_them(weights, picture, tmp_path):
    for name in ("b/2.png", "a.png", "b/c/1.jpg", "b/.hidden.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.open(picture).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    names = [str(tmp_path / name) for name in ("a.png", "b/2.png", "b/c/1.jpg")]
    assert [one.image for one in al.predict(images=tmp_path, **weights)] == names
    assert [one.image for one in al.predict(images=[picture, tmp_path / "b"], **weights)] == [
        str(picture),
        *names[1:],
    ]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="There is no image in the folder"):
        al.predict(images=tmp_path / "empty", **weights)
