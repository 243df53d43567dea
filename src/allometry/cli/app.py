"""The verbs by name; the file of each is read when it is called, so that the list of all of them comes at once."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from allometry._version import __version__

# What `allometry --help` shows. The file `cli/VERB.py` defines VERB, whose docstring begins with the same sentence.
VERBS = {
    "The whole path": {
        "run": "The whole path: from images to a network that fits the budget, trained, tested, exported, reported.",
    },
    "Networks": {
        "zoo": "The networks it knows, with their published numbers.",
        "info": "A network's stages, params, MACs, activations and memory.",
        "scale": "Grow or shrink a network: by steps of a law, to a budget, or by its three dimensions.",
    },
    "Finding networks": {
        "fit": "Fit a scaling law: in what proportion depth, width and resolution of a network grow best on these "
        "images.",
        "search": "Find the best network of a space by short trainings.",
        "supernet": "Once for all: train one network with all the choices of a space, then take what each device "
        "needs.",
    },
    "Training": {
        "train": "Train one network on a data set and judge it on the test split.",
        "grow": "Make a trained network larger or smaller, to fit a budget, with what it has learned.",
        "evaluate": "Judge a trained run: accuracy, calibration and each class, with intervals.",
        "predict": "The most probable classes of some images.",
        "explain": "Show what networks look at in images: class activation maps, several networks side by side.",
        "report": "Write one self-contained HTML page about a run, or several side by side.",
    },
    "Devices": {
        "measure": "Latency with its spread, throughput, memory, time to load and size, on this device.",
        "table": "Latency tables: each distinct block of a space measured once on this device.",
        "export": "Write a trained run as a file for another runtime, with a short program that uses it, and check "
        "both.",
    },
}
_HELP_OPTIONS = {"help_option_names": ["-h", "--help"]}


class _Verbs(TyperGroup):
    """Knows the verbs by name and reads the file of one when it is called."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - whatever Typer makes a group of
        super().__init__(**settings)
        self.commands = {name: TyperCommand(name) for verbs in VERBS.values() for name in verbs}
        self._loaded: set[str] = set()

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401 - Typer does not export these classes
        """The verb, read now if it has not been called yet."""
        if cmd_name in self.commands and cmd_name not in self._loaded:
            self.commands[cmd_name] = _read(cmd_name)
            self._loaded.add(cmd_name)
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401, ARG002
        """Write the list of the verbs, without reading one."""
        width = max(len(name) for name in self.commands)
        for title, verbs in VERBS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), about) for name, about in verbs.items()])


def _read(name: str) -> Any:  # noqa: ANN401 - Typer does not export its commands' class
    """The command that `cli/NAME.py` defines, as a function or as a group of them."""
    verb = getattr(import_module(f"allometry.cli.{name}"), name)
    single = typer.Typer(
        add_completion=False,
        context_settings=_HELP_OPTIONS,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
    )
    if isinstance(verb, typer.Typer):
        single.add_typer(verb)
        return typer.main.get_group(single).commands[name]
    single.command(name)(verb)
    return typer.main.get_command(single)


app = typer.Typer(
    name="allometry",
    cls=_Verbs,
    help="Grow convolutional networks to fit a budget: scale, search, train, deliver.",
    add_completion=False,
    context_settings=_HELP_OPTIONS,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # Rich's Markdown takes longer to load than all else that this list needs
)


@app.callback(invoke_without_command=True)
def _top(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and leave.")] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; works anywhere on the line.")
    ] = False,
    plugin: Annotated[
        str | None,
        typer.Option(
            "--plugin",
            metavar="NAME",
            help="A module or .py file with measures, targets, searchers or losses of your own; may be repeated, works "
            "anywhere on the line.",
        ),
    ] = None,
) -> None:
    del debug, plugin  # taken from the line before it is parsed, so that they may stand anywhere
    if version:
        typer.echo(f"allometry {__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


__all__ = ["VERBS", "app"]
