"""What the documentation's builder needs to know of this package's docstrings.

A docstring's `Example:` is one block of code with its output, and `Example, with a small `network`:` says first what
the code has at hand. The builder has such a section under the name `Examples:`; under another it would read the code as
text.
"""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

_EXAMPLE = re.compile(r"^( *)Example(?:, (.+))?:$", re.MULTILINE)


def _section(match: re.Match[str]) -> str:
    indent, given = match.groups()
    text = f"\n{indent}    {given[0].upper()}{given[1:]}:\n" if given else ""
    return f"{indent}Examples:{text}"


class ExampleSections(Extension):
    """Give each `Example:` section the name that the builder knows."""

    def on_object(self, *, obj: Object, **_: Any) -> None:  # noqa: ANN401 - what Griffe passes besides
        """Rename the section in one object's docstring."""
        if obj.docstring is not None:
            obj.docstring.value = _EXAMPLE.sub(_section, obj.docstring.value)
