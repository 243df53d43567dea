"""From a folder of class folders to a data set."""

from __future__ import annotations

from pathlib import Path

from allometry.data.dataset import Dataset
from allometry.data.sources.assembling import assemble
from allometry.data.sources.checking import check_files
from allometry.data.sources.layout import scan
from allometry.data.sources.options import Options
from allometry.data.sources.stores import FileStore


def open_folder(root: Path, options: Options) -> Dataset:
    """Open a folder of class folders; see `open_data`."""
    layout = scan(root)
    source = str(root.resolve())
    checks = check_files(root, layout.files, source=source, options=options)
    return assemble(
        layout,
        checks,
        name=root.resolve().name,
        options=options,
        store=lambda files: FileStore(root, tuple(file.path for file in files)),
    )
