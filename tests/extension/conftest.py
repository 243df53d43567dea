"""What the tests of objects from outside share."""

import sys
from pathlib import Path

import pytest

from allometry.arch import BLOCKS
from allometry.base import plugins
from allometry.cost import MEASURES
from allometry.deploy import TARGETS

# Modules as a user's own would be: tests name them to the library, and none is imported before.
collect_ignore_glob = ["*_plugin.py"]
MODULES = [path.stem for path in Path(__file__).parent.glob("*_plugin.py")]


@pytest.fixture
def no_plugins(monkeypatch):
    """What a test registers or imports is forgotten after it."""
    for registry in (BLOCKS, MEASURES, TARGETS):
        monkeypatch.setattr(registry, "_items", {item.name: item for item in registry})
    monkeypatch.setattr(plugins, "_loaded", set(plugins._loaded))
    monkeypatch.setenv(plugins.VARIABLE, "")
    for module in MODULES:
        monkeypatch.delitem(sys.modules, module, raising=False)
    yield
    for module in MODULES:
        sys.modules.pop(module, None)
