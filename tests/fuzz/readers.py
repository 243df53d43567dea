"""Everything that reads what others wrote: an input that is right, and how it is read."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save

from allometry.arch import (
    Head,
    MBConv,
    Network,
    Stage,
    Stem,
    UniversalInvertedBottleneck,
    from_json,
    space_from_json,
    space_to_json,
    to_json,
)
from allometry.base.files import read_lines
from allometry.catalog import get, mbconv_space
from allometry.cost import count, parse_budget
from allometry.data import open_data, read_image
from allometry.nas.objectives import as_objectives
from allometry.nn import read_weights
from allometry.runs.files import RUN
from allometry.scaling import ScalingLaw, as_law
from allometry.training.recipes import change, small

from .mutations import damaged, mutated_json, mutated_text

Reader = Callable[[Path], object]


@dataclass(frozen=True)
class Target:
    """Something that is read.

    Attributes:
        name: for messages, and of the file, whose ending may count.
        seeds: inputs that are right.
        mutate: makes others of them.
        read: reads a file; what it gives must read back the same, where `write` writes it.
        write: writes what was read, as text that `read` takes.
    """

    name: str
    seeds: tuple[bytes, ...]
    mutate: Callable[[bytes, Random], bytes]
    read: Reader
    write: Callable[[Any], str] | None = None


def tiny() -> Network:
    return Network(
        stem=Stem(channels=8),
        stages=(
            Stage(block=MBConv(channels=8, expand_ratio=2)),
            Stage(block=UniversalInvertedBottleneck(channels=16, start_kernel=3, stride=2), repeats=2),
        ),
        head=Head(channels=16, classes=2),
        resolution=16,
    )


def text_of(path: Path) -> str:
    return path.read_bytes().decode(errors="surrogateescape")


def counted(path: Path) -> Network:
    network = from_json(text_of(path))
    count(network)
    return network


def picture(kind: str, **options: Any) -> bytes:
    values = np.random.default_rng(0).integers(0, 256, (24, 20, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(values).convert(options.pop("mode", "RGB")).save(file, kind, **options)
    return file.getvalue()


def pictures() -> tuple[bytes, ...]:
    return (
        picture("JPEG"),
        picture("JPEG", progressive=True),
        picture("JPEG", mode="CMYK"),
        picture("PNG"),
        picture("PNG", mode="P"),
        picture("GIF", mode="P"),
        picture("WEBP"),
        picture("TIFF"),
        picture("BMP"),
        picture("PPM"),
    )


def weights() -> dict[str, torch.Tensor]:
    return {"a.weight": torch.arange(12.0).reshape(3, 4), "a.bias": torch.zeros(3)}


def torch_file() -> bytes:
    file = io.BytesIO()
    torch.save(weights(), file)
    return file.getvalue()


def array_file(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def opened(path: Path) -> object:
    return open_data(path, cache_folder=path.parent / "cache")


def listed(path: Path) -> object:
    """What a manifest lists, beside the images that it is right about."""
    for row in range(8):
        if not (image := path.parent / f"{row}.png").exists():
            Image.new("L", (8, 8), 20 * row).save(image)
    return opened(path)


@cache
def targets() -> tuple[Target, ...]:
    network, cells = tiny(), get("nasnet-a-mobile")
    cells = replace(cells, stages=cells.stages[:2])
    space = mbconv_space(network, kernels=(3, 5), expand_ratios=(2, 3))
    law = {"format": "allometry.law/1", "alpha": 1.2, "beta": 1.1, "gamma": 1.15}
    recipe = small(network, images=100)
    images = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), np.uint8)
    arrays = array_file(images=images, labels=np.arange(12) % 2)
    manifest = b"path,label\n" + b"".join(
        b"%d.png,%s\n" % (row, b"ab"[row % 2 : row % 2 + 1]) for row in range(8)
    )
    lines = b"".join(json.dumps({"epoch": row, "loss": 0.1}).encode() + b"\n" for row in range(4))
    run = {"format": 2, "command": "train", "arguments": {"data": "icons", "seed": 0}}
    return (
        Target(
            "network.json",
            (to_json(network).encode(), to_json(cells).encode()),
            mutated_json,
            counted,
            to_json,
        ),
        Target(
            "space.json",
            (space_to_json(space).encode(),),
            mutated_json,
            lambda path: space_from_json(text_of(path)),
            space_to_json,
        ),
        Target("law.json", (json.dumps(law).encode(),), mutated_json, ScalingLaw.load),
        Target("run.json", (json.dumps(run).encode(),), mutated_json, lambda path: RUN.read(path.parent)),
        Target("metrics.jsonl", (lines,), damaged, read_lines),
        Target(
            "budget",
            (b"macs<=400M,params<=5M", b"latency<=20ms", b"memory <= 512MiB", b"4x"),
            mutated_text,
            lambda path: parse_budget(text_of(path), count(network)),
        ),
        Target("law", (b"1.2,1.1,1.15", b"compound"), mutated_text, lambda path: as_law(text_of(path))),
        Target(
            "objective",
            (b"accuracy * (macs / 4M) ** -0.07", b"accuracy; -macs"),
            mutated_text,
            lambda path: as_objectives(text_of(path)),
        ),
        Target(
            "setting",
            (b"learning_rate=0.1", b"augmentation.flip=true", b"epochs=5", b"loss.label_smoothing=0.1"),
            mutated_text,
            lambda path: change(recipe, text_of(path)),
        ),
        Target("image", pictures(), damaged, lambda path: read_image(path, channels=3)),
        Target("weights.safetensors", (save(weights()),), damaged, read_weights),
        Target("weights.pth", (torch_file(),), damaged, read_weights),
        Target("weights.npz", (array_file(a=np.zeros((3, 4))),), damaged, read_weights),
        Target("arrays.npz", (arrays,), damaged, opened),
        Target("manifest.csv", (manifest,), damaged, listed),
    )
