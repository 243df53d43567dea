"""Any module made larger or smaller: what it computes stays, and what cannot be scaled is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

import allometry
from allometry.arch import apply_multipliers
from allometry.base import BudgetError, InputError
from allometry.catalog import get
from allometry.cost import count
from allometry.nn import build
from allometry.nn.foreign import ModulePlan, apply_plan, cost_of_module, scale_module, solve_module
from allometry.nn.foreign.oracle import ChangedError, outputs_gap, same_outputs
from allometry.nn.growing import GrowthMethod


class Residual(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, given: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.one = nn.Sequential(
            nn.Conv2d(given, channels, 3, stride, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
        )
        self.two = nn.Sequential(nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels))
        self.shortcut = (
            nn.Identity() if given == channels and stride == 1 else nn.Conv2d(given, channels, 1, stride)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.two(self.one(x)) + self.shortcut(x))


def residual_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        nn.Sequential(Residual(16, 16), Residual(16, 16)),
        nn.Sequential(Residual(16, 32, 2), Residual(32, 32)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 5),
    )


IMAGES = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def randomized(module: nn.Module) -> nn.Module:
    """With statistics and scales of batch norms that show whether they were kept."""
    generator = torch.Generator().manual_seed(2)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1, generator=generator)
            part.running_var.uniform_(0.5, 1.5, generator=generator)
            part.weight.data.uniform_(0.5, 1.5, generator=generator)
            part.bias.data.normal_(0, 0.1, generator=generator)
    return module.eval()


@pytest.mark.parametrize(("depth", "width"), [(1, 1.5), (2, 1), (1.5, 1.25)])
def test_what_is_larger_computes_the_same_and_can_learn(depth: float, width: float) -> None:
    module = randomized(residual_network())
    scaled = scale_module(module, IMAGES, depth=depth, width=width)
    with torch.no_grad():
        before, after = module(IMAGES), scaled.module.eval()(IMAGES)
    assert (before - after).abs().max() <= 1e-5 * before.abs().max()
    assert scaled.difference is not None
    assert scaled.params > cost_of_module(module, IMAGES).params
    scaled.module.train()(IMAGES).sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in scaled.module.parameters())


def test_depth_and_width_are_those_of_the_papers_rounding() -> None:
    scaled = scale_module(residual_network(), IMAGES, depth=1.5, width=1.3)
    assert [len(stage) for stage in (scaled.module[1], scaled.module[2])] == [3, 3]
    assert scaled.module[0].out_channels == 24
    assert scaled.module[2][0].two[0].out_channels == 40
    assert scaled.module[5].out_features == 5


def test_what_is_smaller_runs_and_grows_back() -> None:
    module = residual_network()
    scaled = scale_module(module, IMAGES, depth=0.5, width=0.5)
    assert scaled.module(IMAGES).shape == (2, 5)
    assert [len(scaled.module[1]), len(scaled.module[2])] == [1, 1]
    kept = scaled.module[0].weight
    assert torch.equal(kept, module[0].weight[: len(kept)])


def test_the_module_is_left_as_it_was() -> None:
    module = residual_network().train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    scale_module(module, IMAGES, depth=2, width=2)
    assert module.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    assert type(module[0].in_channels) is int


def test_a_saved_plan_makes_the_same_module_of_its_factory() -> None:
    scaled = scale_module(residual_network(), IMAGES, depth=2, width=1.5)
    plan = ModulePlan.from_dict(json.loads(json.dumps(scaled.plan.to_dict())))
    again = apply_plan(residual_network(), plan)
    again.load_state_dict(scaled.module.state_dict())
    again.eval(), scaled.module.eval()
    assert torch.equal(again(IMAGES), scaled.module(IMAGES))
    with pytest.raises(InputError, match="another module"):
        apply_plan(nn.Linear(2, 2), plan)


@pytest.mark.parametrize("budget", ["2x", "0.5x", "params<=2x"])
def test_a_budget_is_kept_and_used(budget: str) -> None:
    module = residual_network()
    before, scaled = cost_of_module(module, IMAGES), solve_module(module, IMAGES, budget=budget)
    after = cost_of_module(scaled.module, IMAGES)
    factor = 0.5 if "0.5" in budget else 2
    measure = "params" if "params" in budget else "macs"
    assert 0.95 * factor * before[measure] <= after[measure] <= factor * before[measure]


def test_a_budget_of_what_is_not_counted_is_refused() -> None:
    with pytest.raises(BudgetError, match="latency is not counted"):
        solve_module(residual_network(), IMAGES, budget="latency<=1ms")


@pytest.mark.parametrize(("depth", "width"), [(1.5, 1), (1, 1.25)])
@pytest.mark.parametrize("name", ["mobilenetv2"])
def test_scaling_the_module_is_scaling_the_data(name: str, depth: float, width: float) -> None:
    network = replace(get(name), resolution=32)
    # Of a stage of one block there is no second one to make a third of.
    stages = tuple(stage for stage in network.stages if stage.repeats > 1)
    network = apply_multipliers(replace(network, stages=stages), depth=0.5, width=0.5)
    network = replace(
        network, stages=tuple(replace(stage, repeats=max(2, stage.repeats)) for stage in network.stages)
    )
    scaled = scale_module(build(network, seed=0), torch.randn(1, 3, 32, 32), depth=depth, width=width)
    grown = apply_multipliers(network, depth=depth, width=width)
    assert scaled.params == count(grown).params


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": 2}, "give an example_input"),
        ({"example_input": IMAGES}, "Give one of phi, budget, or multipliers"),
        ({"example_input": IMAGES, "width": 2, "budget": "2x"}, "Give one of phi"),
        ({"example_input": IMAGES, "width": 2, "lite": True}, "lite is for networks that are data"),
        ({"example_input": IMAGES, "width": -1}, "must be a positive number"),
        ({"example_input": IMAGES[:, :2], "width": 2}, "does not run on inputs of 2 x 2 x 16 x 16"),
        ({"example_input": 3, "depth": 2}, "does not run on inputs of no tensor"),
        ({"example_input": IMAGES, "width": 1.01}, "too near to 1"),
    ],
)
def test_what_cannot_be_is_one_sentence(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        allometry.scale(residual_network(), **arguments)


class Neighbors(nn.Module):
    """Its wide layer is normalized over neighboring channels, which keeps them as many."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.norm, self.narrow = nn.Conv2d(3, 32, 3), nn.LocalResponseNorm(3), nn.Conv2d(32, 4, 3)
        self.head = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.narrow(self.norm(self.wide(x)).relu()).mean((2, 3)))


