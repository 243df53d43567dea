"""What the benchmarks of supernets share: a space, images and epochs as arguments, and trainings that are kept."""

from __future__ import annotations

import argparse
from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from rendered import rendered
from rendered_fonts import fonts_folder

from allometry.arch import Head, MBConv, Network, Space, Stage, Stem
from allometry.arch.rounding import round_channels
from allometry.base import SilentProgress
from allometry.catalog import mbconv_space
from allometry.data import Dataset, open_data
from allometry.supernets import SupernetConfig, shrinking
from allometry.supernets.opened import OpenSupernet, open_supernet
from allometry.verbs import supernet
from allometry.verbs.open import Run

CLASSES = 100


class Setting(NamedTuple):
    """What is trained on what, and how long.

    Attributes:
        data: `icons`, or `rendered` characters.
        fonts: folder of the fonts of `rendered`.
        images: in train, val and test of `rendered`.
        sizes: of the input, in pixels.
        widths: of stages, as multiples.
        scale: of all channels.
        epochs: in which each image is seen by the largest network, and by each network that is trained alone.
    """

    data: str
    fonts: Path
    images: tuple[int, ...]
    sizes: tuple[int, ...]
    widths: tuple[float, ...]
    scale: float
    epochs: int

    @property
    def dataset(self) -> Dataset:
        """The images, the same for all seeds."""
        if self.data == "icons":
            return open_data("icons")
        return _rendered(self.fonts, self.sizes[-1], self.images)

    @property
    def space(self) -> Space:
        """Inverted bottlenecks without squeeze-excite: one to three layers in each of four stages."""
        stages = tuple(
            Stage(block=MBConv(channels=self._scaled(channels), stride=stride, se_ratio=0), repeats=3)
            for channels, stride in ((24, 2), (40, 2), (56, 1), (80, 2))
        )
        first = Stage(block=MBConv(channels=self._scaled(16), expand_ratio=1, se_ratio=0))
        data = self.dataset
        network = Network(
            stem=Stem(channels=self._scaled(16)),
            stages=(first, *stages),
            head=Head(channels=self._scaled(256), classes=len(data.classes), dropout=0.1),
            in_channels=data.channels,
            resolution=self.sizes[-1],
        )
        return mbconv_space(
            network,
            kernels=(3, 5),
            expand_ratios=(3, 4, 6),
            depths=(1, 2, 3),
            widths=self.widths if len(self.widths) > 1 else (),
            resolutions=self.sizes,
            name="own",
        )

    def _scaled(self, channels: int) -> int:
        return round_channels(self.scale * channels)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What a setting is made from, and the number of seeds."""
    parser.add_argument("--folder", type=Path, required=True, help="of all runs; goes on where it stopped")
    parser.add_argument("--data", choices=("icons", "rendered"), default="rendered")
    parser.add_argument("--fonts", type=Path, default=fonts_folder(), help="folder of the fonts of rendered")
    parser.add_argument("--images", type=int, nargs=3, default=[20_000, 4_000, 20_000], help="of rendered")
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 48, 64, 96], help="of the input, in px")
    parser.add_argument("--widths", type=float, nargs="+", default=[0.5, 0.75, 1.0], help="of stages")
    parser.add_argument("--scale", type=float, default=1.0, help="of all channels")
    parser.add_argument("--epochs", type=int, default=45, help="of supernets and of networks alone")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def setting_of(args: argparse.Namespace) -> Setting:
    """The setting that was asked for."""
    return Setting(
        data=args.data,
        fonts=args.fonts,
        images=tuple(args.images),
        sizes=tuple(args.sizes),
        widths=tuple(args.widths),
        scale=args.scale,
        epochs=args.epochs,
    )


def described(setting: Setting) -> str:
    """The setting in a sentence."""
    data, space = setting.dataset, setting.space
    counted = ", ".join(f"{len(data.splits[name]):,} {name}" for name in ("train", "val", "test"))
    sizes, widths = (
        ", ".join(f"{value:g}" for value in values) for values in (setting.sizes, setting.widths)
    )
    return (
        f"{setting.data.capitalize()} ({counted} images of {len(data.classes)} classes); sizes of {sizes} px, widths "
        f"of {widths}, all channels times {setting.scale:g}: {space.size:,} networks; {setting.epochs} epochs."
    )


def trained(folder: Path, setting: Setting, *, plan: str, seed: int, coupled: bool = False) -> Run:
    """A supernet, trained now or before; plans of several phases have as many passes as those of one."""
    epochs = setting.epochs
    if plan == "shrinking":
        epochs = shrinking_epochs(setting.space, passes=4 * epochs)
    return supernet.train(
        setting.space,
        data=setting.dataset,
        config=SupernetConfig(plan=plan, epochs=epochs, coupled=coupled),
        out=folder / "-".join([plan, *(["coupled"] if coupled else []), str(seed)]),
        seed=seed,
        progress=False,
    )


def opened(run: Run, setting: Setting) -> AbstractContextManager[OpenSupernet]:
    """A supernet, to measure its subnets."""
    return open_supernet(
        run.folder, data=setting.dataset, device=None, progress=SilentProgress(), should_stop=lambda: False
    )


def shrinking_epochs(space: Space, *, passes: int) -> int:
    """Epochs of progressive shrinking's first phase with which all phases have about so many passes of an image."""

    def made(epochs: int) -> int:
        return sum(phase.epochs * phase.subnets for phase in shrinking(space, epochs=epochs))

    return min(range(1, passes + 1), key=lambda epochs: abs(made(epochs) - passes))


@lru_cache(maxsize=2)
def _rendered(fonts: Path, size: int, images: tuple[int, ...]) -> Dataset:
    train, val, test = images
    return rendered(fonts, size=size, classes=CLASSES, images=(train, val, test))
