"""The published search spaces as values."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

from allometry.arch import Block, Choice, FusedMBConv, MBConv, Option, Space, Stage, load_space
from allometry.arch.blocks import SHORTCUTS
from allometry.base import UnknownNameError
from allometry.base.reading import is_file
from allometry.catalog.elastic import apart, laid_out, mbconv_space
from allometry.catalog.registry import get


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceEntry:
    """One published space.

    Attributes:
        name: what `find_space` takes.
        make: gives the space.
        about: one line for people.
        source: where it is printed.
        note: what to know where ours and the printed space differ.

    Example:
        >>> [entry.source for entry in spaces() if entry.name == "mnasnet"]
        ['MnasNet, arXiv:1807.11626, section 4.1']
    """

    name: str
    make: Callable[[], Space]
    about: str
    source: str
    note: str = ""


@cache
def spaces() -> tuple[SpaceEntry, ...]:
    """Every published space that is known.

    Example:
        >>> [entry.name for entry in spaces()][:3]
        ['ofa-mobilenetv3-1.0', 'ofa-mobilenetv3-1.2', 'ofa-proxylessnas-1.3']
    """
    return (
        *_once_for_all_entries(),
        SpaceEntry(
            name="mnasnet",
            make=_mnasnet,
            about="MnasNet's: operator, kernel, squeeze-excite, shortcut, channels and layers of five blocks",
            source="MnasNet, arXiv:1807.11626, section 4.1",
            note="the paper does not say what is pooled; here the means of 3 x 3 values of the input. MobileNetV2's "
            "first and last block are not searched",
        ),
        SpaceEntry(
            name="efficientnetv2",
            make=_efficientnetv2,
            about="EfficientNetV2's: fused or not, layers, kernel and expand ratio of each stage of EfficientNet-B4",
            source="EfficientNetV2, arXiv:2104.00298, section 3.3",
            note="the paper does not print the numbers of layers; here from 1 to twice the backbone's, the last "
            "stage may be left out, and fused stages have no squeeze-excite, as the released networks",
        ),
        SpaceEntry(
            name="fbnet",
            make=_fbnet,
            about="FBNet's: one of eight blocks, or none, in each of 22 layers",
            source="FBNet, arXiv:1812.03443, Table 1",
            note="9^22 in the paper counts which layers are skipped, which networks do not show; a layer that "
            "changes the shape is never skipped here, and the head has 1984 channels, as in FBNet-B and C",
        ),
        SpaceEntry(
            name="proxylessnas",
            make=_proxylessnas,
            about="ProxylessNAS's, as wide as its network for a phone: kernel and expand ratio, or none, of 21 layers",
            source="ProxylessNAS, arXiv:1812.00332, and the released code",
            note="the released search has 24 channels by default where its network has 32",
        ),
    )


def _once_for_all_entries() -> tuple[SpaceEntry, ...]:
    source = "Once-for-All, arXiv:1908.09791, section 3.2"
    return (
        SpaceEntry(
            name="ofa-mobilenetv3-1.0",
            make=partial(_once_for_all, "ofa-mobilenetv3-1.0", "ofa-lg-24"),
            about="Once-for-All's MobileNetV3: depth, expand ratio and kernel of 20 layers, and the resolution",
            source=source,
        ),
        SpaceEntry(
            name="ofa-mobilenetv3-1.2",
            make=partial(_once_for_all, "ofa-mobilenetv3-1.2", "ofa-595m"),
            about="the same, 1.2 times as wide",
            source=source,
        ),
        SpaceEntry(
            name="ofa-proxylessnas-1.3",
            make=partial(_once_for_all, "ofa-proxylessnas-1.3", "ofa-1080ti-27"),
            about="Once-for-All's ProxylessNAS: depth, expand ratio and kernel of 21 layers, and the resolution",
            source=source,
        ),
    )


def find_space(text: str) -> Space:
    """The space that a user means: a published one by its name, or a space's JSON file.

    Raises:
        UnknownNameError: neither; the message gives the nearest names.
        NetworkError: the file is missing or does not describe a space.

    Example:
        >>> find_space("OFA_MobileNetV3-1.0")
        Space(ofa-mobilenetv3-1.0, 46 choices, about 10^20 networks)
    """
    path = Path(text)
    if path.suffix == ".json" or is_file(path):
        return load_space(path)
    known = {entry.name: entry for entry in spaces()}
    entry = known.get(text.strip().lower().replace("_", "-"))
    if entry is None:
        raise UnknownNameError("space", text, known, "A JSON file works too.")
    return entry.make()


def _once_for_all(name: str, released: str) -> Space:
    return mbconv_space(
        get(released),
        kernels=(3, 5, 7),
        expand_ratios=(3, 4, 6),
        depths=(2, 3, 4),
        resolutions=range(128, 225, 4),
        name=name,
    )


def _proxylessnas() -> Space:
    return mbconv_space(
        get("proxylessnas-mobile"),
        kernels=(3, 5, 7),
        expand_ratios=(3, 6),
        depths=(1, 2, 3, 4),
        name="proxylessnas",
    )


def _fbnet() -> Space:
    """Source: FBNet (Wu et al. 2019), Table 1, and section 3.1 for the blocks."""
    template = get("fbnet-c")
    kinds = [
        {"kernel": kernel, "expand_ratio": expand, "groups": groups}
        for kernel in (3, 5)
        for expand, groups in ((1, 1), (1, 2), (3, 1), (6, 1))
    ]
    stages: list[Stage] = []
    choices: list[Choice] = []
    depths: tuple[tuple[int, ...], ...] = ((0, 1), *[(1, 2, 3, 4)] * 5, (1,))
    for number, (group, options) in enumerate(zip(template.groups, depths, strict=True)):
        if len(options) > 1:
            choices.append(_depth_choice(number, options))
        for place, layer in enumerate(laid_out(list(apart(group[0])), options[-1])):
            blocks = tuple(replace(layer.block, **kind) for kind in kinds)  # type: ignore[type-var]
            choices.append(_block_choice(f"stage {number} layer {place} block", len(stages), "", blocks))
            stages.append(layer)
    return Space(template=replace(template, stages=tuple(stages)), choices=tuple(choices), name="fbnet")


def _mnasnet() -> Space:
    """Source: MnasNet (Tan et al. 2019), section 4.1; channels, strides and layers are MobileNetV2's."""
    template = get("mnasnet-a1")
    first, *_, last = template.stages
    stages, choices = [first], []
    rows = ((24, 2, 2), (32, 2, 3), (64, 2, 4), (96, 1, 3), (160, 2, 3))
    for number, (channels, stride, layers) in enumerate(rows, start=1):
        inverted = MBConv(channels=channels, stride=stride, expand_ratio=3, se_ratio=0, activation="relu")
        convolution = FusedMBConv(channels=channels, stride=stride, expand_ratio=1, activation="relu")
        operators = (
            convolution,
            replace(inverted, expand_ratio=1),
            inverted,
            replace(inverted, expand_ratio=6),
        )
        stages.append(Stage(block=inverted, repeats=layers + 1))
        widths = (channels * 3 // 4, channels, channels * 5 // 4)
        choices += [
            _depth_choice(number, (layers - 1, layers, layers + 1)),
            _block_choice(f"stage {number} operator", number, "", operators),
            _block_choice(f"stage {number} kernel", number, ".kernel", (3, 5)),
            _block_choice(f"stage {number} squeeze-excite", number, ".se_ratio", (0.0, 0.25)),
            _block_choice(f"stage {number} shortcut", number, ".shortcut", SHORTCUTS),
            _block_choice(f"stage {number} channels", number, ".channels", widths),
        ]
    return Space(
        template=replace(template, stages=(*stages, last)),
        choices=tuple(choices),
        name="mnasnet",
    )


def _efficientnetv2() -> Space:
    """Source: EfficientNetV2 (Tan & Le 2021), section 3.3; channels and strides are the backbone's."""
    template = get("efficientnet-b4")
    stages: list[Stage] = []
    choices: list[Choice] = []
    last = len(template.stages) - 1
    for number, stage in enumerate(template.stages):
        block = stage.block
        assert isinstance(block, MBConv)  # noqa: S101 - the backbone has no other
        channels, stride = block.channels, block.stride
        operators: tuple[Block, ...] = (
            MBConv(channels=channels, stride=stride),
            FusedMBConv(channels=channels, stride=stride),
        )
        most = 2 * stage.repeats
        stages.append(replace(stage, repeats=most))
        choices += [
            _depth_choice(number, range(0 if number == last else 1, most + 1)),
            _block_choice(f"stage {number} operator", number, "", operators),
            _block_choice(f"stage {number} kernel", number, ".kernel", (3, 5)),
            _block_choice(f"stage {number} expand ratio", number, ".expand_ratio", (1.0, 4.0, 6.0)),
        ]
    return Space(
        template=replace(template, stages=tuple(stages)), choices=tuple(choices), name="efficientnetv2"
    )


def _depth_choice(group: int, options: Iterable[int]) -> Choice:
    return Choice(name=f"stage {group} depth", paths=(f"groups.{group}.depth",), options=tuple(options))


def _block_choice(name: str, stage: int, field: str, options: tuple[Option, ...]) -> Choice:
    return Choice(name=name, paths=(f"stages.{stage}.block{field}",), options=options)
