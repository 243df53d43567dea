"""A subnet by itself: taken out of the supernet, with statistics of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor, nn

from allometry.arch import Network
from allometry.arch.any_space import AnyMember
from allometry.data import Split, part_of, view_batches
from allometry.nn import ConvNet
from allometry.supernets.elastic import Supernet
from allometry.supernets.elastic_net import ElasticNet
from allometry.supernets.subnet_parts import Subnet
from allometry.training import Preprocessing, recalibrate_batch_norm, to_input

ESTIMATED = 1024  # images, as after an epoch of a training
_BATCH = 64


@overload
def extract_subnet(
    supernet: Supernet,
    member: Subnet | Network,
    split: Split,
    *,
    preprocessing: Preprocessing,
    seed: int = 0,
    images: int = ESTIMATED,
) -> ConvNet: ...
@overload
def extract_subnet(
    supernet: ElasticNet,
    member: Any,  # noqa: ANN401 - as it takes them
    split: Split,
    *,
    preprocessing: Preprocessing,
    seed: int = 0,
    images: int = ESTIMATED,
) -> nn.Module: ...
def extract_subnet(
    supernet: ElasticNet,
    member: Any,
    split: Split,
    *,
    preprocessing: Preprocessing,
    seed: int = 0,
    images: int = ESTIMATED,
) -> nn.Module:
    """The module of a member with its weights and batch-norm statistics of its own, in evaluation mode.

    Of a supernet that was trained with frozen statistics it keeps the parts of those.

    Args:
        supernet: to take it from; stays as it is.
        member: of its space.
        split: training images, from which the statistics come, as they are seen in evaluation.
        preprocessing: of the largest network; the member's own resolution replaces its.
        seed: of which images.
        images: how many.

    Raises:
        NetworkError: it is no member.

    Source: Once-for-All (Cai et al. 2020), released code: 2,000 training images.

    Example, with a small `network`, a `dataset` and its `preprocessing`:
        >>> from allometry.catalog import mbconv_space
        >>> from allometry.supernets import build_supernet
        >>> space = mbconv_space(network, kernels=(3, 5))
        >>> supernet, images = build_supernet(space, seed=0), dataset.splits["train"]
        >>> module = extract_subnet(supernet, space.smallest(), images, preprocessing=preprocessing)
        >>> module.training, module(torch.zeros(1, 3, 8, 8)).shape
        (False, torch.Size([1, 2]))
    """
    network = member if isinstance(member, AnyMember) else member.network
    module = supernet.extract(member)
    if supernet.options.frozen_statistics:
        return module.eval()
    device = next(module.parameters()).device
    own = preprocessing_of(network, preprocessing)
    recalibrate_batch_norm(module, _inputs(split, own, device, seed=seed, images=images))
    return module


def preprocessing_of(network: AnyMember, preprocessing: Preprocessing) -> Preprocessing:
    """How images become the input of a member, from how they become that of the largest network.

    Example, with a small `network` and the `preprocessing` of its images:
        >>> from dataclasses import replace
        >>> preprocessing_of(replace(network, resolution=6), preprocessing).resolution
        6
    """
    return replace(preprocessing, resolution=network.resolution)


def _inputs(
    split: Split, preprocessing: Preprocessing, device: torch.device, *, seed: int, images: int
) -> Iterator[Tensor]:
    chosen = np.sort(np.random.default_rng([seed, 4]).permutation(len(split))[:images])
    for batch in view_batches(
        part_of(split, chosen),
        resolution=preprocessing.resolution,
        batch_size=_BATCH,
        crop=preprocessing.crop,
    ):
        yield to_input(batch.images, preprocessing, device)
