"""Inputs that are right, small, and of every kind that is read."""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow
import pyarrow.parquet
import torch
from PIL import Image
from safetensors.torch import save

from allometry.arch import Head, MBConv, Network, Space, Stage, Stem, UniversalInvertedBottleneck, pieces
from allometry.arch.module_parts import (
    Channels,
    Factor,
    ModuleChoice,
    ModuleGroup,
    ModuleProduct,
    ModuleRun,
    ModuleTensor,
    TensorSide,
)
from allometry.arch.module_space import ModuleSpace
from allometry.catalog import mbconv_space
from allometry.cost import LatencyTable, RuntimeConfig
from allometry.cost.latency import key_of, label_of
from allometry.nas import sample_encodings
from allometry.nas.store import TrialStore
from allometry.runs.phases import ALL, Phase, phases_to_json
from allometry.supernets.predictor import fit_predictor
from allometry.training.checkpoint import Checkpoint
from tests.image_files import odd_kinds


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


def module_space() -> ModuleSpace:
    """Of a module with a width, a depth and two sizes of images."""
    width, depth, side = "stem channels", "layers depth", "resolution"
    return ModuleSpace(
        module="nets:make",
        choices=(
            ModuleChoice(name=side, dimension="resolution", options=(16.0, 32.0)),
            ModuleChoice(name=width, dimension="channels", options=(0.5, 1.0)),
            ModuleChoice(name=depth, dimension="depth", options=(1.0, 2.0)),
        ),
        groups=(ModuleGroup(number=0, name="stem.weight", choice=width, options=(0.5, 1.0), sizes=(8, 16)),),
        runs=(ModuleRun(container="layers", blocks=("0", "1"), before=0, choice=depth),),
        resolutions=(16, 32),
        products=(
            ModuleProduct(
                module="layers.1",
                times=(64.0, 256.0),
                outputs=(Channels(0, 32),),
                inputs=(Channels(-1, 3),),
                factors=(Factor(width, (0.5, 1.0), (0.5, 1.0)),),
            ),
        ),
        tensors=(ModuleTensor(name="stem.weight", shape=(16, 3, 3, 3), sides=(TensorSide(0, 0, 1),)),),
        in_channels=3,
        classes=2,
        kept=("stem: why",),
    )


def space() -> Space:
    return mbconv_space(tiny(), kernels=(3, 5), expand_ratios=(2, 3))


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
        *odd_kinds().values(),
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


def deep_pictures() -> tuple[bytes, ...]:
    """Of 16 bits, with transparency, and of several images."""
    values = np.random.default_rng(0).integers(0, 65536, (24, 20), np.uint16)
    files = []
    for kind, options in (("PNG", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("PPM", {})):
        file = io.BytesIO()
        Image.fromarray(values).save(file, kind, **options)
        files.append(file.getvalue())
    two = [Image.new("P", (20, 24), shade) for shade in (3, 200)]
    file = io.BytesIO()
    two[0].save(file, "GIF", save_all=True, append_images=two[1:], transparency=3)
    return (*files, file.getvalue(), picture("PNG", mode="RGBA"), picture("PNG", mode="1"))


def manifest(rows: int = 8) -> bytes:
    listed = [b"%d.png,%s\n" % (row, b"ab"[row % 2 : row % 2 + 1]) for row in range(rows)]
    return b"path,label\n" + b"".join(listed)


def parquet(rows: int = 8) -> bytes:
    file = io.BytesIO()
    columns = {"path": [f"{row}.png" for row in range(rows)], "label": ["ab"[row % 2] for row in range(rows)]}
    pyarrow.parquet.write_table(pyarrow.table(columns), file)
    return file.getvalue()


def shard(samples: int = 8) -> bytes:
    """Images with labels of every kind that a shard may have."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for number in range(samples):
            label = {"cls": b"%d" % (number % 2), "json": b'{"label": "%d"}' % (number % 2)}
            kind = ("cls", "json")[number // 2 % 2]
            for name, content in (
                (f"{number}.png", small_picture(number)),
                (f"{number}.{kind}", label[kind]),
            ):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return file.getvalue()


def small_picture(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (8, 8), 20 * shade).save(file, "PNG")
    return file.getvalue()


def npy_file(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), np.uint8)


def phases() -> bytes:
    plan = (Phase(name="largest", epochs=2), Phase(name="all", epochs=1, elastic={"kernel": ALL}, subnets=2))
    return json.dumps({"phases": phases_to_json(plan)}).encode()


def table() -> bytes:
    parts = list(dict.fromkeys(pieces(tiny())))
    made = LatencyTable(
        space="tiny",
        runtime_config=RuntimeConfig(),
        machine_info={"processor": "fast"},
        seconds={key_of(piece): 0.001 for piece in parts},
        labels={key_of(piece): label_of(piece) for piece in parts},
    )
    return written(made.save)


def predictor() -> bytes:
    encodings = sample_encodings(space(), np.random.default_rng(0), 30)
    return written(fit_predictor(space(), encodings, encodings.mean(1) / 100).save)


def onnx_file() -> bytes:
    shape = [1, 3, 8, 8]
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name in ("x", "y")]
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "g", ends[:1], ends[1:])
    content: bytes = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 17)]
    ).SerializeToString()
    return content


def study() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "trials.db"
        with TrialStore(
            f"sqlite:///{file}", space(), objectives=["accuracy"], identity="1", driver="me"
        ) as store:
            claim = store.claim(most=2)
            assert claim is not None
            store.decide(claim, sample_encodings(space(), np.random.default_rng(0), 1)[0])
        return file.read_bytes()


def checkpoint_files() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        Checkpoint(step=7, weights=weights(), average=weights(), state={"phase": 0}).write(Path(folder))
        place = next(Path(folder).glob("step-*"))
        return {file.name: file.read_bytes() for file in place.iterdir()}


def written(save_to: Any) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        save_to(Path(folder) / "file")
        return (Path(folder) / "file").read_bytes()


def written_folder(make: Callable[[Path], Path]) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        made = make(Path(folder) / "net")
        return {str(file.relative_to(made)): file.read_bytes() for file in made.rglob("*") if file.is_file()}


def safetensors_file() -> bytes:
    return save(weights())
