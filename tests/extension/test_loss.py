"""A loss from outside the package: by value and by name, in everything that trains or foretells a training."""

import math
import sys
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch
import torch.nn.functional as F

import allometry
from allometry.arch import Head, MBConv, Network, Stage, Stem, save
from allometry.base import RecipeError, RunFolderError, UnknownNameError, plugins
from allometry.base.files import read_json
from allometry.catalog import mbconv_space
from allometry.cli import main
from allometry.training import (
    LOSSES,
    BinaryCrossEntropy,
    CrossEntropy,
    Loss,
    Recipe,
    Teacher,
    change,
    step_memory,
    train,
)
from allometry.training.forecast import seconds_per_image
from allometry.training.recipes.specs import as_recipe, recipe_arguments
from allometry.verbs.search import search
from allometry.verbs.supernet import train as train_supernet
from allometry.verbs.train import forecast_train
from tests.images import write_photos
from tests.training import conftest as networks
from tests.training.tasks import TASKS, is_same, weights
from tests.training.tasks import train as train_task


@dataclass(frozen=True, kw_only=True)
class Focal(Loss):
    """What is easy counts less (Lin et al. 2017, Focal loss for dense object detection, section 3.2)."""

    name: ClassVar[str] = "focal"
    gamma: float = 2.0

    def __call__(self, logits, labels):
        own = F.log_softmax(logits, 1).gather(1, labels[:, None])[:, 0]
        return -((1 - own.exp()) ** self.gamma) * own


@dataclass(frozen=True, kw_only=True)
class Counting(Focal):
    """A focal loss that counts how often each of its parts is called."""

    name: ClassVar[str] = "counting"
    calls: ClassVar[dict[str, int]] = {}

    def __call__(self, logits, labels):
        self.calls["labels"] = self.calls.get("labels", 0) + 1
        return super().__call__(logits, labels)

    def distillation(self, logits, teacher_logits, *, temperature):
        self.calls["teacher"] = self.calls.get("teacher", 0) + 1
        return super().distillation(logits, teacher_logits, temperature=temperature)

    def plain(self):
        self.calls["architecture"] = self.calls.get("architecture", 0) + 1
        return self


TINY = Network(
    stem=Stem(channels=8),
    stages=(Stage(block=MBConv(channels=8, expand_ratio=3)),),
    head=Head(channels=16, classes=3),
    resolution=32,
    name="tiny",
)


SPACE = mbconv_space(TINY, kernels=(3, 5), expand_ratios=(2, 3), name="tiny")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return str(write_photos(tmp_path_factory.mktemp("photos") / "shapes", per_class=8))


@pytest.fixture
def registered():
    with LOSSES.registered(Focal()):
        yield


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_everything_that_trains_takes_it(name, tmp_path):
    Counting.calls.clear()
    train_task(tmp_path / "own", name, recipe={"loss": Counting(gamma=1.0)})
    assert Counting.calls["labels"] >= 8
    assert ("teacher" in Counting.calls) == (name == "supernet")
    assert ("architecture" in Counting.calls) == (name in ("paths", "gumbel"))
    train_task(tmp_path / "usual", name)
    assert not is_same(weights(tmp_path / "own", name), weights(tmp_path / "usual", name))


def test_without_its_exponent_it_is_the_cross_entropy(tmp_path):
    """Supernets with a teacher, mixed images and micro-batches do with a loss from outside what they do with ours."""
    augmentation = replace(Recipe(epochs=1).augmentation, mixup=0.4, cutmix=1.0)
    execution = replace(Recipe(epochs=1).execution, micro_batch=6)
    shared = {"augmentation": augmentation, "execution": execution}
    for name in ("classification", "supernet"):
        focal = train_task(tmp_path / f"{name} 1", name, recipe={**shared, "loss": Focal(gamma=0.0)})
        usual = train_task(
            tmp_path / f"{name} 2", name, recipe={**shared, "loss": CrossEntropy(label_smoothing=0)}
        )
        for one, other in zip(focal.history, usual.history, strict=True):
            assert one.train_loss == pytest.approx(other.train_loss, rel=1e-3)


def test_a_student_learns_by_it_from_a_teacher(tmp_path):
    @dataclass(frozen=True, kw_only=True)
    class OnlyTeacher(Focal):
        """Logits as near as can be."""

        def distillation(self, logits, teacher_logits, *, temperature):
            assert temperature == 1
            return (logits - teacher_logits).square().mean(1)

    own = networks.job_in(tmp_path / "teacher")
    teacher = Teacher(train(own).module, own.preprocessing)
    recipe = replace(
        networks.RECIPE,
        loss=OnlyTeacher(),
        distillation=replace(networks.RECIPE.distillation, weight=1.0),
    )
    history = train(networks.job_in(tmp_path / "student", recipe=recipe, teacher=teacher)).history
    assert history[-1].train_loss < history[0].train_loss


