"""Examples in the documentation and benchmarks, which are not run here: they parse, and what they import is there."""

import ast
import importlib
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
            assert [each.name for each in node.names if not hasattr(module, each.name)] == []
        elif isinstance(node, ast.Import):
            names = [each for each in node.names if each.name == "allometry"]
            modules |= {each.asname or each.name: importlib.import_module(each.name) for each in names}
    used = {
        node.attr: modules[node.value.id]
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules
    }
    assert [name for name, module in used.items() if not hasattr(module, name)] == []
