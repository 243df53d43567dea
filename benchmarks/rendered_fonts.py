"""Open fonts for the rendered images: what they are, whose they are, and how they are brought onto this machine.

    python benchmarks/rendered_fonts.py --fonts runs/fonts

brings some 700 MB of packages by `npm pack`, one at a time, and keeps the 60 MB of fonts that are wanted. What is
there already is not brought again.

Foundries are held out: none has fonts in two of train, val and test. Kanji are often taken over from another font, so
that a foundry here is whoever drew the kanji: of all pairs of fonts whose kanji, cropped and scaled to 24 x 24 pixels,
correlate by 0.9 or more (the median of 150 characters), both are one foundry's. Fonts that were drawn independently
reach 0.89. `likeness` measures it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tarfile
import tempfile
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from common import key_of
from PIL import Image, ImageFont

from allometry.base.files import write_text

OFL, APACHE = "OFL-1.1", "Apache-2.0"


class Family(NamedTuple):
    """A font family: the package `@fontsource/NAME`, its version, license, foundry and split, and its weights."""

    name: str
    version: str
    license: str
    foundry: str
    split: str
    weights: tuple[int, ...] = (400,)
    script: str = "japanese"

    def files(self) -> tuple[str, ...]:
        """The names of its files in the package."""
        return tuple(f"{self.name}-{self.script}-{weight}-normal.woff2" for weight in self.weights)


_BOTH = (400, 700)
FAMILIES = (
    # Murecho's kanji are those of M+.
    Family("m-plus-1", "5.2.8", OFL, "M+", "train", _BOTH),
    Family("m-plus-1p", "5.3.0", OFL, "M+", "train", _BOTH),
    Family("m-plus-rounded-1c", "5.3.0", OFL, "M+", "train", _BOTH),
    Family("murecho", "5.3.1", OFL, "M+", "train", _BOTH),
    # Mochiy Pop's and Shippori's kanji are those of Noto, which are those of Source Han.
    Family("noto-sans-jp", "5.3.0", OFL, "Adobe", "train", _BOTH),
    Family("noto-serif-jp", "5.3.0", OFL, "Adobe", "train", _BOTH),
    Family("mochiy-pop-one", "5.3.0", OFL, "Adobe", "train"),
    Family("shippori-mincho", "5.3.0", OFL, "Adobe", "train", _BOTH),
    Family("zen-kaku-gothic-new", "5.3.0", OFL, "Yoshimichi Ohira", "train", _BOTH),
    Family("zen-maru-gothic", "5.3.0", OFL, "Yoshimichi Ohira", "train", _BOTH),
    Family("zen-old-mincho", "5.3.0", OFL, "Yoshimichi Ohira", "train", _BOTH),
    Family("zen-kurenaido", "5.3.0", OFL, "Yoshimichi Ohira", "train"),
    Family("biz-udgothic", "5.3.0", OFL, "Morisawa", "train", _BOTH),
    Family("kaisei-opti", "5.2.8", OFL, "Font-Kai", "train", _BOTH),
    Family("yuji-syuku", "5.3.0", OFL, "Kinuta Font Factory", "train"),
    Family("zcool-kuaile", "5.3.0", OFL, "ZCOOL", "train", script="chinese-simplified"),
    Family("zcool-qingke-huangyou", "5.3.0", OFL, "ZCOOL", "train", script="chinese-simplified"),
    Family("zcool-xiaowei", "5.3.0", OFL, "ZCOOL", "train", script="chinese-simplified"),
    Family("ma-shan-zheng", "5.3.1", OFL, "Ma Shan Zheng", "train", script="chinese-simplified"),
    Family("long-cang", "5.3.0", OFL, "Long Cang", "train", script="chinese-simplified"),
    Family("sawarabi-gothic", "5.3.1", OFL, "mshio", "val"),
    Family("yomogi", "5.3.0", OFL, "Satsuyako", "val"),
    Family("yusei-magic", "5.3.0", OFL, "Tanukizamurai", "val"),
    Family("dela-gothic-one", "5.3.0", OFL, "artakana", "val"),
    Family("line-seed-jp", "5.3.1", OFL, "LINE", "test", _BOTH),
    Family("ibm-plex-sans-jp", "5.3.0", OFL, "IBM", "test", _BOTH),
    Family("dotgothic16", "5.3.0", OFL, "Fontworks", "test"),
    Family("reggae-one", "5.3.0", OFL, "Fontworks", "test"),
    Family("kosugi-maru", "5.3.0", APACHE, "Motoya", "test"),
    Family("kiwi-maru", "5.3.0", OFL, "Kiwi", "test"),
    Family("hachi-maru-pop", "5.3.0", OFL, "Noriko Kanisawa", "test"),
    Family("potta-one", "5.3.0", OFL, "Font Zone 108", "test"),
)

TAKEN_OVER = 0.9  # correlation of kanji from which on two families count as one foundry's
_FIRST_ROW, _END_ROW = 16, 48  # of JIS X 0208: the kanji of level 1, which are those in common use


class Face(NamedTuple):
    """A font: its foundry, and the file."""

    foundry: str
    file: Path


def split_of(name: str) -> str:
    """The split of a family."""
    return next(family.split for family in FAMILIES if family.name == name)


def fonts_folder() -> Path:
    """Where the fonts lie unless told otherwise: `ALLOMETRY_FONTS`, or `runs/fonts`."""
    return Path(os.environ.get("ALLOMETRY_FONTS", "runs/fonts"))


def faces(folder: Path, split: str) -> tuple[Face, ...]:
    """The fonts of a split, in the order of the table.

    Raises:
        SystemExit: some are not there.
    """
    found = tuple(
        Face(family.foundry, folder / name)
        for family in FAMILIES
        if family.split == split
        for name in family.files()
    )
    missing = [face.file.name for face in found if not face.file.exists()]
    if missing:
        raise SystemExit(
            f"{folder} lacks {len(missing)} fonts, such as {missing[0]}: "
            f"python benchmarks/rendered_fonts.py --fonts {folder}"
        )
    return found


def is_complete(folder: Path) -> bool:
    """Whether all fonts are there."""
    return all((folder / name).exists() for family in FAMILIES for name in family.files())


def bring(folder: Path) -> None:
    """Bring the fonts that are not there yet, by `npm pack` from the registry that npm is set to."""
    folder.mkdir(parents=True, exist_ok=True)
    for family in FAMILIES:
        if all((folder / name).exists() for name in family.files()):
            continue
        package = f"@fontsource/{family.name}@{family.version}"
        print(f"{package}, {family.license}", flush=True)
        with tempfile.TemporaryDirectory() as place:
            command = ["npm", "pack", "--silent", package]
            name = subprocess.run(command, cwd=place, check=True, capture_output=True, text=True).stdout
            with tarfile.open(Path(place) / name.strip()) as archive:
                for wanted in family.files():
                    member = archive.getmember(f"package/files/{wanted}")
                    member.name = f"{wanted}.part"
                    archive.extract(member, folder, filter="data")
                    (folder / member.name).replace(folder / wanted)


def characters(folder: Path, number: int) -> tuple[str, ...]:
    """So many kanji that all fonts have, always the same ones and the first of more.

    Raises:
        SystemExit: there are not as many, or fonts are missing.
    """
    shared = _shared(folder)
    if not 2 <= number <= len(shared):
        raise SystemExit(f"The fonts share {len(shared)} characters: from 2 to {len(shared)}, not {number}.")
    return shared[:number]


@lru_cache(maxsize=1)
def _shared(folder: Path) -> tuple[str, ...]:
    """All kanji that all fonts have, in an order that does not depend on how they look; kept beside the fonts."""
    kept = folder / f"characters-{key_of(FAMILIES)}.txt"
    if not kept.exists():
        write_text(kept, "".join(_found(folder)))
    return tuple(kept.read_text(encoding="utf-8"))


def _found(folder: Path) -> tuple[str, ...]:
    """The same, looked up in each font."""
    kanji = [
        bytes([0xA0 + row, 0xA0 + column]).decode("euc_jp")
        for row in range(_FIRST_ROW, _END_ROW)
        for column in range(1, 95)
        if not (row == _END_ROW - 1 and column > 51)
    ]
    for split in ("train", "val", "test"):
        for face in faces(folder, split):
            font = ImageFont.truetype(str(face.file), 16)
            nothing = bytes(font.getmask("\U000f1234"))  # of private use: what stands for a missing character
            masks = {character: font.getmask(character) for character in kanji}
            kanji = [own for own in kanji if masks[own].getbbox() and bytes(masks[own]) != nothing]
    order = np.random.default_rng(0).permutation(len(kanji))
    return tuple(kanji[place] for place in order.tolist())


def likeness(folder: Path, number: int = 150) -> list[tuple[float, str, str]]:
    """How far the kanji of two families correlate, the median of some characters; all pairs, the likest first."""
    drawn = {}
    for family in FAMILIES:
        for name in family.files():
            font = ImageFont.truetype(str(folder / name), 48)
            drawn[name] = family.name, np.stack([_cropped(font, own) for own in characters(folder, number)])
    pairs: dict[tuple[str, str], float] = {}
    for (one, left), (other, right) in combinations(drawn.values(), 2):
        if one != other:
            correlation = float(np.median((left * right).sum(axis=1)))
            pairs[one, other] = max(correlation, pairs.get((one, other), -1.0))
    return sorted(((value, *pair) for pair, value in pairs.items()), reverse=True)


def _cropped(font: ImageFont.FreeTypeFont, character: str) -> npt.NDArray[np.float64]:
    """A character cropped to its ink and scaled to 24 x 24 pixels, with mean 0 and length 1."""
    mask = font.getmask(character)
    image = Image.frombytes("L", mask.size, bytes(mask))
    pixels = np.asarray(image.crop(image.getbbox()).resize((24, 24)), np.float64).ravel()
    pixels -= pixels.mean()
    return pixels / np.linalg.norm(pixels)


def main() -> None:
    """Bring the fonts, and say how alike the fonts of two splits are."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fonts", type=Path, default=fonts_folder(), help="folder of the fonts")
    args = parser.parse_args()
    bring(args.fonts)
    print(f"{len(_shared(args.fonts)):,} kanji are in all fonts.")
    apart = [pair for pair in likeness(args.fonts) if split_of(pair[1]) != split_of(pair[2])]
    print("The likest fonts of two splits:", *(f"{v:.3f} {a}, {b}" for v, a, b in apart[:5]), sep="\n  ")


if __name__ == "__main__":
    main()
