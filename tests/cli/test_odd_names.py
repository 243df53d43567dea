"""Names that no file, page or terminal likes go the whole way: from folders to answers that mean the same classes."""

import csv
import json
import os
import subprocess
import sys

import numpy as np
import onnx
import pytest
from PIL import Image

from allometry.arch import to_json
from allometry.data import open_data
from tests.verbs.conftest import TINY

CLASSES = {
    b"caf\xe9": r"caf\xe9",
    "cafe\u0301".encode(): "café",
    b"[bold]b": "[bold]b",
    b":dog:": ":dog:",
    b"\x1b[31mred": r"\x1b[31mred",
    "a\u202eb".encode(): r"a\u202eb",
    b"line\nend": r"line\x0aend",
    b"<b>&\"'": "<b>&\"'",
    b"a,b;c|d": "a,b;c|d",
    b"=1+1": "=1+1",
    b"x" * 250: "x" * 250,
    "猫".encode(): "猫",
}


def write_folder(root):
    """Four images of each class, some with names that are no text, and a broken one."""
    random = np.random.default_rng(0)
    for name in CLASSES:
        folder = os.path.join(os.fsencode(root), name)  # noqa: PTH118 - bytes
        os.makedirs(folder)  # noqa: PTH103
        for number in range(4):
            Image.fromarray(random.integers(0, 256, (20, 20, 3), np.uint8)).save(root / "new.png")
            odd = b"\xff\n[b].png" if number % 2 else b".png"
            os.replace(root / "new.png", os.path.join(folder, b"%d" % number + odd))  # noqa: PTH105, PTH118
    (root / os.fsdecode(b"caf\xe9/broken\xff.png")).write_bytes(b"\x89PNG\r\n\x1a\nno image")


@pytest.mark.slow
def test_the_whole_way(tmp_path):
    root = tmp_path / "odd"
    root.mkdir()
    write_folder(root)
    (tmp_path / "tiny.json").write_text(to_json(TINY))
    locale = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    environment = {**os.environ, **locale, "XDG_CACHE_HOME": str(tmp_path / "cache")}

    def call(*arguments):
        done = subprocess.run(arguments, cwd=tmp_path, env=environment, capture_output=True, check=False)
        (done.stdout + done.stderr).decode("ascii")
        assert b"Traceback" not in done.stderr
        assert b"\x1b" not in done.stdout + done.stderr
        return done

    def allometry(*arguments, status=0):
        done = call(sys.executable, "-m", "allometry", *arguments)
        assert done.returncode == status, done.stderr
        return done

    allometry("train", "tiny.json", "--data", "odd", "--set", "epochs=1", "--out", "run")
    names = set(CLASSES.values())
    run = tmp_path / "run"
    assert set(json.loads((run / "data.json").read_text())["classes"]) == names
    evaluation = json.loads(allometry("evaluate", "run", "--data", "odd", "--json").stdout)
    assert {one["name"] for one in evaluation["per_class"]} == names
    allometry("predict", "run", "odd", "--top", "12", "--out", "all.csv", status=1)
    with (tmp_path / "all.csv").open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = [row for row in csv.DictReader(file) if not row["error"]]
    assert {row["class"] for row in rows} == names
    allometry("predict", "run", "odd", "--top", "12", "--out", "all.jsonl", status=1)
    lines = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {one["name"] for line in lines for one in line["classes"]} == names
    allometry("export", "run", "--to", "onnx")
    about = {entry.key: entry.value for entry in onnx.load(run / "model.onnx").metadata_props}
    assert set(json.loads(about["allometry"])["classes"]) == names
    images = sorted(os.fsdecode(path) for path in map(os.fsencode, root.glob("*/0.png")))
    answers = call(sys.executable, str(run / "predict.py"), *images)
    assert answers.returncode == 0
    assert len(answers.stdout.splitlines()) == 5 * len(images)
    allometry("report", "run")
    assert (run / "report.html").read_text(encoding="utf-8").count("[bold]b")
    assert set(open_data(root, cache_folder=tmp_path / "cache").classes) == names