def test_forecasts_are_of_it():
    @dataclass(frozen=True, kw_only=True)
    class Hungry(Loss):
        name: ClassVar[str] = "hungry"

        def __call__(self, logits, labels):
            assert labels.shape == logits.shape[:1]
            large = logits[:, :1].exp().repeat(1, 10_000_000 // len(logits))  # 40 MB
            return large.exp().mean(1)

    recipe = Recipe(epochs=1)
    more = step_memory(TINY, replace(recipe, loss=Hungry()), images=4) - step_memory(TINY, recipe, images=4)
    assert more > 40e6
    options = {"resolution": 32, "images": 2, "device": torch.device("cpu")}
    assert seconds_per_image(TINY, replace(recipe, loss=Focal()), **options) > 0


def test_a_run_trains_by_a_value_and_remembers_it(photos, tmp_path):
    def go(loss, folder="run"):
        recipe = allometry.recipes.small(epochs=1, batch_size=8, loss=loss)
        return allometry.train(TINY, data=photos, recipe=recipe, out=tmp_path / folder, progress=False)

    run = go(Focal(gamma=3.0))
    assert run.arguments["settings"] == ["epochs=1", "batch_size=8", "loss=focal", "loss.gamma=3.0"]
    recipe = read_json(run.folder / "recipe.json")
    assert (recipe["loss"], recipe["loss.gamma"]) == ("focal", 3.0)
    assert go(Focal(gamma=3.0)).result == run.result  # it is finished
    with pytest.raises(RunFolderError, match=r"loss.gamma=3.0.*, not .*loss.gamma=1.0"):
        go(Focal(gamma=1.0))
    forecast = forecast_train(TINY, data=photos, recipe=allometry.recipes.small(loss=Focal()), progress=False)
    assert forecast.memory > 0


def test_supernets_take_it_by_value_or_by_name(photos, tmp_path):
    options = {"data": photos, "budget": "400k", "progress": False, "epochs": 1}
    by_value, by_name = (Focal(gamma=1.5), "batch_size=8"), ("loss=focal", "loss.gamma=1.5", "batch_size=8")
    run = train_supernet(SPACE, out=tmp_path / "supernet", plan="at-once", settings=by_value, **options)
    assert read_json(run.folder / "recipe.json")["loss.gamma"] == 1.5
    assert run.arguments["settings"] == list(by_name)
    with pytest.raises(UnknownNameError, match=r"No loss is named .focal..*--plugin"):
        train_supernet(SPACE, out=tmp_path / "supernet", plan="at-once", settings=by_name, **options)
    with LOSSES.registered(Focal()):
        again = train_supernet(SPACE, out=tmp_path / "supernet", plan="at-once", settings=by_name, **options)
    assert again.result == run.result


def test_searches_take_it_by_value(photos, tmp_path):
    options = {"data": photos, "budget": "400k", "progress": False, "epochs": 1}
    by_value = (Focal(gamma=1.5), "batch_size=8")
    searched = search(SPACE, trials=1, out=tmp_path / "search", settings=by_value, **options)
    assert read_json(searched.folder / "recipe.json")["loss"] == "focal"
    gradient = search(SPACE, searcher="proxylessnas", out=tmp_path / "gradient", settings=by_value, **options)
    assert read_json(gradient.folder / "recipe.json")["loss"] == "focal"


PLUGIN = """
from dataclasses import dataclass
from typing import ClassVar
from allometry.training import LOSSES, Loss

@dataclass(frozen=True, kw_only=True)
class Squares(Loss):
    name: ClassVar[str] = "squares"
    scale: float = 1.0

    def __call__(self, logits, labels):
        return self.scale * (1 - logits.softmax(1).gather(1, labels[:, None])[:, 0]).square()

LOSSES.register(Squares())
"""


def test_the_command_line_takes_the_name_of_a_plugin(photos, tmp_path, monkeypatch):
    monkeypatch.setenv(plugins.VARIABLE, "")
    monkeypatch.setattr(plugins, "_loaded", set(plugins._loaded))
    monkeypatch.setattr(LOSSES, "_items", dict(LOSSES._items))
    monkeypatch.delitem(sys.modules, "squares", raising=False)
    (tmp_path / "squares.py").write_text(PLUGIN)
    network = tmp_path / "tiny.json"
    save(TINY, network)
    line = ["train", str(network), "--data", photos, "--set", "epochs=1", "--set", "loss=squares"]
    line += ["--set", "batch_size=8", "--set", "loss.scale=2", "--out", str(tmp_path / "run")]
    assert main(line) == 2
    assert main([*line, "--plugin", str(tmp_path / "squares.py")]) == 0
    assert read_json(tmp_path / "run" / "recipe.json")["loss.scale"] == 2


def test_text_changes_a_loss_and_its_fields(registered):
    recipe = Recipe(epochs=1)
    assert change(recipe, "loss.gamma=1", "loss=focal").loss == Focal(gamma=1.0)
    assert change(replace(recipe, loss=Focal()), "loss.gamma=1").loss == Focal(gamma=1.0)
    assert change(recipe, "loss.label_smoothing=0.2").loss == CrossEntropy(label_smoothing=0.2)
    assert change(recipe, "loss.class_weights=1, 2,0.5").loss.class_weights == (1.0, 2.0, 0.5)
    spec = allometry.recipes.small(loss="focal", epochs=2)
    assert spec.settings == ("loss=focal", "epochs=2")
    assert allometry.recipes.small(loss={"class_weights": (1, 2)}).settings == ("loss.class_weights=1,2",)
    spec = as_recipe(allometry.recipes.small(loss=Focal(), epochs=2), settings=["loss.gamma=4"])
    assert recipe_arguments(spec)["settings"] == ["loss=focal", "loss.gamma=2.0", "epochs=2", "loss.gamma=4"]
    assert spec.resolve(TINY, images=100).loss == Focal(gamma=4.0)
    for setting, error, message in [
        ("loss=fokal", UnknownNameError, "No loss is named 'fokal'. Did you mean 'focal'"),
        ("loss.gamma=2", UnknownNameError, "No recipe field is named 'loss.gamma'"),
        ("loss.label_smoothing=2", RecipeError, "loss.label_smoothing must be a number from 0 to 1"),
        ("loss.class_weights=even", RecipeError, "class_weights must be none, balanced, or a number"),
    ]:
        with pytest.raises(error, match=message):
            change(recipe, setting)
    with pytest.raises(RecipeError, match="loss must be a Loss"):
        Recipe(epochs=1, loss=3)


def test_class_weights_are_taken_from_the_training_images():
    logits, labels = torch.tensor([[1.0, 0.0, 0.0]] * 3), torch.tensor([0, 1, 2])
    balanced = CrossEntropy(class_weights="balanced", label_smoothing=0).fitted([4, 2, 2], images=8)
    plain = CrossEntropy(label_smoothing=0)
    assert torch.allclose(
        balanced(logits, labels), plain(logits, labels) * torch.tensor([2 / 3, 4 / 3, 4 / 3])
    )
    with pytest.raises(RecipeError, match="has 2 numbers, but there are 3 classes"):
        CrossEntropy(class_weights=(1, 2)).fitted([1, 1, 1], images=3)
    with pytest.raises(RecipeError, match="call fitted first"):
        CrossEntropy(class_weights="balanced")(logits, labels)


def test_the_binary_cross_entropy_is_the_mean_over_the_classes():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(5, 4, generator=generator).double()
    several = (torch.rand(5, 4, generator=generator) < 0.5).double()
    probabilities = logits.sigmoid()
    expected = -(several * probabilities.log() + (1 - several) * (1 - probabilities).log()).mean(1)
    assert torch.allclose(BinaryCrossEntropy()(logits, several), expected)
    one = torch.tensor([0, 1, 2, 3, 0])
    assert torch.equal(
        BinaryCrossEntropy()(logits, one), BinaryCrossEntropy()(logits, F.one_hot(one, 4).double())
    )
    smooth = BinaryCrossEntropy(label_smoothing=0.2)(logits, several)
    assert torch.allclose(smooth, 0.8 * expected + 0.2 * BinaryCrossEntropy()(logits, several * 0 + 0.5))
    teacher = torch.randn(5, 4, generator=generator).double()
    for temperature in (1.0, 2.0):
        p, q = (teacher / temperature).sigmoid(), (logits / temperature).sigmoid()
        divergence = p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()
        found = BinaryCrossEntropy().distillation(logits, teacher, temperature=temperature)
        assert torch.allclose(found, temperature**2 * divergence.mean(1))
    assert math.isclose(
        BinaryCrossEntropy(class_weights="balanced").fitted([1, 2, 2, 2], images=4).class_weights[0], 3.0
    )
