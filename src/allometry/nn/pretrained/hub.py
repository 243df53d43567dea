"""Weights from the Hugging Face hub: `hf://owner/name`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from allometry.base import InputError, WeightsError
from allometry.base.extras import load_extra
from allometry.base.reading import parse_json, read_text

SCHEME = "hf://"
_FILES = ("model.safetensors", "pytorch_model.bin")


class HubWeights(NamedTuple):
    """What was fetched.

    Attributes:
        path: of the file of weights, in the hub's cache.
        config: the repository's `config.json`, empty where it has none.
        name: of the repository, without its owner.
    """

    path: Path
    config: dict[str, Any]
    name: str


def fetch(source: str) -> HubWeights:
    """Fetch `hf://owner/name`, or `hf://owner/name@revision`, into the hub's cache.

    Raises:
        InputError: the name is not of that form.
        MissingExtraError: the extra `hub` is not installed.
        WeightsError: the hub does not answer, or has no weights there.

    Example:
        >>> fetch("hf://timm")
        Traceback (most recent call last):
            ...
        allometry.base.errors.InputError: Write hf://owner/name or hf://owner/name@revision, not 'hf://timm'.
    """
    repository, revision = repository_of(source)
    hub = load_extra("huggingface_hub", extra="hub", asker=source)
    options = {"revision": revision} if revision else {}
    problem: Exception | None = None
    for name in _FILES:
        try:
            path = Path(hub.hf_hub_download(repository, name, **options))
        except Exception as error:  # the hub and its transport raise many kinds
            problem = problem or error
            continue
        return HubWeights(path, _config(hub, repository, options), repository.partition("/")[2])
    text = str(problem).strip().splitlines()[0] if str(problem).strip() else type(problem).__name__
    raise WeightsError(f"Cannot fetch {source}: {text}") from problem


def repository_of(source: str) -> tuple[str, str]:
    """The repository and the revision of a name on the hub; the revision is empty where there is none.

    Raises:
        InputError: the name is not of that form.

    Example:
        >>> repository_of("hf://timm/efficientnet_b0.ra_in1k@main")
        ('timm/efficientnet_b0.ra_in1k', 'main')
    """
    repository, _, revision = source.removeprefix(SCHEME).partition("@")
    if repository.count("/") != 1 or not all(repository.split("/")):
        raise InputError(f"Write hf://owner/name or hf://owner/name@revision, not {source!r}.")
    return repository, revision


def _config(hub: Any, repository: str, options: dict[str, str]) -> dict[str, Any]:  # noqa: ANN401 - a module
    try:
        held = parse_json(read_text(Path(hub.hf_hub_download(repository, "config.json", **options))))
    except Exception:
        return {}  # the layout's own conventions hold
    return held if isinstance(held, dict) else {}
