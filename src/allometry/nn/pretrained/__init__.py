"""Published weights: read in the layouts of others, with the conventions that they need."""

from allometry.nn.pretrained.conventions import Conventions
from allometry.nn.pretrained.files import RawWeights, read_weights
from allometry.nn.pretrained.loading import Pretrained, imagenet_classes, load_pretrained, save_pretrained
from allometry.nn.pretrained.published import conventions_of

__all__ = [
    "Conventions",
    "Pretrained",
    "RawWeights",
    "conventions_of",
    "imagenet_classes",
    "load_pretrained",
    "read_weights",
    "save_pretrained",
]
