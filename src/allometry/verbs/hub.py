"""Runs on the Hugging Face hub: `Run.push_to_hub` and `allometry.from_hub`."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from allometry.base import AllometryError, HubError, InputError
from allometry.base.extras import load_extra
from allometry.base.files import storage_errors, write_json, write_text
from allometry.base.machine import user_cache
from allometry.base.reading import exists
from allometry.reports.model_card import model_card
from allometry.runs import HubUpload, read_run
from allometry.runs.sharing import SHARED_FILES, is_on_hub, write_shared

if TYPE_CHECKING:
    from allometry.training.pretrained import FinishedRun
    from allometry.verbs.open import Run

CARD, WEIGHTS, CONFIG = "README.md", "model.safetensors", "config.json"
_FILES = (*SHARED_FILES, CARD, WEIGHTS, CONFIG)
_LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]*")
_FINAL = Path("checkpoints") / "final.safetensors"


def push_to_hub(
    folder: Path,
    repo: str,
    *,
    license: str,  # noqa: A002 - the hub's word
    private: bool = False,
    message: str = "A run of allometry",
    endpoint: str | None = None,
    token: str | None = None,
) -> HubUpload:
    """Put a run's network on the Hugging Face hub, with a model card; see `Run.push_to_hub`."""
    from allometry.nn.pretrained.hub import repository_of
    from allometry.training.pretrained import open_finished

    repository, revision = repository_of(repo)
    if _LICENSE.fullmatch(license) is None:
        raise InputError(
            f"Name the license of the weights as the hub knows it, such as apache-2.0, mit, cc-by-4.0 or other, not "
            f"{license!r}."
        )
    finished = open_finished(folder)
    hub = load_extra("huggingface_hub", extra="hub", asker="push_to_hub")
    with tempfile.TemporaryDirectory() as name:
        staged = Path(name)
        write_shared(folder, staged)
        _write_weights(finished, staged)
        write_text(staged / CARD, model_card(read_run(folder), repo=repository, license=license))
        with _hub_errors(f"did not take {repository}"):
            api = hub.HfApi(endpoint=endpoint, token=token)
            api.create_repo(repository, private=private, exist_ok=True)
            commit = api.upload_folder(
                repo_id=repository, folder_path=staged, commit_message=message, revision=revision or None
            )
        files = tuple(sorted(path.name for path in staged.iterdir()))
    page = f"{(endpoint or hub.constants.ENDPOINT).rstrip('/')}/{repository}"
    return HubUpload(repo=repository, url=page, commit=str(commit.oid), files=files)


def from_hub(
    repo: str, *, out: str | Path | None = None, endpoint: str | None = None, token: str | None = None
) -> Run:
    """Fetch a run from the Hugging Face hub, where `Run.push_to_hub` has put it.

    Weights are safetensors and all else is JSON: nothing that is fetched is executed. `allometry.open` and every verb
    that takes a run take `hf://owner/name`, too.

    Args:
        repo: `owner/name`, or `owner/name@revision`; `hf://` may stand before it.
        out: the run folder; by default one in the user's cache, where the same commit is not fetched twice.
        endpoint: another hub; by default what HF_ENDPOINT says, or huggingface.co.
        token: for a private repository; by default that of `hf auth login`.

    Returns:
        The run, with its `network`, `evaluation`, `module()` and `predict()`; without its images.

    Raises:
        InputError: the name is not of that form, or `out` is there already.
        MissingExtraError: the extra `hub` is not installed.
        HubError: the hub does not answer, or has no run there.
        StorageError: the folder cannot be written.

    Example:
        >>> from_hub("birds")
        Traceback (most recent call last):
            ...
        allometry.base.errors.InputError: Write hf://owner/name or hf://owner/name@revision, not 'birds'.
    """
    from allometry.nn.pretrained.hub import repository_of
    from allometry.verbs.open import open_run

    repository, revision = repository_of(repo)
    if out is not None and exists(out):
        raise InputError(f"{out} is there already; give a folder that is not.")
    hub = load_extra("huggingface_hub", extra="hub", asker=repo)
    with _hub_errors(f"did not give {repository}"):
        fetched = Path(
            hub.snapshot_download(
                repository,
                revision=revision or None,
                allow_patterns=list(_FILES),
                endpoint=endpoint,
                token=token,
            )
        )
    if not all((fetched / name).exists() for name in ("run.json", "network.json", WEIGHTS)):
        raise HubError(
            f"{repository} holds no run of allometry. Weights alone are taken by pretrained='hf://{repository}'."
        )
    folder = (
        Path(out) if out is not None else user_cache() / "hub" / repository.replace("/", "--") / fetched.name
    )
    if not folder.exists():
        _lay_out(fetched, folder)
    return open_run(folder)


def local_folder(run: str | Path) -> Path:
    """A run folder by its place here or on the hub, from where it is fetched.

    Raises:
        MissingExtraError: the extra `hub` is needed and not installed.
        HubError: the hub does not give it.

    Example:
        >>> local_folder("runs/photos").name
        'photos'
    """
    return from_hub(str(run)).folder if is_on_hub(run) else Path(run)


def _lay_out(fetched: Path, folder: Path) -> None:
    """Make a run folder of a repository's files, in one step."""
    with storage_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=".", suffix=".part", dir=folder.parent))
        try:
            (beside / _FINAL).parent.mkdir()
            for name in SHARED_FILES:
                if (fetched / name).exists():
                    shutil.copyfile(fetched / name, beside / name)
            shutil.copyfile(fetched / WEIGHTS, beside / _FINAL)
            beside.rename(folder)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise


def _write_weights(finished: FinishedRun, folder: Path) -> None:
    """The weights, and what others' programs read of how images become their input."""
    from allometry.nn import Conventions, save_pretrained

    known, network = finished.preprocessing, finished.network
    conventions = Conventions(
        padding=network.padding,
        epsilon=network.batch_norm.epsilon,
        resolution=known.resolution,
        mean=known.mean,
        std=known.std,
        crop=known.crop,
        classes=known.classes,
        levels=known.levels,
    )
    save_pretrained(finished.module, folder / WEIGHTS, conventions)
    config: dict[str, Any] = {
        "architecture": network.name,
        "num_classes": len(known.classes),
        "label_names": known.classes,
        "pretrained_cfg": {
            "input_size": (known.channels, known.resolution, known.resolution),
            "crop_pct": known.crop,
            "mean": known.mean,
            "std": known.std,
        },
    }
    write_json(folder / CONFIG, config)


@contextmanager
def _hub_errors(what: str) -> Iterator[None]:
    """The hub and its transport raise many kinds; the user hears one sentence."""
    try:
        yield
    except AllometryError:
        raise
    except Exception as error:
        lines = str(error).strip().splitlines()
        raise HubError(f"The hub {what}: {lines[0] if lines else type(error).__name__}") from error
