import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from allometry.arch import Head, MBConv, Network, Stage, Stem
from allometry.nn import build, class_activation_map
from allometry.reports.cam_overlays import color_bar, enlarged, layer_png, overlay, strength
from allometry.reports.cam_samples import choose_samples, explain_samples
from allometry.training import Predictions, Preprocessing, predict, to_input
from tests.images import CLASSES, shapes_dataset

GRAY = Preprocessing(channels=1, resolution=24, crop=1.0, mean=(0.2,), std=(0.3,), classes=CLASSES)
NETWORK = Network(
    stem=Stem(channels=8),
    stages=(Stage(block=MBConv(channels=8, stride=2)),),
    head=Head(channels=16, classes=3),
    in_channels=1,
    resolution=24,
)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def split():
    return shapes_dataset().splits["test"]


def answers(split, seed):
    probabilities = np.random.default_rng(seed).dirichlet([1, 1, 1], len(split)).astype(np.float32)
    return Predictions(np.asarray(split.labels), probabilities, np.zeros(len(split), np.float32))


def test_the_drawn_images_do_not_depend_on_the_network(split):
    first, second = (choose_samples(split, answers(split, seed)) for seed in (0, 1))
    assert first["drawn"] == second["drawn"]
    assert first["wrong"] != second["wrong"]
    assert {split.labels[place] for place in first["drawn"][:3]} == {0, 1, 2}


def test_the_surest_answers_are_shown_of_different_classes_first(split):
    said = answers(split, 0)
    chosen = choose_samples(split, said)
    right, sure = said.probabilities.argmax(1) == said.labels, said.probabilities.max(1)
    places = [place for group in chosen.values() for place in group]
    assert len(places) == len(set(places))
    for group, wanted in (("correct", True), ("wrong", False)):
        shown = chosen[group]
        assert all(right[place] == wanted for place in shown)
        others = [place for place in np.flatnonzero(right == wanted) if place not in chosen["drawn"]]
        assert len(shown) == min(6, len(others))
        assert shown[0] == max(others, key=lambda place: sure[place])
        assert len({said.labels[place] for place in shown[:3]}) == len(
            {said.labels[place] for place in others}
        )


def test_images_and_maps_are_those_of_the_images(split):
    module = build(NETWORK, seed=3).eval()
    said = predict(module, split, preprocessing=GRAY, device=CPU)
    samples = explain_samples(module, split, said, preprocessing=GRAY, device=CPU)
    for each in samples.explanations:
        place = split.names.index(each.image)
        assert each.digest == split.digest(place)
        assert each.truth == CLASSES[split.labels[place]]
        answer = int(said.probabilities[place].argmax())
        assert each.predicted == CLASSES[answer]
        batch = to_input(split.image(place)[None].copy(), GRAY, CPU)
        for name, number in (("map", answer), ("truth_map", int(split.labels[place]))):
            if getattr(each, name):
                expected = layer_png(class_activation_map(module, batch, [number])[0].numpy(), side=128)
                shown, wanted = (opened(data) for data in (base64.b64decode(getattr(each, name)), expected))
                # Another batch size may round the last bit otherwise.
                assert np.abs(shown.astype(int) - wanted).mean() < 1
        assert np.array_equal(
            opened(base64.b64decode(each.thumbnail)), enlarged(split.image(place), side=128)
        )


def opened(data):
    image = Image.open(io.BytesIO(data))
    return np.asarray(image.convert("RGBA" if image.mode == "P" else "RGB"))


def test_strength_is_the_evidence_for_the_class():
    spot = np.full((5, 5), -1.0, np.float32)
    spot[1, 3] = 4
    strong = strength(spot, side=50)
    assert strong.max() == 1
    assert strong.min() == 0
    assert np.unravel_index(strong.argmax(), strong.shape) in {(14, 34), (15, 35), (14, 35), (15, 34)}
    assert strength(-np.ones((3, 3), np.float32), side=6).max() == 0


def test_an_overlay_shows_the_image_where_nothing_speaks_for_the_class():
    pixels = np.full((64, 64, 3), 90, np.uint8)
    assert np.array_equal(overlay(pixels, -np.ones((4, 4), np.float32)), pixels)
    spot = np.zeros((4, 4), np.float32)
    spot[0, 0] = 1
    drawn = overlay(pixels, spot).astype(int)
    assert np.abs(drawn[:8, :8] - 90).max() > 80
    assert np.array_equal(drawn[40:, 40:], pixels[40:, 40:])


def test_a_cropped_view_is_framed_and_nothing_lies_outside():
    pixels = np.zeros((100, 100, 3), np.uint8)
    drawn = overlay(pixels, np.ones((3, 3), np.float32), crop=0.8)
    assert (drawn[:10] == 0).all()
    assert (drawn[10, 10:90] == 255).all()
    assert (drawn[50, 50] > 100).any()
    layer = opened(layer_png(np.ones((3, 3), np.float32), side=100, crop=0.8))
    assert (layer[:10, :, 3] == 0).all()
    assert (layer[12:88, 12:88, 3] > 150).all()


@pytest.mark.parametrize("shape", [(10, 30, 1), (300, 200, 3), (64, 64, 1)])
def test_any_image_becomes_a_square_in_color(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    shown = enlarged(pixels, side=64)
    assert shown.shape == (64, 64, 3)
    if shape[2] == 1:
        assert np.array_equal(shown[..., 0], shown[..., 2])


def test_colors_grow_lighter_with_the_evidence():
    light = color_bar(256, 1)[0, 60:].astype(float) @ [0.299, 0.587, 0.114]
    assert light[-1] > light[0] + 50
    assert (np.diff(light[::14]) > -1).mean() > 0.7
