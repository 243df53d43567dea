"""Small data sets for tests: shapes that a tiny network can tell apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from allometry.data import ArraySplit, Dataset

CLASSES = ("bar", "disc", "frame")


def shape(kind: int, *, size: int, random: np.random.Generator) -> np.ndarray:
    """One image, uint8 [size, size]: a bar, a disc or a frame, somewhere, in some brightness."""
    rows, columns = np.mgrid[:size, :size]
    middle = size * random.uniform(0.4, 0.6, 2)
    radius = size * random.uniform(0.2, 0.35)
    dy, dx = np.abs(rows - middle[0]), np.abs(columns - middle[1])
    inside = {
        0: (dy < radius / 3) & (dx < radius),
        1: dy**2 + dx**2 < radius**2,
        2: (np.maximum(dy, dx) < radius) & (np.maximum(dy, dx) > radius * 0.6),
    }[kind]
    return (inside * random.uniform(150, 255)).astype(np.uint8)


def shapes(per_class: int, *, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [N, size, size, 1] and labels int64 [N]."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(CLASSES)), per_class)
    pictures = np.stack([shape(int(label), size=size, random=random) for label in labels])
    return pictures[..., None], labels.astype(np.int64)


def shapes_dataset(*, per_class: int = 24, size: int = 24) -> Dataset:
    """A data set in memory with the three splits."""
    splits = {}
    for seed, (name, number) in enumerate({"train": per_class, "val": 8, "test": 8}.items()):
        images, labels = shapes(number, size=size, seed=seed)
        names = tuple(f"{name}/{index}" for index in range(len(labels)))
        splits[name] = ArraySplit(images=images, labels=labels, names=names)
    return Dataset(name="shapes", classes=CLASSES, channels=1, image_size=size, splits=splits, rejected=())


def write_photos(folder: Path, *, per_class: int = 12, seed: int = 0) -> Path:
    """A folder of class folders with color photographs: noise, gradients and shapes; JPEG and PNG, sizes mixed."""
    random = np.random.default_rng(seed)
    for kind, name in enumerate(CLASSES):
        for number in range(per_class):
            height, width = (int(side) for side in random.integers(40, 90, 2))
            tint = random.uniform(0.4, 1, 3)
            figure = shape(kind, size=max(height, width), random=random)[:height, :width, None] * tint
            ground = np.linspace(0, random.uniform(20, 80), width)[None, :, None] + random.normal(
                0, 6, (height, width, 3)
            )
            image = np.clip(figure * 0.7 + ground, 0, 255).astype(np.uint8)
            path = folder / name / f"{number}.{'jpg' if number % 2 else 'png'}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    return folder


def two_shapes(number: int, *, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [N, size, size, 1] of two shapes beside each other, perhaps of one kind, and labels [N, 3]."""
    random = np.random.default_rng(seed)
    kinds = random.integers(len(CLASSES), size=(number, 2))
    labels = np.zeros((number, len(CLASSES)), np.uint8)
    np.put_along_axis(labels, kinds, 1, axis=1)
    pairs = [[shape(int(kind), size=size, random=random)[:, ::2] for kind in pair] for pair in kinds]
    return np.stack([np.concatenate(pair, axis=1) for pair in pairs])[..., None], labels


def write_two_shapes(folder: Path, number: int, *, size: int = 16, seed: int = 0) -> Path:
    """Such images as files, and a manifest with a column of labels."""
    images, labels = two_shapes(number, size=size, seed=seed)
    rows = ["path,labels"]
    for place, (image, row) in enumerate(zip(images, labels, strict=True)):
        Image.fromarray(image[..., 0]).save(folder / f"{place}.png")
        rows.append(f"{place}.png,{'|'.join(CLASSES[kind] for kind in np.flatnonzero(row))}")
    manifest = folder / "list.csv"
    manifest.write_text("\n".join(rows) + "\n")
    return manifest
