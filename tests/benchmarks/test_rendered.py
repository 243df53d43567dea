"""Rendered images: the same seed gives the same ones, and no foundry is in two splits."""

from collections import Counter

import numpy as np
import pytest
import rendered
import rendered_fonts
from PIL import ImageFont

FONTS = rendered_fonts.fonts_folder()
CHARACTERS = tuple("ABCDEFG")


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Two foundries that both have the letters of Pillow's own font."""
    file = tmp_path_factory.mktemp("fonts") / "letters.ttf"
    file.write_bytes(ImageFont.load_default(16).font_bytes)
    return rendered_fonts.Face("one", file), rendered_fonts.Face("other", file)


def drawn(faces, **changes):
    given = {"split": "train", "number": 28, "size": 24, "seed": 3} | changes
    return rendered.render(faces, CHARACTERS, **given)


def test_an_image_depends_on_its_seed_and_place_alone(faces):
    whole = drawn(faces)
    assert whole.images.shape == (28, 24, 24, 3)
    assert np.array_equal(drawn(faces, number=9).images, whole.images[:9])
    for changes in ({"seed": 4}, {"split": "test"}, {"hardness": 0.1}):
        assert not np.array_equal(drawn(faces, **changes).images[0], whole.images[0])


def test_characters_are_as_frequent_and_foundries_nearly_so(faces):
    made = drawn(faces, number=140)
    assert set(Counter(made.labels.tolist()).values()) == {20}
    assert min(Counter(made.foundries).values()) > 50


def test_a_character_is_larger_than_the_disturbances_and_images_are_never_blank(faces):
    assert drawn(faces, size=32, hardness=0).images.std(axis=(1, 2)).max(axis=1).min() > 8


def test_the_smallest_characters_can_be_larger(faces):
    def ink(smallest):
        # A plain ground would make this exact; the texture's spread is small beside the character's.
        return drawn(faces, number=70, hardness=0, smallest=smallest).images.std(axis=(1, 2)).mean()

    assert ink(0.9) > 1.2 * ink(0.3)


def test_what_cannot_be_rendered_is_told(faces):
    for changes in ({"size": 4}, {"hardness": 1.5}, {"smallest": 0}):
        with pytest.raises(SystemExit, match="A size of 8 px or more"):
            drawn(faces, **changes)


def test_no_foundry_is_in_two_splits_and_every_license_is_open():
    splits = {}
    for family in rendered_fonts.FAMILIES:
        splits.setdefault(family.foundry, set()).add(family.split)
        assert family.license in (rendered_fonts.OFL, rendered_fonts.APACHE)
    assert all(len(own) == 1 for own in splits.values())
    assert len([own for own in splits.values() if own == {"test"}]) >= 7


def test_missing_fonts_are_told_with_the_command_that_brings_them(tmp_path):
    with pytest.raises(SystemExit, match=r"python benchmarks/rendered_fonts.py --fonts"):
        rendered_fonts.faces(tmp_path, "val")


@pytest.mark.skipif(
    not rendered_fonts.is_complete(FONTS), reason="the open fonts are not in ALLOMETRY_FONTS or runs/fonts"
)
def test_a_data_set_has_the_foundries_of_its_fonts_as_groups():
    data = rendered.rendered(FONTS, size=16, classes=5, images=(40, 10, 20), seed=1)
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 40, "val": 10, "test": 20}
    groups = {name: set(split.groups) for name, split in data.splits.items()}
    assert groups["train"].isdisjoint(groups["test"] | groups["val"])
    assert groups["val"].isdisjoint(groups["test"])
    with pytest.raises(SystemExit, match="share"):
        rendered_fonts.characters(FONTS, 5000)
