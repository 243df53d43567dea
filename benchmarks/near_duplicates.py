"""How surely near-duplicates are found, what is taken for one by mistake, and how long both parts of the search take.

    python benchmarks/near_duplicates.py

Copies are made of scenes (random shapes of all sizes, in color) and of the built-in icons, and have to be found among
the originals. Without copies, scenes are all different by how they are made, and handwritten digits of 8 x 8 pixels by
how they were collected: any pair is a mistake. Icons of simple things are the same drawing by several authors; of their
pairs it is counted how many are of one class. The thresholds in `allometry.data.sources.near_duplicates` were chosen by
2,000 of these icons, these digits, scenes of another kind and some photographs.

The times are of the processor, for the thumbnails of decoded images and for the search; with OMP_NUM_THREADS=1 one core
does all of it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from common import Spread, machine, print_result, table
from sklearn.datasets import load_digits

from allometry.data import open_data
from allometry.data.images.pixels import Pixels
from allometry.data.images.thumbnails import SIDE, thumbnail
from allometry.data.sources.near_duplicates import clusters, near_duplicates

SIZES = {"scenes": 2_000, "icons": 2_000, "digits": 1_797, "search": 100_000, "repeats": 5}
COPIED = 0.1  # of the images of the search that is timed


def scenes(number: int, side: int, channels: int, random: np.random.Generator) -> Pixels:
    """Images whose structures of all sizes have about the same contrast, as in photographs."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None])
    frequency[0, 0] = 1
    noise = np.fft.fft2(random.standard_normal((number, channels, side, side)))
    images = np.fft.ifft2(noise / frequency**1.3).real.transpose(0, 2, 3, 1)
    images[..., 1:] = images[..., :1] + 0.5 * images[..., 1:]  # colors are less lively than light
    images -= images.min(axis=(1, 2, 3), keepdims=True)
    pixels: Pixels = (images * (255 / images.max(axis=(1, 2, 3), keepdims=True))).astype(np.uint8)
    return pixels


def jpeg(quality: int) -> Callable[[Pixels], Pixels]:
    """Save as JPEG and read again."""
    return lambda image: _shaped(
        cv2.imdecode(
            cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_UNCHANGED
        )
    )


def scaled(factor: float) -> Callable[[Pixels], Pixels]:
    """Resize by a factor."""
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return lambda image: _shaped(cv2.resize(image, None, fx=factor, fy=factor, interpolation=method))


def cropped(share: float) -> Callable[[Pixels], Pixels]:
    """Cut a share of the side off each edge."""

    def crop(image: Pixels) -> Pixels:
        edge = max(1, round(share * image.shape[0]))
        return np.ascontiguousarray(image[edge:-edge, edge:-edge])

    return crop


def _shaped(image: Any) -> Pixels:  # noqa: ANN401 - of OpenCV, with or without an axis for gray
    pixels: Pixels = image if image.ndim == 3 else image[..., np.newaxis]
    return pixels


COPIES: dict[str, Callable[[Pixels], Pixels]] = {
    "JPEG, quality 75": jpeg(75),
    "JPEG, quality 30": jpeg(30),
    "half the size": scaled(0.5),
    "half, then JPEG 60": lambda image: jpeg(60)(scaled(0.5)(image)),
    "1.5 times the size": scaled(1.5),
    "brighter by 30 %": lambda image: np.clip(image * 1.3, 0, 255).astype(np.uint8),
    "30 % less contrast": lambda image: (image * 0.7 + 30).astype(np.uint8),
    "2 % cut off each edge": cropped(0.02),
    "5 % cut off each edge": cropped(0.05),
    "mirrored": lambda image: np.ascontiguousarray(image[:, ::-1]),
}


def recall(images: Sequence[Pixels]) -> dict[str, float]:
    """Of each kind of copy the share that is found."""
    originals = [thumbnail(image) for image in images]
    found = {}
    for name, copy in COPIES.items():
        first = clusters(
            2 * len(images), near_duplicates(originals + [thumbnail(copy(image)) for image in images])
        )
        found[name] = sum(first[place] == first[place + len(images)] for place in range(len(images))) / len(
            images
        )
    return found


