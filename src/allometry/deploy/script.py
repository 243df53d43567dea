"""The short program that is delivered with a file and shows how it is used."""

from __future__ import annotations

import ast
import re
from importlib.resources import files
from pathlib import Path
from string import Template

from allometry._version import __version__
from allometry.base import InputError
from allometry.base.files import names_us, write_text
from allometry.base.reading import is_file
from allometry.deploy.export_config import ExportConfig
from allometry.deploy.targets import ExportTarget
from allometry.training import Preprocessing

_MARK = "Written by allometry"  # in every program that is
_RUNS = re.compile(r"^MODEL = Path\(__file__\)\.with_name\((.*)\)$", re.MULTILINE)
_SHARED = "# From here on this is a part of delivered programs"


def script_of(model: Path) -> Path:
    """Where the program of a file is: `predict.py` beside `model.onnx`, `predict_mine.py` beside `mine.onnx`.

    Where that is the program of another file, as of `mine.xml`, its name has the file's ending, too.

    Example:
        >>> str(script_of(Path("exports/onnx/model.onnx"))), str(script_of(Path("mine.onnx")))
        ('exports/onnx/predict.py', 'predict_mine.py')
    """
    usual = model.with_name("predict.py" if model.stem == "model" else f"predict_{model.stem}.py")
    other = _file_of(usual)
    if other in ("", model.name) or not model.with_name(other).exists():
        return usual
    return model.with_name(f"predict_{model.stem}_{model.suffix.removeprefix('.')}.py")


def _file_of(script: Path) -> str:
    """The name of the file that a program of ours runs; empty text where it is none."""
    text = script.read_text(encoding="utf-8", errors="replace") if is_file(script) else ""
    named = _RUNS.search(text) if _MARK in text else None
    return str(ast.literal_eval(named[1])) if named else ""


def refuse_foreign_model(path: Path, target: ExportTarget) -> None:
    """Refuse to write a file where there is one that this library did not write.

    Those that it wrote are named by their program, or have its name in them.

    Raises:
        InputError: there is one.
    """
    there = [file for file in target.files(path) if file.exists() or file.is_symlink()]
    if not there or _file_of(script_of(path)) == path.name or names_us(path):
        return
    raise InputError(
        f"{there[0]} is not a file of ours, and would be replaced; give --out another name, or move that file."
    )


def refuse_foreign(path: Path) -> None:
    """Refuse to write a program where there is a file that somebody else wrote.

    Raises:
        InputError: there is.
    """
    if path.exists() and not (is_file(path) and _MARK in path.read_text(encoding="utf-8", errors="replace")):
        raise InputError(
            f"{path} is not a program of ours, and would be replaced; give --out another name, or move that file."
        )


def write_script(
    path: Path, *, model: Path, preprocessing: Preprocessing, export_config: ExportConfig
) -> Path:
    """Write the program beside the file that it runs.

    It needs the file's runtime, NumPy and Pillow, and looks at images as the network was trained to.

    Args:
        path: of the program.
        model: the file.
        preprocessing: of the network.
        export_config: what the file is like.

    Raises:
        InputError: somebody else's file is there.
        StorageError: it cannot be written.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> gray = Preprocessing(channels=1, resolution=8, crop=1.0, mean=(0.5,), std=(0.5,), classes=("a", "b"))
        >>> path = write_script(
        ...     folder / "predict.py", model=folder / "model.onnx", preprocessing=gray, export_config=ExportConfig()
        ... )
        >>> "import onnxruntime" in path.read_text()
        True
    """
    refuse_foreign(path)
    snippet = export_config.target.snippet(export_config.precision)
    text = files("allometry.deploy").joinpath("predict.txt").read_text(encoding="utf-8")
    filled = Template(text).substitute(
        script=path.name,
        needs=snippet.needs,
        version=__version__,
        imports=snippet.imports,
        runtime=snippet.code,
        file=repr(model.name),
        resolution=preprocessing.resolution,
        crop=repr(preprocessing.crop),
        kept=preprocessing.kept_side,
        channels=preprocessing.channels,
        mean=repr(tuple(preprocessing.mean)),
        std=repr(tuple(preprocessing.std)),
        levels=repr(preprocessing.levels),
        reading=_reading(),
        batch=export_config.batch,
        pixels=export_config.normalize_inside,
        classes=_lines(preprocessing.classes),
        thresholds=repr(preprocessing.thresholds),
    )
    write_text(path, filled)
    return path


def _reading() -> str:
    """The functions by which the library itself reads pixels."""
    text = files("allometry.data.images").joinpath("showing.py").read_text(encoding="utf-8")
    return text.partition(_SHARED)[2].partition("\n")[2].strip() + "\n"


def _lines(names: tuple[str, ...]) -> str:
    inner = "".join(f"    {name!r},\n" for name in names)
    return f"(\n{inner})"
