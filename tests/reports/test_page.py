from __future__ import annotations

import json
import re
from dataclasses import asdict
from html.parser import HTMLParser
from pathlib import Path

import pytest

from allometry.base import InputError, RunFolderError
from allometry.cost import RuntimeConfig, count
from allometry.reports import write_report
from allometry.runs import read_run
from tests.run_folders import looks

SECTIONS = {
    "network": {"network.json"},
    "budget": {"network.json", "plan.json"},
    "growth": {"trials.jsonl"},
    "training": {"metrics.jsonl"},
    "accuracy": {"trials.jsonl"},
    "evaluation": {"evaluation.json"},
    "classes": {"evaluation.json"},
    "calibration": {"evaluation.json"},
    "looks": {"explain.json"},
    "mistakes": {"evaluation.json"},
    "delivery": {"export.json"},
    "cost": {"costs.jsonl"},
}
ALWAYS = {"asked", "next"}


class Page(HTMLParser):
    """What a browser would load and show."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self.shown: list[str] = []
        self._inside = ""
        self.feed(text)
        self.text = " ".join(" ".join(self.shown).replace("\u00a0", " ").split())

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag in {"script", "style"}:
            self._inside = tag
            getattr(self, f"{tag}s").append("")
        self.loads += [value for name, value in attrs if name in {"src", "srcset", "data", "poster"}]
        self.loads += [given["href"]] if tag in {"link", "base", "image", "use"} else []
        self.links += [given["href"]] if tag == "a" else []
        self.ids += [given["id"]] if "id" in given else []

    def handle_endtag(self, tag):
        self._inside = "" if tag == self._inside else self._inside

    def handle_data(self, data):
        if self._inside:
            getattr(self, f"{self._inside}s")[-1] += data
        else:
            self.shown.append(data)

    @property
    def sections(self) -> set[str]:
        return {name.removeprefix("run-") for name in self.ids} & (SECTIONS.keys() | ALWAYS)


def page_of(*folders: Path) -> Page:
    return Page(
        write_report([read_run(each) for each in folders], out=folders[0] / "report.html").read_text(
            encoding="utf-8"
        )
    )


def test_everything_has_its_section(make_run):
    page = page_of(make_run())
    assert page.sections == SECTIONS.keys() | ALWAYS
    assert len(page.ids) == len(set(page.ids))
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)


@pytest.mark.parametrize("file", sorted(set.union(*SECTIONS.values())))
def test_a_section_needs_its_file(make_run, file):
    page = page_of(make_run(only=[file]))
    alone = {name for name, needed in SECTIONS.items() if needed == {file}}
    cost = {"budget"} if file in {"network.json", "plan.json"} else set()
    # Its law makes the plan a part of the growth.
    law = {"growth"} if file == "plan.json" else set()
    assert page.sections == alone | cost | law | ALWAYS


def test_the_numbers_are_those_of_the_files(make_run):
    folder = make_run()
    text = page_of(folder).text
    network = read_run(folder).network
    assert network is not None
    cost = count(network)
    for expected in (
        "You asked for at most 10.0M MACs on icons, grown from efficientnet-b0.",
        "classifies 88.7 % (87.4 to 89.9) of 2,481 unseen test images correctly",
        f"{cost.macs:,} of at most 10,000,000 {cost.macs / 1e5:.1f} %",
        f"{cost.params:,}",
        "11,753: 7,901 train, 1,371 val, 2,481 test",
        "heart/broken.png not an image",
        "phi = 2",
        "Chosen: trial 4, with 54.0 %",
        "After epoch 4: 87.1 % of the validation images correct, validation loss 1.250, training loss 1.000.",
        "the network, full training (4 epochs)",
        "heart star 2 20.0 %",
        "For 97.0 % (96.2 to 97.6) the truth is among the five likeliest classes.",
        "Counting each class alike, whatever its size, the accuracy is 86.5 % (85.1 to 87.9).",
        "The loss is 0.451 (0.412 to 0.493).",
        "differ by 7.1 % (6.1 to 7.9 %) on average",
        "On 2,481 images chance alone gives 1.8 %",
        "So it is right more often than it says. Its Brier score is 0.158.",
        "0.0 % to 50.0 % 481 30.0 % 40.0 % 30.0 to 50.0",
        "star 9 99.9 % 67.6 to 100.0 80.0 % 88.9 %",
        "model.onnx was run beside the original on 256 images and gives the same class for every image.",
        "1.2e-06 in any output",
        "fit 1 min 00 s 30.0 % 12,000 200",
        "train 2 min 20 s 70.0 % 70,000 500",
        "allometry run --data icons --budget 'macs <= 10.0M' --baseline efficientnet-b0",
        f"allometry predict {folder} IMAGE",
    ):
        assert expected in text


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({"calibration_error": 0.02}, "taken at their word"),
        ({"accuracy": 0.6}, "less often than it says"),
        ({}, "more often than it says"),
    ],
)
def test_the_verdict_on_the_probabilities(make_run, change, verdict):
    folder = make_run()
    fields = json.loads((folder / "evaluation.json").read_text())
    (folder / "evaluation.json").write_text(json.dumps(fields | change))
    assert verdict in page_of(folder).text


def test_maps_lie_over_their_images_and_a_wrong_answer_has_that_of_the_truth(make_run):
    html = (write_report([read_run(make_run())], out=make_run("other") / "r.html")).read_text()
    section = html[html.index('id="run-looks"') : html.index('id="run-mistakes"')]
    assert section.count('class="layers"') == 3
    assert section.count("<img") == 2 + 3 * 2
    text = Page(section).text
    assert "heart → heart 81 %" in text
    assert "heart → star 81 % for heart 7 %" in text


def test_broken_maps_are_left_out(make_run):
    folder = make_run()
    fields = json.loads((folder / "explain.json").read_text())
    fields["explanations"][0]["map"] = "PHN2Zz4="
    (folder / "explain.json").write_text(json.dumps(fields))
    page = page_of(folder)
    assert "looks" in page.sections
    assert all(load.startswith("data:image/png;base64,iVBOR") for load in page.loads)


def test_runs_on_the_same_images_show_them_side_by_side(make_run):
    first, second = make_run(), make_run("second")
    other = looks(("heart", "star"), answer="moon")
    (second / "explain.json").write_text(json.dumps(other))
    page = page_of(first, second)
    assert "all-looks" in page.ids
    shared = page.text[page.text.index("What they look at") : page.text.index("These images were chosen")]
    assert "1 icons-10M" in shared
    assert "heart heart 81 % moon 81 %" in shared
    assert "star" not in shared
    for look in other["explanations"]:
        look["digest"] += " of other data"
    (second / "explain.json").write_text(json.dumps(other))
    assert "all-looks" not in page_of(first, second).ids


def test_tables_of_classes_sort_by_a_script_of_the_page_itself(make_run):
    page = page_of(make_run(only=["evaluation.json"]))
    assert "table.sortable" in page.scripts[-1]
    assert "fetch" not in page.scripts[-1]


def test_a_page_of_somebody_else_is_not_replaced(make_run, tmp_path):
    runs, page = [read_run(make_run())], tmp_path / "page.html"
    page.touch()
    first = write_report(runs, out=page).read_bytes()
    assert write_report(runs, out=page).read_bytes() == first
    page.write_text("<html>somebody's</html>")
    with pytest.raises(InputError, match=r"page\.html is not a page of ours"):
        write_report(runs, out=page)
    assert page.read_text() == "<html>somebody's</html>"


def test_the_stage_table_shows_what_changed(make_run):
    folder = make_run()
    text = page_of(folder).text
    record = read_run(folder)
    assert record.network is not None
    assert record.baseline is not None
    before, after = record.baseline.head.channels, record.network.head.channels
    assert before != after
    assert f"{before} → {after}" in text


def test_names_are_escaped(make_run):
    evil = "<script>alert('x')</script>"
    folder = make_run(classes=[evil, "a & b", '"quoted"', "<img src=x onerror=alert(1)>", "e", "f"])
    info = json.loads((folder / "run.json").read_text()) | {"name": evil, "device": "<b>fast</b>"}
    (folder / "run.json").write_text(json.dumps(info))
    page = page_of(folder)
    html = (folder / "report.html").read_text()
    assert evil not in html
    assert "onerror=alert" not in " ".join(page.loads)
    assert evil in page.text
    assert "<b>fast</b>" in page.text
    # In the figures' data not even a bracket survives that Plotly could read as markup.
    assert not any("alert(" in script and "<script" in script for script in page.scripts[1:])


@pytest.mark.parametrize("several", [False, True])
def test_the_page_loads_nothing(make_run, several):
    folders = [make_run(), make_run("second")] if several else [make_run()]
    page = page_of(*folders)
    assert all(load.startswith("data:image/png;base64,") for load in page.loads)
    assert all(link.startswith("#") for link in page.links)
    assert not any(re.search(r"@import|url\(|https?:", style) for style in page.styles)
    plotly, *figures = page.scripts
    assert len(plotly) > 1_000_000
    assert all(len(script) < 100_000 and not re.search(r"https?:", script) for script in figures)
    assert "default-src 'none'" in (folders[0] / "report.html").read_text()


def test_without_figures_there_is_no_javascript(make_run):
    assert page_of(make_run(only=["network.json"])).scripts == []


def test_the_same_folder_gives_the_same_bytes(make_run):
    folder = make_run()
    first = write_report([read_run(folder)], out=folder / "report.html").read_bytes()
    assert write_report([read_run(folder)], out=folder / "report.html").read_bytes() == first


def test_an_unfinished_run_says_so(make_run):
    text = page_of(make_run(only=["metrics.jsonl", "trials.jsonl"], finished=None)).text
    assert "This run has not finished." in text
    assert "There is no network yet." in text
    assert "Go on where it stopped allometry run --data icons" in text
    assert "allometry predict" not in text


def test_a_finished_run_does_not(make_run):
    assert "has not finished" not in page_of(make_run()).text


@pytest.mark.parametrize(("classes", "matrix"), [(2, True), (88, True), (201, False), (300, False)])
def test_few_classes_and_many(make_run, classes, matrix):
    page = page_of(make_run(classes=[f"class {index}" for index in range(classes)]))
    assert ("run-confusion-figure" in page.ids) == matrix
    assert ("would not be readable" in page.text) == (not matrix)
    assert "class 0 class 1 2 20.0 %" in page.text


def test_a_matrix_that_does_not_fit_its_classes_is_left_out(make_run):
    folder = make_run()
    fields = json.loads((folder / "evaluation.json").read_text())
    (folder / "evaluation.json").write_text(json.dumps(fields | {"confusion": [[1, 2]]}))
    page = page_of(folder)
    assert "run-confusion-figure" not in page.ids
    assert "88.7 %" in page.text


def test_a_broken_thumbnail_is_no_image(make_run):
    folder = make_run(only=["evaluation.json"])
    fields = json.loads((folder / "evaluation.json").read_text())
    fields["mistakes"][0]["thumbnail"] = "PHN2Zz4="
    (folder / "evaluation.json").write_text(json.dumps(fields))
    page = page_of(folder)
    assert page.loads == []
    assert "no image" in page.text


def test_the_heat_map_needs_four_trials(make_run):
    folder = make_run()
    file = folder / "trials.jsonl"
    assert "run-law-figure" in page_of(folder).ids
    file.write_text("\n".join(file.read_text().splitlines()[:3]))
    assert "run-law-figure" not in page_of(folder).ids


def test_over_the_limit_is_said(make_run):
    folder = make_run()
    limits = [{"measure": "macs", "most": 1_000_000}, {"measure": "latency", "most": 0.02}]
    plan = json.loads((folder / "plan.json").read_text())
    plan |= {"budget": limits, "measured": asdict(RuntimeConfig())}
    plan["cost"]["latency"] = 0.01731
    (folder / "plan.json").write_text(json.dumps(plan))
    text = page_of(folder).text
    assert "over the limit of 1.00M" in text
    assert "17.3 ms of at most 20 ms 86.5 %" in text
    assert "latency 17.3 ms 86.5 % of the limit" in text
    assert "what the network took in onnxruntime, 1 thread" in text


def test_several_runs_are_compared_first(make_run):
    first, second = make_run(), make_run("second", only=["network.json", "metrics.jsonl"])
    page = page_of(first, second)
    assert (
        page.text.index("2 runs compared") < page.text.index("All runs") < page.text.index("Learning curves")
    )
    assert {"all-macs-figure", "all-params-figure", "run-1", "run-2", "run-2-loss-figure"} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert re.search(r"1 icons-10M icons 64 [\d,]+ [\d,]+ test 88.7 % 87.4 to 89.9 3 min 20 s", page.text)
    assert re.search(r"2 second icons 64 [\d,]+ [\d,]+ validation 87.1 %", page.text)


def test_runs_on_different_data_do_not_compare(make_run):
    first, second = make_run(), make_run("second")
    data = json.loads((second / "data.json").read_text()) | {"name": "birds"}
    (second / "data.json").write_text(json.dumps(data))
    assert "on different data (birds and icons)" in page_of(first, second).text


def test_runs_without_anything_compare_too(make_run):
    page = page_of(make_run(only=[]), make_run("second", only=[]))
    assert page.scripts == []
    assert "There is no network yet." in page.text


def test_no_folder_says_what_to_do(tmp_path: Path):
    with pytest.raises(RunFolderError, match="No run folder was given"):
        write_report([], out=tmp_path / "report.html")
