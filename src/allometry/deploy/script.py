"""The short program that is delivered with a file and shows how it is used."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import NamedTuple

from allometry._version import __version__
from allometry.base.files import write_text
from allometry.deploy.export_config import ExportConfig, Format
from allometry.training import Preprocessing


class _Runtime(NamedTuple):
    """What runs a format: what to install, to import, and to do; it says its version as RUNTIME."""

    needs: str
    imports: str
    opener: str


_RUNTIMES: Mapping[Format, _Runtime] = {
    "onnx": _Runtime(
        "onnxruntime",
        "import onnxruntime",
        """RUNTIME = f"onnxruntime {onnxruntime.__version__}"


def open_model(path):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda inputs: session.run(None, {name: inputs})[0]""",
    ),
    "openvino": _Runtime(
        "openvino",
        "import openvino",
        """RUNTIME = f"openvino {openvino.__version__}"


def open_model(path):
    model = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "$hint"})
    return lambda inputs: model([inputs])[0]""",
    ),
    "torch": _Runtime(
        "torch",
        "import torch",
        """RUNTIME = f"torch {torch.__version__}"


def open_model(path):
    module = torch.export.load(str(path)).module()

    def run(inputs):
        with torch.no_grad():
            return module(torch.from_numpy(inputs)).numpy()

    return run""",
    ),
    "executorch": _Runtime(
        "executorch",
        "import torch\nfrom executorch.runtime import Runtime\nfrom executorch.version import __version__",
        """RUNTIME = f"executorch {__version__}"


def open_model(path):
    program = Runtime.get().load_program(str(path))
    method = program.load_method("forward")
    return lambda inputs: method.execute([torch.from_numpy(inputs)])[0].numpy()""",
    ),
}
_HINTS = {"float32": "f32", "bfloat16": "bf16", "int8": "f32"}


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
    runtime = _RUNTIMES[export_config.format]
    text = files("allometry.deploy").joinpath("predict.txt").read_text(encoding="utf-8")
    filled = Template(text).substitute(
        script=path.name,
        needs=runtime.needs,
        version=__version__,
        imports=runtime.imports,
        opener=Template(runtime.opener).substitute(hint=_HINTS[export_config.precision]),
        file=repr(model.name),
        resolution=preprocessing.resolution,
        crop=repr(preprocessing.crop),
        channels=preprocessing.channels,
        mean=repr(tuple(preprocessing.mean)),
        std=repr(tuple(preprocessing.std)),
        batch=export_config.batch,
        pixels=export_config.normalize_inside,
        classes=_lines(preprocessing.classes),
    )
    write_text(path, filled)
    return path


def _lines(names: tuple[str, ...]) -> str:
    inner = "".join(f"    {name!r},\n" for name in names)
    return f"(\n{inner})"
