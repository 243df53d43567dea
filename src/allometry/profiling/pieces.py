"""Parts of networks as modules, to be measured alone: many of them exported at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from allometry.arch import Piece, from_json, to_json, wrap_alone
from allometry.deploy.onnx import quiet_exporter
from allometry.nn import build
from allometry.nn.build import ConvNet
from allometry.profiling.measured_network import Part

_AT_ONCE = 32  # parts of one export: each export has a price of its own


class _Head(nn.Module):
    def __init__(self, network: ConvNet) -> None:
        super().__init__()
        self.network = network
        network.stem, network.stages = nn.Identity(), nn.Sequential()  # type: ignore[assignment]

    def forward(self, features: Tensor) -> Tensor:
        return self.network.forward_head(self.network.head(features))


def part_module(network: str, part: Part) -> nn.Module:
    """The part of a network that `wrap_alone` made, in evaluation mode.

    Args:
        network: as JSON text.
        part: which.
    """
    whole = build(from_json(network), seed=0).eval()
    if part == "stem":
        return nn.Sequential(whole.stem, whole.pool).eval()
    if part == "head":
        return _Head(whole).eval()
    if part == "whole":
        return whole
    return cast("nn.Sequential", whole.stages[0])[0]


class _Many(nn.Module):
    def __init__(self, parts: Sequence[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, *images: Tensor) -> tuple[Tensor, ...]:
        return tuple(part(image) for part, image in zip(self.parts, images, strict=True))


def export_parts(pieces: Sequence[Piece], folder: Path, *, batch: int) -> list[Path]:
    """An ONNX file for each piece.

    Args:
        pieces: the pieces.
        folder: for the files.
        batch: images of a run.
    """
    paths: list[Path] = []
    for first in range(0, len(pieces), _AT_ONCE):
        paths += _export(pieces[first : first + _AT_ONCE], folder, batch=batch, first=first)
    return paths


def _export(pieces: Sequence[Piece], folder: Path, *, batch: int, first: int) -> list[Path]:
    import onnx
    from onnx.utils import Extractor

    modules = [part_module(to_json(wrap_alone(piece)), piece.kind) for piece in pieces]
    examples = tuple(
        torch.zeros(batch, piece.source.channels, piece.source.size, piece.source.size) for piece in pieces
    )
    names = (
        [f"image{number}" for number in range(len(pieces))],
        [f"out{number}" for number in range(len(pieces))],
    )
    with quiet_exporter():
        program = torch.onnx.export(
            _Many(modules).eval(),
            examples,
            dynamo=True,
            verbose=False,
            input_names=names[0],
            output_names=names[1],
        )
    assert program is not None  # noqa: S101
    extractor = Extractor(program.model_proto)
    paths = []
    for number, (taken, written) in enumerate(zip(*names, strict=True), start=first):
        paths.append(folder / f"part{number}.onnx")
        onnx.save_model(extractor.extract_model([taken], [written]), paths[-1])
    return paths
