"""Where in an image a network finds what speaks for a class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from allometry.base import InputError
from allometry.nn.build import ConvNet


def class_activation_map(module: nn.Module, images: Tensor, classes: Tensor | Sequence[int]) -> Tensor:
    """How much each place of the last feature map speaks for a class (positive) or against it (negative).

    Where the classifier is linear, the map is the last feature map weighted by the classifier's row of the class. Its
    mean plus the classifier's bias is then the logit of the class: the map says where the logit comes from.

    Where the head has a hidden layer (MobileNetV3), and for modules that are not `ConvNet`, the weights are the
    gradients of the logit by the feature map, summed over its places. For a linear classifier these are the same
    weights. The map is not cut at zero as in the Grad-CAM paper; whoever draws it may cut it.

    Of a module that is not a `ConvNet` the last feature map is the last output of a child with four dimensions and
    more than one place.

    Args:
        module: takes `images` and gives logits [N, classes]. It is put into evaluation mode.
        images: normalized input, float32 [N, channels, height, width], on the module's device.
        classes: the class to explain in each image, N of them.

    Returns:
        float32 [N, h, w], h and w those of the last feature map.

    Raises:
        InputError: a class that the module does not have, not one class per image, or no feature map.

    Source: Zhou et al. 2016 (class activation maps), section 2; Selvaraju et al. 2017 (Grad-CAM), section 3.

    Example:
        >>> from allometry.nn import build
        >>> from allometry.catalog import get
        >>> module = build(get("efficientnet-b0"), seed=0).eval()
        >>> image = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
        >>> map = class_activation_map(module, image, [7])
        >>> map.shape, map.dtype
        (torch.Size([1, 3, 3]), torch.float32)
        >>> logit = module(image)[0, 7] - module.classifier.bias[7]
        >>> bool(torch.isclose(map.mean(), logit, atol=1e-5))
        True
    """
    module.eval()
    wanted = torch.as_tensor(classes, dtype=torch.int64, device=images.device)
    if wanted.shape != (len(images),):
        raise InputError(f"Give one class for each of the {len(images)} images, not {wanted.numel()}.")
    if not isinstance(module, ConvNet):
        return _by_gradients(*_watched(module, images), wanted)
    with torch.no_grad():
        features = module.forward_features(images)
    if isinstance(module.hidden, nn.Identity):
        _check(wanted, module.classifier.out_features)
        rows = module.classifier.weight.detach()[wanted]
        return torch.einsum("nchw,nc->nhw", features, rows).float()
    features = features.clone().requires_grad_()
    with torch.enable_grad():
        logits = module.forward_head(features)
    return _by_gradients(features, logits, wanted)


def _by_gradients(features: Tensor, logits: Tensor, wanted: Tensor) -> Tensor:
    _check(wanted, logits.shape[1])
    # Images do not mix in evaluation mode: one backward pass of the sum gives each image its own gradient.
    chosen = logits.gather(1, wanted[:, None]).sum()
    (gradient,) = torch.autograd.grad(chosen, features)
    weights = gradient.sum((2, 3))
    return torch.einsum("nchw,nc->nhw", features.detach(), weights).float()


def _watched(module: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """The last feature map of any module, and its logits, with the gradients between them."""
    seen: list[Tensor] = []

    def keep(_part: nn.Module, _inputs: Any, output: Any) -> None:  # noqa: ANN401 - whatever a layer gives
        if isinstance(output, Tensor) and output.ndim == 4 and output.shape[2] * output.shape[3] > 1:
            seen[:] = [output]

    hooks = [part.register_forward_hook(keep) for part in module.modules() if part is not module]
    try:
        with torch.enable_grad():
            # Gradients reach the feature map even where all weights are frozen.
            logits = module(images.detach().clone().requires_grad_())
    finally:
        for hook in hooks:
            hook.remove()
    if not seen:
        raise InputError(f"A {type(module).__name__} has no feature map to look at.")
    return seen[0], logits


def _check(wanted: Tensor, classes: int) -> None:
    wrong = [number for number in wanted.tolist() if not 0 <= number < classes]
    if wrong:
        raise InputError(f"There is no class {wrong[0]}: the network has classes 0 to {classes - 1}.")
