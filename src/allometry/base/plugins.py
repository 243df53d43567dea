"""What users add from outside: registries of named objects, and the modules that fill them.

A module registers its objects when it is imported. Such a module is imported when a name is looked up that is not known
yet, or when all are listed, if an installed package names it under the entry points `allometry.plugins`, if the
environment variable `ALLOMETRY_PLUGINS` does, or `--plugin` on the command line, which sets that variable. So the
processes that a command starts know it, too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from pkgutil import iter_modules
from typing import Generic, Protocol, TypeVar

from allometry.base.errors import InputError, UnknownNameError
from allometry.base.text import shown

ENTRY_POINTS = "allometry.plugins"
VARIABLE = "ALLOMETRY_PLUGINS"
PLUGIN_HINT = f"One of your own comes from a module that --plugin or {VARIABLE} names."

_loaded: set[str] = set()


class Named(Protocol):
    """Whatever has a name."""

    @property
    def name(self) -> str:
        """By which it is registered."""


Item = TypeVar("Item", bound=Named)


class Registry(Generic[Item]):
    """The objects of a kind by name: our own, and those that plugins add.

    Args:
        kind: what they are, in the user's words.
        package: of ours, whose modules register such objects: imported when a name is missed, or when all are listed.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class Color:
        ...     name: str
        >>> colors = Registry[Color]("color")
        >>> colors.register(Color("green"))
        Color(name='green')
        >>> colors.get("green"), colors.names()
        (Color(name='green'), ('green',))
        >>> colors.get("gren")
        Traceback (most recent call last):
            ...
        allometry.base.errors.UnknownNameError: No color is named 'gren'. Did you mean 'green'? ...
    """

    def __init__(self, kind: str, *, package: str | None = None) -> None:
        self.kind, self._package = kind, package
        self._items: dict[str, Item] = {}

    def register(self, item: Item, *, replace: bool = False) -> Item:
        """Make an object known by its name; gives it back.

        Args:
            item: the object. One that equals what has its name already takes its place, as where a cell is run again.
            replace: whether it takes the place of another one, too.

        Raises:
            InputError: another object has that name.
        """
        if self._items.get(item.name, item) != item and not replace:
            raise InputError(
                f"There is a {self.kind} {item.name!r} already; take another name, or replace it (replace=True)."
            )
        self._items[item.name] = item
        return item

    def unregister(self, name: str) -> None:
        """Forget the object of that name, if there is one."""
        self._items.pop(name, None)

    @contextmanager
    def registered(self, item: Item) -> Iterator[Item]:
        """Make an object known for the length of a `with`.

        Raises:
            InputError: another object has that name.
        """
        before = self._items.get(item.name)
        self.register(item)
        try:
            yield item
        finally:
            self.unregister(item.name)
            if before is not None:
                self._items[item.name] = before

    def get(self, name: str) -> Item:
        """The object of that name.

        Raises:
            UnknownNameError: there is none.
            InputError: a plugin cannot be imported.
        """
        if name not in self._items:
            self._load()
        if name not in self._items:
            raise UnknownNameError(self.kind, name, self.names(), PLUGIN_HINT)
        return self._items[name]

    def names(self) -> tuple[str, ...]:
        """All names, our own first."""
        self._load()
        return tuple(self._items)

    def __iter__(self) -> Iterator[Item]:
        self._load()
        return iter(tuple(self._items.values()))

    def __contains__(self, name: str) -> bool:
        return name in self._items or name in self.names()

    def _load(self) -> None:
        """Import our own modules that have such objects, and plugins."""
        package, self._package = self._package, None
        if package is not None:
            for module in iter_modules(import_module(package).__path__):
                import_module(f"{package}.{module.name}")
        load_plugins()


def load_plugins() -> None:
    """Import the modules that installed packages and the environment name, each once.

    Raises:
        InputError: one of them cannot be imported.
    """
    if ENTRY_POINTS not in _loaded:
        from importlib import metadata  # takes as long to load as all else that a small command needs

        _loaded.add(ENTRY_POINTS)
        for point in metadata.entry_points(group=ENTRY_POINTS):
            _load(point.value, by=f"the installed package {point.dist.name if point.dist else point.name}")
    for name in os.environ.get(VARIABLE, "").split(","):
        if name.strip():
            _load(name.strip(), by=f"--plugin or {VARIABLE}")


def add_plugins(names: list[str]) -> None:
    """Name modules or `.py` files to this process and those that it starts, and import them.

    Raises:
        InputError: one of them cannot be imported.
    """
    wrong = next((name for name in names if "\0" in name), None)
    if wrong is not None:
        raise InputError(f"No module and no file is called {shown(wrong)}.")
    whole = [str(Path(name).resolve()) if name.endswith(".py") else name for name in names]
    files = [name for name in os.environ.get(VARIABLE, "").split(",") if name]
    os.environ[VARIABLE] = ",".join(dict.fromkeys([*files, *whole]))
    load_plugins()


def _load(name: str, *, by: str) -> None:
    """Import a module, or a file as one; one that is under way counts as imported."""
    if name in _loaded:
        return
    _loaded.add(name)
    try:
        _import_file(Path(name)) if name.endswith(".py") else import_module(name.partition(":")[0])
    except InputError:
        _loaded.discard(name)
        raise
    except Exception as error:
        _loaded.discard(name)
        raise InputError(
            f"The plugin {name}, named by {by}, cannot be imported: {type(error).__name__}: {error}. "
            "Name a module that Python finds (PYTHONPATH), or a .py file."
        ) from error


def _import_file(path: Path) -> None:
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None  # noqa: S101
    assert spec.loader is not None  # noqa: S101
    module = sys.modules[path.stem] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise
