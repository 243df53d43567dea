"""What is told of a network that has grown or shrunk."""

from __future__ import annotations

from dataclasses import replace

from allometry.arch import Head, MBConv, Network, Stage, Stem
from allometry.scaling import SizeChange, size_changes

OLD = Network(
    stem=Stem(channels=8),
    stages=(
        Stage(block=MBConv(channels=8)),
        Stage(block=MBConv(channels=16, kernel=3, stride=2)),
        Stage(block=MBConv(channels=16, kernel=5), continues=True),
        Stage(block=MBConv(channels=24)),
    ),
    head=Head(channels=32, classes=3),
    resolution=32,
)


def test_the_same_network_has_no_changes() -> None:
    assert size_changes(OLD, replace(OLD, name="another")) == ()


def test_every_size_is_told_with_its_place_and_stages_that_continue_count_together() -> None:
    first, second, third, last = OLD.stages
    new = replace(
        OLD,
        stem=Stem(channels=12),
        stages=(
            first,
            replace(second, block=MBConv(channels=16, kernel=5, stride=2)),
            replace(third, repeats=3),
            replace(last, block=MBConv(channels=20, expand_ratio=4)),
        ),
        head=Head(channels=None, classes=3),
        resolution=40,
    )
    assert size_changes(OLD, new) == (
        SizeChange("input", "resolution", 32, 40),
        SizeChange("stem", "channels", 8, 12),
        SizeChange("stage 2", "kernel", 3, 5),
        SizeChange("stage 2", "layers", 2, 4),
        SizeChange("stage 4", "channels", 24, 20),
        SizeChange("stage 4", "expand_ratio", 6, 4),
    )
