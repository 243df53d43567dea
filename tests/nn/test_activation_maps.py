from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from allometry.arch import Head, MBConv, Network, Stage, Stem
from allometry.base import InputError
from allometry.catalog import get
from allometry.nn import build, class_activation_map

TINY = Network(
    stem=Stem(channels=8),
    stages=(Stage(block=MBConv(channels=12, stride=2, expand_ratio=2), repeats=2),),
    head=Head(channels=24, classes=6, dropout=0.3),
    resolution=32,
)


def images(number, side=32, channels=3, seed=0):
    return torch.randn(number, channels, side, side, generator=torch.Generator().manual_seed(seed))


def gradients(module, x, classes):
    """Grad-CAM with a hook on the module and nothing else of it known but its `features`."""
    maps = []
    for image, number in zip(x, classes, strict=True):
        features = module.forward_features(image[None]).detach().requires_grad_()
        pooled = module.hidden(features.mean((2, 3)))
        module.classifier(pooled)[0, number].backward()
        maps.append((features.grad.sum((2, 3), keepdim=True) * features).sum(1)[0].detach())
    return torch.stack(maps)


@given(
    st.integers(0, 1000), st.sampled_from([24, 32, 41]), st.lists(st.integers(0, 5), min_size=1, max_size=4)
)
@settings(max_examples=15, deadline=None)
def test_the_map_adds_up_to_the_score(seed, side, classes):
    module = build(TINY, seed=seed).eval()
    x = images(len(classes), side, seed=seed)
    found = class_activation_map(module, x, classes)
    with torch.no_grad():
        logits = module(x)
    for place, number in enumerate(classes):
        expected = logits[place, number] - module.classifier.bias[number]
        torch.testing.assert_close(found[place].mean(), expected.detach(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "name", ["efficientnet-b0", "mobilenetv2", "resnet-18", "densenet-121", "nasnet-a-mobile"]
)
def test_for_a_linear_classifier_gradients_give_the_same_map(name):
    module = build(get(name), seed=1).eval()
    x, classes = images(2, 96), [3, 500]
    found = class_activation_map(module, x, classes)
    expected = gradients(module, x, classes)
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, atol=1e-5 * float(expected.abs().max()), rtol=1e-3)


def test_with_a_hidden_layer_the_gradients_count():
    module = build(get("mobilenetv3-small"), seed=1).eval()
    x, classes = images(3, 96), [3, 500, 999]
    found = class_activation_map(module, x, classes)
    torch.testing.assert_close(found, gradients(module, x, classes), atol=1e-6, rtol=1e-4)


def test_it_finds_what_decides():
    """A network that knows one color looks at the corner that has it."""

    class Reddest(nn.Module):
        def __init__(self):
            super().__init__()
            self.eyes = nn.Conv2d(3, 2, 4, stride=4, bias=False)
            self.answer = nn.Linear(2, 2, bias=False)
            with torch.no_grad():
                self.eyes.weight.zero_()
                self.eyes.weight[0, 0] = 1 / 16
                self.eyes.weight[1, 2] = 1 / 16
                self.answer.weight.copy_(torch.eye(2))

        def forward(self, x):
            return self.answer(self.eyes(x).mean((2, 3)))

    picture = torch.zeros(1, 3, 16, 16)
    picture[0, 0, :4, 12:] = 1  # red, top right
    picture[0, 2, 8:12, :4] = 1  # blue, left
    red = class_activation_map(Reddest(), picture, [0])[0]
    blue = class_activation_map(Reddest(), picture, [1])[0]
    # The gradient of a mean over 16 places, summed over them, is the classifier's weight.
    assert torch.equal((red > 0.99).nonzero(), torch.tensor([[0, 3]]))
    assert torch.equal((blue > 0.99).nonzero(), torch.tensor([[2, 0]]))
    assert red.sum().item() == pytest.approx(1)


def test_any_module_gives_the_map_of_its_last_feature_map():
    module = build(TINY, seed=4).eval()

    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Sequential(module.stem, module.pool, module.stages, module.head)
            self.rest = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), module.classifier)

        def forward(self, x):
            return self.rest(self.inner(x))

    wrapped, x = Wrapped(), images(2)
    for parameter in wrapped.parameters():
        parameter.requires_grad_(requires_grad=False)
    expected = class_activation_map(module, x, [1, 5])
    found = class_activation_map(wrapped, x, [1, 5])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert not any(part._forward_hooks for part in wrapped.modules())


def test_it_leaves_the_input_and_the_weights_alone():
    module = build(TINY, seed=0)
    x = images(2)
    before = x.clone()
    weights = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    found = class_activation_map(module, x, torch.tensor([0, 1]))
    assert not found.requires_grad
    assert torch.equal(x, before)
    assert all(torch.equal(weights[name], tensor) for name, tensor in module.state_dict().items())
    assert all(parameter.grad is None for parameter in module.parameters())
    assert not module.training


@pytest.mark.parametrize("hidden", [None, 16])
def test_classes_that_are_not_there_are_refused(hidden):
    module = build(replace(TINY, head=replace(TINY.head, hidden=hidden)), seed=0)
    for wrong in ([6], [-1]):
        with pytest.raises(InputError, match="classes 0 to 5"):
            class_activation_map(module, images(1), wrong)
    with pytest.raises(InputError, match="one class for each of the 1 images, not 2"):
        class_activation_map(module, images(1), [0, 1])


def test_a_module_without_feature_map_is_refused():
    with pytest.raises(InputError, match="no feature map"):
        class_activation_map(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), images(1, 2), [0])
