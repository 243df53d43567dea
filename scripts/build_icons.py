"""Draw the built-in icons again from their sources, and compare them with the shipped file.

Which icons belong to the set, with which class, is recorded in the shipped `icons.npz`; this script takes that
selection, draws every image anew from the SVG drawings of the npm package `@iconify/json`, and splits them anew:

    npm pack @iconify/json@2.2.535 && tar xzf iconify-json-2.2.535.tgz    # about 100 MB, unpacks to `package`
    pip install resvg-py
    python scripts/build_icons.py package --check                          # says how many images agree
    python scripts/build_icons.py package --output icons.npz               # writes the file anew
    python scripts/build_icons.py --output icons.npz                       # the same of the shipped images

The selection was made so: sets of one color under MIT, Apache-2.0, ISC, BSD-3-Clause or the Unlicense; a
class is an icon name, without style suffixes, that at least 50 sets draw; drawings alike at 16 x 16 pixels are
kept once. Licenses and color are checked again here; `split_icons.py` tells how the drawings are split.
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from split_icons import split_drawings

FOLDER = Path(__file__).parents[1] / "src" / "allometry" / "data" / "icons"
SHIPPED = FOLDER / "icons.npz"
LICENSES = {"MIT", "Apache-2.0", "ISC", "BSD-3-Clause", "Unlicense"}
SIDE = 96
# Two builds of the renderer may differ in how an edge is rounded.
TOLERANCE = 2

Pixels = npt.NDArray[np.uint8]


def main() -> int:
    """Read the arguments, draw, then compare or write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument(
        "package",
        type=Path,
        nargs="?",
        help="the unpacked npm package @iconify/json; none for the shipped images",
    )
    parser.add_argument("--check", action="store_true", help="compare with the shipped file")
    parser.add_argument("--output", type=Path, help="write the redrawn file here")
    arguments = parser.parse_args()
    if arguments.package and not (arguments.package / "json").is_dir():
        parser.error(f"{arguments.package} is not the unpacked package: it has no folder `json`.")
    with np.load(SHIPPED) as file:
        shipped = {name: file[name] for name in file.files}
    images = shipped["image"]
    if arguments.package:
        check_sources(arguments.package, sorted(set(shipped["source"].tolist())))
        images = draw_all(arguments.package, shipped["source"].tolist(), shipped["name"].tolist())
    about = json.loads((FOLDER / "sources.json").read_text(encoding="utf-8"))
    authors = {name: source["author"] for name, source in about.items()}
    splits = split_drawings(images, shipped["label"].astype(np.int64), shipped["source"], authors)
    parts = {part or "left out": int((splits.split == part).sum()) for part in ("train", "val", "test", "")}
    print(", ".join(f"{part} {number}" for part, number in parts.items()))
    if arguments.output:
        made = {**shipped, "image": images, "split": splits.split, "group": splits.family}
        np.savez_compressed(arguments.output, **made)
        print(f"Wrote {len(images)} images to {arguments.output}.")
    if not arguments.check:
        return 0
    same = (splits.split == shipped["split"]).all() and (splits.family == shipped["group"]).all()
    print("The splits agree." if same else "The splits do not agree.")
    return max(compare(shipped, images), 0 if same else 1)


def check_sources(package: Path, prefixes: list[str]) -> None:
    """Stop if a set is not under one of the licenses, or has more than one color."""
    collections = json.loads((package / "collections.json").read_text(encoding="utf-8"))
    for prefix in prefixes:
        spdx = collections[prefix]["license"]["spdx"]
        if spdx not in LICENSES or collections[prefix]["palette"]:
            sys.exit(f"{prefix} may not be used: license {spdx}, palette {collections[prefix]['palette']}.")
    print(f"{len(prefixes)} sets, all of one color and under a permissive license.")


def draw_all(package: Path, prefixes: list[str], names: list[str]) -> Pixels:
    """Every icon, uint8 [N, 96, 96], ink = 255."""

    @cache
    def icon_set(prefix: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(
            (package / "json" / f"{prefix}.json").read_text(encoding="utf-8")
        )
        return content

    images = [draw(svg(icon_set(prefix), name)) for prefix, name in zip(prefixes, names, strict=True)]
    return np.stack(images)


def svg(icon_set: dict[str, Any], name: str) -> str:
    """One icon of a set as an SVG document; an alias takes what it lacks from its parent."""
    icon: dict[str, Any] = {}
    while name not in icon_set["icons"]:
        alias = icon_set["aliases"][name]
        icon = {**alias, **icon}
        name = alias["parent"]
    icon = {**icon_set["icons"][name], **icon}
    width, height = (icon.get(key, icon_set.get(key, 16)) for key in ("width", "height"))
    # A set's own default offset is left out: the shipped images were drawn without it.
    left, top = (icon.get(key, 0) for key in ("left", "top"))
    turned = turn(icon, left, top, width, height)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'width="{SIDE}" height="{SIDE}" viewBox="{left} {top} {width} {height}">{turned}</svg>'
    )


def turn(icon: dict[str, Any], left: float, top: float, width: float, height: float) -> str:
    """The icon's body, mirrored and rotated about its center as its record says."""
    x, y = left + width / 2, top + height / 2
    steps = []
    if icon.get("rotate"):
        steps.append(f"rotate({90 * icon['rotate']} {x} {y})")
    if icon.get("hFlip") or icon.get("vFlip"):
        scale = f"scale({-1 if icon.get('hFlip') else 1} {-1 if icon.get('vFlip') else 1})"
        steps.append(f"translate({x} {y}) {scale} translate({-x} {-y})")
    body: str = icon["body"]
    return f'<g transform="{" ".join(steps)}">{body}</g>' if steps else body


def draw(document: str) -> Pixels:
    """An SVG document as ink on a square, uint8 [96, 96]."""
    import resvg_py

    png = resvg_py.svg_to_bytes(svg_string=document.replace("currentColor", "#000"))
    with Image.open(BytesIO(bytes(png))) as image:
        coverage: Pixels = np.asarray(image.convert("RGBA").getchannel("A"))
    return coverage


def compare(shipped: dict[str, npt.NDArray[Any]], images: Pixels) -> int:
    """Say how many images agree; status 1 unless all do."""
    difference = np.abs(shipped["image"].astype(np.int16) - images).max(axis=(1, 2))
    same, near = int((difference == 0).sum()), int((difference <= TOLERANCE).sum())
    print(f"{same} of {len(images)} images agree exactly, {near} within {TOLERANCE} levels of 255.")
    for index in np.flatnonzero(difference > TOLERANCE)[:10]:
        name = f"{shipped['source'][index]}/{shipped['name'][index]}"
        print(f"  {name} differs by up to {difference[index]}")
    return 0 if near == len(images) else 1


if __name__ == "__main__":
    sys.exit(main())
