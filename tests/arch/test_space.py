"""Spaces of networks: what they contain, how many, and all that chance makes of them."""

import itertools
import json
import pickle
from collections import Counter
from dataclasses import replace
from random import Random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from allometry.arch import (
    Cell,
    Choice,
    Conv,
    FusedMBConv,
    Head,
    MBConv,
    Network,
    Node,
    Piece,
    Shape,
    Space,
    Stage,
    Stem,
    cross,
    distinct_blocks,
    encode,
    load_space,
    members,
    mutate,
    sample,
    save_space,
    space_from_json,
    space_to_json,
)
from allometry.base import InputError, NetworkError, StorageError, UnknownNameError

MOST = 400
kernels = st.lists(st.sampled_from([1, 3, 5, 7]), min_size=1, max_size=3, unique=True).map(tuple)
seeds = st.integers(0, 2**32)


@st.composite
def groups(
    draw: st.DrawFn, number: int, first: int, least: int
) -> tuple[list[Stage], list[Choice], list[str]]:
    """The stages of a group, its choices, and the paths of kernels that one choice shall tie."""
    stages: list[Stage] = []
    choices: list[Choice] = []
    tied: list[str] = []
    channels, repeats = 8 * draw(st.integers(1, 2)), draw(st.sampled_from([1, 1, 2]))
    for layer in range(draw(st.integers(1, 3))):
        kinds = draw(st.permutations([MBConv, FusedMBConv]))
        block, other = (kind(channels=channels, stride=1 if layer else 2) for kind in kinds)
        path = f"stages.{first + layer}.block"
        stages.append(Stage(block=block, repeats=repeats, continues=layer > 0))
        what = draw(st.sampled_from(["nothing", "kernel", "tied", "block", "both"]))
        if what in ("block", "both"):
            options = (block, replace(block, expand_ratio=1), other)
            choices.append(Choice(name=path, paths=(path,), options=options))
        if what in ("kernel", "both"):
            choices.append(Choice(name=f"{path} kernel", paths=(f"{path}.kernel",), options=draw(kernels)))
        if what == "tied":
            tied.append(f"{path}.kernel")
    if draw(st.booleans()):
        paths = tuple(f"stages.{first + layer}.block.channels" for layer in range(len(stages)))
        choices.append(Choice(name=f"channels {number}", paths=paths, options=(8, 16)))
    if least == 0 or draw(st.booleans()):
        depth = st.integers(least, len(stages) * repeats)
        options = tuple(draw(st.lists(depth, min_size=1, max_size=3, unique=True)))
        choices.append(Choice(name=f"depth {number}", paths=(f"groups.{number}.depth",), options=options))
    return stages, choices, tied


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    """Small spaces with depths, fields, whole blocks, choices that tie layers and whole groups, and sizes."""
    stages: list[Stage] = []
    choices: list[Choice] = []
    tied: list[str] = []
    number = draw(st.integers(1, 3))
    droppable = draw(st.integers(0, number)) if number > 1 else None
    for group in range(number):
        made = draw(groups(group, len(stages), 0 if group == droppable else 1))
        stages, choices, tied = stages + made[0], choices + made[1], tied + made[2]
    if tied:
        choices.append(Choice(name="tied", paths=tuple(tied), options=draw(kernels)))
    for path, options in {
        "resolution": (16, 24),
        "stem.channels": (4, 8),
        "head.channels": (None, 16),
    }.items():
        if draw(st.integers(0, 2)) == 0:
            choices.append(Choice(name=path, paths=(path,), options=options))
    template = Network(
        stages=tuple(stages), stem=Stem(channels=8), head=Head(channels=16, classes=3), resolution=16
    )
    space = Space(template=template, choices=tuple(draw(st.permutations(choices))), name="random")
    assume(space.size <= MOST)
    return space


def layer_pieces(network: Network) -> set[Piece]:
    blocks = list(network.blocks())
    return {
        Piece(network.stem, Shape(network.in_channels, network.resolution)),
        *(Piece(placed.block, placed.source) for placed in blocks),
        Piece(network.head, blocks[-1].out),
    }


