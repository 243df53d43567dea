"""Cells, blocks of every kind and their files."""

from dataclasses import replace

import pytest
from hypothesis import given

from allometry.arch import (
    BasicBlock,
    Bottleneck,
    Cell,
    Conv,
    Depthwise,
    FusedMBConv,
    Head,
    MBConv,
    Network,
    Node,
    Pool,
    RowColumn,
    SeparableConv,
    Shape,
    SqueezeExcite,
    SqueezeExciteConfig,
    Stage,
    Stem,
    digest,
    from_json,
    min_resolution,
    to_json,
)
from allometry.base import NetworkError
from allometry.catalog import get
from allometry.cost import count
from tests.strategies import blocks, networks

HALVE = Pool(function="max", kernel=3, stride=2, padding="same")
SHAPE = Shape(8, 14)


def cell(*nodes: Node) -> Cell:
    return Cell(nodes=nodes, label="mine")


@given(networks(blocks))
def test_every_kind_of_block_survives_json(network):
    again = from_json(to_json(network))
    assert again == network
    assert (digest(again), hash(again)) == (digest(network), hash(network))
    assert eval_repr(network)


def eval_repr(network: Network) -> bool:
    """What a person sees has a line for each stage."""
    return len(repr(network).splitlines()) == len(network.stages) + 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (cell, "no nodes"),
        (lambda: cell(Node(name="a", inputs=("b",))), "'b', which is not before it"),
        (lambda: cell(Node(name="a", inputs=("a",))), "not before it"),
        (lambda: cell(*[Node(name="a", inputs=("input",))] * 2), "is there twice"),
        (lambda: Node(name="input", inputs=("input",)), "other than input and skip"),
        (lambda: Node(name="a.b", inputs=("input",)), "identifier"),
        (lambda: Node(name="a", inputs=()), "no input"),
        (lambda: Node(name="a", inputs=("input",), join="multiply"), "'add', 'concat'"),
        (lambda: Conv(channels=8, kernel=(1, 2, 3)), "one or two positive integers"),
        (lambda: Conv(channels=8, kernel=0), "one or two positive integers"),
        (lambda: Conv(channels=8, groups=3).after(SHAPE, "same"), "3 groups do not divide 8"),
        (lambda: Conv(channels=8, kernel=(1, 3), padding="valid").after(SHAPE, "same"), "14 x 12"),
        (lambda: Conv(channels=8, kernel=2).after(SHAPE, "symmetric"), "cannot be padded symmetrically"),
        (lambda: Pool(function="sum", kernel=3), "'max', 'average'"),
        (lambda: Pool(function="max", kernel=15, padding="valid").after(SHAPE, "same"), "too small"),
        (lambda: Depthwise(kernel=4), "must be odd"),
        (lambda: RowColumn(channels=8, kernel=2), "must be odd"),
        (lambda: SqueezeExcite(ratio=-1), "at least 0"),
        (lambda: SqueezeExciteConfig(of="output"), "'input', 'expanded'"),
        (lambda: MBConv(channels=8, gate="sigmoid"), "must be a SqueezeExciteConfig"),
        (lambda: FusedMBConv(channels=8, kernel=2), "must be odd"),
        (lambda: SeparableConv(channels=0), "at least 1"),
        (lambda: BasicBlock(channels=8, activation="tanh"), "'relu'"),
        (lambda: Bottleneck(channels=8, ratio=0.01), "no channels in the middle"),
        (lambda: Bottleneck(channels=64, group_width=5), "do not divide the 16"),
        (lambda: Stage(block=MBConv(channels=8, stride=2), continues=True), "stride 1"),
        (lambda: Stage(block=MBConv(channels=8), fixed=1), "true or false"),
        (lambda: Stem(padding="reflect"), "'valid'"),
        (lambda: Stem(pool=2), "odd"),
        (lambda: Head(hidden=0), "at least 1"),
        (lambda: Network(stages=(Stage(block=MBConv(channels=8), continues=True),)), "nothing before it"),
        (
            lambda: Network(
                stages=(
                    Stage(block=MBConv(channels=8)),
                    Stage(block=MBConv(channels=16), continues=True),
                )
            ),
            "other channels",
        ),
        (
            lambda: Network(
                stages=(
                    Stage(
                        block=cell(
                            Node(name="half", inputs=("input",), layers=(HALVE,)),
                            Node(name="sum", inputs=("half", "input")),
                        )
                    ),
                )
            ),
            "cannot add 32 x 56 px and 32 x 112 px",
        ),
    ],
)
def test_what_cannot_be_is_one_sentence(make, message):
    with pytest.raises(NetworkError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"kind":"conv"', '"kind":"comv"', "'conv', 'row_column', 'depthwise'"),
        ('"kind":"cell"', '"kind":"sell"', r"block\.kind' must be one of .*'mbconv'.*, not 'sell'"),
        ('"channels":128', '"channels":"128"', r"layers.0.channels' must be an integer, not '128'"),
        ('"inputs":["input","conv2"]', '"inputs":["input","conv9"]', "'conv9', which is not before it"),
        ('"join":"concat"', '"join":"concat","more":1', "not permitted|more"),
    ],
)
def test_files_are_read_strictly_inside_cells_too(old, new, message):
    text = to_json(get("densenet-121"))
    assert old in text
    with pytest.raises(NetworkError, match=message):
        from_json(text.replace(old, new))


def test_fields_that_came_later_are_written_where_they_are_used_only():
    plain = Network(stages=(Stage(block=MBConv(channels=8)),))
    assert "fixed" not in to_json(plain)
    fixed = replace(plain, head=replace(plain.head, fixed=True))
    assert '"fixed":true' in to_json(fixed)
    assert digest(fixed) != digest(plain)


def test_cells_may_read_what_the_block_before_had_read():
    add = cell(
        Node(name="left", inputs=("input",), layers=(Conv(channels=8, kernel=3),)),
        Node(name="right", inputs=("skip",), layers=(Conv(channels=8),)),
        Node(name="sum", inputs=("left", "right")),
    )
    network = Network(stages=(Stage(block=add, repeats=3),), stem=Stem(channels=4), resolution=16)
    assert [placed.skip.channels for placed in network.blocks()] == [4, 4, 8]
    assert [placed.source.channels for placed in network.blocks()] == [4, 8, 8]
    passing = replace(network, stages=(Stage(block=replace(add, passes="skip"), repeats=3),))
    assert [placed.skip.channels for placed in passing.blocks()] == [4, 4, 4]
    assert count(passing).params < count(network).params


def test_the_smallest_input_that_layers_without_padding_bear():
    network = get("inception-v4")
    smallest = min_resolution(network)
    replace(network, resolution=smallest)
    with pytest.raises(NetworkError, match="too small"):
        replace(network, resolution=smallest - 1)
