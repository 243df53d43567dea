"""Random networks for property tests."""

from __future__ import annotations

from hypothesis import strategies as st

from allometry.arch import BatchNorm, Head, MBConv, Network, Stage, Stem

activations = st.sampled_from(["silu", "relu", "relu6", "hard_swish"])


@st.composite
def stages(draw: st.DrawFn) -> Stage:
    block = MBConv(
        channels=draw(st.integers(1, 24)),
        kernel=draw(st.sampled_from([1, 3, 5, 7])),
        stride=draw(st.sampled_from([1, 1, 2, 3])),
        expand_ratio=draw(st.sampled_from([1, 1.5, 2, 3, 6])),
        se_ratio=draw(st.sampled_from([0, 0.05, 0.25, 1])),
        activation=draw(activations),
    )
    return Stage(block=block, repeats=draw(st.integers(1, 3)))


@st.composite
def networks(draw: st.DrawFn) -> Network:
    return Network(
        stem=Stem(
            channels=draw(st.integers(1, 16)),
            kernel=draw(st.sampled_from([1, 3, 5])),
            stride=draw(st.sampled_from([1, 2, 4])),
            activation=draw(activations),
        ),
        stages=tuple(draw(st.lists(stages(), min_size=1, max_size=4))),
        head=Head(
            channels=draw(st.integers(1, 32)),
            dropout=draw(st.sampled_from([0, 0.5])),
            classes=draw(st.integers(1, 12)),
        ),
        resolution=draw(st.integers(1, 40)),
        in_channels=draw(st.integers(1, 4)),
        batch_norm=BatchNorm(momentum=draw(st.sampled_from([0.01, 0.1]))),
        padding=draw(st.sampled_from(["symmetric", "same"])),
        stochastic_depth=draw(st.sampled_from([0, 0.2])),
    )
