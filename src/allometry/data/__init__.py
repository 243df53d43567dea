"""Images to batches: icons, folders, manifests, shards or arrays, checked, split, varied and batched."""

from allometry.data.augment.augmentation import Augmentation, Policy
from allometry.data.augment.geometry import center_view, side_to_keep
from allometry.data.augment.variation import augment
from allometry.data.dataset import ArraySplit, Dataset, Rejected, Split, group_numbers, with_levels
from allometry.data.images.reading import read_image
from allometry.data.images.values import NamedImage, as_images, image_pixels
from allometry.data.loader import Batch, batches_per_epoch, train_batches, view_batches
from allometry.data.sources.arrays import open_arrays
from allometry.data.sources.grouping import Group
from allometry.data.sources.listing import image_files
from allometry.data.sources.naming import without_group
from allometry.data.sources.opening import open_data
from allometry.data.sources.values import (
    Data,
    NamedSplit,
    as_dataset,
    as_split,
    as_trained_or_split,
    data_argument,
    data_name,
    is_value,
    settle_data,
)
from allometry.data.subset import file_bytes, part_of
from allometry.data.summary import (
    Normalization,
    Summary,
    is_line_art,
    normalization,
    summarize,
    tell_oddities,
)

__all__ = [
    "ArraySplit",
    "Augmentation",
    "Batch",
    "Data",
    "Dataset",
    "Group",
    "NamedImage",
    "NamedSplit",
    "Normalization",
    "Policy",
    "Rejected",
    "Split",
    "Summary",
    "as_dataset",
    "as_images",
    "as_split",
    "as_trained_or_split",
    "augment",
    "batches_per_epoch",
    "center_view",
    "data_argument",
    "data_name",
    "file_bytes",
    "group_numbers",
    "image_files",
    "image_pixels",
    "is_line_art",
    "is_value",
    "normalization",
    "open_arrays",
    "open_data",
    "part_of",
    "read_image",
    "settle_data",
    "side_to_keep",
    "summarize",
    "tell_oddities",
    "train_batches",
    "view_batches",
    "with_levels",
    "without_group",
]
