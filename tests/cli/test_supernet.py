"""`supernet train`, `search` and `extract` on the command line: end to end, killed in each phase, and mistyped."""

import json
import shutil
from pathlib import Path

import pytest

from allometry.base.files import read_lines

from .test_run import wait_for

PHASES = {
    "phases": [
        {"name": "largest", "epochs": 2},
        {"name": "kernel", "epochs": 1, "elastic": {"kernel": 0}, "teacher": "largest", "lr_scale": 0.4},
        {
            "name": "all",
            "epochs": 2,
            "elastic": {"kernel": 0, "depth": 0, "width": 0, "resolution": 0},
            "subnets": 2,
            "teacher": "largest",
            "lr_scale": 0.3,
        },
    ]
}
NETWORK = Path(__file__).with_name("three_stages.json")
FEW = ("--subnets", "20", "--held-out", "10", "--least-tau", "-1")


@pytest.fixture(scope="module")
def train_arguments(photos, tmp_path_factory):
    phases = tmp_path_factory.mktemp("phases") / "phases.json"
    phases.write_text(json.dumps(PHASES))
    quick = ("--set", "batch_size=8", "--phases", phases)
    return ("supernet", "train", NETWORK, "--budget", "400k", "--data", photos, *quick)


@pytest.fixture(scope="module")
def trained(train_arguments, tmp_path_factory):
    from allometry.cli import main

    folder = tmp_path_factory.mktemp("runs") / "supernet"
    assert main([*map(str, train_arguments), "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def own(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "supernet")


def test_train_tells_what_it_made_and_called_again_the_same(call, train_arguments, trained):
    result = json.loads((trained / "result.json").read_text())
    assert int(result["size"]) == 648
    assert result["largest"]["macs"] <= 400_000
    assert [line["name"] for line in read_lines(trained / "metrics.jsonl")] == [
        "largest",
        "largest",
        "kernel",
        "all",
        "all",
    ]
    charged = {line["name"] for line in read_lines(trained / "costs.jsonl") if line["phase"] == "supernet"}
    assert charged == {"largest", "kernel", "all"}
    again = call(*train_arguments, "--out", trained)
    assert again.status == 0
    assert "is finished; this is its result" in again.err
    assert "allometry supernet search" in again.out
    other = call(*train_arguments, "--seed", "3", "--out", trained)
    assert other.status == 2
    assert "was made with seed 0, not 3" in other.err


@pytest.mark.slow
def test_search_confirms_and_extract_gives_a_run_that_other_verbs_take(call, own, tmp_path):
    subnet = call("supernet", "search", own, "--budget", "250k", *FEW, "--json").json
    assert subnet["macs"] <= 250_000
    measured_subnets = read_lines(own / "accuracies.jsonl")
    assert len(measured_subnets) >= 30
    images = json.loads((own / "data.json").read_text())["images"]["val"]
    assert all(sum(line["correct"]) == round(line["accuracy"] * images) for line in measured_subnets)
    assert 0 <= json.loads((own / "predictor.json").read_text())["attainable"] <= 1
    measured = len(read_lines(own / "accuracies.jsonl"))
    again = call("supernet", "search", own, "--budget", "300k,params<=100k", *FEW)
    assert again.status == 0, again.err
    assert "subnets are to be measured" not in again.err
    assert len(read_lines(own / "accuracies.jsonl")) <= measured + 5
    run = tmp_path / "extracted"
    extracted = call("supernet", "extract", own, subnet["name"], "--out", run, "--json").json
    assert extracted["macs"] == subnet["macs"]
    assert extracted["test_accuracy"] == pytest.approx(subnet["test_accuracy"])
    evaluated = call("evaluate", run, "--json").json
    assert evaluated["accuracy"] == pytest.approx(extracted["test_accuracy"])
    assert call("report", own, run, "--out", tmp_path / "both.html").status == 0
    assert (run / "report.html").exists()


@pytest.mark.slow
def test_all_the_best_subnets_at_once(call, own):
    front = call("supernet", "search", own, "--front", "macs", "--budget", "params<=1M", *FEW, "--json").json
    costs = [subnet["macs"] for subnet in front["subnets"]]
    assert costs == sorted(costs)
    predicted = [subnet["predicted_accuracy"] for subnet in front["subnets"]]
    assert predicted == sorted(predicted)
    assert call("info", Path(front["folder"]) / "1.json", "--json").json["macs"] == costs[0]
    nothing = call("supernet", "search", own)
    assert nothing.status == 2
    assert "--front macs" in nothing.err
    unknown = call("supernet", "search", own, "--front", "mac")
    assert unknown.status == 2
    assert "macs" in unknown.err


def test_a_dry_run_tells_the_price_and_leaves_nothing(call, train_arguments, tmp_path):
    planned = call(*train_arguments, "--out", tmp_path / "run", "--dry-run", "--json").json
    assert [phase["name"] for phase in planned["phases"]] == ["largest", "kernel", "all"]
    assert planned["seconds"] > 0
    assert int(planned["size"]) == 648
    assert not (tmp_path / "run").exists()


def test_a_subnet_is_fine_tuned(call, own, tmp_path):
    network = own / "network.json"
    options = ("--epochs", "1", "--out", tmp_path / "extracted", "--json")
    extracted = call("supernet", "extract", own, network, *options).json
    assert extracted["epochs"] == 1
    assert len(read_lines(tmp_path / "extracted" / "metrics.jsonl")) == 1


def test_what_cannot_be_is_refused_at_once_with_what_is_possible(call, own, tmp_path):
    result = call("supernet", "search", own, "--budget", "1k")
    assert result.status == 2
    assert "the least macs of any is" in result.err
    assert not (own / "accuracies.jsonl").exists()
    unknown = call("supernet", "extract", own, "latency-5ms", "--out", tmp_path / "extracted")
    assert unknown.status == 2
    assert "subnet" in unknown.err
    other = tmp_path / "other.json"
    call("scale", "efficientnet-b0", "--budget", "5M", "--save", other)
    stranger = call("supernet", "extract", own, other, "--out", tmp_path / "extracted")
    assert stranger.status == 2
    assert "Not of the space" in stranger.err
    assert not (tmp_path / "extracted").exists()
    doubtful = call(
        "supernet",
        "search",
        own,
        "--budget",
        "300k",
        "--subnets",
        "20",
        "--held-out",
        "10",
        "--least-tau",
        "1",
    )
    assert doubtful.status == 2
    assert "tau" in doubtful.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "efficientnet-b0", "--budget", "latency<=5ms"), "limited by counts"),
        (("train", "efficientnet-b0", "--phases", "shrinkng"), "shrinking"),
        (("train", "efficientnet-b"), "efficientnet-b0"),
        (("train", "efficientnet-b0", "--budget", "10"), "budget"),
        (("train", "fbnet", "--budget", "1M"), "A space that is given stays as it is"),
        (("search", "nowhere", "--budget", "1M"), "no run folder"),
        (("extract", "nowhere", "x"), "no run folder"),
    ],
)
def test_mistakes_are_one_sentence_with_status_2(call, photos, tmp_path, arguments, message):
    more = ("--data", photos, "--out", tmp_path / "run") if arguments[0] == "train" else ()
    result = call("supernet", *arguments, *more)
    assert result.status == 2
    assert message in result.err
    assert "Traceback" not in result.err


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["largest", "kernel", "all"])
def test_killed_in_any_phase_it_goes_on_to_the_same_weights(
    start, call, train_arguments, trained, tmp_path, phase
):
    folder = tmp_path / "run"
    process = start(*train_arguments, "--out", folder)
    wait_for(lambda: phase in {line["name"] for line in read_lines(folder / "metrics.jsonl")}, process)
    process.kill()
    process.communicate()
    result = call(*train_arguments, "--out", folder)
    assert result.status == 0, result.err
    ours, theirs = ((run / "supernet.safetensors").read_bytes() for run in (folder, trained))
    assert ours == theirs


