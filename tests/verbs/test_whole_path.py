"""A script of at most 40 lines takes the whole path with values only."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("whole_path.py")


@pytest.mark.slow
def test_the_script_does_it_all(tmp_path):
    lines = SCRIPT.read_text().splitlines()
    assert len(lines) <= 40
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-W", "error", str(SCRIPT)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Evaluation(test, 9 images" in done.stdout
    assert "Export('runs/mine" in done.stdout
    assert done.stdout.splitlines()[-1].endswith("True")
    assert (tmp_path / "compared.html").exists()