def test_a_budget_that_cannot_be_met_says_what_is_in_the_way() -> None:
    with pytest.raises(
        BudgetError, match=r"the least that was found has .* MACs .*; wide.weight stays: .*channels"
    ):
        solve_module(Neighbors(), IMAGES, budget="0.3x")


def test_scale_gives_a_module_of_the_same_classes() -> None:
    module = residual_network()
    larger = allometry.scale(module, example_input=IMAGES, budget="3x", method="pairs")
    assert [type(part) for part in larger[1][0].modules()] == [type(part) for part in module[1][0].modules()]


def normed_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        nn.GroupNorm(1, 16),
        nn.ReLU(),
        nn.Conv2d(16, 8, 1),
        nn.Flatten(),
        nn.Linear(2048, 5),
    )


def test_copies_compute_the_same() -> None:
    module = randomized(residual_network())
    scaled = scale_module(module, IMAGES, width=1.75, method="copies")
    assert scaled.difference is not None
    assert scaled.difference < 1e-5
    assert torch.equal(scaled.module[0].weight[16], module[0].weight[0])
    read = scaled.module[1][0].one[0].weight
    assert torch.allclose(read[:16, 0] + read[:16, 16], module[1][0].one[0].weight[:, 0], atol=1e-6)
    assert not torch.allclose(read[:, 0], read[:, 16], rtol=1e-3)  # so they learn different things


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("width", [1.5, 1.2])
def test_pairs_cancel_each_other_and_the_last_alone_is_not_read(width: float, groups: int) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3, groups=groups),
        nn.Flatten(),
        nn.Linear(16 * 14 * 14, 5),
    )
    scaled = scale_module(randomized(module), IMAGES, width=width, channel_multiple=1, method="pairs")
    assert scaled.difference is not None
    assert scaled.difference < 1e-5
    given, read = scaled.module[0].weight, scaled.module[3].weight
    old, new = 16 // groups, len(given) // groups
    assert new > old
    assert torch.equal(given[old + 1], given[old])
    assert torch.equal(read[:old, old + 1], -read[:old, old])
    assert read[:old, old].abs().min() > 0
    if (new - old) % 2:
        assert not read[:old, -1].any()
    with torch.no_grad():
        gap = (module(-IMAGES) - scaled.module(-IMAGES)).abs().max()
    assert gap < 1e-5


