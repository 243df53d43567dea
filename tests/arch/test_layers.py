"""Shapes of layers and blocks, beside windows that are laid out one by one; and layers that cannot be."""

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allometry.arch import (
    Act,
    BatchNorm,
    Bottleneck,
    Cell,
    Conv,
    Depthwise,
    DropPath,
    FusedMBConv,
    Head,
    MBConv,
    Network,
    Node,
    Norm,
    Pool,
    RowColumn,
    Scale,
    SeparableConv,
    Shape,
    Shift,
    SqueezeExcite,
    SqueezeExciteConfig,
    Stage,
    Stem,
    conv_output_size,
    min_resolution,
    strided,
)
from allometry.base import NetworkError
from tests.strategies import blocks, cells, networks

sides = st.integers(1, 64)
small = st.integers(1, 9)


def windows(size: int, kernel: int, stride: int, padding: str) -> int:
    """How many windows there are, laid out one after the other."""
    if padding == "same":  # TensorFlow: as many as strides, with as much padding as they need
        return len(range(0, size, stride))
    edge = kernel // 2 if padding == "symmetric" else 0
    return len([start for start in range(-edge, size + edge, stride) if start + kernel <= size + edge])


@given(sides, small, small, st.sampled_from(["symmetric", "same", "valid"]))
def test_an_output_has_a_pixel_for_each_window(size, kernel, stride, padding):
    if padding == "symmetric" and kernel % 2 == 0:
        with pytest.raises(NetworkError, match=f"kernel of {kernel} cannot be padded symmetrically"):
            conv_output_size(size, kernel, stride, padding)
    elif padding == "valid" and kernel > size:
        with pytest.raises(NetworkError, match=f"{size} pixels is too small for an unpadded kernel"):
            conv_output_size(size, kernel, stride, padding)
    else:
        assert conv_output_size(size, kernel, stride, padding) == windows(size, kernel, stride, padding)


@given(sides, small)
def test_padding_never_changes_how_often_a_stride_fits(size, stride):
    assert strided(size, stride) == len(range(0, size, stride))


@given(st.integers(1, 4), sides, small, small)
def test_layers_keep_channels_or_set_them(multiple, size, stride, channels):
    shape = Shape(4 * multiple, size)
    assert shape.elements == shape.channels * size**2
    out = strided(size, stride)
    for layer, expected in (
        (Conv(channels=channels, kernel=3, stride=stride), Shape(channels, out)),
        (Conv(channels=4 * channels, stride=stride, groups=4), Shape(4 * channels, out)),
        (RowColumn(channels=channels, kernel=7, stride=stride), Shape(channels, out)),
        (Depthwise(kernel=5, stride=stride), Shape(shape.channels, out)),
        (Pool(function="max", kernel=3, stride=stride), Shape(shape.channels, out)),
        *((kept, shape) for kept in (Norm(), Act(function="relu"), Shift(), Scale(factor=2), DropPath())),
        (SqueezeExcite(ratio=0.25), shape),
    ):
        for padding in ("symmetric", "same"):
            assert layer.after(shape, padding) == expected


@pytest.mark.parametrize(
    ("channels", "ratio", "multiple", "expected"),
    [(256, 1 / 16, 1, 16), (72, 0.25, 1, 18), (72, 0.25, 8, 24), (3, 0.25, 1, 1), (448, 42 / 448, 1, 42)],
)
def test_squeezed_channels_are_cut_or_rounded_to_a_multiple(channels, ratio, multiple, expected):
    assert SqueezeExcite(ratio=ratio, multiple=multiple).squeezed(channels) == expected
    gate = SqueezeExciteConfig(of="expanded", multiple=multiple)
    assert gate.squeezed(ratio, 1, channels) == expected
    assert replace(gate, of="input").squeezed(ratio, channels, 1) == expected
    assert gate.squeezed(0, 1, channels) == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Conv(channels=0), "Conv.channels must be an integer of at least 1"),
        (lambda: Conv(channels=8, stride=0), "Conv.stride"),
        (lambda: Conv(channels=8, groups=-1), "Conv.groups"),
        (lambda: Conv(channels=8, padding="full"), "Conv.padding"),
        (lambda: Conv(channels=8, activation="gelu"), "Conv.activation"),
        (lambda: Conv(channels=8, kind="norm"), "Conv.kind"),
        (lambda: RowColumn(channels=8, kernel=7, stride=0), "RowColumn.stride"),
        (lambda: RowColumn(channels=8, kernel=7, activation="x"), "RowColumn.activation"),
        (lambda: Depthwise(stride=0), "Depthwise.stride"),
        (lambda: Depthwise(padding="x"), "Depthwise.padding"),
        (lambda: Norm(activation="x"), "Norm.activation"),
        (lambda: Act(function="x"), "Act.function"),
        (lambda: Pool(function="max", kernel=0), "Pool.kernel"),
        (lambda: Pool(function="max", kernel=3, stride=0), "Pool.stride"),
        (lambda: Pool(function="max", kernel=2, padding="symmetric"), "Pool.kernel must be odd"),
        (lambda: Pool(function="max", kernel=3, counts_padding=1), "true or false"),
        (lambda: Scale(factor=-1), "Scale.factor"),
        (lambda: Scale(factor=float("inf")), "Scale.factor"),
        (lambda: SqueezeExcite(ratio=0.1, multiple=0), "SqueezeExcite.multiple"),
        (lambda: SqueezeExcite(ratio=0.1, function="relu"), "'sigmoid', 'hard_sigmoid'"),
        (lambda: SqueezeExciteConfig(multiple=0), "multiple"),
        (lambda: SqueezeExciteConfig(activation="x"), "activation"),
        (lambda: MBConv(channels=8, groups=0), "MBConv.groups"),
        (lambda: MBConv(channels=8, expand_multiple=0), "MBConv.expand_multiple"),
        (lambda: MBConv(channels=8, se_ratio=-0.1), "MBConv.se_ratio"),
        (lambda: FusedMBConv(channels=8, expand_ratio=0.5), "FusedMBConv.expand_ratio"),
        (lambda: SeparableConv(channels=8, kernel=2), "must be odd"),
        (lambda: Bottleneck(channels=8, se_ratio=-1), "Bottleneck.se_ratio"),
        (lambda: Bottleneck(channels=8, group_width=0), "Bottleneck.group_width"),
        (lambda: BatchNorm(epsilon=-1), "BatchNorm.epsilon"),
        (lambda: BatchNorm(momentum="fast"), "BatchNorm.momentum"),
        (lambda: Head(classes=0), "Head.classes"),
        (lambda: Head(activation="x"), "Head.activation"),
        (lambda: Stem(kernel=2), "Stem.kernel must be odd"),
        (lambda: Cell(nodes=(Node(name="a", inputs=("input",)),), passes="output"), "Cell.passes"),
    ],
)
def test_a_layer_that_cannot_be_names_its_field(make, message):
    with pytest.raises(NetworkError, match=message) as refused:
        make()
    assert str(refused.value).count(".") <= 3  # one sentence


