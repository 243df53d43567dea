"""`allometry explain`: class activation maps on images, of one network or of several side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from allometry.arch import Network
from allometry.data import as_images
from allometry.reports.class_maps import ClassMaps, Viewer, draw_class_maps
from allometry.verbs.arguments import RunLike, check_together, folder_of, macs_of, open_classifier


def explain(
    runs: RunLike | Sequence[RunLike] | None = None,
    images: object = (),
    *,
    network: Network | str | Path | None = None,
    pretrained: RunLike | None = None,
    class_name: str | None = None,
    out: str | Path | None = None,
    crop: float | None = None,
) -> ClassMaps:
    """Draw what networks look at in images, several networks side by side.

    Args:
        runs: a run or its folder, or several; None where a network is given.
        images: as for `predict`.
        network: instead of runs, as for `predict`.
        pretrained: its weights, as for `predict`.
        class_name: the class to explain; by default each network's most probable one.
        out: the folder for the images; by default `explain` in the first run's folder, or in the current one.
        crop: as for `predict`.

    Returns:
        A map for each image and network, image by image, and the grids with all of them.

    Raises:
        RunFolderError: a run is missing or not finished.
        InputError: network, weights or crop are wrong.
        DataError: an image is missing, unreadable, or of another kind.
        UnknownNameError: a network has no such class.
        StorageError: an image cannot be written.

    Source: class activation maps: Zhou et al. 2016; so drawn: Tan & Le 2019 (EfficientNet), figure 7.

    Example, with a run, `trained`, and its `images`:
        >>> maps = explain(trained, images[:1], out=folder / "maps")
        >>> maps.maps[0].map.shape
        (6, 6)
    """
    listed = _listed(runs)
    check_together(run=listed or None, network=network, pretrained=pretrained, crop=crop)
    viewers = list(_of_runs(listed)) or [_of_network(network, pretrained, crop)]
    default = folder_of(listed[0]) / "explain" if listed else Path("explain")
    return draw_class_maps(
        viewers, as_images(images), class_name=class_name, out=Path(out) if out is not None else default
    )


def _listed(runs: RunLike | Sequence[RunLike] | None) -> list[RunLike]:
    if runs is None:
        return []
    return list(runs) if isinstance(runs, Sequence) and not isinstance(runs, str) else [runs]


def _of_runs(runs: Sequence[RunLike]) -> Iterator[Viewer]:
    """Each by its folder's name, or by its whole path where two folders have the same name."""
    folders = [folder_of(run) for run in runs]
    short = [folder.resolve().name for folder in folders]
    for folder, name in zip(folders, short, strict=True):
        known = open_classifier(folder, None, None, None)
        label = name if short.count(name) == 1 else str(folder)
        yield Viewer(label, known.module, known.preprocessing, macs_of(known.module, known.preprocessing))


def _of_network(
    network: Network | str | Path | None, pretrained: RunLike | None, crop: float | None
) -> Viewer:
    known = open_classifier(None, network, pretrained, crop)
    name = network.name if isinstance(network, Network) else str(network)
    return Viewer(name, known.module, known.preprocessing, macs_of(known.module, known.preprocessing))
