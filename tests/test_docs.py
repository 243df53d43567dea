"""Examples in the documentation and benchmarks, which are not run here: they parse, and what they import is there."""

import ast
import importlib
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def examples():
    for page in PAGES:
        for place, code in enumerate(BLOCK.findall(page.read_text(encoding="utf-8"))):
            yield pytest.param(code, id=f"{page.relative_to(ROOT)}-{place}")
    for script in sorted(ROOT.glob("benchmarks/*.py")):
        yield pytest.param(script.read_text(encoding="utf-8"), id=script.name)


@pytest.mark.parametrize("code", list(examples()))
def test_what_an_example_imports_is_there(code):
    modules = {}
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("allometry"):
            module = importlib.import_module(node.module)
            assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []
        elif isinstance(node, ast.Import):
            names = [alias for alias in node.names if alias.name == "allometry"]
            modules |= {alias.asname or alias.name: importlib.import_module(alias.name) for alias in names}
    used = {
        node.attr: modules[node.value.id]
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules
    }
    assert [name for name, module in used.items() if not hasattr(module, name)] == []


KEPT = sorted(path.stem for path in ROOT.glob("benchmarks/results/*.json"))


@pytest.mark.parametrize("name", KEPT)
def test_a_benchmark_shows_the_results_that_are_kept(name, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    script = importlib.import_module(name)
    result = json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8"))
    assert len(script.lines(result)) > 3


def test_a_docstring_s_example_is_code_for_the_builder(monkeypatch):
    griffe = pytest.importorskip("griffe")
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    text = "One line.\n\nExample, with a small `network`:\n    >>> network.depth\n    7\n\nExample:\n    >>> 1\n    1"
    function = griffe.Function("f", docstring=griffe.Docstring(text))
    importlib.import_module("docs_griffe").ExampleSections().on_object(obj=function)
    _, with_network, alone = function.docstring.parse("google")
    assert [section.kind.value for section in (with_network, alone)] == ["examples", "examples"]
    assert [text for _, text in with_network.value] == ["With a small `network`:", ">>> network.depth\n7"]
    assert [text for _, text in alone.value] == [">>> 1\n1"]