def tiny() -> Space:
    layer = MBConv(channels=16)
    return Space(
        template=Network(
            stages=(Stage(block=layer), Stage(block=layer, continues=True)),
            head=Head(channels=32, classes=4),
            resolution=32,
        ),
        choices=(
            Choice(name="depth", paths=("groups.0.depth",), options=(1, 2)),
            Choice(name="first", paths=("stages.0.block.kernel",), options=(3, 5)),
            Choice(name="second", paths=("stages.1.block.kernel",), options=(3, 5, 7)),
        ),
        name="tiny",
    )


@settings(deadline=None, max_examples=60)
@given(spaces())
def test_members_are_exactly_the_networks_that_decisions_make_and_size_counts_them(space):
    listed = list(members(space))
    assert len(listed) == len(set(listed)) == space.size
    names = [choice.name for choice in space.choices]
    made = {
        space.network(dict(zip(names, options, strict=True)))
        for options in itertools.product(*(choice.options for choice in space.choices))
    }
    assert made == set(listed)
    assert {space.smallest(), space.largest()} <= made


@settings(deadline=None, max_examples=60)
@given(spaces(), seeds)
def test_members_survive_every_operation(space, seed):
    random = Random(seed)
    for by in ("network", "choice"):
        one, other = sample(space, random, by=by), sample(space, random, by=by)
        for network in (
            one,
            mutate(space, one, 0.5, random),
            mutate(space, one, 1, random),
            cross(space, one, other, random),
        ):
            assert space.contains(network)
            assert network.name == "random"
            decisions = space.decisions_of(network)
            assert space.network(decisions) == network
            assert space.decisions_of(space.network(decisions)) == decisions
            assert set(decisions) == {choice.name for choice in space.active_choices(decisions)}
        assert mutate(space, one, 0, random) == one
        assert cross(space, one, one, random) == one
        assert (encode(space, one) == encode(space, other)) == (one == other)
    assert sample(space, Random(seed)) == sample(space, Random(seed))


@settings(deadline=None, max_examples=60)
@given(spaces())
def test_encodings_are_of_one_length_and_tell_members_apart(space):
    codes = [encode(space, network) for network in members(space)]
    assert {len(code) for code in codes} == {sum(len(choice.options) for choice in space.choices)}
    assert len(set(codes)) == space.size
    assert {number for code in codes for number in code} <= {0.0, 1.0}


@settings(deadline=None, max_examples=60)
@given(spaces())
def test_distinct_blocks_are_those_of_all_members(space):
    found = distinct_blocks(space)
    assert len(found) == len(set(found))
    assert set(found) == set().union(*(layer_pieces(network) for network in members(space)))


@settings(deadline=None, max_examples=30)
@given(spaces())
def test_json_round_trip_gives_an_equal_space(space):
    again = space_from_json(space_to_json(space))
    assert again == space
    assert again.name == space.name
    assert space_to_json(again) == space_to_json(space)
    assert space_from_json(space_to_json(space, indent=2)) == space
    assert pickle.loads(pickle.dumps(space)) == space  # noqa: S301


def test_every_network_is_drawn_equally_often_or_every_option_is():
    space, random, draws = tiny(), Random(1), 8000
    networks = Counter(sample(space, random) for _ in range(draws))
    assert len(networks) == space.size == 8
    # Chi-square with 7 degrees of freedom is above 24.3 in one of a thousand cases.
    assert sum((count - draws / 8) ** 2 / (draws / 8) for count in networks.values()) < 24.3
    depths = Counter(sample(space, random, by="choice").depth for _ in range(draws))
    assert sum((count - draws / 2) ** 2 / (draws / 2) for count in depths.values()) < 10.8
    with pytest.raises(InputError, match="'network' or 'choice'"):
        sample(space, random, by="depth")


