"""Images to batches: icons, folders, manifests, shards or arrays, checked, split, varied and batched."""

from allometry.data.augment.augmentation import Augmentation, Policy
from allometry.data.augment.geometry import center_view
from allometry.data.augment.variation import augment
from allometry.data.batches import batches_per_epoch, train_batches, view_batches
from allometry.data.dataset import ArraySplit, Dataset, Rejected, Split
from allometry.data.images.reading import read_image
from allometry.data.loader import Batch
from allometry.data.sources.arrays import open_arrays
from allometry.data.sources.opening import open_data
from allometry.data.subset import part_of
from allometry.data.summary import Normalization, Summary, fingerprint, is_line_art, normalization, summarize

__all__ = [
    "ArraySplit",
    "Augmentation",
    "Batch",
    "Dataset",
    "Normalization",
    "Policy",
    "Rejected",
    "Split",
    "Summary",
    "augment",
    "batches_per_epoch",
    "center_view",
    "fingerprint",
    "is_line_art",
    "normalization",
    "open_arrays",
    "open_data",
    "part_of",
    "read_image",
    "summarize",
    "train_batches",
    "view_batches",
]
