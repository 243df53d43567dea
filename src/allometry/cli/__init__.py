"""The command line: parse, call one public function, print."""

from allometry.cli.main import main

__all__ = ["main"]
