"""Cells that are searched for, beside the figures in which they were printed: which state each node reads, and how."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allometry.arch import Cell, Conv, Depthwise, DropPath, Network, Pool, RowColumn, Shape
from allometry.catalog import amoebanet, get, nasnet, pnasnet
from allometry.catalog.genotypes import Genotype, Genotypes, cell, grow

SHORT = {"separable": "sep", "average": "avg"}
OPERATIONS = [
    "identity",
    "1x1",
    "3x3",
    "1x7 7x1",
    "average 3x3",
    "max 2x2",
    "max 3x3",
    "separable 3x3",
    "separable 5x5",
    "separable 7x7",
]


@st.composite
def genotypes(draw: st.DrawFn) -> Genotype:
    """Cells of a few steps; what no step reads is put out."""
    steps = []
    for number in range(draw(st.integers(1, 5))):
        operands = [(draw(st.sampled_from(OPERATIONS)), draw(st.integers(0, number + 1))) for _ in range(2)]
        steps.append(tuple(operands))
    read = {state for step in steps for _, state in step}
    unread = [state for state in range(len(steps) + 2) if state not in read]
    return Genotype(steps=tuple(steps), outputs=tuple(unread))


@given(genotypes(), st.sampled_from([8, 16]), st.sampled_from([1, 2]), st.integers(4, 16))
def test_every_step_is_a_sum_and_the_output_has_a_state_for_each_that_is_put_out(
    genotype, channels, stride, size
):
    made = cell(genotype, channels, stride=stride)
    sums = [node for node in made.nodes if node.name.startswith("comb_iter") and node.name.count("_") == 2]
    assert len(sums) == len(genotype.steps)
    assert all(len(node.inputs) == 2 and node.join == "add" for node in sums)
    source = Shape(3 * channels, size)
    shapes = made.shapes(source, source, "same")
    assert {shapes[node.name].channels for node in sums} == {channels}
    out = made.after(source, source, "same")
    assert out == Shape(channels * len(genotype.outputs), -(-size // stride))


@given(genotypes(), st.sampled_from([1, 2]))
def test_operations_of_a_step_stand_where_the_genotype_says(genotype, stride):
    made = {node.name: node for node in cell(genotype, 16, stride=stride).nodes}
    states = ["conv_1x1", "conv_prev_1x1", *(f"comb_iter_{number}" for number in range(len(genotype.steps)))]
    for number, step in enumerate(genotype.steps):
        inputs = list(made[f"comb_iter_{number}"].inputs)
        for side, (operation, state), name in zip(("left", "right"), step, inputs, strict=True):
            if operation == "identity" and (stride == 1 or state > 1):
                assert name == states[state]
                continue
            node = made[name]
            assert name == f"comb_iter_{number}_{side}"
            assert node.inputs == (states[state],)
            kind, _, window = operation.partition(" ")
            kernels = [layer.kernel for layer in node.layers if isinstance(layer, Depthwise)]
            if kind == "separable":
                assert kernels == [int(window[0])] * 2
            pools = [layer for layer in node.layers if isinstance(layer, Pool)]
            if kind in ("average", "max"):
                assert [(pool.function, pool.kernel) for pool in pools] == [(kind, int(window[0]))]
            assert any(isinstance(layer, RowColumn) for layer in node.layers) == (operation == "1x7 7x1")
            # All but what passes on a state, changed in shape only, may be dropped in training.
            assert any(isinstance(layer, DropPath) for layer in node.layers) == (operation != "identity")
            strides = [getattr(layer, "stride", 1) for layer in node.layers]
            assert max(strides, default=1) == (stride if state < 2 else 1)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_each_operation_gives_a_state_of_the_cells_channels(operation):
    genotype = Genotype(steps=(((operation, 0), (operation, 1)),), outputs=(2,))
    for stride in (1, 2):
        for previous in ("squeezed", "as it is", "own input"):
            made = cell(genotype, 8, stride=stride, previous=previous)
            shape = Shape(8 if previous == "as it is" else 24, 9)
            assert made.after(Shape(24, 9), shape, "same") == Shape(8, 9 if stride == 1 else 5)


def printed(genotype: Genotype) -> list[str]:
    """Steps as in the papers' figures: h is the cell's input, g that of the cell before it, then numbers."""
    letters = ["h", "g", *map(str, range(len(genotype.steps)))]
    lines = []
    for step in genotype.steps:
        words = []
        for operation, state in step:
            kind, _, window = operation.partition(" ")
            words.append(f"{SHORT.get(kind, kind)} {window}".strip() + f" {letters[state]}")
        lines.append(", ".join(words))
    return lines


def test_nasnet_a_is_the_printed_cell():
    """Source: Zoph et al. 2018, figure 4."""
    assert printed(nasnet.NASNET_A.normal) == [
        "sep 5x5 h, sep 3x3 g",
        "sep 5x5 g, sep 3x3 g",
        "avg 3x3 h, identity g",
        "avg 3x3 g, avg 3x3 g",
        "sep 3x3 h, identity h",
    ]
    assert printed(nasnet.NASNET_A.reduction) == [
        "sep 5x5 h, sep 7x7 g",
        "max 3x3 h, sep 7x7 g",
        "avg 3x3 h, sep 5x5 g",
        "identity 1, avg 3x3 0",
        "sep 3x3 0, max 3x3 h",
    ]


def test_pnasnet_5_is_the_printed_cell():
    """Source: Liu et al. 2018, figure 1."""
    assert pnasnet.PNASNET_5.normal == pnasnet.PNASNET_5.reduction
    assert printed(pnasnet.PNASNET_5.normal) == [
        "sep 5x5 g, max 3x3 g",
        "sep 7x7 h, max 3x3 h",
        "sep 5x5 h, sep 3x3 h",
        "sep 3x3 2, max 3x3 h",
        "sep 3x3 g, identity h",
    ]


def test_amoebanet_a_is_the_printed_cell():
    """Source: Real et al. 2019, figure 5."""
    assert printed(amoebanet.AMOEBANET_A.normal) == [
        "avg 3x3 h, max 3x3 h",
        "sep 3x3 g, identity g",
        "identity h, avg 3x3 g",
        "sep 3x3 h, sep 5x5 0",
        "avg 3x3 3, sep 3x3 h",
    ]
    assert amoebanet.AMOEBANET_A.normal.outputs == (1, 3, 4, 6)
    assert printed(amoebanet.AMOEBANET_A.reduction)[1] == "max 3x3 h, sep 7x7 0"


@pytest.mark.parametrize("kind", ["a", "b", "c"])
@pytest.mark.parametrize("which", ["normal", "reduction"])
def test_every_state_of_an_amoebanet_is_read_or_put_out(kind, which):
    genotype = getattr(amoebanet.GENOTYPES[kind], which)
    read = {state for step in genotype.steps for _, state in step}
    assert read | set(genotype.outputs) == set(range(len(genotype.steps) + 2))


@given(genotypes(), genotypes(), st.tuples(*[st.integers(1, 2)] * 3))
def test_a_network_grown_of_cells_halves_four_times_after_its_stem(normal, reduction, repeats):
    network = grow(
        Genotypes(normal=normal, reduction=reduction),
        repeats=repeats,
        channels=16,
        stem=8,
        resolution=65,
        stochastic_depth=0.1,
        name="mine",
    )
    assert isinstance(network, Network)
    assert network.depth == 2 + sum(repeats) + 2 + 1
    assert network.total_stride == 2**5
    assert network.shapes()[0].size == 32
    assert network.shapes()[-1] == Shape(64 * len(normal.outputs), 2)
    rates = [placed.drop_rate for placed in network.blocks() if placed.drop_rate]
    assert rates == sorted(rates)


def test_the_first_cell_has_nothing_two_before_it_and_what_follows_a_reduction_is_halved():
    for name in ("nasnet-a-mobile", "pnasnet-5-large", "amoebanet-a-6-190"):
        blocks = [stage.block for stage in get(name).stages]
        assert all(isinstance(block, Cell) for block in blocks)
        first, second, third = blocks[:3]
        assert not first.reads_skip
        assert second.reads_skip
        for halved in (second, third):
            paths = [node for node in halved.nodes if node.name in ("path_1", "path_2")]
            assert len(paths) == 2
            strides = [layer.stride for node in paths for layer in node.layers if isinstance(layer, Conv)]
            assert strides == [2, 2]
