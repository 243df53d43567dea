"""Any module as an ONNX file: batch norm folded, layers named, nothing in it of the machine that wrote it."""

from __future__ import annotations

import ast
import logging
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from allometry.base.files import placing

_ONE_FILE = 1_500_000_000  # bytes of weights; ONNX itself cannot hold more than 2 GiB in one
_SCOPES = "pkg.torch.onnx.name_scopes"


def write_onnx(
    module: nn.Module,
    path: Path,
    *,
    example: torch.Tensor,
    dynamic_axes: Sequence[int] = (),
    names: Sequence[str] = ("batch", "channels", "height", "width"),
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write any module that maps `image` to `logits` as an ONNX file, batch norm folded.

    Nodes bear the names of the modules they come from. Weights of more than 1.5 GB go into a second file beside it,
    `NAME.data`.

    Args:
        module: on the CPU; it is put into evaluation mode.
        path: of the file.
        example: an input, usually [N, C, H, W]; its size is the file's.
        dynamic_axes: dimensions of the input whose size the file leaves open; the first one is the batch's.
        names: of the input's dimensions.
        metadata: written into the file.

    Raises:
        StorageError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> layer = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
        >>> path = Path(tempfile.mkdtemp()) / "layer.onnx"
        >>> write_onnx(layer, path, example=torch.zeros(2, 3, 16, 16), dynamic_axes=[0]).name
        'layer.onnx'
    """
    import onnx

    with quiet_exporter():
        program = torch.onnx.export(
            module.eval(),
            (example,),
            dynamo=True,
            verbose=False,
            input_names=["image"],
            output_names=["logits"],
            dynamic_shapes=({axis: names[axis] for axis in dynamic_axes},) if dynamic_axes else None,
        )
    if program is None:
        raise AssertionError("the exporter returned no program")
    model = program.model_proto
    _name_nodes(model.graph)
    onnx.helper.set_model_props(model, dict(metadata or {}))
    weights = sum(tensor.numel() * tensor.element_size() for tensor in module.state_dict().values())
    with placing(path.parent) as beside:
        target = beside / path.name
        if weights > _ONE_FILE:
            onnx.save_model(
                model, target, save_as_external_data=True, location=f"{path.name}.data", size_threshold=1024
            )
        else:
            target.write_bytes(model.SerializeToString())
        onnx.checker.check_model(target)
    return path


def dynamic_shapes(axes: Sequence[int]) -> dict[int, Any]:
    """What `torch.export` wants to know of the dimensions whose size stays open."""
    return dict.fromkeys(axes, torch.export.Dim.DYNAMIC)


def _name_nodes(graph: Any) -> None:  # noqa: ANN401 - onnx.GraphProto
    """Name each node after its module, and forget what the exporter notes: among it, paths of this machine."""
    counts: Counter[str] = Counter()
    for node in graph.node:
        properties = {entry.key: entry.value for entry in node.metadata_props}
        scopes = ast.literal_eval(properties.get(_SCOPES, "[]"))
        name = "/".join((*scopes[-2:-1], node.op_type)) if len(scopes) > 2 else node.op_type
        counts[name] += 1
        node.name = f"{name} {counts[name]}" if counts[name] > 1 else name
        node.doc_string = ""
        del node.metadata_props[:]
    for value in (*graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del value.metadata_props[:]
    del graph.metadata_props[:]


@contextmanager
def quiet_exporter() -> Iterator[None]:
    """Keep the exporter's remarks on its own internals from the user's screen."""
    names = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")
    before = {name: logging.getLogger(name).level for name in names}
    try:
        for name in names:
            logging.getLogger(name).setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
