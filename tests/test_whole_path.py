"""The script of the documentation that takes every step in Python."""

import runpy
from pathlib import Path

import pytest

import allometry as al

SCRIPT = Path(__file__).parent.parent / "docs" / "guide" / "whole_path.py"


@pytest.mark.slow
def test_the_whole_path_takes_and_gives_values(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = runpy.run_path(str(SCRIPT))
    assert made["large"] != made["small"]
    assert made["run"].evaluation.images == 36
    assert al.open("runs/large").export.verification.agreement == 1
    assert (tmp_path / "runs" / "small" / "comparison.html").exists()
    assert made["fitted"].law.alpha in (1, 1.4)
    assert made["found"].network.in_channels == 1
    assert made["device"].network == made["subnet"].network
    assert made["device"].module().training is False


def test_the_script_is_short():
    lines = SCRIPT.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 40