def mistakes(images: Sequence[Pixels], labels: Sequence[int] | None = None) -> dict[str, Any]:
    """How many different images are taken for near-duplicates of another, and in how large clusters."""
    pairs = near_duplicates([thumbnail(image) for image in images])
    sizes = np.bincount(clusters(len(images), pairs), minlength=len(images))
    of_one_class = (
        None
        if labels is None or not len(pairs)
        else float(np.mean([labels[one] == labels[other] for one, other in pairs.tolist()]))
    )
    return {
        "images": len(images),
        "alike": len(set(pairs.ravel().tolist())),
        "clusters": int((sizes > 1).sum()),
        "largest": int(sizes.max()) if len(pairs) else 0,
        "of_one_class": of_one_class,
    }


def seconds(number: int, repeats: int) -> dict[str, Any]:
    """Seconds for so many images: of the thumbnails of decoded images, by their size, and of the search."""
    random = np.random.default_rng(1)
    taken: dict[str, list[float]] = {}
    for side, channels in ((28, 1), (64, 3), (224, 3)):
        images = scenes(200, side, channels, random)
        for _ in range(repeats):
            began = time.process_time()
            for image in images:
                thumbnail(image)
            taken.setdefault(f"thumbnails, {side} px", []).append(
                (time.process_time() - began) * number / len(images)
            )
    plain = int(number * (1 - COPIED))
    some = [thumbnail(image) for _ in range(-(-plain // 1000)) for image in scenes(1000, 2 * SIDE, 1, random)]
    again = [thumbnail(jpeg(75)(image)) for image in scenes(number - plain, 2 * SIDE, 1, random)]
    for _ in range(repeats):
        began = time.process_time()
        near_duplicates([*some[:plain], *again])
        taken.setdefault("search", []).append(time.process_time() - began)
    return {name: Spread.of(values)._asdict() for name, values in taken.items()}


def measure(sizes: dict[str, int]) -> dict[str, Any]:
    """All of it."""
    random = np.random.default_rng(0)
    icons = open_data("icons").splits.values()
    drawn = [split.image(place) for split in icons for place in range(len(split))]
    labels = [int(label) for split in icons for label in split.labels]
    digits = [
        (image * 15.9).astype(np.uint8)[..., np.newaxis] for image in load_digits().images[: sizes["digits"]]
    ]
    pictures = list(scenes(sizes["scenes"], 96, 3, random))
    chosen = random.choice(len(drawn), min(sizes["icons"], len(drawn)), replace=False).tolist()
    return {
        "benchmark": "near_duplicates",
        **sizes,
        "seed": 0,
        "recall": {"scenes": recall(pictures), "icons": recall([drawn[place] for place in chosen])},
        "mistakes": {
            "scenes, 96 px": mistakes(pictures),
            "digits, 8 px": mistakes(digits, load_digits().target[: sizes["digits"]].tolist()),
            "icons, 96 px": mistakes(drawn, labels),
        },
        "seconds": seconds(sizes["search"], sizes["repeats"]),
        "machine": machine(),
    }


def lines(result: dict[str, Any]) -> list[str]:
    """The result as Markdown."""
    kinds = result["recall"]
    rows = [[name, *(f"{kinds[kind][name]:.1%}" for kind in kinds)] for name in COPIES]
    wrong = [
        [
            name,
            f"{found['images']:,}",
            f"{found['alike']:,} ({found['alike'] / found['images']:.1%})",
            f"{found['clusters']:,}",
            str(found["largest"]),
            "-" if found["of_one_class"] is None else f"{found['of_one_class']:.0%}",
        ]
        for name, found in result["mistakes"].items()
    ]
    times = [[name, Spread(**spread).show("{:.2f}")] for name, spread in result["seconds"].items()]
    return [
        *table(["copy", *kinds], rows),
        "",
        f"Copies that are found among {result['scenes']:,} scenes and {result['icons']:,} icons.",
        "",
        *table(["images", "number", "alike", "clusters", "largest", "pairs of one class"], wrong),
        "",
        "Images without copies that are taken for near-duplicates of another. Scenes and digits are all different; "
        "icons of simple things are drawn alike by many.",
        "",
        *table([f"for {result['search']:,} images", "seconds"], times),
        "",
        f"Seconds of the processor, beyond decoding; {result['repeats']} repeats, least and most in brackets.",
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print JSON, as benchmarks/results/ has it")
    for name, usual in SIZES.items():
        parser.add_argument(f"--{name}", type=int, default=usual)
    arguments = vars(parser.parse_args())
    as_json = arguments.pop("json")
    cv2.setNumThreads(1)
    result = measure(arguments)
    print_result(result, lines(result), as_json=as_json)


if __name__ == "__main__":
    main()
