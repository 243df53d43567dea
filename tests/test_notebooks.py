"""The notebooks of the documentation run from beginning to end."""

import json

import pytest

from scripts.notebooks import FOLDER, execute, page

NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


@pytest.mark.slow
@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
# The kernel's client polls its sockets from a loop of its own; what it leaves open there is not ours to close.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_notebook_runs(file, tmp_path):
    notebook = execute(file, tmp_path)
    assert all(cell.get("execution_count") for cell in notebook.cells if cell.cell_type == "code")


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_notebook_is_kept_with_what_it_shows(file):
    notebook = json.loads(file.read_text(encoding="utf-8"))
    assert all(cell["execution_count"] for cell in notebook["cells"] if cell["cell_type"] == "code")
    shown = page(notebook, file.name)
    assert shown.startswith("# ")
    assert '<div class="notebook-output">' in shown
