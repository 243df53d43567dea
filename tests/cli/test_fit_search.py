"""`fit` and `search` on the command line: stopped, killed, with processes that are killed, and mistyped."""

import json
import os
import signal
import subprocess

import pytest

from allometry.base.files import read_lines

from .test_run import wait_for

QUICK = ("--epochs", "2", "--set", "batch_size=8", "--trial-threads", "1")
SEARCH = ("search", "efficientnet-b0", "--budget", "300k", "--trials", "5", *QUICK)
FIT = (
    "fit",
    "efficientnet-b0",
    "--budget",
    "200k",
    "--alphas",
    "1,1.4",
    "--gammas",
    "1,1.2",
    "--seeds",
    "2",
    *QUICK,
)


def told(folder):
    fields = ("number", "values", "metrics", "epochs", "images", "stopped", "failed")
    return [{name: line[name] for name in fields} for line in read_lines(folder / "trials.jsonl")]


def workers_of(process):
    found = subprocess.run(["pgrep", "-P", str(process.pid)], check=False, capture_output=True, text=True)
    return [int(number) for number in found.stdout.split()]


@pytest.fixture(scope="module")
def searched(photos, tmp_path_factory):
    from allometry.cli import main

    folder = tmp_path_factory.mktemp("runs") / "searched"
    assert main([*SEARCH, "--data", str(photos), "--out", str(folder)]) == 0
    return folder


def test_a_search_tells_what_it_found_and_called_again_the_same(call, photos, searched):
    found = json.loads((searched / "result.json").read_text())
    again = call(*SEARCH, "--data", photos, "--out", searched)
    assert again.status == 0
    assert "is finished; this is its result" in again.err
    assert f"accuracy = {found['values'][0]:.5g}" in again.out
    assert "5 trials" in again.out
    assert call("info", searched / "network.json", "--json").json["macs"] == found["macs"]
    assert call("report", searched, "--out", searched / "again.html").status == 0


@pytest.mark.slow
def test_killed_driver_and_killed_worker_lose_no_trial_and_none_counts_twice(
    start, call, photos, searched, tmp_path
):
    folder = tmp_path / "run"
    arguments = [*SEARCH, "--data", photos, "--out", folder, "--workers", "2"]
    process = start(*arguments)
    wait_for(lambda: len(read_lines(folder / "trials.jsonl")) >= 1, process)
    process.kill()
    process.communicate()
    before = {line["number"] for line in read_lines(folder / "trials.jsonl")}
    process = start(*arguments, "--json")
    wait_for(lambda: len(workers_of(process)) == 2, process)
    os.kill(workers_of(process)[0], signal.SIGKILL)
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert json.loads(out)["trials"] == 5
    assert told(folder) == told(searched)
    assert before <= set(range(5))
    charged = [line["name"] for line in read_lines(folder / "costs.jsonl") if line["phase"] == "search"]
    assert len(charged) == len(set(charged))


@pytest.mark.slow
def test_ctrl_c_stops_at_a_checkpoint_and_the_same_command_goes_on(start, call, photos, searched, tmp_path):
    folder = tmp_path / "run"
    arguments = [*SEARCH, "--data", photos, "--out", folder, "--workers", "2"]
    process = start(*arguments)
    wait_for(lambda: len(read_lines(folder / "trials.jsonl")) >= 1, process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130, err
    assert "the same command goes on" in err
    assert call(*arguments).status == 0
    assert told(folder) == told(searched)


@pytest.mark.slow
def test_a_killed_fit_goes_on(start, call, photos, tmp_path):
    whole = call(*FIT, "--data", photos, "--out", tmp_path / "whole", "--json").json
    folder = tmp_path / "run"
    process = start(*FIT, "--data", photos, "--out", folder, "--workers", "2")
    wait_for(lambda: len(read_lines(folder / "trainings.jsonl")) >= 2, process)
    process.kill()
    process.communicate()
    result = call(*FIT, "--data", photos, "--out", folder)
    assert result.status == 0
    assert "how sure" in result.out
    found = json.loads((folder / "result.json").read_text())
    for name in ("law", "region", "trained", "forecast", "training_images", "fraction_of_full"):
        assert found[name] == whole[name]
    grown = call("scale", "efficientnet-b0", "--law", folder / "law.json", "--phi", "1", "--json")
    assert grown.status == 0
    planned = call(
        "run", "--data", photos, "--budget", "400k", "--law", folder / "law.json", "--dry-run", "--json"
    )
    assert planned.json["laws"] == 0


def test_trainings_that_diverge_are_told_in_a_sentence(call, photos, tmp_path):
    result = call(
        *FIT, "--data", photos, "--out", tmp_path / "run", "--set", "learning_rate=1000", "--set", "clip=0"
    )
    assert result.status == 1
    assert "trainings of all laws diverged" in result.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("search", "mnasnett", "--budget", "1M"), "mnasnet"),
        (("search", "mnasnet", "--budgt", "1M"), "--budget"),
        (("search", "mnasnet", "--budget", "1M", "--searcher", "evolutoin"), "evolution"),
        (("search", "mnasnet"), "Without a limit the largest networks win"),
        (("fit", "efficientnet-b0", "--alphas", "1,a"), "numbers with commas between"),
        (("fit", "efficientnet-bo"), "efficientnet-b0"),
        (("fit", "efficientnet-b0", "--alphas", "0.5"), "at least 1"),
        (("fit", "efficientnet-b0", "--seeds", "1"), "--seeds"),
        (("fit", "efficientnet-b0", "--max-laws", "0"), "--max-laws"),
    ],
)
def test_mistakes_are_one_sentence_with_status_2(call, photos, tmp_path, arguments, said):
    result = call(*arguments, "--data", photos, "--out", tmp_path / "run")
    assert result.status == 2
    assert said in result.err
    assert len(result.err.strip().splitlines()[-1]) < 700
    assert "Traceback" not in result.err
