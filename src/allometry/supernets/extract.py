"""A subnet by itself: taken out of the supernet, with statistics of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from allometry.arch import Network
from allometry.data import Split, part_of, view_batches
from allometry.nn import ConvNet
from allometry.supernets.elastic import Subnet, Supernet
from allometry.training import Preprocessing, recalibrate_batch_norm, to_input

ESTIMATED = 1024  # images, as after an epoch of a training
_BATCH = 64


def extract_subnet(
    supernet: Supernet,
    member: Subnet | Network,
    split: Split,
    *,
    preprocessing: Preprocessing,
    seed: int = 0,
    images: int = ESTIMATED,
) -> ConvNet:
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

    Example:
        >>> from allometry.arch import Head, MBConv, Network, Stage, Stem
        >>> from allometry.catalog import mbconv_space
        >>> from allometry.data import ArraySplit
        >>> from allometry.supernets import build_supernet
        >>> network = Network(
        ...     stem=Stem(channels=8),
        ...     stages=(Stage(block=MBConv(channels=8, expand_ratio=3)),),
        ...     head=Head(channels=8, classes=2),
        ...     resolution=16,
        ... )
        >>> space = mbconv_space(network, kernels=(3, 5))
        >>> images = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), np.uint8)
        >>> split = ArraySplit(images=images, labels=np.arange(4) % 2, names=tuple("abcd"))
        >>> plain = Preprocessing(
        ...     channels=3, resolution=16, crop=1.0, mean=(0.5,) * 3, std=(0.25,) * 3, classes=("cat", "dog")
        ... )
        >>> supernet = build_supernet(space, seed=0)
        >>> module = extract_subnet(supernet, space.smallest(), split, preprocessing=plain)
        >>> module.training, module(torch.zeros(1, 3, 16, 16)).shape
        (False, torch.Size([1, 2]))
    """
    network = member if isinstance(member, Network) else member.network
    module = supernet.extract(member)
    if supernet.options.frozen_statistics:
        return module.eval()
    device = next(module.parameters()).device
    own = preprocessing_of(network, preprocessing)
    recalibrate_batch_norm(module, _inputs(split, own, device, seed=seed, images=images))
    return module


def preprocessing_of(network: Network, preprocessing: Preprocessing) -> Preprocessing:
    """How images become the input of a member, from how they become that of the largest network.

    Example:
        >>> from dataclasses import replace
        >>> from allometry.catalog import get
        >>> largest = Preprocessing(
        ...     channels=3, resolution=224, crop=1.0, mean=(0.5,) * 3, std=(0.25,) * 3, classes=("cat", "dog")
        ... )
        >>> preprocessing_of(replace(get("efficientnet-b0"), resolution=160), largest).resolution
        160
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
