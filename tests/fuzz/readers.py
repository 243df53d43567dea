"""Everything that reads what others wrote: an input that is right, and how it is read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from allometry.arch import ModuleSpace, Network, from_json, space_from_json, space_to_json, to_json
from allometry.arch.any_space import load_member
from allometry.base.files import read_lines
from allometry.catalog import get
from allometry.cost import LatencyTable, count, parse_budget
from allometry.data import open_data, read_image
from allometry.nas.objectives import as_objectives
from allometry.nas.store import TrialStore
from allometry.nn import read_weights
from allometry.profiling.measured_network import networks_to_measure
from allometry.runs.phases import load_phases, phases_to_json
from allometry.scaling import ScalingLaw, as_law
from allometry.supernets.predictor import Predictor
from allometry.training import Preprocessing
from allometry.training.checkpoint import latest_checkpoint
from allometry.training.recipes import change, small

from . import inputs
from .mutations import damaged, mutated_json, mutated_lines, mutated_text

Reader = Callable[[Path], object]


@dataclass(frozen=True)
class Target:
    """Something that is read.

    Attributes:
        name: for messages, and of the file unless `file` says it, whose ending may count.
        seeds: inputs that are right.
        mutate: makes others of them.
        read: reads a file; what it gives must read back the same, where `write` writes it.
        write: writes what was read, as text that `read` takes.
        file: name of the file, in its folder.
        beside: other files that the reader needs.
        share: of the usual number of inputs, where reading takes long.
    """

    name: str
    seeds: tuple[bytes, ...]
    mutate: Callable[[bytes, Random], bytes]
    read: Reader
    write: Callable[[Any], str] | None = None
    file: str = ""
    beside: Mapping[str, bytes] = field(default_factory=dict)
    share: float = 1.0

    @property
    def place(self) -> str:
        """Where the file is, in the folder of the target."""
        return self.file or self.name


def text_of(path: Path) -> str:
    return path.read_bytes().decode(errors="surrogateescape")


def counted(path: Path) -> Network:
    network = from_json(text_of(path))
    count(network)
    return network


def opened(path: Path) -> object:
    return open_data(path, cache_folder=path.parent / "cache")


def table_text(path: Path) -> str:
    again = path.with_name("again.json")
    LatencyTable.load(path).save(again)
    return again.read_text()


def study_trials(path: Path) -> object:
    # A driver that is opened takes trials from those that died, so that it changes the file.
    address = f"sqlite:///{path}"
    with TrialStore(address, inputs.space(), objectives=["accuracy"], identity="1", driver="me") as store:
        return store.finished()


@cache
def targets() -> tuple[Target, ...]:
    # Late, since it is made of these.
    from .run_files import run_targets

    return (*described(), *written_by_people(), *of_images(), *of_weights(), *run_targets())


def _counted_space(path: Path) -> ModuleSpace:
    space = ModuleSpace.load(path)
    assert space.smallest().params >= 0
    assert space.largest().macs >= 0
    return space


def described() -> Iterator[Target]:
    """Networks, spaces, laws, phases and tables."""
    cells = get("nasnet-a-mobile")
    networks = (inputs.tiny(), replace(cells, stages=cells.stages[:2]))
    law = ScalingLaw(1.2, 1.1, 1.15, late_stage_bias=0.1, largest_resolution=480, channel_multiple=16)
    first = {"format": "allometry.law/1"}
    preprocessing = Preprocessing(
        channels=1, resolution=8, crop=0.9, mean=(0.5,), std=(0.2,), classes=("a", "b"), thresholds=(0.5, 0.4)
    )
    yield Target(
        "network.json", tuple(to_json(known).encode() for known in networks), mutated_json, counted, to_json
    )
    yield Target(
        "space.json",
        (space_to_json(inputs.space()).encode(),),
        mutated_json,
        lambda path: space_from_json(text_of(path)),
        space_to_json,
    )
    yield Target(
        "module-space.json",
        (json.dumps(inputs.module_space().to_dict()).encode(),),
        mutated_json,
        _counted_space,
        lambda read: json.dumps(read.to_dict()),
    )
    yield Target(
        "member.json",
        (json.dumps(inputs.module_space().smallest().to_dict()).encode(),),
        mutated_json,
        load_member,
        lambda read: json.dumps(read.to_dict()),
    )
    yield Target(
        "law.json",
        (json.dumps(first | law.to_dict()).encode(),),
        mutated_json,
        ScalingLaw.load,
        lambda read: json.dumps(first | read.to_dict()),
    )
    yield Target(
        "phases.json",
        (inputs.phases(),),
        mutated_json,
        load_phases,
        lambda read: json.dumps({"phases": phases_to_json(read)}),
    )
    yield Target("table.json", (inputs.table(),), mutated_json, table_text, str)
    yield Target(
        "preprocessing.json",
        (json.dumps(preprocessing.to_dict()).encode(),),
        mutated_json,
        Preprocessing.load,
        lambda read: json.dumps(read.to_dict()),
    )


def written_by_people() -> Iterator[Target]:
    """Budgets, laws, objectives, settings, and places of images."""
    recipe = small(inputs.tiny(), images=100)
    cost = count(inputs.tiny())
    yield Target(
        "budget",
        (b"macs<=400M,params<=5M", b"latency<=20ms", b"memory <= 512MiB", b"4x", b"0.25B"),
        mutated_text,
        lambda path: parse_budget(text_of(path), cost),
        lambda read: read.exact(),
    )
    yield Target("law", (b"1.2,1.1,1.15", b"compound"), mutated_text, lambda path: as_law(text_of(path)))
    yield Target(
        "objective",
        (
            b"accuracy * (macs / 4M) ** -0.07",
            b"accuracy; -macs",
            b"mnasnet-hard:latency=20ms",
            b"log(accuracy)",
        ),
        mutated_text,
        lambda path: as_objectives(text_of(path)),
        lambda read: "; ".join(map(str, read)),
    )
    yield Target(
        "setting",
        (
            b"learning_rate=0.1",
            b"augmentation.flip=true",
            b"epochs=5",
            b"loss=binary-cross-entropy",
            b"loss.class_weights=1,2",
            b"execution.memory=4GB",
            b"dropout=none",
        ),
        mutated_text,
        lambda path: change(recipe, text_of(path)),
    )
    yield Target(
        "place",
        (b"pets/train-{000..012}.tar", b"{train,val}-{0..3}.tar", b"photos/"),
        mutated_text,
        lambda path: open_data(text_of(path), cache_folder=path.parent / "cache"),
    )


def of_images() -> Iterator[Target]:
    """Images, and what lists or holds many."""
    pictures = {f"{row}.png": inputs.small_picture(row) for row in range(8)}
    images, labels = inputs.images(), np.arange(12) % 2
    arrays = inputs.array_file(images=images, labels=labels)
    yield Target("image", inputs.pictures(), damaged, lambda path: read_image(path, channels=3))
    yield Target("deep image", inputs.deep_pictures(), damaged, lambda path: read_image(path, channels=1))
    yield Target("manifest.csv", (inputs.manifest(),), damaged, opened, beside=pictures)
    yield Target("manifest.parquet", (inputs.parquet(),), damaged, opened, beside=pictures)
    yield Target("shard.tar", (inputs.shard(),), damaged, opened)
    yield Target("arrays.npz", (arrays,), damaged, opened)
    for name, array, other in (("images", images, labels), ("labels", labels, images)):
        rest = {"images": "labels", "labels": "images"}[name]
        yield Target(
            f"{name}.npy",
            (inputs.npy_file(array),),
            damaged,
            lambda path: open_data(path.parent, cache_folder=path.parent.parent / "cache"),
            file=f"arrays/{name}.npy",
            beside={f"arrays/{rest}.npy": inputs.npy_file(other)},
        )


def of_weights() -> Iterator[Target]:
    """Weights of every format, predictors, checkpoints, other runtimes' files, and the database of a search."""
    yield Target("weights.safetensors", (inputs.safetensors_file(),), damaged, read_weights)
    yield Target("weights.pth", (inputs.torch_file(),), damaged, read_weights)
    yield Target("weights.npz", (inputs.array_file(a=np.zeros((3, 4))),), damaged, read_weights)
    yield Target(
        "model.onnx",
        (inputs.onnx_file(),),
        damaged,
        lambda path: networks_to_measure([path], runtimes=["onnxruntime"]),
    )
    yield Target(
        "predictor.safetensors",
        (inputs.predictor(),),
        damaged,
        lambda path: Predictor.load(path, inputs.space()),
    )
    yield Target("trials.db", (inputs.study(),), damaged, study_trials, share=0.2)
    files = inputs.checkpoint_files()
    for name, content in files.items():
        yield Target(
            f"checkpoint {name}",
            (content,),
            mutated_json if name.endswith(".json") else damaged,
            lambda path: latest_checkpoint(path.parent.parent),
            file=f"step-00000007/{name}",
            beside={f"step-00000007/{other}": files[other] for other in files if other != name},
        )


def lines(path: Path) -> object:
    return read_lines(path)


LINES = Target("lines.jsonl", (b'{"epoch": 1}\n{"epoch": 2}\n',), mutated_lines, lines)
