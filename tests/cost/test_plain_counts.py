"""Counts and memory beside another way to find them: a list of tensors, made one after the other and then forgotten."""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given

from allometry.arch import Cell, FusedMBConv, MBConv, Network, pieces
from allometry.catalog import get
from allometry.cost import Cost, count, count_piece, count_stages
from tests.strategies import basic, blocks, bottlenecks, networks, separable


@dataclass
class Tape:
    """What a network does, tensor by tensor."""

    sizes: list[int] = field(default_factory=list)
    reads: list[tuple[int, ...]] = field(default_factory=list)
    params: int = 0
    statistics: int = 0
    macs: int = 0
    activations: int = 0

    def make(self, elements: int, *sources: int) -> int:
        """A new tensor of some others."""
        self.sizes.append(elements)
        self.reads.append(sources)
        return len(self.sizes) - 1

    def conv(self, source: int, cin: int, cout: int, *, kernel: int, size: int, groups: int = 1) -> int:
        """A convolution and its batch norm."""
        weights = kernel * kernel * (cin // groups) * cout
        self.params += weights + 2 * cout
        self.statistics += 2 * cout
        self.macs += weights * size * size
        self.activations += cout * size * size
        return self.make(cout * size * size, source)

    def linear(self, source: int, cin: int, cout: int, *, bias: bool = True) -> int:
        self.params += cin * cout + (cout if bias else 0)
        self.macs += cin * cout
        return self.make(cout, source)

    def most_alive(self) -> int:
        """The most elements at one time, where a tensor goes after the last that reads it."""
        last = {source: place for place, sources in enumerate(self.reads) for source in sources}
        alive, most = dict[int, int](), 0
        for place, elements in enumerate(self.sizes):
            alive[place] = elements
            most = max(most, sum(alive.values()))
            alive = {each: size for each, size in alive.items() if last.get(each, -1) > place}
        return most

    def cost(self) -> Cost:
        memory = 4 * (self.params + self.statistics + self.most_alive())
        return Cost(self.params, self.macs, self.activations, memory)


def excite(
    tape: Tape, source: int, inner: int, squeezed: int, *, again: bool = False, elements: int = 0
) -> int:
    """The mean, a squeeze and a gate, which the tensor is multiplied with: in place, unless it is read again."""
    mean = tape.make(inner, source)
    small = tape.linear(mean, inner, squeezed)
    gate = tape.linear(small, squeezed, inner)
    tape.activations += inner + squeezed
    if again:
        return tape.make(elements, source, gate)
    tape.make(0, source, gate)
    return source


def pooled(tape: Tape, source: int, block: MBConv | FusedMBConv, cin: int, size: int) -> int:
    """The block without a shortcut, then means of its input, which are added in place."""
    out = inverted(tape, source, replace(block, shortcut="none"), cin, size, 1)
    means = tape.make(cin * size * size, source)
    tape.make(0, means, out)
    return out


def inverted(tape: Tape, source: int, block: MBConv | FusedMBConv, cin: int, size: int, stride: int) -> int:
    inner, out_size = block.expanded(cin), -(-size // stride)
    deep = source
    fused = isinstance(block, FusedMBConv)
    groups = 1 if fused else block.groups
    fits = stride == 1 and cin == block.channels
    residual = fits and block.shortcut == "identity"
    if fits and block.shortcut == "pool":
        return pooled(tape, source, block, cin, size)
    if fused and block.expand_ratio == 1:
        if block.se_ratio:
            squeezed = block.gate.squeezed(block.se_ratio, cin, cin)
            deep = excite(tape, deep, cin, squeezed, again=residual, elements=cin * size * size)
        out = tape.conv(deep, cin, block.channels, kernel=block.kernel, size=out_size)
        if residual:
            tape.make(0, source, out)
        return out
    if fused:
        deep = tape.conv(deep, cin, inner, kernel=block.kernel, size=out_size)
    else:
        if block.expand_ratio != 1:
            deep = tape.conv(deep, cin, inner, kernel=1, size=size, groups=groups)
        deep = tape.conv(deep, inner, inner, kernel=block.kernel, size=out_size, groups=inner)
    if block.se_ratio:
        excite(tape, deep, inner, block.gate.squeezed(block.se_ratio, cin, inner))
    out = tape.conv(deep, inner, block.channels, kernel=1, size=out_size, groups=groups)
    if residual:
        tape.make(0, source, out)
    return out


def played(network: Network) -> Tape:
    tape = Tape()
    stem, head = network.stem, network.head
    channels, size = network.in_channels, network.resolution
    tensor = tape.make(channels * size * size)
    size = -(-size // stem.stride)
    tensor = tape.conv(tensor, channels, stem.channels, kernel=stem.kernel, size=size)
    channels = stem.channels
    if stem.pool:
        size = -(-size // 2)
        tensor = tape.make(channels * size * size, tensor)
    for stage in network.stages:
        for repeat in range(stage.repeats):
            stride = stage.block.stride if repeat == 0 else 1
            tensor = inverted(tape, tensor, stage.block, channels, size, stride)
            channels, size = stage.block.channels, -(-size // stride)
    if head.channels:
        tensor = tape.conv(tensor, channels, head.channels, kernel=1, size=size)
        channels = head.channels
    tensor = tape.make(channels, tensor)
    if head.hidden:
        tensor = tape.linear(tensor, channels, head.hidden, bias=head.hidden_bias)
        channels = head.hidden
        tape.params += 2 * channels if head.hidden_norm else 0
        tape.statistics += 2 * channels if head.hidden_norm else 0
    tape.linear(tensor, channels, head.classes)
    return tape


@given(networks())
def test_networks_of_inverted_bottlenecks_cost_what_their_tensors_do(network):
    assert count(network) == played(network).cost()


@pytest.mark.parametrize(
    "name",
    ["efficientnet-b0", "efficientnet-b7", "efficientnetv2-s", "mobilenetv2", "mobilenetv3-large", "fbnet-a"],
)
def test_networks_of_the_catalog_too(name):
    network = get(name)
    assert count(network) == played(network).cost()


@given(networks(blocks=separable | basic | bottlenecks))
def test_older_blocks_cost_what_their_convolutions_do(network):
    """Parameters and MACs of the body, from the papers' figures."""
    params = macs = 0
    for placed in network.blocks():
        block, (cin, size) = placed.block, placed.source
        cout, area = placed.out.channels, placed.out.size**2
        window, convs = (
            block.kernel**2,
            list[tuple[int, int, int, int]](),
        )  # window, read, made, pixels of the output
        match block.kind:
            case "separable":
                convs += [(window, 1, cin, area), (1, cin, cout, area)]
            case "basic":
                convs += [(window, cin, cout, area), (window, cout, cout, area)]
            case "bottleneck":
                middle, each = block.middle, block.middle // block.groups
                convs += [(1, cin, middle, size**2), (window, each, middle, area), (1, middle, cout, area)]
        if block.kind != "separable" and (block.stride > 1 or cin != cout):
            convs.append((1, cin, cout, area))
        for side, read, made, pixels in convs:
            params += side * read * made + 2 * made
            macs += side * read * made * pixels
        if getattr(block, "se_ratio", 0):
            squeezed = max(1, round(cin * block.se_ratio))
            params += 2 * block.middle * squeezed + block.middle + squeezed
            macs += 2 * block.middle * squeezed
    lines = count_stages(network)[1:-1]
    assert (sum(line.params for line in lines), sum(line.macs for line in lines)) == (params, macs)


@given(networks(blocks))
def test_pieces_cost_together_what_the_network_does(network):
    parts = [count_piece(piece, network.padding) for piece in pieces(network)]
    cost = count(network)
    for name in ("params", "macs", "activations"):
        assert sum(getattr(part, name) for part in parts) == getattr(cost, name)
    if not any(isinstance(stage.block, Cell) for stage in network.stages):
        statistics = sum(part.statistics for part in parts)
        assert cost.memory == 4 * (cost.params + statistics + max(part.live for part in parts))


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        (
            "efficientnet-b0",
            [
                "conv 3x3 /2",
                "MBConv1 3x3, SE",
                "MBConv6 3x3 /2, SE",
                "MBConv6 5x5 /2, SE",
                "MBConv6 3x3 /2, SE",
            ],
        ),
        (
            "efficientnetv2-s",
            [
                "conv 3x3 /2",
                "FusedMBConv1 3x3",
                "FusedMBConv4 3x3 /2",
                "FusedMBConv4 3x3 /2",
                "MBConv4 3x3 /2, SE",
            ],
        ),
        ("resnet-18", ["conv 7x7 /2, max pool 3x3 /2", "basic block 3x3", "basic block 3x3 /2"]),
        ("resnext-50-32x4d", ["conv 7x7 /2, max pool 3x3 /2", "bottleneck 3x3, 32 groups"]),
        ("regnety-200mf", ["conv 3x3 /2", "bottleneck 3x3 /2, 3 groups, SE"]),
        ("mobilenetv1", ["conv 3x3 /2", "separable 3x3", "separable 3x3 /2"]),
        ("densenet-121", ["conv 7x7 /2, max pool 3x3 /2", "dense layer", "transition"]),
    ],
)
def test_lines_of_the_stage_table_name_their_layers(name, lines):
    assert [line.layer for line in count_stages(get(name))][: len(lines)] == lines


def test_heads_name_what_they_have():
    assert count_stages(get("mobilenetv3-large"))[-1].layer == "conv 1x1, pool, linear 1280, linear to 1000"
    assert count_stages(get("efficientnet-b0"))[-1].layer == "conv 1x1, pool, linear to 1000"
    assert count_stages(get("resnet-18"))[-1].layer == "pool, linear to 1000"
    assert any(", 2 groups" in line.layer for line in count_stages(get("fbnet-a")))


def test_a_cost_says_what_is_known():
    cost = count(get("resnet-18"))
    assert set(cost.to_dict()) == {"params", "macs", "activations", "memory"}
    assert (
        repr(cost)
        == f"Cost(params={cost.params}, macs={cost.macs}, activations={cost.activations}, memory={cost.memory})"
    )
    measured = cost.with_readings({"latency": 0.02})
    assert measured.to_dict()["latency"] == 0.02
    assert repr(measured).endswith("latency=0.02)")
