from __future__ import annotations

from pathlib import Path

import pytest

from allometry.base.machine import processor, user_cache


def test_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert user_cache() == Path("/somewhere/allometry")
    for unset in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", unset)
        assert user_cache() == tmp_path / ".cache/allometry"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert user_cache() == tmp_path / ".cache/allometry"


def test_the_processor_has_a_name_and_cores() -> None:
    assert processor().endswith("cores")
