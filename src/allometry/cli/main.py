"""The entry point: what a user's mistake, an interrupt or a full disk looks like."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from io import TextIOWrapper

from allometry.base import AllometryError, InputError
from allometry.base.errors import Stopped
from allometry.base.plugins import add_plugins
from allometry.base.text import write_line

_OVERLONG, _KEPT = re.compile(r"\S{4096,}"), 100  # no path is that long, and nobody reads such a word
DONE, FAILED, WRONG_INPUT, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    0 done, 1 failed, 2 the user's input is wrong, 130 stopped by Ctrl-C. An error is one sentence on the error
    stream; `--debug`, anywhere on the line, shows where it came from. `--plugin NAME`, anywhere too, imports a module
    or a `.py` file that registers objects of the user's own.

    Example:
        >>> main(["--version"])
        allometry ...
        0
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [argument for argument in words if argument != "--debug"]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a locale may lack the characters of a file's name
            stream.reconfigure(errors="backslashreplace")
    try:
        return _call(_without_plugins(words))
    except BrokenPipeError:
        # The reader (`| head`) has gone; nothing is left to say, not even while Python closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except (Exception, KeyboardInterrupt) as error:
        if debug:
            raise
        text, status = _explain(error)
        text = _OVERLONG.sub(lambda match: f"{match[0][:_KEPT]}...", text)
        write_line(_wrapped(f"allometry: {text}"))
        return status


def _without_plugins(arguments: list[str]) -> list[str]:
    """The line without `--plugin NAME`, after these modules have been imported."""
    rest: list[str] = []
    names: list[str] = []
    left = iter(arguments)
    for argument in left:
        option, equals, value = argument.partition("=")
        if option != "--plugin":
            rest.append(argument)
            continue
        name = value if equals else next(left, "")
        if not name:
            raise InputError("--plugin needs a module or a .py file.")
        names.append(name)
    if names:
        add_plugins(names)
    return rest


def _call(arguments: list[str]) -> int:
    import typer

    from allometry.cli.app import app

    try:
        status = app(args=arguments, standalone_mode=False, prog_name="allometry")
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        hint = f" See `{context.command_path} --help`." if context is not None else ""
        text = error.format_message().rstrip(".")
        raise InputError(f"{text}{'' if text.endswith('?') else '.'}{hint}") from error
    except typer.Abort as error:
        raise KeyboardInterrupt from error
    return status if isinstance(status, int) else DONE


def _wrapped(text: str) -> str:
    """Broken between words where a terminal shows it; elsewhere a message is one line."""
    if not sys.stderr.isatty():
        return text
    return textwrap.fill(
        text, shutil.get_terminal_size().columns, break_long_words=False, break_on_hyphens=False
    )


def _explain(error: BaseException) -> tuple[str, int]:
    if isinstance(error, Stopped):
        return str(error), INTERRUPTED
    if isinstance(error, KeyboardInterrupt):
        return "Stopped. The same command goes on where it was.", INTERRUPTED
    if isinstance(error, InputError):
        return str(error), WRONG_INPUT
    if isinstance(error, AllometryError):
        return str(error), FAILED
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        return (
            f"Out of memory: {error}. Use a smaller batch (--set batch_size=16) or a smaller budget.",
            FAILED,
        )
    if isinstance(error, OSError):
        place = f" {error.filename}" if error.filename else ""
        return f"The system refused{place}: {error.strerror or error}.", FAILED
    kind = type(error).__name__
    return f"Something unforeseen went wrong: {kind}: {error}. --debug shows where; please report it.", FAILED
