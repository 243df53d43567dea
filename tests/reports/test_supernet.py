"""The page about a supernet and about a subnet that was taken out of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from allometry.cost import count
from allometry.reports import write_report
from allometry.runs import read_run

from .supernets import (
    JUDGED,
    epochs_of,
    found_subnet,
    small_space,
    write_extracted,
    write_found,
    write_supernet,
)
from .test_figures import _arguments
from .test_page import Page, page_of

OWN = {"supernet", "predictor", "subnets"}


def own_sections(page: Page) -> set[str]:
    return {name.removeprefix("run-") for name in page.ids} & (
        OWN | {"origin", "budget", "network", "training"}
    )


def figures_of(*folders: Path) -> dict[str, tuple[list, dict]]:
    page = write_report([read_run(each) for each in folders], out=folders[0] / "report.html").read_text()
    found = {}
    for body in re.findall(r"Plotly\.newPlot\((.*?)\)\s*};", page, flags=re.DOTALL):
        name, traces, layout, _ = _arguments(body)
        found[name.removesuffix("-figure")] = (traces, layout)
    return found


def test_the_numbers_are_those_of_the_files(tmp_path):
    folder = write_supernet(tmp_path / "net")
    text = page_of(folder).text
    space = small_space()
    largest, smallest = count(space.largest()), count(space.smallest())
    last = epochs_of(space, "shrinking")[-1]
    for expected in (
        "You asked for one set of weights for all networks of efficientnet-b0,",
        f"{100 * last['largest']:.1f} % of the validation images correctly",
        "2 subnets were found for budgets so far.",
        f"largest 64 {space.largest().depth} {largest.params:,} {largest.macs:,} {largest.activations:,}",
        f"smallest 32 {space.smallest().depth} {smallest.params:,} {smallest.macs:,} {smallest.activations:,}",
        f"Its weights hold {space.size:,} networks.",
        "1 largest resolution 1 labels 3 100 % 72.0 % 62.0 %",
        "2 kernel kernel 1 labels, largest network 2 40 %",
        "Fitted to 40 measured subnets, it was judged by 20 others, on images that it was not fitted to: Kendall's tau "
        "is 0.80",
        "about 90 % of the pairs in the order that these images show",
        "off by 0.52 points on average, 0.11 too high taken all together",
        "8 subnets were measured on 1,371 validation images, none of them trained by itself.",
        "macs-2.00M macs <= 2.00M 64 123k 1.90M 71.0 % 70.2 % 69.4 % 67.5 to 71.2",
        "latency-1.5ms latency <= 1.5 ms 64 123k 2.50M 1.48 ms 1.41 ms 71.0 %",
        "Latencies are those in onnxruntime, 1 thread.",
        "The front of accuracy against MACs: 2 subnets",
        "look 30 s 25.0 % 8,000 267",
        "cost 2 min 00 s the training 1 min 30 s of it",
        "The largest network, stage by stage",
        "allometry supernet train efficientnet-b0 --data icons --phases shrinking",
        f"allometry supernet search {folder} --front macs",
        f"allometry supernet extract {folder} latency-1.5ms",
    ):
        assert expected in text
    assert "One that knew how good the subnets are would have about 0.85" in text
    assert "asks for a tau" not in text


def test_before_a_search_there_is_only_the_training(tmp_path):
    page = page_of(write_supernet(tmp_path / "net", searched=False))
    assert own_sections(page) == {"supernet", "network"}
    assert "cost 1 min 30 s the training" in page.text
    assert "supernet extract" not in page.text


def test_while_it_trains_it_says_how_far_it_is(tmp_path):
    folder = write_supernet(tmp_path / "net", searched=False, finished=None)
    metrics = folder / "metrics.jsonl"
    metrics.write_text("\n".join(metrics.read_text().splitlines()[:4]))
    text = page_of(folder).text
    assert "This run has not finished." in text
    assert "1 of 2" in text
    assert "0 of 2" in text


def test_no_epoch_is_drawn_twice_and_each_phase_has_its_own_smallest(tmp_path):
    folder = write_supernet(tmp_path / "net")
    metrics = folder / "metrics.jsonl"
    again = json.loads(metrics.read_text().splitlines()[-1]) | {"largest": 0.25}
    metrics.write_text(metrics.read_text() + json.dumps(again) + "\n")
    epochs = epochs_of(small_space(), "shrinking")
    (largest, smallest), layout = figures_of(folder)["run-phases"]
    assert largest["x"] == list(range(1, len(epochs) + 1))
    assert largest["y"][-1] == 25
    phases = len({each["phase"] for each in epochs})
    assert smallest["y"].count(None) == phases - 1
    assert [each["text"] for each in layout["annotations"]] == [str(phase) for phase in range(1, phases + 1)]
    assert len(layout["shapes"]) == phases // 2


@pytest.mark.parametrize(
    ("plan", "learns"),
    [
        ("sandwich", "4 (sandwich) labels, largest of the step"),
        ("bignas", "4 (sandwich, each its own size) largest of the step; itself labels"),
    ],
)
def test_one_phase_needs_no_marks(tmp_path, plan, learns):
    folder = write_supernet(tmp_path / "net", plan=plan)
    traces, layout = figures_of(folder)["run-phases"]
    assert layout["shapes"] == layout["annotations"] == []
    assert len(traces[1]["x"]) == 3
    assert learns in page_of(folder).text


def test_plotly_accepts_the_figures(tmp_path):
    from plotly.graph_objects import Figure

    figures = figures_of(write_supernet(tmp_path / "net"))
    assert figures.keys() == {"run-phases", "run-predicted", "run-subnets"}
    for traces, layout in figures.values():
        Figure(data=traces, layout=layout)
    diagonal, points = figures["run-predicted"][0]
    assert diagonal["x"] == diagonal["y"]
    assert points["x"] == [66, 70]
    assert points["error_y"]["array"] == [1.2, 0.8]
    measured, front, found = figures["run-subnets"][0]
    assert [len(trace["x"]) for trace in (measured, front, found)] == [8, 2, 2]


def test_a_predictor_that_is_not_to_be_trusted(tmp_path):
    folder = write_supernet(tmp_path / "net")
    (folder / "predictor.json").write_text(json.dumps(JUDGED | {"tau": 0.3, "bins": []}))
    page = page_of(folder)
    assert "without that chance the predictor's own would be about 0.31" in page.text
    assert "A search asks for a tau of 0.6 without that chance unless it is told to take less" in page.text
    assert "run-predicted-figure" not in page.ids


@pytest.mark.parametrize(
    "file", ["space.json", "phases.json", "metrics.jsonl", "predictor.json", "accuracies.jsonl"]
)
@pytest.mark.parametrize("text", [None, '{"torn": ', "[]"])
def test_a_missing_or_torn_file_is_absent(tmp_path, file, text):
    folder = write_supernet(tmp_path / "net")
    if text is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(text)
    page = page_of(folder)
    assert ("predictor" in own_sections(page)) == (file != "predictor.json")
    assert "subnets" in own_sections(page)


def test_names_are_escaped(tmp_path):
    folder = write_supernet(tmp_path / "net")
    evil = "<img src=x onerror=alert(1)>"
    (folder / "subnets" / "macs-2.00M" / "subnet.json").write_text(json.dumps(found_subnet(evil, 2_000_000)))
    page = page_of(folder)
    assert evil in page.text
    assert page.loads == []


def test_a_subnet_as_it_is_says_where_it_comes_from(tmp_path):
    folder = write_extracted(tmp_path / "taken")
    page = page_of(folder)
    assert own_sections(page) == {"origin", "network", "budget", "training"}
    for expected in (
        "You asked for a subnet within latency <= 1.5 ms of the supernet net on icons.",
        "nothing was trained",
        "as taken out 70.0 % of the validation images",
        "predicted 71.0 % of the validation images",
        "1.48 ms, measured when it was found",
        "classifies 88.7 % (87.4 to 89.9) of 2,481 unseen test images correctly",
        "The supernet's recipe",
        f"allometry supernet extract /runs/net {folder / 'network.json'}",
        f"allometry export {folder} --to onnx",
    ):
        assert expected in page.text
    assert "Learning curves" not in page.text


def test_a_subnet_that_was_fine_tuned_has_curves(tmp_path):
    page = page_of(write_extracted(tmp_path / "taken", epochs=4))
    for expected in (
        "fine-tuned for 4 epochs. On the validation images that brought it from 70.0 % to 73.0 %.",
        "Learning curves",
        "The recipe",
        "--epochs 4",
    ):
        assert expected in page.text


def test_subnets_are_compared_with_other_runs(tmp_path, make_run):
    folders = [make_run(), write_supernet(tmp_path / "net"), write_extracted(tmp_path / "taken")]
    page = page_of(*folders)
    assert len(page.ids) == len(set(page.ids))
    assert {"all-macs-figure", "all-params-figure", "all-latency-figure", "run-2-subnets"} <= set(page.ids)
    assert re.search(r"2a net, macs-2.00M icons 64 123,456 1,900,000 test 69.4 % 67.5 to 71.2", page.text)
    assert re.search(r"2b net, latency-1.5ms icons 64 123,456 2,500,000 test 69.4 %", page.text)
    assert re.search(r"3 taken icons 32 [\d,]+ [\d,]+ test 88.7 %", page.text)
    (tested,), _ = figures_of(*folders)["all-latency"]
    assert tested["text"] == ["2b", "3"]
    assert tested["x"] == [pytest.approx(1.48), pytest.approx(1.48)]


def test_a_supernet_that_was_not_searched_yet_is_compared_by_its_largest_network(tmp_path, make_run):
    page = page_of(make_run(), write_supernet(tmp_path / "net", searched=False))
    assert re.search(r"2 net, largest icons 64 [\d,]+ [\d,]+ validation \d\d.\d %", page.text)


def test_many_subnets_have_letters_of_their_own(tmp_path, make_run):
    folder = write_supernet(tmp_path / "net")
    for number in range(26):
        write_found(folder, found_subnet(f"macs-{number}", 3_000_000 + number))
    text = page_of(make_run(), folder).text
    assert "2z net, macs-23" in text
    assert "2ab net, macs-25" in text


def test_the_record_reads_every_file(tmp_path):
    record = read_run(write_supernet(tmp_path / "net", arguments={"coupled": True}))
    supernet = record.supernet
    assert supernet is not None
    assert record.history == ()
    assert supernet.coupled
    assert re.fullmatch(
        r"RunRecord\(net: supernet train, [\d,]+ networks of up to [\d.]+M MACs, "
        r"validation accuracy [\d.]+% to [\d.]+%, finished\)",
        repr(record),
    )
    assert supernet.size == small_space().size
    assert len(supernet.measured) == 8
    assert [each.name for each in supernet.subnets] == ["latency-1.5ms", "macs-2.00M"]
    assert [each.size for each in supernet.fronts] == [50]
    assert supernet.smallest(1) != small_space().smallest()
    assert supernet.smallest(len(supernet.phases)) == small_space().smallest()
    assert supernet.smallest(len(supernet.phases) + 1) is None


def test_what_the_last_phase_leaves_closed_does_not_count(tmp_path):
    folder = write_supernet(tmp_path / "net")
    (folder / "phases.json").write_text(
        '{"phases": [{"name": "a", "epochs": 3, "elastic": {"resolution": 0}}], "size": 2}'
    )
    supernet = read_run(folder).supernet
    assert supernet is not None
    assert supernet.size == 2
    assert "Its weights hold 2 networks." in page_of(folder).text
