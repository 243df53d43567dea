"""What is measured: a network in a runtime, set up in one way."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from allometry.arch import Network, load, to_json
from allometry.base import InputError, MissingExtraError, UnknownNameError
from allometry.base.checks import check_fields
from allometry.base.extras import load_extra
from allometry.base.reading import is_file, is_folder
from allometry.base.text import shown
from allometry.catalog import as_network, names_module
from allometry.runs.files import NETWORK

if TYPE_CHECKING:
    from torch import nn

Runtime = Literal["torch", "torch.compile", "onnxruntime", "openvino"]
Precision = Literal["float32", "bfloat16"]
Part = Literal["whole", "stem", "block", "head"]
RUNTIMES: tuple[Runtime, ...] = get_args(Runtime)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
_OF_FILES: tuple[Runtime, ...] = ("onnxruntime", "openvino")
_OF_TORCH: tuple[Runtime, ...] = ("torch", "torch.compile")
_RUN_BY: dict[str, tuple[Runtime, ...]] = {".onnx": _OF_FILES, ".xml": ("openvino",), ".pt2": _OF_TORCH}
_NAMED_FILES = (".onnx", ".xml")
_USUAL_SIDE, _USUAL_CHANNELS = 224, 3
_DEVICE = re.compile(r"cpu|cuda(:[0-9]{1,3})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredNetwork:
    """A network in a runtime; exactly one of `network`, `module` and `file` says which.

    Attributes:
        name: what it is called in tables.
        runtime: what runs it.
        network: as JSON text.
        part: of the network: `whole`, or what `around` was made for: `stem`, `block` or `head`.
        module: `package.module:factory` or `timm:NAME`.
        file: of ONNX, OpenVINO (`.xml`) or `torch.export` (`.pt2`).
        channels: of the input.
        resolution: side of the input, in pixels.
        batch: images of a run.
        threads: of the runtime.
        precision: of the arithmetic.
        device: `cpu` or `cuda`.

    Example:
        >>> from allometry.catalog import get
        >>> b0 = MeasuredNetwork(name="b0", runtime="torch", network=to_json(get("efficientnet-b0")))
        >>> b0.shape
        (1, 3, 224, 224)
    """

    name: str
    runtime: Runtime
    network: str | None = None
    part: Part = "whole"
    module: str | None = None
    file: Path | None = None
    channels: int = _USUAL_CHANNELS
    resolution: int = _USUAL_SIDE
    batch: int = 1
    threads: int = 1
    precision: Precision = "float32"
    device: str = "cpu"

    def __post_init__(self) -> None:
        sources = [source for source in (self.network, self.module, self.file) if source is not None]
        assert len(sources) == 1, "one network, module or file"  # noqa: S101
        check_fields(self, batch=1, threads=1, resolution=1, channels=1)
        for name, value, possible in (
            ("runtime", self.runtime, RUNTIMES),
            ("precision", self.precision, PRECISIONS),
        ):
            if value not in possible:
                raise UnknownNameError(name, value, possible)
        if self.file is not None:
            readers = _RUN_BY.get(self.file.suffix, ())
            if self.runtime not in readers:
                raise InputError(f"{self.file} runs in {' or '.join(readers)}, not in {self.runtime}.")
        if not _DEVICE.fullmatch(self.device):
            raise InputError(f"Networks are measured on cpu, cuda or cuda:0, not on {shown(self.device)}.")
        if self.device != "cpu" and self.runtime in _OF_FILES:
            raise InputError(f"{self.runtime} is measured on the cpu only, not on {self.device}.")
        if self.precision == "bfloat16" and self.runtime == "onnxruntime":
            raise InputError(
                "onnxruntime computes in float32 on CPUs; for bfloat16 take the runtime openvino or torch."
            )

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of the input."""
        return self.batch, self.channels, self.resolution, self.resolution

    @property
    def exported(self) -> bool:
        """Whether the runtime reads a file."""
        return self.runtime in _OF_FILES


