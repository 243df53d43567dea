"""ProxylessNAS for a CPU, a GPU and a phone, and the phone's network 1.4 times as wide."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from allometry.arch import BatchNorm, Head, Network, Stem
from allometry.catalog.entry import Entry, Published
from allometry.catalog.rows import mbconv_stages

_PAPER = "ProxylessNAS, arXiv:1812.00332, and the released code's README"


class _Design(NamedTuple):
    stem: int
    head: int
    dropout: float
    stages: tuple[tuple[int, int, str], ...]


# Channels, stride and blocks of each stage, decoded from the released configurations.
_PHONE = (
    "k3e1",
    "k5e3 k3e3",
    "k7e3 k3e3 k5e3 k5e3",
    "k7e6 k5e3 k5e3 k5e3",
    "k5e6 k5e3 k5e3 k5e3",
    "k7e6 k7e6 k7e3 k7e3",
    "k7e6",
)
_STRIDES = (1, 2, 2, 2, 1, 2, 1)
_DESIGNS = {
    "mobile": _Design(
        32, 1280, 0.1, tuple(zip((16, 32, 40, 80, 96, 192, 320), _STRIDES, _PHONE, strict=True))
    ),
    "mobile-1.4": _Design(
        48, 1792, 0.3, tuple(zip((24, 40, 56, 112, 136, 256, 448), _STRIDES, _PHONE, strict=True))
    ),
    "cpu": _Design(
        40,
        1432,
        0.2,
        (
            (24, 1, "k3e1"),
            (32, 2, "k3e6 k3e3 k3e3 k3e3"),
            (48, 2, "k3e6 k3e3 k3e3 k5e3"),
            (88, 2, "k3e6 k3e3"),
            (104, 1, "k5e6 k3e3 k3e3 k3e3"),
            (216, 2, "k5e6 k5e3 k5e3 k3e3"),
            (360, 1, "k5e6"),
        ),
    ),
    "gpu": _Design(
        40,
        1728,
        0.3,
        (
            (24, 1, "k3e1"),
            (32, 2, "k5e3"),
            (56, 2, "k7e3 k3e3"),
            (112, 2, "k7e6 k5e3"),
            (128, 1, "k5e6 k3e3 k5e3"),
            (256, 2, "k7e6 k7e6 k7e6 k5e6"),
            (432, 1, "k7e6"),
        ),
    ),
}
_PRINTED = {
    "mobile": (4.0, 0.32, 74.6),
    "cpu": (None, None, 75.3),
    "gpu": (None, None, 75.1),
    "mobile-1.4": (None, None, 76.7),
}
_DEVICES = {"mobile": "a phone", "cpu": "a CPU", "gpu": "a GPU", "mobile-1.4": "a phone, 1.4 times as wide"}


def entries() -> Iterator[Entry]:
    """One network for each kind of device."""
    for device, (params, macs, top1) in _PRINTED.items():
        note = "4.08M by count" if device == "mobile" else ""
        yield Entry(
            name=f"proxylessnas-{device}",
            family="proxylessnas",
            make=partial(released, device),
            about=f"ProxylessNAS, searched for {_DEVICES[device]}",
            published=Published(params=params, macs=macs, top1=top1, source=_PAPER, note=note),
        )


def released(device: str) -> Network:
    """The released network for that device."""
    design = _DESIGNS[device]
    return Network(
        name=f"proxylessnas-{device}",
        stem=Stem(channels=design.stem, activation="relu6"),
        stages=tuple(
            stage
            for channels, stride, text in design.stages
            for stage in mbconv_stages(channels, stride, text, se_ratio=0, activation="relu6")
        ),
        head=Head(channels=design.head, activation="relu6", dropout=design.dropout),
        batch_norm=BatchNorm(epsilon=1e-3, momentum=0.1),
        stochastic_depth=0.0,
    )
