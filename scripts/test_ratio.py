"""Lines of tests for each line of source, by room; fails where they are fewer than a least ratio.

    python scripts/test_ratio.py 0.6

Counted are lines with code: no blank lines, no docstrings (nor the examples in them, which are tests, too), no lines
that hold a comment alone; on both sides alike.
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCE, TESTS = ROOT / "src/allometry", ROOT / "tests"
SILENT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}


def code_lines(text: str) -> int:
    r"""Count the lines that hold code.

    >>> code_lines('"Says."\n\n# why\nx = 1  # one\ny = (\n    2,\n)\n')
    4
    """
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in SILENT:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if ast.get_docstring(node, clean=False) is not None:
            first = node.body[0]
            lines.difference_update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    blank = {number for number, line in enumerate(text.splitlines(), start=1) if not line.strip()}
    return len(lines - blank)


def by_room(folder: Path) -> dict[str, int]:
    """Count the lines of each room; files beside the rooms stand under an empty name."""
    rooms: dict[str, int] = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).parts
        room = parts[0] if len(parts) > 1 else ""
        rooms[room] = rooms.get(room, 0) + code_lines(path.read_text())
    return rooms


def main(least: float) -> int:
    """Print the table and compare with the least that is allowed."""
    source, tests = by_room(SOURCE), by_room(TESTS)
    print(f"{'room':12}{'source':>8}{'tests':>8}{'ratio':>8}")
    for room in sorted(source.keys() | tests.keys()):
        ratio = f"{tests.get(room, 0) / source[room]:8.2f}" if source.get(room) else ""
        print(f"{room or '(shared)':12}{source.get(room, 0):8}{tests.get(room, 0):8}{ratio}")
    lines, checks = sum(source.values()), sum(tests.values())
    print(f"{'all':12}{lines:8}{checks:8}{checks / lines:8.2f}")
    if checks < least * lines:
        print(
            f"There are {checks / lines:.3f} lines of tests for a line of source; at least {least} must be."
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 0.0))
