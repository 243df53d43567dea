"""A tiny space and images that only neighboring pixels tell apart; a search by gradient takes a second on them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from allometry.arch import Choice, Head, MBConv, Network, Space, Stage, Stem
from allometry.data import ArraySplit, Dataset
from allometry.nas.gradient import GradientJob, proxylessnas
from allometry.training import Preprocessing, Recipe

CLASSES = ("stripes", "squares")


def tiny_space(*, kernels=(1, 3), depths=(1, 2)) -> Space:
    """Two layers, the second of which may be missing, and a layer of another stage; 8 pixels."""
    layer = MBConv(channels=8, expand_ratio=2, se_ratio=0, activation="relu")
    stages = (
        Stage(block=layer),
        Stage(block=layer, continues=True),
        Stage(block=replace(layer, channels=12, stride=2)),
    )
    kernel = tuple(
        Choice(name=f"kernel {place}", paths=(f"stages.{place}.block.kernel",), options=kernels)
        for place in range(2)
    )
    ratio = Choice(name="ratio 0", paths=("stages.0.block.expand_ratio",), options=(1, 2, 4))
    shared = Choice(
        name="shared ratio",
        paths=("stages.1.block.expand_ratio", "stages.2.block.expand_ratio"),
        options=(2, 3),
    )
    depth = Choice(name="depth", paths=("groups.0.depth",), options=depths)
    template = Network(
        stem=Stem(channels=8, kernel=1, stride=1, activation="relu"),
        stages=stages,
        head=Head(channels=16, classes=2, activation="relu", dropout=0.1),
        in_channels=1,
        resolution=8,
    )
    return Space(template=template, choices=(depth, *kernel, ratio, shared), name="tiny")


SPACE = tiny_space()


def textures(number: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Stripes and chequered squares, as many light pixels in both: only neighbors tell them apart."""
    random = np.random.default_rng(seed)
    labels = np.arange(number) % 2
    encodings, columns = np.mgrid[:8, :8]
    pictures = []
    for label in labels:
        pattern = (encodings + columns * int(label) + random.integers(2)) % 2
        pictures.append(60 + pattern * 120 + random.integers(-20, 20, (8, 8)))
    return np.stack(pictures).astype(np.uint8)[..., None], labels.astype(np.int64)


def images() -> Dataset:
    splits = {}
    for seed, (name, number) in enumerate({"train": 80, "val": 8, "test": 8}.items()):
        images, labels = textures(number, seed)
        names = tuple(f"{name}/{place}" for place in range(number))
        splits[name] = ArraySplit(images=images, labels=labels, names=names)
    return Dataset(name="textures", classes=CLASSES, channels=1, image_size=8, splits=splits)


def job_in(folder: Path, **options: Any) -> GradientJob:
    preprocessing = Preprocessing(
        channels=1, resolution=8, crop=1.0, mean=(0.5,), std=(0.25,), classes=CLASSES
    )
    given: dict[str, Any] = {
        "dataset": images(),
        "space": SPACE,
        "settings": replace(proxylessnas(), every=1, learning_rate=0.05),
        "recipe": Recipe(epochs=3, batch_size=16, learning_rate=0.01, batch_norm_momentum=0.1),
        "preprocessing": preprocessing,
        "workers": 1,
    }
    return GradientJob(folder=folder, **given | options)
