"""Pieces of networks, and the walk through a space that finds them without going through its members."""

from collections import Counter
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allometry.arch import (
    Cell,
    Choice,
    Head,
    MBConv,
    Network,
    Node,
    Piece,
    Shape,
    Space,
    Stage,
    Stem,
    distinct_blocks,
    members,
    pieces,
    sample,
    walk,
    wrap_alone,
)
from allometry.arch.choices import read, rewritten, target, write
from allometry.base import NetworkError
from allometry.catalog import find_space, get
from tests.strategies import blocks, networks

from .test_space import spaces


@given(networks(blocks))
def test_pieces_are_the_stem_the_blocks_and_the_head_each_with_what_it_reads(network):
    first, *middle, last = pieces(network)
    assert first == Piece(network.stem, Shape(network.in_channels, network.resolution))
    assert last == Piece(network.head, network.shapes()[-1])
    assert [piece.source for piece in middle] == list(network.shapes()[:-1])
    assert [piece.kind for piece in (first, *middle, last)] == ["stem", *["block"] * network.depth, "head"]


@given(networks(blocks))
def test_a_piece_alone_stands_in_its_place(network):
    for piece in set(pieces(network)):
        if piece.skip is not None:
            with pytest.raises(NetworkError, match="has no cost of its own to measure"):
                wrap_alone(piece)
            continue
        alone = wrap_alone(piece)
        assert piece in list(pieces(alone))
        assert alone.depth == 1
        assert alone.resolution == piece.source.size


def test_cells_that_read_the_input_of_the_block_before_say_so():
    node = Node(name="both", inputs=("input", "skip"), join="concat")
    network = Network(
        stages=(Stage(block=Cell(nodes=(node,)), repeats=2),), stem=Stem(channels=4), resolution=8
    )
    found = [piece.skip for piece in pieces(network)]
    assert found == [None, Shape(4, 4), Shape(4, 4), None]
    searched = [piece.skip for piece in pieces(get("nasnet-a-mobile"))]
    assert sum(skip is not None for skip in searched) > 10


def path_of(space: Space, network: Network) -> list[Piece]:
    """The pieces along the way through the space that the network's decisions take."""
    decisions = space.decisions_of(network)
    found: list[Piece] = []
    state = None
    for site in walk(space):
        ways = [
            step
            for step in site.steps
            if step.before == state and all(decisions.get(name) == each for name, each in step.chosen.items())
        ]
        assert len(ways) == 1
        found += ways[0].pieces
        state = ways[0].after
    return found


@settings(max_examples=40)
@given(spaces(), st.integers(0, 2**32))
def test_a_members_decisions_lead_through_the_space_to_its_pieces(space, seed):
    network = sample(space, Random(seed))
    assert path_of(space, network) == list(pieces(network))


@settings(max_examples=40)
@given(spaces())
def test_there_are_as_many_ways_through_a_space_as_members(space):
    ways: Counter = Counter({None: 1})
    *sites, head = walk(space)
    for site in sites:
        after: Counter = Counter()
        for step in site.steps:
            after[step.after] += ways[step.before]
        ways = after
    assert sum(ways[step.before] for step in head.steps) == space.size


@pytest.mark.parametrize("name", ["ofa-mobilenetv3-1.0", "proxylessnas", "fbnet", "mnasnet"])
def test_the_ways_through_the_published_spaces_are_their_sizes(name):
    space = find_space(name)
    ways: Counter = Counter({None: 1})
    for site in walk(space):
        after: Counter = Counter()
        for step in site.steps:
            after[step.after] += ways[step.before]
        ways = after
    assert sum(ways.values()) == space.size


def test_the_pieces_of_a_space_are_fewer_than_its_members_have():
    layer = MBConv(channels=8, stride=2)
    space = Space(
        template=Network(
            stages=(Stage(block=layer), Stage(block=layer)), stem=Stem(channels=8), resolution=16
        ),
        choices=(
            Choice(name="one", paths=("stages.0.block.kernel",), options=(3, 5)),
            Choice(name="two", paths=("stages.1.block.kernel",), options=(3, 5)),
            Choice(name="head", paths=("head.channels",), options=(None, 16)),
        ),
    )
    assert len(distinct_blocks(space)) == 1 + 2 + 2 + 2
    assert len({piece for network in members(space) for piece in pieces(network)}) == 7
    assert space.size == 8


@given(networks(blocks), st.sampled_from(["resolution", "in_channels", "stem.channels", "head.classes"]))
def test_what_is_written_is_read_and_nothing_else_changes(network, path):
    way = tuple(path.split("."))
    other = write(network, way, read(network, way) + 1)
    assert read(other, way) == read(network, way) + 1
    assert write(other, way, read(network, way)) == network
    assert write(network, (), "anything") == "anything"


@pytest.mark.parametrize(
    ("path", "what", "number", "fields"),
    [
        ("groups.2.depth", "depth", 2, ()),
        ("stages.0.block", "block", 0, ()),
        ("stages.12.block.gate.multiple", "block", 12, ("gate", "multiple")),
        ("resolution", "network", 0, ("resolution",)),
        ("stem.channels", "network", 0, ("stem", "channels")),
        ("batch_norm.momentum", "network", 0, ("batch_norm", "momentum")),
    ],
)
def test_paths_are_taken_apart(path, what, number, fields):
    assert target(path) == (what, number, fields)


@pytest.mark.parametrize(
    "path", ["", "stages", "stages.0", "groups.0", "resolution.x", "head", "name", "Stem.x"]
)
def test_other_paths_lead_nowhere(path):
    with pytest.raises(NetworkError, match="A choice cannot set"):
        target(path)


def test_fields_inside_cells_and_of_blocks_are_rewritten():
    block = MBConv(channels=8)
    assert rewritten(block, ((("kernel",), 5), (("channels",), 16))) == replace(block, kernel=5, channels=16)
    assert rewritten(block, (((), MBConv(channels=4)), (("kernel",), 7))) == MBConv(channels=4, kernel=7)
    with pytest.raises(NetworkError, match="A block is needed"):
        rewritten(block, (((), 3),))
    with pytest.raises(NetworkError, match="MBConv has no field 'ratio'"):
        rewritten(block, ((("ratio",), 3),))
    with pytest.raises(NetworkError, match="no field"):
        read(get("densenet-121").stages[0].block, ("nodes", "99"))
    assert Head() == write(Head(), ("classes",), 1000)
