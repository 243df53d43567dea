"""The verbs that work in a run folder, each so small that it takes a second."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import allometry as al
from allometry.arch import Head, MBConv, Network, Stage, Stem, load_space
from allometry.catalog import mbconv_space
from allometry.cost import Correction
from allometry.profiling import tables
from allometry.verbs import supernet, table
from tests.images import shapes

SHORT: dict[str, Any] = {"device": "cpu", "progress": False}


@dataclass(frozen=True)
class Verb:
    """A verb in a run folder.

    Attributes:
        name: of the verb.
        work: does it in a folder; called again it goes on.
        share: of all kills, in parts.
        before: makes the folder that it works in, by another verb; None for one that begins with nothing.
    """

    name: str
    work: Callable[[Path], object]
    share: int
    before: Callable[[Path], object] | None = None


NETWORK = Network(
    name="small",
    stem=Stem(channels=4),
    stages=(
        Stage(block=MBConv(channels=4, expand_ratio=2, stride=2), repeats=2),
        Stage(block=MBConv(channels=8, expand_ratio=2, stride=2)),
    ),
    head=Head(channels=8, classes=3),
    in_channels=1,
    resolution=16,
)


def data() -> Any:
    return shapes(6, size=16, seed=0)


def space() -> Any:
    return mbconv_space(NETWORK, kernels=(3, 5), expand_ratios=(1, 2, 3), depths=(1, 2), name="kills")


def train(folder: Path) -> object:
    settings = ["epochs=3", "batch_size=8", "keep=best"]
    return al.train(NETWORK, data=data(), settings=settings, out=folder, **SHORT)


def train_growing(folder: Path) -> object:
    settings = ["epochs=3", "batch_size=8"]
    return al.train(NETWORK, data=data(), settings=settings, grow="1.5x@2, 2x@3", out=folder, **SHORT)


def grow(folder: Path) -> object:
    """From the run beside the folder."""
    settings = ["epochs=1", "batch_size=8"]
    return al.grow(folder.parent / "small", budget="2x", data=data(), settings=settings, out=folder, **SHORT)


def _small(folder: Path) -> object:
    return train(folder.parent / "small")


def run(folder: Path) -> object:
    settings = ["epochs=1", "batch_size=8"]
    options = {"budget": "40k", "law": "width", "settings": settings}
    return al.run(data=data(), baseline=NETWORK, out=folder, **options, **SHORT)


def fit(folder: Path) -> object:
    return al.fit(NETWORK, data=data(), epochs=2, settings=["batch_size=8"], out=folder, **SHORT)


def search(folder: Path) -> object:
    options = {"trials": 3, "epochs": 2, "settings": ["batch_size=8"]}
    return al.search(space(), data=data(), budget="100k", out=folder, **options, **SHORT)


def search_by_gradient(folder: Path) -> object:
    options = {"searcher": "proxylessnas", "epochs": 2, "settings": ["batch_size=8"]}
    return al.search(space(), data=data(), budget="100k", out=folder, **options, **SHORT)


def train_supernet(folder: Path) -> object:
    options = {"epochs": 2, "settings": ["batch_size=8"]}
    return supernet.train(space(), data=data(), out=folder, **options, **SHORT)


def _opened(folder: Path) -> Any:
    from dataclasses import replace

    from allometry.data import as_dataset

    return replace(al.open(folder), dataset=as_dataset(data(), seed=0))


def search_supernet(folder: Path) -> object:
    options = {"subnets": 20, "held_out": 10, "least_tau": -1.0}
    return supernet.search(_opened(folder), budget="macs<=100k", **options, **SHORT)


def extract(folder: Path) -> object:
    """From the supernet beside the folder."""
    subnet = load_space(folder.parent / "supernet" / "space.json").smallest()
    return supernet.extract(
        _opened(folder.parent / "supernet"), subnet, epochs=1, out=folder, settings=["batch_size=8"], **SHORT
    )


def _beside(folder: Path) -> object:
    return train_supernet(folder.parent / "supernet")


def report(folder: Path) -> object:
    return al.report(folder)


def export(folder: Path) -> object:
    return al.export(folder, data=data(), progress=False)


class _Bench:
    """Instead of measuring: what a block takes follows from its costs."""

    usual = drift = 1.0

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __enter__(self) -> _Bench:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def pieces(self, pieces: Any, _config: object) -> list[float]:
        return [1e-6 * (1 + len(str(piece)) % 97) for piece in pieces]

    def networks(self, networks: Any, _config: object, _progress: object) -> list[float]:
        return [1e-4 * (1 + number) for number, _ in enumerate(networks)]


def build_table(folder: Path) -> object:
    tables._Bench, tables._CHUNK = _Bench, 2  # type: ignore[misc, assignment]
    tables.fit_correction = lambda *_: Correction()  # type: ignore[assignment]
    return table.build(space(), folder / "table.json", networks=3, progress=False)


VERBS = (
    Verb("train", train, 18),
    Verb("table build", build_table, 12),
    Verb("supernet extract", extract, 4, before=_beside),
    Verb("search", search, 3),
    Verb("search by gradient", search_by_gradient, 3),
    Verb("supernet train", train_supernet, 3),
    Verb("supernet search", search_supernet, 3, before=train_supernet),
    Verb("report", report, 3, before=train),
    Verb("run", run, 2),
    Verb("fit", fit, 1),
    Verb("export", export, 1, before=train),
    Verb("train growing", train_growing, 2),
    Verb("grow", grow, 2, before=_small),
)


def copy(source: Path, target: Path) -> None:
    """Everything beside a folder, too: what `extract` reads."""
    if source.exists():
        shutil.copytree(source, target, dirs_exist_ok=True)
