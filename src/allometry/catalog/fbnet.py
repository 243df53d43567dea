"""FBNet-A, B and C, as in the authors' PyTorch code: no expansion convolution where the expand ratio is 1."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from allometry.arch import BatchNorm, Head, Network, Stem
from allometry.catalog.entry import Entry, Published
from allometry.catalog.rows import mbconv_stages

_PAPER = "FBNet, arXiv:1812.03443, Table 3"
_CHANNELS = (16, 24, 32, 64, 112, 184, 352)
_STRIDES = (1, 2, 2, 2, 1, 2, 1)
# Blocks of each stage; skipped ones are left out. Source: the authors' code, `fbnet_modeldef_cls_fbnet.py`.
_BLOCKS = {
    "a": (
        "",
        "k3e3 k3e1",
        "k5e6 k3e3 k5e1 k3e3",
        "k5e6 k5e3 k5e1g2 k5e6",
        "k3e6 k5e1g2 k5e3 k3e1g2",
        "k5e6 k5e6 k5e3 k5e6",
        "k5e6",
    ),
    "b": (
        "k3e1",
        "k3e6 k5e1 k3e1 k3e1",
        "k5e6 k5e3 k3e6 k5e6",
        "k5e6 k5e6 k5e3",
        "k5e6 k3e1 k5e1 k5e3",
        "k5e6 k5e1 k5e6 k5e6",
        "k3e6",
    ),
    "c": (
        "k3e1",
        "k3e6 k3e1 k3e1",
        "k5e6 k5e3 k5e6 k3e6",
        "k5e6 k5e3 k5e6 k5e6",
        "k5e6 k5e6 k5e6 k5e3",
        "k5e6 k5e6 k5e6 k5e6",
        "k3e6",
    ),
}
_HEADS = {"a": 1504, "b": 1984, "c": 1984}
_PUBLISHED = {
    "a": Published(
        params=4.3,
        macs=0.249,
        top1=73.0,
        source=_PAPER,
        note="244M by count and in the authors' code; 250M with expansions of ratio 1",
    ),
    "b": Published(
        params=4.5,
        macs=0.295,
        top1=74.1,
        source=_PAPER,
        note="4.8M and 291M by count and in the authors' code",
    ),
    "c": Published(
        params=5.5, macs=0.375, top1=74.9, source=_PAPER, note="378M by count and in the authors' code"
    ),
}


def entries() -> Iterator[Entry]:
    """A, B and C."""
    for variant, published in _PUBLISHED.items():
        yield Entry(
            name=f"fbnet-{variant}",
            family="fbnet",
            make=partial(released, variant),
            about=f"FBNet-{variant.upper()}: searched by gradient for the latency of a phone",
            published=published,
        )


def released(variant: str) -> Network:
    """The network of that letter."""
    return Network(
        name=f"fbnet-{variant}",
        stem=Stem(channels=16, activation="relu"),
        stages=tuple(
            stage
            for channels, stride, text in zip(_CHANNELS, _STRIDES, _BLOCKS[variant], strict=True)
            for stage in mbconv_stages(channels, stride, text, se_ratio=0, activation="relu")
        ),
        head=Head(channels=_HEADS[variant], activation="relu", dropout=0.2),
        batch_norm=BatchNorm(epsilon=1e-5, momentum=0.1),
        stochastic_depth=0.0,
    )