@given(blocks, st.integers(1, 6), sides)
def test_a_repeated_block_keeps_its_fields_but_the_stride(block, width, size):
    if isinstance(block, Cell):
        assert block.following() is block
        return
    again = block.following()
    assert again == replace(block, stride=1)
    assert again.following() is again
    source = Shape(4 * width, size)
    assert block.after(source, source, "same") == Shape(block.channels, strided(size, block.stride))
    assert block.with_channels(8).channels == 8
    kernels = [getattr(block, name, 1) for name in ("start_kernel", "middle_kernel")]
    if kernels == [None, None]:  # what has no spatial layer cannot stride
        with pytest.raises(NetworkError, match="which takes the stride"):
            block.with_stride(2)
    else:
        assert block.with_stride(2).stride == 2
    assert not block.passes_skip
    assert {field.name for field in fields(block)} >= {"channels", "stride", "kind"}


@given(cells(), st.sampled_from([8, 16]), st.integers(4, 32))
def test_a_cells_stride_is_what_its_shapes_say(cell, channels, size):
    source = Shape(channels, size)
    shapes = cell.shapes(source, source, "same")
    assert list(shapes) == ["input", "skip", *(node.name for node in cell.nodes)]
    out = cell.after(source, source, "same")
    assert out == shapes[cell.nodes[-1].name]
    assert out.size == strided(size, cell.stride)
    assert cell.has_residual(channels) == any(
        isinstance(layer, DropPath) for node in cell.nodes for layer in node.layers
    )
    with pytest.raises(NetworkError, match="fixed channels"):
        cell.widened(2, 8, 0.9)


@given(networks(blocks))
def test_blocks_stand_in_a_row_and_drop_more_and_more(network):
    placed = list(network.blocks())
    assert len(placed) == network.depth == sum(stage.repeats for stage in network.stages)
    shapes = network.shapes()
    assert [each.source for each in placed] == list(shapes[:-1])
    assert [each.out for each in placed] == list(shapes[1:])
    assert [each.stage for each in placed] == sorted(each.stage for each in placed)
    for index, each in enumerate(placed):
        rate = network.stochastic_depth * index / network.depth
        assert each.drop_rate == (rate if each.block.has_residual(each.source.channels) else 0)
        assert 0 <= each.drop_rate <= network.stochastic_depth
    # The first block of a stage has its stride, the others none; cells have theirs every time.
    for number, stage in enumerate(network.stages):
        strides = [each.block.stride for each in placed if each.stage == number]
        later = stage.block.stride if isinstance(stage.block, Cell) else 1
        assert strides == [stage.block.stride, *[later] * (stage.repeats - 1)]
    assert [stage for group in network.groups for stage in group] == list(network.stages)
    assert -(-network.resolution // network.total_stride) <= shapes[-1].size


@given(networks())
def test_networks_that_pad_bear_a_single_pixel(network):
    assert min_resolution(network) == 1


@given(st.integers(1, 3), st.integers(3, 7))
def test_the_least_resolution_is_the_first_that_every_layer_bears(layers, kernel):
    conv = Conv(channels=4, kernel=kernel, padding="valid")
    cell = Cell(nodes=(Node(name="only", inputs=("input",), layers=(conv,)),))
    network = Network(stages=(Stage(block=cell, repeats=layers),), stem=Stem(stride=1), resolution=64)
    borne = []
    for size in range(1, 65):
        try:
            borne.append(replace(network, resolution=size).resolution)
        except NetworkError:
            continue
    assert min_resolution(network) == borne[0] == layers * (kernel - 1) + 1
