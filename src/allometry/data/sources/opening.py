"""The door to the data: a name, a folder, a file or a pattern in, a data set out."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from difflib import get_close_matches
from functools import partial
from importlib.resources import files
from pathlib import Path

import numpy as np

from allometry.base import DataError, Progress, SilentProgress
from allometry.base.checks import check_seed
from allometry.base.machine import memory, user_cache
from allometry.base.reading import exists, is_file
from allometry.data.dataset import SPLITS, ArraySplit, Dataset
from allometry.data.images.cache import image_memory
from allometry.data.sources.array_files import NEEDED, find_in_npy_folder, find_in_npz
from allometry.data.sources.assembling import Found
from allometry.data.sources.downloads import SCHEMES, fetch_shards
from allometry.data.sources.folder import MANIFESTS, find_in_folder
from allometry.data.sources.grouping import Group, as_grouping
from allometry.data.sources.listing import files_in, is_image, subfolders
from allometry.data.sources.manifest import find_in_manifest
from allometry.data.sources.naming import (
    ICONS,
    SHARD,
    expand,
    is_address,
    is_pattern,
    path_of,
    short_name,
    with_group,
    without_group,
)
from allometry.data.sources.records import OpenOptions, splits_of
from allometry.data.sources.shards import Shard, find_in_shards

_KINDS = (
    "a folder of class folders, or icons for the built-in set; a manifest (.csv, .tsv, .parquet), shards (.tar) or "
    "arrays (.npz) will do, too"
)
_COMPRESSED = (".tgz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst", ".tar.lz4")


def open_icons() -> Dataset:
    """The 88 classes of icons, uint8 [96, 96, 1], ink = 255; a group is all sets of one author, in one split.

    `icons/README.md` beside this file tells where they are from, `icons/sources.json` who drew them.
    """
    with (files("allometry.data") / "icons" / "icons.npz").open("rb") as file, np.load(file) as arrays:
        images, labels, split = arrays["image"], arrays["label"], arrays["split"]
        names = np.char.add(np.char.add(arrays["source"], "/"), arrays["name"])
        classes, groups = tuple(arrays["classes"].tolist()), arrays["group"]
    splits = {}
    for name in SPLITS:
        chosen = np.flatnonzero(split == name)
        splits[name] = ArraySplit(
            images=images[chosen][..., np.newaxis],
            labels=labels[chosen].astype(np.int64),
            names=tuple(names[chosen].tolist()),
            groups=tuple(groups[chosen].tolist()),
        )
    return Dataset(name="icons", classes=classes, channels=1, image_size=images.shape[1], splits=splits)


def open_data(
    where: str | Path,
    *,
    group: Group | None = None,
    cache_folder: Path | None = None,
    seed: int = 0,
    progress: Progress = SilentProgress(),
    cache_bytes: int | None = None,
) -> Dataset:
    """Open the built-in `icons`, a folder of class folders, a manifest, shards, or arrays.

    - A folder is either `D/<class>/**/image` or `D/train/<class>/**/image` with `D/test/...` and `D/val/...`.
    - A manifest is a `.csv`, `.tsv` or `.parquet` with the columns `path` and `label`, perhaps `split` and `group`.
    - Shards are uncompressed `.tar` files in WebDataset's layout: one, a folder of them, a pattern with braces, or
      http(s) addresses of that form. They are indexed once; then images are read in any order.
    - Arrays are a `.npz` with `images` and `labels`, perhaps `classes`, `split` and `group`, or a folder
      with `images.npy`, `labels.npy` and so on.

    What is missing of val and test is cut out of the rest: 15 % of each class, at least one image, decided by
    seed and content. Identical files never lie in two splits. Hidden files are ignored; other files that
    cannot be used are listed in `rejected` with the reason.

    Every image is opened and checked once; what was found is kept in an index, so that only new and changed images
    are opened when the data is opened again, by whatever program or run. It need not be possible to write to the data.

    Images of one group, such as the photos of one patient or the frames of one video, stay in one split, and intervals
    are by groups. Images to train that are nearly the same as others to judge by are told.

    Args:
        where: `icons`, a path, a pattern or an address (`./icons` for a folder of that name).
        group: what the images of a group have in common: `folder`, `level:2`, a pattern such as `{group}_*.jpg`, a
            regular expression with one bracket, the name of a column, or `near-duplicates`, also beside one of the
            others (see `Grouping`); by default the column, array or field `group`.
        cache_folder: where indexes and downloaded shards are kept; by default `allometry` in XDG_CACHE_HOME or
            ~/.cache. It may be removed at any time.
        seed: of the splits that are cut.
        progress: told of each image that is checked.
        cache_bytes: memory for images that are kept between epochs; by default 2 GiB, or an eighth of what the machine
            has where that is less.

    Raises:
        DataError: there is no such data, it is not arranged like that, a class has too few usable images, or no image
            has such a group.
        InputError: `group` cannot be understood.
        MissingExtraError: a Parquet manifest, and pyarrow is not there.
        StorageError: a shard cannot be downloaded into the folder.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> folder = Path(tempfile.mkdtemp()) / "colors"
        >>> for name, level in [("dark", 0), ("light", 200)]:
        ...     (folder / name).mkdir(parents=True)
        ...     for number in range(4):
        ...         Image.new("L", (20, 10), level + number).save(folder / name / f"{number}.png")
        >>> open_data(folder)
        Dataset(colors: 2 classes, train 4, val 2, test 2)
        >>> sorted(open_data(folder, group="{group}.png").splits["test"].groups)[0] in "0123"
        True
    """
    check_seed(seed)
    options = OpenOptions(
        cache_folder=cache_folder or user_cache(),
        seed=seed,
        progress=progress,
        cache_bytes=image_memory(memory()) if cache_bytes is None else cache_bytes,
        grouping=as_grouping(group),
    )
    return find_named(str(where), options)(None)


def find_named(name: str, options: OpenOptions) -> Found:
    """Look at the images of a name, which may tell their groups; see `open_data`."""
    place, texts = without_group(with_group(name, options.grouping.texts))
    if place != ICONS:
        return _find(place, replace(options, grouping=as_grouping(texts)))
    if texts:
        raise DataError("The icons come in splits, with their authors as groups; leave group out.")
    icons = open_icons()
    return lambda _judge: icons


def _find(where: str, options: OpenOptions) -> Found:
    """Look at images by their path, pattern or address."""
    path = Path(where)
    as_shards = partial(find_in_shards, name=short_name(where), place=where, options=options)
    if is_address(where):
        return as_shards(_fetch(where, options))
    if is_pattern(where) and not exists(path):
        return as_shards(_local_shards(where))
    if path.is_dir():
        files = files_in(path)
        if set(files).issuperset(NEEDED):
            return find_in_npy_folder(path, options)
        shards = _shards_in(path, files, partial=options.partial)
        return as_shards(shards) if shards else find_in_folder(path, options)
    if is_file(path):
        return _find_in_file(path, options, as_shards)
    if path.exists():
        raise DataError(f"{path} is no regular file. Give {_KINDS}.")
    raise DataError(_missing(path))


def _find_in_file(path: Path, options: OpenOptions, as_shards: Callable[[Sequence[Shard]], Found]) -> Found:
    ending = path.suffix.lower()
    if ending in MANIFESTS:
        return find_in_manifest(path, options)
    if ending == SHARD:
        return as_shards([Shard(path.name, path)])
    if ending == ".npz":
        return find_in_npz(path, options)
    raise DataError(_wrong_file(path))


def _fetch(address: str, options: OpenOptions) -> list[Shard]:
    if not address.startswith(SCHEMES):
        raise DataError(
            f"{address} cannot be opened: of addresses only http and https are read. Copy the shards to this machine."
        )
    urls = tuple(dict.fromkeys(expand(address)))
    wrong = [url for url in urls if not path_of(url).endswith(SHARD)]
    if wrong:
        raise DataError(
            f"{wrong[0]} is no shard: of addresses only those of .tar files are read. "
            "Download anything else and give its path."
        )
    files = fetch_shards(urls, cache_folder=options.cache_folder, progress=options.progress)
    names = _differing([path_of(url) for url in urls])
    return [Shard(name, file) for name, file in zip(names, files, strict=True)]


def _local_shards(pattern: str) -> list[Shard]:
    names = tuple(dict.fromkeys(expand(pattern)))
    _refuse_compressed(names[0])
    wrong = [name for name in names if not name.endswith(SHARD)]
    if wrong:
        raise DataError(f"{wrong[0]} is no shard: a pattern with braces stands for .tar files.")
    missing = [name for name in names if not is_file(name)]
    if missing:
        more = (
            f", and {len(missing) - 1:,} more of the {len(names):,} are missing" if len(missing) > 1 else ""
        )
        raise DataError(f"There is no shard {missing[0]}{more}. Check the pattern {pattern}.")
    return [Shard(short, Path(name)) for short, name in zip(_differing(names), names, strict=True)]


def _shards_in(root: Path, files: Sequence[str], *, partial: bool) -> list[Shard]:
    """The shards of a folder: in it, where it has no other folders, or in those of its splits."""
    folders = subfolders(root)
    if folders:
        of_name = splits_of(folders)
        train = next((name for name, split in of_name.items() if split == "train"), None)
        splits = list(of_name) if train or partial else []
        inside = {name: [file for file in files_in(root / name) if file.endswith(SHARD)] for name in splits}
        whole = partial or (train is not None and inside[train])
        names = [f"{name}/{file}" for name in splits for file in inside[name]] if whole else []
    else:
        names = [name for name in files if name.endswith(SHARD)]
    return [Shard(name, root / name) for name in names]


def _differing(paths: Sequence[str]) -> list[str]:
    """The part of each path in which they differ, and the file's name at least."""
    base = os.path.commonpath([path.rpartition("/")[0] for path in paths]) if len(paths) > 1 else ""
    return [path[len(base) :].lstrip("/") if base else path.rpartition("/")[2] for path in paths]


