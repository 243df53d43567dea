"""The notebooks of the documentation: run them, and show them as its pages.

    python scripts/notebooks.py [NAME ...]     run docs/notebooks/*.ipynb and keep what they show

mkdocs loads this file as a hook (`hooks` in mkdocs.yml) and gets a page for each notebook, from what it holds.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

FOLDER = Path(__file__).parent.parent / "docs" / "notebooks"
SECONDS = 1200  # for a cell, on a machine that is busy with other things


def execute(file: Path, folder: Path) -> Any:  # noqa: ANN401 - a notebook, as nbformat has it
    """Run a notebook in `folder` and give it with its new outputs.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(file, as_version=4)
    NotebookClient(notebook, timeout=SECONDS, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook


def page(notebook: dict[str, Any], name: str) -> str:
    """A notebook as Markdown, its outputs included.

    Args:
        notebook: as its file has it.
        name: of the file, for the link to it.
    """
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
        else:
            parts.append(f"```python\n{source}\n```")
            parts += [_shown(output) for output in cell["outputs"]]
    title, _, rest = "\n\n".join(parts).partition("\n")
    link = f"This page is a notebook: [{name}]({name})."
    return f"{title}\n\n{link}\n{rest}\n"


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Give mkdocs a page for each notebook."""
    from mkdocs.structure.files import File

    for file in sorted(FOLDER.glob("*.ipynb")):
        content = page(json.loads(file.read_text(encoding="utf-8")), file.name)
        files.append(File.generated(config, f"notebooks/{file.stem}.md", content=content))
    return files


def _shown(output: dict[str, Any]) -> str:
    if output["output_type"] == "stream":
        return _text("".join(output["text"]))
    data = {kind: "".join(value) for kind, value in output["data"].items() if isinstance(value, str | list)}
    if "text/html" in data:
        html = re.sub(r"\n\s*\n", "\n", data["text/html"])  # a blank line would end the block
        # The run folders that an output leads to are not part of the documentation.
        html = re.sub(r'<iframe[^>]*></iframe>|<a href="runs/[^>]*>|(?<=\.html)</a>', "", html)
        return f'<div class="notebook-output">\n{html}\n</div>'
    if "image/png" in data:
        return f'<img class="notebook-output" alt="" src="data:image/png;base64,{data["image/png"].strip()}">'
    return _text(data["text/plain"])


def _text(text: str) -> str:
    return f"```text\n{text.rstrip()}\n```"


def main() -> None:
    """Run notebooks and write them with what they show."""
    import nbformat

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="of notebooks; by default all")
    names = parser.parse_args().names or sorted(file.stem for file in FOLDER.glob("*.ipynb"))
    for name in names:
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            notebook = execute(FOLDER / f"{name}.ipynb", Path(folder))
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)  # the times of the clock
        nbformat.write(notebook, FOLDER / f"{name}.ipynb")
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