def networks_to_measure(
    networks: Sequence[Network | nn.Module | str | Path],
    *,
    folder: Path | None = None,
    runtimes: Sequence[str] = ("torch",),
    resolution: int | None = None,
    batch: int = 1,
    threads: int = 1,
    precision: str = "float32",
    device: str = "cpu",
) -> tuple[MeasuredNetwork, ...]:
    """Every network in every runtime.

    Args:
        networks: networks, names of the zoo, JSON files, run folders, ONNX and OpenVINO files, torch modules,
            `timm:NAME`, `package.module:factory`.
        folder: where modules are written, which a process of their own reads.
        runtimes: of `RUNTIMES`.
        resolution: side of the input, in pixels; by default each network's own.
        batch: images of a run.
        threads: of the runtime.
        precision: of `PRECISIONS`.
        device: `cpu` or `cuda`.

    Raises:
        InputError: a name is not known, or things do not go together.

    Example:
        >>> both = networks_to_measure(["efficientnet-b0"], runtimes=["torch", "onnxruntime"])
        >>> [(network.name, network.runtime) for network in both]
        [('efficientnet-b0', 'torch'), ('efficientnet-b0', 'onnxruntime')]
    """
    made: list[MeasuredNetwork] = []
    for network, runtime in product(networks, runtimes):
        if runtime not in RUNTIMES:
            raise UnknownNameError("runtime", runtime, RUNTIMES)
        if isinstance(network, Network | str | Path):
            first = _find(network, runtime)
        else:
            assert folder is not None, "a module needs a folder"  # noqa: S101
            first = _of_module(
                network,
                runtime,
                folder / str(len(made)),
                resolution=resolution,
                batch=batch,
                precision=precision,
                device=device,
            )
        if resolution is not None:
            first = replace(first, resolution=resolution)
        made.append(
            replace(first, batch=batch, threads=threads, precision=precision, device=device)  # type: ignore[arg-type]
        )
    return tuple(made)


def _find(network: Network | str | Path, runtime: Runtime) -> MeasuredNetwork:
    if isinstance(network, Network):
        return _of_network(network.name or "network", network, runtime)
    text, path = str(network), Path(network)
    if path.suffix in _NAMED_FILES:
        return _of_file(path, runtime)
    if names_module(text):
        return MeasuredNetwork(name=text, runtime=runtime, module=text)
    known = load(path / NETWORK) if is_folder(path) else as_network(text)
    return _of_network(text, known, runtime)


def _of_network(name: str, network: Network, runtime: Runtime) -> MeasuredNetwork:
    return MeasuredNetwork(
        name=name,
        runtime=runtime,
        network=to_json(network),
        channels=network.in_channels,
        resolution=network.resolution,
    )


def _of_module(
    module: nn.Module,
    runtime: Runtime,
    folder: Path,
    *,
    resolution: int | None,
    batch: int,
    precision: str,
    device: str,
) -> MeasuredNetwork:
    """A module of another process is read from a file, whatever its class and wherever that is defined."""
    from allometry.nn import input_channels, timm_config
    from allometry.profiling.modules import write_module

    channels = input_channels(module) or _USUAL_CHANNELS
    side = resolution or int(timm_config(module).get("resolution", _USUAL_SIDE))
    file = write_module(
        module,
        folder,
        runtime=runtime,
        shape=(batch, channels, side, side),
        precision=precision,
        device=device,
    )
    name = type(module).__name__
    return MeasuredNetwork(name=name, runtime=runtime, file=file, channels=channels, resolution=side)


def _of_file(path: Path, runtime: Runtime) -> MeasuredNetwork:
    if not is_file(path):
        raise InputError(f"There is no file {path}.")
    try:
        sides, of_pixels = (_onnx_input if path.suffix == ".onnx" else _openvino_input)(path)
        _, first, second, third = sides
    except MissingExtraError:
        raise
    except Exception as error:  # protobuf raises many kinds for a file that is none
        raise InputError(
            f"{path} is not a file of a network for images: it has no first input of four dimensions."
        ) from error
    channels, height, width = (third, first, second) if of_pixels else (first, second, third)
    if height != width:
        raise InputError(f"{path} takes images of {height} x {width} pixels; only square ones are measured.")
    return MeasuredNetwork(
        name=str(path),
        runtime=runtime,
        file=path,
        channels=channels or _USUAL_CHANNELS,
        resolution=height or _USUAL_SIDE,
    )


def _onnx_input(path: Path) -> tuple[list[int], bool]:
    """The dimensions of the input, 0 for free ones, and whether it is of pixels."""
    import onnx

    kind = onnx.load(path, load_external_data=False).graph.input[0].type.tensor_type
    return [dimension.dim_value for dimension in kind.shape.dim], kind.elem_type == onnx.TensorProto.UINT8


def _openvino_input(path: Path) -> tuple[list[int], bool]:
    openvino = load_extra("openvino", extra="openvino", asker=path)
    taken = openvino.Core().read_model(path).inputs[0]
    sides = [0 if side.is_dynamic else side.get_length() for side in taken.get_partial_shape()]
    return sides, taken.get_element_type() == openvino.Type.u8
