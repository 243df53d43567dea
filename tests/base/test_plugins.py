"""Registries, and the modules that fill them from outside."""

import os
import subprocess
import sys
from dataclasses import dataclass

import pytest

from allometry.base import InputError, UnknownNameError, plugins
from allometry.base.plugins import VARIABLE, Registry, add_plugins, load_plugins


@dataclass(frozen=True)
class Color:
    name: str
    depth: int = 8


@pytest.fixture
def colors():
    return Registry[Color]("color")


@pytest.fixture(autouse=True)
def no_plugins(monkeypatch):
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.setattr(plugins, "_loaded", set(plugins._loaded))


def test_registered_objects_are_found_in_the_order_of_their_coming(colors):
    for name in ("red", "green", "blue"):
        assert colors.register(Color(name)) == Color(name)
    assert colors.names() == ("red", "green", "blue")
    assert [color.name for color in colors] == ["red", "green", "blue"]
    assert "red" in colors
    assert "pink" not in colors
    with pytest.raises(UnknownNameError, match=r"No color is named 'gren'. Did you mean 'green'.*--plugin"):
        colors.get("gren")


def test_a_name_is_given_once_unless_it_is_the_same_or_is_to_be_replaced(colors):
    colors.register(Color("red"))
    colors.register(Color("red"))
    with pytest.raises(InputError, match="There is a color 'red' already"):
        colors.register(Color("red", depth=10))
    colors.register(Color("red", depth=10), replace=True)
    assert colors.get("red").depth == 10


def test_what_is_registered_for_a_while_goes_again(colors):
    colors.register(Color("red"))
    with colors.registered(Color("green")):
        assert colors.names() == ("red", "green")
    with colors.registered(Color("red")):
        assert colors.names() == ("red",)
    assert colors.names() == ("red",)
    colors.unregister("red")
    colors.unregister("red")
    assert colors.names() == ()


def test_modules_of_a_package_are_imported_once_a_name_is_missed(tmp_path, monkeypatch):
    package = tmp_path / "shades"
    package.mkdir()
    (package / "__init__.py").write_text("LOADED = []")
    for name in ("dark", "light"):
        (package / f"{name}.py").write_text(f"import shades; shades.LOADED.append({name!r})")
    monkeypatch.syspath_prepend(tmp_path)
    colors = Registry[Color]("color", package="shades")
    colors.register(Color("red"))
    assert colors.get("red")
    assert "shades" not in sys.modules
    for _ in range(2):
        assert colors.names() == ("red",)
        assert sys.modules["shades"].LOADED == ["dark", "light"]
    for name in ("shades", "shades.dark", "shades.light"):
        del sys.modules[name]


SOURCE = """
from allometry.base import plugins
assert plugins.load_plugins() is None  # while it is imported, a lookup does not import it again
marks = [*globals().get("marks", []), 1]
"""


def test_a_plugin_is_a_module_or_a_file_and_is_imported_once(tmp_path, monkeypatch):
    (tmp_path / "plugin_by_name.py").write_text(SOURCE)
    (tmp_path / "plugin_by_file.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    try:
        add_plugins(["plugin_by_name", "plugin_by_file.py"])
        load_plugins()
        assert sys.modules["plugin_by_name"].marks == sys.modules["plugin_by_file"].marks == [1]
        assert os.environ[VARIABLE] == f"plugin_by_name,{tmp_path / 'plugin_by_file.py'}"
        code = "from allometry.base.plugins import load_plugins; load_plugins(); import plugin_by_file"
        path = os.pathsep.join(filter(None, sys.path))
        subprocess.run(
            [sys.executable, "-c", code], check=True, cwd="/", env={**os.environ, "PYTHONPATH": path}
        )
    finally:
        sys.modules.pop("plugin_by_name", None)
        sys.modules.pop("plugin_by_file", None)


def test_a_plugin_that_cannot_be_imported_is_named(tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("1 / 0")
    with pytest.raises(
        InputError, match=r"The plugin no_such_module, named by --plugin or ALLOMETRY_PLUGINS"
    ):
        add_plugins(["no_such_module"])
    os.environ[VARIABLE] = ""
    for _ in range(2):  # it is tried again: it may have been mended
        with pytest.raises(InputError, match=r"broken.py.*ZeroDivisionError"):
            add_plugins([str(broken)])
    assert "broken" not in sys.modules


def test_an_installed_package_names_its_plugin_by_an_entry_point(tmp_path, monkeypatch):
    (tmp_path / "installed_plugin.py").write_text(SOURCE)
    folder = tmp_path / "installed_plugin-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: installed-plugin\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[allometry.plugins]\nmine = installed_plugin\n")
    monkeypatch.syspath_prepend(tmp_path)
    plugins._loaded.discard(plugins.ENTRY_POINTS)
    load_plugins()
    assert sys.modules.pop("installed_plugin").marks == [1]
