"""The solar cells of the package `elpv-dataset` as a folder of class folders: real photographs for benchmarks.

2,624 images of cells by electroluminescence, 300 px, gray, each with the probability of a defect that experts gave;
from one half on a cell counts as defective. The images are under CC BY-NC-SA 4.0, for non-commercial use, and so no
part of this package: `pip install elpv-dataset` brings them.
"""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

DEFECTIVE_FROM = 0.5


def solar_cells(folder: Path) -> Path:
    """Copy the images into `folder/defective` and `folder/functional`, unless they are there already.

    Source: Buerhop-Lutz et al. 2018, *A benchmark for visual identification of defective solar cells in
    electroluminescence imagery*.
    """
    spec = importlib.util.find_spec("elpv_dataset")
    if spec is None or spec.origin is None:
        raise SystemExit("This needs the images of solar cells: pip install --no-deps elpv-dataset")
    source = Path(spec.origin).parent / "data"
    for line in (source / "labels.csv").read_text(encoding="utf-8").splitlines():
        if not line.strip():
            continue
        name, probability, _ = line.split()
        kind = "defective" if float(probability) >= DEFECTIVE_FROM else "functional"
        target = folder / kind / Path(name).name
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, target)
    return folder
