"""Modules that a user might name, some of them unwell."""

import os
import sys

import torch
from torch import nn


class _Dying(nn.Module):
    def forward(self, images):
        sys.stderr.write("the kernel went away\n")
        sys.stderr.flush()
        os._exit(7)
        return images


class _Chatty(nn.Module):
    def forward(self, images):
        sys.stdout.write("hello from a library\n")
        return images.mean((2, 3))


def dying() -> nn.Module:
    return _Dying()


def chatty() -> nn.Module:
    return _Chatty()


def picky() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 2))


def plain() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten())
