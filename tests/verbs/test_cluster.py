"""Searches on a Ray cluster of two nodes on this machine."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from allometry.base.files import read_lines
from tests.images import write_photos

pytest.importorskip("ray")

# Two nodes of one CPU each; the cluster lives as long as the process.
CLUSTER = """
import sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
cluster.add_node(num_cpus=1)
cluster.wait_for_nodes()
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""
ASKED = (
    "--budget",
    "300k",
    "--trials",
    "5",
    "--epochs",
    "2",
    "--set",
    "batch_size=8",
    "--trial-threads",
    "1",
)


def environment(**more):
    path = os.pathsep.join(part for part in sys.path if part)
    return {**os.environ, "PYTHONPATH": path, "RAY_USAGE_STATS_ENABLED": "0", **more}


@pytest.fixture(scope="module")
def cluster():
    command = [sys.executable, "-W", "ignore", "-c", CLUSTER]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(command, env=environment(), **pipes) as process:
        line = next(line for line in process.stdout if line.count(":") == 1 and line[0].isdigit())
        yield line.strip()
        process.stdin.close()
        process.wait()


def search(photos, out, *more, **variables):
    command = [sys.executable, "-m", "allometry", "search", "efficientnet-b0", "--data", str(photos)]
    command += [*ASKED, "--out", str(out), "--json", *more]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment(**variables), **pipes)


def result(process):
    out, err = process.communicate()
    assert process.returncode == 0, err
    return json.loads(out)


def told(out):
    fields = ("number", "values", "metrics", "epochs", "images", "stopped", "failed")
    return [{name: line[name] for name in fields} for line in read_lines(out / "trials.jsonl")]


@pytest.mark.slow
def test_two_nodes_come_to_the_same_as_this_process_also_where_a_worker_is_killed(cluster, tmp_path):
    photos = write_photos(tmp_path / "photos" / "shapes", per_class=10)
    here = result(search(photos, tmp_path / "here"))
    there = search(photos, tmp_path / "there", "--workers", "ray", RAY_ADDRESS=cluster)
    killed = []
    while there.poll() is None:
        if not killed and read_lines(tmp_path / "there" / "trials.jsonl"):
            # An actor's process is named after its class.
            found = subprocess.run(
                ["pgrep", "-f", "ray::TrialActor"], check=False, capture_output=True, text=True
            )
            killed = [int(number) for number in found.stdout.split()][:1]
            for number in killed:
                os.kill(number, signal.SIGKILL)
        time.sleep(0.05)
    found = result(there)
    assert killed
    assert told(tmp_path / "there") == told(tmp_path / "here")
    passing = dict.fromkeys(("folder", "report", "search_seconds", "finished"))
    assert {**found, **passing} == {**here, **passing}


@pytest.mark.slow
def test_no_cluster_at_that_address(tmp_path):
    photos = write_photos(tmp_path / "photos" / "shapes", per_class=10)
    process = search(photos, tmp_path / "run", "--workers", "ray://127.0.0.1:9")
    _, err = process.communicate()
    assert process.returncode == 2
    assert "There is no Ray cluster at ray://127.0.0.1:9" in err