@pytest.mark.parametrize("method", ["copies", "pairs"])
def test_norms_of_weights_are_refused_where_the_method_changes_them(method: GrowthMethod) -> None:
    layer = nn.utils.parametrizations.weight_norm(nn.Conv2d(16, 16, 1))
    module = nn.Sequential(nn.Conv2d(3, 16, 3), layer, nn.Flatten(), nn.Linear(16 * 14 * 14, 5))
    with pytest.raises(InputError, match=f"the method '{method}' bears.*take 'new'"):
        scale_module(module, IMAGES, width=2, method=method)


def test_a_statistic_over_channels_keeps_them_but_for_whole_multiples_of_copies() -> None:
    stays = scale_module(normed_network(), IMAGES, width=2)
    assert [change.name for change in stays.plan.groups] == ["3.weight"]
    assert any("a statistic is taken over them" in kept.reason for kept in stays.plan.kept)
    doubled = scale_module(normed_network(), IMAGES, width=2, method="copies")
    assert doubled.module[0].out_channels == 32
    assert doubled.difference is not None
    assert doubled.difference < 1e-5


def test_groups_of_a_norm_are_added() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.GroupNorm(4, 16), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 14 * 14, 5)
    )
    scaled = scale_module(module, IMAGES, width=1.5)
    assert (scaled.module[1].num_groups, scaled.module[1].num_channels) == (6, 24)
    assert scaled.difference is not None
    assert scaled.difference < 1e-5
    assert scale_module(module, IMAGES, width=0.5).module[1].num_groups == 2


