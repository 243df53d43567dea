"""The top of the package: what there is, and nothing else."""

import subprocess
import sys

import allometry


def python(code: str) -> str:
    """What a fresh Python prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_dir_lists_the_public_names_and_nothing_else():
    assert dir(allometry) == sorted(allometry.__all__)
    assert python("import allometry; print(*dir(allometry))").split() == sorted(allometry.__all__)


def test_every_public_name_is_there_and_documented():
    for name in set(allometry.__all__) - {"__version__", "COMPOUND"}:
        assert getattr(allometry, name).__doc__, name


def test_a_name_that_is_not_there_is_an_attribute_error():
    assert not hasattr(allometry, "trian")


def test_importing_every_module_shadows_no_public_name():
    code = """
import importlib, pkgutil, allometry
for module in pkgutil.walk_packages(allometry.__path__, "allometry."):
    if "__main__" not in module.name and "isolated" not in module.name:
        importlib.import_module(module.name)
for name, home in {**allometry._HOME}.items():
    assert getattr(allometry, name) is getattr(importlib.import_module(home), name), name
for name, home in allometry._NAMESPACES.items():
    assert getattr(allometry, name) is importlib.import_module(home), name
print("done")
"""
    assert python(code).split() == ["done"]


def test_the_package_itself_loads_no_heavy_library():
    heavy = ["torch", "numpy", "pydantic", "plotly", "onnx", "onnxruntime", "cv2", "PIL", "rich", "typer"]
    verbs = "al.zoo('b0'); al.info('efficientnet-b0'); al.scale('efficientnet-b0', 1); repr(al.zoo())"
    for code in ("import allometry", "import allometry as al; dir(al)", f"import allometry as al; {verbs}"):
        assert (
            python(f"{code}; import sys; print([name for name in {heavy} if name in sys.modules])") == "[]\n"
        )
