import pytest

from allometry.base import BudgetError, InputError
from allometry.catalog import get
from allometry.cost import count, parse_budget
from allometry.data import open_data
from allometry.nas.growth_plan import make_plan
from allometry.scaling import smallest
from allometry.scaling.strides import adapt
from allometry.training.devices import resolve_device
from tests.images import shapes_dataset

B0 = get("efficientnet-b0")


@pytest.fixture(scope="module")
def icons():
    return open_data("icons")


def test_the_default_plan(icons):
    plan = make_plan(B0, icons, parse_budget("10M"))
    assert plan.baseline.cost.macs <= 2_500_000
    assert plan.baseline.use > 0.98
    assert plan.baseline.network.head.classes == 88
    assert plan.baseline.network.in_channels == 1
    assert plan.largest_resolution == 96
    assert len(plan.points) >= 4
    assert all(point.cost.macs <= 2 * plan.baseline.cost.macs for point in plan.points)
    assert all(point.network.resolution <= 96 for point in plan.points)
    assert plan.expected.cost.macs <= 10_000_000


def test_small_images_are_not_crushed():
    for size in (8, 16, 28, 32, 64, 96, 224):
        network = adapt(B0, classes=10, channels=3, image_size=size)
        assert -(-size // network.total_stride) >= 4 or network.total_stride == 1
        assert network.resolution == 224


@pytest.mark.parametrize("budget", ["300k", "1M", "40M", "params<=200k", "memory<=1MB", "activations<=200k"])
def test_plans_for_other_data_and_measures(budget):
    plan = make_plan(B0, shapes_dataset(size=24), parse_budget(budget))
    assert plan.budget.allows(plan.expected.cost)
    assert plan.budget.allows(plan.baseline.cost)
    assert plan.expected.network.resolution <= 24
    assert plan.points


def test_a_budget_of_a_thousand_names_the_smallest_value(icons):
    with pytest.raises(BudgetError, match="the smallest has macs"):
        make_plan(B0, icons, parse_budget("1k"))


def test_a_budget_whose_quarter_is_too_small_says_that(icons):
    least = count(smallest(make_plan(B0, icons, parse_budget("10M")).origin)).macs
    with pytest.raises(BudgetError, match=f"The baseline takes a quarter of the budget.*{least:,}"):
        make_plan(B0, icons, parse_budget(f"{2 * least}"))


@pytest.mark.parametrize(
    ("name", "says"), [("gpu0", "No device"), ("cuda:99", "CUDA devices"), ("meta", "not on")]
)
def test_devices_that_are_not_there(name, says):
    with pytest.raises(InputError, match=says):
        resolve_device(name)