def test_the_number_of_members_is_exact_where_floats_are_not():
    layer = MBConv(channels=16)
    paths = [f"stages.{number}.block.kernel" for number in range(60)]
    space = Space(
        template=Network(stages=tuple(Stage(block=layer, continues=number > 0) for number in range(60))),
        choices=(
            Choice(name="depth", paths=("groups.0.depth",), options=(59, 60)),
            *(Choice(name=path, paths=(path,), options=(3, 5, 7)) for path in paths),
        ),
    )
    assert space.size == 3**59 + 3**60
    assert repr(space) == "Space(61 choices, about 10^28 networks)"
    assert space.contains(sample(space, Random(0)))
    assert len(distinct_blocks(space)) == 1 + 2 * 3 + 1


def test_a_choice_may_tie_depths_and_layers_of_several_groups():
    layer = MBConv(channels=16, stride=2)
    later = Stage(block=replace(layer, stride=1), continues=True)
    space = Space(
        template=Network(stages=(Stage(block=layer), later, Stage(block=layer), later), resolution=32),
        choices=(
            Choice(name="depth", paths=("groups.0.depth", "groups.1.depth"), options=(1, 2)),
            Choice(name="kernel", paths=("stages.1.block.kernel", "stages.3.block.kernel"), options=(3, 5)),
        ),
    )
    assert [network.depth for network in members(space)] == [2, 4, 4]
    assert space.size == 3
    uneven = replace(space.template, stages=space.template.stages[:3])
    assert not space.contains(uneven)


def test_what_other_networks_lack_is_said():
    space, member = tiny(), tiny().largest()
    for other, says in (
        (replace(member, resolution=64), "Its resolution is 64, not 32"),
        (replace(member, stages=member.stages * 2), "It has 2 groups of layers, not 1"),
        (replace(member, stages=(replace(member.stages[0], repeats=3),)), "'depth' cannot be 3 .*, 2|3"),
        (replace(member, stages=(Stage(block=MBConv(channels=16, kernel=7)),)), "'first' cannot be 7"),
        (replace(member, stages=(Stage(block=MBConv(channels=24)),)), "Its layer 0 is MBConv.24"),
        (replace(member, stages=(Stage(block=FusedMBConv(channels=16)),)), "Its layer 0 is Fused"),
        (replace(member, stages=(Stage(block=MBConv(channels=16), fixed=True),)), "fixed"),
    ):
        assert not space.contains(other)
        with pytest.raises(NetworkError, match=f"Not of the space tiny: .*{says}"):
            space.decisions_of(other)
    assert space.contains(replace(member, resolution=64), ignore=("resolution",))
    assert space.contains(
        replace(member, head=replace(member.head, classes=7)), ignore=("head.classes", "resolution")
    )
    with pytest.raises(NetworkError, match="can be ignored"):
        space.contains(member, ignore=("stages.0.block.kernel",))
    with pytest.raises(NetworkError, match="cannot set 'color'"):
        space.contains(member, ignore=("color",))


def test_layers_count_however_they_are_written_as_stages():
    space = tiny()
    layer = MBConv(channels=16, kernel=5)
    apart = replace(space.template, stages=(Stage(block=layer), Stage(block=layer, continues=True)))
    together = replace(space.template, stages=(Stage(block=layer, repeats=2),))
    assert space.decisions_of(apart) == space.decisions_of(together) == {"depth": 2, "first": 5, "second": 5}
    assert space.network(space.decisions_of(apart)) == together