def _refuse_compressed(name: str) -> None:
    if name.lower().endswith(_COMPRESSED):
        raise DataError(
            f"{name} is compressed, and inside a compressed file no image can be reached without reading all before "
            "it. Uncompress it to a .tar; images are compressed already."
        )


def _wrong_file(path: Path) -> str:
    _refuse_compressed(path.name)
    if is_image(path.name):
        return f"{path} is a file; give the folder that holds one folder of images for each class."
    if path.suffix.lower() == ".npy":
        return f"{path} is one array; give the folder that holds {' and '.join(NEEDED)}."
    return f"{path} is a file of no kind that holds a data set. Give {_KINDS}."


def _missing(path: Path) -> str:
    parent = path.parent
    beside = [*subfolders(parent), *files_in(parent)] if parent.is_dir() else []
    near = get_close_matches(path.name, [ICONS, *beside], n=1, cutoff=0.6)
    if not near:
        advice = f"Give {_KINDS}."
    elif near == [ICONS] and ICONS not in beside:
        advice = "Did you mean icons, the built-in set?"
    else:
        advice = f"Did you mean {parent / near[0]}?"
    what = "file" if path.suffix.lower() in (*MANIFESTS, SHARD, ".npz") else "folder"
    return f"There is no {what} {path}. {advice}"
