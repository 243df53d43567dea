"""Progressive learning put to a test, two by two: images that grow or do not, regularization that rises or does not.

    python benchmarks/rendered_fonts.py --fonts runs/fonts
    python benchmarks/progressive.py --folder runs/progressive --fonts runs/fonts

EfficientNetV2's claim is that small images need weak regularization and large ones strong: that what is gained in time
by images that grow costs no accuracy if regularization grows along. So there are four ways to train EfficientNet-B0 on
the same rendered images for equally many epochs with the same seeds: images of 128 px throughout, or in four stages
from 64 px; RandAugment's magnitude, mixup and dropout at their last values throughout, or rising to them in the same
four stages. Crops show at least 8 % of the image.

Each training is a line of a file; the same command goes on with them. On two cores the defaults take weeks; the scale
is given by the options.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

from common import machine, print_result
from paired import (
    Row,
    Scale,
    Training,
    between,
    data_of,
    difference,
    one_scale,
    read_rows,
    scale_of,
    scale_options,
    seconds_of,
    setting_line,
    trained,
    ways_table,
)

from allometry.arch import Network, apply_multipliers
from allometry.catalog import get
from allometry.scaling.strides import adapt

STRIDES_FOR = 64  # px: so small are the first stage's images by default
STAGES = 4
_PLAIN = ("augmentation.flip=no", "augmentation.rotation=0", "augmentation.erase=0")
GROWING = "progressive.resolution"
PLAIN, GROWN, RISEN, BOTH = (
    "one size, constant regularization",
    "growing, constant regularization",
    "one size, rising regularization",
    "growing, rising regularization",
)
WAYS = (PLAIN, GROWN, RISEN, BOTH)
_OPTIONS = {
    "crop": (0.01, 1, "least area of a crop"),
    "magnitude": (0, 30, "RandAugment's in the last stage"),
    "mixup": (0, 10, "in the last stage"),
    "dropout": (0, 0.99, "in the last stage"),
    "first": (0.05, 1, "side of the first stage's images, as a fraction"),
}


class Strength(NamedTuple):
    """How far the images vary and the training is regularized.

    The defaults are EfficientNetV2-S's (paper, Table 6), with the mixup of its M.

    Attributes:
        crop: the least that a crop shows, as a fraction of the area.
        magnitude: RandAugment's in the last stage; the first has a third.
        mixup: in the last stage; the first has none.
        dropout: in the last stage; the first has a third.
        first: side of the first stage's images, as a fraction.
    """

    crop: float = 0.08
    magnitude: float = 15.0
    mixup: float = 0.2
    dropout: float = 0.3
    first: float = 0.5


def settings(way: str, scale: Scale, strength: Strength) -> tuple[str, ...]:
    """Of the recipe `small`, for one of the four ways."""
    chosen = (
        f"epochs={scale.epochs}",
        f"augmentation.crop={strength.crop}",
        "augmentation.policy=randaugment",
        f"augmentation.magnitude={strength.magnitude}",
        f"augmentation.mixup={strength.mixup}",
        f"dropout={strength.dropout}",
        *_PLAIN,
        *scale.settings,
    )
    if way == PLAIN:
        return chosen
    growing = (f"{GROWING}={strength.first}",) if way in (GROWN, BOTH) else ()
    rising = (
        f"progressive.magnitude={strength.magnitude / 3:g}",
        "progressive.mixup=0",
        f"progressive.dropout={strength.dropout / 3:g}",
    )
    return (*chosen, f"progressive.stages={STAGES}", *growing, *(rising if way in (RISEN, BOTH) else ()))


def network(scale: Scale) -> Network:
    """EfficientNet-B0 of that width, with the strides that fit the first stage's images."""
    origin = adapt(get("efficientnet-b0"), classes=scale.classes, channels=3, image_size=STRIDES_FOR)
    return apply_multipliers(origin, width=scale.width, resolution=scale.size / origin.resolution)


def main() -> None:
    """Train what is missing, compare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    scale_options(parser, size=128, width=1.0)
    for name, value in Strength()._asdict().items():
        low, high, text = _OPTIONS[name]
        parser.add_argument(
            f"--{name}", type=between(low, high), default=value, help=f"{text} (default: {value:g})"
        )
    args = parser.parse_args()
    scale = scale_of(args)
    strength = Strength(*(getattr(args, name) for name in Strength._fields))
    record = one_scale(args.folder, scale, **strength._asdict())
    if not args.show:
        own = network(scale)
        trained(
            (
                Training(way, own, settings(way, scale, strength), seed, "two by two")
                for seed in scale.seeds
                for way in WAYS
            ),
            data_of(scale, args.fonts, own.resolution),
            args.folder,
        )
    result = {
        "benchmark": "progressive",
        "scale": record,
        "rows": read_rows(args.folder),
        "machine": machine(),
    }
    print_result(result, lines(result), as_json=args.json)


def lines(result: dict[str, Any]) -> list[str]:
    """The result as Markdown."""
    scale, rows = result["scale"], result["rows"]
    text = [
        f"{setting_line(scale, rows, expected=len(scale['seeds']) * len(WAYS))} The first stage's images have "
        f"{scale['first']:g} of the side; crops show at least {scale['crop']:.0%} of the area. Magnitude, mixup and "
        f"dropout end at {scale['magnitude']:g}, {scale['mixup']:g} and {scale['dropout']:g}.",
        "",
        *ways_table(rows, WAYS, PLAIN),
    ]
    together = _together(rows)
    return [*text, "", together] if together else text


def _together(rows: Sequence[Row]) -> str:
    """What rising regularization is worth with images that grow, and what the growing saves."""
    own, alone = difference(rows, BOTH, GROWN), difference(rows, RISEN, PLAIN)
    saved, whole = (seconds_of([row for row in rows if row["way"] == way]) for way in (BOTH, PLAIN))
    if own is None or alone is None or len(own.seeds) != len(alone.seeds) or not saved or not whole:
        return ""
    low, high = (100 * bound for bound in own.interval)
    ratio = statistics.median(saved) / statistics.median(whole)
    more = [left - right for left, right in zip(own.seeds, alone.seeds, strict=True)]
    return (
        f"With images that grow, regularization that rises gives {100 * own.mean:+.1f} points over a constant one "
        f"({low:+.1f} to {high:+.1f} by foundries; by seed {_points(own.seeds)}): {own.verdict}. That is more than at "
        f"one size by {100 * statistics.fmean(more):.1f} (by seed {_points(more)}). {BOTH.capitalize()}, takes "
        f"{ratio:.2f} of the time of {PLAIN}."
    )


def _points(seeds: Sequence[float]) -> str:
    return ", ".join(f"{100 * seed:+.1f}" for seed in seeds)


if __name__ == "__main__":
    main()