def test_cells_can_have_choices_too():
    def cell(kernel: int) -> Cell:
        conv = Conv(channels=8, kernel=kernel, activation="relu")
        return Cell(nodes=(Node(name="all", inputs=("input", "skip"), layers=(conv,), join="concat"),))

    space = Space(
        template=Network(
            stages=tuple(Stage(block=cell(3)) for _ in range(2)), stem=Stem(channels=8), resolution=8
        ),
        choices=(
            Choice(name="first", paths=("stages.0.block",), options=(cell(1), cell(3))),
            Choice(name="second", paths=("stages.1.block.nodes.0.layers.0.channels",), options=(8, 16)),
        ),
    )
    assert space.size == len(set(members(space))) == 4
    assert all(space.contains(network) for network in members(space))
    assert space_from_json(space_to_json(space)) == space
    assert [piece.skip for piece in distinct_blocks(space) if isinstance(piece.part, Cell)] == [
        Shape(8, 4)
    ] * 3  # the first with the kernel of 3 and the second with 8 channels are one


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ({"name": " "}, "Choice.name must be a word"),
        (
            {"paths": "resolution"},
            "The paths of the choice 'k' must be a tuple of one or more, not 'resolution'",
        ),
        ({"paths": ()}, "one or more"),
        ({"paths": ("resolution", "resolution")}, "'resolution' is there twice"),
        ({"paths": ("stages.0.repeats",)}, r"cannot set 'stages.0.repeats'. Possible: groups.N.depth"),
        ({"paths": ("name",)}, "cannot set 'name'"),
        ({"paths": ("stem",)}, "cannot set 'stem'"),
        ({"paths": ("groups.0.depth", "resolution")}, "either depths or other things"),
        ({"options": ()}, "The options of the choice 'k' must be a tuple"),
        ({"options": (3, 3.0)}, "3.0 is there twice"),
        ({"options": ([3],)}, "must be a number, a word"),
        ({"paths": ("stages.7.block.kernel",)}, r"stages.7, but the template's stages go from 0 to 1"),
        ({"paths": ("groups.1.depth",)}, r"groups.1, but the template's groups go from 0 to 0"),
        ({"paths": ("groups.0.depth",), "options": (3,)}, "from 0 to the template's 2, not 3"),
        ({"paths": ("groups.0.depth",), "options": (True,)}, "not True"),
        ({"paths": ("groups.0.depth",), "options": (0, 1)}, "cannot be 0: Network.stages must be one"),
        (
            {"paths": ("stages.0.block.kernel",), "options": (3, 4)},
            "'k' cannot be 4: MBConv.kernel must be odd",
        ),
        ({"paths": ("stages.0.block.ratio",)}, "'k' cannot be 3: MBConv has no field 'ratio'"),
        ({"paths": ("stages.0.block.channels",), "options": (8,)}, "cannot be 8: A stage continues another"),
        ({"paths": ("stages.1.block.stride",), "options": (1, 2)}, "stride 1"),
        ({"paths": ("stages.0.block",), "options": (3,)}, "must be a block, not 3"),
        ({"paths": ("head.color",)}, "Head has no field 'color'"),
    ],
)
def test_choices_that_cannot_be_are_refused_with_a_sentence(choice, says):
    with pytest.raises(NetworkError, match=says):
        replace(
            tiny(), choices=(Choice(**{"name": "k", "paths": ("resolution",), "options": (3, 5), **choice}),)
        )


def test_choices_that_do_not_go_together_are_refused():
    kernel = Choice(name="kernel", paths=("stages.0.block.kernel",), options=(3, 5))
    blocks = Choice(
        name="blocks",
        paths=("stages.0.block",),
        options=(MBConv(channels=16), MBConv(channels=16, kernel=5)),
    )
    fused = Choice(
        name="fused", paths=("stages.0.block",), options=(MBConv(channels=16), FusedMBConv(channels=16))
    )
    groups = Choice(name="groups", paths=("stages.0.block.groups",), options=(1, 2))
    two = Network(stages=(Stage(block=MBConv(channels=16)),) * 3)
    for template, choices, says in (
        (tiny().template, (kernel, kernel), "Two choices are named 'kernel'"),
        (tiny().template, (kernel, replace(kernel, name="k")), "'kernel' and 'k' both set"),
        (tiny().template, (kernel, blocks), "differ only where other choices set"),
        (tiny().template, (fused, groups), "in which another sets groups: FusedMBConv has no field"),
        (tiny().template, ("kernel",), "Network as its template and of Choices"),
        (3, (kernel,), "Network as its template and of Choices"),
        (
            two,
            [Choice(name=f"{n}", paths=(f"groups.{n}.depth",), options=(0, 1)) for n in (0, 2)],
            "Only one group",
        ),
    ):
        with pytest.raises(NetworkError, match=says):
            Space(template=template, choices=choices)


