"""The pieces that pages are made of: words, markup, axes, charts, and activation maps as colors."""

import io
import json
import math
import re
from datetime import datetime
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from allometry.base import StorageError
from allometry.cost.measures import recorded_measure
from allometry.reports import markup, words
from allometry.reports.cam_grids import Caption, Tile, grid, save_image
from allometry.reports.cam_overlays import color_bar, enlarged, image_png, layer_png, overlay, strength
from allometry.reports.charts import learning_curve
from allometry.reports.confusion import confused_pairs
from allometry.reports.export import phase_costs
from allometry.reports.figures import axis, figure, legend, log_axis, scale_legend, shades, side_by_side
from allometry.reports.markup import Column, Html, Row, Section, bar, element, joined, number, table
from allometry.reports.scatter import Point, PointGroup, accuracy_against
from allometry.runs import CostEntry

texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=12)
shares = st.floats(0, 1)


class Tags(HTMLParser):
    """What opens, what closes, and the text between."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.opened: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):  # noqa: ARG002
        self.opened.append(tag)
        if tag not in ("img", "meta", "br", "path", "circle"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in ("path", "circle"):
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


# Words


@given(shares, st.integers(0, 3))
def test_shares_are_percent_with_a_space_that_does_not_break(share, digits):
    text = words.percent(share, digits=digits)
    assert text.endswith("\u00a0%")
    assert float(text[:-2]) == pytest.approx(100 * share, abs=0.5 * 10**-digits + 1e-9)
    low, high = words.percent_range((share / 2, share)).split(" to ")
    assert float(low) <= float(high)


@given(st.integers(0, 10**15))
def test_whole_numbers_have_their_thousands_apart(value):
    assert words.whole(value).replace(",", "") == str(value)
    assert all(len(group) <= 3 for group in words.whole(value).split(","))
    assert words.whole(None) == words.decimal(None) == ""
    assert words.networks_in(value) == (
        words.whole(value) if value < 10**6 else f"about 10^{len(str(value)) - 1}"
    )


@given(st.lists(texts.filter(lambda text: "," not in text and " and " not in text), max_size=5))
def test_a_list_reads_as_a_sentence(parts):
    text = words.listed(parts)
    assert text.count(" and ") == (len(parts) > 1)
    if parts:
        assert text.replace(" and ", ", ").split(", ") == parts or ", " in "".join(parts)


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2100, 1, 1)))
def test_moments_are_written_to_the_minute(when):
    assert words.moment(when.isoformat()) == f"{when:%Y-%m-%d %H:%M}"
    assert words.moment(f"{when.isoformat()}+00:00").endswith(" UTC")


@pytest.mark.parametrize(
    ("measure", "value", "short", "long"),
    [
        ("macs", 9_876_543, "9.88M", "9.88M MACs"),
        ("params", 5_000, "5.00k", "5.00k parameters"),
        ("activations", 12, "12", "12 activations"),
        ("memory", 5e6, "5.00MB", "5.00MB of memory"),
        ("latency", 0.02, "20 ms", "20 ms of latency"),
        ("energy", 7, "7", "7 energy"),
    ],
)
def test_costs_are_written_with_their_units(measure, value, short, long):
    assert recorded_measure(measure).format(value) == short
    assert recorded_measure(measure).describe(value) == long


def test_what_is_no_moment_stays():
    assert words.moment("yesterday") == "yesterday"
    assert words.moment(None) == words.moment("") == ""


# Markup


@given(st.lists(texts, max_size=4), texts)
def test_text_is_escaped_once_and_html_is_kept(children, value):
    html = element("p", *children, title=value, data_name=None)
    tags = Tags(html)
    assert (tags.open, tags.opened) == ([], ["p"])
    assert tags.text == "".join(children)
    assert isinstance(html, Html)
    assert Tags(element("div", html)).text == tags.text
    assert unescape(re.search(r'title="(.*?)"', html, re.DOTALL)[1]) == value
    assert "data-name" not in html
    assert joined(children, "|") == "|".join(map(markup.escaped, children))


def test_attributes_are_pythons_words_with_hyphens():
    assert (
        element("img", src="a&b", class_="x", aria_label="y")
        == '<img src="a&amp;b" class="x" aria-label="y">'
    )
    assert element("br") == "<br>"


@given(st.integers(1, 9), st.integers(0, 4), st.booleans())
def test_a_table_has_a_cell_for_each_column_of_each_row(columns, rows, sortable):
    heads = [number(f"n{place}") if place % 2 else Column(f"c{place}") for place in range(columns)]
    lines = [Row([f"{row}<{place}" for place in range(columns)], marked=row == 1) for row in range(rows)]
    html = table(heads, lines, footer=lines[:1], sortable=sortable)
    tags = Tags(html)
    assert tags.open == []
    assert tags.opened.count("th") == columns
    assert tags.opened.count("td") == columns * (rows + (rows > 0))
    assert tags.opened.count("tfoot") == (rows > 0)
    assert html.count('class="marked"') == (rows > 1)
    assert ("wide" in html) == (columns >= 7)
    assert ("sortable" in html) == sortable
    with pytest.raises(ValueError, match="zip"):
        table(heads, [Row(["too few"] * (columns + 1))])


@given(st.floats(-2, 3))
def test_a_bar_is_never_longer_than_its_cell(share):
    length = float(re.search(r"--share:([\d.]+)%", bar(share, "x"))[1])
    assert 0 <= length <= 100
    assert length == pytest.approx(100 * min(max(share, 0), 1), abs=0.01)


def test_facts_details_notes_and_sections_close_what_they_open():
    parts = [
        markup.facts([("name", "a<b"), ("size", "3")]),
        markup.details("more", "text"),
        markup.note("n", element("b", "m")),
    ]
    html = Section("training", "The training", parts).html(prefix="run")
    tags = Tags(html)
    assert tags.open == []
    assert tags.opened.count("dt") == tags.opened.count("dd") == 2
    assert html.startswith('<section id="run-training"><h2>The training</h2>')


# Figures


def plotted(html: str) -> tuple[list, dict]:
    """The traces and the layout that a figure hands to Plotly."""
    body = re.search(r"Plotly\.newPlot\((.*?)\)\s*};", html, re.DOTALL)[1]
    decoder, place, found = json.JSONDecoder(), 0, []
    while place < len(body):
        if body[place] in " \n,":
            place += 1
            continue
        value, place = decoder.raw_decode(body, place)
        found.append(value)
    return found[1], found[2]


def test_a_figure_has_its_name_its_label_and_its_own_layout():
    trace = {"type": "bar", "x": [1, 2], "y": [3, 4]}
    html = figure("mine", [trace], height=77, label="a < b", xaxis=axis("x", nticks=3))
    assert 'id="mine-figure"' in html
    assert 'role="img" aria-label="a &lt; b"' in html
    traces, layout = plotted(html)
    assert traces == [trace]
    assert (layout["height"], layout["xaxis"]["nticks"], layout["xaxis"]["title"]["text"]) == (77, 3, "x")
    assert layout["showlegend"] is False


@given(st.lists(st.floats(1e-3, 1e13), min_size=1, max_size=5))
def test_ticks_of_a_logarithmic_axis_rise_within_its_range(values):
    drawn = log_axis("MACs", values)
    low, high = drawn["range"]
    ticks = drawn["tickvals"]
    assert ticks == sorted(ticks)
    assert all(low <= math.log10(tick) <= high for tick in ticks)
    assert len(drawn["ticktext"]) == len(ticks)


def test_legends_show_a_mark_for_each_meaning():
    html = legend([("circle", "#000000", "one & two"), ("dashes", "#ffffff", "three")])
    assert html.count("<svg") == 2
    assert "one &amp; two" in html
    assert "stroke-dasharray" in html
    assert scale_legend([("#123456", "few")]).count("--color:#123456") == 1
    assert side_by_side(Html("<i></i>"), Html("<b></b>")) == '<div class="pair"><i></i><b></b></div>'
    assert shades("#102030") == [[0, "rgba(16,32,48,0.14)"], [1, "rgba(16,32,48,1)"]]


class Epoch:
    def __init__(self, epoch: int, train: float | None, val: float | None) -> None:
        self.epoch, self.train, self.val = epoch, train, val


def test_a_learning_curve_leaves_out_what_is_not_known():
    epochs = [Epoch(1, 0.5, None), Epoch(2, 0.6, 0.55), Epoch(3, 0.7, None), Epoch(4, 0.8, 0.65)]
    html = learning_curve(
        "c", epochs, of="accuracy", train=lambda each: each.train, val=lambda each: each.val, in_percent=True
    )
    (train, val), layout = plotted(html)
    assert (train["x"], train["y"]) == ([1, 2, 3, 4], [50, 60, 70, 80])
    assert (val["x"], val["y"]) == ([2, 4], [55, 65])
    assert (train["mode"], val["mode"]) == ("lines", "lines+markers")
    assert layout["yaxis"]["ticksuffix"] == " %"


def test_points_have_error_bars_where_an_interval_is_known():
    groups = [
        PointGroup(
            meaning="runs",
            glyph="circle",
            color="#000000",
            size=9,
            points=[
                Point(cost=1e6, accuracy=0.5, hover="a", interval=(0.4, 0.7)),
                Point(cost=2e6, accuracy=0.6, hover="b"),
            ],
        ),
        PointGroup(
            meaning="subnets",
            glyph="circle-open",
            color="#000000",
            size=9,
            points=[Point(cost=3e6, accuracy=0.7, hover="c")],
        ),
    ]
    (runs, subnets), layout = plotted(accuracy_against("p", groups, cost="MACs", accuracy="accuracy"))
    assert runs["error_y"]["array"] == [20, 0]
    assert runs["error_y"]["arrayminus"] == [10, 0]
    assert "error_y" not in subnets
    assert (runs["marker"]["line"]["width"], subnets["marker"]["line"]["width"]) == (0, 2)
    assert layout["xaxis"]["type"] == "log"


@given(
    st.integers(2, 5).flatmap(lambda size: arrays.arrays(np.int64, (size, size), elements=st.integers(0, 9))),
    st.integers(1, 30),
)
def test_confused_pairs_are_all_mistakes_in_order(matrix, most):
    names = [f"class {place}" for place in range(len(matrix))]
    pairs = confused_pairs(names, matrix.tolist(), most=most)
    off = matrix - np.diag(np.diag(matrix))
    assert len(pairs) == min(most, np.count_nonzero(off))
    assert [pair.images for pair in pairs] == sorted(off[off > 0].tolist(), reverse=True)[:most]
    for pair in pairs:
        truth, predicted = names.index(pair.truth), names.index(pair.predicted)
        assert pair.images == matrix[truth, predicted]
        assert pair.fraction == pytest.approx(pair.images / matrix[truth].sum())


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 100), st.integers(0, 1000)), max_size=9))
def test_costs_are_summed_by_phase_in_the_order_of_their_beginnings(entries):
    found = phase_costs(
        [
            CostEntry(phase=phase, name="", seconds=seconds, images=images, device="cpu")
            for phase, seconds, images in entries
        ]
    )
    assert [each.phase for each in found] == list(dict.fromkeys(phase for phase, *_ in entries))
    for each in found:
        mine = [(seconds, images) for phase, seconds, images in entries if phase == each.phase]
        assert each.seconds == pytest.approx(sum(seconds for seconds, _ in mine))
        assert each.images == sum(images for _, images in mine)


# Activation maps

maps = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 7), st.integers(1, 7)), elements=st.floats(-4, 4, width=32)
)


@settings(max_examples=50)
@given(maps, st.integers(4, 32))
@example(np.full((1, 1), 1e-45, np.float32), 6)
def test_the_strongest_place_of_a_map_is_one_and_what_speaks_against_is_nothing(evidence, side):
    strong = strength(evidence, side=side)
    assert strong.shape == (side, side)
    assert strong.dtype == np.float32
    assert strong.min() >= 0
    assert strong.max() == (1 if strong.any() else 0)
    assert not strength(-np.abs(evidence), side=side).any()
    assert np.allclose(strength(2 * evidence, side=side), strong, atol=1e-5)


@settings(max_examples=50)
@given(maps, st.sampled_from([0.5, 0.875, 1.0]))
def test_an_overlay_leaves_what_the_network_did_not_see(evidence, crop):
    pixels = np.full((32, 32, 3), 100, np.uint8)
    drawn = overlay(pixels, evidence, crop=crop)
    assert drawn.shape == pixels.shape
    edge = (32 - round(32 * crop)) // 2
    if edge:
        assert (drawn[:edge] == 100).all()
        assert (drawn[:, :edge] == 100).all()
        assert (drawn[edge, edge:-edge] == 255).all()  # the frame
    if not (evidence > 0).any():
        inner = slice(edge + 1, 32 - edge - 1)
        assert (drawn[inner, inner] == 100).all()


@pytest.mark.parametrize(
    ("height", "width", "channels"), [(20, 30, 1), (30, 20, 3), (5, 5, 3), (300, 200, 1)]
)
def test_images_are_cut_to_their_middle_square(height, width, channels):
    pixels = np.zeros((height, width, channels), np.uint8)
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    pixels[top : top + side, left : left + side] = 200
    large = enlarged(pixels, side=64)
    assert large.shape == (64, 64, 3)
    assert (large == 200).all()


def test_a_tiny_image_shows_its_pixels():
    board = (np.indices((4, 4)).sum(0) % 2 * 255).astype(np.uint8)[..., None]
    assert set(np.unique(enlarged(board, side=64))) == {0, 255}
    assert len(np.unique(enlarged(board, side=10))) > 2  # not much larger: it is smoothed


@given(maps)
@settings(max_examples=20)
def test_a_layer_is_a_small_png_that_is_see_through(evidence):
    from PIL import Image

    with Image.open(io.BytesIO(layer_png(evidence, side=24, crop=0.5))) as image:
        assert image.size == (24, 24)
        alpha = np.asarray(image.convert("RGBA"))[..., 3]
    assert not alpha[:6].any()
    assert alpha.any() == bool((strength(evidence, side=12) > 0.15).any()) or alpha.max() < 40


def test_images_without_color_take_one_channel():
    from PIL import Image

    gray, color = np.full((4, 4, 3), 7, np.uint8), np.zeros((4, 4, 3), np.uint8)
    color[..., 0] = 9
    modes = []
    for pixels in (gray, color, gray[..., :1]):
        with Image.open(io.BytesIO(image_png(pixels))) as image:
            modes.append(image.mode)
            assert np.array_equal(np.asarray(image.convert("RGB")), np.broadcast_to(pixels, (4, 4, 3)))
    assert modes == ["L", "RGB", "L"]
    assert color_bar(50, 4).shape == (4, 50, 3)
    assert (color_bar(50, 4)[:, 0] == 200).all()


@pytest.mark.parametrize(("columns", "rows"), [(1, 1), (3, 2)])
def test_a_grid_holds_its_tiles(tmp_path, columns, rows):
    tiles = [
        [
            Tile(
                np.full((64, 64, 3), 10 * (1 + row + columns * column), np.uint8), Caption(f"{row}", "x" * 99)
            )
            for column in range(columns)
        ]
        for row in range(rows)
    ]
    pixels = grid([Caption("head", "below")] * columns, tiles, scale=Caption("weak", "strong"))
    for line in tiles:
        for tile in line:
            assert (pixels == tile.pixels[0, 0, 0]).all(2).sum() >= 64 * 64
    path = save_image(pixels, tmp_path / "grid.png")
    assert path.read_bytes()[1:4] == b"PNG"
    with pytest.raises(StorageError):
        save_image(pixels, path / "below.png")
