"""ncnn: Tencent's runtime for phones and small boards, in one library of a few megabytes."""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allometry.base import ExportError
from allometry.base.files import placing
from allometry.deploy.onnx import write_onnx
from allometry.deploy.targets.base import FLOAT16, FLOAT32, ExportTarget, RuntimeSnippet, WriteRequest

_CODE = """RUNTIME = f"ncnn {{ncnn.__version__}}"


def open_model(path):
    net = ncnn.Net()
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = {half}
    if net.load_param(str(path)) or net.load_model(str(path.with_suffix(".bin"))):
        raise SystemExit(f"{{path}} does not load.")

    def run_one(image):
        extractor = net.create_extractor()
        extractor.input("in0", ncnn.Mat(np.ascontiguousarray(image)).clone())
        return np.array(extractor.extract("out0")[1])

    return lambda inputs: np.stack([run_one(image) for image in inputs])"""


@dataclass(frozen=True)
class NcnnTarget(ExportTarget):
    """ncnn's pair of files, `NAME.ncnn.param` and `NAME.ncnn.bin`, which pnnx makes of an ONNX file.

    The runtime takes one image after the other.

    Example:
        >>> [file.name for file in NcnnTarget().files(Path("model.ncnn.param"))]
        ['model.ncnn.param', 'model.ncnn.bin']

    Source: https://github.com/Tencent/ncnn and its converter, https://github.com/pnnx/pnnx.
    """

    name = "ncnn"
    suffix = ".ncnn.param"
    precisions = (FLOAT32, FLOAT16)
    open_size = False
    pixels = False
    extra = "ncnn"

    def write(self, request: WriteRequest, path: Path) -> None:
        """Write both files; weights are stored in 16 bits for float16."""
        pnnx = self.load("pnnx")
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "model.onnx"
            write_onnx(request.module, source, example=request.example[:1])
            _convert(pnnx, source, request)
            with placing(path.parent) as beside:
                for written, file in zip(
                    self.files(source.with_suffix(self.suffix)), self.files(path), strict=True
                ):
                    (beside / file.name).write_bytes(written.read_bytes())

    def snippet(self, precision: str) -> RuntimeSnippet:
        """Ncnn on the CPU."""
        half = precision == FLOAT16.name
        return RuntimeSnippet(needs="ncnn", imports="import ncnn", code=_CODE.format(half=half))

    def files(self, path: Path) -> tuple[Path, ...]:
        """The layers, and the weights beside them."""
        return path, path.with_suffix(".bin")


def _convert(pnnx: Any, source: Path, request: WriteRequest) -> None:  # noqa: ANN401 - a module
    shape = ",".join(map(str, (1, *request.example.shape[1:])))
    half = int(request.precision == FLOAT16.name)
    command = [pnnx.EXEC_PATH, source.name, f"inputshape=[{shape}]f32", f"fp16={half}"]
    done = subprocess.run(command, cwd=source.parent, capture_output=True, text=True, check=False)  # noqa: S603
    made = source.with_suffix(NcnnTarget.suffix)
    if done.returncode or not made.exists():
        told = (done.stderr or done.stdout).strip().splitlines()[-1:] or [f"status {done.returncode}"]
        raise ExportError(f"pnnx does not convert this network to ncnn: {told[0]}")