def test_decisions_that_cannot_be_are_refused():
    space = tiny()
    assert space.network({"depth": 1, "first": 3, "second": 9}).depth == 1
    for decisions, says in (
        ({"depth": 2, "first": 3}, "Nothing is decided for the choice 'second'. Possible: 3, 5, 7."),
        ({"first": 3}, "Nothing is decided for the choice 'depth'"),
        ({"depth": 1, "first": 9}, "The choice 'first' cannot be 9. Possible: 3, 5."),
    ):
        with pytest.raises(NetworkError, match=says):
            space.network(decisions)
    with pytest.raises(UnknownNameError, match="Did you mean 'second'"):
        space.network({"depth": 1, "first": 3, "secnd": 3})
    other = replace(space.smallest(), resolution=8)
    with pytest.raises(NetworkError, match="Not of the space"):
        mutate(space, other, 0.1, Random(0))
    with pytest.raises(NetworkError, match="Not of the space"):
        cross(space, space.smallest(), other, Random(0))
    with pytest.raises(InputError, match="from 0 to 1, not 2"):
        mutate(space, space.smallest(), 2, Random(0))
    with pytest.raises(UnknownNameError, match="depth"):
        mutate(space, space.smallest(), 0.1, Random(0), rates={"deph": 0.5})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d.pop("choices"), "field 'choices' is missing"),
        (lambda d: d.update(choice=[]), r"field 'choice' is not known \(did you mean 'choices'"),
        (lambda d: d.update(name=3), "field 'name' must be a text, not 3"),
        (lambda d: d.update(choices={}), "field 'choices' must be a list"),
        (lambda d: d.update(format="allometry.space/99"), "'allometry.space/99', this version reads"),
        (lambda d: d["template"]["stages"][0].pop("block"), "field 'template.stages.0.block' is missing"),
        (lambda d: d["choices"].append(3), "field 'choices.3' must be an object, not 3"),
        (lambda d: d["choices"][1].pop("options"), "field 'choices.1.options' is missing"),
        (lambda d: d["choices"][1].update(paths="resolution"), "field 'choices.1.paths' must be a list"),
        (lambda d: d["choices"][1].update(paths=[3]), "field 'choices.1.paths.0' must be a text, not 3"),
        (lambda d: d["choices"][1].update(options=[[3]]), "must be a number, a word"),
        (
            lambda d: d["choices"][1].update(options=[{"kind": "gru"}]),
            "'choices.1.options.0.kind' must be one of",
        ),
        (
            lambda d: d["choices"][1].update(options=[{"kind": "mbconv"}]),
            "'choices.1.options.0.channels' is missing",
        ),
        (lambda d: d["choices"][1].update(options=[4]), "The choice 'first' cannot be 4"),
    ],
)
def test_wrong_json_is_refused_and_the_field_is_named(change, says):
    fields = json.loads(space_to_json(tiny()))
    change(fields)
    with pytest.raises(NetworkError, match=f"Not a space: .*{says}"):
        space_from_json(json.dumps(fields))


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '"x"'])
def test_other_text_is_refused(text):
    with pytest.raises(NetworkError, match="Not a space"):
        space_from_json(text)


def test_files(tmp_path):
    path = tmp_path / "deep" / "space.json"
    save_space(tiny(), path)
    assert load_space(path) == tiny()
    with pytest.raises(NetworkError, match="No such file"):
        load_space(tmp_path / "missing.json")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(NetworkError, match="not text"):
        load_space(tmp_path / "bytes.json")
    with pytest.raises(StorageError, match="in the way"):
        save_space(tiny(), path / "below.json")
