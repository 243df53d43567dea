"""The built-in data set: icons."""

from __future__ import annotations

from importlib.resources import files

import numpy as np

from allometry.data.dataset import SPLITS, ArraySplit, Dataset


def open_icons() -> Dataset:
    """The 88 classes of icons, uint8 [96, 96, 1], ink = 255; whole icon sets belong to one split.

    `icons/README.md` beside this file tells where they are from, `icons/sources.json` who drew them.
    """
    with (files("allometry.data") / "icons" / "icons.npz").open("rb") as file, np.load(file) as arrays:
        images, labels, split = arrays["image"], arrays["label"], arrays["split"]
        names = np.char.add(np.char.add(arrays["source"], "/"), arrays["name"])
        classes = tuple(arrays["classes"].tolist())
    splits = {}
    for name in SPLITS:
        chosen = np.flatnonzero(split == name)
        splits[name] = ArraySplit(
            images=images[chosen][..., np.newaxis],
            labels=labels[chosen].astype(np.int64),
            names=tuple(names[chosen].tolist()),
        )
    return Dataset(name="icons", classes=classes, channels=1, image_size=images.shape[1], splits=splits)