class Attention(nn.Module):
    """Queries, keys and values of one layer, whose products PyTorch divides by the root of a head's width."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads, self.qkv, self.proj = (
            heads,
            nn.Linear(channels, 3 * channels),
            nn.Linear(channels, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        x = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.proj(x.transpose(1, 2).reshape(b, n, c))


class Transformer(nn.Module):
    """Norms before every branch, and nothing else that reads the stream: as in vision transformers."""

    def __init__(self, channels: int = 16) -> None:
        super().__init__()
        self.patches, self.norm1, self.norm2 = (
            nn.Conv2d(3, channels, 4, 4),
            *map(nn.LayerNorm, (channels,) * 2),
        )
        self.position = nn.Parameter(0.02 * torch.randn(1, 16, channels))
        self.attention, self.last = Attention(channels, 2), nn.LayerNorm(channels)
        self.mlp = nn.Sequential(nn.Linear(channels, 32), nn.GELU(), nn.Linear(32, channels))
        self.head = nn.Linear(channels, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2) + self.position
        x = x + self.attention(self.norm1(x))
        x = x + self.mlp(self.norm2(x))
        return self.head(self.last(x).mean(1))


@pytest.mark.parametrize("method", ["new", "pairs"])
@pytest.mark.parametrize("width", [1.5, 0.5])
def test_a_stream_under_layer_norms_grows_by_any_width(width: float, method: GrowthMethod) -> None:
    torch.manual_seed(0)
    module = Transformer().eval()
    scaled = scale_module(module, IMAGES, width=width, method=method)
    changed = {change.name: change.after for change in scaled.plan.groups}
    assert changed == {
        "patches.weight": 16 * width,
        "attention.qkv.weight": 8 * width,
        "mlp.0.weight": 32 * width,
    }
    again = apply_plan(Transformer(), ModulePlan.from_dict(json.loads(json.dumps(scaled.plan.to_dict()))))
    again.load_state_dict(scaled.module.state_dict())
    assert torch.equal(again.eval()(IMAGES), scaled.module.eval()(IMAGES))
    if width > 1:
        assert (module(-3 * IMAGES) - scaled.module(-3 * IMAGES)).abs().max() < 1e-5
        assert again.norm1.eps == pytest.approx(1e-5 / width)
        scaled.module(IMAGES).square().mean().backward()
        # New channels are zeros that something reads, or are read by nothing yet: either learns.
        assert scaled.module.patches.weight.grad[16:].any()
        assert scaled.module.mlp[2].weight.grad[:, 32:].any()


def test_a_stream_that_something_else_reads_stays() -> None:
    class Depthwise(Transformer):
        def __init__(self) -> None:
            super().__init__()
            self.around = nn.Conv1d(16, 16, 3, padding=1, groups=16)

        def forward(self, x: Tensor) -> Tensor:
            x = self.patches(x).flatten(2) + self.position.transpose(1, 2)
            x = self.norm1((x + self.around(x)).transpose(1, 2))
            return self.head((x + self.mlp(x)).mean(1))

    torch.manual_seed(0)
    scaled = scale_module(Depthwise(), IMAGES, width=1.5)
    assert [change.name for change in scaled.plan.groups] == ["mlp.0.weight"]
    assert any("a statistic is taken over them" in kept.reason for kept in scaled.plan.kept)


def test_an_unknown_method_is_named() -> None:
    with pytest.raises(InputError, match="copys"):
        scale_module(residual_network(), IMAGES, width=2, method="copys")


class Encoder(nn.Module):
    """Two residual branches, as in a transformer."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Sequential(nn.LayerNorm(channels), nn.Linear(channels, channels), nn.GELU())
        self.mlp = nn.Sequential(
            nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.mix(x)
        return x + self.mlp(x)


def test_a_block_of_two_branches_begins_as_the_identity_with_as_few_zeros_as_that_needs() -> None:
    torch.manual_seed(0)
    blocks = nn.Sequential(Encoder(8), Encoder(8))
    module = nn.Sequential(nn.Flatten(2), nn.Linear(256, 8), blocks, nn.Flatten(), nn.Linear(24, 5))
    scaled = scale_module(module, IMAGES, depth=2)
    assert scaled.difference is not None
    assert scaled.difference < 1e-6
    added = scaled.module[2][3]
    assert added.mlp[0].weight.any()
    assert not added.mlp[2].weight.any()
    assert not torch.equal(added.mlp[0].weight, scaled.module[2][2].mlp[0].weight)


class Silent(nn.Module):
    """Its last layer is zero, as many networks begin: whatever lies before it, the outputs are the same."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, padding=1)
        self.mixed = nn.Conv2d(16, 16, 1)
        self.last = nn.Linear(16, 5)
        nn.init.zeros_(self.last.weight)

    def forward(self, x: Tensor) -> Tensor:
        x = self.mixed(self.conv(x))
        order = torch.sigmoid(x.mean((2, 3)) - x.sum(1).mean((1, 2)).unsqueeze(1) * 0.1)
        return self.last(order * x.amax((2, 3)))


def test_zeros_and_constant_images_hide_nothing() -> None:
    images = torch.zeros(1, 3, 8, 8)
    scaled = scale_module(Silent(), images, width=1.5)
    changed = {change.name for change in scaled.plan.groups}
    assert changed == {"conv.weight"}  # the sum over channels of the other layer would be another one
    assert not scaled.module.last.weight.any()


@pytest.mark.parametrize(("depth", "width"), [(0.5, 1.5), (2, 0.75)])
def test_one_dimension_may_grow_while_the_other_shrinks(depth: float, width: float) -> None:
    scaled = scale_module(randomized(residual_network()), IMAGES, depth=depth, width=width)
    assert len(scaled.module[1]) == 2 * depth
    assert scaled.module[2][0].two[0].out_channels == 32 * width
    assert scaled.difference is None


class Canceling(nn.Module):
    """Adds a number and takes it away: exactly in one order, and with rounding in the other."""

    def __init__(self, *, rounding: bool, added: float = 0.0) -> None:
        super().__init__()
        self.rounding, self.added, self.large = rounding, added, nn.Parameter(torch.tensor(1e5))

    def forward(self, x: Tensor) -> Tensor:
        x = (x + self.large) - self.large if self.rounding else x + (self.large - self.large)
        return x + self.added


def test_rounding_is_told_from_another_function_in_double_precision() -> None:
    exact, rounded = Canceling(rounding=False), Canceling(rounding=True)
    assert 1e-4 < same_outputs(exact, rounded, (IMAGES,)) < 1e-2
    with pytest.raises(ChangedError, match="would compute something else"):
        same_outputs(exact, Canceling(rounding=False, added=0.01), (IMAGES,))
    with pytest.raises(ChangedError, match="differ by inf"):
        same_outputs(exact, Canceling(rounding=False, added=torch.inf), (IMAGES,))


def test_all_outputs_are_compared_complex_ones_too() -> None:
    one = (torch.ones(2), torch.ones(2, dtype=torch.cfloat))
    assert outputs_gap(one, (torch.ones(2), torch.tensor([1.0 + 0j, 1.0 + 0.5j]))) == 0.5
    assert outputs_gap(one, one[:1]) == torch.inf


class GivesNothing(nn.Module):
    def __init__(self):
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(4))

    def forward(self, x):
        del x


@pytest.mark.parametrize("options", [{"width": 1.25}, {"budget": "2x"}])
def test_a_module_that_gives_no_tensor_is_told_so(options):
    with pytest.raises(InputError, match="gives NoneType, in which there is no tensor"):
        allometry.scale(GivesNothing(), example_input=IMAGES, **options)