def test_a_space_that_is_given_keeps_a_budget_or_none_is_asked_of_it(call, photos):
    options = ("supernet", "train", "fbnet", "--data", photos, "--dry-run", "--json")
    without, kept = call(*options), call(*options, "--budget", "macs<=1G, params<=20M")
    assert without.json["largest_macs"] == kept.json["largest_macs"] > 10**6
    refused = call(*options, "--budget", "macs<=1G, params<=100k")
    assert refused.status == 2
    assert "The largest network of fbnet needs" in refused.err
    assert "macs" not in refused.err  # of the two limits only the other is exceeded


@pytest.mark.slow
def test_what_the_last_phase_did_not_train_is_not_searched(call, photos, tmp_path):
    phases = {"phases": [{"name": "kernels alone", "epochs": 1, "elastic": {"kernel": 0}}]}
    (tmp_path / "phases.json").write_text(json.dumps(phases))
    options = (
        "--budget",
        "400k",
        "--data",
        photos,
        "--set",
        "batch_size=8",
        "--phases",
        tmp_path / "phases.json",
    )
    run = tmp_path / "run"
    assert call("supernet", "train", "efficientnet-b0", *options, "--out", run).status == 0
    largest = json.loads((run / "result.json").read_text())["largest"]
    subnet = call("supernet", "search", run, "--budget", "400k", *FEW, "--json").json
    network = json.loads((run / "subnets" / subnet["name"] / "network.json").read_text())
    assert network["resolution"] == json.loads((run / "network.json").read_text())["resolution"]
    assert subnet["macs"] > 0.5 * largest["macs"]  # only kernels differ
    refused = call("supernet", "search", run, "--budget", f"{largest['macs'] // 4}")
    assert refused.status == 2
    assert "the least macs of any is" in refused.err


def test_a_runtime_means_nothing_where_nothing_is_measured(call, own):
    result = call("supernet", "search", own, "--budget", "memory<=10MB", "--runtime", "onnxruntime", *FEW)
    assert result.status == 2
    assert "is counted, not measured" in result.err
    assert not list(own.glob("latency-table*"))
